"""The token that a client on local HTTP has to bring: random, and where it is kept in a file, nobody else's to read."""

from __future__ import annotations

import os
import secrets
import stat
from typing import Final

from sandbox.errors import UsageError

TOKEN_BYTES: Final = 32
MIN_TOKEN: Final = 32
"""Characters: 128 bits in hexadecimal."""
MAX_TOKEN: Final = 1_024


def read_token(path: str | None) -> str:
    """A new token, or the one in the file, which is made if there is none.

    Raises:
        UsageError: the file is not this user's alone, or holds no token.
    """
    if path is None:
        return secrets.token_urlsafe(TOKEN_BYTES)
    try:
        return _make(path)
    except FileExistsError:
        return _read(path)
    except OSError as error:
        message = f"the token cannot be written to `{path}`: {error.strerror}"
        raise UsageError(message) from error


def _make(path: str) -> str:
    token = secrets.token_urlsafe(TOKEN_BYTES)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
        file.write(f"{token}\n")
    return token


def _read(path: str) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        message = f"the token in `{path}` cannot be read: {error.strerror}"
        raise UsageError(message) from error
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            message = f"`{path}` is not a file of this user alone: chmod 600 it, or name another one"
            raise UsageError(message)
        text = file.read(MAX_TOKEN + 1).decode("ascii", "replace").strip()
    if not MIN_TOKEN <= len(text) <= MAX_TOKEN or not text.isascii() or not text.isprintable() or " " in text:
        message = f"`{path}` holds no token of at least {MIN_TOKEN} printable characters; remove it, and one is made"
        raise UsageError(message)
    return text
