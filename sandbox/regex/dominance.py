"""Which positions of an automaton make others superfluous: the simulation preorder, within bounds.

Without it the subset construction of `[A-Z]{2}[0-9A-Z]{13,32}` as a partial match counts every possible beginning;
only the earliest matters. (Henzinger, Henzinger and Kopke, Computing simulations on finite and infinite graphs, 1995.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from sandbox.regex.alphabet import Ranges

MAX_POSITIONS: Final = 256
"""The preorder is quadratic in them: above, nothing dominates, and the pattern may be refused as too large."""


def dominated(ranges: list[Ranges], follow: list[int], accepting: int) -> dict[int, int]:
    """For each position that dominates any, those whose every accepted rest it accepts too (as bit sets).

    Of positions that are equally strong, the first dominates. A position's characters are read on the way into it.
    """
    if len(ranges) > MAX_POSITIONS:
        return {}
    simulators = _simulators(ranges, follow, accepting)
    found: dict[int, int] = {}
    for weak, stronger in enumerate(simulators):
        for strong in bits(stronger & ~(1 << weak)):
            if strong < weak or not simulators[strong] >> weak & 1:
                found[strong] = found.get(strong, 0) | 1 << weak
    return found


def _simulators(ranges: list[Ranges], follow: list[int], accepting: int) -> list[int]:
    """For each position, those that can copy all its moves: the greatest fixed point, from above."""
    every = (1 << len(ranges)) - 1
    wider = [either(1 << other for other, theirs in enumerate(ranges) if _includes(theirs, own)) for own in ranges]
    before = [
        either(1 << source for source, after in enumerate(follow) if after >> target & 1)
        for target in range(len(follow))
    ]
    simulators = [accepting if accepting >> position & 1 else every for position in range(len(ranges))]
    waiting = set(range(len(ranges)))
    while waiting:
        target = waiting.pop()
        movers = either(before[copy] for copy in bits(simulators[target] & wider[target]))
        for source in bits(before[target]):
            if simulators[source] & ~movers:
                simulators[source] &= movers
                waiting.add(source)
    return simulators


def _includes(wide: Ranges, narrow: Ranges) -> bool:
    return all(any(low <= first and last <= high for low, high in wide) for first, last in narrow)


def bits(mask: int) -> Iterator[int]:
    """The numbers of the bits that are set, from the lowest."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def either(masks: Iterable[int]) -> int:
    """The union of bit sets."""
    whole = 0
    for mask in masks:
        whole |= mask
    return whole
