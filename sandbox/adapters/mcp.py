"""MCP's own client: a `ClientSession` whose tools are the spec's, and whose every call goes through the gate.

For programs that speak to servers themselves. A server's tool is one that the spec marks `run: {host: REASON}`: the
connection is the program's, and nothing of ours contains what is at its other end. As in the gateway, a tool is there
only while the server describes it exactly as was reviewed, and of a result only what the spec grants is passed on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NoReturn, cast

from mcp import ClientSession
from mcp_types import CallToolResult, ListToolsResult, PaginatedRequestParams, TextContent
from mcp_types import Tool as ShownTool

from sandbox.adapters.front import Front, fronts, refuse_duplicates, stand_in
from sandbox.adapters.mcp_servers import Server, Servers, host_call, list_tools
from sandbox.adapters.origins import said_origins
from sandbox.errors import Denied, UsageError
from sandbox.gate import Gate
from sandbox.ir import ContentKind, Json, RunHost, RunServer
from sandbox.mcp.cleaning import clean_text
from sandbox.mcp.pins import Definition, Listing, Pins, pin_file, read_pins, write_pins
from sandbox.session import SessionSource, current


class SandboxedSession(ClientSession):
    """A session in which there are tools, and nothing else: what a server offers besides is not granted.

    May be used from any event loop, not only from the server's own.
    """

    def __init__(self, gate: Gate, held: Sequence[Front], servers: Servers, session: SessionSource) -> None:
        # there is no connection here: what the base class has of methods would find none
        self.__gate = gate
        self.__fronts = {front.name: front for front in held}
        self.__servers = servers
        self.__session = session

    async def list_tools(self, *, params: PaginatedRequestParams | None = None) -> ListToolsResult:
        """The spec's tools that can run now: containers of their own, and what a server describes as was reviewed."""
        if params is not None and params.cursor is not None:
            message = "there is one page of tools; leave the cursor out"
            raise UsageError(message)
        changed = await self.__servers.changed()
        shown = [_shown_tool(front) for name, front in self.__fronts.items() if name not in changed]
        return ListToolsResult(tools=shown)

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, object] | None = None,
        read_timeout_seconds: float | None = None,
        progress_callback: object = None,
        **more: object,
    ) -> CallToolResult:
        """Take the call the whole way, whatever came of it; a refusal is a result that is marked as an error.

        How long it may take is said to `wrap`, and progress is not passed on. UsageError for what answers a
        server's own question (`input_responses`, `request_state`) and for `meta`: the server is told nothing but the
        canonical arguments.
        """
        _ = read_timeout_seconds, progress_callback
        for key in sorted(more.keys() - {"allow_input_required", "allow_claimed"}):
            if more[key] is not None:
                message = f"`{key}` is not granted; a server is sent the canonical arguments and nothing else"
                raise UsageError(message)
        front = self.__fronts.get(name) if type(name) is str else None
        given = {} if arguments is None else arguments
        if front is None or type(given) is not dict:
            return await self.__unknown(name, given)
        answer = await front.acall(given)
        if not answer.is_error and self.__servers.serve(front.name):
            return CallToolResult.model_validate({**cast("dict[str, Json]", answer.result), "isError": False})
        return _said(answer.text, is_error=answer.is_error)

    async def __unknown(self, name: object, arguments: object) -> CallToolResult:
        """The denial, on record, of what is no call of a tool that is here."""
        raw = {"tool": name, "args": arguments}
        origins = said_origins(self.__gate, self.__session, raw)
        try:
            await self.__gate.acall(raw, current(self.__session), origins=origins)
        except Denied as error:
            return _said(f"denied ({error.reason_code}): {error}. It did not run.", is_error=True)
        message = "a tool that is not here was called and not denied"
        raise UsageError(message)

    def __copy__(self) -> SandboxedSession:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> SandboxedSession:
        return self

    def __reduce__(self) -> NoReturn:
        message = "a session behind a gate cannot be pickled; wrap it where it is needed"
        raise TypeError(message)


def _not_granted(name: str, session: SandboxedSession) -> NoReturn:
    _ = session
    message = f"`{name}` is not granted: behind the gate a session has `list_tools` and `call_tool`"
    raise UsageError(message)


_OWN: Final = frozenset(vars(SandboxedSession))
for _name in dir(ClientSession):
    if _name not in _OWN and (not _name.startswith("_") or _name in {"__aenter__", "__aexit__"}):
        setattr(SandboxedSession, _name, property(partial(_not_granted, _name)))


async def wrap(
    gate: Gate,
    servers: ClientSession | Sequence[ClientSession] | None = None,
    *,
    session: SessionSource = None,
    pins: Path | None = None,
    timeout_s: float = 30.0,
) -> SandboxedSession:
    """A session for the gate's spec, in front of initialized sessions that run in this event loop.

    It has the spec's tools with a container of their own, and those that the spec marks `run: {host: ...}` and one of
    `servers` lists. `session` has the host's facts, as everywhere; `pins` is the reviewed file, by default beside the
    spec; a server has `timeout_s` seconds for a call. Raises UsageError where a tool of the spec is served twice or
    has no `run`, where nothing was reviewed (`mcp.unpinned`), and for what is no session.
    """
    given = _each(servers)
    listed = [await list_tools(client) for client in given]
    refuse_duplicates(name for tools in listed for name in tools if gate.policy.tool(name) is not None)
    wanted = [[name for name in tools if _is_host(gate, name)] for tools in listed]
    reviewed = _reviewed(pins or _place(gate)) if any(wanted) else {}
    loop = asyncio.get_running_loop()
    behind = tuple(
        Server(client, loop, frozenset(names), {n: reviewed[n] for n in names if n in reviewed}, timeout_s)
        for client, names in zip(given, wanted, strict=True)
        if names
    )
    served = {
        name: stand_in(gate, name, "", session, partial(host_call, server, _kinds(gate)))
        for server in behind
        for name in sorted(server.names)
    }
    own = {front.name: front for front in fronts(gate, session) if not _is_host(gate, front.name)}
    return SandboxedSession(gate, [*own.values(), *served.values()], Servers(behind), session)


async def pin(gate: Gate, servers: ClientSession | Sequence[ClientSession], *, pins: Path | None = None) -> Path:
    """Writes down what the servers say of the spec's tools now, for review, in a file beside the spec; its path."""
    tools: dict[str, Definition] = {}
    for client in _each(servers):
        listed = await list_tools(client)
        refuse_duplicates([*tools, *(name for name in listed if _is_host(gate, name))])
        tools |= {name: each for name, each in listed.items() if _is_host(gate, name)}
    place = pins or _place(gate)
    write_pins(place, Pins((), "", Listing(tools)))
    return place


# --- private -----------------------------------------------------------------------------------------


def _each(servers: ClientSession | Sequence[ClientSession] | None) -> tuple[ClientSession, ...]:
    given = (servers,) if isinstance(servers, ClientSession) else tuple(servers or ())
    for each in given:
        if isinstance(each, SandboxedSession):
            message = "this session is wrapped already"
            raise UsageError(message)
        if not isinstance(each, ClientSession):
            message = f"`{getattr(each, '__name__', type(each).__name__)}` is no `mcp.ClientSession`"
            raise UsageError(message)
    return given


def _is_host(gate: Gate, name: str) -> bool:
    """Whether a server's tool of this name may run. UsageError where the spec has the tool and says of no run."""
    tool = gate.policy.tool(name)
    if tool is not None and tool.run is None:
        message = (
            f"`{name}`: the spec {gate.policy.named()} has no `run` for it; where its server is one that this program "
            "speaks to, say `run: {host: REASON}`"
        )
        raise UsageError(message)
    return tool is not None and tool.run is not None and isinstance(tool.run.what, RunHost)


def _place(gate: Gate) -> Path:
    return pin_file(Path(gate.contract.file))


def _reviewed(place: Path) -> Mapping[str, Definition]:
    """The reviewed definitions, by name."""
    if not place.exists():
        message = (
            f"no tool of this server was reviewed yet: `await pin(gate, server)` writes `{place}`; read it, then "
            "commit it"
        )
        raise UsageError(message, "mcp.unpinned")
    return read_pins(place).tools


def _kinds(gate: Gate) -> tuple[ContentKind, ...]:
    """The kinds of content that the spec's `server` grants; text where it has none."""
    server = gate.contract.server
    return server.what.content if server is not None and isinstance(server.what, RunServer) else ("text",)


def _shown_tool(front: Front) -> ShownTool:
    shown = {"name": front.name, "description": front.description, "inputSchema": front.schema()}
    return ShownTool.model_validate(shown)


def _said(text: str, *, is_error: bool) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=clean_text(text))], is_error=is_error)
