"""FastMCP: a server's tools whose `run` is the gate.

Whatever stands before it (middleware, namespaces, transforms, a server that mounts this one) ends in `run`; what it
made of the arguments is judged. A refusal is a result that is marked as an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fastmcp import FastMCP
from fastmcp.tools import Tool
from fastmcp.tools.base import ToolResult
from mcp_types import TextContent
from pydantic import PrivateAttr

from sandbox.adapters.front import Front, fronts_for, refuse_unseen
from sandbox.errors import UsageError
from sandbox.gate import Gate
from sandbox.host import HostFunction
from sandbox.session import SessionSource


class SandboxedTool(Tool):
    """One tool of a spec."""

    _front: Front = PrivateAttr()

    def __init__(self, front: Front) -> None:
        super().__init__(name=front.name, description=front.description, parameters=front.schema())
        self._front = front

    async def run(self, arguments: Mapping[str, object]) -> ToolResult:
        """Take the call the whole way, whatever came of it."""
        answer = await self._front.acall(dict(arguments))
        return ToolResult(content=[TextContent(type="text", text=answer.text)], is_error=answer.is_error)


def wrap(gate: Gate, tools: Sequence[object] | None = None, *, session: SessionSource = None) -> list[SandboxedTool]:
    """Tools for the gate's spec: all that it can run, or those named by `tools`; give them to `FastMCP(tools=...)`.

    A given tool stands for the spec's tool of its name: where the spec says `run: {host: ...}` it runs after the
    permit, else it serves for its description only. Raises UsageError for what the gate could not see or judge.
    """
    return [SandboxedTool(front) for front in fronts_for(gate, tools, session, _checked, _host_of)]


def _checked(tool: object) -> Tool:
    if isinstance(tool, SandboxedTool):
        message = f"`{tool.name}` is wrapped already"
        raise UsageError(message)
    if isinstance(tool, Tool):
        return tool
    if isinstance(tool, FastMCP):
        refuse_unseen(tool.name, "is a whole server: its tools run there")
    message = f"`{getattr(tool, '__name__', type(tool).__name__)}` is no FastMCP tool; use `Tool.from_function` first"
    raise UsageError(message)


def _host_of(tool: Tool) -> Callable[[], HostFunction]:
    """What the gate runs for a host tool: its own `run`, in JSON."""

    def made() -> HostFunction:
        async def run(**arguments: object) -> object:
            answer: ToolResult = await tool.run(arguments)
            if answer.is_error:
                raise RuntimeError(_text(answer))
            value: object = answer.structured_content
            if isinstance(value, dict) and set(value) == {"result"}:
                value = value["result"]  # how FastMCP wraps what is no object
            return _text(answer) if value is None else value

        return run

    return made


def _text(answer: ToolResult) -> str:
    return "\n".join(each.text for each in answer.content if isinstance(each, TextContent))
