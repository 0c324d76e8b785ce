"""What a client of the gateway is answered, whatever carries the messages: what the spec has, and nothing else.

Names, descriptions and schemas are the spec's. A call goes the whole way through the gate; what is read of a resource
or got as a prompt is the call of the tool that judges it, and goes the same way. Whatever else the protocol has, and
these two where the spec does not grant them, is answered as if there were no such method.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from typing import Final

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
from sandbox.mcp.beginning import Client, opened
from sandbox.mcp.channels import asked_by, channel_of, granted_by
from sandbox.mcp.cleaning import clean_text, text_of
from sandbox.mcp.offers import capabilities, methods, shown_prompt, shown_resource
from sandbox.mcp.pins import Definition, ListKind
from sandbox.mcp.session import ServerSession
from sandbox.mcp.wire import (
    DENIED,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    META_SERVER,
    METHOD_NOT_FOUND,
    MODERN_VERSION,
    Request,
    error_of,
    result_of,
)
from sandbox.session import SessionSource, current
from sandbox.strict_json import Tree
from sandbox.uris import is_one_reading

SERVER_VERSION: Final = "1"
PARTS: Final = frozenset({"content", "contents", "messages"})
"""What a result of the real server holds: of a tool, a resource, a prompt."""


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
        self._granted = granted_by(gate.contract.server if server is not None else None)
        self._offered = methods(self._granted)
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
        called = (tool for tool in self._gate.policy.tools if channel_of(self._granted, tool.name) == "tools/call")
        return tuple(tool for tool in called if tool.run is not None or self._is_served(tool))

    # --- methods ---------------------------------------------------------------------------------

    def _answer(self, client: Client, request: Request) -> bytes:
        with client.lock:
            problem = opened(client, request)
        if problem is not None:
            return problem
        match request.method:
            case "initialize":
                return result_of(request.id, self._hello(client.version))
            case "ping" if client.era == "handshake":
                return result_of(request.id, {})
            case "server/discover" if client.era == "modern":
                told: dict[str, Json] = {"capabilities": capabilities(self._granted)}
                return _modern(request, {"supportedVersions": [MODERN_VERSION], **told}, cached=True)
            case method if method not in self._offered:
                return error_of(request.id, METHOD_NOT_FOUND, f"{quoted(method)} is not offered here")
            case "tools/call":
                return self._call(client, request)
            case "resources/read":
                return self._read(client, request)
            case "prompts/get":
                return self._prompt(client, request)
            case _:
                return self._list(client, request)

    def _list(self, client: Client, request: Request) -> bytes:
        if "cursor" in request.params:
            return error_of(request.id, INVALID_PARAMS, "there is one page; leave `cursor` out")
        try:
            listed = self._listed(request.method)
        except EnvironmentLacking as error:
            _tell_operator(error)
            return error_of(request.id, INTERNAL_ERROR, f"the real server is not there ({error.reason_code})")
        return _answered(client, request, listed, cached=True)

    def _call(self, client: Client, request: Request) -> bytes:
        name, arguments = request.params.get("name"), request.params.get("arguments", {})
        if (refusal := _ungranted(request, "name", "arguments")) is not None:
            return refusal
        if type(name) is not str or not isinstance(arguments, dict):
            return error_of(request.id, INVALID_PARAMS, "a call has a `name`, and its `arguments` are an object")
        return _answered(client, request, self._judge_and_run(name, arguments))

    def _read(self, client: Client, request: Request) -> bytes:
        uri = request.params.get("uri")
        if (refusal := _ungranted(request, "uri")) is not None:
            return refusal
        if type(uri) is not str or not is_one_reading(uri):
            wanted = "a `uri` is absolute, in ASCII and its normal form, without user info, fragment and dot segments"
            return error_of(request.id, INVALID_PARAMS, wanted)
        with asked_by("resources/read"):
            shown = self._judge_and_run(self._granted.resources, {"uri": uri})
        problem = _problem(shown, "contents")
        if problem:
            return error_of(request.id, DENIED, problem)
        return _answered(client, request, {"contents": shown["contents"]}, cached=True)

    def _prompt(self, client: Client, request: Request) -> bytes:
        name, arguments = request.params.get("name"), request.params.get("arguments", {})
        if (refusal := _ungranted(request, "name", "arguments")) is not None:
            return refusal
        granted = next((each for each in self._granted.prompts if type(name) is str and each.prompt == name), None)
        if granted is None or not isinstance(arguments, dict):
            return error_of(request.id, INVALID_PARAMS, "there is no such prompt, or its `arguments` are no object")
        with asked_by("prompts/get"):
            shown = self._judge_and_run(granted.tool, arguments)
        problem = _problem(shown, "messages")
        if problem:
            return error_of(request.id, DENIED, problem)
        return _answered(client, request, {"messages": shown["messages"]})

    def _listed(self, method: str) -> dict[str, Json]:
        """A list, as its method's result. Raises EnvironmentLacking."""
        match method:
            case "resources/list":
                found = self._unchanged("resources")
                return {"resources": [shown_resource("uri", each) for each in found if self._may_be_read(each.name)]}
            case "resources/templates/list":
                found = self._unchanged("templates")
                return {"resourceTemplates": [shown_resource("uriTemplate", each) for each in found]}
            case "prompts/list":
                tools = ((each, self._gate.policy.tool(each.tool)) for each in self._granted.prompts)
                reviewed = ((each, tool) for each, tool in tools if tool is not None and self._is_served(tool))
                return {"prompts": [shown_prompt(each, tool) for each, tool in reviewed]}
            case _:
                return {"tools": [_description(tool) for tool in self.tools()]}

    def _unchanged(self, kind: ListKind) -> tuple[Definition, ...]:
        return () if self._server is None else self._server.unchanged(kind)

    def _may_be_read(self, uri: str) -> bool:
        """Whether a read would be let through, or a person asked, as things stand now. Nothing is spent."""
        if not is_one_reading(uri):
            return False
        asked: dict[str, object] = {"tool": self._granted.resources, "args": {"uri": uri}}
        return self._gate.decide(asked, current(self._session)).verdict != "deny"

    def _hello(self, version: str) -> dict[str, Json]:
        told: dict[str, Json] = {"capabilities": capabilities(self._granted)}
        return {"protocolVersion": version, **told, "serverInfo": _identity()}

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


# --- how it is answered -------------------------------------------------------------------------------


def _identity() -> dict[str, Json]:
    return {"name": "sandbox", "version": SERVER_VERSION}


def _ungranted(request: Request, *fields: str) -> bytes | None:
    """The refusal of a request that says more than these fields, and what belongs to every request; else None."""
    extra = sorted(request.params.keys() - {*fields, "_meta"})
    if not extra:
        return None
    wanted = " and ".join(f"`{each}`" for each in fields)
    return error_of(request.id, INVALID_PARAMS, f"{quoted(extra[0])} is not granted; send {wanted}")


def _answered(client: Client, request: Request, result: Mapping[str, Json], *, cached: bool = False) -> bytes:
    """The result, as the version that the client speaks has it."""
    return _modern(request, result, cached=cached) if client.era == "modern" else result_of(request.id, result)


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
    if served and isinstance(outcome.result, dict) and PARTS & outcome.result.keys():
        return {**outcome.result, "isError": False}
    return _told(done(outcome))


def _failure(error: ToolError) -> dict[str, Json]:
    """The server's own words where it said that the tool failed; else what happened to the call."""
    result = error.outcome.result
    if isinstance(result, dict) and "content" in result and error.outcome.reason_code == "tool.error":
        return {**result, "isError": True}
    return _told(failed(error))


def _problem(shown: Mapping[str, Json], part: str) -> str:
    """Why there is no such part to be shown, or ''."""
    if isinstance(shown.get(part), list):
        return ""
    return text_of(shown) if shown.get("isError") else "what came back is redacted by a rule of the spec"


def _told(told: Told) -> dict[str, Json]:
    return {"content": [{"type": "text", "text": clean_text(told.text)}], "isError": told.is_error}


def _told_plainly(error: Denied) -> dict[str, Json]:
    return _error(f"denied ({error.reason_code}): {error}. It did not run; the same call will be denied again.")


def _error(text: str) -> dict[str, Json]:
    return {"content": [{"type": "text", "text": clean_text(text)}], "isError": True}


def _tell_operator(error: SandboxError) -> None:
    sys.stderr.write(f"sandbox mcp: {clean_text(str(error))} [{error.reason_code}]\n")
