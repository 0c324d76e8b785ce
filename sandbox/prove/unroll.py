"""The shortest sequence of calls, from the initial state, that shows something: one call more at a time.

Here time is exact, as in `machine`: calls at t1 <= t2 <= ..., periods numbered by division, windows summed over the
events that are younger than their length. First all calls are at one instant, then (where the spec has periods) at
free times. A sequence that is found is made small, and counts only once it has been replayed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, TypeAlias

import z3

from sandbox.encode import Environment, domain, fact_domain, symbols
from sandbox.ir import Const, Eq, Expr, Not, Tool
from sandbox.machine import VERDICT_SORT, is_window, verdict_of
from sandbox.prove.mentions import facts_in
from sandbox.prove.models import Ladder, Symbolic, arguments_of, is_true, number, session_of, shrunk
from sandbox.prove.narrow import has_strings, narrow_domain, narrow_fact_domain
from sandbox.prove.obligations import (
    Case,
    Ground,
    Query,
    following_terms,
    initial_terms,
    meeting,
    succeeded_terms,
    term,
)
from sandbox.prove.quiet import shortened
from sandbox.prove.solve import Desk, Model, Open
from sandbox.prove.verdicts import AT_ONCE, Ends, Move, Moves

MAX_CALLS: Final = 24
"""Longer sequences are not searched for: a person would not read them, and the solver would not find them."""

START_MS: Final = 1_767_225_600_000
"""2026-01-01T00:00:00Z: where a sequence begins, also the beginning of every period up to a day."""

END_MS: Final = 253_402_214_400_000
"""9999-12-31T00:00:00Z: the last time that RFC 3339 can write."""


ALLOWED: Final = Const("allow", VERDICT_SORT)
DENIED: Final = Const("deny", VERDICT_SORT)


@dataclass(frozen=True, slots=True)
class CallTarget:
    """A last call, decided by this case, that meets the condition."""

    case: Case
    condition: Expr


@dataclass(frozen=True, slots=True)
class StateTarget:
    """A state after the calls without the goal."""

    goal: Expr


Target: TypeAlias = CallTarget | StateTarget
Said: TypeAlias = Callable[[Environment], list[z3.BoolRef]]


@dataclass(frozen=True, slots=True)
class Found:
    """A sequence, with no shorter one of the kind that was searched."""

    moves: Moves


@dataclass(frozen=True, slots=True)
class NotFound:
    """No sequence was found within the bounds, which proves nothing."""

    reason: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One permitted call of a sequence: which of the writing tools it is, what each would be given, when.

    `endings` has, by the position of an earlier turn (or of this one), whether that call ends `ok` before the next one
    is permitted, which is then at the time `ended`.
    """

    choice: z3.ArithRef
    calls: tuple[Symbolic, ...]
    now: z3.ArithRef
    endings: Mapping[int, z3.BoolRef] = field(default_factory=dict)
    ended: z3.ArithRef | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A sequence of permitted calls: its conditions, and what is stored after it (as in `StoredState`).

    `narrow` is `terms` where every call is looked for in the narrower part of its domain.
    """

    terms: tuple[z3.BoolRef, ...]
    narrow: tuple[z3.BoolRef, ...]
    turns: tuple[Turn, ...]
    values: Mapping[str, z3.ExprRef]
    events: Mapping[str, tuple[tuple[z3.ArithRef, z3.ArithRef], ...]]
    clock: z3.ArithRef


def at_a_glance(ground: Ground, desk: Desk, targets: tuple[CallTarget, ...]) -> Found | None:
    """A first call that shows one of the targets, if one is found in passing; None says nothing."""
    run = run_of(ground, (), 0, free=False)
    for target in targets:
        query, end = ending(ground, run, target, free=False)
        answer = desk.glance(query)
        if isinstance(answer, Model):
            return Found(moves_of(ground, desk, query.label, answer, run=run, end=end))
    return None


def shortest(ground: Ground, desk: Desk, targets: tuple[Target, ...]) -> Found | NotFound:
    """The first target that can be shown, by as few permitted calls before it as possible."""
    writers = tuple(tool for tool in ground.contract.tools if tool.then or tool.on_success)
    timed = (False, True) if time_matters(ground, writers, targets) else (False,)
    undecided = ""
    for before in range(MAX_CALLS if writers else 1):
        for free, late in itertools.product(timed, (False, True) if may_end_late(writers, before) else (False,)):
            run = run_of(ground, writers, before, free=free, late=late)
            for target in targets:
                query, end = ending(ground, run, target, free=free)
                answer = desk.search(query)
                if isinstance(answer, Model):
                    return Found(moves_of(ground, desk, query.label, answer, run=run, end=end))
                undecided = undecided or (answer.reason if isinstance(answer, Open) else "")
                if desk.left() <= 0:
                    return NotFound(f"out of time at sequences of {before + 1} calls")
    if undecided:
        return NotFound(undecided)
    return NotFound(f"no sequence of up to {MAX_CALLS} calls shows it")


def time_matters(ground: Ground, writers: tuple[Tool, ...], targets: tuple[Target, ...]) -> bool:
    """Whether a sequence can show more at other times than at one: through a period, or a rule that reads `now`."""
    if writers and any(variable.period is not None for variable in ground.contract.variables):
        return True
    read = [target.condition for target in targets if isinstance(target, CallTarget)]
    read += [rule.when for tool in ground.contract.tools for rule in tool.rules]
    read += [assignment.value for tool in writers for assignment in (*tool.then, *tool.on_success)]
    return any("now" in facts_in(expr) for expr in read)


def may_end_late(writers: tuple[Tool, ...], calls: int) -> bool:
    """Whether it can matter that a call ends only after another one was permitted."""
    return calls > 1 and any(tool.on_success for tool in writers)


# --- building a sequence -----------------------------------------------------------------------------


def run_of(ground: Ground, writers: tuple[Tool, ...], calls: int, *, free: bool, late: bool = False) -> Run:
    """All sequences of this many permitted calls, at one instant or at free times.

    Each ends `ok` at once or not at all; with `late`, also after any later call was permitted.
    """
    ctx = ground.ctx
    initial = initial_terms(ground)
    windows = {v.name for v in ground.contract.variables if is_window(v)}
    values = {name: value for name, value in initial.items() if name not in windows}
    run = Run((), (), (), values, dict.fromkeys(sorted(windows), ()), z3.IntVal(START_MS, ctx))
    for position in range(1, calls + 1):
        run = succeeded(ground, extended(ground, run, writers, position, free=free), free=free, late=late)
    return run


def extended(ground: Ground, run: Run, writers: tuple[Tool, ...], position: int, *, free: bool) -> Run:
    """The run and one more permitted call."""
    now, passing = instant(ground, run, f"t_{position}", free=free)
    before = effective_at(ground, run, now)
    choice = z3.Int(f"tool_{position}", ground.ctx)
    calls = tuple(symbolic(ground, tool, position, before, now) for tool in writers)
    chosen, narrowly = (
        [
            z3.Implies(choice == index, z3.And(among(ground, call, permits(call.tool))))
            for index, call in enumerate(calls)
        ]
        for among in (among_all, among_few)
    )
    after = [following_terms(call.tool, call.env) for call in calls]
    following = {name: picked(choice, [each[name] for each in after]) for name in before}
    amounts = {name: following[name] - before[name] for name in run.events}
    growing = [amount >= 0 for amount in amounts.values()]
    moving = (*passing, choice >= 0, choice < len(calls), *growing)
    return Run(
        (*run.terms, *moving, *chosen),
        (*run.narrow, *moving, *narrowly),
        (*run.turns, Turn(choice, calls, now)),
        {name: following[name] for name in run.values},
        {name: (*pairs, (now, amounts[name])) for name, pairs in run.events.items()},
        now,
    )


def succeeded(ground: Ground, run: Run, *, free: bool, late: bool) -> Run:
    """The run in which, after its last permit, calls that are running may end `ok`, each of them once."""
    last, count = run.turns[-1], len(run.turns)
    endings = {
        at: z3.Bool(f"ends_{at + 1}@{count}", ground.ctx)
        for at in range(0 if late else count - 1, count)
        if any(call.tool.on_success for call in run.turns[at].calls)
    }
    if not endings:
        return run
    once = [
        z3.Not(z3.And(ends, earlier.endings[at]))
        for at, ends in endings.items()
        for earlier in run.turns
        if at in earlier.endings
    ]
    now, passing = instant(ground, run, f"e_{count}", free=free)
    later = effective_at(ground, run, now)
    noted = replace(run, values={name: later[name] for name in run.values}, clock=now)
    for at, ends in endings.items():
        noted = replace(noted, values=after_ending(ground, noted, at, ends))
    said = (*passing, *once)
    turns = (*run.turns[:-1], replace(last, endings=endings, ended=now))
    return replace(noted, turns=turns, terms=(*run.terms, *said), narrow=(*run.narrow, *said))


def after_ending(ground: Ground, run: Run, at: int, ends: z3.BoolRef) -> dict[str, z3.ExprRef]:
    """What is stored once the call of turn `at` has ended, if it `ends`; windows are not among it."""
    turn = run.turns[at]
    before = effective_at(ground, run, run.clock)
    after = [
        succeeded_terms(call.tool, replace(call.env, state=before, facts={**call.env.facts, "now": run.clock}))
        for call in turn.calls
    ]
    following = {name: picked(turn.choice, [each[name] for each in after]) for name in run.values}
    return {name: z3.If(ends, following[name], run.values[name]) for name in run.values}


def instant(ground: Ground, run: Run, name: str, *, free: bool) -> tuple[z3.ArithRef, list[z3.BoolRef]]:
    """The time of the next look at the state: the same, or any that is not earlier."""
    if not free:
        return run.clock, []
    now = z3.Int(name, ground.ctx)
    return now, [now >= run.clock, now <= END_MS]


def effective_at(ground: Ground, run: Run, now: z3.ArithRef) -> dict[str, z3.ExprRef]:
    """What rules read as the state at a time, after `tick`; the first look begins every period."""
    initial = initial_terms(ground)
    effective: dict[str, z3.ExprRef] = {}
    for variable in ground.contract.variables:
        name, period = variable.name, variable.period
        if period is None or not run.turns:
            effective[name] = run.values.get(name, initial[name])
        elif is_window(variable):
            young = [z3.If(at > now - period.length_ms, amount, 0) for at, amount in run.events[name]]
            effective[name] = z3.Sum(young)
        else:
            turned = now / period.length_ms != run.clock / period.length_ms
            effective[name] = z3.If(turned, initial[name], run.values[name])
    return effective


def symbolic(ground: Ground, tool: Tool, position: int, state: Mapping[str, z3.ExprRef], now: z3.ArithRef) -> Symbolic:
    """A call of the tool at this place of the sequence, in the given state, at the given time."""
    free = symbols(ground.contract, tool, ground.ctx, f"@{tool.name}@{position}")
    return Symbolic(tool, replace(free, state=state, facts={**free.facts, "now": now}))


def among_all(ground: Ground, call: Symbolic, said: Said) -> list[z3.BoolRef]:
    """What is guaranteed of a call and of its facts, and what is said of it."""
    return [*domain(call.tool, call.env), *fact_domain(ground.contract, call.env), *said(call.env)]


def among_few(ground: Ground, call: Symbolic, said: Said) -> list[z3.BoolRef]:
    """As `among_all`, and implying it."""
    few = shortened(call.tool, call.env)
    return [*narrow_domain(call.tool, few), *narrow_fact_domain(ground.contract, few), *said(few)]


def permits(tool: Tool) -> Said:
    """The call is not denied."""
    permitted = Not(Eq(verdict_of(tool), DENIED))
    return lambda env: [term(permitted, env, {"tool": tool.name})]


def unasked(turn: Turn) -> z3.BoolRef:
    """No person is needed for the call; preferred where a sequence of this length does without."""
    return z3.And(
        [
            z3.Implies(
                turn.choice == index, term(Eq(verdict_of(call.tool), ALLOWED), call.env, {"tool": call.tool.name})
            )
            for index, call in enumerate(turn.calls)
        ]
    )


def picked(choice: z3.ArithRef, terms: list[z3.ExprRef]) -> z3.ExprRef:
    """The term whose position is chosen."""
    picked_term = terms[-1]
    for index in range(len(terms) - 2, -1, -1):
        picked_term = z3.If(choice == index, terms[index], picked_term)
    return picked_term


# --- the end of a sequence ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class End:
    """When a sequence is looked at, and its last call where the target is one."""

    now: z3.ArithRef
    call: Symbolic | None


def ending(ground: Ground, run: Run, target: Target, *, free: bool) -> tuple[Query, End]:
    """The run, and the target at its end."""
    count = len(run.turns)
    now, passing = instant(ground, run, f"t_{count + 1}", free=free)
    state = effective_at(ground, run, now)
    match target:
        case StateTarget(goal=goal):
            wanted = [z3.Not(term(goal, Environment(ground.ctx, state=state), {}))]
            label = f"after_{count}_calls"
            terms, narrow = (*run.terms, *passing, *wanted), (*run.narrow, *passing, *wanted)
            return asked(label, terms, narrow, calls_of(run)), End(now, None)
        case CallTarget(case=case, condition=condition):
            call = symbolic(ground, case.tool, count + 1, state, now)
            label = f"call_{count + 1}_{case.tool.name}_{case.rule}"
            wished = partial(meeting, case, condition)
            terms = (*run.terms, *passing, *among_all(ground, call, wished))
            narrow = (*run.narrow, *passing, *among_few(ground, call, wished))
            return asked(label, terms, narrow, (*calls_of(run), call)), End(now, call)


def asked(
    label: str, terms: tuple[z3.BoolRef, ...], narrow: tuple[z3.BoolRef, ...], calls: tuple[Symbolic, ...]
) -> Query:
    """The query, with its narrower part where that is one."""
    return Query(label, terms, narrow=narrow if any(has_strings(call.tool, call.env) for call in calls) else ())


def calls_of(run: Run) -> tuple[Symbolic, ...]:
    """What each turn's call would be, for every tool."""
    return tuple(call for turn in run.turns for call in turn.calls)


def moves_of(ground: Ground, desk: Desk, label: str, found: Model, *, run: Run, end: End) -> Moves:
    """A small sequence out of a model."""
    last = () if end.call is None else (end.call,)
    every = (*calls_of(run), *last)
    model = shrunk(desk, label, found, every, preferred(run))
    made = [
        replace(move_of(ground, model, turn.calls[number(model, turn.choice)], turn.now), ends=ends(model, run, at))
        for at, turn in enumerate(run.turns)
    ]
    final = [] if end.call is None else [move_of(ground, model, end.call, end.now)]
    return Moves((*made, *final), number(model, end.now))


def preferred(run: Run) -> Ladder:
    """What makes a sequence easy to follow: that nobody is asked, that every call ends at once; both, or either."""
    people = tuple(unasked(turn) for turn in run.turns)
    at_once = tuple(turn.endings[at] for at, turn in enumerate(run.turns) if at in turn.endings)
    return ((*people, *at_once), people, at_once) if at_once else (people,)


def ends(model: Model, run: Run, at: int) -> Ends | None:
    """When the call of a turn ends `ok`, if it does; at once, where that makes no difference."""
    if not run.turns[at].calls[number(model, run.turns[at].choice)].tool.on_success:
        return AT_ONCE
    for later, turn in enumerate(run.turns):
        if turn.ended is not None and at in turn.endings and is_true(model, turn.endings[at]):
            return Ends(later - at, number(model, turn.ended))
    return None


def move_of(ground: Ground, model: Model, call: Symbolic, now: z3.ArithRef) -> Move:
    """A call as a host and a model would make it."""
    session = session_of(model, ground.contract, call)
    return Move(call.tool.name, arguments_of(model, call), number(model, now), session)
