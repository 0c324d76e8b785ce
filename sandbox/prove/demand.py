"""How many elements of each list a conjunction can tell apart, counted in its terms; see `tracked`.

A quantifier over a list stands in the terms as an `ite` for each element: on whether the element is there, with what is
said of it, and otherwise `true` of an `all`, `false` of an `exists` or an `in`. An `exists_one` counts such ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

import z3

from sandbox.prove.keys import OWN_KEY

MAX_VISITS: Final = 100_000
"""Terms that are looked at, each as often as it stands somewhere: beyond it lists are written out whole."""

Sense: TypeAlias = Literal[1, 0, -1]
"""Whether a term has to hold, or not to, or perhaps either."""

Flags: TypeAlias = Mapping[int, tuple[str, int | None]]
"""By the id of a term that tells whether an element is there: its list, and its number, None of one with an index."""


@dataclass(slots=True)
class Demand:
    """Elements of each list, and the lists of which some element is asked for under every one of another's."""

    counts: Counter[str] = field(default_factory=Counter)
    under: set[tuple[str, str]] = field(default_factory=set)

    @property
    def entangled(self) -> frozenset[str]:
        """The lists that are around themselves, at once or by way of others."""
        reached = set(self.under)
        while more := {(one, far) for one, near in reached for nigh, far in self.under if nigh == near} - reached:
            reached |= more
        return frozenset(one for one, other in reached if one == other)


@dataclass(frozen=True, slots=True)
class _Place:
    """A term, in which sense it stands, under every element of which lists, and for how many elements it is said.

    `inner`: it is said of some element, whatever its list. `once`: it is counted, and the count has to be one.
    """

    node: z3.ExprRef
    sense: Sense
    around: frozenset[str] = frozenset()
    times: int = 1
    inner: bool = False
    once: bool = False


def demanded(terms: Iterable[z3.BoolRef], flags: Flags) -> Demand | None:
    """What the terms ask for if all have to hold; None where they are too many, or not of a form that is known."""
    whole = list(terms)
    told = _telling(whole, flags)
    demand, seen, visits = Demand(), set[tuple[int, Sense, bool]](), 0
    pending = [_Place(term, 1) for term in whole]
    while pending:
        place = pending.pop()
        if "flag" not in told[place.node.get_id()]:
            continue
        key = (place.node.get_id(), place.sense, place.once)
        if not place.inner and key in seen:
            continue
        seen |= set() if place.inner else {key}
        visits += 1
        if visits > MAX_VISITS:
            return None
        node = place.node
        if node.get_id() in flags:
            return None  # a flag stands for itself: it was not put there by a quantifier
        if not _is_choice(node) or node.arg(0).get_id() not in flags:
            pending += _parts(place)
            continue
        body, otherwise = node.arg(1), node.arg(2)
        if not (z3.is_true(otherwise) or z3.is_false(otherwise)) or "key" in told[body.get_id()]:
            return None
        pending += _of_element(place, flags[node.arg(0).get_id()], body, demand, every=z3.is_true(otherwise))
    return demand


def _of_element(
    place: _Place, element: tuple[str, int | None], body: z3.BoolRef, demand: Demand, *, every: bool
) -> Iterator[_Place]:
    """What is said of one element: of every one, and of some one where it is the first, which speaks for any."""
    name, number = element
    senses: tuple[Sense, ...] = (1, -1) if place.sense == 0 else (place.sense,)
    for sense in senses:
        if every == (sense == 1):
            yield _Place(body, sense, place.around | {name}, place.times, inner=True)
        elif number == 0:
            times = place.times * (1 if place.sense != 0 or place.once else 2)
            demand.counts[name] += times
            demand.under |= {(other, name) for other in place.around}
            yield _Place(body, sense, place.around, times, inner=True)


def _parts(place: _Place) -> Iterator[_Place]:
    """The terms that a term consists of, in the sense in which each stands."""
    node, sense = place.node, place.sense
    if sense == 1 and (counted := _counted(node)):
        yield from (replace(place, node=each, sense=0, once=True) for each in counted)
        return
    if z3.is_and(node) or z3.is_or(node):
        senses: list[Sense] = [sense] * node.num_args()
    elif z3.is_not(node):
        senses = [_opposite(sense)]
    elif z3.is_implies(node):
        senses = [_opposite(sense), sense]
    elif _is_choice(node):
        senses = [0, sense, sense]
    else:
        senses = [0] * node.num_args()
    for child, inner in zip(node.children(), senses, strict=True):
        yield _Place(child, inner, place.around, place.times, place.inner)


def _counted(node: z3.ExprRef) -> list[z3.BoolRef]:
    """Of an `exists_one`, what is said of each element; of anything else, nothing."""
    if not z3.is_eq(node) or not z3.is_add(node.arg(0)) or not _is_number(node.arg(1), 1):
        return []
    zero, *cases = node.arg(0).children()
    if not _is_number(zero, 0) or not all(_is_one_or_none(case) for case in cases):
        return []
    return [case.arg(0) for case in cases]


def _is_one_or_none(node: z3.ExprRef) -> bool:
    return bool(z3.is_app_of(node, z3.Z3_OP_ITE) and _is_number(node.arg(1), 1) and _is_number(node.arg(2), 0))


def _is_number(node: z3.ExprRef, value: int) -> bool:
    return bool(z3.is_int_value(node) and node.as_long() == value)


def _opposite(sense: Sense) -> Sense:
    return 0 if sense == 0 else -1 if sense == 1 else 1


def _is_choice(node: z3.ExprRef) -> bool:
    return bool(z3.is_app_of(node, z3.Z3_OP_ITE) and z3.is_bool(node))


def _telling(terms: Iterable[z3.ExprRef], flags: Flags) -> dict[int, frozenset[str]]:
    """Of every term, by its id, whether a flag stands in it, and whether a key does that an `AllKeys` was given."""
    told: dict[int, frozenset[str]] = {}
    pending = [(term, False) for term in terms]
    while pending:
        node, entered = pending.pop()
        if node.get_id() in told:
            continue
        children = [node.arg(0)] if z3.is_app_of(node, z3.Z3_OP_SEQ_IN_RE) else node.children()
        if children and not entered:
            pending += [(node, True), *((child, False) for child in children)]
            continue
        own = {"flag"} if node.get_id() in flags else set[str]()
        if not children and z3.is_const(node) and str(node.decl().name()).startswith(OWN_KEY):
            own.add("key")
        told[node.get_id()] = frozenset(own).union(*(told[child.get_id()] for child in children))
    return told
