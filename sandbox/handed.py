"""A call's canonical values as a Python function receives them in this process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from sandbox.ir import ArgType, DecimalType, DurationType, Json, ListType, RecordType, TimestampType, Tool

if TYPE_CHECKING:
    from sandbox.call import Call, Value

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def python_arguments(call: Call, tool: Tool) -> dict[str, object]:
    """The call's values as a function receives them: Decimal, datetime, timedelta; all else as its canonical JSON."""
    types = {argument.name: argument.type for argument in tool.arguments}
    shown: dict[str, Json] = json.loads(call.canonical)["args"]
    return {name: _python_value(value, shown[name], types[name]) for name, value in call.args.items()}


def _python_value(value: Value, shown: Json, type_: ArgType) -> object:
    match type_, value, shown:
        case DecimalType(scale=scale), int(), _:
            return Decimal(f"{value}e-{scale}")
        case TimestampType(), int(), _:
            return EPOCH + timedelta(milliseconds=value)
        case DurationType(), int(), _:
            return timedelta(milliseconds=value)
        case ListType(items=items), tuple(), list():
            return [_python_value(item, text, items) for item, text in zip(value, shown, strict=True)]
        case RecordType(fields=fields), Mapping(), dict():
            present = (field for field in fields if field.name in shown)
            return {field.name: _python_value(value[field.name], shown[field.name], field.type) for field in present}
        case _:
            return shown
