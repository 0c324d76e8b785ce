"""B7: what a tool in a container leaves in its workspace, held against rules about changes that were written too wide.

The rules commit everything. What they may grant is committed, whatever else the tool tries refuses the whole call.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from gatekit import spec_file

from sandbox.execute.cold import ColdRunner
from sandbox.gate import Gate

pytestmark = pytest.mark.containers

SPEC = """\
sandbox: 1
name: wide
tools:
  act:
    args: {code: {type: text}}
    rules: [{id: all, allow: true}]
    changes:
      - {id: all, commit: "true"}
      - {id: keys, refuse: "change.path.endsWith('.key')", reason: no keys}
    run: {tool: "tools.python:run_code", workspace: {source: ./space, mode: rw}}
"""


@pytest.fixture(scope="module")
def runner() -> Iterator[ColdRunner]:
    with contextlib.closing(ColdRunner()) as cold:
        yield cold


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "specs" / "space").mkdir(parents=True)
    (tmp_path / "specs" / "space" / "old.txt").write_text("old")
    return tmp_path


def left_by(project: Path, runner: ColdRunner, code: str) -> tuple[str, str, list[str]]:
    """Status, reason code, and the paths in the workspace of the host afterwards."""
    spec = spec_file(project / "specs", SPEC, "wide.yaml")
    with Gate.open(spec, runner=runner) as gate:
        outcome = gate.attempt({"tool": "act", "args": {"code": f"import os\n{code}"}}).outcome
    space = project / "specs" / "space"
    paths = [str(path.relative_to(space)) for path in sorted(space.rglob("*"))]
    assert not (outcome.status != "ok" and outcome.changes)
    return outcome.status, outcome.reason_code, paths


def write(path: str, content: str = "x") -> str:
    return f"os.makedirs(os.path.dirname({path!r}) or '.', exist_ok=True); open({path!r}, 'w').write({content!r})\n"


def test_what_a_rule_grants_is_committed(project: Path, runner: ColdRunner) -> None:
    code = write(".git/hooks/pre-commit") + write("a/b.txt") + "os.unlink('old.txt')"
    status, _, paths = left_by(project, runner, code)
    assert status == "ok"
    assert paths == [".git", ".git/hooks", ".git/hooks/pre-commit", "a", "a/b.txt"]


@pytest.mark.parametrize(
    "code",
    [
        "os.symlink('/etc/passwd', 'link')",
        "os.symlink('old.txt', 'link')",
        "os.link('old.txt', 'second')",
        "open('a', 'w').close(); os.chmod('a', 0o4755)",
        "os.mkdir('d'); os.chmod('d', 0o2755)",
        "open('a\\nb', 'w').close()",
        "open('a\u202eb', 'w').close()",
        "open(b'\\xff', 'w').close()",
        "import socket; socket.socket(socket.AF_UNIX).bind('s')",
        write("deep.key"),
        write("a.txt") + write("b/deep.key"),
    ],
)
def test_whatever_is_never_granted_refuses_the_whole_call(project: Path, runner: ColdRunner, code: str) -> None:
    status, reason_code, paths = left_by(project, runner, write("innocent.txt") + code)
    assert (status, reason_code) == ("error", "changes.refused")
    assert paths == ["old.txt"]


def test_a_call_that_fails_commits_nothing(project: Path, runner: ColdRunner) -> None:
    status, reason_code, paths = left_by(project, runner, write("innocent.txt") + "raise ValueError")
    assert (status, reason_code, paths) == ("error", "tool.error", ["old.txt"])
