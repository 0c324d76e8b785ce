"""`sandbox mcp` as a command: what it refuses before any client is there, and what `pin` writes and compares."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sandbox.cli.program import PROGRAM
from sandbox.mcp.pins import Definition, Listing, definition, pin_file, read_pins, write_pins
from tests.gatekit import spec_file
from tests.mcpkit import SPEC, TOOLS, pins_of

WORDS = ("python3", "server.py")


def run(*words: object) -> Result:
    return CliRunner().invoke(PROGRAM, [str(word) for word in words])


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return spec_file(tmp_path, SPEC, "spec.yaml")


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Definition]]:
    """What the real server lists; it is not started."""
    tools = {str(tool["name"]): definition(tool) for tool in TOOLS}
    monkeypatch.setattr("sandbox.mcp.session.ServerSession.listed", lambda _: Listing(tools))
    monkeypatch.setattr("sandbox.mcp.session.ServerSession.server_name", lambda _: "small 1")
    return tools


def test_help_shows_the_gateways_own_options_and_the_other_command() -> None:
    text = run("mcp", "--help").output
    for words in (
        "--spec SPEC",
        "--http PORT",
        "--approve-on TTY",
        "[-- COMMAND...]",
        "pin ",
        "Example: sandbox mcp --spec",
    ):
        assert words in text
    assert "Example: sandbox mcp pin --spec" in run("mcp", "pin", "--help").output


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--spec", "{spec}", "--", *WORDS), "no tool of this server was reviewed yet: `sandbox mcp pin` writes"),
        (("--spec", "{spec}"), "has a `run`: name the real server behind `--`"),
        (("--spec", "{spec}", "--token-file", "x"), "has a `run`: name the real server behind `--`"),
        (("--", *WORDS), "Missing option '--spec'"),
        (("--spec", "nowhere.yaml", "--", *WORDS), "is no file; give the path of a YAML file"),
        (("--spec", "{spec}", "--http", "99999", "--", *WORDS), "Invalid value for '--http'"),
        (("pin", "--spec", "{spec}"), "name the real server behind `--`"),
    ],
)
def test_what_cannot_be_served_is_refused_before_any_client_is_there(
    spec: Path, words: tuple[str, ...], reason: str
) -> None:
    result = run("mcp", *(word.format(spec=spec) for word in words))
    assert (result.exit_code, reason in result.stderr) == (2, True), result.stderr


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--token-file", "x"), "`--token-file` belongs to `--http`"),
        (("--approve-on", os.devnull), f"`{os.devnull}` is no terminal"),
        (("--approve-on", "/nowhere"), "`/nowhere` cannot be opened"),
    ],
)
def test_options_that_mean_nothing_are_refused(spec: Path, options: tuple[str, ...], reason: str) -> None:
    write_pins(pin_file(spec), pins_of(WORDS))
    result = run("mcp", "--spec", spec, *options, "--", *WORDS)
    assert (result.exit_code, reason in result.stderr) == (2, True), result.stderr


def test_a_spec_without_server_grants_nothing_to_one(tmp_path: Path) -> None:
    spec = spec_file(tmp_path, SPEC.replace("server: {}\n", ""), "spec.yaml")
    write_pins(pin_file(spec), pins_of(WORDS))
    result = run("mcp", "--spec", spec, "--", *WORDS)
    assert result.exit_code == 2
    assert "has no `server:`, the grants of the real server; `server: {}` grants nothing" in result.stderr


def test_pin_writes_what_the_server_says_and_tells_what_is_new(spec: Path, listed: dict[str, Definition]) -> None:
    result = run("mcp", "pin", "--spec", spec, "--", *WORDS)
    assert result.exit_code == 0
    assert result.stdout == "small 1: 2 tools\n  added    add: Add.\n  added    echo: Echo.\n"
    assert read_pins(pin_file(spec)) == pins_of(WORDS)
    again = run("mcp", "pin", "--spec", spec, "--", *WORDS)
    assert again.stdout == "small 1: 2 tools\n  nothing has changed\n"


def test_pin_check_compares_and_writes_nothing(spec: Path, listed: dict[str, Definition]) -> None:
    assert run("mcp", "pin", "--check", "--spec", spec, "--", *WORDS).exit_code == 1
    assert not pin_file(spec).exists()
    run("mcp", "pin", "--spec", spec, "--", *WORDS)
    assert run("mcp", "pin", "--check", "--spec", spec, "--", *WORDS).exit_code == 0
    assert run("mcp", "pin", "--check", "--spec", spec, "--", *WORDS, "--more").exit_code == 1
    before = pin_file(spec).read_bytes()
    listed["echo"] = definition({"name": "echo", "description": "Echo \x1b[2J and more."})
    listed.pop("add")
    listed["shell"] = definition({"name": "shell"})
    result = run("mcp", "pin", "--check", "--json", "--spec", spec, "--", *WORDS)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["changes"] == [
        {"change": "removed", "tool": "add"}, {"change": "changed", "tool": "echo"},
        {"change": "added", "tool": "shell"},
    ]  # fmt: skip
    assert (
        r"changed  echo: Echo \u001b[2J and more." in run("mcp", "pin", "--check", "--spec", spec, "--", *WORDS).stdout
    )
    assert pin_file(spec).read_bytes() == before


def test_pins_that_were_changed_by_hand_are_told_and_written_anew(spec: Path, listed: dict[str, Definition]) -> None:
    write_pins(pin_file(spec), pins_of(WORDS))
    pin_file(spec).write_text(pin_file(spec).read_text().replace("Echo.", "Echo!"))
    result = run("mcp", "pin", "--spec", spec, "--", *WORDS)
    assert "was changed by hand or is damaged" in result.stderr
    assert read_pins(pin_file(spec)) == pins_of(WORDS)


def test_pin_tells_of_prompts_and_resources_that_the_spec_grants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.offerkit import OFFERS, listing

    spec = spec_file(tmp_path, OFFERS, "spec.yaml")
    monkeypatch.setattr("sandbox.mcp.session.ServerSession.listed", lambda _: listing())
    monkeypatch.setattr("sandbox.mcp.session.ServerSession.server_name", lambda _: "offers 1")
    text = run("mcp", "pin", "--spec", spec, "--", *WORDS).stdout
    assert text.splitlines()[0] == "offers 1: 2 tools, 3 prompts, 5 resources, 1 templates"
    assert "  added    prompt letter: Write a letter." in text
    assert "  added    resource memo://public/a: The \\u001b[2Jmemo." in text
    assert "  added    template memo://public/{name}: " in text
    assert read_pins(pin_file(spec)).listing == listing()
    without = Listing(listing().tools, {}, listing().resources, {})
    monkeypatch.setattr("sandbox.mcp.session.ServerSession.listed", lambda _: without)
    result = run("mcp", "pin", "--check", "--json", "--spec", spec, "--", *WORDS)
    document = json.loads(result.stdout)
    assert result.exit_code == 1
    assert {"change": "removed", "prompt": "letter"} in document["changes"]
    assert (document["prompts"], len(document["resources"])) == ([], 5)
