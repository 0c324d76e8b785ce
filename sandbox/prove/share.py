"""A share of the properties: every n-th of them, so that n machines prove all of them once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from sandbox.errors import UsageError

MAX_SHARDS: Final = 1_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shard:
    """The `number`-th of `count` shares, counted from 1."""

    number: int
    count: int

    @property
    def is_first(self) -> bool:
        """Whether this is the share that tells what is nobody's: what was removed."""
        return self.number == 1

    def of(self, every: Sequence[T]) -> tuple[T, ...]:
        """Its part of a sequence. All shares together are the sequence, and no two have an element in common."""
        return tuple(every[self.number - 1 :: self.count])


def read_shard(text: str) -> Shard:
    """The share that `i/n` means. Raises UsageError if it means none."""
    found = re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", text)
    number, count = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= count <= MAX_SHARDS:
        message = f"`--shard {text}`: write `i/n`, the i-th of n shares, as in `2/3`; n is at most {MAX_SHARDS}"
        raise UsageError(message)
    return Shard(number, count)
