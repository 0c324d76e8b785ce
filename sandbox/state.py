"""Budgets, reservations and the kill switch, in SQLite: all or nothing, across threads, processes and crashes.

What belongs to a spec, to each of its principals and to each session is a row, with a version that counts every permit
that saw it. A reservation holds the rows that its permit changed, as they were before: `cancel` puts all of them back,
and only while no other permit has seen any of them since. Then no other call could have rested on what is taken back.
A nonce moves through its statuses once, and never back:

    reserved, running -> interrupted    the owner process is gone: the budget stays spent
    reserved, running -> cancelled      the container provably never started, and no permit saw what it had changed
    reserved, running -> failed         what was spent stays spent
    reserved -> running -> settled
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

from sandbox.canonical import text_digest
from sandbox.errors import Fault, UsageError
from sandbox.holders import NOBODY, Holders
from sandbox.ir import Contract
from sandbox.machine import StoredState
from sandbox.state_file import DURABLY, IN_ORDER, Row, connect, corrupt, open_file, open_memory, path_of, run
from sandbox.state_origins import Origins
from sandbox.state_parts import Parsed, Part, Parts, number, part_of
from sandbox.state_switch import clear, is_thrown, marker_of, throw

STATE_VARIABLE: Final = "SANDBOX_STATE"
DEFAULT_FILE: Final = ".sandbox/state.db"

Status: TypeAlias = Literal["reserved", "running", "settled", "failed", "cancelled", "interrupted"]

_STATUSES: Final[tuple[Status, ...]] = get_args(Status)
_NEXT: Final[Mapping[Status, frozenset[Status]]] = {
    "reserved": frozenset({"running", "failed", "interrupted"}),
    "running": frozenset({"settled", "failed", "interrupted"}),
}
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def process_start(pid: int) -> str:
    """What tells a living process from every other that ever had its id; '' if there is none."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return "" if state in "ZX" else f"{_BOOT_ID.read_text().strip()}:{fields[18]}"
    except OSError:
        return ""


def _own_start() -> str:
    return process_start(os.getpid())


@dataclass(frozen=True, slots=True)
class Reservation:
    """A permit's trace in the state.

    The store notes with it what the saves of its transaction replaced, and how far the versions of those rows came;
    `undo` is how many rows a `cancel` would put back, once it is stored.
    """

    nonce: str
    tool: str
    call_digest: str
    created_ms: int
    status: Status = "reserved"
    owner_pid: int = field(default_factory=os.getpid)
    owner_start: str = field(default_factory=_own_start)
    undo: int = 0


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call ended, as its record is to say it: noted with the settlement, until it is known to be on record."""

    nonce: str
    kind: str
    body: str
    """Canonical JSON."""


@dataclass(frozen=True, slots=True)
class Switch:
    """The kill switch as it stands: whether it is thrown, and how often it was."""

    thrown: bool
    epoch: int


class Store:
    """One database. Threads share it; a process that forks opens its own."""

    def __init__(self, connection: sqlite3.Connection, path: Path | None) -> None:
        self._connection = connection
        self._path = path
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._owner: int | None = None
        self._reader: sqlite3.Connection | None = None
        self._reading = threading.Lock()
        self._marker = None if path is None else marker_of(path)
        self._parsed: Parsed = OrderedDict()

    @classmethod
    def open(cls, url: str | None, spec_file: str) -> Store:
        """The store at `url`, else at $SANDBOX_STATE, else `.sandbox/state.db` beside the spec; made if missing.

        Raises UsageError for a URL or a place that cannot be used, Fault for a database that cannot be read.
        """
        url = url or os.environ.get(STATE_VARIABLE)
        path = path_of(url) if url else Path(spec_file).absolute().parent / DEFAULT_FILE
        return cls(open_file(path), path)

    @classmethod
    def in_memory(cls) -> Store:
        """A state that is thrown away on close; it has no file and no record."""
        return cls(open_memory(), None)

    @classmethod
    def existing(cls, path: Path) -> Store:
        """The store in this file; UsageError where there is none."""
        if not path.is_file():
            message = f"there is no state at `{path}`; name one with --state URL"
            raise UsageError(message, "state.missing")
        return cls(open_file(path), path)

    def switch(self) -> Switch:
        """The kill switch, read on a connection of its own: no transaction is waited for. Fault where it cannot be."""
        with self._reading:
            rows = run(self._read_only(), "SELECT name, value FROM meta WHERE name IN ('stopped', 'kill_epoch')")
        found = {str(name): value for name, value in rows}
        if found.keys() != {"stopped", "kill_epoch"}:
            what = "the kill switch is missing"
            raise corrupt(what)
        return Switch(number(found["stopped"]) != 0 or is_thrown(self._marker), number(found["kill_epoch"]))

    def throw_switch(self) -> None:
        """Stops everything on this state, whoever holds the database; `Transaction.stop` makes permits void beside it.

        Raises UsageError where the switch cannot be thrown.
        """
        if self._marker is not None:
            throw(self._marker)

    def clear_switch(self) -> None:
        """Takes the file of the switch away, after `Transaction.resume`. Raises UsageError where it cannot be."""
        if self._marker is not None:
            clear(self._marker)

    def running(self) -> tuple[Reservation, ...]:
        """Reservations that are `reserved` or `running`, and whose process lives; no transaction is waited for."""
        with self._reading:
            return Transaction(self._read_only(), OrderedDict(), self._marker).running()

    def _read_only(self) -> sqlite3.Connection:
        """The connection for reading beside transactions."""
        if self._path is None:
            return self._connection
        self._reader = self._reader or connect(str(self._path))
        return self._reader

    @property
    def audit_path(self) -> Path:
        """Where the record of this state stands: `state.db` has `state.audit.jsonl`."""
        if self._path is None:
            message = "a state in memory has no record; open the gate on a `sqlite:///` URL"
            raise UsageError(message)
        return self._path.with_suffix(".audit.jsonl")

    @property
    def key_path(self) -> Path:
        """Where the key stands that the digests of secret values are made with: `state.db` has `state.key`."""
        return self.audit_path.with_name(self.audit_path.name.removesuffix(".audit.jsonl") + ".key")

    def transaction(self, *, durable: bool = True) -> AbstractContextManager[Transaction]:
        """What happens inside is written when the block ends, all of it, or on an exception none of it.

        Only one transaction is open at a time, in this process and in all others; it cannot be nested. One that is not
        `durable` survives the end of any process, and is lost, whole, with the power, unless a durable one came after
        it: for what says nothing by then that is not known without it.
        """
        return self._transaction(durable=durable)

    @contextmanager
    def _transaction(self, *, durable: bool) -> Iterator[Transaction]:
        self._check_owner()
        with self._lock:
            transaction = Transaction(self._connection, self._parsed, self._marker)
            try:  # all of it in here, for an interrupt may come between any two lines
                self._owner = threading.get_ident()
                self._roll_back()
                run(self._connection, DURABLY if durable else IN_ORDER)
                run(self._connection, "BEGIN IMMEDIATE")
                yield transaction
                run(self._connection, "COMMIT")
            finally:
                self._owner = None
                transaction.end()
                self._roll_back()

    def _roll_back(self) -> None:
        """Ends what is open: the present transaction, or one that was interrupted while it ended."""
        with contextlib.suppress(sqlite3.ProgrammingError):  # a closed database has none
            if self._connection.in_transaction:
                run(self._connection, "ROLLBACK")

    def _check_owner(self) -> None:
        if self._pid != os.getpid():
            message = "the state was opened before a fork; open it again in the child process"
            raise Fault(message, "state.forked")
        if self._owner == threading.get_ident() and self._lock.locked():
            message = "a transaction is already open in this thread"
            raise Fault(message, "state.nested")

    def close(self) -> None:
        """Let go of the database; a second time does nothing."""
        with self._lock, self._reading:
            if self._pid == os.getpid():  # a forked child that closed would drop its parent's locks
                self._connection.close()
                if self._reader is not None:
                    self._reader.close()


class Transaction:
    """What can be read and written between BEGIN and COMMIT; of no use after that."""

    def __init__(self, connection: sqlite3.Connection, parsed: Parsed, marker: Path | None = None) -> None:
        self._connection: sqlite3.Connection | None = connection
        self._parts = Parts(self._run, parsed)
        self.origins = Origins(self._run)
        self._marker = marker

    def end(self) -> None:
        """Called by the store."""
        self._connection = None

    # --- state -----------------------------------------------------------------------------------

    def load(self, contract: Contract, now_ms: int, holders: Holders = NOBODY) -> StoredState:
        """The state as last written for these holders, at the latest time that was seen; a new variable at `initial`.

        Raises UsageError if a stored variable is gone from the spec or means something else there, and StateFullError
        for a holder that is new where there are as many as there may be.
        """
        return self._parts.load(contract, now_ms, holders)

    def save(self, contract: Contract, state: StoredState, holders: Holders = NOBODY) -> None:
        """Write the state of these holders; the version of every row that they see goes up by one."""
        self._parts.save(contract, state, holders)

    def every(self, contract: Contract) -> tuple[Holders, ...]:
        """Each principal by itself and each session by itself that has a state; Fault if some are missing.

        Of a scope that the spec has no more variables of, too, which then do not load.
        """
        self._parts.check_counts(contract.name)
        return tuple({part.scope: part.holder} for part in self._parts.each(contract.name) if part.scope != "spec")

    def check_fit(self, contract: Contract) -> None:
        """UsageError if any row of the contract says something that the spec does not."""
        for part in self._parts.each(contract.name):
            self._parts.check(contract, part)

    def spec(self, contract_name: str) -> str | None:
        """The digest of the spec that was opened last on the state of this name; None where none ever was."""
        rows = self._run("SELECT digest FROM specs WHERE contract = ?", contract_name)
        return str(rows[0][0]) if rows else None

    def superseded(self, digests: Iterable[tuple[str, str]]) -> str:
        """The first of these specs (name and digest) that is not the one that its state belongs to now, or ''."""
        return next((name for name, digest in digests if self.spec(name) != digest), "")

    def adopt(self, contract_name: str, digest: str) -> str | None:
        """From now on the state of this name is that of the spec with this digest; returns the digest before.

        Where that is another one, nothing that was spent under it can be given back any more.
        """
        before = self.spec(contract_name)
        if before != digest:
            self._run("INSERT OR REPLACE INTO specs VALUES (?, ?)", contract_name, digest)
            self._run("UPDATE spent SET before = NULL WHERE contract = ?", contract_name)
        return before

    def note_come(self, contract_name: str, before: str) -> None:
        """Remember for ever that a call ended `ok` that some `needs` names, by the name of that condition."""
        self._run(
            "CREATE TABLE IF NOT EXISTS come (contract TEXT NOT NULL, before TEXT NOT NULL, "
            "PRIMARY KEY (contract, before)) STRICT, WITHOUT ROWID"
        )
        self._run("INSERT OR IGNORE INTO come VALUES (?, ?)", contract_name, before)

    def come(self, contract_name: str) -> frozenset[str]:
        """The conditions that calls under this spec's name have met which ended `ok`."""
        if not self._run("SELECT 1 FROM sqlite_master WHERE name = 'come'"):
            return frozenset()
        return frozenset(str(row[0]) for row in self._run("SELECT before FROM come WHERE contract = ?", contract_name))

    def version(self, contract_name: str, holders: Holders = NOBODY) -> int:
        """How many permits have seen the spec's own state, or that of one holder; 0 where it was never written."""
        scope, holder = next(iter(holders.items()), ("spec", ""))
        return self._parts.version(Part(contract_name, scope, holder))

    # --- reservations ----------------------------------------------------------------------------

    def reserve(self, reservation: Reservation) -> None:
        """Note a permit, after its state was saved in this transaction; a nonce that was ever used is a Fault."""
        if reservation.status != "reserved":
            message = f"a reservation begins `reserved`, not `{reservation.status}`"
            raise Fault(message)
        if self.reservation(reservation.nonce) is not None:
            raise _used(reservation.nonce)
        self._run(
            "INSERT INTO reservations VALUES (?, ?, ?, ?, ?, ?, ?)",
            reservation.nonce,
            reservation.tool,
            reservation.call_digest,
            "reserved",
            reservation.created_ms,
            reservation.owner_pid,
            reservation.owner_start,
        )
        for part, before in self._parts.replaced.items():
            self._run(
                "INSERT INTO spent VALUES (?, ?, ?, ?, ?, ?, ?)",
                reservation.nonce,
                part.contract,
                part.scope,
                part.holder,
                self._parts.version(part),
                before,
                text_digest(before),
            )
        self._parts.replaced.clear()

    def reservation(self, nonce: str) -> Reservation | None:
        """The reservation with this nonce, in whatever status."""
        rows = self._run("SELECT * FROM reservations WHERE nonce = ?", nonce)
        return self._read_reservation(rows[0]) if rows else None

    def advance(self, nonce: str, *, expect: Status, to: Status) -> None:
        """Move a reservation on; Fault if it is not in `expect`, so that nothing is used twice."""
        if to not in _NEXT.get(expect, frozenset()):
            message = f"a reservation does not go from `{expect}` to `{to}`"
            raise Fault(message)
        self._move(nonce, expect, to)

    def _move(self, nonce: str, expect: Status, to: Status) -> None:
        moved = self._run(
            "UPDATE reservations SET status = ? WHERE nonce = ? AND status = ? RETURNING nonce", to, nonce, expect
        )
        if not moved:
            raise _used(nonce)
        if to not in _NEXT:
            self._run("UPDATE spent SET before = NULL WHERE nonce = ?", nonce)

    def cancel(self, contracts: Iterable[Contract], nonce: str) -> bool:
        """Give back what an unfinished call spent; the caller vouches that its container never started.

        True: every row that its permit changed is as before (the clocks stay). False: another permit saw one of them
        since, or the spec is another one, so all of it stays spent, and the reservation ends `failed`. Fault if the
        call was finished already, or spent from a contract that is not given.
        """
        reservation = self.reservation(nonce)
        if reservation is None or reservation.status not in _NEXT:
            raise _used(nonce)
        spent = self._spent(nonce)
        if not {part.contract for part, _, _ in spent} <= {contract.name for contract in contracts}:
            raise _used(nonce)
        if any(before is None or self._parts.version(part) != version for part, version, before in spent):
            self._move(nonce, reservation.status, "failed")
            return False
        for part, _, before in spent:
            self._parts.restore(part, before or "")
        self._move(nonce, reservation.status, "cancelled")
        return True

    # --- endings that may not be on record -------------------------------------------------------

    def note_ending(self, ending: Ending) -> None:
        """Keep an ending with what settled it; a second one of the same kind is a Fault."""
        digest = text_digest(ending.body)
        self._run("INSERT INTO endings VALUES (?, ?, ?, ?)", ending.nonce, ending.kind, ending.body, digest)

    def forget_ending(self, nonce: str, kind: str) -> None:
        """Let go of an ending that is on record."""
        self._run("DELETE FROM endings WHERE nonce = ? AND kind = ?", nonce, kind)

    def lost_endings(self) -> tuple[Ending, ...]:
        """Endings that may not be on record and whose process is gone, in the order in which they were noted.

        Fault for one that does not have its digest.
        """
        rows = self._run("SELECT nonce, kind, body, digest FROM endings ORDER BY rowid")
        return tuple(_read_ending(row) for row in rows if self._is_lost(str(row[0])))

    def _is_lost(self, nonce: str) -> bool:
        found = self.reservation(nonce)
        return found is None or not _owner_lives(found)

    def _spent(self, nonce: str) -> list[tuple[Part, int, str | None]]:
        """What a permit changed: the row, its version right after, and the document before it, if it is still there."""
        rows = self._run(
            "SELECT contract, scope, holder, version_after, before, before_digest FROM spent WHERE nonce = ?", nonce
        )
        spent = []
        for contract, scope, holder, version, before, digest in rows:
            if before is not None and digest != text_digest(str(before)):
                what = f"what `{nonce}` spent from does not have its digest"
                raise corrupt(what)
            spent.append((part_of(contract, scope, holder), number(version), None if before is None else str(before)))
        return spent

    def running(self) -> tuple[Reservation, ...]:
        """Reservations that are `reserved` or `running`, and whose process lives."""
        return tuple(each for each in self._open_reservations() if _owner_lives(each))

    def unfinished(self) -> tuple[Reservation, ...]:
        """Reservations that are `reserved` or `running` although the process that made them is gone."""
        return tuple(each for each in self._open_reservations() if not _owner_lives(each))

    def _open_reservations(self) -> list[Reservation]:
        rows = self._run(
            "SELECT * FROM reservations WHERE status IN ('reserved', 'running') ORDER BY created_ms, nonce"
        )
        return [self._read_reservation(row) for row in rows]

    def _read_reservation(self, row: Row) -> Reservation:
        nonce, tool, call_digest, status, created_ms, owner_pid, owner_start = row
        known = next((each for each in _STATUSES if each == status), None)
        if known is None:
            what = "a reservation has an unknown status"
            raise corrupt(what)
        return Reservation(
            nonce=str(nonce),
            tool=str(tool),
            call_digest=str(call_digest),
            created_ms=number(created_ms),
            status=known,
            owner_pid=number(owner_pid),
            owner_start=str(owner_start),
            undo=sum(before is not None for _, _, before in self._spent(str(nonce))),
        )

    # --- the kill switch -------------------------------------------------------------------------

    def kill_epoch(self) -> int:
        """How often the kill switch was thrown; a permit of an earlier epoch is void."""
        return self._meta("kill_epoch")

    def stopped(self) -> bool:
        """Whether the kill switch is on, in the database or by its file."""
        return self._meta("stopped") != 0 or is_thrown(self._marker)

    def stop(self) -> None:
        """Throw the kill switch: every outstanding permit is void, for good."""
        self._run("UPDATE meta SET value = value + 1 WHERE name = 'kill_epoch'")
        self._run("UPDATE meta SET value = 1 WHERE name = 'stopped'")

    def resume(self) -> None:
        """Turn the kill switch off in the database; permits from before stay void. Its file is `clear_switch`'s."""
        if self._meta("stopped") == 0:
            self.stop()  # it was thrown by its file alone, and made no permit void
        self._run("UPDATE meta SET value = 0 WHERE name = 'stopped'")

    def _meta(self, name: str) -> int:
        rows = self._run("SELECT value FROM meta WHERE name = ?", name)
        if not rows:
            what = f"`{name}` is missing"
            raise corrupt(what)
        return number(rows[0][0])

    def _run(self, statement: str, *parameters: str | int | None) -> list[Row]:
        if self._connection is None:
            message = "the transaction has ended"
            raise Fault(message, "state.ended")
        return run(self._connection, statement, *parameters)


def _read_ending(row: Row) -> Ending:
    nonce, kind, body, digest = (str(each) for each in row)
    if digest != text_digest(body):
        what = f"how `{nonce}` ended does not have its digest"
        raise corrupt(what)
    return Ending(nonce, kind, body)


def _used(nonce: str) -> Fault:
    message = f"the permit `{nonce}` is unknown or was used already"
    return Fault(message, "permit.used")


def _owner_lives(reservation: Reservation) -> bool:
    return reservation.owner_start != "" and reservation.owner_start == process_start(reservation.owner_pid)
