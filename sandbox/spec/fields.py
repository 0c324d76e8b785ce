"""The kinds of value that a key of a spec can have, each read from its scalar's source text."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BeforeValidator

from sandbox.lang.literals import MAX_CODE_POINT, MAX_DIGITS
from sandbox.lang.scope import Digits, Items, Truth, Word
from sandbox.lang.source import Refused, SourceText, shown
from sandbox.lang.syntax import RESERVED
from sandbox.spec.document import Scalar

MAX_NAME: Final = 128
"""Characters of a name: it becomes a file name, a label and a column."""

MAX_TEXT: Final = 4_096
"""Characters of prose (a reason, a description): it is shown to people and to models."""

MAX_COUNT: Final = 1_000_000
"""Processes, open files, entries, characters: beyond any sense, and far from what an engine overflows at."""

MAX_SIZE: Final = 1024**4
"""Bytes of any size: 1 TiB."""

MAX_DURATION_MS: Final = 366 * 86_400_000
"""Of a period or an expiry: a leap year."""

MAX_CPUS: Final = 1_024
"""Processors of a call."""

_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_TOOL_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*", re.ASCII)
_ID: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", re.ASCII)
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?", re.ASCII)
_COUNT: Final = re.compile(r"0|[1-9][0-9]*", re.ASCII)
_SIZE: Final = re.compile(r"(0|[1-9][0-9]*)(KiB|MiB|GiB|)", re.ASCII)
_DURATION: Final = re.compile(r"([1-9][0-9]*)(ms|s|m|h|d)", re.ASCII)
_CPUS: Final = re.compile(r"(0|[1-9][0-9]*)(?:\.([0-9]{1,3}))?", re.ASCII)
_FUNCTION: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_IMAGE: Final = re.compile(r"[a-z0-9][A-Za-z0-9._/:@-]*", re.ASCII)
_NO_STRING: Final = re.compile(
    r"null|Null|NULL|~|true|True|TRUE|false|False|FALSE|[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"
    r"|[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
    r"|[-+]?0[box][0-9a-fA-F_]+|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])*(?:\.[0-9_]*)?|",
    re.ASCII,
)
"""Plain scalars that YAML 1.2's core schema reads as something else than a string, or YAML 1.1 as a number: `1:30`."""

_SIZE_UNITS: Final = {"": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_DURATION_UNITS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class Wrong(Refused, ValueError):
    """A value is refused; `offset` counts in its text. A ValueError, so that pydantic collects it with its place.

    Where the value is a mapping, `under` is the key that the refusal is about.
    """

    def __init__(self, offset: int, message: str, under: str | None = None) -> None:
        super().__init__(offset, message)
        self.under = under


def is_string(scalar: Scalar) -> bool:
    """Whether YAML 1.2 reads it as a string, and YAML 1.1 as no number."""
    return not (scalar.plain and _NO_STRING.fullmatch(scalar.text))


def is_number(text: str) -> bool:
    """Whether a plain scalar is a number as the format writes them: decimal digits, perhaps with a point."""
    return _NUMBER.fullmatch(text) is not None


def _scalar(value: object, what: str) -> Scalar:
    match value:
        case Scalar(text=""):
            raise Wrong(0, f"expected {what}, found nothing; write a value or take the key out")
        case Scalar():
            return value
        case dict():
            raise Wrong(0, f"expected {what}, found a mapping; text with `: ` in it needs quotes")
        case list():
            raise Wrong(0, f"expected {what}, found a list; text that begins with `[` needs quotes")
        case _:
            raise Wrong(0, f"expected {what}")


def _text(value: object, what: str, limit: int = MAX_TEXT) -> str:
    if isinstance(value, str):  # a key, which the mapping has read already
        return _checked(value, what, limit)
    scalar = _scalar(value, what)
    if not is_string(scalar):
        raise Wrong(0, f"expected {what}, found {shown(scalar.text)}; put it in quotes if it is meant as text")
    return _checked(scalar.text, what, limit)


def _checked(text: str, what: str, limit: int) -> str:
    if len(text) > limit:
        raise Wrong(limit, f"{what} has at most {limit:,} characters; shorten it")
    for offset, char in enumerate(text):
        if not 0 < ord(char) <= MAX_CODE_POINT or 0xD800 <= ord(char) <= 0xDFFF:  # noqa: PLR2004 - the surrogates
            raise Wrong(
                offset, f"U+{ord(char):04X} can stand in no value (NUL, surrogates, above U+2FFFF); take it out"
            )
    return text


def _named(value: object, pattern: re.Pattern[str], what: str, shape: str) -> str:
    text = _text(value, f"a {what}", MAX_NAME)
    if not pattern.fullmatch(text):
        raise Wrong(0, f"{shown(text)} is no {what}; write {shape}")
    if text in RESERVED:
        raise Wrong(0, f"{shown(text)} is a reserved word of CEL; use another name")
    return text


def identifier(value: object) -> str:
    """A name that expressions use: `[A-Za-z_][A-Za-z0-9_]*`, no reserved word of CEL."""
    return _named(value, _IDENTIFIER, "name", "a letter or `_`, then letters, digits and `_`")


def tool_name(value: object) -> str:
    """A tool's name: an identifier in which `-` and `.` may stand too (as in MCP)."""
    return _named(value, _TOOL_NAME, "tool name", "a letter or `_`, then letters, digits, `_`, `-` and `.`")


def id_(value: object) -> str:
    """The id of a rule, property or effect."""
    return _named(value, _ID, "short name", "letters, digits, `_`, `-` and `.`")


def target(value: object) -> str:
    """What an assignment names: a variable, or an entry of a map, `NAME[KEY]`; its name is read by `compile`."""
    return _text(value, "the name of a state variable")


def prose(value: object) -> str:
    """Text for people, not empty."""
    return _text(value, "text")


def pattern(value: object) -> Scalar:
    """A pattern; it stays a scalar, so that what is wrong inside of it has a place."""
    scalar = _scalar(value, "a pattern")
    _text(scalar, "a pattern")
    return scalar


def expression(value: object) -> SourceText:
    """An expression: any scalar, whatever YAML would read it as."""
    return _scalar(value, "an expression").source


def boolean(value: object) -> bool:
    """`true` or `false`, and no other spelling."""
    scalar = _scalar(value, "`true` or `false`")
    if not scalar.plain or scalar.text not in {"true", "false"}:
        raise Wrong(0, f"expected `true` or `false`, found {shown(scalar.text)}")
    return scalar.text == "true"


def number(value: object) -> Digits:
    """An exact number in decimal digits."""
    scalar = _scalar(value, "a number")
    if not scalar.plain:
        raise Wrong(0, f"expected a number, found text {shown(scalar.text)}; take the quotes off")
    if not _NUMBER.fullmatch(scalar.text):
        raise Wrong(0, f"expected a number, found {shown(scalar.text)}; write decimal digits, such as `12` or `-0.50`")
    whole, _, fraction = scalar.text.partition(".")
    if len(whole) + len(fraction) > MAX_DIGITS:
        raise Wrong(0, f"a number has at most {MAX_DIGITS} digits; write a shorter one")
    return Digits(int(whole + fraction), len(fraction))


def constant(value: object) -> Digits | Word | Truth | Items:
    """What `define` holds: a bool, a number, a string, or a list of such."""
    if isinstance(value, list):
        return Items(tuple(_constant_item(item) for item in value))
    return _constant_item(value)


def _constant_item(value: object) -> Digits | Word | Truth:
    scalar = _scalar(value, "a bool, number or string")
    if scalar.plain and scalar.text in {"true", "false"}:
        return Truth(scalar.text == "true")
    if scalar.plain and _NUMBER.fullmatch(scalar.text):
        return number(scalar)
    return Word(_text(scalar, "a bool, number or string"))


def initial(value: object) -> Scalar | list[Scalar]:
    """A state variable's first value; its type tells how it is read. That of a set is a list."""
    if isinstance(value, list):
        return [_scalar(item, "a string or enum value") for item in value]
    return _scalar(value, "a bool, number or enum value")


def _within(count: int, most: int, what: str) -> int:
    if not 1 <= count <= most:
        raise Wrong(0, f"{what} lies between 1 and {most:,}; `{count}` does not")
    return count


def whole(value: object) -> int:
    """A number of things, 0 or more."""
    scalar = _scalar(value, "a whole number")
    if not scalar.plain or not _COUNT.fullmatch(scalar.text) or len(scalar.text) > len(str(MAX_COUNT)):
        raise Wrong(0, f"expected a whole number up to {MAX_COUNT:,}, found {shown(scalar.text)}; write decimal digits")
    return int(scalar.text)


def count(value: object) -> int:
    """A number of things, 1 or more (an engine takes 0 for `no limit`)."""
    return _within(whole(value), MAX_COUNT, "this number")


def size(value: object) -> int:
    """Bytes (or code points): a number, or one with KiB, MiB or GiB."""
    scalar = _scalar(value, "a size")
    found = _SIZE.fullmatch(scalar.text)
    if found is None or len(found[1]) > len(str(MAX_SIZE)):
        raise Wrong(
            0, f"expected a size, found {shown(scalar.text)}; write one such as `64KiB`, `128MiB`, `1GiB` or `4096`"
        )
    return _within(int(found[1]) * _SIZE_UNITS[found[2]], MAX_SIZE, "a size in bytes")


def duration(value: object) -> int:
    """Milliseconds, written with a unit."""
    scalar = _scalar(value, "a duration")
    found = _DURATION.fullmatch(scalar.text)
    if found is None or len(found[1]) > len(str(MAX_DURATION_MS)):
        raise Wrong(
            0, f"expected a duration, found {shown(scalar.text)}; write one such as `500ms`, `10s`, `5m`, `24h` or `7d`"
        )
    return _within(int(found[1]) * _DURATION_UNITS[found[2]], MAX_DURATION_MS, "a duration in milliseconds")


def millicpus(value: object) -> int:
    """Processors in thousandths."""
    scalar = _scalar(value, "a number of processors")
    found = _CPUS.fullmatch(scalar.text)
    if found is None or not scalar.plain or len(found[1]) > len(str(MAX_CPUS)):
        raise Wrong(0, f"expected a number of processors, found {shown(scalar.text)}; write one such as `1` or `0.5`")
    return _within(
        int(found[1]) * 1_000 + int((found[2] or "0").ljust(3, "0")), MAX_CPUS * 1_000, "thousandths of a processor"
    )


def function(value: object) -> str:
    """`module:function`."""
    return _named(value, _FUNCTION, "`module:function`", "one such as `tools.payments:send_money`")


def image(value: object) -> str:
    """The name of an image, with a tag or a digest."""
    return _named(value, _IMAGE, "name of an image", "one such as `name:tag` or `name@sha256:...`")


def raw(value: object) -> object:
    """Any value; the type it belongs to tells how it is read."""
    if isinstance(value, Scalar):
        return _scalar(value, "a value")
    return value


Raw = Annotated[object, BeforeValidator(raw)]
Identifier = Annotated[str, BeforeValidator(identifier)]
ToolName = Annotated[str, BeforeValidator(tool_name)]
Id = Annotated[str, BeforeValidator(id_)]
Prose = Annotated[str, BeforeValidator(prose)]
Pattern = Annotated[Scalar, BeforeValidator(pattern)]
Target = Annotated[str, BeforeValidator(target)]
Expression = Annotated[SourceText, BeforeValidator(expression)]
Boolean = Annotated[bool, BeforeValidator(boolean)]
Number = Annotated[Digits, BeforeValidator(number)]
DefinedConstant = Annotated[Digits | Word | Truth | Items, BeforeValidator(constant)]
Initial = Annotated[Scalar | list[Scalar], BeforeValidator(initial)]
Whole = Annotated[int, BeforeValidator(whole)]
Count = Annotated[int, BeforeValidator(count)]
Size = Annotated[int, BeforeValidator(size)]
Duration = Annotated[int, BeforeValidator(duration)]
Millicpus = Annotated[int, BeforeValidator(millicpus)]
Function = Annotated[str, BeforeValidator(function)]
Image = Annotated[str, BeforeValidator(image)]
