"""The JSON Schema of a tool's arguments, for models: it admits every call that the spec can allow.

It is advice to a model and no boundary: the gate judges whatever comes.
"""

from __future__ import annotations

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


def arguments_schema(tool: Tool) -> dict[str, Json]:
    """An object schema with one property per argument; nothing else is accepted."""
    return _object_schema(tool.arguments)


def _object_schema(fields: tuple[Argument, ...]) -> dict[str, Json]:
    return {
        "type": "object",
        "properties": {field.name: type_schema(field.type) for field in fields},
        "required": [field.name for field in fields if not field.optional and field.default is None],
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
        case TimestampType():
            return {"type": "string", "description": "an RFC 3339 instant with offset, as in 2026-01-31T09:30:00Z"}
        case DurationType():
            return {"type": "string", "description": "a duration, as in 500ms, 10s or 1h30m"}
        case UrlType(schemes=schemes):
            return {"type": "string", "description": f"a URL ({', '.join(schemes)}) without user info and fragment"}
        case EmailType():
            return {"type": "string", "description": "one e-mail address, local@domain"}
        case ArgvType(max_size=high):
            return {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": high}
        case ShellType(max_size=high):
            words = "commands of plain words joined by && || ; or |, without expansion or redirection"
            return {"type": "string", "maxLength": high, "description": words}
        case RecordType(fields=fields):
            return _object_schema(fields)
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
