"""All sequences of so many permitted calls from the initial state, as conditions on their calls and on what is stored.

Here time is exact, as in `machine`: calls at t1 <= t2 <= ..., periods numbered by division, windows summed over the
events that are younger than their length. The facts of the session are chosen anew at every call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

import z3

from sandbox.encode import Environment, Term, domain, fact_domain, fact_symbols, symbols
from sandbox.encode import choice as either
from sandbox.ir import Const, Eq, Not, Tool
from sandbox.machine import VERDICT_SORT, verdict_of
from sandbox.prove.held import Held, Owners, Way, effective_at, rooms, with_events, with_values
from sandbox.prove.models import Symbolic
from sandbox.prove.narrow import narrow_domain, narrow_fact_domain
from sandbox.prove.obligations import Ground, following_terms, storable, succeeded_terms, term
from sandbox.prove.quiet import shortened
from sandbox.prove.scopes import FACTS, key_facts

START_MS: Final = 1_767_225_600_000
"""2026-01-01T00:00:00Z: where a sequence begins, also the beginning of every period up to a day."""

END_MS: Final = 253_402_214_400_000
"""9999-12-31T00:00:00Z: the last time that RFC 3339 can write."""

ALLOWED: Final = Const("allow", VERDICT_SORT)
DENIED: Final = Const("deny", VERDICT_SORT)

Said: TypeAlias = Callable[[Environment], list[z3.BoolRef]]


@dataclass(frozen=True, slots=True)
class Turn:
    """One permitted call of a sequence: which of the writing tools it is, what each would be given, when.

    `endings` has, by the position of an earlier turn (or of this one), whether that call ends `ok` before the next one
    is permitted, which is then at the time `ended`.
    """

    choice: z3.ArithRef
    calls: tuple[Symbolic, ...]
    now: z3.ArithRef
    owners: Owners
    endings: Mapping[int, z3.BoolRef] = field(default_factory=dict)
    ended: z3.ArithRef | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A sequence of permitted calls: its conditions, and what is stored after it, at the time `clock`.

    `narrow` is `terms` where every call is looked for in the narrower part of its domain.
    """

    terms: tuple[z3.BoolRef, ...]
    narrow: tuple[z3.BoolRef, ...]
    turns: tuple[Turn, ...]
    held: Held
    clock: z3.ArithRef


def beginning(ground: Ground) -> Run:
    """No call yet."""
    return Run((), (), (), Held(), z3.IntVal(START_MS, ground.ctx))


def run_of(ground: Ground, run: Run, writers: tuple[Tool, ...], calls: int, *, free: bool, late: bool = False) -> Run:
    """All sequences of this many permitted calls that begin with a run, at one instant or at free times.

    Each ends `ok` at once or not at all; with `late`, also after any later call was permitted.
    """
    for position in range(len(run.turns) + 1, calls + 1):
        run = succeeded(ground, extended(ground, run, writers, position, free=free), free=free, late=late)
    return run


def extended(ground: Ground, run: Run, writers: tuple[Tool, ...], position: int, *, free: bool) -> Run:
    """The run and one more permitted call."""
    now, passing = instant(ground, run, f"t_{position}", free=free)
    facts = facts_at(ground, position, now)
    owners = owners_of(ground, facts)
    before = effective_at(ground.contract, run.held, now, owners)
    around = Environment(ground.ctx, state=before, facts=facts, keys=run.held.keys)
    choice = z3.Int(f"tool_{position}", ground.ctx)
    calls = tuple(symbolic(ground, tool, position, around) for tool in writers)
    chosen, narrowly = (
        [
            z3.Implies(choice == index, z3.And(among(ground, call, permits(ground, call.tool))))
            for index, call in enumerate(calls)
        ]
        for among in (among_all, among_few)
    )
    ways = tuple(
        Way(call.tool, choice == index, call.env, following_terms(ground, call.tool, call.env))
        for index, call in enumerate(calls)
    )
    following = {name: picked(choice, [way.after[name] for way in ways]) for name in before}
    held = with_events(ground.contract, run.held, now, owners, ways)
    growing = [
        event.amount >= 0
        for name, events in held.events.items()
        for event in events[len(run.held.events.get(name, ())) :]
    ]
    room = rooms(ground.contract, before, following)
    moving = (*passing, choice >= 0, choice < len(calls), *growing, *room)
    return Run(
        (*run.terms, *moving, *chosen),
        (*run.narrow, *moving, *narrowly),
        (*run.turns, Turn(choice, calls, now, owners)),
        with_values(ground.contract, held, now, owners, following),
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
    held = run.held
    room: list[z3.BoolRef] = []
    for at, ends in endings.items():
        held, fits = after_ending(ground, held, run.turns[at], ends, now)
        room += fits
    said = (*passing, *once, *room)
    turns = (*run.turns[:-1], replace(last, endings=endings, ended=now))
    return Run((*run.terms, *said), (*run.narrow, *said), turns, held, now)


def after_ending(
    ground: Ground, held: Held, turn: Turn, ends: z3.BoolRef, now: z3.ArithRef
) -> tuple[Held, list[z3.BoolRef]]:
    """What is stored once the call of a turn has ended at this time, if it `ends`, and that there is room for it.

    Windows are not among it.
    """
    before = effective_at(ground.contract, held, now, turn.owners)
    after = [
        succeeded_terms(ground, call.tool, replace(call.env, state=before, facts={**call.env.facts, "now": now}))
        for call in turn.calls
    ]
    state = {
        name: either(ends, picked(turn.choice, [each[name] for each in after]), value) for name, value in before.items()
    }
    return with_values(ground.contract, held, now, turn.owners, state), rooms(ground.contract, before, state)


def instant(ground: Ground, run: Run, name: str, *, free: bool) -> tuple[z3.ArithRef, list[z3.BoolRef]]:
    """The time of the next look at the state: the same, or any that is not earlier."""
    if not free:
        return run.clock, []
    now = z3.Int(name, ground.ctx)
    return now, [now >= run.clock, now <= END_MS]


def facts_at(ground: Ground, position: int | str, now: z3.ArithRef) -> dict[str, z3.ExprRef]:
    """The time, and the facts of the session, at this place of the sequence."""
    return {**fact_symbols(ground.contract, ground.ctx, f"@{position}"), "now": now}


def owners_of(ground: Ground, facts: Mapping[str, z3.ExprRef]) -> Owners:
    """The keys of the scopes that the facts say."""
    return {scope: facts[f"session.{fact.name}"] for scope, fact in key_facts(ground.contract, FACTS)}


def symbolic(ground: Ground, tool: Tool, position: int, around: Environment) -> Symbolic:
    """A call of the tool at this place of the sequence, in the state and with the facts of an environment."""
    free = symbols(ground.contract, tool, ground.ctx, f"@{tool.name}@{position}")
    return Symbolic(tool, replace(around, args=free.args, present=free.present, origins=free.origins))


def among_all(ground: Ground, call: Symbolic, said: Said) -> list[z3.BoolRef]:
    """What is guaranteed of a call and of its facts, and what is said of it."""
    return [*domain(call.tool, call.env), *fact_domain(ground.contract, call.env), *said(call.env)]


def among_few(ground: Ground, call: Symbolic, said: Said) -> list[z3.BoolRef]:
    """As `among_all`, and implying it."""
    few = shortened(call.tool, call.env)
    return [*narrow_domain(call.tool, few), *narrow_fact_domain(ground.contract, few), *said(few)]


def permits(ground: Ground, tool: Tool) -> Said:
    """The call is not denied by the rules, and its keys are such that it can be noted."""
    permitted = Not(Eq(verdict_of(tool), DENIED))
    return lambda env: [term(permitted, env, {"tool": tool.name}), *storable(ground, tool, env)]


def noted(ground: Ground, tool: Tool, env: Environment) -> list[z3.BoolRef]:
    """A call that no rule denies is not denied by what is stored either."""
    after = following_terms(ground, tool, env)
    return [*storable(ground, tool, env), *rooms(ground.contract, env.state, after)]


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


def picked(choice: z3.ArithRef, terms: list[Term]) -> Term:
    """The term whose position is chosen."""
    picked_term = terms[-1]
    for index in range(len(terms) - 2, -1, -1):
        picked_term = either(choice == index, terms[index], picked_term)
    return picked_term


def calls_of(run: Run) -> tuple[Symbolic, ...]:
    """What each turn's call would be, for every tool."""
    return tuple(call for turn in run.turns for call in turn.calls)
