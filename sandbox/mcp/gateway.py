"""What a client of the gateway is answered, whatever carries the messages: tools of the spec, and nothing else.

Names, descriptions and schemas are the spec's. A call goes the whole way through the gate. Whatever else the protocol
has (resources, prompts, completions, logging, tasks, subscriptions) is answered as if there were no such method.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from sandbox.adapters.origins import Saying
from sandbox.adapters.schema import arguments_schema
from sandbox.adapters.telling import Answer as Told
from sandbox.adapters.telling import done, failed, refused, waiting
from sandbox.call import Outcome
from sandbox.canonical import quoted
from sandbox.errors import ApprovalNeeded, Denied, EnvironmentLacking, SandboxError, ToolError, UsageError
from sandbox.events import emit
from sandbox.gate import Gate
from sandbox.ir import Json, Tool
from sandbox.mcp.cleaning import clean_text
from sandbox.mcp.session import ServerSession
from sandbox.mcp.wire import (
    HANDSHAKE_VERSIONS,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    META_CAPABILITIES,
    META_SERVER,
    META_VERSION,
    METHOD_NOT_FOUND,
    MODERN_VERSION,
    UNSUPPORTED_VERSION,
    Request,
    error_of,
    result_of,
)
from sandbox.session import SessionSource, current
from sandbox.strict_json import Tree, member

SERVER_VERSION: Final = "1"
CALL_FIELDS: Final = frozenset({"name", "arguments", "_meta"})

Era = Literal["", "handshake", "modern"]


@dataclass(slots=True)
class Client:
    """One client's connection: which of the two ways of the protocol it speaks, once that is known."""

    era: Era = ""
    version: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)


class Gateway:
    """One client session: a gate, and the real server behind it, if there is one. Thread-safe.

    `people` says that the gate has somebody to ask, who takes time. Raises UsageError for a `Saying`: a client has no
    way to tell where values come from, and would not be believed.
    """

    def __init__(
        self, gate: Gate, server: ServerSession | None, session: SessionSource = None, *, people: bool = False
    ) -> None:
        if isinstance(session, Saying):
            message = "a gateway is told the facts of its session, and learns origins from results alone"
            raise UsageError(message)
        self._gate = gate
        self._server = server
        self._session = session
        self._people = people
        self._turn = threading.Lock()

    def answer(self, client: Client, request: Request) -> bytes:
        """The one line that answers a request. Never raises."""
        try:
            return self._answer(client, request)
        except Exception as error:  # noqa: BLE001  # the edge: no client is ever sent a traceback
            emit("gateway.fault", kind=type(error).__name__)
            sys.stderr.write(f"sandbox mcp: internal error: {type(error).__name__}: {clean_text(str(error))}\n")
            return error_of(request.id, INTERNAL_ERROR, "internal error")

    def tools(self) -> tuple[Tool, ...]:
        """The tools of the spec that can run here: with a `run` of their own, or as reviewed at the real server."""
        return tuple(tool for tool in self._gate.policy.tools if tool.run is not None or self._is_served(tool))

    # --- methods ---------------------------------------------------------------------------------

    def _answer(self, client: Client, request: Request) -> bytes:
        with client.lock:
            problem = _opening(client, request)
        if problem is not None:
            return problem
        match request.method:
            case "initialize":
                return result_of(request.id, _hello(client.version))
            case "ping" if client.era == "handshake":
                return result_of(request.id, {})
            case "server/discover" if client.era == "modern":
                return _modern(request, {"supportedVersions": [MODERN_VERSION], **_capabilities()}, cached=True)
            case "tools/list":
                return self._list(client, request)
            case "tools/call":
                return self._call(client, request)
            case method:
                return error_of(request.id, METHOD_NOT_FOUND, f"{quoted(method)} is not offered here; only tools are")

    def _list(self, client: Client, request: Request) -> bytes:
        if "cursor" in request.params:
            return error_of(request.id, INVALID_PARAMS, "there is one page of tools; leave `cursor` out")
        try:
            tools: list[Json] = [_description(tool) for tool in self.tools()]
        except EnvironmentLacking as error:
            _tell_operator(error)
            return error_of(request.id, INTERNAL_ERROR, f"the real server is not there ({error.reason_code})")
        if client.era == "modern":
            return _modern(request, {"tools": tools}, cached=True)
        return result_of(request.id, {"tools": tools})

    def _call(self, client: Client, request: Request) -> bytes:
        name, arguments = request.params.get("name"), request.params.get("arguments", {})
        extra = sorted(request.params.keys() - CALL_FIELDS)
        if extra:
            return error_of(
                request.id, INVALID_PARAMS, f"{quoted(extra[0])} is not granted; send `name` and `arguments`"
            )
        if type(name) is not str or not isinstance(arguments, dict):
            return error_of(request.id, INVALID_PARAMS, "a call has a `name`, and its `arguments` are an object")
        shown = self._judge_and_run(name, arguments)
        return _modern(request, shown) if client.era == "modern" else result_of(request.id, shown)

    # --- one call --------------------------------------------------------------------------------

    def _judge_and_run(self, name: str, arguments: dict[str, Tree]) -> dict[str, Json]:
        tool = self._gate.policy.tool(name)
        if tool is None or tool.run is not None or self._waits_for_people(name, arguments):
            return self._attempt(tool, name, arguments)
        with self._turn:  # a permit does not wait for other calls of the same server
            return self._attempt(tool, name, arguments)

    def _waits_for_people(self, name: str, arguments: dict[str, Tree]) -> bool:
        """Whether a person is asked, in whose time other calls go on."""
        return (
            self._people
            and self._gate.decide({"tool": name, "args": arguments}, current(self._session)).verdict == "ask"
        )

    def _attempt(self, tool: Tool | None, name: str, arguments: dict[str, Tree]) -> dict[str, Json]:
        raw, session = {"tool": name, "args": arguments}, current(self._session)
        try:
            outcome = self._gate.call(raw, session).outcome
        except Denied as error:
            by_rules = error.reason_code.startswith(("rule.", "default_deny"))
            hints = self._gate.nearest(raw, session) if tool is not None and by_rules else ()
            return _told(refused(error.decision, hints, tool)) if tool is not None else _told_plainly(error)
        except ApprovalNeeded as error:
            return _told(waiting(error.decision, None))
        except ToolError as error:
            return _failure(error)
        except SandboxError as error:
            _tell_operator(error)
            return _error(f"not run, or its result is lost ({error.reason_code}); tell the user, do not repeat it")
        return _result(outcome, served=tool is not None and tool.run is None)

    def _is_served(self, tool: Tool) -> bool:
        return self._server is not None and self._server.is_as_reviewed(tool.name)


# --- how a connection begins -------------------------------------------------------------------------


def _opening(client: Client, request: Request) -> bytes | None:
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


def _hello(version: str) -> dict[str, Json]:
    return {"protocolVersion": version, **_capabilities(), "serverInfo": _identity()}


def _capabilities() -> dict[str, Json]:
    return {"capabilities": {"tools": {"listChanged": False}}}


def _identity() -> dict[str, Json]:
    return {"name": "sandbox", "version": SERVER_VERSION}


def _modern(request: Request, result: Mapping[str, Json], *, cached: bool = False) -> bytes:
    """A result of the version in which each says what it is; lists are never to be kept, nor shared."""
    caching: dict[str, Json] = {"ttlMs": 0, "cacheScope": "private"} if cached else {}
    meta: dict[str, Json] = {META_SERVER: _identity()}
    return result_of(request.id, {"resultType": "complete", **result, **caching, "_meta": meta})


# --- what is shown -----------------------------------------------------------------------------------


def _description(tool: Tool) -> Json:
    return {
        "name": tool.name,
        "description": tool.description or tool.name,
        "inputSchema": arguments_schema(tool),
    }


def _result(outcome: Outcome, *, served: bool) -> dict[str, Json]:
    """A result: the server's own blocks, cleaned before; or of a tool that ran here, its value as text."""
    if served and isinstance(outcome.result, dict) and isinstance(outcome.result.get("content"), list):
        return {**outcome.result, "isError": False}
    return _told(done(outcome))


def _failure(error: ToolError) -> dict[str, Json]:
    """The server's own words where it said that the tool failed; else what happened to the call."""
    result = error.outcome.result
    if isinstance(result, dict) and "content" in result and error.outcome.reason_code == "tool.error":
        return {**result, "isError": True}
    return _told(failed(error))


def _told(told: Told) -> dict[str, Json]:
    return {"content": [{"type": "text", "text": clean_text(told.text)}], "isError": told.is_error}


def _told_plainly(error: Denied) -> dict[str, Json]:
    return _error(f"denied ({error.reason_code}): {error}. It did not run; the same call will be denied again.")


def _error(text: str) -> dict[str, Json]:
    return {"content": [{"type": "text", "text": clean_text(text)}], "isError": True}


def _tell_operator(error: SandboxError) -> None:
    sys.stderr.write(f"sandbox mcp: {clean_text(str(error))} [{error.reason_code}]\n")
