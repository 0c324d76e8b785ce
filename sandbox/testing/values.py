"""Hypothesis strategies of raw JSON values for each argument type: what `parse` accepts, in every accepted form.

A strategy may err on the wide side; whoever needs calls that parse filters them through `parse` itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias, assert_never

from hypothesis import strategies as st

from sandbox.canonical import show_decimal
from sandbox.ir import (
    ArgType,
    Argument,
    ArgvType,
    BoolType,
    DecimalType,
    DurationType,
    EmailType,
    EnumType,
    IntType,
    Json,
    ListType,
    PathType,
    RecordType,
    ShellType,
    StringType,
    TextType,
    TimestampType,
    Tool,
    UrlType,
)

Raw: TypeAlias = dict[str, Json]
Values: TypeAlias = st.SearchStrategy[Json]

SHORT: Final = 24
"""Code points and items that are tried of what may be thousands long; a fault of length is found by its bounds."""
SPREAD: Final = 10**12
"""How far from zero an unbounded number is tried."""

_CHARACTERS: Final = st.characters(min_codepoint=1, max_codepoint=0x2FFFF, exclude_categories=["Cs"])
_SEGMENTS: Final = st.from_regex(re.compile(r"[a-zA-Z0-9_.-]{1,12}", re.ASCII), fullmatch=True).filter(
    lambda text: text not in {".", ".."}
)
_HOSTS: Final = st.from_regex(re.compile(r"[a-z][a-z0-9-]{0,8}[a-z0-9](\.[a-z]{2,4}){1,2}", re.ASCII), fullmatch=True)
_WORDS: Final = st.text("abcxyz019-_./=:", min_size=1, max_size=10)


def arguments(fields: tuple[Argument, ...]) -> st.SearchStrategy[dict[str, Json]]:
    """Objects with every required field, and with any of the others."""
    required = {each.name: values(each.type) for each in fields if not each.optional and each.default is None}
    others = {each.name: values(each.type) for each in fields if each.name not in required}
    return st.fixed_dictionaries(required, optional=others)


def calls(tools: Sequence[Tool]) -> st.SearchStrategy[Raw]:
    """Raw calls of these tools, of the right form."""

    def call(tool: Tool) -> st.SearchStrategy[Raw]:
        return arguments(tool.arguments).map(lambda args: raw_call(tool.name, args))

    return st.sampled_from(tools).flatmap(call)


def raw_call(tool: str, args: Mapping[str, Json]) -> Raw:
    """One raw call."""
    return {"tool": tool, "args": dict(args)}


def values(type_: ArgType) -> Values:
    """Raw JSON values of one type."""
    match type_:
        case BoolType():
            return st.booleans()
        case IntType(minimum=low, maximum=high):
            return st.integers(low, high) | st.sampled_from(sorted({low, high}))
        case DecimalType():
            return _decimals(type_)
        case StringType(pattern=pattern, min_size=low, max_size=high):
            return _strings(pattern, low, high)
        case TextType(max_size=high):
            return st.text(_CHARACTERS, max_size=min(high, SHORT))
        case EnumType(values=names):
            return st.sampled_from(names)
        case PathType(under=under):
            return _paths(under)
        case TimestampType():
            return st.datetimes().map(lambda at: at.isoformat(timespec="milliseconds") + "Z")
        case DurationType():
            return st.builds("{}{}".format, st.integers(0, 9_999), st.sampled_from(["ms", "s", "m", "h"]))
        case UrlType(schemes=schemes):
            return st.builds(
                "{}://{}{}/{}".format,
                st.sampled_from(schemes),
                _HOSTS | st.sampled_from(["localhost", "127.0.0.1", "10.0.0.1", "[::1]", "169.254.169.254"]),
                st.sampled_from(["", ":8080"]),
                st.lists(_SEGMENTS, max_size=3).map("/".join),
            )
        case EmailType():
            return st.builds("{}@{}".format, _SEGMENTS.filter(lambda text: ".." not in text), _HOSTS)
        case ArgvType(max_size=high):
            return st.lists(_WORDS, min_size=1, max_size=min(high, 6)).map(list)
        case ShellType(max_size=high):
            commands = st.lists(_WORDS, min_size=1, max_size=4).map(" ".join)
            lines = st.lists(commands, min_size=1, max_size=3).map(" && ".join)
            return lines.filter(lambda line: len(line) <= high)
        case RecordType(fields=fields):
            return arguments(fields).map(dict)
        case ListType(items=items, min_size=low, max_size=high):
            return st.lists(values(items), min_size=low, max_size=max(low, min(high, 6))).map(list)
        case _:
            assert_never(type_)


def _decimals(type_: DecimalType) -> Values:
    low = -SPREAD if type_.minimum is None else type_.minimum
    high = SPREAD if type_.maximum is None else type_.maximum
    numbers = st.integers(low, high) | st.sampled_from(sorted({low, high}))
    return numbers.map(lambda number: show_decimal(number, type_.scale))


def _strings(pattern: str | None, low: int, high: int) -> Values:
    if pattern is None:
        return st.text(_CHARACTERS, min_size=min(low, high), max_size=max(low, min(high, SHORT)))
    return st.from_regex(re.compile(pattern, re.ASCII), fullmatch=True)


def _paths(under: str | None) -> Values:
    below = st.lists(_SEGMENTS, max_size=4).map("/".join)
    if under is None:
        return below.map(lambda text: f"/{text}")
    return below.filter(bool) | below.map(lambda text: f"{under.rstrip('/')}/{text}") | below.map(lambda t: f"/{t}")
