"""A constant string predicate as a value, and whether a string satisfies it: by automata, in time linear in the string.

Z3 follows a pattern by derivatives, which are built anew for every character that it has not seen: some microseconds
each for a plain pattern, and for a counted one more than the fourth power of the count. What a model sends may be
thousands of different characters. So the solver's process asks the automaton about the strings of one call, and Z3
about everything around it (`ground`); proofs are about `solver.atom_re`, of the same trees.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Final, Literal, TypeAlias

from sandbox.regex.alphabet import MAX_CODE_POINT, SURROGATES
from sandbox.regex.dfa import Dfa, dfa_of
from sandbox.regex.parser import parse
from sandbox.regex.syntax import Chars, Choice, Concat, Node, Repeat, language, lowered

Where: TypeAlias = Literal["is", "starts", "ends", "contains", "matches"]
Accepts: TypeAlias = Callable[[str], bool]

CACHED: Final = 2_048
"""Automata kept; a contract uses far fewer."""
KEPT_CLASSES: Final = 4_096
"""Characters whose class an automaton remembers: a hostile text may have many thousands."""
CHUNK: Final = 64
"""Characters after which it is looked whether anything can change any more."""
LAST_ASCII: Final = 0x7F
BYTE: Final = 256
"""Values of a byte: as many classes fit."""

_BEYOND_ASCII: Final = re.compile(r"[^\x00-\x7f]")


@dataclass(frozen=True, slots=True)
class Atom:
    """The strings that are, start with, end with or contain `text`, or that the pattern `text` matches somewhere.

    With `lower`, the strings whose `lowerAscii` does.
    """

    text: str
    where: Where
    lower: bool = False


def pattern_tree(atom: Atom) -> Node:
    """The anchor-free tree of a `matches` atom. Raises PatternError for a text outside the dialect."""
    node = parse(atom.text)
    return language(lowered(node) if atom.lower else node, "search")


@lru_cache(maxsize=CACHED)
def automaton_of(atom: Atom) -> Dfa:
    """The automaton of a `matches` atom: made once, for the strings of calls and for `samples`."""
    return dfa_of(pattern_tree(atom))


@lru_cache(maxsize=CACHED)
def accepts(atom: Atom) -> Accepts:
    """Whether a string is in the atom's language. Linear in the string, whatever the atom.

    The function may raise ValueError for NUL and for a character above U+2FFFF, which no string of a call has.
    """
    choices = tuple(frozenset(_spellings(char, lower=atom.lower)) for char in atom.text)
    size = len(choices)
    match atom.where:
        case "is":
            return lambda text: len(text) == size and _fits(text, choices)
        case "starts":
            return lambda text: len(text) >= size and _fits(text[:size], choices)
        case "ends":
            return lambda text: len(text) >= size and _fits(text[len(text) - size :], choices)
        case "contains":
            return _Finder(atom.text, lower=atom.lower)
        case "matches":
            return _Runner(automaton_of(atom))


def _spellings(char: str, *, lower: bool) -> Iterator[str]:
    """The characters that stand for one of the atom's: itself, or those that `lowerAscii` maps to it."""
    if not lower:
        yield char
    elif not "A" <= char <= "Z":
        yield char
        if "a" <= char <= "z":
            yield chr(ord(char) - 32)


def _fits(text: str, choices: tuple[frozenset[str], ...]) -> bool:
    return all(char in choice for char, choice in zip(text, choices, strict=True))


class _Finder:
    """Looks for a text by the automaton of its borders (Knuth, Morris and Pratt)."""

    def __init__(self, part: str, *, lower: bool) -> None:
        self._choices = [frozenset(_spellings(char, lower=lower)) for char in part]
        self._borders = _borders(part)

    def __call__(self, text: str) -> bool:
        choices, borders, size = self._choices, self._borders, len(self._choices)
        found = 0
        if not size:
            return True
        for char in text:
            while found and char not in choices[found]:
                found = borders[found]
            if char in choices[found]:
                found += 1
                if found == size:
                    return True
        return False


def _borders(part: str) -> list[int]:
    """For each length, the longest proper beginning of that much of the part which is also its end."""
    borders = [0, 0]
    length = 0
    for char in part[1:]:
        while length and char != part[length]:
            length = borders[length]
        length += char == part[length]
        borders.append(length)
    return borders


class _Classes(dict[int, int]):
    """The class of each character that an automaton has met, by code point; for `str.translate`."""

    def __init__(self, dfa: Dfa) -> None:
        super().__init__()
        self._dfa = dfa

    def __missing__(self, point: int) -> int:
        if len(self) >= KEPT_CLASSES:
            self.clear()
        self[point] = found = self._dfa.class_of(chr(point))
        return found


class _Runner:
    """Follows a minimal automaton; stops where no further character can change the answer.

    Most automata cannot tell one character beyond ASCII from another: to them each is the NUL that no string has, and
    the string is bytes, which are translated to classes at once.
    """

    def __init__(self, dfa: Dfa) -> None:
        self._rows = dfa.table.rows
        self._accepting = dfa.table.accepting
        self._final = frozenset(state for state, row in enumerate(dfa.table.rows) if set(row) == {state})
        self._classes = _Classes(dfa)
        self._bytes = _byte_classes(dfa)

    def __call__(self, text: str) -> bool:
        rows, final = self._rows, self._final
        state = 0
        numbers = self._numbers(text)
        for at in range(0, len(text), CHUNK):
            for number in numbers[at : at + CHUNK]:
                state = rows[state][number]
            if state in final:
                break
        return state in self._accepting

    def _numbers(self, text: str) -> Sequence[int]:
        """The class of every character."""
        if "\0" in text:
            message = "U+0000 is outside of the alphabet"
            raise ValueError(message)
        if self._bytes is None:
            return [ord(char) for char in text.translate(self._classes)]
        if not text.isascii():
            if ord(max(text)) > MAX_CODE_POINT:
                message = f"U+{ord(max(text)):X} is outside of the alphabet"
                raise ValueError(message)
            text = _BEYOND_ASCII.sub("\0", text)
        return text.encode("ascii").translate(self._bytes)


def _byte_classes(dfa: Dfa) -> bytes | None:
    """The classes of ASCII, NUL having that of all beyond; None where those are not of one class."""
    beyond = {
        dfa.class_of(chr(start)) for start in dfa.alphabet.starts if start > LAST_ASCII and not _is_surrogate(start)
    }
    beyond.add(dfa.class_of(chr(LAST_ASCII + 1)))
    if len(beyond) != 1 or dfa.alphabet.size > BYTE:
        return None
    return bytes([*beyond, *(dfa.class_of(chr(point)) for point in range(1, LAST_ASCII + 1))]).ljust(BYTE, b"\0")


def tells_beyond_ascii(text: str) -> bool:
    """Whether a pattern may tell one character beyond ASCII from another, which takes longer to follow."""
    edges = {0, LAST_ASCII + 1, MAX_CODE_POINT + 1, SURROGATES[0], SURROGATES[1] + 1}
    bounds = {bound for low, high in _ranges(parse(text)) for bound in (low, high + 1)}
    return any(bound > LAST_ASCII + 1 for bound in bounds - edges)


def _ranges(node: Node) -> Iterator[tuple[int, int]]:
    match node:
        case Chars(ranges=ranges):
            yield from ranges
        case Concat(items=parts) | Choice(options=parts):
            for part in parts:
                yield from _ranges(part)
        case Repeat(body=body):
            yield from _ranges(body)
        case _:
            return


def _is_surrogate(point: int) -> bool:
    return SURROGATES[0] <= point <= SURROGATES[1]


def samples(atom: Atom, count: int) -> tuple[str, ...]:
    """Some short strings, the atom's text and its likes among them, on which to compare meanings of the atom."""
    if atom.where == "matches":
        return tuple(islice(_words(automaton_of(atom)), count))
    text = atom.text
    near = [text, text[:-1], text[1:], f"{text}~", f"~{text}", f"~{text}~", text.upper(), text.lower(), "", "~"]
    return tuple(dict.fromkeys(each for each in near if all(ord(char) <= MAX_CODE_POINT for char in each)))[:count]


def _words(dfa: Dfa) -> Iterator[str]:
    """The shortest string to every state, each followed by each class of character; by length."""
    representatives = dfa.representatives()
    waiting, seen = [(0, "")], {0}
    yield ""
    for state, access in waiting:
        for number, char in representatives.items():
            yield access + char
            target = dfa.table.rows[state][number]
            if target not in seen:
                seen.add(target)
                waiting.append((target, access + char))
