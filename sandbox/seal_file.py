"""The key of a state's seal: a file beside the database, the owner's alone, made when a spec first has secrets.

Whoever has it can try values against the digests in the record. Without it they say nothing; if it is lost, a new one
is made, and digests from before it match nothing any more.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from sandbox.errors import UsageError
from sandbox.seal import KEY_BYTES, Seal

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def read_seal(path: Path) -> Seal:
    """The seal whose key is at this path, made if there is none.

    Raises UsageError (`secret.key`) where it cannot be made or read, or where it is not the owner's alone.
    """
    try:
        if not os.path.lexists(path):
            _make(path)
        return Seal(_read(path))
    except OSError as error:
        message = f"the key of secret values cannot be kept at `{path}`: {error.strerror}"
        raise UsageError(message, "secret.key") from error


def _make(path: Path) -> None:
    """Written aside and linked into place: nobody reads half of a key, and none is overwritten."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".key-") as folder:
        made = Path(folder) / "key"
        handle = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(handle, Seal.fresh().key)
            os.fsync(handle)
        finally:
            os.close(handle)
        with contextlib.suppress(FileExistsError):  # another process was faster: theirs stands
            os.link(made, path)
    folder_handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder_handle)
    finally:
        os.close(folder_handle)


def _read(path: Path) -> bytes:
    handle = os.open(path, _READ)
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            message = f"`{path}` is no file that you alone can read; make it so (`chown`, `chmod 600`)"
            raise UsageError(message, "secret.key")
        key = os.read(handle, KEY_BYTES + 1)
    finally:
        os.close(handle)
    if len(key) != KEY_BYTES:
        message = f"`{path}` does not hold a key of {KEY_BYTES} bytes; move it away, and a new one is made"
        raise UsageError(message, "secret.key")
    return key
