"""The servers behind a wrapped MCP session: what they list now against what was reviewed, and one permitted call.

A server is a session of the program's own, in the program's own event loop. The gate's thread waits for it there.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from sandbox.call import Call, Rejected
from sandbox.errors import UsageError
from sandbox.host import WholeCall
from sandbox.ir import ContentKind, Json, Tool
from sandbox.mcp.arguments import server_arguments
from sandbox.mcp.cleaning import Unfit, clean_result, clean_text, text_of
from sandbox.mcp.pins import Definition, definition
from sandbox.mcp.upstream import MAX_LISTED, MAX_PAGES
from sandbox.strict_json import JsonNumber, Tree, read

if TYPE_CHECKING:
    from mcp import ClientSession
    from pydantic import BaseModel

_T = TypeVar("_T")


class ServerFailed(Exception):
    """The server said that its tool failed, or what it said may not be passed on. The text hides nothing."""


@dataclass(frozen=True, slots=True)
class Server:
    """A session, its loop, the names of its tools here, and of each what was reviewed, if it was.

    One call, the look at the list before it included, may take `timeout_s` seconds.
    """

    client: ClientSession
    loop: asyncio.AbstractEventLoop
    names: frozenset[str]
    reviewed: Mapping[str, Definition]
    timeout_s: float

    async def changed(self) -> frozenset[str]:
        """The tools that the server does not describe now as was reviewed."""
        now = await list_tools(self.client)
        same = {name for name, each in self.reviewed.items() if name in now and now[name].digest == each.digest}
        return self.names - same

    async def forward(self, name: str, arguments: Mapping[str, object]) -> Tree:
        """The answer to a permitted call, if the tool is what was reviewed."""
        if name in await self.changed():
            message = (
                f"`{name}` is not as it was reviewed (mcp.changed): the server describes it in another way, or not "
                "at all; a person has to look at it and pin it anew"
            )
            raise ServerFailed(message)
        return _tree(await self.client.call_tool(name, {key: _sent(each) for key, each in arguments.items()}))


class Servers:
    """What a wrapped session knows of those behind it: names, and which are not to be shown now.

    Only closures hold the sessions themselves: no attribute leads there.
    """

    __slots__ = ("__asked", "__names")

    def __init__(self, behind: Sequence[Server]) -> None:
        self.__asked = tuple(map(_asking, behind))
        self.__names = frozenset(name for server in behind for name in server.names)

    def serve(self, name: str) -> bool:
        """Whether the tool runs at a server."""
        return name in self.__names

    async def changed(self) -> frozenset[str]:
        """The tools that their servers do not describe now as was reviewed; all of one that does not tell in time."""
        return frozenset().union(*await asyncio.gather(*(asked() for asked in self.__asked)))


def _asking(server: Server) -> Callable[[], Awaitable[frozenset[str]]]:
    """What asks a server, in its own loop, which of its tools have changed. Whatever goes wrong, all have."""

    async def asked() -> frozenset[str]:
        if server.loop.is_closed():
            return server.names
        future = asyncio.run_coroutine_threadsafe(server.changed(), server.loop)
        try:
            done, _ = await asyncio.wait([asyncio.wrap_future(future)], timeout=server.timeout_s)
        finally:
            future.cancel()
        for each in done:
            return server.names if each.cancelled() or each.exception() is not None else each.result()
        return server.names

    return asked


def host_call(server: Server, kinds: Sequence[ContentKind]) -> WholeCall:
    """What the gate runs for a tool of this server's; its result is the cleaned answer, of these kinds only."""

    def run(call: Call, tool: Tool) -> Json:
        limit = tool.run.output if tool.run is not None else 0
        reviewed = server.reviewed.get(tool.name)
        arguments = server_arguments(call, tool, None if reviewed is None else reviewed.whole.get("inputSchema"))
        try:
            answer = _wait(server, server.forward(tool.name, arguments))
            passed, failed = clean_result(answer, kinds, limit)
        except (ServerFailed, Unfit) as error:
            raise ServerFailed(str(error)) from None
        except Exception as error:  # noqa: BLE001  # the SDK's errors have the server's words in them
            message = clean_text(f"{type(error).__name__}: {error}")
            raise ServerFailed(message) from None
        if failed:
            raise ServerFailed(text_of(passed))
        return passed

    return WholeCall(run)


async def list_tools(client: ClientSession) -> dict[str, Definition]:
    """A server's tools by name, all pages of them. UsageError where the list cannot be used."""
    tools: dict[str, Definition] = {}
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = await client.list_tools() if cursor is None else await client.list_tools(params=_page(cursor))
        for each in page.tools:
            found = definition(_tree(each))
            if found is None or found.name in tools or len(tools) >= MAX_LISTED:
                message = "the server's list of tools cannot be used: a tool without a name, one twice, or too many"
                raise UsageError(message)
            tools[found.name] = found
        cursor = page.next_cursor
        if cursor is None:
            return tools
    message = f"the server's list of tools has more than {MAX_PAGES} pages"
    raise UsageError(message)


# --- private -----------------------------------------------------------------------------------------


def _page(cursor: str) -> BaseModel:
    from mcp_types import PaginatedRequestParams  # noqa: PLC0415  # this module loads where the SDK is not

    params: BaseModel = PaginatedRequestParams(cursor=cursor)
    return params


def _wait(server: Server, work: Coroutine[object, object, _T]) -> _T:
    """The result of what runs in the server's loop; TimeoutError, and the work is cancelled, where it is late."""
    if server.loop.is_closed() or _running() is server.loop:
        work.close()
        message = "the session's event loop is closed, or waits for this very call; use `await gate.acall(...)`"
        raise ServerFailed(message)
    future = asyncio.run_coroutine_threadsafe(work, server.loop)
    try:
        return future.result(server.timeout_s)
    except TimeoutError:
        message = f"the server has not answered within {server.timeout_s:g} s"
        raise ServerFailed(message) from None
    finally:
        future.cancel()


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _tree(model: BaseModel) -> Tree:
    """What the SDK has read, as this package reads JSON: strictly, with numbers as they are written."""
    tree = read(json.dumps(model.model_dump(mode="json", by_alias=True, exclude_none=True)).encode())
    if isinstance(tree, Rejected):
        message = f"the server's answer cannot be read: {tree.reason}"
        raise ServerFailed(message)
    return tree


def _sent(value: object) -> object:
    """The value for the SDK; a number only if the SDK writes it with all its digits."""
    match value:
        case JsonNumber() if "." not in value:
            return int(value)
        case JsonNumber():
            number = float(value)
            if "e" in repr(number) or repr(number) != _shortest(value):
                message = f"the number {value} would lose digits on its way to the server"
                raise ServerFailed(message)
            return number
        case list():
            return [_sent(item) for item in value]
        case dict():
            return {key: _sent(item) for key, item in value.items()}
        case _:
            return value


def _shortest(number: str) -> str:
    """A decimal without the zeros at its end, as Python writes floats."""
    whole, _, digits = number.partition(".")
    return f"{whole}.{digits.rstrip('0') or '0'}"
