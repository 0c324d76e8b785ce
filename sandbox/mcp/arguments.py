"""A permitted call's arguments as the real server gets them: the canonical values, in the JSON that its schema wants.

A decimal goes as a number, with all its digits, where the pinned schema says `number`, and else as a string; a shell
line goes as the text that has exactly these words. Nothing else differs from the canonical form.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, assert_never

from sandbox.call import Call, Value
from sandbox.canonical import raw_value, show_decimal
from sandbox.ir import ArgType, DecimalType, ListType, RecordType, RunServer, Tool
from sandbox.mcp.channels import Channel, prompt_of
from sandbox.mcp.pins import Definition
from sandbox.strict_json import JsonNumber, Tree, member

URI: Final = "uri"
"""The one argument of the tool that judges what is read of resources."""


def server_arguments(call: Call, tool: Tool, schema: Tree) -> dict[str, object]:
    """The arguments for the server, by name; `schema` is the tool's pinned `inputSchema`."""
    properties = member(schema, "properties")
    return {
        each.name: _value(call.args[each.name], each.type, member(properties, each.name))
        for each in tool.arguments
        if each.name in call.args
    }


def server_request(
    channel: Channel, granted: RunServer, call: Call, tool: Tool, definition: Definition | None
) -> Mapping[str, object]:
    """The parameters of the request that a permitted call is; `definition` is the tool's, where it is one."""
    match channel:
        case "tools/call":
            schema = definition.whole.get("inputSchema") if definition is not None else None
            return {"name": tool.name, "arguments": server_arguments(call, tool, schema)}
        case "resources/read":
            return {URI: server_arguments(call, tool, None)[URI]}
        case "prompts/get":
            return {"name": prompt_of(granted, tool.name), "arguments": server_arguments(call, tool, None)}
        case _:
            assert_never(channel)


def _value(value: Value, type_: ArgType, schema: Tree) -> object:
    match type_, value:
        case DecimalType(scale=scale), int() if _wants_number(schema):
            return JsonNumber(show_decimal(value, scale))
        case ListType(items=items), tuple():
            return [_value(item, items, member(schema, "items")) for item in value]
        case RecordType(fields=parts), Mapping():
            properties = member(schema, "properties")
            return {
                part.name: _value(value[part.name], part.type, member(properties, part.name))
                for part in parts
                if part.name in value
            }
        case _:
            return raw_value(value, type_)


def _wants_number(schema: Tree) -> bool:
    """Whether a number fits the schema and a string does not."""
    choices = member(schema, "anyOf")
    if isinstance(choices, list):
        return any(_wants_number(each) for each in choices) and not any(_wants_string(each) for each in choices)
    type_ = member(schema, "type")
    kinds = type_ if isinstance(type_, list) else [type_]
    return bool({"number", "integer"} & {kind for kind in kinds if isinstance(kind, str)}) and "string" not in kinds


def _wants_string(schema: Tree) -> bool:
    return member(schema, "type") == "string"
