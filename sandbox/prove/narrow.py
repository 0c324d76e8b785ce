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
    comparable,
    conjunction,
    differing,
    disjunction,
    elements,
    in_range,
    inhabits,
    single,
)
from sandbox.ir import (
    TIMESTAMP_RANGE,
    ArgType,
    Argument,
    ArgvType,
    Contract,
    EmailType,
    ListSort,
    ListType,
    PathType,
    RecordSort,
    RecordType,
    ShellType,
    Sort,
    StringSort,
    StringType,
    Tool,
    UrlType,
    sort_of,
)
from sandbox.prove.quiet import COMMANDS, WORDS
from sandbox.regex import path_language, to_z3, z3_string
from sandbox.shell import RESERVED
from sandbox.url_shapes import inner_names

NARROW: Final = 40
"""Characters above the least size: room for an account number or a path of some folders."""

PROGRAM: Final = "[a-z./][a-z0-9./_-]*"
"""What no shell takes for anything but a program's name, beside its reserved words."""

_LABEL: Final = "[a-z]([a-z0-9-]*[a-z0-9])?"
_SEGMENT: Final = r"\.?[A-Za-z0-9_~-][A-Za-z0-9._~-]*"
HOST_NAME: Final = rf"{_LABEL}(\.{_LABEL})*"
ADDRESSES: Final = {"10.0.0.1": True, "1.1.1.1": False, "::1": True, "2606:4700::1": False}
"""Hosts that are addresses, and whether they are private."""

URL_SHAPES: Final = {"path": rf"(/({_SEGMENT})?)+", "query": "[A-Za-z0-9&=._-]*"}
"""The rest of URLs that are read as they stand, whatever reads them."""

EMAIL_SHAPES: Final = {
    "local": "[a-z0-9]+([._+-][a-z0-9]+)*|[A-Za-z]+",
    "domain": rf"({_LABEL}\.)+[a-z][a-z]+",
}
"""Addresses that every mailer knows."""

PRINTABLE: Final = (" ", "~")
"""ASCII from space to tilde: what a person can read and type."""


def strings_of(tool: Tool, env: Environment) -> int:
    """How many strings a call of this tool has at most; of none, narrowing changes nothing."""
    every = (part for a in tool.arguments for part in parts(env.args[a.name], sort_of(a.type)))
    return sum(isinstance(sort, StringSort) for _, sort in every)


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
            distinct = differing(term) if unique and comparable(items) else []
            return [in_range(term.length, low, min(high, len(term.items)), ctx), *each, *distinct]
        case RecordType(fields=fields) if isinstance(term, RecordTerm):
            return [narrow_part(f, term.parts[f.name], term.present.get(f.name), ctx) for f in fields]
        case UrlType(schemes=schemes) if isinstance(term, RecordTerm):
            return url_narrowly(term, schemes, ctx)
        case EmailType() if isinstance(term, RecordTerm):
            return [fits(single(term.parts[name]), shape, ctx) for name, shape in EMAIL_SHAPES.items()]
        case ArgvType(max_size=high) if isinstance(term, ListTerm):
            return [in_range(term.length, 1, min(high, WORDS), ctx), *plain_words(few(term, WORDS), ctx)]
        case ShellType() if isinstance(term, ListTerm):
            return shell_narrowly(term, ctx)
        case _:
            return inhabits(term, type_, ctx)


def fits(text: z3.SeqRef, shape: str, ctx: z3.Context) -> z3.BoolRef:
    """Whether a text is of a pattern."""
    return z3.InRe(text, to_z3(shape, mode="full", ctx=ctx))


def url_narrowly(url: RecordTerm, schemes: tuple[str, ...], ctx: z3.Context) -> list[z3.BoolRef]:
    """A URL of a host with a name, or with one of some addresses."""
    scheme, host, port, is_ip, private = (
        single(url.parts[name]) for name in ("scheme", "host", "port", "is_ip", "is_private")
    )
    named = z3.And(z3.Not(is_ip), fits(host, HOST_NAME, ctx), private == z3.InRe(host, inner_names(ctx)))
    numbered = [z3.And(is_ip, host == z3_string(one, ctx), private == inner) for one, inner in ADDRESSES.items()]
    return [
        disjunction([scheme == z3_string(name, ctx) for name in schemes], ctx),
        z3.Or(named, *numbered),
        in_range(port, 1, 65_535, ctx),
        *(fits(single(url.parts[name]), shape, ctx) for name, shape in URL_SHAPES.items()),
    ]


def few(items: ListTerm, most: int) -> ListTerm:
    """The first places of a list."""
    return ListTerm(items.length, items.items[:most], items.beyond)


def plain_words(words: ListTerm, ctx: z3.Context) -> list[z3.BoolRef]:
    """Every word that is there is short and printable."""
    language = printable(ctx, 0, NARROW)
    return [z3.Implies(there, z3.InRe(single(word), language)) for there, word in elements(words)]


def shell_narrowly(line: ListTerm, ctx: z3.Context) -> list[z3.BoolRef]:
    """Few commands of few words, each beginning with a program that is no word of the shell's own."""
    programs = z3.Intersect(
        to_z3(PROGRAM, mode="full", ctx=ctx),
        z3.Complement(to_z3("|".join(sorted(RESERVED)), mode="full", ctx=ctx)),
        printable(ctx, 1, NARROW),
    )
    facts = [in_range(line.length, 1, COMMANDS, ctx)]
    for there, command in elements(line)[:COMMANDS]:
        if isinstance(command, ListTerm):
            program = z3.InRe(single(command.items[0]), programs)
            inside = [in_range(command.length, 1, WORDS, ctx), program, *plain_words(few(command, WORDS), ctx)]
            facts.append(z3.Implies(there, conjunction(inside, ctx)))
    return facts


def printable(ctx: z3.Context, low: int, high: int) -> z3.ReRef:
    """Printable strings of `low` to `high` characters."""
    if high == 0:
        return z3.Re(z3_string("", ctx))
    ends = [z3_string(end, ctx) for end in PRINTABLE]
    characters = z3.Range(*ends)
    return z3.Loop(characters, low, high)
