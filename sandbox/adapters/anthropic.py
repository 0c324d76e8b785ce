"""Anthropic SDK: tools for its tool runner, and for a loop of your own, whose every run goes through the gate.

The runner calls `.call(input)` of whatever tool has the name that the model used; here that is the gate. Server tools
run at the provider, and the SDK's own toolsets on the host: both are refused when the tools are wrapped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from anthropic.lib.tools import (
    BetaAsyncBuiltinFunctionTool,
    BetaAsyncFunctionTool,
    BetaBuiltinFunctionTool,
    BetaFunctionTool,
    ToolError,
)

from sandbox.adapters.front import Front, fronts_for, refuse_unseen
from sandbox.adapters.telling import Answer
from sandbox.adapters.ticket import Ticket, read_answer
from sandbox.errors import UsageError
from sandbox.gate import Gate
from sandbox.host import HostFunction
from sandbox.ir import Json
from sandbox.session import SessionSource

MadeTool = TypeVar("MadeTool", bound="SandboxedTool | SandboxedAsyncTool")


class SandboxedTool(BetaBuiltinFunctionTool):
    """One tool of a spec, for `Anthropic().beta.messages.tool_runner`."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def to_dict(self) -> dict[str, Json]:
        """Name, description and schema, as the API takes them."""
        return _definition(self._front)

    def call(self, input: object) -> str:  # noqa: A002 - the SDK's own name
        """Take the call the whole way; ToolError is what the model is told of a refusal."""
        return _text(self._front.call(_arguments(input)))

    def as_async(self) -> SandboxedAsyncTool:
        """The same tool for the asynchronous client."""
        return SandboxedAsyncTool(self._front)


class SandboxedAsyncTool(BetaAsyncBuiltinFunctionTool):
    """One tool of a spec, for `AsyncAnthropic().beta.messages.tool_runner`."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def to_dict(self) -> dict[str, Json]:
        """Name, description and schema, as the API takes them."""
        return _definition(self._front)

    async def call(self, input: object) -> str:  # noqa: A002 - the SDK's own name
        """Take the call the whole way; ToolError is what the model is told of a refusal."""
        return _text(await self._front.acall(_arguments(input)))


def wrap(gate: Gate, tools: Sequence[object] | None = None, *, session: SessionSource = None) -> list[SandboxedTool]:
    """Tools for the gate's spec: all that it can run, or those named by `tools` (made with `@beta_tool`).

    A given tool stands for the spec's tool of its name: where the spec says `run: {host: ...}` it runs after the
    permit, else it serves for its description only. Raises UsageError for what the gate could not see or judge.
    """
    return _wrapped(SandboxedTool, gate, tools, session)


def wrap_async(
    gate: Gate, tools: Sequence[object] | None = None, *, session: SessionSource = None
) -> list[SandboxedAsyncTool]:
    """As `wrap`, for the asynchronous client; given tools may be made with `@beta_async_tool`."""
    return _wrapped(SandboxedAsyncTool, gate, tools, session)


def execute(
    tools: Iterable[SandboxedTool | SandboxedAsyncTool],
    tool_use: object,
    *,
    answers: Mapping[str, object] | None = None,
) -> dict[str, Json]:
    """The `tool_result` block for a `tool_use` block, for a loop of your own. Never raises on what a model writes.

    `answers` has what people said, by the id of the block: `Ticket.answer(...)` of the ticket that `waiting` gave.
    """
    identity, answer = str(getattr(tool_use, "id", "")), None
    front = _front_of(tools, tool_use)
    if front is not None:
        said = None if answers is None else answers.get(identity)
        answer = front.call(_arguments(getattr(tool_use, "input", None)), None if said is None else read_answer(said))
    text = "no such tool" if answer is None else answer.text
    failed = answer is None or answer.is_error
    return {"type": "tool_result", "tool_use_id": identity, "content": text, "is_error": failed}


def waiting(tools: Iterable[SandboxedTool | SandboxedAsyncTool], tool_use: object) -> Ticket | None:
    """The ticket of a `tool_use` block that waits for a person; None where it does not. Runs nothing."""
    front = _front_of(tools, tool_use)
    return None if front is None else front.ticket(_arguments(getattr(tool_use, "input", None)))


def _front_of(tools: Iterable[SandboxedTool | SandboxedAsyncTool], tool_use: object) -> Front | None:
    name = getattr(tool_use, "name", None)
    return next((tool._front for tool in tools if tool.name == name), None)  # noqa: SLF001 - our own


def _wrapped(
    kind: Callable[[Front], MadeTool], gate: Gate, tools: Sequence[object] | None, session: SessionSource
) -> list[MadeTool]:
    return [kind(front) for front in fronts_for(gate, tools, session, _checked, _host_of)]


def _checked(tool: object) -> BetaFunctionTool | BetaAsyncFunctionTool:
    if isinstance(tool, SandboxedTool | SandboxedAsyncTool):
        message = f"`{tool.name}` is wrapped already"
        raise UsageError(message)
    if isinstance(tool, BetaFunctionTool | BetaAsyncFunctionTool):
        return tool
    if isinstance(tool, Mapping):
        refuse_unseen(str(tool.get("name") or tool.get("type") or "?"), "is a raw definition: it runs at the provider")
    if isinstance(tool, BetaBuiltinFunctionTool | BetaAsyncBuiltinFunctionTool):
        refuse_unseen(type(tool).__name__, "runs unconfined on the host")
    message = f"`{getattr(tool, '__name__', type(tool).__name__)}` is no tool of the SDK; decorate it with `@beta_tool`"
    raise UsageError(message)


def _host_of(tool: BetaFunctionTool | BetaAsyncFunctionTool) -> Callable[[], HostFunction]:
    """What the gate runs for a host tool: the tool's own function, with the canonical values."""
    return lambda: tool.func


def _definition(front: Front) -> dict[str, Json]:
    return {"name": front.name, "description": front.description, "input_schema": front.schema()}


def _arguments(value: object) -> Mapping[str, object] | str:
    """The arguments as the SDK has read them; what is no object is refused by the gate's parser as what it is."""
    return value if isinstance(value, dict) else "[]"


def _text(answer: Answer) -> str:
    if answer.is_error:
        raise ToolError(answer.text)
    return answer.text
