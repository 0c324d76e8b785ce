"""`server:`, what the real MCP server is granted: what it means, and every refusal of it at its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import ir
from sandbox.compile import load_contract
from sandbox.errors import SpecError, UsageError
from sandbox.gate import Gate
from sandbox.ir import Run, RunServer, Workspace
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
        ("server: {resources: []}\n", (3, 10), "`resources` is not supported in this version"),
        ("server: {sampling: true}\n", (3, 10), "`sampling` is not supported in this version"),
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
