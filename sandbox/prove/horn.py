"""Z3's fixedpoint engine, Spacer, on the scalar projection of the machine: a guess of what holds of reachable states.

The projection has the truth values and numbers of the state. Strings, lists and the rest of a call are abstracted
(`abstraction`), and so it can do whatever the machine can. What Spacer finds is never believed: `strengthen` has
every obligation of it re-proved, over the machine itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import z3

from sandbox.encode import Environment, Term, domain, fact_domain, fact_symbols, single
from sandbox.ir import Expr
from sandbox.prove.abstraction import abstracted, concerning, free_constants, is_plain
from sandbox.prove.induction import permits
from sandbox.prove.keys import Said, at_every_key
from sandbox.prove.obligations import (
    Case,
    Ground,
    as_seen,
    at_permit,
    call_symbols,
    cases,
    facts_of,
    following_terms,
    initial_terms,
    known,
    meeting,
    state_symbols,
    storable,
    succeeded_terms,
    term,
    ticked,
    views,
)
from sandbox.prove.probes import alike, probes_of
from sandbox.prove.quiet import quiet
from sandbox.prove.scopes import FACTS, Apart, differing_keys, ways_apart
from sandbox.prove.solve import Desk

State: TypeAlias = Mapping[str, Term]

SPACER_RLIMIT: Final = 3_000_000
"""Z3's resource units for one attempt: what it finds at all it finds in a hundredth of this, about two seconds."""

STRATEGIES: Final[tuple[Mapping[str, bool], ...]] = (
    {"spacer.global": True},
    {"spacer.global": False},
)
"""First by sums over many steps, which are short to say; then step by step, which never mixes what is not mixed."""

_SETTINGS: Final[Mapping[str, bool | int]] = {
    "xform.slice": False,
    "xform.inline_linear": False,
    "xform.inline_eager": False,
    "spacer.random_seed": 0,
}
"""Rules stay as they are put, so that what is found speaks of every variable."""


@dataclass(frozen=True, slots=True)
class Guess:
    """A formula over `Var(i)`, the i-th of `names`, which Spacer says holds of every reachable state."""

    formula: z3.BoolRef
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoGuess:
    """Nothing was found: the abstract machine reaches what must not be, or the limit was."""

    reason: str


@dataclass(frozen=True, slots=True)
class Clause:
    """If the states are reachable and all of it holds, so is the state `after`; without one: what must not be.

    The states are views of one state of the machine, and perhaps an earlier one. `domain` is what is guaranteed of the
    call; of it, only what concerns the rest is given to Spacer. `alike` asks for what follows from equality of keys.
    """

    states: tuple[State, ...]
    said: tuple[z3.BoolRef, ...]
    domain: tuple[z3.BoolRef, ...] = ()
    after: State | None = None
    alike: bool = False


def beyond_goal(ground: Ground, goal: Expr) -> Clause:
    """A reachable state without the goal."""
    env = Environment(ground.ctx, state=state_symbols(ground), facts=fact_symbols(ground.contract, ground.ctx))
    said = at_every_key(env, lambda env: (*known(ground, env), z3.Not(term(goal, env, {}))))
    return Clause((looked_at(ground, env),), said)


def met_condition(ground: Ground, case: Case, condition: Expr) -> Clause:
    """A call decided by this case, in a reachable state, that meets the condition."""
    env = call_symbols(ground, case.tool)
    said = at_every_key(env, lambda env: (*known(ground, env), *meeting(case, condition, env)))
    return Clause((looked_at(ground, env),), said, guaranteed(ground, case, env, said))


def looked_at(ground: Ground, env: Environment) -> State:
    """The state of an environment, and what it has at the common values, by the text that says so."""
    return {**env.state, **{each.text: term(each.expr, env, {}) for each in probes_of(ground.contract, ground.commons)}}


def moving(ground: Ground) -> Iterator[Clause]:
    """Every way from a state to the next, as it is seen by the one who calls and by anybody else."""
    yield passing(ground)
    scopes = tuple(scope for scope in FACTS if any(each.scope == scope for each in ground.contract.variables))
    for case in (case for tool in ground.contract.tools for case in cases(tool) if permits(case)):
        for apart in ways_apart(scopes):
            yield permitting(ground, case, apart)
            if case.tool.on_success:
                yield succeeding(ground, case, apart)


def passing(ground: Ground) -> Clause:
    """The passing of time alone."""
    env = Environment(ground.ctx, state=state_symbols(ground), facts=fact_symbols(ground.contract, ground.ctx))
    later, said = ticked(ground, env)
    after = looked_at(ground, replace(env, state=later))
    return Clause((looked_at(ground, env),), (*at_every_key(env, lambda env: known(ground, env)), *said), after=after)


def permitting(ground: Ground, case: Case, apart: Apart) -> Clause:
    """A permit by this case, seen by somebody else in the scopes in which it is looked at `apart`."""

    def said(env: Environment) -> tuple[z3.BoolRef, ...]:
        return (
            *(each for view in views(ground, env, apart) for each in known(ground, view)),
            *differing_keys(ground.contract, env, apart, named=bool(ground.commons)),
            term(case.guard, env, facts_of(case)),
            *storable(ground, case.tool, env),
        )

    env = call_symbols(ground, case.tool)
    after = as_seen(ground, replace(env, state=following_terms(ground, case.tool, env)), apart)
    return _moved(ground, case, said, views(ground, env, apart), after)


def succeeding(ground: Ground, case: Case, apart: Apart) -> Clause:
    """The success of a call that this case permitted in an earlier state, seen as in `permitting`."""

    def said(env: Environment) -> tuple[z3.BoolRef, ...]:
        before, permitted = at_permit(ground, case, env)
        return (
            *known(ground, before),
            *permitted,
            *(each for view in views(ground, env, apart) for each in known(ground, view)),
            *differing_keys(ground.contract, env, apart, named=bool(ground.commons)),
        )

    env = call_symbols(ground, case.tool)
    after = as_seen(ground, replace(env, state=succeeded_terms(ground, case.tool, env)), apart)
    return _moved(ground, case, said, [*views(ground, env, apart), at_permit(ground, case, env)[0]], after)


def _moved(ground: Ground, case: Case, said: Said, reachable: list[Environment], after: Environment) -> Clause:
    env = call_symbols(ground, case.tool)
    terms, then = at_every_key(env, said), looked_at(ground, after)
    read = (*terms, *(value for value in then.values() if isinstance(value, z3.ExprRef)))
    states = tuple(looked_at(ground, each) for each in reachable)
    return Clause(states, terms, guaranteed(ground, case, env, read), then)


def guaranteed(ground: Ground, case: Case, env: Environment, read: tuple[z3.ExprRef, ...]) -> tuple[z3.BoolRef, ...]:
    """What is guaranteed of a call and its facts, without the words that nothing reads."""
    return (*domain(case.tool, quiet(case.tool, env, read)), *fact_domain(ground.contract, env))


def guess(ground: Ground, desk: Desk, wrong: Iterable[Clause], strategy: Mapping[str, bool]) -> Guess | NoGuess:
    """What Spacer says holds of every state that the projection reaches, and excludes every one of `wrong`."""
    time_ms = desk.time_ms()
    if time_ms <= 0:
        return NoGuess("out of time")
    try:
        engine = z3.Fixedpoint(ctx=ground.ctx)
        engine.set(engine="spacer", timeout=time_ms, rlimit=SPACER_RLIMIT, **_SETTINGS, **strategy)
        return _asked(ground, desk, wrong, engine)
    except z3.Z3Exception as error:  # `canceled` comes late, and as an exception
        return NoGuess(f"spacer gave up: {_message(error)}")


def _asked(ground: Ground, desk: Desk, wrong: Iterable[Clause], engine: z3.Fixedpoint) -> Guess | NoGuess:
    facts = fact_symbols(ground.contract, ground.ctx)
    initial = looked_at(ground, Environment(ground.ctx, state=initial_terms(ground), facts=facts))
    names = tuple(name for name, value in initial.items() if is_plain(value))
    if not names:
        return NoGuess("the state has neither numbers nor truth values")
    sorts = [single(initial[name]).sort() for name in names]
    reached = z3.Function("reached", *sorts, z3.BoolSort(ground.ctx))
    missed = z3.Function("missed", z3.BoolSort(ground.ctx))
    engine.register_relation(reached, missed)
    if ground.commons:
        engine.add_rule(_rule(Clause((), (), after=initial, alike=True), names, reached, missed))
    else:
        engine.add_rule(_reached(reached, names, initial))
    for clause in (*moving(ground), *wrong):
        engine.add_rule(_rule(replace(clause, alike=bool(ground.commons)), names, reached, missed))
    answer = engine.query(missed())
    desk.spent += _units_of(engine)
    if answer == z3.unsat:
        return Guess(engine.get_cover_delta(-1, reached), names)
    if answer == z3.sat:
        return NoGuess("numbers and truth values alone do not show it")
    return NoGuess(f"spacer gave up: {engine.reason_unknown()}")


def _reached(reached: z3.FuncDeclRef, names: tuple[str, ...], state: State) -> z3.BoolRef:
    return reached(*(single(state[name]) for name in names))


def _rule(clause: Clause, names: tuple[str, ...], reached: z3.FuncDeclRef, missed: z3.FuncDeclRef) -> z3.BoolRef:
    after = {} if clause.after is None else {name: single(clause.after[name]) for name in names}
    nexts = {name: z3.Const(f"next@{name}", value.sort()) for name, value in after.items()}
    moves = [nexts[name] == value for name, value in after.items()]
    head = missed() if clause.after is None else _reached(reached, names, nexts)
    told = [_told(number, names, state) for number, state in enumerate(clause.states)]
    reachable = [_reached(reached, names, state) for state, _ in told]
    core = (*clause.said, *moves, *(each for _, meant in told for each in meant))
    core = (*core, *alike(core)) if clause.alike else core
    whole = abstracted((*core, *clause.domain))  # together, so that what is the same stays the same
    body = (*whole[: len(core)], *concerning(whole[len(core) :], whole[: len(core)]))
    rule = z3.Implies(z3.And(*reachable, *body), head)
    free = free_constants((*body, *reachable, *nexts.values()))
    return z3.ForAll(free, rule) if free else rule


def _told(number: int, names: tuple[str, ...], state: State) -> tuple[State, list[z3.BoolRef]]:
    """The state with a constant for each of the names, and what those mean that the state has as terms."""
    shown, meant = {}, []
    for name in names:
        value = shown[name] = single(state[name])
        if not (z3.is_const(value) and value.decl().kind() == z3.Z3_OP_UNINTERPRETED):
            shown[name] = z3.Const(f"was@{number}@{name}", value.sort())
            meant.append(shown[name] == value)
    return shown, meant


def _message(error: z3.Z3Exception) -> str:
    told = error.value
    return told.decode(errors="replace") if isinstance(told, bytes) else str(told)


def _units_of(engine: z3.Fixedpoint) -> int:
    """Z3's resource units of one query."""
    statistics = engine.statistics()
    return int(statistics.get_key_value("rlimit count")) if "rlimit count" in statistics.keys() else 0  # noqa: SIM118 - no mapping
