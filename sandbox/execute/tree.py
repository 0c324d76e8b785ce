"""Walking trees that others write: by directory descriptors, no link is ever followed.

`copy_tree` makes the private view of a workspace and says what went into it; `scan_tree` says what is in
the view when the call has ended. Both give entries by relative path; what a tree may not hold (devices,
sockets, further names of one file) is an entry of kind `special`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Literal

from sandbox.errors import SandboxFailure

DEPTH_LIMIT: Final = 64
"""Nested folders of a workspace; each holds a descriptor open during the walk."""

PATH_LIMIT: Final = 4_095
"""Characters of a folder's path, as the kernel has it for one that is named at once: every entry below repeats it."""

CHUNK: Final = 1024 * 1024

PERMISSIONS: Final = 0o777
SET_ID: Final = stat.S_ISUID | stat.S_ISGID

JOURNAL_FOLDER: Final = ".sandbox-commit"
"""In a workspace's own root, while changes are being committed; never part of a view, never a tool's to make."""

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

Stamp = tuple[int, int, int, int]
Mark = tuple[str, int | Stamp]


class TreeTooLarge(Exception):
    """A call left more than its workspace may hold."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of a tree. `digest` is of a file's content or a link's target; `stamp` tells one state from another."""

    kind: Literal["file", "directory", "link", "special"]
    mode: int
    size: int
    digest: str
    stamp: Stamp


def copy_tree(source: int, target: int, *, user: int, group: int, entries: int) -> dict[str, Entry]:
    """Copies the tree below one directory descriptor into an empty one; what was copied, by path.

    Files become the user's, without set-id bits; links are copied as links; devices, fifos and sockets are
    left out, and so is every name that is not UTF-8.

    Raises:
        SandboxFailure: more entries, deeper, or more bytes than the target takes.
    """
    copied: dict[str, Entry] = {}
    _copy_folder(_Copy(copied, user, group, entries), source, target, "", DEPTH_LIMIT)
    return copied


def scan_tree(root: int, size: int) -> dict[str, Entry]:
    """Everything below a directory descriptor, by path.

    Raises:
        TreeTooLarge: the files' sizes add up to more than `size` bytes: holes take no room, but would be read.
    """
    found: dict[str, Entry] = {}
    total = 0
    for path, entry, read in _scan_folder(root, "", DEPTH_LIMIT):
        total += entry.size
        if total > size:
            message = f"holds files of more than {size} bytes in all"
            raise TreeTooLarge(message)
        found[path] = replace(entry, digest=read())
    return found


def marks_of(root: int) -> dict[str, Mark]:
    """What tells the tree below a descriptor from any later state of it, by path; no content is read.

    What `copy_tree` leaves out is left out here.
    """
    return {
        path: _mark(entry)
        for path, entry, _ in _scan_folder(root, "", DEPTH_LIMIT)
        if entry.kind != "special" and _is_utf8(path) and path.partition("/")[0] != JOURNAL_FOLDER
    }


def marks_in(entries: Mapping[str, Entry]) -> dict[str, Mark]:
    """The marks that the tree of these entries has."""
    return {path: _mark(entry) for path, entry in entries.items()}


def _mark(entry: Entry) -> Mark:
    return (entry.kind, entry.mode) if entry.kind == "directory" else (entry.kind, entry.stamp)


def empty_folder(root: int) -> None:
    """Removes everything below a descriptor, following no link."""
    for name in os.listdir(root):
        found = os.stat(name, dir_fd=root, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            shutil.rmtree(name, dir_fd=root)
        else:
            os.unlink(name, dir_fd=root)


def open_folder(root: int, path: str) -> int:
    """A descriptor of the folder at a relative path, no component of which is a link; the caller closes it."""
    descriptor = os.dup(root)
    for part in path.split("/") if path else ():
        try:
            below = os.open(part, _DIRECTORY, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = below
    return descriptor


def stamp_of(found: os.stat_result) -> Stamp:
    """What differs between two states of one path."""
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def copy_file(source: int, target: int) -> str:
    """Copies all bytes from one descriptor to the other; the SHA-256 (hex) of what was copied."""
    digest = hashlib.sha256()
    while data := os.read(source, CHUNK):
        digest.update(data)
        view = memoryview(data)
        while view:
            view = view[os.write(target, view) :]
    return digest.hexdigest()


@contextlib.contextmanager
def opened(name: str, flags: int, folder: int, mode: int = 0o600) -> Iterator[int]:
    """A descriptor of one name in a folder, closed at the end."""
    descriptor = os.open(name, flags, mode, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


# --- copying -------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Copy:
    copied: dict[str, Entry]
    user: int
    group: int
    entries: int


def _copy_folder(job: _Copy, source: int, target: int, prefix: str, depth: int) -> None:
    if depth == 0 or len(prefix) > PATH_LIMIT:
        message = f"the workspace is nested more than {DEPTH_LIMIT} deep, or {PATH_LIMIT} characters, at `{prefix}`"
        raise SandboxFailure(message, "sandbox_failure.workspace")
    for name in sorted(os.listdir(source)):
        if (prefix == "" and name == JOURNAL_FOLDER) or not _is_utf8(name):
            continue
        found = os.stat(name, dir_fd=source, follow_symlinks=False)
        path = f"{prefix}{name}"
        match stat.S_IFMT(found.st_mode):
            case stat.S_IFREG:
                job.copied[path] = _copy_regular(job, source, target, name)
            case stat.S_IFDIR:
                job.copied[path] = _copy_subfolder(job, source, target, name, path, depth)
            case stat.S_IFLNK:
                job.copied[path] = _copy_link(job, source, target, name, found)
            case _:
                continue
        if len(job.copied) > job.entries:
            message = (
                f"the workspace has more than {job.entries} entries; give `workspace` in the spec a larger `entries`"
            )
            raise SandboxFailure(message, "sandbox_failure.workspace")


def _copy_regular(job: _Copy, source: int, target: int, name: str) -> Entry:
    create = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with opened(name, _FILE, source) as reading, opened(name, create, target) as writing:
        found = os.fstat(reading)
        if not stat.S_ISREG(found.st_mode):
            message = f"`{name}` in the workspace changed while it was copied"
            raise SandboxFailure(message, "sandbox_failure.workspace")
        digest = copy_file(reading, writing)
        mode = found.st_mode & PERMISSIONS
        os.fchown(writing, job.user, job.group)
        os.fchmod(writing, mode)
        return Entry("file", mode, found.st_size, digest, stamp_of(found))


def _copy_subfolder(  # noqa: PLR0917  # the same walk in two trees
    job: _Copy, source: int, target: int, name: str, path: str, depth: int
) -> Entry:
    os.mkdir(name, 0o700, dir_fd=target)  # relative to a descriptor
    with opened(name, _DIRECTORY, source) as reading, opened(name, _DIRECTORY, target) as writing:
        found = os.fstat(reading)
        _copy_folder(job, reading, writing, f"{path}/", depth - 1)
        mode = found.st_mode & PERMISSIONS
        os.fchown(writing, job.user, job.group)
        os.fchmod(writing, mode)
        return Entry("directory", mode, 0, "", stamp_of(found))


def _copy_link(job: _Copy, source: int, target: int, name: str, found: os.stat_result) -> Entry:
    to = os.readlink(name, dir_fd=source)  # relative to a descriptor
    os.symlink(to, name, dir_fd=target)
    os.chown(name, job.user, job.group, dir_fd=target, follow_symlinks=False)
    return Entry("link", 0, 0, _digest_of(to), stamp_of(found))


# --- scanning ------------------------------------------------------------------------------------------


def _scan_folder(folder: int, prefix: str, depth: int) -> Iterator[tuple[str, Entry, Callable[[], str]]]:
    """Every path, its entry without the digest, and what reads the digest while the folder is open."""
    for name in sorted(os.listdir(folder)):
        path = f"{prefix}{name}"
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        match stat.S_IFMT(found.st_mode):
            case stat.S_IFREG if found.st_nlink == 1:
                yield path, _entry("file", found), partial(_content_digest, folder, name)
            case stat.S_IFDIR if depth > 1 and len(path) <= PATH_LIMIT:
                yield path, _entry("directory", found), str
                with opened(name, _DIRECTORY, folder) as reading:
                    yield from _scan_folder(reading, f"{path}/", depth - 1)
            case stat.S_IFLNK:
                to = os.readlink(name, dir_fd=folder)  # relative to a descriptor
                yield path, Entry("link", 0, 0, "", stamp_of(found)), partial(_digest_of, to)
            case _:
                yield path, _entry("special", found), str


def _entry(kind: Literal["file", "directory", "special"], found: os.stat_result) -> Entry:
    size = found.st_size if kind == "file" else 0
    return Entry(kind, found.st_mode & (PERMISSIONS | SET_ID), size, "", stamp_of(found))


def _content_digest(folder: int, name: str) -> str:
    digest = hashlib.sha256()
    with opened(name, _FILE, folder) as descriptor:
        while data := os.read(descriptor, CHUNK):
            digest.update(data)
    return digest.hexdigest()


def _digest_of(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
