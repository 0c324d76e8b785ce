"""The file of a state: whose it is, how it comes to be, and how SQLite's failures become ours.

Files are the owner's alone (0700, 0600). A database that cannot be read is a Fault that says what to do, never a
fresh state; a fresh one is built aside and put in place whole.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import tempfile
from pathlib import Path
from typing import Final, TypeAlias

from sandbox.errors import Fault, UsageError

BUSY_SECONDS: Final = 30.0
"""How long a transaction waits for another process: longer than a decision with both engines can take."""

Row: TypeAlias = "tuple[str | int | None, ...]"

DURABLY: Final = "PRAGMA synchronous = FULL"
"""Commits are on disk when they return."""
IN_ORDER: Final = "PRAGMA synchronous = NORMAL"
"""Commits are on disk with the next one that is durable; until then the power may take the last of them, each whole."""

_SQLITE: Final = "sqlite:///"
_APPLICATION_ID: Final = 1_520_283_845
_FORMAT: Final = 5
_SCHEMA: Final = """
PRAGMA journal_mode = WAL;
PRAGMA application_id = 1520283845;
PRAGMA user_version = 5;
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
INSERT INTO meta VALUES ('kill_epoch', 0), ('stopped', 0);
CREATE TABLE state (
    contract TEXT NOT NULL, scope TEXT NOT NULL, holder TEXT NOT NULL, version INTEGER NOT NULL,
    clock_ms INTEGER NOT NULL, document TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (contract, scope, holder)
) STRICT;
CREATE TABLE holders (
    contract TEXT NOT NULL, scope TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (contract, scope)
) STRICT;
CREATE TABLE specs (contract TEXT PRIMARY KEY, digest TEXT NOT NULL) STRICT;
CREATE TABLE reservations (
    nonce TEXT PRIMARY KEY, tool TEXT NOT NULL, call_digest TEXT NOT NULL, status TEXT NOT NULL,
    created_ms INTEGER NOT NULL, owner_pid INTEGER NOT NULL, owner_start TEXT NOT NULL
) STRICT;
CREATE TABLE spent (
    nonce TEXT NOT NULL, contract TEXT NOT NULL, scope TEXT NOT NULL, holder TEXT NOT NULL,
    version_after INTEGER NOT NULL, before TEXT, before_digest TEXT NOT NULL,
    PRIMARY KEY (nonce, contract, scope, holder)
) STRICT;
CREATE TABLE endings (
    nonce TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (nonce, kind)
) STRICT;
CREATE INDEX spent_of ON spent (contract, scope, holder);
CREATE INDEX unfinished ON reservations (status) WHERE status IN ('reserved', 'running');
"""


def path_of(url: str) -> Path:
    """The file that `sqlite:///relative` or `sqlite:////absolute` names; UsageError for any other URL."""
    rest = url.removeprefix(_SQLITE)
    if rest == url or not rest or rest == ":memory:" or any(char in rest for char in "?#\0"):
        message = f"`{url}` is no state URL; write `sqlite:///relative.db` or `sqlite:////absolute.db`"
        raise UsageError(message, "state.url")
    return Path(rest).absolute()


def open_file(path: Path) -> sqlite3.Connection:
    """A connection to the database at `path`, made if missing; UsageError for the place, Fault for the content."""
    _make_place(path)
    if not path.exists():
        _create(path)
    connection = connect(str(path))
    try:
        _check_format(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def open_memory() -> sqlite3.Connection:
    """A connection to a fresh database without a file."""
    connection = connect(":memory:")
    connection.executescript(_SCHEMA)
    return connection


def _make_place(path: Path) -> None:
    """The folder, and the database if there is one, are nobody else's to change."""
    try:
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        folder = path.parent.stat()
        found = path.lstat() if os.path.lexists(path) else None
    except OSError as error:
        message = f"the state cannot be kept in `{path.parent}`: {error.strerror}; choose another place with --state"
        raise UsageError(message, "state.place") from error
    if folder.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or folder.st_uid not in {0, os.geteuid()}:
        # A sticky bit is not enough: what somebody puts beside the database as `-wal`, SQLite would read into it.
        message = f"others own `{path.parent}` or may write in it; `chmod go-w` it or choose another place with --state"
        raise UsageError(message, "state.place")
    if found is None:
        return
    if not stat.S_ISREG(found.st_mode):
        message = f"`{path}` is no regular file; choose another place with --state"
        raise UsageError(message, "state.place")
    if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        message = f"others own `{path}` or may write it; make it yours alone (`chown`, `chmod 600`)"
        raise UsageError(message, "state.place")


def _create(path: Path) -> None:
    """Build the database aside and link it into place: nobody ever sees half of one, and none is overwritten.

    It is never opened under its own name but by SQLite, for closing a file drops the process's locks on it.
    """
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".state-") as folder:
            made = Path(folder) / "state.db"
            made.touch(mode=0o600)
            with contextlib.closing(connect(str(made))) as connection:
                connection.executescript(_SCHEMA)
            with contextlib.suppress(FileExistsError):  # another process was faster: theirs stands
                os.link(made, path)
        _sync_folder(path.parent)
    except (OSError, sqlite3.Error) as error:
        message = f"the state cannot be made at `{path}`: {error}; choose another place with --state"
        raise UsageError(message, "state.place") from error


def _sync_folder(folder: Path) -> None:
    """A name that is lost in a power cut would be a fresh budget."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def connect(path: str) -> sqlite3.Connection:
    """A connection that commits only where it is told to, and then durably."""
    try:
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise _failure(error) from error
    run(connection, DURABLY)
    return connection


def run(connection: sqlite3.Connection, statement: str, *parameters: str | int | None) -> list[Row]:
    """The rows of one statement; Fault for whatever SQLite says against it."""
    try:
        return connection.execute(statement, parameters).fetchall()
    except (sqlite3.Error, OverflowError) as error:
        raise _failure(error) from error


def corrupt(what: str) -> Fault:
    """The Fault for a state that cannot be trusted."""
    remedy = "restore the file from a backup, or move it away to begin with all budgets at their initial values"
    return Fault(f"the state is damaged: {what}; {remedy}", "state.corrupt")


def _failure(error: Exception) -> Fault:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        message = f"the state was held by another process for over {BUSY_SECONDS:.0f} s; try again"
        return Fault(message, "state.busy")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return corrupt(str(error))
    message = f"the state cannot be read or written: {error}"
    return Fault(message, "state.failed")


def _check_format(connection: sqlite3.Connection, path: Path) -> None:
    application = run(connection, "PRAGMA application_id")[0][0]
    version = run(connection, "PRAGMA user_version")[0][0]
    if application != _APPLICATION_ID:
        what = f"`{path}` is not a state of this program"
        raise corrupt(what)
    if version != _FORMAT:
        message = f"`{path}` has format {version}, this version reads {_FORMAT}; use the version that wrote it"
        raise UsageError(message, "state.format")
    if run(connection, "PRAGMA integrity_check(1)") != [("ok",)]:
        what = f"`{path}` has damaged pages"
        raise corrupt(what)
