"""The shipped tools, called here: paths beneath a workspace, and programs that end in every way."""

from __future__ import annotations

import ast
import errno
import os
from decimal import Decimal
from pathlib import Path

import execkit
import pytest

from tools import beneath, files, payments, python


@pytest.fixture(params=[None, errno.ENOSYS, errno.EPERM], ids=["with openat2", "without", "filtered"])
def space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """A workspace, on a kernel that opens beneath, and on runtimes that know no such call."""
    space = tmp_path / "space"
    (space / "notes").mkdir(parents=True)
    (space / "notes" / "a.txt").write_text("ä")
    (tmp_path / "secret").write_text("of the host")
    (space / "link").symlink_to("notes/a.txt")
    (space / "out").symlink_to(tmp_path)
    os.mkfifo(space / "fifo")
    monkeypatch.setattr(beneath, "WORKSPACE", str(space))
    if request.param is not None:

        def absent(*_: object) -> int:
            raise OSError(request.param, os.strerror(request.param))

        monkeypatch.setattr(beneath, "openat2", absent)
    monkeypatch.setattr(payments, "LEDGER", f"{space}/ledger.jsonl")
    return space


def test_files_are_read_written_and_listed(space: Path) -> None:
    assert files.read(f"{space}/notes/a.txt")["content"] == "ä"
    assert files.write(f"{space}/notes/b.txt", "bé") == {"path": f"{space}/notes/b.txt", "bytes": 3}
    files.write(f"{space}/notes/b.txt", "b")
    assert files.list_dir(f"{space}/notes")["entries"] == [
        {"name": "a.txt", "type": "file", "size": 2},
        {"name": "b.txt", "type": "file", "size": 1},
    ]
    assert [entry["type"] for entry in files.list_dir(str(space))["entries"]] == ["other", "link", "directory", "link"]


@pytest.mark.parametrize(
    "path", ["link", "out/secret", "../secret", "notes/../../secret", "fifo", "absent", "notes/a.txt/x", "."]
)
def test_a_path_that_is_not_what_it_reads_like_is_an_error(space: Path, path: str) -> None:
    with pytest.raises(OSError):  # noqa: PT011  # which one is the kernel's choice
        files.read(f"{space}/{path}")


@pytest.mark.parametrize("path", ["/etc/hostname", "notes/a.txt", "/proc/self/environ", ""])
def test_a_path_that_is_not_in_the_workspace_is_an_error(space: Path, path: str) -> None:
    for call in (files.read, files.list_dir, lambda path: files.write(path, "x")):
        with pytest.raises(PermissionError, match="is not in"):
            call(path)
    with pytest.raises(PermissionError):
        files.read(f"{space}-other/x")


def test_a_path_ends_where_it_ends(space: Path) -> None:
    """The kernel reads up to a NUL byte: what is behind it was judged, and would not be opened."""
    for call in (files.read, files.list_dir, lambda path: files.write(path, "x")):
        with pytest.raises(ValueError, match="null"):
            call(f"{space}/notes\0/../x")
        with pytest.raises(ValueError, match="null"):
            call(f"{space}/notes/a.txt\0.md")
    assert files.read(f"{space}/notes/a.txt")["content"] == "ä"


ODD = ["notes//a.txt", "/notes/a.txt", "notes/..", "..", "../space/notes/a.txt", "notes/../notes/a.txt", "notes/a.txt/"]


@pytest.mark.parametrize("path", ODD)
def test_the_walk_opens_no_more_than_the_kernel_would(space: Path, path: str) -> None:
    root = os.open(space, os.O_PATH | os.O_DIRECTORY)
    held = len(list(Path("/proc/self/fd").iterdir()))
    try:
        with pytest.raises(OSError):  # noqa: PT011  # as above
            os.close(beneath.walk(root, path, os.O_RDONLY, 0))
        assert len(list(Path("/proc/self/fd").iterdir())) == held
    finally:
        os.close(root)


@pytest.mark.parametrize("what", ["folder", "last"])
def test_a_walk_follows_no_link_that_another_puts_there_meanwhile(
    space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """The race is run to its end: before and after every system call of the walk, what it is about to open changes."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.txt").write_text("of the host")
    real = os.open
    turns = iter(range(10_000))

    def swap() -> None:
        place, target = (space / "notes", tmp_path / "out") if what == "folder" else (space / "notes" / "a.txt", "/x")
        aside = space / f"aside{next(turns)}"
        if not place.is_symlink() and place.exists():
            place.rename(aside)
            place.symlink_to(target if what == "folder" else tmp_path / "secret")

    def racing(path: object, *more: object, **named: object) -> int:
        swap()
        descriptor = real(path, *more, **named)
        swap()
        return descriptor

    root = real(space, os.O_PATH | os.O_DIRECTORY)
    monkeypatch.setattr(os, "open", racing)
    try:
        for flags in (os.O_RDONLY, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, os.O_RDONLY | os.O_DIRECTORY):
            with pytest.raises(OSError):  # noqa: PT011  # as above
                os.close(beneath.walk(root, "notes/a.txt", flags, 0o644))
    finally:
        os.close(root)
    assert (tmp_path / "out" / "a.txt").read_text() == "of the host"
    assert (tmp_path / "secret").read_text() == "of the host"


def test_writing_through_a_link_or_into_a_fifo_is_an_error(space: Path) -> None:
    for path in ("link", "out/new", "fifo", "notes", "no/such/folder"):
        with pytest.raises(OSError):  # noqa: PT011  # as above
            files.write(f"{space}/{path}", "x")
    assert (space / "notes" / "a.txt").read_text() == "ä"


def test_a_file_that_would_not_fit_a_result_is_an_error(space: Path) -> None:
    (space / "large").write_bytes(b"x" * (files.READ_LIMIT + 1))
    with pytest.raises(ValueError, match="larger"):
        files.read(f"{space}/large")


def test_payments_are_appended_and_numbered(space: Path) -> None:
    first = payments.send_money("GB1", Decimal("1.50"))
    second = payments.send_money("GB2", Decimal("2.00"), "für")
    assert (first["number"], second["number"]) == (1, 2)
    lines = (space / "ledger.jsonl").read_text().splitlines()
    assert lines[1] == '{"number": 2, "recipient": "GB2", "amount": "2.00", "note": "für"}'


@pytest.fixture
def kept_main(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.mark.usefixtures("kept_main")
@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("result = 1 + 1", 2),
        ("x = 1", None),
        ("if __name__ == '__main__': result = __name__", "__main__"),
        ("import sys\nresult = 1\nsys.exit()", 1),
        ("result = 2\nraise SystemExit(0)", 2),
        ("def f():\n    return g()\ndef g():\n    return 7\nresult = f()", 7),
    ],
)
def test_a_program_s_result_is_its_global(code: str, result: object) -> None:
    assert python.run_code(code) == result


@pytest.mark.usefixtures("kept_main")
@pytest.mark.parametrize(("code", "status"), [("exit(3)", 3), ("import sys; sys.exit('why')", 1), ("exit(True)", 1)])
def test_a_program_s_own_exit_is_passed_on(code: str, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        python.run_code(code)
    assert caught.value.code == status
    assert ("why" in capsys.readouterr().err) == ("why" in code)


@pytest.mark.usefixtures("kept_main")
def test_a_program_s_exception_is_raised_with_its_own_lines() -> None:
    with pytest.raises(SyntaxError):
        python.run_code("def")
    with pytest.raises(ZeroDivisionError):
        python.run_code("1/0")


def test_tools_never_import_the_sandbox() -> None:
    for path in (execkit.PROJECT / "tools").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] == "sandbox"], path


def test_descriptors_of_a_path_that_is_walked_are_closed(space: Path) -> None:
    before = set(Path("/proc/self/fd").iterdir())
    root = os.open(space, os.O_PATH)
    os.close(beneath.walk(root, "notes/a.txt", os.O_RDONLY, 0))
    for path in ("out/secret", "notes/../a.txt", "notes//a.txt", "notes/absent", "link", ""):
        with pytest.raises(OSError):  # noqa: PT011  # as above
            beneath.walk(root, path, os.O_RDONLY, 0)
    os.close(root)
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_any_other_error_of_the_kernel_is_the_tools(space: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> int:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(beneath, "openat2", failing)
    with pytest.raises(OSError, match="broken"):
        files.read(f"{space}/notes/a.txt")
