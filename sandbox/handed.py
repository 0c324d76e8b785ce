"""A call's canonical values as a Python function receives them in this process."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from sandbox.ir import ArgType, DecimalType, DurationType, Json, ListType, RecordType, TimestampType, Tool
from sandbox.times import parse_duration

if TYPE_CHECKING:
    from sandbox.call import Call


def python_arguments(call: Call, tool: Tool) -> dict[str, object]:
    """What was digested, as a function receives it: Decimal, datetime, timedelta; all else as its canonical JSON."""
    types = {argument.name: argument.type for argument in tool.arguments}
    shown: dict[str, Json] = json.loads(call.canonical)["args"]
    return {name: _python_value(value, types[name]) for name, value in shown.items()}


def _python_value(shown: Json, type_: ArgType) -> object:
    match type_, shown:
        case DecimalType(), str():
            return Decimal(shown)
        case TimestampType(), str():
            return datetime.fromisoformat(shown)
        case DurationType(), str():
            return timedelta(milliseconds=parse_duration(shown) or 0)  # what is canonical is read
        case ListType(items=items), list():
            return [_python_value(item, items) for item in shown]
        case RecordType(fields=parts), dict():
            return {part.name: _python_value(shown[part.name], part.type) for part in parts if part.name in shown}
        case _:
            return shown
