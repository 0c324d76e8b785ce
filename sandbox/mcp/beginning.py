"""How a connection begins: its first request settles which of the two ways of the protocol the client speaks."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Literal

from sandbox.ir import Json
from sandbox.mcp.wire import (
    HANDSHAKE_VERSIONS,
    INVALID_PARAMS,
    INVALID_REQUEST,
    META_CAPABILITIES,
    META_VERSION,
    MODERN_VERSION,
    UNSUPPORTED_VERSION,
    Request,
    error_of,
    result_of,
)
from sandbox.strict_json import Tree, member

Era = Literal["", "handshake", "modern"]


@dataclass(slots=True)
class Client:
    """One client's connection: which of the two ways of the protocol it speaks, once that is known."""

    era: Era = ""
    version: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)


def opened(client: Client, request: Request) -> bytes | None:
    """None if the request may be answered now; it settles which way of the protocol this client speaks."""
    if request.method == "initialize":
        return _handshake(client, request)
    version = member(request.params.get("_meta"), META_VERSION)
    if version is not None:
        return _enveloped(client, request, version)
    if client.era == "handshake":
        return None
    if client.era == "" and request.method == "ping":
        return result_of(request.id, {})
    if client.era == "modern" or request.method == "server/discover":
        return error_of(request.id, INVALID_PARAMS, f"`_meta` has to say `{META_VERSION}`")
    return error_of(request.id, INVALID_REQUEST, "send `initialize` first")


def _handshake(client: Client, request: Request) -> bytes | None:
    if client.era == "modern":
        return _unsupported(request, member(dict(request.params), "protocolVersion"))
    if client.era == "handshake":
        return error_of(request.id, INVALID_REQUEST, "this connection is initialized already")
    asked = request.params.get("protocolVersion")
    if type(asked) is not str:
        return error_of(request.id, INVALID_PARAMS, "`protocolVersion` is a string")
    client.era = "handshake"
    client.version = asked if asked in HANDSHAKE_VERSIONS else HANDSHAKE_VERSIONS[-1]
    return None


def _enveloped(client: Client, request: Request, version: Tree) -> bytes | None:
    if client.era == "handshake":
        return error_of(request.id, INVALID_REQUEST, "this connection began with `initialize`; leave the version out")
    if type(version) is not str:
        return error_of(request.id, INVALID_PARAMS, f"`{META_VERSION}` is a string")
    if version != MODERN_VERSION:
        return _unsupported(request, version)
    if not isinstance(member(request.params.get("_meta"), META_CAPABILITIES), dict):
        return error_of(request.id, INVALID_PARAMS, f"`_meta` has to say `{META_CAPABILITIES}`, an object")
    client.era, client.version = "modern", version
    return None


def _unsupported(request: Request, asked: Tree) -> bytes:
    requested = asked if type(asked) is str else ""
    data: dict[str, Json] = {"supported": [MODERN_VERSION], "requested": requested[:64]}
    return error_of(request.id, UNSUPPORTED_VERSION, "unsupported protocol version", data)
