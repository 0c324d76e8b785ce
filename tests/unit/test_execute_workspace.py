"""Workspaces without an engine: copying, listing, judging, committing, and dying in the middle."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import execkit
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.call import Change, Outcome
from sandbox.errors import EnvironmentLacking, SandboxFailure
from sandbox.execute import commit as commits
from sandbox.execute import workspace as workspaces
from sandbox.execute.changes import list_changes, refusal
from sandbox.execute.commit import commit, recover
from sandbox.execute.config import compile_config
from sandbox.execute.owner import Owner
from sandbox.execute.tree import JOURNAL_FOLDER, Entry, copy_tree, scan_tree
from sandbox.execute.workspace import Changes, Transaction, workspace_folder, workspace_transaction
from sandbox.ir import Workspace

ME = os.geteuid()


@contextlib.contextmanager
def folder_of(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): "link" if path.is_symlink() else "folder" if path.is_dir() else path.read_text()
        for path in sorted(folder.rglob("*"))
    }


def viewed(folder: Path, view: Path) -> dict[str, Entry]:
    with folder_of(folder) as source, folder_of(view) as target:
        return copy_tree(source, target, user=ME, group=os.getegid(), entries=100)


def fill(space: Path) -> Path:
    (space / "a" / "b").mkdir(parents=True)
    (space / "a" / "one").write_text("1")
    (space / "a" / "b" / "two").write_text("2")
    (space / "three").write_text("3")
    (space / "link-to-file").symlink_to("three")
    (space / "link-to-folder").symlink_to("a")
    (space / "folder-to-file" / "inner").mkdir(parents=True)
    (space / "folder-to-file" / "inner" / "x").write_text("x")
    return space


def tree_of_filled() -> set[str]:
    deep = {"a", "a/b", "a/b/two", "a/one", "folder-to-file", "folder-to-file/inner", "folder-to-file/inner/x"}
    return {*deep, "link-to-file", "link-to-folder", "three"}


@pytest.fixture
def space(tmp_path: Path) -> Path:
    return fill(tmp_path / "space")


@pytest.fixture
def view(tmp_path: Path) -> Path:
    view = tmp_path / "view"
    view.mkdir()
    return view


def settled(space: Path, view: Path, before: dict[str, Entry]) -> tuple[Change, ...]:
    """What `Transaction.settle` does, without a container."""
    with folder_of(space) as root, folder_of(view) as changed:
        after = scan_tree(changed, 10**6)
        changes = list_changes(before, after)
        assert refusal(changes, after) is None
        commit(root, changed, changes, before)
        return changes


# --- copying and listing -------------------------------------------------------------------------------


def test_a_view_is_a_copy_without_what_could_reach_the_host(space: Path, view: Path) -> None:
    (space / "program").write_text("p")
    (space / "program").chmod(0o6755)
    (space / "link").symlink_to("/etc/passwd")
    os.mkfifo(space / "fifo")
    (space / JOURNAL_FOLDER).mkdir()
    (space / os.fsdecode(b"bad\xff")).write_text("x")
    with socket.socket(socket.AF_UNIX) as listener, contextlib.chdir(space):
        listener.bind("socket")
    copied = viewed(space, view)
    assert set(copied) == {"link", "program", *tree_of_filled()}
    assert copied["program"].mode == 0o755
    assert (view / "link").readlink() == Path("/etc/passwd")
    with folder_of(view) as root:
        assert list_changes(copied, scan_tree(root, 10**6)) == ()


def test_a_workspace_beyond_its_entries_or_depth_is_refused(space: Path, view: Path, tmp_path: Path) -> None:
    with folder_of(space) as source, folder_of(view) as target, pytest.raises(SandboxFailure, match="3 entries"):
        copy_tree(source, target, user=ME, group=os.getegid(), entries=3)
    deep = tmp_path / "deep" / "/".join("d" * 70)
    deep.mkdir(parents=True)
    shutil.rmtree(view)
    view.mkdir()
    with (
        folder_of(tmp_path / "deep") as source,
        folder_of(view) as target,
        pytest.raises(SandboxFailure, match="nested"),
    ):
        copy_tree(source, target, user=ME, group=os.getegid(), entries=1000)


def test_every_kind_of_change_is_listed(space: Path, view: Path) -> None:
    before = viewed(space, view)
    (view / "three").write_text("3!")
    (view / "a" / "one").chmod(0o600)
    shutil.rmtree(view / "a" / "b")
    (view / "new").mkdir()
    (view / "new" / "four").write_text("4")
    with folder_of(view) as root:
        changes = list_changes(before, scan_tree(root, 10**6))
    assert [(change.kind, change.path, change.type) for change in changes] == [
        ("deleted", "a/b", "directory"),
        ("deleted", "a/b/two", "file"),
        ("modified", "a/one", "file"),
        ("added", "new", "directory"),
        ("added", "new/four", "file"),
        ("modified", "three", "file"),
    ]


# --- judging -------------------------------------------------------------------------------------------

FILE = Entry("file", 0o644, 1, "", (0, 0, 0, 0))
HAND_OVER = [
    *(".git", ".git/config", "a/.git/hooks/pre-commit", ".GIT/config", ".git./config", ".Git . /x", ".kube/config"),
    *(".gitlab-ci.yml", "sub/.vscode/settings.json", ".claude", ".ssh/authorized_keys", ".docker/config.json"),
    *(".gitmodules", ".bashrc", ".BASHRC", "conftest.py", "tests/Conftest.py", "x.pth", "a/B.PTH", "sitecustomize.py"),
    *(
        ".\u017fsh/config",
        ".doc\u212aer/x",
        ".mcp.json",
        ".pre-commit-config.yaml",
        ".cursor/rules",
        ".idea/x",
        ".npmrc",
    ),
    *(".github/workflows/x", ".envrc", ".npmrc"),
]
HOSTILE = [
    *("a\nb", "a\x00b", "a\\b", "a\u202eb", "a\u200bb", "\ufeffa", os.fsdecode(b"\xff"), "x" * 256, "ä" * 128),
    "a\x7f",
]
ORDINARY = ["a", "git", ".gitignore", "a.git", "notes/.hidden", "pth", "x.pth.txt", "conftest.pyi", "ä/ü", "-rf"]


@pytest.mark.parametrize("path", [*HAND_OVER, *HOSTILE, JOURNAL_FOLDER])
@pytest.mark.parametrize("kind", ["added", "modified", "deleted"])
def test_hand_over_files_and_hostile_names_refuse_the_call(path: str, kind: str) -> None:
    reason = refusal((Change(path, kind, "file", 0o644, 1),), {path: FILE})
    assert reason is not None
    assert reason.isprintable()


@pytest.mark.parametrize(
    "path", ["a", "git", ".gitignore", "a.git", "notes/.hidden", "pth", "x.pth.txt", "conftest.pyi", "ä/ü", "-rf"]
)
def test_ordinary_names_are_committed(path: str) -> None:
    assert refusal((Change(path, "added", "file", 0o644, 1),), {path: FILE}) is None


SPECIAL = [("link", 0), ("special", 0), ("file", 0o4755), ("directory", 0o2755)]


@pytest.mark.parametrize("entry", [Entry(kind, mode, 0, "", FILE.stamp) for kind, mode in SPECIAL])
def test_links_specials_and_set_id_bits_refuse_the_call_but_may_be_deleted(entry: Entry) -> None:
    assert refusal((Change("x", "added", "file", 0o644, 1),), {"x": entry}) is not None
    assert refusal((Change("x", "deleted", "file", 0, 0),), {}) is None


# --- committing ----------------------------------------------------------------------------------------


def change_everything(view: Path) -> None:
    (view / "three").write_text("changed")
    shutil.rmtree(view / "a" / "b")
    (view / "a" / "one").unlink()
    (view / "a" / "one").mkdir()
    (view / "a" / "one" / "below").write_text("folder now")
    for name in ("link-to-file", "link-to-folder", "folder-to-file"):
        path = view / name
        if path.is_symlink():
            path.unlink()
        elif path.is_dir():
            shutil.rmtree(path)
    (view / "link-to-file").write_text("a file now")
    (view / "link-to-folder").mkdir()
    (view / "folder-to-file").write_text("a file now")
    (view / "new" / "deep").mkdir(parents=True)
    (view / "new" / "deep" / "file").write_text("new")


def test_what_is_committed_is_what_the_view_holds(space: Path, view: Path) -> None:
    before = viewed(space, view)
    change_everything(view)
    settled(space, view, before)
    assert tree(space) == tree(view)


class Crash(BaseException):
    """The process dies here."""


def crash_at(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Every call by which a commit touches the disk counts down; the last one does not happen."""
    left = itertools.count(count, -1)

    def counting(function: Callable[..., object]) -> Callable[..., object]:
        def called(*args: object, **kwargs: object) -> object:
            if next(left) == 0:
                raise Crash
            return function(*args, **kwargs)

        return called

    for name in ("mkdir", "rename", "unlink", "rmdir", "fsync", "write", "fchown", "fchmod"):
        monkeypatch.setattr(os, name, counting(getattr(os, name)))
    monkeypatch.setattr(shutil, "rmtree", counting(shutil.rmtree))
    monkeypatch.setattr(commits, "_sync_file_system", counting(commits._sync_file_system))


@pytest.mark.parametrize("few", [commits.FEW, 0], ids=["few changes", "many changes"])
def test_a_crash_between_any_two_steps_leaves_all_of_the_changes_or_none(
    tmp_path: Path, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "FEW", few)
    ends = []
    for count in itertools.count():
        space, view = tmp_path / f"space{count}", tmp_path / f"view{count}"
        fill(space)
        view.mkdir()
        before = viewed(space, view)
        old = tree(space)
        change_everything(view)
        with pytest.MonkeyPatch.context() as crashing:
            crash_at(crashing, count)
            try:
                settled(space, view, before)
                finished = True
            except Crash:
                finished = False
        with folder_of(space) as root:
            recover(root)
        ends.append(tree(space) == tree(view))
        assert tree(space) in (old, tree(view)), count
        if finished:
            break
    assert ends == sorted(ends)  # nothing, nothing, ..., everything, everything
    assert ends.count(False) > 10
    assert ends.count(True) > 10


def test_without_a_journal_the_same_crash_leaves_half_of_the_changes(space: Path, view: Path) -> None:
    viewed(space, view)
    old = tree(space)
    change_everything(view)
    (space / "a" / "one").unlink()
    for path in sorted(path for path in view.rglob("*") if path.is_file())[:2]:  # and here the process dies
        (space / path.relative_to(view)).parent.mkdir(parents=True, exist_ok=True)
        if path.name != "folder-to-file":
            shutil.copy(path, space / path.relative_to(view))
    assert tree(space) not in (old, tree(view))


def test_what_someone_else_changed_meanwhile_is_not_overwritten(space: Path, view: Path) -> None:
    before = viewed(space, view)
    (view / "three").write_text("mine")
    (view / "fresh").write_text("mine")
    (view / "a" / "b" / "two").unlink()
    for path, text in (("three", "theirs"), ("fresh", "theirs"), ("a/b/two", "theirs")):
        saved = tree(space)
        (space / path).write_text(text)
        with pytest.raises(SandboxFailure, match="someone else"):
            settled(space, view, before)
        assert tree(space) == {**saved, path: text}


def test_a_folder_that_became_a_link_meanwhile_is_never_followed(space: Path, view: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    before = viewed(space, view)
    (view / "a" / "b" / "planted").write_text("x")
    shutil.rmtree(space / "a" / "b")
    (space / "a" / "b").symlink_to(outside)
    with contextlib.suppress(SandboxFailure):
        settled(space, view, before)
    assert list(outside.iterdir()) == []


def test_a_leftover_that_is_not_ours_stops_the_workspace_and_says_what_to_do(space: Path) -> None:
    leftover = space / JOURNAL_FOLDER
    for make in (
        lambda: leftover.write_text("x"),
        lambda: leftover.mkdir(mode=0o777) or leftover.chmod(0o777),
        lambda: leftover.mkdir(mode=0o700) or (leftover / "journal").write_text("nonsense"),
        lambda: leftover.symlink_to("/etc"),
    ):
        make()
        with folder_of(space) as root, pytest.raises(SandboxFailure, match="remove that folder"):
            recover(root)
        shutil.rmtree(leftover) if leftover.is_dir() and not leftover.is_symlink() else leftover.unlink()


def test_a_full_disk_commits_nothing(space: Path, view: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = viewed(space, view)
    old = tree(space)
    change_everything(view)

    def full(*_args: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(commits, "copy_file", full)
    with pytest.raises(SandboxFailure, match="No space left"):
        settled(space, view, before)
    assert tree(space) == old


# --- the transaction -----------------------------------------------------------------------------------


def transaction_of(folder: Path, **settings: object) -> contextlib.AbstractContextManager[Transaction]:
    tool = execkit.python_tool(workspace=Workspace(str(folder), **{"mode": "rw", **settings}))
    contract = execkit.contract_of(tool)
    return workspace_transaction(contract, tool.run, compile_config(contract, tool))


OK = Outcome("ok", "ok", "")


def test_a_view_is_mounted_committed_and_gone(space: Path) -> None:
    with transaction_of(space) as transaction:
        view = transaction.view
        line = next(line for line in Path("/proc/mounts").read_text().splitlines() if str(view) in line)
        assert "nosuid,nodev,noexec" in line
        assert "size=262144k" in line
        assert view.parent.stat().st_mode & 0o077 == 0
        (view / "four").write_text("4")
        assert [change.path for change in transaction.settle(OK).changes] == ["four"]
    assert not view.exists()
    assert (space / "four").read_text() == "4"


@pytest.mark.parametrize("fifo", [False, True])
@pytest.mark.parametrize("many", [False, True])
def test_content_that_is_not_what_was_judged_is_never_committed(many: bool, fifo: bool, space: Path) -> None:
    """Nobody can write in a view by then; should somebody, what was judged is what is committed, or nothing is."""

    class Late:
        grants_hand_over = False

        def __init__(self, view: Path) -> None:
            self._view = view

        def objection(self, changes: tuple[Change, ...]) -> None:
            assert changes
            late = self._view / "four"
            if fifo:
                late.unlink()
                os.mkfifo(late)  # opening one waits for a writer, as a rule
            else:
                late.write_text("changed after it was judged")

    before = sorted(path.name for path in space.iterdir())
    with transaction_of(space) as transaction:
        for name in ("four", *(f"more{number}" for number in range(40 if many else 0))):
            (transaction.view / name).write_text("judged")
        outcome = transaction.settle(OK, Changes(declared=True, judge=Late(transaction.view)))
    assert (outcome.status, outcome.reason_code) == ("sandbox_failure", "sandbox_failure.conflict")
    assert "no longer has the content that was judged" in outcome.reason
    assert sorted(path.name for path in space.iterdir()) == before


def test_a_view_of_a_failed_call_or_a_read_only_one_is_dropped(space: Path) -> None:
    old = tree(space)
    for settings, outcome in (({}, Outcome("error", "tool.error", "")), ({"mode": "ro"}, OK)):
        with transaction_of(space, **settings) as transaction:
            (transaction.view / "four").write_text("4")
            assert transaction.settle(outcome) == outcome
    assert tree(space) == old


def test_a_refused_change_is_an_error_without_a_result(space: Path) -> None:
    with transaction_of(space) as transaction:
        (transaction.view / ".git").mkdir()
        settled = transaction.settle(Outcome("ok", "ok", "", result=1))
    assert (settled.status, settled.reason_code, settled.result) == ("error", "changes.refused", None)


def test_holes_that_take_no_room_are_not_read_without_bound(space: Path) -> None:
    with transaction_of(space) as transaction:
        for number in range(100):
            with (transaction.view / f"hole{number}").open("wb") as file:
                file.truncate(2**40)
        settled = transaction.settle(OK)
    assert (settled.status, settled.reason_code) == ("error", "changes.refused")
    assert "268435456 bytes" in settled.reason


def test_what_cannot_be_opened_is_a_failure_before_anything_starts(
    space: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction_of(space, size=4096) as transaction:
        assert transaction.failure is None or "size" in transaction.failure.reason
    (space / "large").write_bytes(b"x" * 10_000)
    with transaction_of(space, size=4096) as transaction:
        assert "does not fit" in transaction.failure.reason
        assert not transaction.failure.started
    with transaction_of(space / "absent") as transaction:
        assert "mkdir" in transaction.failure.reason
    monkeypatch.setattr(workspaces, "LOCK_TIMEOUT_S", 0)
    with transaction_of(space), transaction_of(space) as second:
        assert "another call" in second.failure.reason


def test_a_workspace_s_folder_is_relative_to_the_spec_and_no_link(space: Path, tmp_path: Path) -> None:
    contract = execkit.contract_of(execkit.python_tool(), str(tmp_path / "specs" / "x.yaml"))
    assert workspace_folder(contract, Workspace("../space", "rw")) == space
    (tmp_path / "link").symlink_to(space)
    for source in ("../link", "../absent", "../space/three"):
        with pytest.raises(EnvironmentLacking, match="mkdir"):
            workspace_folder(contract, Workspace(source, "rw"))


def test_abandoned_views_are_dropped_and_living_ones_are_not(space: Path) -> None:
    with transaction_of(space) as transaction:
        abandoned = transaction.view.with_name(f"{replace(Owner.this(), pid=4_194_305).name}.feed")
        abandoned.mkdir()
        workspaces.drop_abandoned_views()
        assert not abandoned.exists()
        assert (transaction.view / "three").exists()


@given(st.text(min_size=1, max_size=8), st.sampled_from(["", "a/", ".git/", "x/.vscode/"]))
def test_judging_never_raises_and_never_lets_a_hand_over_folder_pass(name: str, prefix: str) -> None:
    path = f"{prefix}{name.replace('/', '_')}"
    reason = refusal((Change(path, "added", "file", 0o644, 1),), {path: FILE})
    if ".git" in prefix or ".vscode" in prefix:
        assert reason is not None
