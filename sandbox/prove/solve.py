"""All access to solvers. Only the literal `unsat` is an answer that a proof may rest on.

Each query gets a solver of its own, for an incremental string solver is slow, and after a query that was not decided a
Z3 context of its own, for a context that ran out of its limit answers nothing sensible afterwards. The limit that
counts is `rlimit`, which is reproducible; time is the outer bound.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

import z3

from sandbox.errors import EnginesDisagree
from sandbox.prove.findings import SolverChoice
from sandbox.prove.obligations import Query
from sandbox.prove.positive import positively
from sandbox.prove.second import second_opinion
from sandbox.prove.stringwise import by_string, many_strings

QUERY_RLIMIT: Final = 60_000_000
"""Z3's resource units for one query: some fifteen seconds, and the same answer on every machine."""

GLANCE_RLIMIT: Final = 2_000_000
"""For a look at the narrower place, which is where most models are: half a second at most."""

FIRST_RLIMIT: Final = 2_000_000
"""For the first attempt at a query, before it is put in another form: a second at most, and mostly milliseconds."""

SHARE: Final = 0.4
"""The part of the time that is left which one query may take, so that no single one starves those after it."""

MAX_Z3_MEMORY_MB: Final = 2_048
"""Beyond it Z3 gives up the query; a proof that needs more is not one for a laptop."""


@dataclass(frozen=True, slots=True)
class Unsat:
    """No model exists."""


@dataclass(frozen=True, slots=True)
class Sat:
    """A model exists."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model that can be read, in a context of its own; `terms` are those that it is a model of."""

    model: z3.ModelRef
    terms: tuple[z3.BoolRef, ...]

    def local(self, term: z3.ExprRef) -> z3.ExprRef:
        """A term of any context, in the model's own."""
        return term.translate(self.model.ctx)


@dataclass(frozen=True, slots=True)
class Open:
    """Not decided, and why."""

    reason: str


Answer: TypeAlias = Unsat | Sat | Open
Search: TypeAlias = Unsat | Model | Open


@dataclass(slots=True)
class Room:
    """The Z3 context that queries are decided in, until one of them is not."""

    ctx: z3.Context | None = None

    def entered(self) -> z3.Context:
        """The context of the next query."""
        self.ctx = self.ctx or z3.Context()
        return self.ctx

    def leave(self) -> None:
        """Nothing is decided in this context any more."""
        self.ctx = None


@dataclass(slots=True)
class Desk:
    """Where queries are put: which solvers are asked, until when, and what it has cost so far.

    `deadline` is on `clock`'s scale, in seconds. With `emit`, every query that a proof rests on is written there.
    """

    choice: SolverChoice
    deadline: float
    clock: Callable[[], float] = time.monotonic
    rlimit: int = QUERY_RLIMIT
    emit: Path | None = None
    prefix: str = "query"
    spent: int = 0
    asked: int = 0
    room: Room = field(default_factory=Room)

    def left(self) -> float:
        """Seconds until the deadline, never negative."""
        return max(0.0, self.deadline - self.clock())

    def prove(self, query: Query) -> Answer:
        """Decide a query that a proof may rest on, by the chosen solvers.

        Raises EnginesDisagree where one says `sat` and the other `unsat`.
        """
        self.asked += 1
        if self.emit is not None:
            name = plain_name(f"{self.prefix}-{self.asked:03}-{query.label}")
            (self.emit / f"{name}.smt2").write_text(script_of(query), encoding="utf-8")
        if query.narrow and isinstance(self.glance(query), Model):
            return Sat()
        if self.choice == "cvc5":
            return self._second(query)
        found = self._asked(query.terms, self.rlimit, wordy=bool(query.narrow))
        first = Sat() if isinstance(found, Model) else found
        return first if self.choice == "z3" else agreed(query, first, self._second(query))

    def search(self, query: Query) -> Search:
        """A model of the query, by Z3 whatever the choice: a witness stands on its replay, not on a solver."""
        found = self.glance(query) if query.narrow else None
        return found if isinstance(found, Model) else self._asked(query.terms, self.rlimit, wordy=bool(query.narrow))

    def glance(self, query: Query) -> Search:
        """A model in the narrower place, if a little effort finds one."""
        return self._asked(query.narrow or query.terms, min(self.rlimit, GLANCE_RLIMIT), wordy=bool(query.narrow))

    def _asked(self, terms: tuple[z3.BoolRef, ...], rlimit: int, *, wordy: bool) -> Search:
        """By string, where a call has many; else as they stand, with little effort; positively; as they stand."""
        if wordy and (found := self._by_string(terms)) is not None:
            return found
        first = self._attempt(terms, min(rlimit, FIRST_RLIMIT), positive=False)
        if not isinstance(first, Open):
            return first
        second = self._attempt(terms, rlimit, positive=True)
        if not isinstance(second, Open) or rlimit <= FIRST_RLIMIT:
            return second
        return self._attempt(terms, rlimit, positive=False)

    def _attempt(self, terms: tuple[z3.BoolRef, ...], rlimit: int, *, positive: bool) -> Search:
        time_ms = self._time_ms()
        if time_ms <= 0:
            return Open("out of time")
        z3.set_param("memory_max_size", MAX_Z3_MEMORY_MB)
        try:
            ctx = self.room.entered()
            solver = z3.Solver(ctx=ctx)
            solver.set("timeout", time_ms)
            solver.set("rlimit", rlimit)
            solver.add(positively(terms, ctx) if positive else [term.translate(ctx) for term in terms])
            before = units_of(solver)
            answer = solver.check()
            self.spent += units_of(solver) - before
            if answer == z3.sat:
                return Model(solver.model(), terms)
            if answer == z3.unsat:
                return Unsat()
            self.room.leave()
            return Open(f"z3 gave up: {solver.reason_unknown()}")
        except z3.Z3Exception as error:
            self.room.leave()
            return Open(f"z3 failed: {error}")

    def _by_string(self, terms: tuple[z3.BoolRef, ...]) -> Search | None:
        """The answer of `stringwise`, where there are enough of them and it has one."""
        time_ms = self._time_ms()
        if time_ms <= 0 or not many_strings(terms):
            return None
        z3.set_param("memory_max_size", MAX_Z3_MEMORY_MB)
        solver = z3.Solver(ctx=z3.Context())
        solver.set("timeout", time_ms)
        solver.set("rlimit", self.rlimit)
        try:
            found = by_string([term.translate(solver.ctx) for term in terms], solver)
        except z3.Z3Exception:
            return None
        self.spent += units_of(solver)
        if found is None:
            return None
        return Unsat() if found == "unsat" else Model(found, terms)

    def _second(self, query: Query) -> Answer:
        time_ms = self._time_ms()
        if time_ms <= 0:
            return Open("out of time")
        match second_opinion(script_of(query), time_ms):
            case "unsat":
                return Unsat()
            case "sat":
                return Sat()
            case "unknown":
                return Open("cvc5 gave up")

    def _time_ms(self) -> int:
        return int(self.left() * SHARE * 1000)


def agreed(query: Query, first: Answer, second: Answer) -> Answer:
    """What both say, and open where one of them gave up; two definite answers that differ are a fault."""
    if isinstance(first, Open) or first == second:
        return first
    if isinstance(second, Open):
        return second
    message = f"z3 and cvc5 disagree on `{query.label}`; keep the files of `--emit` and report it"
    raise EnginesDisagree(message)


def script_of(query: Query) -> str:
    """The query as an SMT-LIB 2 script with plain identifiers, for any solver of strings and integers."""
    solver = z3.Solver(ctx=query.terms[0].ctx) if query.terms else z3.Solver()
    solver.add(list(query.terms))
    return f"; {query.label}: expected {query.expected}\n(set-logic ALL)\n{solver.to_smt2()}"


def units_of(solver: z3.Solver) -> int:
    """Z3's resource units of one check."""
    statistics = solver.statistics()
    return int(statistics.get_key_value("rlimit count")) if "rlimit count" in statistics.keys() else 0  # noqa: SIM118 - no mapping


def plain_name(text: str) -> str:
    """The text as a file name: letters, digits, `-` and `_`."""
    return "".join(char if char.isascii() and (char.isalnum() or char in "-_") else "_" for char in text)
