"""All access to solvers. Only the literal `unsat` is an answer that a proof may rest on.

Each query gets a solver of its own, for an incremental string solver is slow, and after a query that was not decided a
Z3 context of its own, for a context that ran out of its limit answers nothing sensible afterwards. The limit that
counts is `rlimit`, which is reproducible; time is the outer bound.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf
from typing import Final, TypeAlias, assert_never

import z3

from sandbox.errors import EnginesDisagree
from sandbox.prove.cores import MAX_PARTS, Core, Marked, conjuncts, decided, shortened, units_of
from sandbox.prove.findings import SolverChoice
from sandbox.prove.obligations import Query
from sandbox.prove.positive import positively
from sandbox.prove.record import AnswerName, FormName
from sandbox.prove.script import script_of
from sandbox.prove.second import second_opinion
from sandbox.prove.stringwise import MANY, by_string, marked_by_string, strings_apart
from sandbox.prove.tape import Tape

QUERY_RLIMIT: Final = 60_000_000
"""Z3's resource units for one query: some fifteen seconds, and the same answer on every machine."""

GLANCE_RLIMIT: Final = 2_000_000
"""For a look at the narrower place, which is where most models are: half a second at most."""

TASTE_RLIMIT: Final = 400_000
"""For the attempts that tell what a contradiction rests on: a tenth of a second at most, and most are decided so."""

FEW_RLIMIT: Final = 20_000_000
"""For a query with few elements of each list, which has to be asked as a whole if this one is not decided."""

CORE_RLIMIT: Final = 2_000_000
"""For what a contradiction rests on, where it was found in another way: half a second at most."""

CORE_SHARE: Final = 2
"""Cores may cost a unit for so many that answers cost, beyond `CORE_RLIMIT`: they are told, and never waited for."""

FIRST_RLIMIT: Final = 2_000_000
"""For the first attempt at a query, before it is put in another form: a second at most, and mostly milliseconds."""

SECOND_MS: Final = 1_000
"""For cvc5's first attempt at a query, before it is put in words; mostly it takes milliseconds."""

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

    `deadline` is on `clock`'s scale, in seconds. With `emit`, every query that a proof rests on is noted there. A
    `hint` is the invariant to be proved where one is needed, and not to be looked for; an empty one says that none is.
    Unless it `seeks`, no sequence of calls is searched for: what is not proved is not decided.
    """

    choice: SolverChoice
    deadline: float
    clock: Callable[[], float] = time.monotonic
    rlimit: int = QUERY_RLIMIT
    emit: Tape | None = None
    hint: tuple[str, ...] | None = None
    seeks: bool = True
    spent: int = 0
    spent_on_cores: int = 0
    room: Room = field(default_factory=Room)

    def left(self) -> float:
        """Seconds until the deadline, never negative."""
        return max(0.0, self.deadline - self.clock())

    def prove(self, query: Query) -> Answer:
        """Decide a query that a proof may rest on, by the chosen solvers.

        Raises EnginesDisagree where one says `sat` and the other `unsat`.
        """
        few = query.fewer()
        if few is None:
            answer, core, form = self._decided(query)
            return self._noted(query, answer, core, form)
        if query.expected == "sat" and self._is_seen(query):
            return self._noted(query, Sat(), None, None)
        answer, core, form = self._decided_by_few(few)
        if isinstance(answer, Unsat):
            return self._noted(few, answer, core, form)
        if query.expected != "sat" and self._is_seen(query):
            return self._noted(query, Sat(), None, None)
        answer, core, form = self._decided(query)
        return self._noted(query, answer, core, form)

    def _noted(self, query: Query, answer: Answer, core: Core | None, form: FormName | None) -> Answer:
        """The answer, once it is noted with what it rests on."""
        if self.emit is not None:
            if isinstance(answer, Unsat):
                core = self._core(query.terms) if core is None else core
                core = self._shortened(core) if core is not None else None
            self.emit.note(query, name_of(answer), core, form)
        return answer

    def _decided_by_few(self, few: Query) -> tuple[Answer, Core | None, FormName | None]:
        """As `_decided`, with less effort: only that there is no model says anything of the whole."""
        own = replace(self, rlimit=min(self.rlimit, FEW_RLIMIT), spent=0)
        found = own._decided(few)  # noqa: SLF001 - a desk like this one
        self.spent += own.spent
        return found

    def _is_seen(self, query: Query) -> bool:
        """Whether a model of it is found in passing."""
        return bool(query.narrow) and isinstance(self.glance(query), Model)

    def _decided(self, query: Query) -> tuple[Answer, Core | None, FormName | None]:
        """The answer, the core of a contradiction that was found on the way, and in which form cvc5 decided it."""
        first = self._tasted(query)
        if first.answer != "unsat" and query.narrow and isinstance(self.glance(query), Model):
            return Sat(), None, None
        if self.choice == "cvc5":
            second, form = self._second(query)
            return second, None, form
        answer = self._first(query, first)
        core = first.core if first.answer == "unsat" else None
        if self.choice == "z3":
            return answer, core, None
        second, form = self._second(query)
        return agreed(query, answer, second), core, form

    def _tasted(self, query: Query) -> Marked:
        """What Z3 says of the marked parts, with little effort: string by string; as they stand."""
        if self.choice == "cvc5" or query.expected == "sat":
            return Marked("unknown")
        found = self._marked_by_string(query)
        return self._marked(query.terms, TASTE_RLIMIT) if found.answer == "unknown" else found

    def _first(self, query: Query, marked: Marked) -> Answer:
        """Z3's answer: what it said of the marked parts, or what it says in any other way."""
        match marked.answer:
            case "unsat":
                return Unsat()
            case "sat":
                return Sat()
            case "unknown":
                found = self._asked(query.terms, self.rlimit, wordy=query.strings >= MANY)
                return Sat() if isinstance(found, Model) else found

    def search(self, query: Query) -> Search:
        """A model of the query, by Z3 whatever the choice: a witness stands on its replay, not on a solver."""
        found = self.glance(query) if query.narrow else None
        return found if isinstance(found, Model) else self._asked(query.terms, self.rlimit, wordy=query.strings >= MANY)

    def glance(self, query: Query) -> Search:
        """A model in the narrower place, if a little effort finds one."""
        return self._asked(query.narrow or query.terms, min(self.rlimit, GLANCE_RLIMIT), wordy=query.strings >= MANY)

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
        time_ms = self.time_ms()
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

    def _marked(self, terms: tuple[z3.BoolRef, ...], rlimit: int) -> Marked:
        """As `cores.decided`; `unknown` where there is no time, or too much to be marked."""
        parts, time_ms = conjuncts(terms), self.time_ms()
        if time_ms <= 0 or len(parts) > MAX_PARTS:
            return Marked("unknown")
        z3.set_param("memory_max_size", MAX_Z3_MEMORY_MB)
        try:
            solver = z3.Solver(ctx=self.room.entered())
            solver.set("timeout", time_ms)
            solver.set("rlimit", min(rlimit, self.rlimit))
            before = units_of(solver)
            found = decided(parts, solver)
            self.spent += units_of(solver) - before
        except z3.Z3Exception:
            found = Marked("unknown")
        if found.answer == "unknown":
            self.room.leave()
        return found

    def _core(self, terms: tuple[z3.BoolRef, ...]) -> Core | None:
        """What a contradiction rests on, where it was found in another way; None if that is not told in time."""
        if self.spent_on_cores > CORE_RLIMIT + self.spent // CORE_SHARE:
            return None
        before = self.spent
        found = self._marked(terms, CORE_RLIMIT)
        self.spent_on_cores, self.spent = self.spent_on_cores + self.spent - before, before
        return found.core if found.answer == "unsat" else None

    def _shortened(self, core: Core) -> Core | None:
        """The core without what it can be seen to do without, while it costs little; None if it is none."""
        if self.spent_on_cores > CORE_RLIMIT + self.spent // CORE_SHARE:
            return core
        less, units = shortened(core, self.time_ms())
        self.spent_on_cores += units
        return less

    def _by_string(self, terms: tuple[z3.BoolRef, ...]) -> Search | None:
        """The answer of `stringwise`, where there are enough of them and it has one."""
        solver = self._apart(self.rlimit) if strings_apart(terms) >= MANY else None
        if solver is None:
            return None
        try:
            found = by_string([term.translate(solver.ctx) for term in terms], solver)
        except z3.Z3Exception:
            return None
        self.spent += units_of(solver)
        if found is None:
            return None
        return Unsat() if found == "unsat" else Model(found, terms)

    def _marked_by_string(self, query: Query) -> Marked:
        """As `stringwise` answers of marked parts; `unknown` where there are no strings, or too much to be marked."""
        if not query.strings or not strings_apart(query.terms):
            return Marked("unknown")
        parts, solver = conjuncts(query.terms), self._apart(TASTE_RLIMIT)
        if solver is None or len(parts) > MAX_PARTS:
            return Marked("unknown")
        try:
            found = marked_by_string(parts, solver)
        except z3.Z3Exception:
            return Marked("unknown")
        self.spent += units_of(solver)
        return found

    def _apart(self, rlimit: int) -> z3.Solver | None:
        """A solver in a context of its own; None where there is no time."""
        time_ms = self.time_ms()
        if time_ms <= 0:
            return None
        z3.set_param("memory_max_size", MAX_Z3_MEMORY_MB)
        solver = z3.Solver(ctx=z3.Context())
        solver.set("timeout", time_ms)
        solver.set("rlimit", min(rlimit, self.rlimit))
        return solver

    def _second(self, query: Query) -> tuple[Answer, FormName | None]:
        """As it stands, with little effort; with words in place of patterns; as it stands. And which of them it was."""
        attempts: tuple[tuple[FormName, float], ...] = (("whole", SECOND_MS), ("words", inf), ("whole", inf))
        for form, most_ms in attempts:
            time_ms = int(min(self.time_ms(), most_ms))
            if time_ms <= 0:
                return Open("out of time"), None
            match second_opinion(script_of(query, form), time_ms):
                case "unsat":
                    return Unsat(), form
                case "sat":
                    return Sat(), form
                case "unknown":
                    pass
        return Open("cvc5 gave up"), None

    def time_ms(self) -> int:
        """Milliseconds that the next query may take."""
        return int(self.left() * SHARE * 1000)


def agreed(query: Query, first: Answer, second: Answer) -> Answer:
    """What both say, and open where one of them gave up; two definite answers that differ are a fault."""
    if isinstance(first, Open) or first == second:
        return first
    if isinstance(second, Open):
        return second
    message = f"z3 and cvc5 disagree on `{query.label}`; keep the files of `--emit` and report it"
    raise EnginesDisagree(message)


def name_of(answer: Answer) -> AnswerName:
    """The answer's name in certificates."""
    match answer:
        case Unsat():
            return "unsat"
        case Sat():
            return "sat"
        case Open():
            return "open"
        case _:
            assert_never(answer)
