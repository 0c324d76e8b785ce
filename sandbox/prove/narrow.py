"""A part of a tool's domain in which models are found fast: short printable strings, and no length as a number.

Z3 decides regular languages in milliseconds, and takes seconds once `Length` stands beside them. A model in here is
a model; that there is none says nothing, so only the whole domain is ever the hypothesis of a proof.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import z3

from sandbox.encode import (
    Environment,
    ListTerm,
    RecordTerm,
    Term,
    conjunction,
    differing,
    elements,
    in_range,
    inhabits,
)
from sandbox.ir import (
    TIMESTAMP_RANGE,
    ArgType,
    Argument,
    Contract,
    ListSort,
    ListType,
    PathType,
    RecordSort,
    RecordType,
    Sort,
    StringSort,
    StringType,
    Tool,
    sort_of,
)
from sandbox.regex import path_language, to_z3, z3_string

NARROW: Final = 40
"""Characters above the least size: room for an account number or a path of some folders."""

PRINTABLE: Final = (" ", "~")
"""ASCII from space to tilde: what a person can read and type."""


def has_strings(tool: Tool, env: Environment) -> bool:
    """Whether narrowing changes anything for this tool."""
    every = (part for a in tool.arguments for part in parts(env.args[a.name], sort_of(a.type)))
    return any(isinstance(sort, StringSort) for _, sort in every)


def parts(term: Term, sort: Sort) -> Iterator[tuple[Term, Sort]]:
    """The term and all that it consists of, each with its sort."""
    yield term, sort
    if isinstance(term, ListTerm) and isinstance(sort, ListSort):
        for item in term.items:
            yield from parts(item, sort.item)
    if isinstance(term, RecordTerm) and isinstance(sort, RecordSort):
        for each in sort.fields:
            yield from parts(term.parts[each.name], each.sort)


def narrow_domain(tool: Tool, env: Environment) -> tuple[z3.BoolRef, ...]:
    """As `encode.domain`, and implying it."""
    return tuple(narrow_part(a, env.args[a.name], env.present.get(a.name), env.ctx) for a in tool.arguments)


def narrow_fact_domain(contract: Contract, env: Environment) -> tuple[z3.BoolRef, ...]:
    """As `encode.fact_domain`, and implying it."""
    now = in_range(env.facts["now"], *TIMESTAMP_RANGE, env.ctx)
    return (now, *(narrow_part(a, env.facts[f"session.{a.name}"], None, env.ctx) for a in contract.session))


def narrow_part(part: Argument, term: Term, present: z3.BoolRef | None, ctx: z3.Context) -> z3.BoolRef:
    """As `encode.part_domain`, and implying it."""
    inside = conjunction(narrowly(term, part.type, ctx), ctx)
    return inside if present is None else z3.Or(z3.Not(present), inside)


def narrowly(term: Term, type_: ArgType, ctx: z3.Context) -> list[z3.BoolRef]:
    """As `encode.inhabits`, and implying it."""
    match type_:
        case StringType(pattern=pattern, min_size=low, max_size=high):
            matched = [] if pattern is None else [z3.InRe(term, to_z3(pattern, mode="full", ctx=ctx))]
            return [*matched, z3.InRe(term, printable(ctx, low, min(high, low + NARROW)))]
        case PathType():
            return [z3.InRe(term, path_language(ctx)), z3.InRe(term, printable(ctx, 1, NARROW))]
        case ListType(items=items, min_size=low, max_size=high, unique=unique) if isinstance(term, ListTerm):
            each = [z3.Implies(there, conjunction(narrowly(i, items, ctx), ctx)) for there, i in elements(term)]
            return [in_range(term.length, low, high, ctx), *each, *(differing(term) if unique else [])]
        case RecordType(fields=fields) if isinstance(term, RecordTerm):
            return [narrow_part(f, term.parts[f.name], term.present.get(f.name), ctx) for f in fields]
        case _:
            return inhabits(term, type_, ctx)


def printable(ctx: z3.Context, low: int, high: int) -> z3.ReRef:
    """Printable strings of `low` to `high` characters."""
    if high == 0:
        return z3.Re(z3_string("", ctx))
    ends = [z3_string(end, ctx) for end in PRINTABLE]
    characters = z3.Range(*ends)
    return z3.Loop(characters, low, high)
