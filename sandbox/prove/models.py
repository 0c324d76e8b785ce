"""From a solver's model to a concrete call, and to a small one: what a person reads should have nothing accidental."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import z3

from sandbox.call import Value
from sandbox.canonical import show_value
from sandbox.encode import Environment, ListTerm, Term, read
from sandbox.errors import Fault
from sandbox.ir import (
    ArgType,
    DecimalType,
    IntType,
    Json,
    ListSort,
    ListType,
    PathType,
    StringType,
    TextType,
    Tool,
    item_sort_of,
    sort_of,
)
from sandbox.prove.narrow import printable
from sandbox.prove.obligations import Query
from sandbox.prove.solve import Desk, Model

SHRINK_S: Final = 4.0
"""Seconds for making a sequence small; a large one is still a counterexample."""

SHRINK_RLIMIT: Final = 2_000_000
"""Z3's resource units for one attempt: half a second."""

LENGTHS: Final = (0, 1, 2, 4, 8, 16, 32, 64)
"""Sizes that strings and lists are tried at, the smallest first."""

MAGNITUDES: Final = (0, 1, *(10**exponent for exponent in range(1, 13)))
"""Bounds that numbers are tried at (scaled ones, for decimals)."""

Conditions: TypeAlias = tuple[z3.BoolRef, ...]
Ladder: TypeAlias = tuple[Conditions, ...]


@dataclass(frozen=True, slots=True)
class Symbolic:
    """A call of a tool with symbols for its arguments, in an environment that has the state before it."""

    tool: Tool
    env: Environment


def arguments_of(model: Model, call: Symbolic) -> dict[str, Json]:
    """The arguments as raw JSON in the form that `parse` accepts; absent ones are left out."""
    return {
        argument.name: raw(model, call.env.args[argument.name], argument.type)
        for argument in call.tool.arguments
        if not argument.optional or is_true(model, call.env.present[argument.name])
    }


def raw(model: Model, term: Term, type_: ArgType) -> Json:
    """One argument's value in the model, as raw JSON; a text is told by its size alone."""
    if isinstance(term, ListTerm):
        return show_value(items_of(model, term, type_), type_)
    sort = sort_of(type_)
    if isinstance(sort, ListSort):
        message = "a scalar stands where a list is meant"
        raise Fault(message, "fault.unsupported")
    value = read(model.model, model.local(term), sort)
    return "a" * int(value) if isinstance(type_, TextType) and isinstance(value, int) else show_value(value, type_)


def items_of(model: Model, term: ListTerm, type_: ArgType) -> tuple[Value, ...]:
    """The elements of a list that are there."""
    if not isinstance(type_, ListType):
        message = "a list stands where a scalar is meant"
        raise Fault(message, "fault.unsupported")
    sort = item_sort_of(type_.items)
    return tuple(read(model.model, model.local(item), sort) for item in term.items[: number(model, term.length)])


def number(model: Model, term: z3.ArithRef) -> int:
    """The value of an integer term."""
    return int(model.model.eval(model.local(term), model_completion=True).as_long())


def is_true(model: Model, term: z3.BoolRef) -> bool:
    """The value of a Boolean term."""
    return bool(z3.is_true(model.model.eval(model.local(term), model_completion=True)))


def shrunk(desk: Desk, label: str, found: Model, calls: tuple[Symbolic, ...], preferred: Ladder) -> Model:
    """A model of the query that is small: each ladder is climbed to its first rung that still has a model."""
    small = replace(desk, deadline=min(desk.deadline, desk.clock() + SHRINK_S), rlimit=SHRINK_RLIMIT, spent=0)
    terms = found.terms
    for ladder in (preferred, *ladders(calls)):
        for rung in ladder:
            answer = small.search(Query(label, (*terms, *rung)))
            if isinstance(answer, Model):
                found, terms = answer, (*terms, *rung)
                break
    desk.spent += small.spent
    return found


def ladders(calls: tuple[Symbolic, ...]) -> Iterator[Ladder]:
    """What is made small, in this order: optional arguments, lists, strings, fractions, numbers."""
    absent = tuple(z3.Not(flag) for call in calls for flag in call.env.present.values())
    terms = [(call.env.args[each.name], each.type) for call in calls for each in call.tool.arguments]
    scalars = [pair for term, type_ in terms for pair in parts(term, type_)]
    lengths = [term.length for term, _ in terms if isinstance(term, ListTerm)]
    strings = [term for term, type_ in scalars if isinstance(type_, StringType | PathType)]
    decimals = [(term, 10**type_.scale) for term, type_ in scalars if isinstance(type_, DecimalType)]
    numbers = [term for term, type_ in scalars if isinstance(type_, IntType | DecimalType | TextType)]
    if absent:
        yield (absent,)
    if lengths:
        yield tuple(tuple(length <= bound for length in lengths) for bound in LENGTHS)
    if strings:
        yield tuple(tuple(z3.InRe(term, printable(term.ctx, 0, bound)) for term in strings) for bound in LENGTHS)
    if decimals:
        yield (tuple(term % unit == 0 for term, unit in decimals),)
    if numbers:
        yield tuple(tuple(z3.And(term >= -bound, term <= bound) for term in numbers) for bound in MAGNITUDES)


def parts(term: Term, type_: ArgType) -> list[tuple[z3.ExprRef, ArgType]]:
    """The scalars that a term consists of, each with its type."""
    if isinstance(term, ListTerm) and isinstance(type_, ListType):
        return [(item, type_.items) for item in term.items]
    return [(term, type_)]
