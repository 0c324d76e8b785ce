"""Opening paths beneath the workspace: no component may be a link, so a path is what it reads like.

A rule was proved about the path's text; `openat2` with RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS and
RESOLVE_NO_MAGICLINKS makes the kernel open what the text says, or nothing. See openat2(2).
"""

from __future__ import annotations

import ctypes
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
        descriptor = openat2(root, _below(path), flags | os.O_CLOEXEC | os.O_NONBLOCK, mode)
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


def _below(path: str) -> str:
    if path == WORKSPACE:
        return "."
    if not path.startswith(f"{WORKSPACE}/"):
        raise PermissionError(0, f"is not in {WORKSPACE}", path)
    return path.removeprefix(f"{WORKSPACE}/")
