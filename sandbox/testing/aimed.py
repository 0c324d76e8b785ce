"""Calls that the solver aims: for each rule, one that it decides, and ones just inside and just outside its bounds.

Each is the end of a sequence of calls from the initial state, found by the prover as it finds witnesses and replayed
as they are. What is not found in time is not aimed at; that shows nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from sandbox.ir import (
    Add,
    And,
    Arg,
    Const,
    Contract,
    DecimalSort,
    Div,
    DurationSort,
    Eq,
    Expr,
    Fact,
    Field,
    IntSort,
    Ite,
    Le,
    Lt,
    Mod,
    Mul,
    Neg,
    Not,
    Or,
    Property,
    Rule,
    Size,
    State,
    Sub,
    TimestampSort,
    Tool,
)
from sandbox.machine import rule_sort
from sandbox.prove.run import Batch, ProveOptions, prove_batches
from sandbox.prove.verdicts import Move, replay_of

AIM_SECONDS: Final = 5.0
"""For one aim; a bound that takes longer is found by chance or not."""
MAX_AIMS: Final = 400
"""Aims of one spec: a large one is aimed at rule by rule, its bounds as far as this goes."""


@dataclass(frozen=True, slots=True)
class Aim:
    """Calls from the initial state, in order; the last one is where `what` says."""

    what: str
    tool: str
    moves: tuple[Move, ...]


@cache
def aims(contract: Contract, *, jobs: int = 2, seconds: float = AIM_SECONDS) -> tuple[Aim, ...]:
    """Every aim of every rule that a sequence of calls was found for, in the spec's order; found once a process."""
    wanted = tuple(_wanted(contract))[:MAX_AIMS]
    if not wanted:
        return ()
    options = ProveOptions(jobs=jobs, timeout_s=seconds)
    report = prove_batches([Batch(Path(contract.file or "spec"), contract, wanted)], options)
    found = []
    for each in report.properties:
        replayed = replay_of(each.verdict)
        if replayed is not None and replayed.moves.calls:
            found.append(Aim(each.subject.text, each.subject.tools[0], replayed.moves.calls))
    return tuple(found)


def _wanted(contract: Contract) -> Iterator[Property]:
    """A `possible` for each aim; first every rule, then every bound."""
    rules = [(tool, rule) for tool in contract.tools for rule in tool.rules]
    for tool, rule in rules:
        yield _possible(tool, f"{tool.name}/{rule.id}: decides", _decided_by(tool, rule), decides=True)
    for tool, rule in rules:
        for number, (place, condition) in enumerate(_edges(rule.when), start=1):
            yield _possible(tool, f"{tool.name}/{rule.id}: {place} of bound {number}", condition, decides=False)


def _possible(tool: Tool, what: str, condition: Expr, *, decides: bool) -> Property:
    name = what.replace("/", "-").replace(": ", "-").replace(" ", "-")
    return Property(name, "possible", condition, tools=(tool.name,), mentions_decision=decides, text=what)


def _decided_by(tool: Tool, rule: Rule) -> Expr:
    sort = rule_sort(tool)
    return Eq(Fact("rule", sort), Const(rule.id, sort))


def _edges(when: Expr) -> Iterator[tuple[str, Expr]]:
    """The conjuncts' bounds, each met exactly and missed by one, with all the other conjuncts true."""
    conjuncts: tuple[Expr, ...] = when.operands if isinstance(when, And) else (when,)
    for at, each in enumerate(conjuncts):
        others = (*conjuncts[:at], *conjuncts[at + 1 :])
        for place, bound in _of_atom(each):
            yield place, And((bound, *others))


def _of_atom(atom: Expr) -> Iterator[tuple[str, Expr]]:
    match atom:
        case Le(left=left, right=right) if _counts(left) or _counts(right):
            yield "inside", Eq(left, right)
            yield "outside", Eq(left, _more(right))
        case Lt(left=left, right=right) if _counts(left) or _counts(right):
            yield "inside", Eq(_more(left), right)
            yield "outside", Eq(left, right)
        case Not(operand=Le(left=left, right=right)) if _counts(left) or _counts(right):
            yield "inside", Eq(left, _more(right))
            yield "outside", Eq(left, right)
        case Not(operand=Lt(left=left, right=right)) if _counts(left) or _counts(right):
            yield "inside", Eq(left, right)
            yield "outside", Eq(_more(left), right)
        case Or(operands=operands):
            for each in operands:
                yield from _of_atom(each)
            yield "outside", Not(atom)
        case _:
            yield "outside", Not(atom)


def _counts(expr: Expr) -> bool:
    """Whether an expression is a number: strings are compared too, and have no next one."""
    match expr:
        case Add() | Sub() | Neg() | Mul() | Div() | Mod() | Size():
            return True
        case Ite(then=then):
            return _counts(then)
        case Const(sort=sort) | Arg(sort=sort) | Field(sort=sort) | State(sort=sort) | Fact(sort=sort):
            return isinstance(sort, IntSort | DecimalSort | TimestampSort | DurationSort)
        case _:
            return False


def _more(expr: Expr) -> Expr:
    return Add(expr, Const(1, IntSort()))
