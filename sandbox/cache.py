"""What was worked out before, kept in the user's own cache folder: it saves time, and is evidence of nothing.

A key has everything in it that the value depends on, the package's own sources included. Only files are believed that
this user wrote, in a folder that nobody else may write; whoever can write there can change the package as well.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from sandbox.ir import Json

VARIABLE: Final = "SANDBOX_CACHE"
OFF: Final = "off"

MAX_ENTRY: Final = 16 * 1024 * 1024
"""Bytes; a report of a thousand properties is some MiB, and a larger one is proved again."""

MAX_ENTRIES: Final = 2_000
"""Files; beyond them the oldest go."""

_SOLVERS: Final = ("z3-solver", "cvc5")


@dataclass(frozen=True, slots=True)
class Cache:
    """Values by key, in one folder. Nothing about it ever raises: what cannot be kept is worked out again."""

    folder: Path

    @classmethod
    def of_user(cls, environment: Mapping[str, str]) -> Self | None:
        """The cache at $SANDBOX_CACHE, else below $XDG_CACHE_HOME or `~/.cache`; None in CI, or where it is `off`."""
        said = environment.get(VARIABLE, "")
        if said == OFF or (not said and in_ci(environment)):
            return None
        home = environment.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")  # noqa: PTH118, PTH111 - no home is no error here
        return cls(Path(said) if said else Path(home, "sandbox"))

    def get(self, key: str) -> Json | None:
        """The value that was put under the key by this user, if it is whole."""
        try:
            if not _is_own(self.folder.lstat()) or not self.folder.is_dir():
                return None
            file = os.open(self._path(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(file, "rb") as opened:
                found = os.fstat(file)
                if not stat.S_ISREG(found.st_mode) or not _is_own(found) or found.st_size > MAX_ENTRY:
                    return None
                return _opened(key, json.loads(opened.read()))
        except (OSError, ValueError, RecursionError):
            return None

    def put(self, key: str, value: Json) -> None:
        """Keep a value, if that is possible."""
        text = json.dumps({"key": key, "value": value, "sum": _sum(value)}).encode()
        if len(text) > MAX_ENTRY:
            return
        with contextlib.suppress(OSError):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _is_own(self.folder.lstat()):
                return
            draft = self.folder / f".{secrets.token_hex(8)}"
            file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(file, "wb") as opened:
                opened.write(text)
            draft.replace(self._path(key))
            self._prune()

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"

    def _prune(self) -> None:
        files = list(self.folder.glob("*.json"))
        if len(files) > MAX_ENTRIES:
            oldest = sorted(files, key=lambda each: each.stat().st_mtime_ns)
            for file in oldest[: len(files) - MAX_ENTRIES // 2]:
                file.unlink(missing_ok=True)


def key_of(**parts: Json) -> str:
    """SHA-256 (hex) over the parts, this package's sources, and the versions of Python and of the solvers."""
    versions = {name: version(name) for name in _SOLVERS}
    whole = {"package": package_digest(), "python": platform.python_version(), "versions": versions, "parts": parts}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


@cache
def package_digest() -> str:
    """SHA-256 (hex) over every source of the package."""
    root = Path(__file__).resolve().parent
    sources = sorted(path for path in root.rglob("*") if path.suffix in {".py", ".lark", ".css"} and path.is_file())
    digests = [[path.relative_to(root).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()] for path in sources]
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()


def in_ci(environment: Mapping[str, str]) -> bool:
    """Whether this is a run of CI, as every CI says of itself."""
    return environment.get("CI", "").lower() not in {"", "0", "false"}


def _opened(key: str, document: Json) -> Json | None:
    match document:
        case {"key": str() as said, "value": value, "sum": str() as checked} if said == key and checked == _sum(value):
            return value
        case _:
            return None


def _sum(value: Json) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _is_own(found: os.stat_result) -> bool:
    return found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
