"""Literals of the language: CEL's strings with their escapes, and exact numbers."""

from __future__ import annotations

import re
from typing import Final

from sandbox.lang.source import Refused, shown

MAX_CODE_POINT: Final = 0x2FFFF
"""The last character of the solver's theory of strings; a proof would be wrong about the rest."""

MAX_DIGITS: Final = 400
"""Digits of a number, the same as in a raw call: exact arithmetic on more is only a way to spend time."""

_NUMBER: Final = re.compile(r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?", re.ASCII)
_SIMPLE: Final = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "'": "'", '"': '"', "`": "`", "?": "?",
}  # fmt: skip
_CODED: Final = {"x": (2, 16), "X": (2, 16), "u": (4, 16), "U": (8, 16)}
_OCTAL_DIGITS: Final = 3


def number(text: str, start: int) -> tuple[int, int]:
    """The value of a number literal as (integer without the point, digits behind the point).

    Raises Refused for what is not plain decimal digits: exponents, hexadecimal, unsigned, bare points.
    """
    if not _NUMBER.fullmatch(text):
        raise Refused(start, f"{shown(text)} is not a number of this language; {_remedy(text)}")
    whole, _, fraction = text.partition(".")
    if len(whole) + len(fraction) > MAX_DIGITS:
        raise Refused(start, f"a number has at most {MAX_DIGITS} digits; write a shorter one")
    return int(whole + fraction), len(fraction)


def _remedy(text: str) -> str:
    lowered = text.lower()
    if lowered.startswith("0x"):
        return "write it in decimal"
    if re.fullmatch(r"[0-9]+u", lowered):
        return "leave out the `u`: integers have no unsigned kind"
    if "_" in text:
        return "write it without `_`"
    if re.fullmatch(r"0[0-9]+(\.[0-9]+)?", text):
        return "leave out the leading zeros"
    if text.startswith(".") or text.endswith("."):
        return "write digits on both sides of the point"
    return "write its digits without an exponent"


def string(token: str, start: int) -> tuple[str, tuple[int, ...]]:
    """The characters of a string literal, and where each stands in the expression (one more for the end).

    Raises Refused for bytes, an escape that CEL does not have, and characters that no value can hold.
    """
    prefix = re.match(r"[rRbB]*", token)[0].lower()  # type: ignore[index]  # a star always matches
    if "b" in prefix:
        raise Refused(start, "bytes are not in the language; leave out the `b`")
    body = token[len(prefix) :]
    quotes = 3 if body[:3] in {'"""', "'''"} else 1
    first = start + len(prefix) + quotes
    inner = body[quotes:-quotes]
    if prefix and "\\" + body[0] in inner:
        raise Refused(start, "engines differ on a backslash before a quote in a raw string; write it without the `r`")
    if "\r" in inner:
        raise Refused(first + inner.index("\r"), "engines differ on a carriage return in a string; write `\\r`")
    units = ((char, first + at) for at, char in enumerate(inner)) if prefix else _unescape(inner, first)
    chars: list[str] = []
    offsets: list[int] = []
    for char, offset in units:
        _check_character(char, offset)
        chars.append(char)
        offsets.append(offset)
    return "".join(chars), (*offsets, first + len(inner))


def _unescape(inner: str, first: int) -> list[tuple[str, int]]:
    units = []
    at = 0
    while at < len(inner):
        char, length = (inner[at], 1) if inner[at] != "\\" else _escape(inner, at, first + at)
        units.append((char, first + at))
        at += length
    return units


def _escape(inner: str, at: int, offset: int) -> tuple[str, int]:
    kind = inner[at + 1]
    if kind in _SIMPLE:
        return _SIMPLE[kind], 2
    skip, (width, base) = (2, _CODED[kind]) if kind in _CODED else (1, (_OCTAL_DIGITS, 8))
    digits = inner[at + skip : at + skip + width]
    allowed = "[0-9a-fA-F]" if base == 16 else "[0-3][0-7]"  # noqa: PLR2004 - the base of hexadecimal
    if len(digits) < width or not re.fullmatch(f"{allowed}+", digits):
        raise Refused(
            offset, f"{shown(inner[at : at + 2])} is no escape of CEL; write `\\\\` for a backslash, or r'...'"
        )
    code = int(digits, base)
    if code > 0x10FFFF:  # noqa: PLR2004 - Unicode's last code point
        raise Refused(offset, f"`\\{kind}{digits}` is no character; Unicode ends at `\\U0010FFFF`")
    return chr(code), skip + width


def _check_character(char: str, offset: int) -> None:
    code = ord(char)
    if code == 0 or 0xD800 <= code <= 0xDFFF or code > MAX_CODE_POINT:  # noqa: PLR2004 - the surrogates
        message = f"U+{code:04X} can stand in no string value (NUL, surrogates and what is above U+2FFFF); take it out"
        raise Refused(offset, message)
