"""LangChain and LangGraph: tools whose every run goes through the gate.

`wrap` returns LangChain's own tool type, so agents, tool nodes, retries and middleware use them as they are; the
boundary is the tool itself, not a hook. Sync and async runs take the same way. Nothing of a wrapped tool leads to
the raw one: no `func`, no `coroutine`, no `__wrapped__`; of a container tool it is not even kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from langchain_core.tools import BaseTool, StructuredTool, ToolException
from langgraph.types import interrupt
from pydantic import PrivateAttr

from sandbox.adapters.front import Front, fronts_for, refuse_unseen
from sandbox.adapters.telling import Answer
from sandbox.adapters.ticket import read_answer
from sandbox.errors import UsageError
from sandbox.gate import Gate
from sandbox.host import HostFunction
from sandbox.session import SessionSource

_TOOL_CALL: Final = "tool_call"


class SandboxedTool(BaseTool):
    """One tool of a spec. A refusal becomes a tool message with status `error` that says why."""

    _front: Front = PrivateAttr()
    _pause: bool = PrivateAttr()

    def __init__(self, front: Front, *, pause: bool) -> None:
        super().__init__(
            name=front.name, description=front.description, args_schema=front.schema(), handle_tool_error=True
        )
        self._front = front
        self._pause = pause

    def _run(self, /, **arguments: object) -> str:
        answer = self._front.call(arguments)
        if answer.ticket is not None and self._pause:
            answer = self._front.call(arguments, read_answer(interrupt(answer.ticket.to_json())))
        return _text(answer)

    async def _arun(self, /, **arguments: object) -> str:
        answer = await self._front.acall(arguments)
        if answer.ticket is not None and self._pause:
            answer = await self._front.acall(arguments, read_answer(interrupt(answer.ticket.to_json())))
        return _text(answer)


def wrap(
    gate: Gate, tools: Sequence[object] | None = None, *, session: SessionSource = None, pause: bool = False
) -> list[BaseTool]:
    """LangChain tools for the gate's spec: all that it can run, or those named by `tools`.

    A given LangChain tool stands for the spec's tool of its name. Where the spec says `run: {host: ...}` it is what
    runs after the permit; else the spec's own `run` is, and the given one serves for its description only.
    `session` has the session's facts, or returns them at the time of a call.

    With `pause` a call that waits for a person is a LangGraph interrupt, whose value is a `Ticket` as JSON; resume
    with `Command(resume=ticket.answer(approved_by=[...]))`. It needs a graph with a checkpointer. Without, the model
    is told that the call waits.

    Raises UsageError for what the gate could not see or judge: provider-side (dict) tools, plain callables, a name
    that the spec does not have or has no `run` for, a name given twice.
    """
    return [SandboxedTool(front, pause=pause) for front in fronts_for(gate, tools, session, _checked, _host_of)]


def _checked(tool: object) -> BaseTool:
    if isinstance(tool, SandboxedTool):
        message = f"`{tool.name}` is wrapped already"
        raise UsageError(message)
    if isinstance(tool, BaseTool):
        return tool
    if isinstance(tool, dict):
        refuse_unseen(str(tool.get("name") or tool.get("type") or "?"), "is a tool of the provider's: it runs there")
    message = f"`{getattr(tool, '__name__', type(tool).__name__)}` is no LangChain tool; decorate it with `@tool` first"
    raise UsageError(message)


def _host_of(given: BaseTool) -> Callable[[], HostFunction]:
    return lambda: _host_function(given)


def _host_function(given: BaseTool) -> HostFunction:
    """What the gate runs for a host tool: the tool's own way in, async only where it has no other."""

    async def run_async(**arguments: object) -> object:
        answer: object = await given.ainvoke(_only_arguments(arguments))
        return answer

    def run(**arguments: object) -> object:
        answer: object = given.invoke(_only_arguments(arguments))
        return answer

    return run_async if isinstance(given, StructuredTool) and given.func is None else run


def _only_arguments(arguments: dict[str, object]) -> dict[str, object]:
    """The arguments, unless LangChain would take them for a whole call and run with what stands in their `args`."""
    if arguments.get("type") == _TOOL_CALL:
        message = f"an argument `type` with the value `{_TOOL_CALL}` means something else to LangChain"
        raise ToolException(message)
    return dict(arguments)


def _text(answer: Answer) -> str:
    if answer.is_error:
        raise ToolException(answer.text)
    return answer.text
