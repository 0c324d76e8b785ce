"""How deep a type is nested, and how many single values a value of it has at most.

Types that an author names are shared, so that a short file can describe a type that is enormous once it is written
out. Each is therefore measured when it is made, from the measures of its parts, and refused before it is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sandbox.ir import (
    EMAIL_SORT,
    SHELL_WORDS,
    URL_SORT,
    ArgType,
    ArgvType,
    EmailType,
    ListType,
    RecordType,
    ShellType,
    UrlType,
)

MAX_NESTING: Final = 8
"""Types within types; a raw call is nested at most 32 deep, and every reader of types recurses."""

MAX_PARTS: Final = 20_000
"""Single values of one call: the solver has a constant for each, whether or not it is there."""


@dataclass(frozen=True, slots=True)
class Measure:
    """The depth of a type (1: no parts), and its single values at most."""

    depth: int
    parts: int


class Measures:
    """Measures types, each object once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[ArgType, Measure]] = {}  # the type too: an `id` lives as long as its object

    def of(self, type_: ArgType) -> Measure:
        """The measure of a type, whose parts were measured before."""
        if id(type_) not in self._known:
            self._known[id(type_)] = (type_, self._measured(type_))
        return self._known[id(type_)][1]

    def _measured(self, type_: ArgType) -> Measure:
        match type_:
            case ListType(items=items, max_size=size):
                inner = self.of(items)
                return Measure(1 + inner.depth, 1 + size * inner.parts)
            case RecordType(fields=fields):
                inside = [self.of(field.type) for field in fields]
                depth = max((part.depth for part in inside), default=0)
                return Measure(1 + depth, sum(part.parts for part in inside))
            case ArgvType(max_size=size):
                return Measure(1, 1 + size)
            case ShellType():
                return Measure(1, 1 + SHELL_WORDS * (1 + SHELL_WORDS))
            case UrlType():
                return Measure(1, len(URL_SORT.fields))
            case EmailType():
                return Measure(1, len(EMAIL_SORT.fields))
            case _:
                return Measure(1, 1)
