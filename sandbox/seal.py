"""What stands outside of the gate for what is secret: a digest that nobody can try values against without the key.

A secret is often short, and then its plain digest gives it away: whoever reads the record tries every PIN. So what
stands for the values of secret arguments, and for every text that holds one, is keyed (HMAC-SHA256). Equal secrets at
one place of one tool have equal digests, which is what a digest in a record is for.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from sandbox.canonical import canonical_json
from sandbox.ir import ArgType, Argument, Json, ListType, RecordType, Tool

KEY_BYTES: Final = 32
"""As many as the digest has: fewer would be guessed sooner, more add nothing."""


@dataclass(frozen=True, slots=True)
class Seal:
    """A key that never leaves the gate."""

    key: bytes = field(repr=False)

    @classmethod
    def fresh(cls) -> Seal:
        """A key that is nowhere else, and is lost with this object."""
        return cls(secrets.token_bytes(KEY_BYTES))

    def digest(self, purpose: str, text: str) -> str:
        """HMAC-SHA256 (hex) of a text; what is digested for one purpose says nothing about another."""
        return hmac.digest(self.key, f"{purpose}\0{text}".encode("utf-8", "surrogatepass"), "sha256").hex()

    def masked(self, args: Mapping[str, Json], tool: Tool) -> dict[str, Json]:
        """The canonical arguments with `{"secret": DIGEST}` in place of each secret value."""
        return self._fields(args, tool.arguments, tool.name)

    def _fields(self, values: Mapping[str, Json], declared: tuple[Argument, ...], place: str) -> dict[str, Json]:
        types = {each.name: each for each in declared}
        return {name: self._value(value, types[name], f"{place}\0{name}") for name, value in values.items()}

    def _value(self, value: Json, declared: Argument, place: str) -> Json:
        if declared.secret:
            return {"secret": self.digest(f"value\0{place}", canonical_json(value))}
        return self._inner(value, declared.type, place)

    def _inner(self, value: Json, type_: ArgType, place: str) -> Json:
        match type_, value:
            case RecordType(fields=fields), dict():
                return self._fields(value, fields, place)
            case ListType(items=items), list():
                return [self._inner(item, items, place) for item in value]
            case _:
                return value


def holds_secret(argument: Argument) -> bool:
    """Whether the argument is secret, or a field somewhere in it is."""
    return argument.secret or _type_holds_secret(argument.type)


def has_secrets(tool: Tool) -> bool:
    """Whether a call of the tool has values that must not be seen."""
    return any(holds_secret(argument) for argument in tool.arguments)


def needs_seal(tools: Iterable[Tool]) -> bool:
    """Whether any of these tools has secrets."""
    return any(has_secrets(tool) for tool in tools)


def _type_holds_secret(type_: ArgType) -> bool:
    match type_:
        case RecordType(fields=fields):
            return any(holds_secret(part) for part in fields)
        case ListType(items=items):
            return _type_holds_secret(items)
        case _:
            return False
