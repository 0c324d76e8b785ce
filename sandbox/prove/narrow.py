"""A part of a tool's domain in which models are found fast: short printable strings, and no length as a number.

Z3 decides regular languages in milliseconds, and takes seconds once `Length` stands beside them. A model in here is
a model; that there is none says nothing, so only the whole domain is ever the hypothesis of a proof.
"""

from __future__ import annotations

from typing import Final

import z3

from sandbox.encode import Environment, ListTerm, Term, conjunction, elements, in_range, inhabits
from sandbox.ir import ArgType, ListType, PathType, StringType, Tool
from sandbox.regex import path_language, to_z3, z3_string

NARROW: Final = 40
"""Characters above the least size: room for an account number or a path of some folders."""

PRINTABLE: Final = (" ", "~")
"""ASCII from space to tilde: what a person can read and type."""


def has_strings(tool: Tool) -> bool:
    """Whether narrowing changes anything for this tool."""
    types = (a.type.items if isinstance(a.type, ListType) else a.type for a in tool.arguments)
    return any(isinstance(type_, StringType | PathType) for type_ in types)


def narrow_domain(tool: Tool, env: Environment) -> tuple[z3.BoolRef, ...]:
    """As `encode.domain`, and implying it."""
    facts = []
    for argument in tool.arguments:
        inside = conjunction(narrowly(env.args[argument.name], argument.type, env.ctx), env.ctx)
        facts.append(z3.Or(z3.Not(env.present[argument.name]), inside) if argument.optional else inside)
    return tuple(facts)


def narrowly(term: Term, type_: ArgType, ctx: z3.Context) -> list[z3.BoolRef]:
    """As `encode.inhabits`, and implying it."""
    match type_:
        case StringType(pattern=pattern, min_size=low, max_size=high):
            matched = [] if pattern is None else [z3.InRe(term, to_z3(pattern, mode="full", ctx=ctx))]
            return [*matched, z3.InRe(term, printable(ctx, low, min(high, low + NARROW)))]
        case PathType():
            return [z3.InRe(term, path_language(ctx)), z3.InRe(term, printable(ctx, 1, NARROW))]
        case ListType() if isinstance(term, ListTerm):
            present = elements(term)
            each = [z3.Implies(there, conjunction(narrowly(item, type_.items, ctx), ctx)) for there, item in present]
            pairs = [
                z3.Implies(there, other != item)
                for position, (there, item) in enumerate(present)
                for _, other in present[:position]
            ]
            sizes = in_range(term.length, type_.min_size, type_.max_size, ctx)
            return [sizes, *each, *(pairs if type_.unique else [])]
        case _:
            return inhabits(term, type_, ctx)


def printable(ctx: z3.Context, low: int, high: int) -> z3.ReRef:
    """Printable strings of `low` to `high` characters."""
    if high == 0:
        return z3.Re(z3_string("", ctx))
    ends = [z3_string(end, ctx) for end in PRINTABLE]
    characters = z3.Range(*ends)
    return z3.Loop(characters, low, high)
