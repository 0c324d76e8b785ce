"""Operations of an OpenAPI 3 file -> tools: one for each, its parameters and its JSON body's fields as arguments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sandbox import strict_json
from sandbox.call import Rejected
from sandbox.errors import SpecError, UsageError
from sandbox.lang.source import Refused
from sandbox.proposal.from_schema import tool_of_schema
from sandbox.proposal.shapes import ProposedTool
from sandbox.spec.document import Mapping, Node, Scalar, Series, parse, read_source
from sandbox.strict_json import JsonNumber, Tree, member

METHODS: Final = ("get", "put", "post", "delete", "patch", "head", "options")
READING: Final = frozenset({"get", "head", "options"})
MAX_OPERATIONS: Final = 500
"""A spec of more tools than that nobody reviews."""

_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORD: Final = re.compile(r"[^A-Za-z0-9]+")


def tools_of_openapi(path: Path) -> tuple[ProposedTool, ...]:
    """A tool for every operation of the file, JSON or YAML.

    Raises:
        UsageError: it cannot be read, or is no OpenAPI 3 file.
    """
    whole = _read(path)
    paths = member(whole, "paths")
    if not str(member(whole, "openapi")).startswith("3.") or not isinstance(paths, dict):
        message = f"`{path}` is no OpenAPI 3 file: it has `openapi: 3.x` and `paths`"
        raise UsageError(message)
    tools = tuple(_operations(whole, paths))
    if len(tools) > MAX_OPERATIONS:
        message = f"`{path}` has more than {MAX_OPERATIONS} operations; split it"
        raise UsageError(message)
    return tools


def _operations(whole: Tree, paths: dict[str, Tree]) -> Iterator[ProposedTool]:
    for route, item in paths.items():
        for method in METHODS:
            operation = member(item, method)
            if not isinstance(operation, dict):
                continue
            named = operation.get("operationId")
            name = named if isinstance(named, str) else _WORD.sub("_", f"{method}_{route}").strip("_")
            effects = ("read",) if method in READING else ("write",)
            said = operation.get("summary") or operation.get("description")
            words = f"{method.upper()} {route}" + (f": {said}" if isinstance(said, str) else "")
            yield tool_of_schema(name, words, _schema(whole, item, operation), effects)


def _schema(whole: Tree, item: Tree, operation: dict[str, Tree]) -> Tree:
    """One object schema for all that a caller gives; the file's own definitions can be referred to from it."""
    properties: dict[str, Tree] = {}
    required: list[Tree] = []
    for parameter in (*_list(member(item, "parameters")), *_list(operation.get("parameters"))):
        real = _followed(whole, parameter)
        name = member(real, "name")
        if member(real, "in") not in {"path", "query"} or not isinstance(name, str):
            continue  # headers and cookies are for whoever calls, and never a model's
        properties[name] = _described(member(real, "schema"), member(real, "description"))
        if member(real, "required") is True:
            required.append(name)
    body = _followed(whole, operation.get("requestBody"))
    schema = member(member(member(body, "content"), "application/json"), "schema")
    if isinstance(schema, dict):
        fields, needed = _fields(whole, schema)
        for name, field in fields.items():
            properties.setdefault(name, field)
        required += [each for each in needed if member(body, "required") is True and each not in required]
    root = whole if isinstance(whole, dict) else {}
    return {
        **{key: root[key] for key in ("components",) if key in root},
        "properties": properties,
        "required": required,
    }


def _fields(whole: Tree, schema: Tree) -> tuple[dict[str, Tree], list[Tree]]:
    """The fields of a body that is an object; one that is none is an argument of its own, `body`."""
    real = _followed(whole, schema)
    fields = member(real, "properties")
    if isinstance(fields, dict):
        return fields, _list(member(real, "required"))
    return {"body": schema}, ["body"]


def _followed(whole: Tree, node: Tree, depth: int = 0) -> Tree:
    pointer = member(node, "$ref")
    if not isinstance(pointer, str) or not pointer.startswith("#/") or depth > len(METHODS):
        return node
    found = whole
    for part in pointer[2:].split("/"):
        found = member(found, part.replace("~1", "/").replace("~0", "~"))
    return _followed(whole, found, depth + 1)


def _described(schema: Tree, said: Tree) -> Tree:
    return {**schema, "description": said} if isinstance(schema, dict) and isinstance(said, str) else schema


def _list(value: Tree) -> list[Tree]:
    return value if isinstance(value, list) else []


# --- reading -------------------------------------------------------------------------------------------


def _read(path: Path) -> Tree:
    if path.suffix == ".json":
        try:
            with path.open("rb") as file:
                raw = file.read(strict_json.MAX_MESSAGE_BYTES + 1)
        except OSError as error:
            message = f"`{path}` cannot be read: {error.strerror}"
            raise UsageError(message) from error
        tree = strict_json.read(raw)
        if isinstance(tree, Rejected):
            message = f"`{path}` cannot be read: {tree.reason}"
            raise UsageError(message)
        return tree
    source = read_source(path, str(path), SpecError)
    try:
        return _tree(parse(source))
    except Refused as refusal:
        message = f"`{source.place(refusal.offset)}`: {refusal.message}"
        raise UsageError(message) from refusal


def _tree(node: Node) -> Tree:
    match node:
        case Mapping(entries=entries):
            return {key.text: _tree(value) for key, value in entries}
        case Series(items=items):
            return [_tree(item) for item in items]
        case Scalar():
            return _scalar(node)


def _scalar(node: Scalar) -> Tree:
    if not node.plain:
        return node.text
    match node.text:
        case "true" | "false":
            return node.text == "true"
        case "null" | "~" | "":
            return None
        case text if _NUMBER.fullmatch(text):
            return JsonNumber(text)
        case text:
            return text
