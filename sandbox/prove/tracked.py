"""A long list by few of its elements: as many as what is asked can tell from all of them.

Where a model says that some element is such and such, it has one; let that be among the few. What it says of every
element, it says of the few. So a model of what is asked of the whole list leaves one of what is asked of the few, and
where those have none, the whole has none. The other way round it is not so, and nothing is concluded from a model.

How many elements that takes is counted in the very terms that go to the solver, read in negation normal form: one for
each `exists` that has to hold and each `all` that has to fail, two for those whose sense is not certain (under an
equality, in a condition, counted by `exists_one`), each as often as there are elements of the lists that are quantified
over all of around it. So an `exists` over a list has to stand under no `all` over the same list, nor may the lists be
so around one another in a circle; such lists are written out whole. An element that an index names is one more, which
every quantifier ranges over. docs/semantics.md has the argument in full.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import z3

from sandbox.encode import Environment, Few, ListTerm, Term, element_at, symbol
from sandbox.ir import ArgvType, ListSort, ListType, Tool, sort_of
from sandbox.prove.demand import demanded
from sandbox.prove.keys import Said, at_every_key

MAX_ROUNDS: Final = 12
"""Each counts anew with as many elements as the last one asked for; a chain of lists takes one for each of them."""

MAX_FEW: Final = 200
"""Elements of one list: beyond it little is gained."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """A list argument of at most `most` elements, and the term of those that stand for them."""

    argument: str
    most: int
    term: ListTerm

    @property
    def words(self) -> str:
        """How many elements stand for how many."""
        count = len(self.term.items)
        return f"{count} {'element stands' if count == 1 else 'elements stand'} for up to {self.most:,}"

    @property
    def flags(self) -> tuple[str, ...]:
        """The names of what tells whether an element is there: by them, which elements these are."""
        return () if self.term.few is None else tuple(str(flag) for flag in self.term.few.there)


@dataclass(frozen=True, slots=True)
class FewElements:
    """An environment in which lists have few elements, what is known of these, and what is said there."""

    env: Environment
    facts: tuple[z3.BoolRef, ...]
    terms: tuple[z3.BoolRef, ...]
    lists: tuple[Tracked, ...]


@dataclass(frozen=True, slots=True)
class _Places:
    """How many elements may be any of the list, and which are at a known position."""

    free: int = 1
    indices: frozenset[int] = frozenset()

    def fits(self, other: _Places) -> bool:
        return other.free <= self.free and other.indices <= self.indices

    def with_(self, other: _Places) -> _Places:
        return _Places(max(self.free, other.free), self.indices | other.indices)


@dataclass(slots=True)
class _Built:
    """Lists of few elements: each flag that tells of a free one, or of one with an index, and the positions read."""

    env: Environment
    facts: list[z3.BoolRef] = field(default_factory=list)
    lists: list[Tracked] = field(default_factory=list)
    flags: dict[int, tuple[str, int | None]] = field(default_factory=dict)
    read: dict[str, set[int]] = field(default_factory=dict)


def lists_of(tool: Tool) -> dict[str, int]:
    """The list arguments that can have more than one element, each with the most that it can have."""
    found = {a.name: a.type.max_size for a in tool.arguments if isinstance(a.type, ListType | ArgvType)}
    return {name: most for name, most in found.items() if most > 1}


def by_few(tool: Tool, env: Environment, said: Said) -> FewElements | None:
    """What is said where as few elements stand for a list as are needed; None where that takes every list whole."""
    places = {name: _Places() for name in lists_of(tool)}
    for _ in range(MAX_ROUNDS):
        if not places:
            return None
        built = _built(tool, env, places)
        terms = at_every_key(built.env, said)
        demand = demanded(terms, built.flags)
        if demand is None:
            return None
        needed = {
            name: _Places(max(1, demand.counts[name]), frozenset(built.read[name])).with_(has)
            for name, has in places.items()
        }
        kept = {name: each for name, each in needed.items() if _is_less(tool, name, each)}
        kept = {name: each for name, each in kept.items() if name not in demand.entangled}
        if kept.keys() == places.keys() and all(places[name].fits(each) for name, each in kept.items()):
            return FewElements(built.env, tuple(built.facts), terms, tuple(built.lists))
        places = kept if kept.keys() == places.keys() else {name: _Places() for name in kept}
    return None


def _is_less(tool: Tool, name: str, places: _Places) -> bool:
    count = places.free + len(places.indices)
    return count < lists_of(tool)[name] and count <= MAX_FEW


def _built(tool: Tool, env: Environment, places: Mapping[str, _Places]) -> _Built:
    built = _Built(env)
    args = dict(env.args)
    for argument in tool.arguments:
        whole, sort = env.args[argument.name], sort_of(argument.type)
        if argument.name in places and isinstance(whole, ListTerm) and isinstance(sort, ListSort):
            few = args[argument.name] = _few(built, argument.name, whole, sort, places[argument.name])
            built.lists.append(Tracked(argument.name, sort.max_size, few))
    built.env = replace(env, args=args)
    return built


def _few(built: _Built, name: str, whole: ListTerm, sort: ListSort, places: _Places) -> ListTerm:
    """The few elements of a list, of its own length: those with an index, and as many others as it has."""
    ctx, base = whole.length.ctx, str(whole.length.decl().name()).removesuffix("@len")
    indices = sorted(index for index in places.indices if index < len(whole.items))
    items = (
        *(symbol(f"{base}@any@{number}", sort.item, ctx) for number in range(places.free)),
        *(whole.items[index] for index in indices),
    )
    numbers: list[int | None] = [*range(places.free), *(None for _ in indices)]
    there = (
        *(z3.Bool(f"has@{base}@any@{number}", ctx) for number in range(places.free)),
        *(z3.Bool(f"has@{base}@at@{index}", ctx) for index in indices),
    )
    named = there[places.free :]
    zero, one = z3.IntVal(0, ctx), z3.IntVal(1, ctx)
    others = whole.length - z3.Sum([zero, *(z3.If(flag, one, zero) for flag in named)])
    built.facts += [flag == (others > number) for number, flag in enumerate(there[: places.free])]
    built.facts += [flag == (whole.length > index) for index, flag in zip(indices, named, strict=True)]
    built.flags |= {flag.get_id(): (name, number) for flag, number in zip(there, numbers, strict=True)}
    read = built.read.setdefault(name, set())

    def at(position: int) -> Term:
        if position >= len(whole.items):
            return element_at(whole, position)
        read.add(position)
        return whole.items[position]

    return ListTerm(whole.length, items, whole.beyond, Few(there, at))
