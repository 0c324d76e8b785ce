"""When a value that a model gives is one that was seen before: the same, or the same but for its spelling.

A value is known by marks, texts that are kept as keyed digests only. What was seen has a mark for each way in which an
argument could read it (a text, a number, a path below some folder, a URL), so that the canonical value of an argument
is found again by its own. Besides it has a looser mark, which does not change with case, white space, invisible
characters, compatibility forms and ways to write a number: it finds a value that was typed again, and so is not quite
the one that was seen. Whole values only: a part of a text, or a text put together from several, is another value.
"""

from __future__ import annotations

import contextlib
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TypeAlias, cast

from sandbox.call import Rejected
from sandbox.canonical import canonical_json, show_value
from sandbox.ir import (
    ArgType,
    Argument,
    ArgvType,
    DecimalType,
    DurationType,
    EmailType,
    IntType,
    Json,
    ListType,
    PathType,
    RecordType,
    ShellType,
    TimestampType,
    UrlType,
)
from sandbox.origins import MAX_ALIKE
from sandbox.parse import parse_value
from sandbox.strict_json import MAX_DIGITS

MAX_DEPTH: Final = 64
"""Levels of what is learned: the results of tools have fewer."""
MAX_EXPONENT: Final = 400
"""Zeros that an exponent stands for: as many digits as a number may have."""

MAX_NUMBER: Final = 2 * MAX_DIGITS
"""Characters of a number, with what stands between its digits."""
MAX_REMEMBERED: Final = 65_536
"""Characters whose plain form is remembered: those of most alphabets, in some megabytes at worst."""

Leaf: TypeAlias = bool | int | float | str

_TAGS: Final[Mapping[type, str]] = {
    PathType: "path", UrlType: "url", EmailType: "email", TimestampType: "instant", DurationType: "duration",
    ShellType: "shell",
}  # fmt: skip
"""Types whose canonical value is not the text itself."""

_NUMBER: Final = re.compile(r"[-+]?[0-9][0-9,_']*(?:\.[0-9]+)?(?:e[-+]?[0-9]{1,3})?|[-+]?\.[0-9]+", re.ASCII)
_PLAIN_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Marks:
    """What a value is known by: exactly, and but for its spelling; a text that is too long for that has None."""

    exact: frozenset[str]
    alike: str | None


@dataclass(frozen=True, slots=True)
class Given:
    """What one value of an argument is found by."""

    exact: str
    alike: str | None


class TooDeepError(ValueError):
    """What is to be learned nests deeper than `MAX_DEPTH`."""


def leaves(value: object, depth: int = 0) -> Iterator[Leaf]:
    """Every single value in a JSON value, and every key of an object; null is none.

    A text that is itself a JSON object or array, as tools often return, has all that is in it besides.
    Raises TooDeepError, and TypeError for what is no JSON.
    """
    if depth > MAX_DEPTH:
        message = f"it nests deeper than {MAX_DEPTH} levels"
        raise TooDeepError(message)
    match value:
        case None:
            return
        case str():
            yield value
            with contextlib.suppress(TooDeepError):  # then it is a text and no more
                yield from list(leaves(_inside(value), depth + 1))
        case bool() | int() | float():
            yield value
        case list() | tuple():
            for item in value:
                yield from leaves(item, depth + 1)
        case Mapping():
            for key, item in value.items():
                yield from leaves(key, depth + 1)
                yield from leaves(item, depth + 1)
        case _:
            message = f"a `{type(value).__name__}` is no JSON"
            raise TypeError(message)


def _inside(text: str) -> object:
    """The object or array whose JSON a text is; None of every other text."""
    text = text.lstrip("\ufeff \t\r\n")
    if text[:1] not in {"{", "["}:
        return None
    try:
        return cast(
            "object",
            json.loads(text, object_pairs_hook=_members, parse_float=_fraction, parse_constant=lambda name: name),
        )
    except (ValueError, RecursionError):
        return None


def _members(pairs: list[tuple[str, object]]) -> list[object]:
    """All that stands in an object, whatever stands there under the same name."""
    return [part for pair in pairs for part in pair]


def _fraction(text: str) -> float | str:
    """A number, as its text where a float would be another number."""
    number = float(text)
    try:
        return number if Decimal(repr(number)) == Decimal(text) else text
    except ArithmeticError:  # an exponent beyond what any number has
        return text


def readings(arguments: Iterable[Argument]) -> tuple[ArgType, ...]:
    """The types by which a text can become a value that is not that text: each of these arguments' own, once."""
    return tuple(dict.fromkeys(type_ for argument in arguments for type_ in _readings(argument.type)))


def _readings(type_: ArgType) -> Iterator[ArgType]:
    match type_:
        case ListType(items=items):
            yield from _readings(items)
        case RecordType(fields=parts):
            for part in parts:
                yield from _readings(part.type)
        case _ if type(type_) in _TAGS:
            yield type_


def marks_of(leaf: Leaf, read_as: Iterable[ArgType]) -> Marks:
    """The marks of a value that was seen, where arguments of these types could be given it."""
    if not isinstance(leaf, str):
        text = canonical_json(leaf)
        plain = _plain_number(text)
        return Marks(frozenset({f"bool:{text}" if plain is None else f"number:{plain}"}), _alike(text))
    exact = {f"text:{leaf}"}
    if len(leaf) <= MAX_DIGITS + len("-.") and _PLAIN_NUMBER.fullmatch(leaf):
        exact.add(f"number:{_plain_number(leaf)}")
    for type_ in read_as:
        value = parse_value(leaf, type_)
        if not isinstance(value, Rejected):
            exact.add(_tagged(_TAGS[type(type_)], show_value(value, type_)))
    return Marks(frozenset(exact), _alike(leaf))


def marks_of_argument(shown: Json, type_: ArgType) -> tuple[Given, ...]:
    """What every single value of an argument is found by; `shown` is its canonical JSON. Of nothing, nothing."""
    match type_, shown:
        case ListType(items=items), list():
            return tuple(given for item in shown for given in marks_of_argument(item, items))
        case RecordType(fields=parts), dict():
            present = ((shown[part.name], part.type) for part in parts if part.name in shown)
            return tuple(given for item, inner in present for given in marks_of_argument(item, inner))
        case ArgvType(), list():
            return tuple(Given(f"text:{word}", _alike(str(word))) for word in shown)
        case ((IntType() | DecimalType()), (int() | str())):
            return (Given(f"number:{_plain_number(str(shown))}", _alike(str(shown))),)
        case ShellType(), list():
            return tuple(Given(f"text:{word}", _alike(word)) for word in _words(shown))
        case _ if type(type_) in _TAGS:
            return (Given(_tagged(_TAGS[type(type_)], shown), _alike(str(shown))),)
        case _, bool():
            text = canonical_json(shown)
            return (Given(f"bool:{text}", _alike(text)),)
        case _:
            return (Given(f"text:{shown}", _alike(str(shown))),)


def mark_of_whole(shown: Json, type_: ArgType) -> str | None:
    """What a command line as a whole is found by: that of a text that was seen; None of every other type."""
    return _tagged("shell", shown) if isinstance(type_, ShellType) else None


def _tagged(tag: str, shown: Json) -> str:
    return f"{tag}:{shown if isinstance(shown, str) else canonical_json(shown)}"


def _words(shown: list[Json]) -> list[str]:
    """The words of a canonical command line; the operators between its commands are ours, and no values."""
    commands = cast("list[list[str]]", [part for part in shown if isinstance(part, list)])
    return [word for command in commands for word in command]


def _plain_number(text: str) -> str | None:
    """A number without an exponent, without zeros that mean nothing; None of any other text."""
    if len(text) > MAX_NUMBER or not _NUMBER.fullmatch(text):
        return None
    number = Decimal(text.translate({ord(char): None for char in ",_'"}))
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or abs(exponent) > MAX_EXPONENT:
        return None
    if not number:
        return "0"
    digits = format(number, "f")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def _alike(text: str) -> str | None:
    """A text without what a model changes when it types it again: case, spaces, invisible marks, forms of numbers."""
    if len(text) > MAX_ALIKE:
        return None
    folded = text.casefold()
    if not folded.isascii():
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    plain = folded.translate(_PLAIN)
    return _plain_number(plain) or plain


class _Plain(dict[int, int | None]):
    """For `str.translate`: digits of every script are those of ASCII; what is white space or does not show is gone."""

    def __missing__(self, code: int) -> int | None:
        char = chr(code)
        plain: int | None = code
        if char.isspace() or unicodedata.category(char) in {"Cc", "Cf", "Zs", "Zl", "Zp"}:
            plain = None
        elif char.isdecimal():
            plain = ord("0") + unicodedata.decimal(char)
        if len(self) < MAX_REMEMBERED:
            self[code] = plain
        return plain


_PLAIN: Final = _Plain()
