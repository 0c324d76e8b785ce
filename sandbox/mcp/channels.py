"""By which request of the protocol something is asked for: a tool of the spec answers to one of them, and to no other.

A model calls tools, a program reads resources, and a person chooses prompts. What the spec lets one of them have is
not thereby for the others, though it is judged the same way: as a call of a tool.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, Literal, TypeAlias

from sandbox.errors import EnvironmentLacking
from sandbox.ir import Run, RunServer

Channel: TypeAlias = Literal["tools/call", "resources/read", "prompts/get"]

NOTHING: Final = RunServer(())
"""The grants of a server that there is not."""

_ASKED: ContextVar[Channel] = ContextVar("asked", default="tools/call")


@contextmanager
def asked_by(channel: Channel) -> Iterator[None]:
    """What this thread asks of a gate meanwhile is asked by this request."""
    token = _ASKED.set(channel)
    try:
        yield
    finally:
        _ASKED.reset(token)


def granted_by(run: Run | None) -> RunServer:
    """What the server is granted besides its container."""
    return run.what if run is not None and isinstance(run.what, RunServer) else NOTHING


def channel_of(granted: RunServer, tool: str) -> Channel:
    """The request that is judged as a call of this tool."""
    if tool == granted.resources:
        return "resources/read"
    return "prompts/get" if prompt_of(granted, tool) is not None else "tools/call"


def prompt_of(granted: RunServer, tool: str) -> str | None:
    """The prompt that this tool judges, as the server calls it."""
    return next((each.prompt for each in granted.prompts if each.tool == tool), None)


def check_channel(granted: RunServer, tool: str) -> Channel:
    """The request that is judged as a call of this tool. Raises EnvironmentLacking where it is asked for by another."""
    channel = channel_of(granted, tool)
    if channel != _ASKED.get():
        message = f"`{tool}` is what `{channel}` is judged as, and is asked for by nothing else"
        raise EnvironmentLacking(message, "mcp.channel")
    return channel
