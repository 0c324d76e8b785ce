"""Strict JSON: a model's bytes, or a host's dict, become one plain tree, or a refusal with a reason code.

Numbers stay as their source text (`JsonNumber`), so no digit is ever lost; only the argument's type decides
what a number means. Refused here: anything that two JSON readers could take differently (duplicate keys,
NaN, a byte order mark, text after the value), and anything too large, too deep or too many.

A dict from a framework is judged by the same limits. Only plain `dict list str bool int float None` and
`Decimal` are taken, by exact type, so that no method of a foreign object ever runs. A float has already
lost its source text: it counts as the number that `repr` writes, and is refused where that has an exponent.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Final, NoReturn, TypeAlias

from sandbox.call import Rejected

MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
"""Bytes of one raw call: four times the largest `text`."""
MAX_DEPTH: Final = 32
"""Containers within containers: no argument type nests deeper, and a reader's stack is finite."""
MAX_KEYS: Final = 256
"""Keys of one object: more than any tool has arguments."""
MAX_DIGITS: Final = 400
"""Digits of one number: more than any bound has; below every limit of Python's own conversions."""
MAX_VALUES: Final = 65_536
"""Values in one message: what keeps a message of 4 MiB from becoming gigabytes of objects."""

_BITS_PER_DIGIT: Final = 3.3219280948873626


class JsonNumber(str):
    """A JSON number as it was written; what it means is for the argument's type to say."""

    __slots__ = ()


Tree: TypeAlias = "bool | str | JsonNumber | list[Tree] | dict[str, Tree] | None"


class _Unreadable(Exception):
    """Raised inside this module, also by the hooks of the JSON reader; `read` answers its `rejected`."""

    def __init__(self, reason_code: str, reason: str) -> None:
        super().__init__(reason)
        self.rejected = Rejected(reason_code, reason)


def read(raw: object) -> Tree | Rejected:
    """The tree of a message given as bytes, str or dict; `Rejected` with a `parse.*` code for all else."""
    try:
        if type(raw) is bytes:
            return _read_bytes(raw)
        if type(raw) is str:
            return _read_bytes(_encoded(raw))
        if type(raw) is dict:
            return _HostReader().read(raw, 1)
    except _Unreadable as refusal:
        return refusal.rejected
    return Rejected("parse.shape", "a call must be given as `bytes`, `str` or a plain `dict`")


def member(tree: Tree, name: str) -> Tree:
    """The value under a key, or None where there is none, or no object."""
    return tree.get(name) if isinstance(tree, dict) else None


def _refuse(reason_code: str, reason: str) -> NoReturn:
    raise _Unreadable(reason_code, reason)


# --- from bytes --------------------------------------------------------------------------------------


def _encoded(raw: str) -> bytes:
    if len(raw) > MAX_MESSAGE_BYTES:
        _refuse_size()
    try:
        return raw.encode()
    except UnicodeEncodeError as error:
        _refuse("parse.utf8", f"lone surrogate at character {error.start}; send valid Unicode")


def _read_bytes(raw: bytes) -> Tree:
    if len(raw) > MAX_MESSAGE_BYTES:
        _refuse_size()
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        _refuse("parse.utf8", f"byte {error.start} is not UTF-8; send JSON as UTF-8")
    if text.startswith("\ufeff"):
        _refuse("parse.json", "a byte order mark stands before the JSON; send it without one")
    _check_structure(raw)
    try:
        tree: Tree = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        what = error.msg[:1].lower() + error.msg[1:]
        _refuse("parse.json", f"not valid JSON at character {error.pos}: {what}")
    return tree


def _refuse_size() -> NoReturn:
    _refuse("parse.too_large", f"the message is larger than {MAX_MESSAGE_BYTES} bytes")


_SKELETON: Final = bytes.maketrans(b"{}", b"[]")
_FLESH: Final = bytes(byte for byte in range(256) if byte not in b'"[]{},')


def _check_structure(raw: bytes) -> None:
    """Refuses depth and number of values before anything is built; exact for every valid JSON text.

    It cannot be fooled by an invalid one either: strings are cut out exactly as the reader would see them
    up to the first error, and what is left then nests at most twice `MAX_DEPTH` there.
    """
    opens = raw.count(b"[") + raw.count(b"{")
    if opens <= MAX_DEPTH and opens + raw.count(b",") < MAX_VALUES:
        return
    unescaped = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    if unescaped.count(b'"') > 4 * MAX_VALUES:  # every string is a value, or the key of one
        _refuse_values()
    skeleton = unescaped.translate(_SKELETON, _FLESH).replace(b'""', b"")  # leaves every other quote's parity
    structure = b"".join(skeleton.split(b'"')[::2])
    # valid JSON with fewer than `MAX_VALUES` values has no more brackets; of anything else the beginning is enough
    _check_depth(structure.replace(b",", b"")[: 2 * MAX_VALUES])
    if structure.count(b",") + structure.count(b"[") >= MAX_VALUES:
        _refuse_values()


def _check_depth(brackets: bytes) -> None:
    """Takes the innermost pairs out, `MAX_DEPTH` times."""
    for _ in range(MAX_DEPTH):
        size = len(brackets)
        brackets = brackets.replace(b"[]", b"")
        if len(brackets) == size:
            break
    if b"[]" in brackets or brackets.count(b"[") > MAX_DEPTH:
        _refuse_depth()


def _refuse_values() -> NoReturn:
    _refuse("parse.too_large", f"the message holds more than {MAX_VALUES} values")


def _refuse_depth() -> NoReturn:
    _refuse("parse.depth", f"arrays and objects are nested deeper than {MAX_DEPTH}")


def _object(pairs: list[tuple[str, Tree]]) -> dict[str, Tree]:
    if len(pairs) > MAX_KEYS:
        _refuse_keys()
    fields = dict(pairs)
    if len(fields) != len(pairs):
        _refuse("parse.duplicate_key", "an object has the same key twice; write every key once")
    return fields


def _refuse_keys() -> NoReturn:
    _refuse("parse.keys", f"an object has more than {MAX_KEYS} keys")


def _number(text: str) -> JsonNumber:
    if len(text) > MAX_DIGITS and sum(map(text.count, "0123456789")) > MAX_DIGITS:
        _refuse_digits()
    return JsonNumber(text)


def _refuse_digits() -> NoReturn:
    _refuse("parse.number", f"a number has more than {MAX_DIGITS} digits")


def _constant(text: str) -> NoReturn:
    _refuse("parse.number", f"`{text}` is not a JSON number")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_number, parse_float=_number, parse_constant=_constant
)

# --- from a host's dict ------------------------------------------------------------------------------


class _HostReader:
    """Copies a host's tree by exact type, within the limits of a message; shared parts count every time."""

    def __init__(self) -> None:
        self._values = 0
        self._size = 0

    def read(self, value: object, depth: int) -> Tree:
        self._values += 1
        if self._values > MAX_VALUES:
            _refuse_values()
        kind = type(value)
        if value is None or kind is bool:
            return value  # type: ignore[return-value]  # of exactly these two types
        reader = self._readers.get(kind)
        if reader is None:
            _refuse("parse.type", "a value is neither plain JSON data nor a `Decimal`")
        return reader(self, value, depth)

    def _dict(self, value: dict[object, object], depth: int) -> Tree:
        if depth > MAX_DEPTH:
            _refuse_depth()
        if len(value) > MAX_KEYS:
            _refuse_keys()
        # one C call, so that no other thread can change the dict between two keys
        return {self._key(key): self.read(item, depth + 1) for key, item in tuple(value.items())}

    def _key(self, key: object) -> str:
        if type(key) is not str:
            _refuse("parse.type", "a key of an object is not a plain `str`")
        return self._str(key, 0)

    def _list(self, value: list[object], depth: int) -> Tree:
        if depth > MAX_DEPTH:
            _refuse_depth()
        if len(value) > MAX_VALUES:
            _refuse_values()
        return [self.read(item, depth + 1) for item in tuple(value)]

    def _str(self, value: str, _depth: int) -> str:
        self._size += len(value)
        if self._size > MAX_MESSAGE_BYTES:
            _refuse_size()
        return value

    def _int(self, value: int, _depth: int) -> Tree:
        if value.bit_length() > MAX_DIGITS * _BITS_PER_DIGIT:
            _refuse_digits()
        return _number(str(value))

    def _float(self, value: float, _depth: int) -> Tree:
        return _number(repr(value)) if math.isfinite(value) else _constant(repr(value))

    def _written(self, value: JsonNumber, _depth: int) -> Tree:
        return _number(value)

    def _decimal(self, value: Decimal, _depth: int) -> Tree:
        _, digits, exponent = value.as_tuple()
        if not isinstance(exponent, int):
            _constant(str(exponent))
        if len(digits) + abs(exponent) > MAX_DIGITS:
            _refuse_digits()
        return _number(format(value, "f"))

    _readers: Final[dict[type, Callable[..., Tree]]] = {
        dict: _dict,
        list: _list,
        str: _str,
        int: _int,
        float: _float,
        JsonNumber: _written,
        Decimal: _decimal,
    }
