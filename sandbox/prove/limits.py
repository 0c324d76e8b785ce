"""The limits that an argument's type sets, those of items and fields included, each with the type that has another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, TypeAlias

from sandbox.ir import ArgType, ArgvType, DecimalType, IntType, ListType, RecordType, ShellType, StringType, TextType

Way: TypeAlias = Literal[-1, 1]
"""Whether a bound is stricter where it is less, or where it is more."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A number that is set, scaled by `scale`, for the part of the value at `path` ('' for all of it).

    `word` is the author's; `strictest` the last number that leaves any value, None where there is none; `of_string`:
    whether it is a number of characters; `put` is the whole type with another number in it.
    """

    path: str
    word: str
    now: int
    way: Way
    scale: int
    strictest: int | None
    of_string: bool
    put: Callable[[int], ArgType]


def limits(type_: ArgType, path: str = "") -> Iterator[Limit]:
    """Every limit of the type that is set."""
    match type_:
        case IntType() | DecimalType():
            yield from _of_number(type_, path)
        case StringType() | ListType():
            high, low = type_.max_size, type_.min_size
            string = isinstance(type_, StringType)
            yield Limit(path, "max_size", high, -1, 0, low, string, lambda new: replace(type_, max_size=new))
            yield Limit(path, "min_size", low, 1, 0, high, string, lambda new: replace(type_, min_size=new))
        case TextType(max_size=high):
            yield Limit(path, "max_size", high, -1, 0, 0, of_string=True, put=TextType)
        case _:
            pass
    yield from _inside(type_, path)


def _of_number(type_: IntType | DecimalType, path: str) -> Iterator[Limit]:
    scale = type_.scale if isinstance(type_, DecimalType) else 0
    high, low = type_.maximum, type_.minimum
    if high is not None:
        yield Limit(path, "max", high, -1, scale, low, of_string=False, put=lambda new: replace(type_, maximum=new))
    if low is not None:
        yield Limit(path, "min", low, 1, scale, high, of_string=False, put=lambda new: replace(type_, minimum=new))


def _inside(type_: ArgType, path: str) -> Iterator[Limit]:
    match type_:
        case ListType(items=items):
            for each in limits(items, f"{path}[]"):
                yield replace(each, put=partial(_with_item, type_, each))
        case RecordType(fields=parts):
            for at, part in enumerate(parts):
                for each in limits(part.type, f"{path}.{part.name}") if part.default is None else ():
                    yield replace(each, put=partial(_with_part, type_, at, each))
        case _:
            return


def _with_item(type_: ListType, limit: Limit, new: int) -> ArgType:
    items = limit.put(new)
    match items:
        case TextType() | ArgvType() | ShellType() | ListType():
            message = f"`{type(items).__name__}` is no type of an item"
            raise TypeError(message)
        case _:
            return replace(type_, items=items)


def _with_part(type_: RecordType, at: int, limit: Limit, new: int) -> ArgType:
    changed = replace(type_.fields[at], type=limit.put(new))
    return RecordType((*type_.fields[:at], changed, *type_.fields[at + 1 :]))
