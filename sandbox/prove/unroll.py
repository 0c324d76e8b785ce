"""The shortest sequence of calls, from the initial state, that shows something: one call more at a time.

First all calls are at one instant, then (where the spec has periods) at free times. A sequence that is found is made
small, and counts only once it has been replayed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Final, TypeAlias

import z3

from sandbox.encode import Environment, fact_domain
from sandbox.ir import Expr, OriginHas, StringSort, Tool, sort_of
from sandbox.prove.held import effective_at
from sandbox.prove.mentions import facts_in, origins_in
from sandbox.prove.models import (
    Ladder,
    Symbolic,
    arguments_of,
    as_long,
    is_true,
    ladders,
    number,
    origins_of,
    raw,
    session_of,
    shrunk,
)
from sandbox.prove.narrow import narrow_fact_domain, strings_of
from sandbox.prove.obligations import Case, Ground, Query, meeting, term
from sandbox.prove.quiet import shortened
from sandbox.prove.scopes import Apart, key_facts, scopes_of
from sandbox.prove.sequence import (
    Run,
    among_all,
    among_few,
    beginning,
    calls_of,
    facts_at,
    instant,
    noted,
    owners_of,
    run_of,
    symbolic,
    unasked,
)
from sandbox.prove.solve import Desk, Model, Open
from sandbox.prove.stringwise import MANY
from sandbox.prove.verdicts import AT_ONCE, Ends, Move, Moves

MAX_CALLS: Final = 24
"""Longer sequences are not searched for: a person would not read them, and the solver would not find them."""


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
Both: TypeAlias = tuple[tuple[z3.BoolRef, ...], tuple[z3.BoolRef, ...]]
"""Terms, and terms that imply them."""

Terms: TypeAlias = Callable[[], tuple[z3.BoolRef, ...]]


@dataclass(frozen=True, slots=True)
class Found:
    """A sequence, with no shorter one of the kind that was searched."""

    moves: Moves


@dataclass(frozen=True, slots=True)
class NotFound:
    """No sequence was found within the bounds, which proves nothing."""

    reason: str


def at_a_glance(ground: Ground, desk: Desk, targets: tuple[CallTarget, ...]) -> Found | None:
    """A first call that shows one of the targets, if one is found in passing; None says nothing."""
    if not desk.seeks:
        return None
    run = beginning(ground)
    for target in targets:
        query, end = ending(ground, run, target, free=False)
        answer = desk.glance(query)
        if isinstance(answer, Model):
            return Found(moves_of(ground, desk, query.label, answer, run=run, end=end))
    return None


def shortest(ground: Ground, desk: Desk, targets: tuple[Target, ...]) -> Found | NotFound:
    """The first target that can be shown, by as few permitted calls before it as possible."""
    if not desk.seeks:
        return NotFound("no sequence is looked for")
    writers = tuple(tool for tool in ground.contract.tools if tool.then or tool.on_success)
    timed = (False, True) if time_matters(ground, writers, targets) else (False,)
    undecided = ""
    runs: dict[tuple[bool, bool], Run] = {}
    for before in range(MAX_CALLS if writers else 1):
        for free, late in itertools.product(timed, (False, True) if may_end_late(writers, before) else (False,)):
            begun = runs.get((free, late), beginning(ground))
            run = runs[free, late] = run_of(ground, begun, writers, before, free=free, late=late)
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


# --- the end of a sequence ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class End:
    """When a sequence is looked at; its last call where the target is one, else for whom, in the scopes that matter."""

    now: z3.ArithRef
    call: Symbolic | None = None
    facts: Mapping[str, z3.ExprRef] = field(default_factory=dict)
    scopes: Apart = ()
    origins: frozenset[OriginHas] = frozenset()


def ending(ground: Ground, run: Run, target: Target, *, free: bool) -> tuple[Query, End]:
    """The run, and the target at its end."""
    count = len(run.turns)
    now, passing = instant(ground, run, f"t_{count + 1}", free=free)
    facts = facts_at(ground, count + 1, now)
    state = effective_at(ground.contract, run.held, now, owners_of(ground, facts))
    env = Environment(ground.ctx, state=state, facts=facts, keys=run.held.keys)
    match target:
        case StateTarget(goal=goal):
            wanted = z3.Not(term(goal, env, {}))
            scopes = scopes_of(ground.contract, goal)
            looking, narrowly = looked_at(ground, env, scopes)
            terms = (*run.terms, *passing, *looking, wanted)
            narrow = (*run.narrow, *passing, *narrowly, wanted)
            end = End(now, facts=facts, scopes=scopes)
            return asked(ground, f"after_{count}_calls", lambda: terms, lambda: narrow, calls_of(run)), end
        case CallTarget(case=case, condition=condition):
            call = symbolic(ground, case.tool, count + 1, env)
            label = f"call_{count + 1}_{case.tool.name}_{case.rule}"
            wished = partial(wanted_of_call, ground, case, condition)
            whole = cache(lambda: (*run.terms, *passing, *among_all(ground, call, wished)))
            few = cache(lambda: (*run.narrow, *passing, *among_few(ground, call, wished)))
            end = End(now, call, origins=origins_in(condition))
            return asked(ground, label, whole, few, (*calls_of(run), call)), end


def wanted_of_call(ground: Ground, case: Case, condition: Expr, env: Environment) -> list[z3.BoolRef]:
    """The case and the condition, of a call that the gate decides as the rules do."""
    decided = noted(ground, case.tool, env) if case.verdict != "deny" else []
    return [*meeting(case, condition, env), *decided]


def looked_at(ground: Ground, env: Environment, scopes: Apart) -> Both:
    """What is guaranteed of whoever a state is looked at for, where that matters; and something that implies it."""
    if not scopes:
        return (), ()
    return fact_domain(ground.contract, env), narrow_fact_domain(ground.contract, env)


def asked(ground: Ground, label: str, whole: Terms, narrow: Terms, calls: tuple[Symbolic, ...]) -> Query:
    """The query about what is said, with the narrower part of it where that is one; each is made once it is wanted."""
    strings = sum(strings_of(call.tool, call.env) for call in calls)
    named = any(isinstance(sort_of(fact.type), StringSort) for fact in ground.contract.session)
    short = any(shortened(call.tool, call.env) is not call.env for call in calls)
    return Query(label, whole, narrower=narrow if strings or named or short else tuple, strings=strings)


def moves_of(ground: Ground, desk: Desk, label: str, found: Model, *, run: Run, end: End) -> Moves:
    """A small sequence out of a model."""
    strings = MANY if any(strings_of(call.tool, call.env) for call in (*calls_of(run), *last_of(end))) else 0
    easy = shrunk(desk, label, found, (preferred(run),), strings)
    chosen = [number(easy, turn.choice) for turn in run.turns]
    fixed = tuple(turn.choice == index for turn, index in zip(run.turns, chosen, strict=True))
    calls = [turn.calls[index] for turn, index in zip(run.turns, chosen, strict=True)]
    every = (*calls, *last_of(end))
    no_longer, seen = as_long(easy, every)
    model = shrunk(desk, label, easy, ((fixed,), (no_longer,), *ladders(seen)), strings)
    made = [
        replace(move_of(ground, model, call, turn.now), ends=ends(model, run, at))
        for at, (turn, call) in enumerate(zip(run.turns, calls, strict=True))
    ]
    final = [] if end.call is None else [move_of(ground, model, end.call, end.now, end.origins)]
    looking = {
        fact.name: raw(model, end.facts[f"session.{fact.name}"], fact.type)
        for _, fact in key_facts(ground.contract, end.scopes)
    }
    return Moves((*made, *final), number(model, end.now), looking)


def last_of(end: End) -> tuple[Symbolic, ...]:
    """The last call, where the target is one."""
    return () if end.call is None else (end.call,)


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


def move_of(
    ground: Ground, model: Model, call: Symbolic, now: z3.ArithRef, asked: frozenset[OriginHas] = frozenset()
) -> Move:
    """A call as a host and a model would make it; `asked` are origins that something else than its rules asks about."""
    session = session_of(model, ground.contract, call)
    origins = origins_of(model, ground.contract, call, asked)
    return Move(call.tool.name, arguments_of(model, call), number(model, now), session, origins=origins)
