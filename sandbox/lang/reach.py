"""Declared types along access paths: of a record's field, of a list's element, of a URL's host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from sandbox.ir import (
    EMAIL_SORT,
    SHELL_WORDS,
    URL_SORT,
    Arg,
    ArgType,
    ArgvType,
    BoolSort,
    BoolType,
    Bound,
    EmailType,
    Expr,
    Fact,
    Field,
    Index,
    IntSort,
    IntType,
    ListType,
    RecordSort,
    RecordType,
    ShellType,
    StringType,
    TimestampType,
    UrlType,
)

MAX_WORD: Final = 4_096
"""Characters of a word of an argv; `parse` enforces it."""

MAX_ARGV: Final = 16_384
"""Characters of all the words of an argv together; `parse` enforces it."""

MAX_URL: Final = 4_096
"""Characters of a part of a URL; `urls` enforces it."""

MAX_EMAIL: Final = 254
"""Characters of a part of an e-mail address; `emails` enforces it."""

LAST_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a shell line, a list of words. `max_size` in code points, of all of its words together."""

    max_size: int


Reached: TypeAlias = ArgType | Command


def declared(expr: Expr, types: Mapping[str, Reached]) -> Reached | None:
    """The declared type of an access path; None of any other expression.

    `types` has the arguments by name, facts of the session as `session.NAME`, and quantifiers' variables as `bound`
    names them.
    """
    match expr:
        case Arg(name=name):
            return types.get(name)
        case Fact(name="now"):
            return TimestampType()
        case Fact(name=name) if name.startswith("session."):
            return types.get(name)
        case Bound(name=name):
            return types.get(bound(name))
        case Field(of=of, name=name):
            whole = declared(of, types)
            return None if whole is None else part_of(whole, name)
        case Index(of=of):
            whole = declared(of, types)
            return None if whole is None else element_of(whole)
        case _:
            return None


def bound(name: str) -> str:
    """The key of a quantifier's variable among types; no argument and no fact is called so."""
    return f"{name} of a quantifier"


def part_of(type_: Reached, name: str) -> Reached | None:
    """The type of one part of a record, URL or e-mail address."""
    match type_:
        case RecordType(fields=fields):
            return next((field.type for field in fields if field.name == name), None)
        case UrlType():
            return _fixed_part(URL_SORT, name, MAX_URL)
        case EmailType():
            return _fixed_part(EMAIL_SORT, name, MAX_EMAIL)
        case _:
            return None


def _fixed_part(sort: RecordSort, name: str, size: int) -> Reached | None:
    part = sort.field(name)
    if part is None:
        return None
    match part.sort:
        case BoolSort():
            return BoolType()
        case IntSort():
            return IntType(0, LAST_PORT)
        case _:
            return StringType(None, 0, size)


def element_of(type_: Reached) -> Reached | None:
    """The type of one element of a list."""
    match type_:
        case ListType(items=items):
            return items
        case ArgvType():
            return StringType(None, 0, MAX_WORD)
        case ShellType(max_size=size):
            return Command(size)
        case Command(max_size=size):
            return StringType(None, 0, size)
        case _:
            return None


def element_on_average(type_: Reached) -> Reached | None:
    """As `element_of`, for one of all: the elements of a shell line, and of an argv, share its characters."""
    match type_:
        case ShellType(max_size=size):
            return Command(-(-size // SHELL_WORDS))
        case Command(max_size=size):
            return StringType(None, 0, -(-size // SHELL_WORDS))
        case ArgvType(max_size=size):
            return StringType(None, 0, min(MAX_WORD, -(-MAX_ARGV // size)))
        case _:
            return element_of(type_)


def least_size(type_: Reached | None) -> int:
    """How many elements a list of this type has at least."""
    match type_:
        case ListType(min_size=size):
            return size
        case ArgvType() | ShellType() | Command():
            return 1
        case _:
            return 0


def most_size(type_: Reached | None) -> int:
    """How many elements a list of this type has at most; 1 of what is no list."""
    match type_:
        case ListType(max_size=size) | ArgvType(max_size=size):
            return size
        case ShellType() | Command():
            return SHELL_WORDS
        case _:
            return 1
