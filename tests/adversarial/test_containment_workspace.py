"""B3, B7, B13: what a call may do to the folder that it is lent, and what the host must never do for it."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import execkit
import pytest

from sandbox.call import Outcome
from sandbox.execute.cold import ColdRunner
from sandbox.ir import Workspace

pytestmark = pytest.mark.containers


@pytest.fixture(scope="module")
def runner() -> Iterator[ColdRunner]:
    with contextlib.closing(ColdRunner()) as cold:
        yield cold


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    space = tmp_path / "space"
    space.mkdir()
    (space / "notes").mkdir()
    (space / "notes" / "a.txt").write_text("first", encoding="utf-8")
    (tmp_path / "secret.txt").write_text("of the host", encoding="utf-8")
    (space / "out").symlink_to(tmp_path / "secret.txt")
    (space / "up").symlink_to("..")
    return space


def in_workspace(runner: ColdRunner, folder: Path, code: str, mode: str = "rw", **workspace: int) -> Outcome:
    space = replace(Workspace(str(folder), mode), **workspace)
    return execkit.run_program(runner, code, workspace=space)


def tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): "link" if path.is_symlink() else "folder" if path.is_dir() else path.read_text()
        for path in sorted(folder.rglob("*"))
    }


def test_the_shipped_file_tools_read_write_and_list(runner: ColdRunner, folder: Path) -> None:
    read = execkit.run_tool(runner, execkit.files_tool("read", folder, "ro"), path="/workspace/notes/a.txt")
    assert read.result == {"path": "/workspace/notes/a.txt", "content": "first"}

    write = execkit.files_tool("write", folder)
    written = execkit.run_tool(runner, write, path="/workspace/notes/b.txt", content="second")
    assert written.status == "ok", written
    assert [(change.path, change.kind, change.size) for change in written.changes] == [("notes/b.txt", "added", 6)]
    assert (folder / "notes" / "b.txt").read_text() == "second"
    assert (folder / "notes" / "b.txt").stat().st_uid == folder.stat().st_uid

    listed = execkit.run_tool(runner, execkit.files_tool("list_dir", folder, "ro"), path="/workspace")
    assert [entry["type"] for entry in listed.result["entries"]] == ["directory", "link", "link"]


@pytest.mark.parametrize(
    "path", ["/workspace/out", "/workspace/up/secret.txt", "/etc/hostname", "/workspace/../etc/hostname"]
)
def test_a_path_through_a_link_or_out_of_the_workspace_fails(runner: ColdRunner, folder: Path, path: str) -> None:
    outcome = execkit.run_tool(runner, execkit.files_tool("read", folder, "ro"), path=path)
    assert outcome.status == "error", outcome
    assert "of the host" not in str(outcome)
    naive = (folder / "out").read_text()  # what a tool on the host, which only compares prefixes, would have read
    assert naive == "of the host"


def test_the_shipped_payment_tool_appends_to_the_ledger(runner: ColdRunner, folder: Path) -> None:
    tool = execkit.payments_tool(folder)
    first = execkit.run_tool(runner, tool, recipient="GB1", amount="10.00")
    second = execkit.run_tool(runner, tool, recipient="GB2", amount="20.50", note="rent")
    assert first.result == {"sent": True, "number": 1, "recipient": "GB1", "amount": "10.00", "note": ""}
    assert second.result["number"] == 2
    assert [change.kind for change in second.changes] == ["modified"]
    assert second.changes[0].mode == 0o644
    assert len((folder / "ledger.jsonl").read_text().splitlines()) == 2


def test_a_call_that_does_not_end_ok_commits_nothing(runner: ColdRunner, folder: Path) -> None:
    before = tree(folder)
    for ending in ("raise ValueError", "while True: pass", "print('x' * 10**6)", "x = bytearray(10**9)"):
        code = f"open('left', 'w').write('x'); open('notes/a.txt', 'w')\n{ending}"
        space = Workspace(str(folder), "rw")
        outcome = execkit.run_program(runner, code, workspace=space, timeout_ms=1_000)
        assert outcome.status not in {"ok", "sandbox_failure"}
        assert tree(folder) == before


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.symlink('/etc/passwd', 'link')",
        "import os; os.unlink('out'); os.symlink('/etc/shadow', 'out')",
        "import os; os.link('notes/a.txt', 'second-name')",
        "import socket; socket.socket(socket.AF_UNIX).bind('socket')",
        "import os; os.chmod('notes/a.txt', 0o4755)",
        "import os; os.mkdir('.git'); open('.git/config', 'w')",
        "import os; os.makedirs('notes/.GIT/hooks'); open('notes/.GIT/hooks/post-commit', 'w')",
        "open('conftest.py', 'w')",
        "open('notes/x.pth', 'w')",
        "open('.bashrc. ', 'w')",
        "open('line\\nbreak', 'w')",
        "open(b'not-utf-8-\\xff', 'w')",
        "open('right\\u202eleft', 'w')",
        "open('back\\\\slash', 'w')",
        "import os; os.mkdir('.sandbox-commit')",
        "import os\nfor _ in range(80): os.mkdir('d'); os.chdir('d')",
    ],
)
def test_one_refused_change_refuses_the_whole_call(runner: ColdRunner, folder: Path, code: str) -> None:
    before = tree(folder)
    outcome = in_workspace(runner, folder, f"open('honest', 'w').write('x')\n{code}")
    assert (outcome.status, outcome.reason_code) == ("error", "changes.refused"), outcome
    assert outcome.result is None
    assert outcome.reason.isprintable()
    assert tree(folder) == before


def test_devices_and_fifos_cannot_even_be_made(runner: ColdRunner, folder: Path) -> None:
    code = """
import os, stat
def attempt(mode):
    try:
        os.mknod("node", mode)
    except OSError as error:
        return type(error).__name__
result = [attempt(kind | 0o666) for kind in (stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK)]
"""
    assert in_workspace(runner, folder, code).result == ["PermissionError"] * 3


def test_all_kinds_of_honest_changes_are_committed(runner: ColdRunner, folder: Path) -> None:
    (folder / "old").mkdir()
    (folder / "old" / "x").write_text("x")
    (folder / "kind").write_text("a file that becomes a folder")
    code = """
import os, shutil
shutil.rmtree("old")
os.unlink("kind"); os.mkdir("kind"); open("kind/inside", "w").write("in")
os.makedirs("deep/er"); open("deep/er/f", "w").write("f")
open("notes/a.txt", "a").write(" and more")
os.chmod("notes/a.txt", 0o600)
"""
    outcome = in_workspace(runner, folder, code)
    assert outcome.status == "ok", outcome
    changed = [(change.kind[0], change.path) for change in outcome.changes]
    expected = ["d kind", "a kind", "a kind/inside", "m notes/a.txt", "d old", "d old/x"]
    assert changed == [("a", "deep"), ("a", "deep/er"), ("a", "deep/er/f"), *(tuple(line.split()) for line in expected)]
    assert tree(folder) == {
        "deep": "folder",
        "deep/er": "folder",
        "deep/er/f": "f",
        "kind": "folder",
        "kind/inside": "in",
        "notes": "folder",
        "notes/a.txt": "first and more",
        "out": "link",
        "up": "link",
    }
    assert (folder / "notes" / "a.txt").stat().st_mode & 0o7777 == 0o600


def test_a_read_only_workspace_cannot_be_written(runner: ColdRunner, folder: Path) -> None:
    before = tree(folder)
    outcome = in_workspace(runner, folder, "open('x', 'w')", mode="ro")
    assert outcome.status == "error"
    assert "Read-only" in outcome.reason
    assert tree(folder) == before


def test_size_and_entries_are_bounded(runner: ColdRunner, folder: Path) -> None:
    large = in_workspace(runner, folder, "open('large', 'w').write('x' * 10**6)", size=200_000)
    assert (large.status, "No space" in large.reason) == ("error", True)
    many = in_workspace(runner, folder, "for n in range(100): open(f'f{n}', 'w')", entries=50)
    assert (many.status, "No space" in many.reason) == ("error", True)
    too_large_already = in_workspace(runner, folder, "result = 1", entries=3)
    assert (too_large_already.status, too_large_already.started) == ("sandbox_failure", False)


def test_the_view_holds_neither_the_host_s_sockets_nor_its_programs_rights(runner: ColdRunner, folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    program = folder / "program"
    program.write_bytes(b"#!/usr/bin/python3\n")
    program.chmod(0o4755)
    code = """
import os
result = [sorted(os.listdir(".")), oct(os.stat("program").st_mode), os.environ["WORKSPACE"], os.getcwd()]
try:
    os.posix_spawn("./program", ["program"], {})
except OSError as error:
    result.append(type(error).__name__)
"""
    outcome = in_workspace(runner, folder, code)
    names, mode, *places = outcome.result
    assert names == ["notes", "out", "program", "up"]
    assert mode == "0o100755"
    assert places == ["/workspace", "/workspace", "PermissionError"]
    assert outcome.changes == ()


def test_a_change_by_someone_else_meanwhile_is_not_overwritten(runner: ColdRunner, folder: Path) -> None:
    tool = execkit.python_tool(workspace=Workspace(str(folder), "rw"))
    code = "import time\nopen('notes/a.txt', 'w').write('mine')\nprint('written', flush=True)\ntime.sleep(1)"
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(execkit.run_tool(runner, tool, code=code)))
    thread.start()
    while not _views_hold(b"mine"):
        assert thread.is_alive()
    (folder / "notes" / "a.txt").write_text("theirs")
    thread.join()
    assert (outcomes[0].status, outcomes[0].reason_code) == ("sandbox_failure", "sandbox_failure.conflict")
    assert (folder / "notes" / "a.txt").read_text() == "theirs"


def test_calls_on_one_workspace_take_turns(runner: ColdRunner, folder: Path) -> None:
    tool = execkit.payments_tool(folder)
    outcomes: list[Outcome] = []

    def pay() -> None:
        outcomes.append(execkit.run_tool(runner, tool, recipient="GB1", amount="1.00"))

    threads = [threading.Thread(target=pay) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcome.result["number"] for outcome in outcomes) == [1, 2, 3, 4]
    assert len((folder / "ledger.jsonl").read_text().splitlines()) == 4


def test_no_view_stays_mounted(runner: ColdRunner, folder: Path) -> None:
    in_workspace(runner, folder, "result = 1")
    assert str(os.getpid()) not in {line.split()[1].rpartition("/")[2].partition(".")[0] for line in _view_mounts()}


def _view_mounts() -> list[str]:
    lines = Path("/proc/mounts").read_text().splitlines()
    return [line for line in lines if "/sandbox-tools/views/" in line]


def _views_hold(text: bytes) -> bool:
    """Whether some view holds this text: the event that the program inside has written it."""
    for line in _view_mounts():
        with contextlib.suppress(OSError):
            if (Path(line.split()[1]) / "notes" / "a.txt").read_bytes() == text:
                return True
    return False
