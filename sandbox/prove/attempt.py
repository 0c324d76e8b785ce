"""One property, attempted: what the solvers say of it. What they found is a claim until it has been replayed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TypeAlias

import z3

from sandbox.ir import FALSE, Contract, Expr, Property, Tool
from sandbox.prove import obligations
from sandbox.prove.findings import BY_TYPE, RULES_ONLY, Empty, Finding, GaveUp, Holds, Shown, Unreachable
from sandbox.prove.focus import for_tool, speaks_of
from sandbox.prove.horn import beyond_goal, met_condition
from sandbox.prove.induction import (
    Inductive,
    NotInductive,
    Perhaps,
    Unmet,
    grounded,
    kept,
    met,
    proved_together,
)
from sandbox.prove.mentions import variables_in
from sandbox.prove.needing import before_of, remembering
from sandbox.prove.obligations import Case, Ground, Query, cases, tool_of
from sandbox.prove.sameness import commons
from sandbox.prove.solve import Answer, Desk, Open, Sat, Unsat
from sandbox.prove.strengthen import Aim, NotStrengthened, Strengthened, strengthened
from sandbox.prove.supported import check_supported
from sandbox.prove.unroll import CallTarget, Found, NotFound, StateTarget, at_a_glance, shortest
from sandbox.prove.within import attempt_within

_Maker: TypeAlias = Callable[[Ground, Tool, Expr], Query]


def attempt(contract: Contract, subject: Property, others: tuple[Expr, ...], desk: Desk) -> Finding:
    """What can be found out about one property.

    `others` are conditions of `always` properties of the same spec: for an `always`, candidates to be proved
    together with it; for the other kinds, invariants that have been proved.
    """
    check_supported(contract, subject)
    ground = Ground(contract, z3.Context())
    match subject.kind:
        case "always":
            return attempt_always(ground, subject, others, desk)
        case "never" | "flow":
            return attempt_never(replace(ground, invariants=others), subject, desk)
        case "possible":
            return attempt_possible(replace(ground, invariants=others), subject, desk)
        case "needs":
            return attempt_needs(ground, subject, others, desk)
        case "within":
            return attempt_within(contract, subject, others, desk)


def attempt_always(ground: Ground, subject: Property, others: tuple[Expr, ...], desk: Desk) -> Finding:
    """By induction alone, with the others, with an invariant that is found; else a sequence to a state without it.

    What can be shown of windows is shown of its own ones first, and of all only where that is not enough.
    """
    ground = grounded(ground, desk, variables_in(subject.condition))
    alone = kept(ground, desk, (), subject.condition)
    if isinstance(alone, Inductive):
        return Holds()
    more = grounded(ground, desk)
    if more.growing != ground.growing:
        ground, alone = more, kept(more, desk, (), subject.condition)
        if isinstance(alone, Inductive):
            return Holds()
    if others and subject.condition in proved_together(ground, desk, (subject.condition, *others)):
        return Holds()
    aim = Aim((subject.condition,), (beyond_goal(ground, subject.condition),), lambda *_: True)
    stronger = strengthened(ground, desk, aim)
    if isinstance(stronger, Strengthened):
        return Holds(invariant=stronger.texts)
    match shortest(ground, desk, (StateTarget(subject.condition),)):
        case Found(moves=moves):
            return Shown(moves)
        case NotFound(reason=reason):
            return GaveUp(f"{_why_not_inductive(alone)}; no invariant was found: {stronger.reason}; {reason}")


def _why_not_inductive(alone: NotInductive) -> str:
    if alone.decided:
        return f"the step `{alone.step}` is not inductive"
    return f"{alone.reason} at the step `{alone.step}`"


def attempt_never(ground: Ground, subject: Property, desk: Desk) -> Finding:
    """Vacuous, excluded by the types, excluded case by case; else a shortest sequence that ends in such a call."""
    nothing = contradiction(ground, subject, desk)
    if nothing is not None:
        return nothing
    hypotheses = inhabited_tools(ground, subject, desk)
    if hypotheses is not None:
        return hypotheses
    conditions = by_tool(ground.contract, subject)
    if all(isinstance(desk.prove(query), Unsat) for query in _each(obligations.typed, ground, subject)):
        return Holds(BY_TYPE)
    ground, found = met_in(ground, subject, conditions, desk)
    match found:
        case Unmet():
            return Holds(_rules_only(ground, subject, desk))
        case Perhaps() as open_cases:
            stronger = excluded(ground, subject, open_cases, desk)
            if isinstance(stronger, Strengthened):
                return Holds(_rules_only(ground, subject, desk), stronger.texts)
            return search(ground, subject, open_cases, desk)


def attempt_needs(ground: Ground, subject: Property, others: tuple[Expr, ...], desk: Desk) -> Finding:
    """Vacuous where no call can be the one before, whatever the rules; else as the `never` that it comes to."""
    nothing = nothing_before(ground, subject, desk)
    if nothing is not None:
        return nothing
    watched, never = remembering(ground.contract, subject)
    own = Ground(watched, ground.ctx, invariants=others, commons=commons((never.condition,)))
    return attempt_never(own, never, desk)


def nothing_before(ground: Ground, subject: Property, desk: Desk) -> Empty | GaveUp | None:
    """Whether `before` is false whatever the call: what is left to say is a `never`, and was hardly meant."""
    every = tuple(tool.name for tool in ground.contract.tools)
    before = replace(subject, condition=before_of(subject), tools=every)
    queries = (replace(query, label=f"before_{query.tool}") for query in _each(obligations.consistent, ground, before))
    match somewhere(desk, queries):
        case Unsat():
            return Empty("its `before` contradicts itself, whatever the call")
        case Open(reason=reason):
            return GaveUp(f"whether any call can come before is not decided: {reason}")
        case Sat():
            return None


def somewhere(desk: Desk, queries: Iterable[Query]) -> Answer:
    """Whether one of the queries has a model: asked one by one until one has; open, if none has and one is open."""
    undecided: Open | None = None
    for query in queries:
        answer = desk.prove(query)
        if isinstance(answer, Sat):
            return answer
        undecided = undecided or (answer if isinstance(answer, Open) else None)
    return undecided or Unsat()


def attempt_possible(ground: Ground, subject: Property, desk: Desk) -> Finding:
    """Excluded for every state of what is known; else a shortest sequence. A call that can run is looked for first."""
    conditions = by_tool(ground.contract, subject)
    every = tuple(case for name in conditions for case in cases(tool_of(ground.contract, name)))
    at_once = at_a_glance(ground, desk, targets_of(every, conditions))
    if at_once is not None:
        return Shown(at_once.moves)
    ground, found = met_in(ground, subject, conditions, desk)
    match found:
        case Unmet():
            return Unreachable()
        case Perhaps() as open_cases:
            stronger = excluded(ground, subject, open_cases, desk)
            if isinstance(stronger, Strengthened):
                return Unreachable(stronger.texts)
            return search(ground, subject, open_cases, desk)


def met_in(
    ground: Ground, subject: Property, conditions: Mapping[str, Expr], desk: Desk
) -> tuple[Ground, Unmet | Perhaps]:
    """Whether the condition is excluded; what can be shown of windows is shown only where it is not without that."""
    found = met(ground, desk, subject, conditions)
    if isinstance(found, Unmet):
        return ground, found
    ground = grounded(ground, desk)
    return ground, met(ground, desk, subject, conditions) if ground.growing else found


def excluded(ground: Ground, subject: Property, open_cases: Perhaps, desk: Desk) -> Strengthened | NotStrengthened:
    """An invariant by which no call in the open cases meets the condition; not looked for where no state is read."""
    conditions = by_tool(ground.contract, subject)
    read = (expr for case in open_cases.cases for expr in (case.guard, case.first, conditions[case.tool.name]))
    if not any(variables_in(expr) for expr in read):
        return NotStrengthened("no state is read")
    wrong = tuple(met_condition(ground, case, conditions[case.tool.name]) for case in open_cases.cases)
    aim = Aim((), wrong, lambda stronger, asked: isinstance(met(stronger, asked, subject, conditions), Unmet))
    return strengthened(ground, desk, aim)


def contradiction(ground: Ground, subject: Property, desk: Desk) -> Empty | GaveUp | None:
    """Whether the condition says nothing: over no tool, or false whatever the call, the state and the decision."""
    if not subject.tools:
        return Empty("it ranges over no tool")
    match somewhere(desk, _each(obligations.consistent, ground, subject)):
        case Unsat():
            return Empty("its condition contradicts itself, whatever the call, the state and the decision")
        case Open(reason=reason):
            return GaveUp(f"whether it says anything is not decided: {reason}")
        case Sat():
            return None


def inhabited_tools(ground: Ground, subject: Property, desk: Desk) -> GaveUp | None:
    """The hypotheses of the proof are satisfiable: each tool has a call that can be parsed, or none by proof."""
    for name in by_tool(ground.contract, subject):
        answer = desk.prove(obligations.inhabited(ground, tool_of(ground.contract, name)))
        if isinstance(answer, Open):
            return GaveUp(f"whether any call of `{name}` can be parsed is not decided: {answer.reason}")
    return None


def search(ground: Ground, subject: Property, open_cases: Perhaps, desk: Desk) -> Finding:
    """A shortest sequence to a call in one of the cases."""
    targets = targets_of(open_cases.cases, by_tool(ground.contract, subject))
    match shortest(ground, desk, targets):
        case Found(moves=moves):
            return Shown(moves)
        case NotFound(reason=reason):
            return GaveUp(f"{open_cases.reason}; {reason}" if open_cases.reason else reason)


def targets_of(chosen: tuple[Case, ...], conditions: Mapping[str, Expr]) -> tuple[CallTarget, ...]:
    """What to search for: calls that can run before those that are denied."""
    spoken = (case for case in chosen if speaks_of(conditions[case.tool.name], case))
    ordered = sorted(spoken, key=lambda case: case.verdict == "deny")
    return tuple(CallTarget(case, conditions[case.tool.name]) for case in ordered)


def _rules_only(ground: Ground, subject: Property, desk: Desk) -> str:
    """The note of a condition that a deny makes easier to meet, or none."""
    if not subject.mentions_decision:
        return ""
    queries = _each(obligations.eased_by_deny, ground, subject)
    return "" if all(isinstance(desk.prove(query), Unsat) for query in queries) else RULES_ONLY


def _each(make: _Maker, ground: Ground, subject: Property) -> Iterator[Query]:
    """The query about each tool that the condition can hold of, made once it is asked for."""
    for name, condition in by_tool(ground.contract, subject).items():
        yield make(ground, tool_of(ground.contract, name), condition)


def by_tool(contract: Contract, subject: Property) -> dict[str, Expr]:
    """The property's condition as it reads for each of its tools; without those for which it reads `false`."""
    conditions = {name: for_tool(subject.condition, tool_of(contract, name)) for name in subject.tools}
    return {name: condition for name, condition in conditions.items() if condition != FALSE}
