"""The one canonical form of values: canonical JSON (RFC 8785), canonical paths, and text made safe to show.

What is written here is what is digested, shown to a person, recorded and sent to the container.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import unicodedata
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final, cast

from sandbox.call import Rejected, Value
from sandbox.emails import show_email
from sandbox.ir import (
    ArgType,
    ArgvType,
    BoolType,
    DecimalSort,
    DecimalType,
    DurationType,
    EmailType,
    EnumType,
    IntType,
    Json,
    ListType,
    MapSort,
    PathType,
    RecordType,
    SetSort,
    ShellType,
    StateSort,
    StringType,
    TextType,
    TimestampType,
    UrlType,
)
from sandbox.shell import ShellLine, spell
from sandbox.times import show_duration, show_timestamp
from sandbox.urls import show_url

MAX_PATH_BYTES: Final = 4_096
"""Linux' PATH_MAX: a longer path cannot be opened."""
MAX_SEGMENT_BYTES: Final = 255
"""Linux' NAME_MAX."""
SHOWN_CHARACTERS: Final = 80
"""Characters of a hostile text that a one-line reason repeats."""

_PATH_FORBIDDEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")
_UNPRINTED_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Mn", "Me"})
_LOOKS_EMPTY: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # letters and symbols that print as nothing


def canonical_json(value: Json | Mapping[str, Json]) -> str:
    """JCS: keys sorted by UTF-16 code units, no white space, ints exact whatever their size.

    Raises ValueError for what has no canonical JSON: a lone surrogate, NaN, infinity, another type.
    """
    text = _write(value)
    if not text.isascii():
        text.encode()  # a lone surrogate has no UTF-8: UnicodeEncodeError is a ValueError
    return text


def json_digest(value: Json | Mapping[str, Json]) -> str:
    """SHA-256 (hex) of the canonical JSON."""
    return text_digest(canonical_json(value))


def text_digest(text: str) -> str:
    """SHA-256 (hex) of a text's UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def show_value(value: Value, type_: ArgType) -> Json:
    """The canonical JSON form of a canonical value.

    A decimal is a string with exactly `scale` digits; an instant, a duration, a URL and an address are their
    canonical text; a shell line is its commands and operators.
    """
    match type_, value:
        case DecimalType(scale=scale), int():
            return show_decimal(value, scale)
        case TimestampType(), int():
            return show_timestamp(value)
        case DurationType(), int():
            return show_duration(value)
        case UrlType(), Mapping():
            return show_url(value)
        case EmailType(), Mapping():
            return show_email(value)
        case RecordType(fields=parts), Mapping():
            return {part.name: show_value(value[part.name], part.type) for part in parts if part.name in value}
        case ShellType(), ShellLine():
            return cast("Json", value.canonical())
        case ArgvType(), tuple():
            return [str(word) for word in value]
        case ListType(items=items), tuple():
            return [show_value(item, items) for item in value]
        case ((BoolType() | IntType() | StringType() | TextType() | EnumType() | PathType()), (bool() | int() | str())):
            return value
    message = f"a value of `{type(value).__name__}` is no canonical value of `{type(type_).__name__}`"
    raise TypeError(message)


def show_state(value: Value, sort: StateSort) -> Json:
    """The value of a state variable: a decimal is text with its digits, a set a sorted list, a map an object."""
    match sort, value:
        case DecimalSort(scale=scale), int():
            return show_decimal(value, scale)
        case SetSort(), AbstractSet():
            return [*sorted(value)]
        case MapSort(value=number), Mapping():
            return {key: show_state(value[key], number) for key in sorted(value)}
        case _, (bool() | int() | str()):
            return value
    message = f"a value of `{type(value).__name__}` is none of `{type(sort).__name__}`"
    raise TypeError(message)


def raw_value(value: Value, type_: ArgType) -> Json:
    """A raw JSON form that `parse` reads as this value: the canonical one, but for shell lines, which are text."""
    match type_, value:
        case ShellType(), tuple():
            return spell(value)
        case RecordType(fields=parts), Mapping():
            return {part.name: raw_value(value[part.name], part.type) for part in parts if part.name in value}
        case ListType(items=items), tuple():
            return [raw_value(item, items) for item in value]
        case _:
            return show_value(value, type_)


def show_decimal(scaled: int, scale: int) -> str:
    """`-1234` at scale 2 is `-12.34`."""
    digits = str(abs(scaled)).rjust(scale + 1, "0")
    sign = "-" if scaled < 0 else ""
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}" if scale else f"{sign}{digits}"


def canonical_path(text: str, under: str | None) -> str | Rejected:
    """The absolute path that `text` names: `/`, or `/` and segments joined by `/`.

    `.` segments, repeated and trailing slashes are dropped; a relative path is taken below `under`.
    Refused with `parse.path`: empty; relative without `under`; a `..` segment; a leading `~`; NUL, control
    characters, backslash; over 4,096 bytes; a segment over 255 bytes. With `parse.unicode`: what no string may hold.
    """
    if len(text) > MAX_PATH_BYTES:
        return Rejected("parse.path", f"a path of at most {MAX_PATH_BYTES} bytes is accepted")
    if _PATH_FORBIDDEN.search(text):
        return Rejected("parse.path", "a path without control characters and backslashes is accepted")
    if not is_string(text):
        return Rejected("parse.unicode", "a lone surrogate or a character above U+2FFFF is not accepted")
    if not text or text.startswith("~"):
        return Rejected("parse.path", "a path that is not empty and does not begin with `~` is accepted")
    if not text.startswith("/"):
        if under is None:
            return Rejected("parse.path", "an absolute path, one that begins with `/`, is accepted")
        text = f"{under}/{text}"
    segments = [segment for segment in text.split("/") if segment not in ("", ".")]
    if ".." in segments:
        return Rejected("parse.path", "a path without `..` segments is accepted")
    path = "/" + "/".join(segments)
    if len(path.encode()) > MAX_PATH_BYTES or any(len(segment.encode()) > MAX_SEGMENT_BYTES for segment in segments):
        limits = f"at most {MAX_PATH_BYTES} bytes, with segments of at most {MAX_SEGMENT_BYTES} bytes"
        return Rejected("parse.path", f"a path of {limits}, is accepted")
    return path


def is_text(text: str) -> bool:
    """Whether `text` is valid Unicode without NUL: no lone surrogate."""
    if text.isascii():
        return "\0" not in text
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def is_string(text: str) -> bool:
    """Whether rules can see `text`: valid Unicode, no NUL, nothing above U+2FFFF (the solver's alphabet)."""
    return is_text(text) and (text.isascii() or max(text) <= "\U0002ffff")


def printable(text: str) -> str:
    """`text` on one line, in which every character shows: what does not print stands as its JSON escape.

    Escaped are control, format (bidirectional, zero-width), combining, private, unassigned and surrogate
    characters, line and paragraph separators, every space but U+0020, and letters that look empty.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if _prints(char) else escaped(char) for char in text)


def quoted(text: str) -> str:
    """A hostile text in backticks within a reason: printable, ASCII, at most `SHOWN_CHARACTERS` of it."""
    cut = text[:SHOWN_CHARACTERS]
    shown = "".join(
        char if char.isascii() and char.isprintable() and char not in "`\\" else escaped(char) for char in cut
    )
    return f"`{shown}`" + (f"... ({len(text)} characters)" if len(text) > SHOWN_CHARACTERS else "")


# --- writing -----------------------------------------------------------------------------------------


def _write(value: object) -> str:
    if isinstance(value, str):
        return _WRITE_STRING(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return _write_float(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_write, value))}]"
    if isinstance(value, Mapping):
        fields = sorted(value.items(), key=_utf16)
        return f"{{{','.join(f'{_WRITE_STRING(key)}:{_write(item)}' for key, item in fields)}}}"
    message = f"`{type(value).__name__}` has no canonical JSON"
    raise ValueError(message)  # one exception for all that has no canonical form


_WRITE_STRING: Final = json.JSONEncoder(ensure_ascii=False).encode


def _utf16(field: tuple[str, object]) -> bytes:
    return field[0].encode("utf-16-be", "surrogatepass")


_PLAIN_FROM: Final = -6
_PLAIN_BELOW: Final = 21


def _write_float(value: float) -> str:
    """As ECMAScript writes a number (RFC 8785 section 3.2.2.3); `repr` has the same shortest digits."""
    if not math.isfinite(value):
        message = f"`{value}` has no canonical JSON"
        raise ValueError(message)
    if value == 0:
        return "0"
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = int(exponent or 0) + len(whole) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    sign = "-" if value < 0 else ""
    if _PLAIN_FROM < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    if 0 < point <= _PLAIN_BELOW:
        whole, fraction = digits[:point].ljust(point, "0"), digits[point:]
        return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"
    tail = f".{digits[1:]}" if digits[1:] else ""
    return f"{sign}{digits[0]}{tail}e{point - 1:+d}"


# --- showing -----------------------------------------------------------------------------------------


def _prints(char: str) -> bool:
    if char.isascii():
        return char.isprintable()
    category = unicodedata.category(char)
    return category not in _UNPRINTED_CATEGORIES and category != "Zs" and char not in _LOOKS_EMPTY


def escaped(char: str) -> str:
    """The character's JSON escape, a pair of them above U+FFFF: copied into JSON it means the same character."""
    return "".join(f"\\u{unit:04x}" for unit in memoryview(char.encode("utf-16", "surrogatepass")[2:]).cast("H"))
