"""Commits into a workspace that its owner changes meanwhile, and trees that are made to fill the host's memory."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.call import Change
from sandbox.errors import SandboxFailure
from sandbox.execute import commit as commits
from sandbox.execute.changes import list_changes, refusal
from sandbox.execute.commit import commit, recover
from sandbox.execute.tree import JOURNAL_FOLDER, PATH_LIMIT, Entry, copy_tree, scan_tree


@contextlib.contextmanager
def folder_of(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@pytest.fixture
def space(tmp_path: Path) -> Path:
    space = tmp_path / "space"
    (space / "kept").mkdir(parents=True)
    (space / "plain").write_text("1")
    (space / "kept" / "inner").write_text("2")
    return space


@pytest.fixture
def view(tmp_path: Path) -> Path:
    view = tmp_path / "view"
    view.mkdir()
    return view


def viewed(space: Path, view: Path) -> dict[str, Entry]:
    with folder_of(space) as source, folder_of(view) as target:
        return copy_tree(source, target, user=os.geteuid(), group=os.getegid(), entries=100)


def settled(space: Path, view: Path, before: dict[str, Entry]) -> tuple[Change, ...]:
    with folder_of(space) as root, folder_of(view) as changed:
        after = scan_tree(changed, 10**6)
        changes = list_changes(before, after)
        assert refusal(changes, after) is None
        commit(root, changed, changes, before)
        return changes


def remove_the_folder(space: Path) -> None:
    shutil.rmtree(space / "kept")


def put_a_link_there(space: Path) -> None:
    shutil.rmtree(space / "kept")
    (space / "kept").symlink_to("/")


def put_a_file_there(space: Path) -> None:
    shutil.rmtree(space / "kept")
    (space / "kept").write_text("mine")


@pytest.mark.parametrize("meanwhile", [remove_the_folder, put_a_link_there, put_a_file_there])
def test_a_folder_that_is_gone_is_a_conflict_and_not_a_half_commit(space: Path, view: Path, meanwhile: object) -> None:
    before = viewed(space, view)
    (view / "plain").write_text("changed")
    (view / "kept" / "new").write_text("new")
    assert callable(meanwhile)
    meanwhile(space)
    with pytest.raises(SandboxFailure) as caught:
        settled(space, view, before)
    assert caught.value.reason_code == "sandbox_failure.conflict"
    assert (space / "plain").read_text() == "1"
    assert not (space / JOURNAL_FOLDER).exists()


@pytest.mark.parametrize("unseen", ["fifo", b"bad\xff", "added-meanwhile"])
def test_a_folder_that_holds_what_the_call_never_saw_is_not_replaced(
    space: Path, view: Path, unseen: str | bytes
) -> None:
    place = space / "kept" / os.fsdecode(unseen)
    if unseen == "fifo":
        os.mkfifo(place)
    elif unseen != "added-meanwhile":
        place.write_text("x")
    before = viewed(space, view)
    shutil.rmtree(view / "kept")
    (view / "kept").write_text("a file by now")
    if unseen == "added-meanwhile":
        place.write_text("mine")
    with pytest.raises(SandboxFailure) as caught:
        settled(space, view, before)
    assert caught.value.reason_code == "sandbox_failure.conflict"
    assert (space / "kept" / "inner").read_text() == "2"
    assert not (space / JOURNAL_FOLDER).exists()  # the workspace is usable


def test_a_recovery_never_drops_a_file_without_a_word(space: Path, view: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = viewed(space, view)
    (view / "kept" / "new").write_text("new")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(commits, "_perform_step", die)
        with pytest.raises(KeyboardInterrupt):
            settled(space, view, before)
    shutil.rmtree(space / "kept")
    with folder_of(space) as root, pytest.raises(SandboxFailure, match="cannot be finished"):
        recover(root)
    (space / "kept").mkdir()
    with folder_of(space) as root:
        recover(root)
    assert (space / "kept" / "new").read_text() == "new"
    assert not (space / JOURNAL_FOLDER).exists()


def test_paths_that_no_one_can_name_do_not_fill_the_host(view: Path) -> None:
    """Each component is short enough, and 64 of them make a key of 16 KiB for every entry below."""
    with contextlib.ExitStack() as stack:
        here = stack.enter_context(folder_of(view))
        for _ in range(60):
            os.mkdir("d" * 250, dir_fd=here)
            below = os.open("d" * 250, os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
            stack.callback(os.close, below)
            here = below
        for number in range(50):
            os.close(os.open(f"{number}", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        with folder_of(view) as root:
            after = scan_tree(root, 10**6)
    assert max(len(path) for path in after) <= PATH_LIMIT + 256
    reason = refusal(list_changes({}, after), after)
    assert reason is not None
    assert "too deep" in reason
