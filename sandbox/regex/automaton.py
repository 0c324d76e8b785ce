"""From a syntax tree to a deterministic automaton, within bounds that hold for any pattern.

Positions (Glushkov) as bit sets, then the subset construction. One extra position, 0, is the beginning.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from sandbox.regex.alphabet import ANY, MAX_CODE_POINT, SURROGATES, Ranges
from sandbox.regex.dominance import bits, dominated, either
from sandbox.regex.syntax import Begin, Chars, Choice, Concat, End, Node, PatternError, Repeat

MAX_CELLS: Final = 1 << 20
"""Entries of the table before it is minimised: bounds the time (about a second) and memory of a hostile pattern."""
MAX_SUBSETS: Final = 4_096
"""Rows of that table; a pattern whose minimal automaton is small needs far fewer."""


@dataclass(frozen=True, slots=True)
class Alphabet:
    """Classes of characters that the pattern cannot tell apart: from starts[i] on, a character has class classes[i]."""

    starts: tuple[int, ...]
    classes: tuple[int, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Table:
    """A complete deterministic automaton: rows[state][class] is the next state; state 0 is the first."""

    rows: tuple[tuple[int, ...], ...]
    accepting: frozenset[int]


@dataclass(frozen=True, slots=True)
class _Fragment:
    """Where a subtree can begin and end, as sets of positions, and whether it accepts the empty string."""

    first: int
    last: int
    nullable: bool


class _Positions:
    """Every leaf of the written-out tree: its characters, and the positions that may follow it."""

    def __init__(self) -> None:
        self.ranges: list[Ranges] = [()]
        self.follow: list[int] = [0]

    def build(self, node: Node) -> _Fragment:
        match node:
            case Chars(ranges=ranges):
                self.ranges.append(ranges)
                self.follow.append(0)
                bit = 1 << (len(self.ranges) - 1)
                return _Fragment(bit, bit, nullable=False)
            case Begin() | End():
                return _Fragment(0, 0, nullable=True)
            case Concat(items=items):
                return self._concat([self.build(item) for item in items])
            case Choice(options=options):
                parts = [self.build(option) for option in options]
                return _Fragment(
                    either(p.first for p in parts), either(p.last for p in parts), any(p.nullable for p in parts)
                )
            case Repeat(body=body, low=low, high=high):
                return self._repeat(body, low, high)

    def link(self, last: int, first: int) -> None:
        for position in bits(last):
            self.follow[position] |= first

    def _concat(self, parts: list[_Fragment]) -> _Fragment:
        whole = _Fragment(0, 0, nullable=True)
        for part in parts:
            self.link(whole.last, part.first)
            whole = _Fragment(
                whole.first | part.first if whole.nullable else whole.first,
                whole.last | part.last if part.nullable else part.last,
                whole.nullable and part.nullable,
            )
        return whole

    def _repeat(self, body: Node, low: int, high: int | None) -> _Fragment:
        """Copies in a row; those beyond `low` may be left out from the end, the last one loops where `high` is None."""
        if high == 0:
            return _Fragment(0, 0, nullable=True)
        copies = [self.build(body) for _ in range(max(1, low) if high is None else high)]
        for left, right in pairwise(copies):
            self.link(left.last, right.first)
        if high is None:
            self.link(copies[-1].last, copies[-1].first)
        nullable = low == 0 or copies[0].nullable
        ends = copies if nullable else copies[low - 1 :]
        return _Fragment(copies[0].first, either(end.last for end in ends), nullable)


def determinise(node: Node) -> tuple[Alphabet, Table]:
    """The reachable subset automaton of an anchor-free tree. Raises PatternError where a bound is exceeded.

    Where the plain construction exceeds one, it is tried again on subsets without the positions that others dominate.
    """
    positions, accepting = _positions_of(node)
    alphabet, members = _partition(positions.ranges)
    table = _subsets(positions, accepting, members, _universal(positions, accepting))
    if table is None and (weaker := dominated(positions.ranges, positions.follow, accepting)):
        table = _subsets(positions, accepting, members, weaker)
    if table is None:
        message = "the pattern's automaton is too large; shorten or anchor what stands beside an unbounded part"
        raise PatternError(message, 0)
    return alphabet, table


def _positions_of(node: Node) -> tuple[_Positions, int]:
    """The positions of a tree, and those that accept."""
    positions = _Positions()
    whole = positions.build(node)
    positions.follow[0] = whole.first
    return positions, whole.last | (1 if whole.nullable else 0)


def _subsets(positions: _Positions, accepting: int, members: list[int], weaker: dict[int, int]) -> Table | None:
    """The subset construction, or None beyond a bound; `weaker` tells which positions another makes superfluous."""
    most = min(MAX_SUBSETS, MAX_CELLS // len(members))
    strong = either(1 << position for position in weaker)
    rows: list[tuple[int, ...]] = []
    numbers = {1: 0}
    waiting = [1]
    for subset in waiting:
        reach = either(positions.follow[position] for position in bits(subset))
        row = []
        for member in members:
            target = reach & member
            for position in bits(target & strong):
                if target >> position & 1:
                    target &= ~weaker[position]
            row.append(numbers.setdefault(target, len(waiting)))
            if row[-1] == len(waiting):
                waiting.append(target)
        if len(waiting) > most:
            return None
        rows.append(tuple(row))
    return Table(tuple(rows), frozenset(state for subset, state in numbers.items() if subset & accepting))


def _universal(positions: _Positions, accepting: int) -> dict[int, int]:
    """Positions from which every string is accepted: once in one of them, no other matters."""
    every = (1 << len(positions.ranges)) - 1
    return {
        position: every ^ 1 << position
        for position, ranges in enumerate(positions.ranges)
        if ranges == ANY and (positions.follow[position] & accepting) >> position & 1
    }


def _partition(ranges: list[Ranges]) -> tuple[Alphabet, list[int]]:
    """The coarsest character classes for these sets, and for each class the positions that take it."""
    holders: dict[Ranges, int] = {}
    for position, characters in enumerate(ranges):
        holders[characters] = holders.get(characters, 0) | 1 << position
    changes = {0: 0, 1: 0, SURROGATES[0]: 0, SURROGATES[1] + 1: 0}
    for index, characters in enumerate(holders):
        for low, high in characters:
            changes[low] = changes.get(low, 0) ^ 1 << index
            changes[high + 1] = changes.get(high + 1, 0) ^ 1 << index
    starts = tuple(sorted(start for start in changes if start <= MAX_CODE_POINT))
    numbers: dict[int, int] = {}
    classes = []
    signature = 0
    for start in starts:
        signature ^= changes[start]
        classes.append(numbers.setdefault(signature, len(numbers)))
    masks = list(holders.values())
    members = [either(masks[index] for index in bits(signature)) for signature in numbers]
    return Alphabet(starts, tuple(classes), len(numbers)), members
