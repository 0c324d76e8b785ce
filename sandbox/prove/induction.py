"""Proofs over all sequences of calls, of any length: what holds at first and is kept by every step holds for ever."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from sandbox.ir import Assignment, Expr, Property
from sandbox.machine import is_window
from sandbox.prove import obligations
from sandbox.prove.focus import speaks_of
from sandbox.prove.mentions import variables_in
from sandbox.prove.obligations import Case, Ground, Query, cases, tool_of
from sandbox.prove.scopes import scopes_of, ways_apart
from sandbox.prove.solve import Answer, Desk, Open, Unsat


@dataclass(frozen=True, slots=True)
class Inductive:
    """The goal is kept by every step."""


@dataclass(frozen=True, slots=True)
class NotInductive:
    """A step was not shown to keep the goal; `decided` is false where a solver gave up instead of answering."""

    step: str
    decided: bool
    reason: str = ""


def growing_windows(ground: Ground, desk: Desk, among: frozenset[str]) -> frozenset[str]:
    """Which of these variables are windows that no permit can lower, by proof."""
    return frozenset(
        variable.name
        for variable in ground.contract.variables
        if variable.name in among and is_window(variable) and _only_grows(ground, desk, variable.name)
    )


def _only_grows(ground: Ground, desk: Desk, name: str) -> bool:
    if any(each.variable == name for tool in ground.contract.tools for each in tool.on_success):
        return False  # `compile` lets no success write a window
    writers = [tool for tool in ground.contract.tools if any(each.variable == name for each in tool.then)]
    queries = (
        obligations.contribution(ground, case, name) for tool in writers for case in cases(tool) if permits(case)
    )
    return all(isinstance(desk.prove(query), Unsat) for query in queries)


def permits(case: Case) -> bool:
    """Whether a call so decided can run: a person may approve anything that is asked."""
    return case.verdict != "deny"


def kept(ground: Ground, desk: Desk, hypotheses: tuple[Expr, ...], goal: Expr) -> Inductive | NotInductive:
    """Whether the goal holds initially, and after every step from a state of the hypotheses and the goal."""
    assumed = tuple(dict.fromkeys((*hypotheses, goal)))
    for query in steps(ground, assumed, goal):
        answer = desk.prove(query)
        if not isinstance(answer, Unsat):
            return _failed(query, answer)
    return Inductive()


def steps(ground: Ground, assumed: tuple[Expr, ...], goal: Expr) -> Iterator[Query]:
    """The obligations of one goal: initially, by the passing of time, by every permit and success of every tool.

    Nothing is asked about a permit or success that assigns nothing which the goal reads: it keeps what was assumed.
    """
    yield obligations.initially(ground, goal)
    yield obligations.after_tick(ground, assumed, goal)
    read = variables_in(goal)
    for tool in ground.contract.tools:
        permitting, succeeding = assigns(tool.then, read), assigns(tool.on_success, read)
        if not permitting and not succeeding:
            continue
        for case in (case for case in cases(tool) if permits(case)):
            for apart in ways_apart(scopes_of(ground.contract, goal)):
                if permitting:
                    yield obligations.after_permit(ground, case, assumed, goal, apart)
                if succeeding:
                    yield obligations.after_succeed(ground, case, assumed, goal, apart)


def assigns(steps: tuple[Assignment, ...], read: frozenset[str]) -> bool:
    """Whether any of the variables is assigned."""
    return any(each.variable in read for each in steps)


def _failed(query: Query, answer: Answer) -> NotInductive:
    if isinstance(answer, Open):
        return NotInductive(query.label, decided=False, reason=answer.reason)
    return NotInductive(query.label, decided=True)


def proved_together(ground: Ground, desk: Desk, candidates: tuple[Expr, ...]) -> frozenset[Expr]:
    """The greatest set of candidates found that is inductive as a whole: whoever fails is dropped, until none does."""
    remaining = tuple(dict.fromkeys(candidates))
    while remaining:
        failed = [goal for goal in remaining if not isinstance(kept(ground, desk, remaining, goal), Inductive)]
        if not failed:
            return frozenset(remaining)
        remaining = tuple(goal for goal in remaining if goal not in failed)
    return frozenset()


@dataclass(frozen=True, slots=True)
class Unmet:
    """No reachable state and call meets the condition."""


@dataclass(frozen=True, slots=True)
class Perhaps:
    """The cases in which it is not excluded; `reason` is why, where a solver gave up in one of them."""

    cases: tuple[Case, ...]
    reason: str = ""


def met(ground: Ground, desk: Desk, subject: Property, conditions: Mapping[str, Expr]) -> Unmet | Perhaps:
    """Whether the property's condition is excluded for every call of its tools in every state of what is known.

    `conditions` has the condition as it reads for each tool.
    """
    left, reasons = [], []
    for case in (case for name in conditions for case in cases(tool_of(ground.contract, name))):
        if not obligations.counts(subject, case) or not speaks_of(conditions[case.tool.name], case):
            continue
        answer = desk.prove(obligations.meets(ground, case, conditions[case.tool.name]))
        if isinstance(answer, Unsat):
            continue
        left.append(case)
        reasons += [answer.reason] if isinstance(answer, Open) else []
    return Perhaps(tuple(left), reasons[0] if reasons else "") if left else Unmet()


def grounded(ground: Ground, desk: Desk, among: frozenset[str] | None = None) -> Ground:
    """The ground with what can be shown of its windows, or of those `among` its variables."""
    every = among if among is not None else frozenset(variable.name for variable in ground.contract.variables)
    return replace(ground, growing=ground.growing | growing_windows(ground, desk, every - ground.growing))
