"""Committing changes to a workspace: all of them or none, also when the process dies in the middle.

New contents are written into a folder in the workspace's own root (one file system, so that a rename is
atomic), then a journal of what is to be done; with the journal in place the commit has happened, and
whatever was not done yet is done by the next process that opens the workspace. Without it nothing was.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import stat
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, Literal, NoReturn

from sandbox.call import Change
from sandbox.errors import SandboxFailure
from sandbox.execute.tree import JOURNAL_FOLDER, Entry, copy_file, open_folder, opened, stamp_of
from sandbox.ir import Json

FEW: Final = 16
"""Changes that are put on disk one by one; of more the whole file system is, once. A disk takes 5 to 10 ms for each."""

_JOURNAL: Final = "journal"
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class _Step:
    """One thing to do, such that doing it twice is doing it once."""

    do: Literal["delete", "remove_folder", "make_folder", "place"]
    path: str
    mode: int = 0
    staged: str = ""


def commit(root: int, view: int, changes: Sequence[Change], before: Mapping[str, Entry]) -> None:
    """Makes the changes, found in the view, in the workspace; both are directory descriptors, the root is locked.

    Raises:
        SandboxFailure: nothing was changed: a path is no longer what the call saw, or there is no room.
    """
    made = {change.path for change in changes if change.kind == "added" and change.type == "directory"}
    for change in changes:
        _check_unchanged(root, change.path, before.get(change.path))
        if change.kind != "deleted":
            _check_place(root, change.path, made)
        elif change.type == "directory":
            _check_emptied(root, change.path, before)
    try:
        _prepare(root, view, changes)
    except OSError as error:
        _drop(root)
        message = f"the workspace's changes could not be written: {error.strerror}"
        raise SandboxFailure(message, "sandbox_failure.commit") from error
    except SandboxFailure:
        _drop(root)
        raise
    recover(root)


def recover(root: int) -> None:
    """Finishes a commit that was interrupted after its journal was written; drops what came before that.

    Raises:
        SandboxFailure: the leftover is not ours, or cannot be finished.
    """
    try:
        folder = os.open(JOURNAL_FOLDER, _DIRECTORY, dir_fd=root)
    except FileNotFoundError:
        return
    except OSError as error:
        _stuck("is no folder", error)
    try:
        found = os.fstat(folder)
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            _stuck("was not made by this user alone")
        _perform(root, folder, _read_journal(folder))
    except (OSError, ValueError, TypeError) as error:
        _stuck(f"cannot be finished ({error})", error)
    finally:
        os.close(folder)
    _drop(root)


# --- before the journal is there -----------------------------------------------------------------------


def _check_unchanged(root: int, path: str, seen: Entry | None) -> None:
    """A path that someone else changed while the call ran is not overwritten."""
    parent, _, name = path.rpartition("/")
    stamp = None
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        folder = open_folder(root, parent)
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            stamp = None if seen is None or seen.kind == "directory" else stamp_of(found)
            if seen is None or (seen.kind == "directory") != stat.S_ISDIR(found.st_mode):
                raise _conflict(path)
        finally:
            os.close(folder)
    if seen is not None and seen.kind != "directory" and stamp != seen.stamp:
        raise _conflict(path)


def _check_place(root: int, path: str, made: AbstractSet[str]) -> None:
    """What is to be placed has a folder to be placed in: there, or made by the same changes."""
    parent = path.rpartition("/")[0]
    if parent in made:
        return
    try:
        os.close(open_folder(root, parent))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _conflict(parent) from error


def _check_emptied(root: int, path: str, before: Mapping[str, Entry]) -> None:
    """A folder that is to go holds nothing that the call did not see, and so could not delete."""
    try:
        folder = open_folder(root, path)
    except FileNotFoundError:
        return  # someone else was faster
    try:
        unseen = [name for name in os.listdir(folder) if f"{path}/{name}" not in before]  # noqa: PTH208  # a descriptor, not a path
    finally:
        os.close(folder)
    if unseen:
        raise _conflict(path)


def _other_content(path: str) -> SandboxFailure:
    message = f"`{path}` no longer has the content that was judged; nothing was committed"
    return SandboxFailure(message, "sandbox_failure.conflict")


def _conflict(path: str) -> SandboxFailure:
    message = (
        f"`{path}` in the workspace was changed by someone else while the call ran, or holds what no call can see; "
        "nothing was committed"
    )
    return SandboxFailure(message, "sandbox_failure.conflict")


def _prepare(root: int, view: int, changes: Sequence[Change]) -> None:
    """Stages every new content, then the journal; each is on the disk before the next."""
    owner = os.fstat(root)
    os.mkdir(JOURNAL_FOLDER, 0o700, dir_fd=root)  # relative to a descriptor
    with opened(JOURNAL_FOLDER, _DIRECTORY, root) as folder:
        steps = _steps(changes)
        judged = {change.path: change.digest for change in changes if change.kind != "deleted"}
        for step in steps:
            if step.do == "place" and _stage(view, folder, step, owner, durable=len(steps) <= FEW) != judged[step.path]:
                raise _other_content(step.path)
        if len(steps) > FEW:
            _sync_file_system(folder)
        body: list[Json] = [[step.do, step.path, step.mode, step.staged] for step in steps]
        partial = f"{_JOURNAL}.partial"
        with opened(partial, _CREATE, folder) as file:
            _write(file, json.dumps(body).encode())
        os.fsync(folder)
        os.rename(partial, _JOURNAL, src_dir_fd=folder, dst_dir_fd=folder)  # relative to a descriptor
        os.fsync(folder)


def _steps(changes: Sequence[Change]) -> list[_Step]:
    """Deletions from the deepest up, then folders from the top down, then files.

    A link that became a file is replaced by the rename alone: doing the deletion twice would delete the file.
    """
    placed = [change for change in changes if change.kind != "deleted" and change.type == "file"]
    replaced = {change.path for change in placed}
    gone = (change for change in changes if change.kind == "deleted")
    deleted = sorted(
        (change for change in gone if change.type == "directory" or change.path not in replaced),
        key=_depth,
        reverse=True,
    )
    made = sorted((change for change in changes if change.kind != "deleted" and change.type == "directory"), key=_depth)
    return [
        *(_Step("remove_folder" if change.type == "directory" else "delete", change.path) for change in deleted),
        *(_Step("make_folder", change.path, change.mode) for change in made),
        *(_Step("place", change.path, change.mode, str(number)) for number, change in enumerate(placed)),
    ]


def _depth(change: Change) -> int:
    return change.path.count("/")


def _stage(view: int, folder: int, step: _Step, owner: os.stat_result, *, durable: bool) -> str:
    """Copies one file's content to where it waits for its place; the digest of what was copied."""
    parent, _, name = step.path.rpartition("/")
    source = open_folder(view, parent)
    try:
        with opened(name, _READ, source) as reading, opened(step.staged, _CREATE, folder) as writing:
            digest = copy_file(reading, writing)
            os.fchown(writing, owner.st_uid, owner.st_gid)
            os.fchmod(writing, step.mode)
            if durable:
                os.fsync(writing)
        return digest
    finally:
        os.close(source)


def _sync_file_system(descriptor: int) -> None:
    """Everything that was written to the file system of this descriptor is on its disk, or OSError."""
    if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    os.fsync(descriptor)


# --- once it is there ----------------------------------------------------------------------------------


def _read_journal(folder: int) -> list[_Step]:
    """The steps; none where there is no journal, for then nothing has begun."""
    with (
        contextlib.suppress(FileNotFoundError),
        opened(_JOURNAL, _READ, folder) as descriptor,
        os.fdopen(os.dup(descriptor), "rb") as file,
    ):
        return [_Step(str_do, path, mode, staged) for str_do, path, mode, staged in json.load(file)]
    return []


def _perform(root: int, folder: int, steps: Sequence[_Step]) -> None:
    owner = os.fstat(root)
    for step in steps:
        parent, _, name = step.path.rpartition("/")
        try:
            below = open_folder(root, parent)
        except (FileNotFoundError, NotADirectoryError):
            if step.do not in {"delete", "remove_folder"}:
                raise
            continue  # a folder that a later step of the first attempt has removed or replaced
        try:
            _perform_step(step, below, name, folder, owner)
            if len(steps) <= FEW:
                os.fsync(below)
        finally:
            os.close(below)
    if len(steps) > FEW:
        _sync_file_system(root)


def _perform_step(step: _Step, below: int, name: str, folder: int, owner: os.stat_result) -> None:
    match step.do:
        case "delete":
            with contextlib.suppress(FileNotFoundError, IsADirectoryError):  # gone already, or a folder by now
                os.unlink(name, dir_fd=below)  # relative to a descriptor
        case "remove_folder":
            with contextlib.suppress(OSError):  # gone already, or someone put something into it: then it stays
                os.rmdir(name, dir_fd=below)  # relative to a descriptor
        case "make_folder":
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=below)  # relative to a descriptor
            with opened(name, _DIRECTORY, below) as made:
                os.fchown(made, owner.st_uid, owner.st_gid)
                os.fchmod(made, step.mode)
        case "place":
            with contextlib.suppress(FileNotFoundError):  # placed already
                os.rename(step.staged, name, src_dir_fd=folder, dst_dir_fd=below)  # relative to descriptors


def _drop(root: int) -> None:
    """Removes the folder: the journal first, so that a half-removed one is never performed."""
    with contextlib.suppress(FileNotFoundError), opened(JOURNAL_FOLDER, _DIRECTORY, root) as folder:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_JOURNAL, dir_fd=folder)  # relative to a descriptor
        os.fsync(folder)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(JOURNAL_FOLDER, dir_fd=root)
    os.fsync(root)


def _stuck(why: str, cause: Exception | None = None) -> NoReturn:
    message = f"an unfinished commit, `{JOURNAL_FOLDER}` in the workspace, {why}: look into it, then remove that folder"
    raise SandboxFailure(message, "sandbox_failure.commit") from cause
