"""The minimal automaton of a pattern: what bounds a pattern at load, and what tests drive every engine with."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from typing import Final

from sandbox.regex.alphabet import MAX_CODE_POINT, SURROGATES
from sandbox.regex.automaton import Alphabet, Table, determinise
from sandbox.regex.parser import parse
from sandbox.regex.syntax import Mode, Node, PatternError, language, lowered

MAX_STATES: Final = 512
"""States of a minimal automaton: what keeps the solver's derivatives small (docs/language.md, Patterns)."""


@dataclass(frozen=True, slots=True)
class Dfa:
    """A minimal complete automaton over U+0000 to U+2FFFF; state 0 is the first."""

    alphabet: Alphabet
    table: Table

    @property
    def states(self) -> int:
        """How many states there are, a dead one included."""
        return len(self.table.rows)

    def accepts(self, text: str) -> bool:
        """Whether the whole of `text` is in the language. Raises ValueError above U+2FFFF."""
        state = 0
        for char in text:
            state = self.table.rows[state][self.class_of(char)]
        return state in self.table.accepting

    def class_of(self, char: str) -> int:
        """The number of the class of a character."""
        if ord(char) > MAX_CODE_POINT:
            message = f"U+{ord(char):X} is outside of the alphabet"
            raise ValueError(message)
        return self.alphabet.classes[bisect_right(self.alphabet.starts, ord(char)) - 1]

    def transition_cover(self) -> list[str]:
        """Strings that take every transition, by the characters at both ends of every interval of the alphabet.

        Each is given as it is and, where a string is still accepted after it, with a shortest accepted rest.
        """
        characters = [(char, self.class_of(char)) for char in self._characters()]
        representatives = self.representatives()
        access = self._access(representatives)
        rests = self._rests(representatives)
        cover = dict.fromkeys(access)
        for prefix, row in zip(access, self.table.rows, strict=True):
            for char, number in characters:
                cover[prefix + char] = None
                if (rest := rests.get(row[number])) is not None:
                    cover[prefix + char + rest] = None
        return list(cover)

    def representatives(self) -> dict[int, str]:
        """One character of each class that a string can have."""
        return {self.class_of(char): char for char in reversed(self._characters())}

    def _characters(self) -> list[str]:
        """Both ends of every interval, without NUL and surrogates, which no string has."""
        starts = self.alphabet.starts
        ends = (*starts[1:], MAX_CODE_POINT + 1)
        wanted = [(low, end - 1) for low, end in zip(starts, ends, strict=True) if low not in {0, SURROGATES[0]}]
        return [chr(point) for low, high in wanted for point in sorted({low, high})]

    def _access(self, representatives: dict[int, str]) -> list[str]:
        """A shortest string to every state, in the order of the states."""
        found = {0: ""}
        waiting = deque([0])
        while waiting:
            state = waiting.popleft()
            for number, char in representatives.items():
                target = self.table.rows[state][number]
                if target not in found:
                    found[target] = found[state] + char
                    waiting.append(target)
        return [found[state] for state in range(self.states)]

    def _rests(self, representatives: dict[int, str]) -> dict[int, str]:
        """A shortest accepted string from every state that has one."""
        found = dict.fromkeys(sorted(self.table.accepting), "")
        waiting = deque(found)
        sources = _sources(self.table)
        while waiting:
            goal = waiting.popleft()
            for number, char in representatives.items():
                for state in sources[goal].get(number, ()):
                    if state not in found:
                        found[state] = char + found[goal]
                        waiting.append(state)
        return found


def to_dfa(text: str, *, mode: Mode, lower: bool = False) -> Dfa:
    """The minimal automaton of a pattern; with `lower`, of the strings that `lowerAscii` maps into its language.

    Raises PatternError for a text outside the dialect, and for more than 512 states.
    """
    node = parse(text)
    return dfa_of(language(lowered(node) if lower else node, mode))


def dfa_of(node: Node) -> Dfa:
    """The minimal automaton of an anchor-free tree; else as `to_dfa`."""
    alphabet, table = determinise(node)
    minimal = _minimal(table)
    _check_states(minimal)
    return Dfa(alphabet, minimal)


def check_states(node: Node) -> None:
    """Raise PatternError where `dfa_of` would, without minimising what is small already."""
    _, table = determinise(node)
    if len(table.rows) > MAX_STATES:
        _check_states(_minimal(table))


def _check_states(table: Table) -> None:
    states = len(table.rows)
    if states > MAX_STATES:
        message = f"the pattern's automaton has {states} states; at most {MAX_STATES} are allowed; shorten the pattern"
        raise PatternError(message, 0)


def _minimal(table: Table) -> Table:
    """Hopcroft's algorithm, and states renumbered in the order of their discovery."""
    block_of = _equivalence(table)
    numbers = {block_of[0]: 0}
    members = [0]
    rows = []
    for state in members:
        row = []
        for target in table.rows[state]:
            block = block_of[target]
            if block not in numbers:
                numbers[block] = len(members)
                members.append(target)
            row.append(numbers[block])
        rows.append(tuple(row))
    accepting = frozenset(number for number, state in enumerate(members) if state in table.accepting)
    return Table(tuple(rows), accepting)


def _equivalence(table: Table) -> list[int]:
    """The number of each state's block in the coarsest partition that respects acceptance and transitions."""
    every = set(range(len(table.rows)))
    blocks = [part for part in (set(table.accepting), every - table.accepting) if part]
    block_of = [0 if state in blocks[0] else 1 for state in range(len(table.rows))]
    sources = _sources(table)
    waiting = set(range(len(blocks)))
    while waiting:
        splitter = waiting.pop()
        by_class: dict[int, set[int]] = {}
        for state in blocks[splitter]:
            for number, before in sources[state].items():
                by_class.setdefault(number, set()).update(before)
        for number in sorted(by_class):
            _split(by_class[number], blocks, block_of, waiting)
    return block_of


def _split(chosen: set[int], blocks: list[set[int]], block_of: list[int], waiting: set[int]) -> None:
    """Divide every block that `chosen` cuts; the smaller part becomes a new splitter."""
    touched: dict[int, set[int]] = {}
    for state in chosen:
        touched.setdefault(block_of[state], set()).add(state)
    for block, inside in touched.items():
        outside = blocks[block] - inside
        if not outside:
            continue
        smaller, larger = sorted((inside, outside), key=len)
        blocks[block] = larger
        blocks.append(smaller)
        for state in smaller:
            block_of[state] = len(blocks) - 1
        waiting.add(len(blocks) - 1)


def _sources(table: Table) -> list[dict[int, list[int]]]:
    """For each state and class, the states that lead there."""
    sources: list[dict[int, list[int]]] = [{} for _ in table.rows]
    for state, row in enumerate(table.rows):
        for number, target in enumerate(row):
            sources[target].setdefault(number, []).append(state)
    return sources
