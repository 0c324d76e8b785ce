"""JSON Schema, as MCP servers and OpenAPI files have it -> types of arguments. A schema is data, and may be hostile."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Final

from sandbox.compile.types import MAX_ENUM, MAX_LIST, MAX_STRING, MAX_TEXT
from sandbox.proposal.shapes import (
    TEXT_NAMES,
    Bare,
    Inexpressible,
    ProposedArgument,
    ProposedTool,
    Shape,
    is_argument_name,
    is_tool_name,
    narrower,
)
from sandbox.strict_json import JsonNumber, Tree

MAX_DEPTH: Final = 8
"""Records within records, and references within references."""
SCALE: Final = 6
"""Digits behind the point of a number whose schema says no more than that it is one."""
MAX_VALUE: Final = 200
"""Characters of one value of an enum: nobody reviews longer ones."""
INT_RANGE: Final = (-(2**63), 2**63 - 1)
DEFAULT_STRING: Final = 4_096
DEFAULT_TEXT: Final = 64 * 1024
DEFAULT_LIST: Final = 32

_FORMATS: Final = {"uri": "url", "url": "url", "email": "email", "date-time": "timestamp"}
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,9})?")
_SCALARS: Final = frozenset({"string", "bool", "int", "decimal", "enum", "timestamp", "url", "email", "record"})


def tool_of_schema(name: str, said: str, schema: Tree, effects: tuple[str, ...] = ()) -> ProposedTool:
    """The tool whose arguments this object schema describes; `lost` where a spec cannot have it."""
    if not is_tool_name(name):
        return ProposedTool(name, said, lost="no tool of a spec may be called so")
    try:
        arguments, left_out = _members(schema, _Root(schema), 0)
    except Inexpressible as problem:
        return ProposedTool(name, said, lost=str(problem))
    return ProposedTool(name, said, arguments, effects, left_out=left_out)


class _Root:
    """The whole schema, in which references are looked up."""

    def __init__(self, whole: Tree) -> None:
        self._whole = whole

    def resolved(self, schema: Tree, depth: int) -> Mapping[str, Tree]:
        """The schema, with references followed and `null` taken out of a choice; whether it was is `nullable`."""
        if depth > MAX_DEPTH:
            message = "it is nested too deeply, or refers to itself"
            raise Inexpressible(message)
        if not isinstance(schema, dict):
            message = "its schema says nothing about it"
            raise Inexpressible(message)
        if isinstance(schema.get("$ref"), str):
            return self.resolved(self._pointed(str(schema["$ref"])), depth + 1)
        for key in ("anyOf", "oneOf", "allOf"):
            choices = schema.get(key)
            if isinstance(choices, list):
                left = [each for each in choices if each != {"type": "null"}]
                if len(left) != 1:
                    message = "it may be one of several things"
                    raise Inexpressible(message)
                rest = {name: value for name, value in schema.items() if name != key}
                return {**rest, **self.resolved(left[0], depth + 1)}
        return schema

    def _pointed(self, pointer: str) -> Tree:
        found = self._whole
        if not pointer.startswith("#/"):
            message = "its schema is elsewhere"
            raise Inexpressible(message)
        for part in pointer[2:].split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            found = found.get(key) if isinstance(found, dict) else None
        return found


def _members(schema: Tree, root: _Root, depth: int) -> tuple[tuple[ProposedArgument, ...], tuple[tuple[str, str], ...]]:
    """The members of an object schema; those that cannot be said are left out, if they may be absent."""
    whole = root.resolved(schema, depth)
    properties, required = whole.get("properties", {}), whole.get("required", [])
    if not isinstance(properties, dict) or not isinstance(required, list):
        message = "its schema describes no object"
        raise Inexpressible(message)
    found: list[ProposedArgument] = []
    left_out: list[tuple[str, str]] = []
    for name, member in properties.items():
        try:
            found.append(_argument(name, member, root, depth, needed=name in required))
        except Inexpressible as problem:
            if name in required:
                message = f"`{name}` is required, and {problem}"
                raise Inexpressible(message) from problem
            left_out.append((name, str(problem)))
    return tuple(found), tuple(left_out)


def _argument(name: str, schema: Tree, root: _Root, depth: int, *, needed: bool) -> ProposedArgument:
    if not is_argument_name(name):
        message = "no argument of a spec may be called so"
        raise Inexpressible(message)
    type_ = type_of(name, schema, root, depth)
    said = schema.get("description") if isinstance(schema, dict) else None
    return ProposedArgument(name, type_, not needed, narrower(name, type_), said if isinstance(said, str) else "")


def type_of(name: str, schema: Tree, root: _Root, depth: int) -> dict[str, Shape]:
    """The type that fits a schema, in the spec's own words. Raises Inexpressible."""
    whole = root.resolved(schema, depth)
    if isinstance(whole.get("enum"), list) or "const" in whole:
        return _enum(whole)
    kinds = whole.get("type")
    kind = [each for each in kinds if each != "null"] if isinstance(kinds, list) else [kinds]
    match kind:
        case ["string"]:
            return _string(name, whole)
        case ["integer"]:
            return {"type": Bare("int"), **bounds(whole, 0)}
        case ["number"]:
            return {"type": Bare("decimal"), "scale": SCALE, **bounds(whole, SCALE)}
        case ["boolean"]:
            return {"type": Bare("bool")}
        case ["array"]:
            return _list(name, whole, root, depth)
        case ["object"]:
            return _record(whole, root, depth)
        case _:
            message = "its type is not one"
            raise Inexpressible(message)


def _enum(whole: Mapping[str, Tree]) -> dict[str, Shape]:
    listed = whole.get("enum", [whole.get("const")])
    values = [each for each in listed if type(each) is str and each] if isinstance(listed, list) else []
    if (
        not isinstance(listed, list)
        or len(values) != len(listed)
        or not 0 < len(set(values)) == len(values) <= MAX_ENUM
    ):
        message = "its values are not all strings, or too many"
        raise Inexpressible(message)
    if any(not value.isprintable() or len(value) > MAX_VALUE for value in values):
        message = "its values are too long, or hold characters that do not print"
        raise Inexpressible(message)
    return {"type": Bare("enum"), "values": [str(value) for value in values]}


def _string(name: str, whole: Mapping[str, Tree]) -> dict[str, Shape]:
    known = _FORMATS.get(str(whole.get("format")))
    if known is not None:
        return {"type": Bare(known)}
    longest = _size(whole, "maxLength")
    if name.lower() in TEXT_NAMES or (longest or 0) > MAX_STRING:
        return {"type": Bare("text"), "max_size": min(longest or DEFAULT_TEXT, MAX_TEXT)}
    return {"type": Bare("string"), "max_size": min(longest or DEFAULT_STRING, MAX_STRING)}


def _list(name: str, whole: Mapping[str, Tree], root: _Root, depth: int) -> dict[str, Shape]:
    items = type_of(name, whole.get("items"), root, depth + 1)
    if items["type"] == "text":
        items = {"type": Bare("string"), "max_size": DEFAULT_STRING}
    if items["type"] not in _SCALARS:
        message = "it is a list of lists"
        raise Inexpressible(message)
    return {"type": Bare("list"), "items": items, "max_size": min(_size(whole, "maxItems") or DEFAULT_LIST, MAX_LIST)}


def _record(whole: Mapping[str, Tree], root: _Root, depth: int) -> dict[str, Shape]:
    members, left_out = _members(dict(whole), root, depth + 1)
    if not members or left_out:
        message = "it is an object of any keys" if not members else f"its `{left_out[0][0]}` cannot be said"
        raise Inexpressible(message)
    return {
        "type": Bare("record"),
        "fields": {each.name: {**each.type, **_optional(each.optional)} for each in members},
    }


def _optional(optional: bool) -> dict[str, Shape]:  # noqa: FBT001  # the word that stands in the spec
    return {"optional": True} if optional else {}


def bounds(whole: Mapping[str, Tree], scale: int) -> dict[str, Shape]:
    """`min` and `max`, where the schema has them and the type can say them; the type's own are wider else."""
    step = Decimal(1).scaleb(-scale)
    low, high = _number(whole.get("minimum")), _number(whole.get("maximum"))
    above, below = _number(whole.get("exclusiveMinimum")), _number(whole.get("exclusiveMaximum"))
    low = above + step if above is not None and above == above.quantize(step) else low
    high = below - step if below is not None and below == below.quantize(step) else high
    bounds: dict[str, Shape] = {}
    for key, value in (("min", low), ("max", high)):
        if value is None or value != value.quantize(step):
            continue
        if scale == 0 and not INT_RANGE[0] <= value <= INT_RANGE[1]:
            continue
        bounds[key] = Bare(format(value.quantize(step).normalize() + 0, "f"))
    if low is not None and high is not None and low > high:
        message = "no number is within its bounds"
        raise Inexpressible(message)
    return bounds


def _number(value: Tree) -> Decimal | None:
    if not isinstance(value, JsonNumber) or not _NUMBER.fullmatch(value):
        return None
    try:
        return Decimal(value)
    except InvalidOperation:
        return None


def _size(whole: Mapping[str, Tree], key: str) -> int | None:
    number = _number(whole.get(key))
    return int(number) if number is not None and number == number.to_integral_value() and number > 0 else None
