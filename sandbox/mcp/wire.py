"""JSON-RPC 2.0 as MCP has it, one message at a time: bytes that were read once, strictly, become one of four shapes.

What two readers could take differently (duplicate keys, a batch, an id that is no string or integer) is no message.
Numbers stay as they were written, on the way in and on the way out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from sandbox import strict_json
from sandbox.call import Rejected
from sandbox.canonical import is_text
from sandbox.ir import Json
from sandbox.strict_json import JsonNumber, Tree

PARSE_ERROR: Final = -32_700
INVALID_REQUEST: Final = -32_600
METHOD_NOT_FOUND: Final = -32_601
INVALID_PARAMS: Final = -32_602
INTERNAL_ERROR: Final = -32_603
UNSUPPORTED_VERSION: Final = -32_022
"""Of the protocol's version 2026-07-28."""
HEADER_MISMATCH: Final = -32_020
"""Of the same version: what the request's HTTP headers say is not what it says."""
BUSY: Final = -32_000
"""Ours: more requests in flight than one client may have."""
DENIED: Final = -32_003
"""Ours: what was asked for is not let through, or came to nothing; the message says why."""

MAX_ID: Final = 256
"""Characters of a request's id; it is repeated in the answer."""
MAX_METHOD: Final = 128
"""Characters of a method's name."""

HANDSHAKE_VERSIONS: Final = ("2025-06-18", "2025-11-25")
"""Versions that begin with `initialize`; what this gateway uses of them is the same in each."""
MODERN_VERSION: Final = "2026-07-28"
"""The version in which every request says for itself what it speaks."""

META_VERSION: Final = "io.modelcontextprotocol/protocolVersion"
META_CLIENT: Final = "io.modelcontextprotocol/clientInfo"
META_SERVER: Final = "io.modelcontextprotocol/serverInfo"
META_CAPABILITIES: Final = "io.modelcontextprotocol/clientCapabilities"

RequestId: TypeAlias = str
"""A string, or a `JsonNumber` that is an integer: what was sent is what is sent back."""

_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class Request:
    """A request that wants an answer."""

    id: RequestId
    method: str
    params: Mapping[str, Tree] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Notification:
    """A message that nobody answers."""

    method: str
    params: Mapping[str, Tree] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request of ours: its result, or an error."""

    id: RequestId | None
    result: Tree = None
    error: ErrorObject | None = None


@dataclass(frozen=True, slots=True)
class ErrorObject:
    """Why a request has no result."""

    code: int
    message: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """No message of JSON-RPC; `code` and `message` are what its sender is told."""

    code: int
    message: str


Message: TypeAlias = Request | Notification | Answer | Malformed


def read_message(raw: bytes) -> Message:
    """The message that these bytes are. Never raises."""
    tree = strict_json.read(raw)
    if isinstance(tree, Rejected):
        return Malformed(PARSE_ERROR, f"{tree.reason_code}: {tree.reason}")
    if isinstance(tree, list):
        return Malformed(INVALID_REQUEST, "a batch is not accepted; send one message at a time")
    if not isinstance(tree, dict) or tree.get("jsonrpc") != "2.0" or type(tree.get("jsonrpc")) is not str:
        return Malformed(INVALID_REQUEST, 'not a JSON-RPC message: an object with `"jsonrpc": "2.0"` is accepted')
    return _message(tree)


def read_integer(value: Tree) -> int | None:
    """The integer of at most 19 digits that a number was written as, or None."""
    return int(value) if isinstance(value, JsonNumber) and _INTEGER.fullmatch(value) else None


def write_message(message: Mapping[str, object]) -> bytes:
    """One line of ASCII JSON; a `JsonNumber` stands as it was written."""
    return dumps({"jsonrpc": "2.0", **message}).encode("ascii") + b"\n"


def result_of(id_: RequestId, result: Mapping[str, object]) -> bytes:
    """The answer with a result."""
    return write_message({"id": id_, "result": result})


def error_of(id_: RequestId | None, code: int, message: str, data: Json = None) -> bytes:
    """The answer with an error."""
    error: dict[str, object] = {"code": code, "message": message}
    return write_message({"id": id_, "error": error if data is None else {**error, "data": data}})


def dumps(value: object, *, sort_keys: bool = False) -> str:
    """JSON in ASCII, without white space. Raises ValueError for what has none."""
    if isinstance(value, JsonNumber):
        return str(value)
    if isinstance(value, Mapping):
        items = sorted(value.items()) if sort_keys else value.items()
        return f"{{{','.join(f'{json.dumps(key)}:{dumps(item, sort_keys=sort_keys)}' for key, item in items)}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(dumps(item, sort_keys=sort_keys) for item in value)}]"
    return json.dumps(value, allow_nan=False)


# --- private -----------------------------------------------------------------------------------------


def _message(tree: dict[str, Tree]) -> Message:
    if "method" not in tree:
        return _answer(tree)
    method, params = tree["method"], tree.get("params", {})
    if type(method) is not str or len(method) > MAX_METHOD:
        return Malformed(INVALID_REQUEST, f"`method` is a string of at most {MAX_METHOD} characters")
    if not isinstance(params, dict):
        return Malformed(INVALID_REQUEST, "`params` is an object")
    extra = sorted(tree.keys() - {"jsonrpc", "id", "method", "params"})
    if extra:
        return Malformed(INVALID_REQUEST, "a request has `jsonrpc`, `id`, `method` and `params`, and nothing else")
    if "id" not in tree:
        return Notification(method, params)
    id_ = _id(tree["id"])
    return Request(id_, method, params) if id_ is not None else _bad_id()


def _answer(tree: dict[str, Tree]) -> Message:
    if ("result" in tree) == ("error" in tree) or "id" not in tree:
        return Malformed(INVALID_REQUEST, "neither a request nor an answer")
    id_ = None if tree["id"] is None else _id(tree["id"])
    if id_ is None and tree["id"] is not None:
        return _bad_id()
    if "result" in tree:
        return Answer(id_, result=tree["result"])
    match tree["error"]:
        case {"code": JsonNumber() as code, "message": str() as message} if read_integer(code) is not None:
            return Answer(id_, error=ErrorObject(read_integer(code) or 0, message))
        case _:
            return Malformed(INVALID_REQUEST, "an error has an integer `code` and a `message`")


def _id(value: Tree) -> RequestId | None:
    if isinstance(value, JsonNumber):
        return value if _INTEGER.fullmatch(value) else None
    return value if type(value) is str and len(value) <= MAX_ID and is_text(value) else None


def _bad_id() -> Malformed:
    return Malformed(INVALID_REQUEST, f"`id` is an integer, or a string of at most {MAX_ID} characters")
