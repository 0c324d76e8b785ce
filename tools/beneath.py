"""Opening paths beneath the workspace: no component may be a link, so a path is what it reads like.

A rule was proved about the path's text; `openat2` with RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS and
RESOLVE_NO_MAGICLINKS makes the kernel open what the text says, or nothing. See openat2(2). A kernel that does not have
it, as older releases of gVisor, is asked for one component after the other, of which none may be a link or `..`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat

WORKSPACE = "/workspace"

SYS_OPENAT2 = 437  # the same number on every architecture
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS


class OpenHow(ctypes.Structure):
    """`struct open_how` of openat2(2)."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_beneath(path: str, flags: int, mode: int = 0) -> int:
    """A descriptor of the path, which is absolute and lies in the workspace; an OSError where it does not.

    Only folders and regular files are opened; a fifo neither blocks nor opens.
    """
    root = os.open(WORKSPACE, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptor = _opened(root, _below(path), flags | os.O_CLOEXEC | os.O_NONBLOCK, mode)
    finally:
        os.close(root)
    kind = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
        os.close(descriptor)
        raise OSError(0, "is neither a file nor a folder", path)
    return descriptor


def openat2(root: int, path: str, flags: int, mode: int) -> int:
    """The system call, for which Python has no function."""
    libc = ctypes.CDLL(None, use_errno=True)
    how = OpenHow(flags=flags, mode=mode, resolve=RESOLVE)
    size = ctypes.c_size_t(ctypes.sizeof(how))
    descriptor = int(libc.syscall(ctypes.c_long(SYS_OPENAT2), root, os.fsencode(path), ctypes.byref(how), size))
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return descriptor


def walk(root: int, path: str, flags: int, mode: int) -> int:
    """The same by many system calls: every folder on the way is held open, and nothing that is followed is a link."""
    *folders, last = path.split("/")
    if {"", ".."} & {*folders, last}:
        raise OSError(errno.EXDEV, "is not the path that it reads like", path)
    held = os.dup(root)
    try:
        for name in folders:
            folder = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=held)
            os.close(held)
            held = folder
        return os.open(last, flags | os.O_NOFOLLOW, mode, dir_fd=held)
    finally:
        os.close(held)


def _opened(root: int, path: str, flags: int, mode: int) -> int:
    """A list of system calls that a runtime knows only in part answers EPERM for those that it does not know."""
    try:
        return openat2(root, path, flags, mode)
    except OSError as error:
        if error.errno not in {errno.ENOSYS, errno.EPERM}:
            raise
        return walk(root, path, flags, mode)


def _below(path: str) -> str:
    if "\0" in path:  # the kernel would read no further
        message = "embedded null byte"
        raise ValueError(message)
    if path == WORKSPACE:
        return "."
    if not path.startswith(f"{WORKSPACE}/"):
        raise PermissionError(0, f"is not in {WORKSPACE}", path)
    return path.removeprefix(f"{WORKSPACE}/")
