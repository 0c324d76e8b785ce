"""What is known of the values of each session, in the state's database: digests and labels, never a value.

A session may know so much; what comes beyond marks it as full, and from then on nothing that rests on its origins is
decided. The marks of a key that is lost say nothing any more: then every session that has some counts as full, too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from itertools import islice
from typing import Final, TypeAlias

from sandbox.errors import Fault
from sandbox.state_file import Row, corrupt

MAX_MARKS: Final = 100_000
"""Marks of one session: some ten thousand values, and some ten megabytes on the disk."""
MAX_SESSIONS: Final = 10_000
"""Sessions of which anything is known at a time; `Gate.forget` makes room."""
MAX_ASKED: Final = 500
"""Marks of one question to the database, far below its own bound on parameters."""
MAX_WRITTEN: Final = 200
"""Marks that are written at once, as above."""

Run: TypeAlias = Callable[..., list[Row]]

_TABLES: Final = (
    "origins (session TEXT NOT NULL, mark TEXT NOT NULL, label TEXT NOT NULL, PRIMARY KEY (session, mark, label))",
    "origin_sessions (session TEXT PRIMARY KEY, marks INTEGER NOT NULL, full INTEGER NOT NULL)",
    "origin_key (digest TEXT PRIMARY KEY)",
)


class Origins:
    """Reads and writes what is known within one transaction. Sessions and marks are digests that the caller made."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def prepare(self, key_digest: str) -> None:
        """Make room for what will be known, under the key with this digest.

        Where another key was used before, every session that knows something is full from now on.
        """
        for table in _TABLES:
            self._run(f"CREATE TABLE IF NOT EXISTS {table} STRICT, WITHOUT ROWID")
        if self._run("SELECT digest FROM origin_key") != [(key_digest,)]:
            self._run("UPDATE origin_sessions SET full = 1")
            self._run("DELETE FROM origin_key")
            self._run("INSERT INTO origin_key VALUES (?)", key_digest)

    def is_there(self) -> bool:
        """Whether anything was ever made ready."""
        return bool(self._run("SELECT 1 FROM sqlite_master WHERE name = 'origin_key'"))

    def is_full(self, session: str) -> bool:
        """Whether the session has seen more than is known of it."""
        rows = self._run("SELECT full FROM origin_sessions WHERE session = ?", session)
        return bool(rows and rows[0][0])

    def labels(self, session: str, marks: Collection[str]) -> dict[str, frozenset[str]]:
        """The labels of each of these marks that is known."""
        asked, found = sorted(set(marks)), dict[str, set[str]]()
        for start in range(0, len(asked), MAX_ASKED):
            some = asked[start : start + MAX_ASKED]
            places = ", ".join("?" * len(some))
            rows = self._run(
                f"SELECT mark, label FROM origins WHERE session = ? AND mark IN ({places})",  # noqa: S608 - places only
                session,
                *some,
            )
            for mark, label in rows:
                found.setdefault(str(mark), set()).add(str(label))
        return {mark: frozenset(labels) for mark, labels in found.items()}

    def learn(self, session: str, marked: Iterable[tuple[str, str]]) -> bool:
        """Note marks with their labels; False, and the session is full, where there is no room for all of them.

        Raises Fault (`origin.full`) for a session that is new where there are as many as there may be.
        """
        known = self._known(session)
        if self.is_full(session):
            return False
        several = iter(marked)
        while some := list(islice(several, MAX_WRITTEN)):
            values = ", ".join(["(?, ?, ?)"] * len(some))
            given = (part for mark, label in some for part in (session, mark, label))
            written = f"INSERT OR IGNORE INTO origins VALUES {values} RETURNING 1"  # noqa: S608 - places only
            known += len(self._run(written, *given))
            if known > MAX_MARKS:
                self._run("UPDATE origin_sessions SET full = 1 WHERE session = ?", session)
                return False
        self._run("UPDATE origin_sessions SET marks = ? WHERE session = ?", known, session)
        return True

    def fill(self, session: str) -> None:
        """The session is full from now on."""
        self._known(session)
        self._run("UPDATE origin_sessions SET full = 1 WHERE session = ?", session)

    def forget(self, session: str) -> None:
        """Drop all that is known of a session that is over."""
        self._run("DELETE FROM origins WHERE session = ?", session)
        self._run("DELETE FROM origin_sessions WHERE session = ?", session)

    def _known(self, session: str) -> int:
        """How many marks the session has; it is entered where it is new."""
        rows = self._run("SELECT marks FROM origin_sessions WHERE session = ?", session)
        if rows:
            count = rows[0][0]
            if not isinstance(count, int):
                what = "a number of marks is none"
                raise corrupt(what)
            return count
        if self._run("SELECT COUNT(*) FROM origin_sessions")[0][0] >= MAX_SESSIONS:  # type: ignore[operator]  # COUNT is an int
            message = (
                f"origins are known of {MAX_SESSIONS:,} sessions, as many as may be; `Gate.forget` those that are over"
            )
            raise Fault(message, "origin.full")
        self._run("INSERT INTO origin_sessions VALUES (?, 0, 0)", session)
        return 0
