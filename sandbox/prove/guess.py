"""What a string can be, guessed by automata: a text that meets some predicates, or which of them none meets together.

A guess, and no more: nothing rests on it. It tells which few predicates to ask Z3 about, which decides two of them in a
millisecond and may take minutes for twenty; and of a text Z3 is asked whether it is one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Final, TypeAlias

import z3

from sandbox.regex.alphabet import MAX_CODE_POINT
from sandbox.regex.dfa import Dfa, dfa_of
from sandbox.regex.solver import python_string
from sandbox.regex.syntax import ANYTHING, Chars, Choice, Concat, Node, PatternError, Repeat

MAX_STEPS: Final = 4_000
"""Combinations of states that are looked at for one guess: some tens of milliseconds at most."""

KEPT: Final = 4_096
"""Automata, and answers about two of them, that are kept: the tools of a spec share most of theirs."""

POINTS: Final = (
    *map(ord, "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ/.-_"),
    *map(ord, " !\"#$%&'()*+,:;<=>?@[\\]^`{|}~"),
)
"""Characters that a person would choose, the plainest first, and then whatever else can be printed."""

Said: TypeAlias = tuple[Node, bool]
"""A language, and whether a string is in it or not."""

Clash: TypeAlias = tuple[int, ...]
"""Positions of predicates that no text meets together."""


@dataclass(frozen=True, slots=True)
class Guess:
    """A text that meets all predicates, or some clashes among them; neither, where nothing is known."""

    text: str | None = None
    clashes: tuple[Clash, ...] = ()


@lru_cache(KEPT)
def guess(said: tuple[Said, ...]) -> Guess:
    """Every two predicates that clash; where there are none, a text, or a clash of more."""
    alone = [(one,) for one in range(len(said)) if _empty((said[one],))]
    pairs = [pair for pair in combinations(range(len(said)), 2) if _empty(tuple(said[each] for each in pair))]
    if alone or pairs:
        return Guess(clashes=tuple(alone or pairs))
    text = _text(said)
    return Guess(text=text) if text is not None else Guess(clashes=_fewer(said))


def _fewer(said: tuple[Said, ...]) -> tuple[Clash, ...]:
    """A clash of as few predicates as leaving them out one by one finds; none, if they are not seen to clash."""
    if not _empty(said):
        return ()
    left = list(range(len(said)))
    for each in range(len(said)):
        without = [other for other in left if other != each]
        if _empty(tuple(said[other] for other in without)):
            left = without
    return (tuple(left),)


@lru_cache(KEPT)
def _empty(said: tuple[Said, ...]) -> bool:
    """Whether it is seen that no text meets all of them."""
    return _walked(said) == _NOTHING


def _text(said: tuple[Said, ...]) -> str | None:
    found = _walked(said)
    return found if isinstance(found, str) else None


@dataclass(frozen=True, slots=True, eq=False)
class _Machine:
    """An automaton, the states that are to be reached, those from which one is, and the classes of `POINTS`."""

    dfa: Dfa
    goals: frozenset[int]
    live: frozenset[int]
    classes: tuple[int, ...]


@lru_cache(KEPT)
def _machine(said: Said) -> _Machine | None:
    node, holds = said
    try:
        dfa = dfa_of(node)
    except PatternError:
        return None
    accepting = dfa.table.accepting
    goals = accepting if holds else frozenset(range(dfa.states)) - accepting
    return _Machine(dfa, goals, _live(dfa, goals), tuple(_class(dfa, point) for point in POINTS))


_NOTHING: Final = ()


def _walked(said: tuple[Said, ...]) -> str | tuple[()] | None:
    """A shortest text, `()` if there is none; None where that is not known, or too much would have to be looked at."""
    machines = [machine for each in said if (machine := _machine(each)) is not None]
    return _walk(machines) if len(machines) == len(said) else None


def _walk(machines: list[_Machine]) -> str | tuple[()] | None:
    rows, goals = [each.dfa.table.rows for each in machines], [each.goals for each in machines]
    live = [each.live for each in machines]
    moves = _moves(machines)
    start = (0,) * len(machines)
    texts = {start: ""}
    waiting = [start] if _are_in(start, live) else []
    for states in waiting:
        if _are_in(states, goals):
            return texts[states]
        if len(waiting) > MAX_STEPS:
            return None
        for classes, char in moves:
            after = tuple(row[state][each] for row, state, each in zip(rows, states, classes, strict=True))
            if after not in texts and _are_in(after, live):
                texts[after] = texts[states] + char
                waiting.append(after)
    return _NOTHING


def _are_in(states: tuple[int, ...], each: list[frozenset[int]]) -> bool:
    return all(state in own for state, own in zip(states, each, strict=True))


def _live(dfa: Dfa, goals: frozenset[int]) -> frozenset[int]:
    """The states from which one of the goals is reached."""
    before: dict[int, set[int]] = {}
    for state, row in enumerate(dfa.table.rows):
        for target in row:
            before.setdefault(target, set()).add(state)
    found = set(goals)
    waiting = list(goals)
    for state in waiting:
        new = before.get(state, set()) - found
        found |= new
        waiting += new
    return frozenset(found)


def _moves(machines: list[_Machine]) -> list[tuple[tuple[int, ...], str]]:
    """Each way in which one character moves all automata, with the plainest character that does."""
    found: dict[tuple[int, ...], str] = {}
    for point, classes in zip(POINTS, zip(*(each.classes for each in machines), strict=True), strict=True):
        found.setdefault(classes, chr(point))
    for point in (*sorted({edge for each in machines for edge in each.dfa.alphabet.starts} - {0}), 0):
        found.setdefault(tuple(_class(each.dfa, point) for each in machines), chr(point))
    return list(found.items())


def _class(dfa: Dfa, point: int) -> int:
    return dfa.alphabet.classes[bisect_right(dfa.alphabet.starts, point) - 1]


# --- from terms --------------------------------------------------------------------------------------


def tree_of(atom: z3.ExprRef) -> Node | None:
    """The language that a membership, or an equality with a constant, speaks of; None where that is not known."""
    if z3.is_app_of(atom, z3.Z3_OP_SEQ_IN_RE):
        return _tree(atom.arg(1))
    constants = [side for side in atom.children() if z3.is_string_value(side)]
    return _constant(constants[0]) if constants else None


def _constant(term: z3.ExprRef) -> Node:
    return Concat(tuple(Chars(((ord(char), ord(char)),)) for char in python_string(term)))


def _tree(term: z3.ExprRef) -> Node | None:
    make = _MAKE.get(term.decl().kind())
    return None if make is None else make(term)


def _of_parts(make: Callable[[tuple[Node, ...]], Node]) -> Callable[[z3.ExprRef], Node | None]:
    def made(term: z3.ExprRef) -> Node | None:
        parts = [_tree(each) for each in term.children()]
        known = tuple(part for part in parts if part is not None)
        return make(known) if len(known) == len(parts) else None

    return made


def _repeated(low: int, high: int | None) -> Callable[[tuple[Node, ...]], Node]:
    return lambda parts: Repeat(parts[0], low, high)


def _range(term: z3.ExprRef) -> Node | None:
    ends = [python_string(each) for each in term.children() if z3.is_string_value(each)]
    match ends:
        case [str() as low, str() as high] if len(low) == len(high) == 1:
            return Chars(((ord(low), ord(high)),))
        case _:
            return None


def _loop(term: z3.ExprRef) -> Node | None:
    low, *more = term.params()
    return _of_parts(_repeated(low, more[0] if more else None))(term)


def _text_of(term: z3.ExprRef) -> Node | None:
    return _constant(term.arg(0)) if z3.is_string_value(term.arg(0)) else None


_MAKE: Final[dict[int, Callable[[z3.ExprRef], Node | None]]] = {
    z3.Z3_OP_SEQ_TO_RE: _text_of,
    z3.Z3_OP_RE_RANGE: _range,
    z3.Z3_OP_RE_LOOP: _loop,
    z3.Z3_OP_RE_CONCAT: _of_parts(Concat),
    z3.Z3_OP_RE_UNION: _of_parts(Choice),
    z3.Z3_OP_RE_STAR: _of_parts(_repeated(0, None)),
    z3.Z3_OP_RE_PLUS: _of_parts(_repeated(1, None)),
    z3.Z3_OP_RE_OPTION: _of_parts(_repeated(0, 1)),
    z3.Z3_OP_RE_FULL_SET: lambda _: ANYTHING,
    z3.Z3_OP_RE_FULL_CHAR_SET: lambda _: Chars(((0, MAX_CODE_POINT),)),
    z3.Z3_OP_RE_EMPTY_SET: lambda _: Chars(()),
}
