"""The rows of a state: one for the spec, one for each principal, one for each session.

Each row has a version that counts the permits that saw it. One that a permit saw and did not change keeps its
document; so a set of ten thousand items is read and written only where it changes. What a transaction replaced is
remembered, for the reservation that it makes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from sandbox.canonical import text_digest
from sandbox.holders import FACTS, NOBODY, Holders, join, scopes_in, share, split
from sandbox.ir import Contract, ScopeName
from sandbox.machine import StateFullError, StoredState, initial_state, tick
from sandbox.state_document import check_fit, check_keys, read_document, row_digest, shape_of, write_document
from sandbox.state_file import Row, corrupt

MAX_HOLDERS: Final = 100_000
"""Principals, and sessions, of one spec that have state of their own: whoever makes up names fills no disk."""

MAX_PARSED: Final = 64
"""Rows that are kept as they were read: a call reads the same ones twice, and mostly those of the call before."""

SCOPES: Final[tuple[ScopeName, ...]] = ("spec", *FACTS)

Run: TypeAlias = Callable[..., list[Row]]


@dataclass(frozen=True, slots=True)
class Part:
    """One row: of a contract, what belongs to the spec (`holder` is ''), to a principal, or to a session."""

    contract: str
    scope: ScopeName = "spec"
    holder: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """A row as it was read: its digest, its document's digest, and what the document says at the row's clock."""

    version: int
    digest: str
    document_digest: str
    shapes: Mapping[str, str]
    state: StoredState


Parsed: TypeAlias = OrderedDict[Part, Kept]


class Parts:
    """Reads and writes rows within one transaction. `parsed` outlives it; a row is looked up there by its digest."""

    def __init__(self, run: Run, parsed: Parsed) -> None:
        self._run = run
        self._parsed = parsed
        self.replaced: dict[Part, str] = {}

    # --- reading -------------------------------------------------------------------------------------

    def load(self, contract: Contract, now_ms: int, holders: Holders = NOBODY) -> StoredState:
        """The state as it is for these holders, at the latest time that was ever seen; who is not known is new.

        Raises UsageError if a stored variable is gone from the spec or means something else there, StateFullError for
        a new holder where there are `MAX_HOLDERS`.
        """
        spec = self._read(contract, Part(contract.name), now_ms)
        parts: dict[ScopeName, StoredState] = {"spec": spec}
        for scope in scopes_in(contract)[1:]:
            known = scope in holders
            part = Part(contract.name, scope, holders[scope]) if known else None
            new = initial_state(share(contract, scope), spec.clock_ms)
            parts[scope] = new if part is None else self._read(contract, part, spec.clock_ms)
        return join(contract, parts)

    def _read(self, contract: Contract, part: Part, now_ms: int) -> StoredState:
        kept, own = self._kept(part), share(contract, part.scope)
        if kept is None:
            self._check_never_written(part)
            if part.scope != "spec" and self._count(part) >= MAX_HOLDERS:
                message = (
                    f"the state has {MAX_HOLDERS:,} {part.scope}s, as many as it may; there is no room for a new one"
                )
                raise StateFullError(message)
            return initial_state(own, now_ms)
        check_fit(contract, kept.shapes, kept.state)
        fresh = initial_state(own, max(now_ms, kept.state.clock_ms))
        return StoredState(
            {**fresh.values, **kept.state.values},
            {**fresh.epochs, **kept.state.epochs},
            {**fresh.events, **kept.state.events},
            kept.state.clock_ms,
            {**fresh.key_events, **kept.state.key_events},
        )

    def _kept(self, part: Part) -> Kept | None:
        where = (part.contract, part.scope, part.holder)
        rows = self._run(
            "SELECT version, clock_ms, digest FROM state WHERE contract = ? AND scope = ? AND holder = ?", *where
        )
        if not rows:
            return None
        version, clock, digest = number(rows[0][0]), number(rows[0][1]), str(rows[0][2])
        known = self._parsed.get(part)
        if known is not None and (known.version, known.state.clock_ms, known.digest) == (version, clock, digest):
            self._parsed.move_to_end(part)
            return known
        ((text,),) = self._run("SELECT document FROM state WHERE contract = ? AND scope = ? AND holder = ?", *where)
        document_digest = text_digest(str(text))
        if digest != row_digest(where, version, clock, document_digest):
            what = f"a stored state of `{part.contract}` does not have its digest"
            raise corrupt(what)
        shapes, state = read_document(str(text))
        return self._remember(part, Kept(version, digest, document_digest, shapes, replace(state, clock_ms=clock)))

    def _remember(self, part: Part, kept: Kept) -> Kept:
        self._parsed[part] = kept
        self._parsed.move_to_end(part)
        while len(self._parsed) > MAX_PARSED:
            self._parsed.popitem(last=False)
        return kept

    def _check_never_written(self, part: Part) -> None:
        """A permit that changed a row is on file: where the row is lost, `initial` would be a fresh budget."""
        spent = self._run(
            "SELECT nonce FROM spent WHERE contract = ? AND scope = ? AND holder = ? LIMIT 1",
            part.contract,
            part.scope,
            part.holder,
        )
        if spent:
            what = f"a state of `{part.contract}` is missing although calls were permitted on it"
            raise corrupt(what)

    def version(self, part: Part) -> int:
        """How many permits have seen a row; 0 of one that was never written."""
        kept = self._kept(part)
        return 0 if kept is None else kept.version

    def each(self, contract_name: str) -> Iterator[Part]:
        """Every row of a contract."""
        rows = self._run("SELECT scope, holder FROM state WHERE contract = ? ORDER BY scope, holder", contract_name)
        for scope, holder in rows:
            yield part_of(contract_name, scope, holder)

    def check(self, contract: Contract, part: Part) -> None:
        """UsageError if a row says something that the spec does not, or keeps a key outside of its type."""
        kept = self._kept(part)
        if kept is not None:
            check_fit(contract, kept.shapes, kept.state)
            check_keys(contract, kept.state)

    # --- writing -------------------------------------------------------------------------------------

    def save(self, contract: Contract, state: StoredState, holders: Holders = NOBODY) -> None:
        """Write a state for these holders; the version of every row that they see goes up by one."""
        for scope, after in split(contract, state).items():
            if scope == "spec" or scope in holders:
                self._save(contract, Part(contract.name, scope, holders[scope] if scope != "spec" else ""), after)

    def _save(self, contract: Contract, part: Part, after: StoredState) -> None:
        kept, own = self._kept(part), share(contract, part.scope)
        before = self._read(contract, part, after.clock_ms)
        ticked = tick(own, before, after.clock_ms)
        if replace(ticked, clock_ms=0) != replace(after, clock_ms=0):
            self.replaced.setdefault(part, write_document(shapes_of(own), before))
            self._write(part, shapes_of(own), after, kept)
        elif kept is not None:
            self._touch(part, kept, after.clock_ms)
        elif part.scope == "spec":
            self._write(part, shapes_of(own), after, None)

    def restore(self, part: Part, document: str) -> None:
        """Put a row back to a document that `replaced` had; the clock of the spec stays."""
        shapes, state = read_document(document)
        kept = self._kept(part)
        clock = state.clock_ms if kept is None else max(state.clock_ms, kept.state.clock_ms)
        self._write(part, shapes, replace(state, clock_ms=clock), kept)

    def _write(self, part: Part, shapes: Mapping[str, str], state: StoredState, kept: Kept | None) -> None:
        if kept is None and part.scope != "spec":
            self._run(
                "INSERT INTO holders VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1",
                part.contract,
                part.scope,
            )
        document, version = write_document(shapes, state), 1 if kept is None else kept.version + 1
        document_digest = text_digest(document)
        where = (part.contract, part.scope, part.holder)
        digest = row_digest(where, version, state.clock_ms, document_digest)
        self._run(
            "INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?, ?, ?, ?)",
            *where,
            version,
            state.clock_ms,
            document,
            digest,
        )
        self._remember(part, Kept(version, digest, document_digest, shapes, state))

    def _touch(self, part: Part, kept: Kept, clock_ms: int) -> None:
        """A permit saw the row and left it as it is."""
        where = (part.contract, part.scope, part.holder)
        version, clock = kept.version + 1, max(clock_ms, kept.state.clock_ms)
        digest = row_digest(where, version, clock, kept.document_digest)
        self._run(
            "UPDATE state SET version = ?, clock_ms = ?, digest = ? WHERE contract = ? AND scope = ? AND holder = ?",
            version,
            clock,
            digest,
            *where,
        )
        seen = replace(kept, version=version, digest=digest, state=replace(kept.state, clock_ms=clock))
        self._remember(part, seen)

    # --- counting ------------------------------------------------------------------------------------

    def _count(self, part: Part) -> int:
        rows = self._run("SELECT count FROM holders WHERE contract = ? AND scope = ?", part.contract, part.scope)
        return number(rows[0][0]) if rows else 0

    def check_counts(self, contract_name: str) -> None:
        """Fault if a principal's or a session's row is missing: it would begin again with a fresh budget."""
        counted = self._run("SELECT scope, count FROM holders WHERE contract = ?", contract_name)
        there = self._run(
            "SELECT scope, COUNT(*) FROM state WHERE contract = ? AND scope != 'spec' GROUP BY scope", contract_name
        )
        if sorted(counted, key=str) != sorted(there, key=str):
            what = f"of the state of `{contract_name}` some principals or sessions are missing"
            raise corrupt(what)


def part_of(contract: object, scope: object, holder: object) -> Part:
    """A row by what its columns say; Fault for a scope that there is not."""
    for known in SCOPES:
        if scope == known:
            return Part(str(contract), known, str(holder))
    what = "a state is of an unknown scope"
    raise corrupt(what)


def shapes_of(own: Contract) -> dict[str, str]:
    """What each variable of a row means."""
    return {variable.name: shape_of(variable) for variable in own.variables}


def number(value: str | int | None) -> int:
    """An integer of a row; Fault for anything else."""
    if isinstance(value, int):
        return value
    what = "a number is none"
    raise corrupt(what)
