"""From a solver's model to a concrete call, and to a small one: what a person reads should have nothing accidental."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, TypeAlias

import z3

from sandbox.call import UNKNOWN, Value
from sandbox.canonical import raw_value
from sandbox.encode import Environment, ListTerm, RecordTerm, Term, origin, read, single
from sandbox.errors import Fault
from sandbox.ir import (
    URL_SORT,
    ArgType,
    Contract,
    DecimalSort,
    IntSort,
    Json,
    ListSort,
    OriginHas,
    RecordSort,
    Sort,
    StringSort,
    TextSort,
    Tool,
    sort_of,
)
from sandbox.origins import labels_of, origins_asked
from sandbox.prove.narrow import parts, printable
from sandbox.prove.obligations import Query
from sandbox.prove.solve import Desk, Model
from sandbox.prove.stringwise import MANY
from sandbox.regex import z3_string
from sandbox.urls import DEFAULT_PORTS

SHRINK_UNITS: Final = 4_000_000
"""Z3's resource units for making a sequence small, about a second; a large one is still a counterexample."""

SHRINK_RLIMIT: Final = 1_000_000
"""For one attempt."""

SHRINK_S: Final = 20.0
"""Seconds, whatever the units: on a machine that does something else as well."""

LENGTHS: Final = (0, 1, 2, 3, 4, 8, 16, 32, 64)
"""Sizes that strings and lists are tried at, the smallest first."""

PLAIN: Final = (("A", "0", "a", "/"), ("A-Z", "0-9", "a-z", "/"), ("A-Z", "0-9", "a-z", "-./", "_", "@"))
"""Characters that strings are tried to be made of, the plainest first: alone, or as the first and last of a range."""

MOST_PLAIN: Final = 8
"""Strings of a sequence that are made plain one by one."""

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


def session_of(model: Model, contract: Contract, call: Symbolic) -> dict[str, Json]:
    """The facts of the session at the call, as raw JSON."""
    return {fact.name: raw(model, call.env.facts[f"session.{fact.name}"], fact.type) for fact in contract.session}


def origins_of(
    model: Model, contract: Contract, call: Symbolic, more: Iterable[OriginHas]
) -> dict[str, tuple[str, ...]]:
    """The labels of each argument of which the tool's rules, or whatever `more` stands in, ask any.

    Where none of those that are asked about is there, one that nobody asks about is, if the spec has such a label: a
    value without any origin comes from no gate.
    """
    asked = {*origins_asked(call.tool), *more} if call.env.origins is not None else set()
    found: dict[str, tuple[str, ...]] = {}
    for name in sorted({each.argument for each in asked}):
        labels = sorted(each.label for each in asked if each.argument == name)
        held = tuple(label for label in labels if is_true(model, origin(name, label, call.env)))
        others = (label for label in (UNKNOWN, *labels_of(contract)) if label not in labels)
        found[name] = held or tuple(islice(others, 1))
    return found


def raw(model: Model, term: Term, type_: ArgType) -> Json:
    """One argument's value in the model, as raw JSON."""
    return raw_value(value_of(model, term, sort_of(type_)), type_)


def value_of(model: Model, term: Term, sort: Sort) -> Value:
    """The canonical value of a term; of a text, which is known by its size alone, some text of that size."""
    match sort:
        case ListSort(item=item) if isinstance(term, ListTerm):
            return tuple(value_of(model, each, item) for each in term.items[: number(model, term.length)])
        case RecordSort(fields=fields) if isinstance(term, RecordTerm):
            there = [
                each for each in fields if each.name not in term.present or is_true(model, term.present[each.name])
            ]
            return {each.name: value_of(model, term.parts[each.name], each.sort) for each in there}
        case ListSort() | RecordSort():
            message = "a term is not of its sort"
            raise Fault(message, "fault.unsupported")
        case TextSort():
            return "a" * number(model, single(term))
        case _:
            return read(model.model, model.local(single(term)), sort)


def number(model: Model, term: z3.ArithRef) -> int:
    """The value of an integer term."""
    return int(model.model.eval(model.local(term), model_completion=True).as_long())


def is_true(model: Model, term: z3.BoolRef) -> bool:
    """The value of a Boolean term."""
    return bool(z3.is_true(model.model.eval(model.local(term), model_completion=True)))


def shrunk(desk: Desk, label: str, found: Model, ladders: Iterable[Ladder], strings: int = MANY) -> Model:
    """A model of the query that is small: each ladder is climbed to its first rung that still has a model.

    A rung on which the model stands already costs nothing. What it all costs is counted in units, so that the same
    sequence is found on every machine.
    """
    small = replace(desk, deadline=min(desk.deadline, desk.clock() + SHRINK_S), rlimit=SHRINK_RLIMIT, spent=0)
    terms = found.terms
    for ladder in ladders:
        for conditions in ladder:
            if not all(is_true(found, each) for each in conditions):
                if small.spent >= SHRINK_UNITS or small.left() <= 0:
                    continue
                answer = small.search(Query(label, (*terms, *conditions), strings=strings))
                if not isinstance(answer, Model):
                    continue
                found = answer
            terms = (*terms, *conditions)
            break
    desk.spent += small.spent
    return replace(found, terms=terms)


def as_long(model: Model, calls: tuple[Symbolic, ...]) -> tuple[Conditions, tuple[Symbolic, ...]]:
    """That no list is longer than it is in the model, and the calls without the places of a list that are beyond."""
    conditions: list[z3.BoolRef] = []
    seen: list[Symbolic] = []
    for call in calls:
        args = dict(call.env.args)
        for name, term in args.items():
            if isinstance(term, ListTerm):
                most = number(model, term.length)
                conditions.append(term.length <= most)
                args[name] = replace(term, items=term.items[: max(0, most)])
        seen.append(replace(call, env=replace(call.env, args=args)))
    return tuple(conditions), tuple(seen)


def ladders(calls: tuple[Symbolic, ...]) -> Iterator[Ladder]:
    """What is made small, in this order: optional parts, lists, URLs, strings, fractions, numbers."""
    terms = [(call.env.args[each.name], sort_of(each.type)) for call in calls for each in call.tool.arguments]
    every = [part for term, sort in terms for part in parts(term, sort)]
    flags = [flag for call in calls for flag in call.env.present.values()]
    flags += [flag for term, _ in every if isinstance(term, RecordTerm) for flag in term.present.values()]
    lengths = [term.length for term, _ in every if isinstance(term, ListTerm)]
    strings = [single(term) for term, sort in every if isinstance(sort, StringSort)]
    decimals = [(single(term), 10**sort.scale) for term, sort in every if isinstance(sort, DecimalSort)]
    urls = [term for term, sort in every if sort == URL_SORT and isinstance(term, RecordTerm)]
    ports = {single(url.parts["port"]).get_id() for url in urls}
    sized = [single(term) for term, sort in every if isinstance(sort, IntSort | DecimalSort | TextSort)]
    numbers = [term for term in sized if term.get_id() not in ports]
    if flags:
        yield (tuple(z3.Not(flag) for flag in flags),)
    if lengths:
        yield tuple(tuple(length <= bound for length in lengths) for bound in LENGTHS)
    for name in ("port", "query", "path") if urls else ():
        yield (tuple(customary(url, name) for url in urls),)
    if strings:
        yield tuple(tuple(z3.InRe(term, printable(term.ctx, 0, bound)) for term in strings) for bound in LENGTHS)
    for term in strings[:MOST_PLAIN]:
        yield tuple((z3.InRe(term, plain(ranges, term.ctx)),) for ranges in PLAIN)
    if decimals:
        yield (tuple(term % unit == 0 for term, unit in decimals),)
    if numbers:
        yield tuple(tuple(z3.And(term >= -bound, term <= bound) for term in numbers) for bound in MAGNITUDES)


def plain(ranges: tuple[str, ...], ctx: z3.Context) -> z3.ReRef:
    """Strings of these characters, each given alone or as the first and the last of several."""
    each = [z3.Range(z3_string(text[0], ctx), z3_string(text[-1], ctx)) for text in ranges]
    return z3.Star(z3.Union(*each))


def customary(url: RecordTerm, part: str) -> z3.BoolRef:
    """A part of a URL is the one that is left out when people write it."""
    term, scheme = single(url.parts[part]), single(url.parts["scheme"])
    match part:
        case "port":
            known = [z3.And(scheme == z3_string(name, term.ctx), term == port) for name, port in DEFAULT_PORTS.items()]
            return z3.Or(*known)
        case "path":
            return term == z3_string("/", term.ctx)
        case _:
            return term == z3_string("", term.ctx)
