"""Sets of characters, as sorted disjoint ranges of code points."""

from __future__ import annotations

from itertools import pairwise
from typing import Final, TypeAlias

MAX_CODE_POINT: Final = 0x2FFFF
"""The last character of the solver's theory of strings; `parse` lets nothing above it through."""

SURROGATES: Final = (0xD800, 0xDFFF)

Ranges: TypeAlias = tuple[tuple[int, int], ...]
"""Inclusive, sorted, neither overlapping nor touching."""

_CASE_DISTANCE: Final = ord("a") - ord("A")


def union(*ranges: tuple[int, int]) -> Ranges:
    """The smallest set that has all of these ranges."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def complement(ranges: Ranges) -> Ranges:
    """Every code point up to `MAX_CODE_POINT` that is not in `ranges`."""
    edges = ((-1, -1), *ranges, (MAX_CODE_POINT + 1, MAX_CODE_POINT + 1))
    return tuple((left[1] + 1, right[0] - 1) for left, right in pairwise(edges) if left[1] + 1 < right[0])


def lower_preimage(ranges: Ranges) -> Ranges:
    """The characters that `lowerAscii` maps into `ranges`: no A-Z of its own, and A-Z wherever a-z is in it."""
    kept = [part for low, high in ranges for part in ((low, min(high, ord("A") - 1)), (max(low, ord("Z") + 1), high))]
    small = [(max(low, ord("a")), min(high, ord("z"))) for low, high in ranges]
    capital = [(low - _CASE_DISTANCE, high - _CASE_DISTANCE) for low, high in small]
    return union(*(part for part in (*kept, *capital) if part[0] <= part[1]))


ANY: Final[Ranges] = ((0, MAX_CODE_POINT),)
DOT: Final = complement(union((ord("\n"), ord("\n"))))
DIGIT: Final = union((ord("0"), ord("9")))
WORD: Final = union((ord("0"), ord("9")), (ord("A"), ord("Z")), (ord("_"), ord("_")), (ord("a"), ord("z")))
SPACE: Final = union(*((ord(char), ord(char)) for char in "\t\n\f\r "))
"""RE2's `\\s`: without the vertical tab, which Python's has."""
