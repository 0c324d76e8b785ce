"""`server:`, what the real MCP server is granted: what it means, and every refusal of it at its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import ir
from sandbox.compile import load_contract
from sandbox.errors import SpecError, UsageError
from sandbox.gate import Gate
from sandbox.ir import GrantedPrompt, Run, RunServer, Workspace
from tests.gatekit import SpyRunner, spec_file

HEAD = "sandbox: 1\nname: x\n"


def test_an_empty_server_has_the_defaults_of_run(tmp_path: Path) -> None:
    assert load_contract(spec_file(tmp_path, HEAD + "server: {}\n")).server == Run(RunServer())


def test_no_server_is_none(tmp_path: Path) -> None:
    assert load_contract(spec_file(tmp_path, HEAD)).server is None


def test_every_grant_is_read(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    text = (
        HEAD + "server:\n  image: node\n  workspace: {source: ../notes, mode: ro}\n  memory: 256MiB\n  timeout: 20s\n"
        "  cpus: 2\n  pids: 9\n  output: 1KiB\n  files: 64\n  file_size: 1MiB\n  tmpfs: 1MiB\n"
        "  content: [text, image]\n"
    )
    server = load_contract(spec_file(tmp_path / "specs", text)).server
    assert server == Run(
        RunServer(("text", "image")), "node", Workspace("../notes", "ro"), (), 20_000, 256 << 20, 2_000, 9, 1024, 64,
        1 << 20, 1 << 20,
    )  # fmt: skip
    assert ir.from_json(ir.to_json(server)) == server


def test_grants_of_the_server_are_part_of_the_contracts_digest(tmp_path: Path) -> None:
    digests = {
        ir.digest(load_contract(spec_file(tmp_path, HEAD + text)))
        for text in ("", "server: {}\n", "server: {memory: 64MiB}\n", "server: {content: [image]}\n")
    }
    assert len(digests) == 4


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("server: {tool: 'a:b'}\n", (3, 10), "unknown key `tool`; check its spelling"),
        ("server: {argv: [x]}\n", (3, 10), "unknown key `argv`; check its spelling"),
        ("server: {memori: 64MiB}\n", (3, 10), "unknown key `memori`; did you mean `memory`?"),
        ("server: {sampling: ask_model}\n", (3, 10), "`sampling` is not supported in this version"),
        ("server: {subscriptions: read}\n", (3, 10), "`subscriptions` is not supported in this version"),
        ("server: {resources: []}\n", (3, 21), None),
        ("server: {prompts: [demo]}\n", (3, 19), None),
        ("server: {prompts: {demo: ' x'}}\n", (3, 27),
         "` x` is no name of a prompt; write up to 128 visible ASCII characters"),
        ("server: {content: [text, text]}\n", (3, 26), "`text` stands here already; keep one of them"),
        ("server: {workspace: {source: ., mode: ro}}\n", (3, 30), None),
        ("server: []\n", (3, 9), None),
        ("server: {content: [video]}\n", (3, 20), None),
    ],
)  # fmt: skip
def test_a_server_is_refused(tmp_path: Path, text: str, place: tuple[int, int], message: str | None) -> None:
    with pytest.raises(SpecError) as refusal:
        load_contract(spec_file(tmp_path, HEAD + text))
    first = refusal.value.problems[0]
    assert (first.place.line, first.place.column) == place
    assert message is None or first.message == message


def test_the_workspace_of_the_server_may_not_hold_the_state(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    spec = spec_file(tmp_path / "specs", HEAD + "server: {workspace: {source: ../data, mode: rw}}\n")
    with pytest.raises(UsageError, match=r"the workspace .* of `server` and the state in .* overlap"):
        Gate.open(spec, state=f"sqlite:///{tmp_path}/data/state.db", runner=SpyRunner())


# --- what it may offer besides tools

GRANTED = """\
sandbox: 1
name: x
server: {resources: read, prompts: {demo: mcp-demo}}
tools:
  read: {args: {uri: {type: string, max_size: 40}}, rules: []}
  demo: {args: {topic: {type: string, max_size: 40, optional: true}}, rules: []}
"""


def test_resources_and_prompts_are_judged_by_tools_of_the_spec(tmp_path: Path) -> None:
    server = load_contract(spec_file(tmp_path, GRANTED)).server
    assert server == Run(RunServer(("text",), "read", (GrantedPrompt("demo", "mcp-demo"),)))
    assert ir.from_json(ir.to_json(server)) == server
    other = load_contract(spec_file(tmp_path, GRANTED.replace("mcp-demo", "demo"))).server
    assert ir.digest(other) != ir.digest(server)


ONE_ARGUMENT = (
    "a tool that judges what is read of resources has one argument, `uri`, a `string`, an `enum` or a `url`, neither "
    "optional nor with a default"
)
NEVER_READ = "is no URI that is ever read: absolute, at most 2,048 characters of ASCII, without dot segments"
AS_TEXT = (
    "is given as text, as all that a prompt is given: declare a `string`, an `enum` or another type that is written "
    "as one"
)


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        ("resources: read", "resources: reed", (3, 21), "the spec has no tool `reed`; did you mean `read`?"),
        ("{demo: mcp-demo}", "{demos: mcp-demo}", (3, 37), "the spec has no tool `demos`; did you mean `demo`?"),
        ("{type: string, max_size: 40}", "{type: int}", (3, 21), ONE_ARGUMENT),
        ("{type: string, max_size: 40}", "{type: string, max_size: 40, optional: true}", (3, 21), ONE_ARGUMENT),
        ("{type: string, max_size: 40}", "{type: string, max_size: 40, default: 'a:b'}", (3, 21), ONE_ARGUMENT),
        ("uri: {type: string, max_size: 40}", "url: {type: string, max_size: 40}", (3, 21), ONE_ARGUMENT),
        ("{uri: {type", "{more: {type: bool}, uri: {type", (3, 21), ONE_ARGUMENT),
        ("{type: string, max_size: 40}", "{type: enum, values: ['memo://a', 'memo://a/../b']}", (3, 21),
         f"`memo://a/../b` {NEVER_READ}"),
        ("rules: []}\n  demo", "rules: [], run: {argv: [cat]}}\n  demo", (3, 21),
         "`read` has a `run` of its own, and what the server offers is had from the server; take `run` out"),
        ("prompts: {demo: mcp-demo}", "prompts: {read: mcp-demo}", (3, 37),
         "`read` judges the server's resources already; a prompt has a tool of its own"),
        ("resources: read, prompts: {demo: mcp-demo}", "prompts: {read: p, demo: p}", (3, 35),
         "the prompt `p` stands here already; one tool judges it"),
        ("{type: string, max_size: 40, optional: true}", "{type: int}", (3, 37), f"`args.topic` of `demo` {AS_TEXT}"),
        ("{type: string, max_size: 40, optional: true}", "{type: list, items: {type: string}}", (3, 37),
         f"`args.topic` of `demo` {AS_TEXT}"),
    ],
)  # fmt: skip
def test_what_a_server_may_offer_is_refused(
    tmp_path: Path, old: str, new: str, place: tuple[int, int], message: str
) -> None:
    assert old in GRANTED
    with pytest.raises(SpecError) as refusal:
        load_contract(spec_file(tmp_path, GRANTED.replace(old, new, 1)))
    (problem,) = refusal.value.problems
    assert ((problem.place.line, problem.place.column), problem.message) == (place, message)


@pytest.mark.parametrize("type_", ["decimal, scale: 2", "path", "url", "email", "timestamp", "duration", "shell"])
def test_what_a_prompt_is_given_is_of_any_type_that_is_written_as_text(tmp_path: Path, type_: str) -> None:
    text = GRANTED.replace("type: string, max_size: 40, optional: true", f"type: {type_}")
    assert load_contract(spec_file(tmp_path, text)).server is not None
