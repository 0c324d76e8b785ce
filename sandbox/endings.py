"""Every intent has one ending on record, wherever the process dies that has to write it.

What settles a call notes in the same transaction what its record will say. The record is written after that, for no
record may speak of what is not so yet; then the note is let go, with the next settlement. A process that dies in
between leaves the note, and the next gate writes what is missing. It looks into the record first, so that nothing is
written twice, however often it is killed at that.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path

from sandbox.audit import Record, bounded
from sandbox.canonical import canonical_json
from sandbox.errors import Fault
from sandbox.events import emit
from sandbox.ir import Json
from sandbox.receipts import told
from sandbox.state import Ending, Store, Transaction
from sandbox.trail import Trail, interrupted_body, one_line


class Endings:
    """Notes and records how the calls of one gate ended. Thread-safe."""

    def __init__(self, store: Store, trail: Trail) -> None:
        self._store = store
        self._trail = trail
        self._recorded: deque[tuple[str, str]] = deque()

    def note(self, transaction: Transaction, nonce: str, bodies: Mapping[str, Mapping[str, Json]]) -> None:
        """Keep what the record will say, by its kind, in the transaction that makes it true."""
        for kind, body in bodies.items():
            transaction.note_ending(Ending(nonce, kind, canonical_json(bounded(body))))
        self._forget(transaction)

    def record(self, nonce: str, kind: str, body: Mapping[str, Json]) -> Record:
        """Write an ending that was noted, or could not be. Raises RecordBroken; then the note stays."""
        record = self._trail.append(kind, body)
        self._recorded.append((nonce, kind))
        return record

    def close(self) -> None:
        """Let go of what is on record. Where that fails the next gate does it."""
        if not self._recorded:
            return
        try:
            with self._store.transaction() as transaction:
                self._forget(transaction)
        except Fault as error:
            emit("gate.endings_kept", reason=one_line(error))

    def _forget(self, transaction: Transaction) -> None:
        while self._recorded:
            transaction.forget_ending(*self._recorded.popleft())


def recover_endings(transaction: Transaction, trail: Trail, record: Path) -> int:
    """Write how the calls of dead processes ended, where that is not on record; how many never ended.

    Their budget stays spent. Raises RecordBroken where an ending cannot be recorded: then the transaction ends, and
    the next gate finds it all again.
    """
    lost, unfinished = transaction.lost_endings(), transaction.unfinished()
    known = _on_record(record, {each.nonce for each in lost} | {each.nonce for each in unfinished})
    for ending in lost:
        if (ending.nonce, ending.kind) not in known:
            trail.append(ending.kind, {**json.loads(ending.body), "recovered": True})
        transaction.forget_ending(ending.nonce, ending.kind)
    for reservation in unfinished:
        if not {(reservation.nonce, "outcome"), (reservation.nonce, "interrupted")} & known:
            intended = (reservation.nonce, "intent") in known
            trail.append("interrupted", interrupted_body(reservation, intended=intended))
        transaction.advance(reservation.nonce, expect=reservation.status, to="interrupted")
    return len(unfinished)


def _on_record(record: Path, nonces: Iterable[str]) -> frozenset[tuple[str, str]]:
    wanted = frozenset(nonces)
    return told(record, wanted) if wanted else frozenset()
