"""The JSON Schema of a tool's arguments, for models: it admits every call that the spec can allow.

It is advice to a model and no boundary: the gate judges whatever comes.
"""

from __future__ import annotations

from sandbox.canonical import show_decimal
from sandbox.ir import (
    ArgType,
    BoolType,
    DecimalType,
    EnumType,
    IntType,
    Json,
    ListType,
    PathType,
    StringType,
    TextType,
    Tool,
)


def arguments_schema(tool: Tool) -> dict[str, Json]:
    """An object schema with one property per argument; nothing else is accepted."""
    return {
        "type": "object",
        "properties": {argument.name: type_schema(argument.type) for argument in tool.arguments},
        "required": [argument.name for argument in tool.arguments if not argument.optional],
        "additionalProperties": False,
    }


def type_schema(type_: ArgType) -> dict[str, Json]:
    """The schema of one value. What JSON Schema would say differently is told in words.

    It cannot bound a number inside a string, and its patterns are ECMAScript's, whose `.` is narrower than RE2's.
    """
    match type_:
        case BoolType():
            return {"type": "boolean"}
        case IntType(minimum=minimum, maximum=maximum):
            return {"type": "integer", "minimum": minimum, "maximum": maximum}
        case DecimalType():
            return {"type": ["string", "number"], "description": _decimal_words(type_)}
        case StringType(pattern=pattern, min_size=low, max_size=high):
            sizes: dict[str, Json] = {"type": "string", "minLength": low, "maxLength": high}
            return sizes if pattern is None else {**sizes, "description": f"matches {pattern} in full (RE2)"}
        case TextType(max_size=high):
            return {"type": "string", "maxLength": high}
        case EnumType(values=values):
            return {"type": "string", "enum": list(values)}
        case PathType(under=under):
            below = f", relative ones are below {under}" if under else ""
            return {"type": "string", "description": f"a POSIX path without `..`{below}"}
        case ListType(items=items, min_size=low, max_size=high, unique=unique):
            sized: dict[str, Json] = {"type": "array", "items": type_schema(items), "minItems": low, "maxItems": high}
            return {**sized, "uniqueItems": True} if unique else sized


def _decimal_words(type_: DecimalType) -> str:
    words = f"a decimal with at most {type_.scale} digits behind the point, without exponent"
    if type_.minimum is not None:
        words += f", at least {show_decimal(type_.minimum, type_.scale)}"
    if type_.maximum is not None:
        words += f", at most {show_decimal(type_.maximum, type_.scale)}"
    return words
