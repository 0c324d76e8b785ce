"""Microsoft Agent Framework: function tools whose `invoke` is the gate.

Function middleware may change arguments before the tool; what it made of them is judged. A refusal is the tool's
result: the framework shows a model nothing of an exception but that there was one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from agent_framework import Content, FunctionInvocationContext, FunctionTool
from pydantic import BaseModel

from sandbox.adapters.front import Front, fronts, refuse_duplicates, refuse_unseen, stand_in
from sandbox.errors import UsageError
from sandbox.gate import Gate
from sandbox.host import HostFunction
from sandbox.session import SessionSource


class SandboxedTool(FunctionTool):
    """One tool of a spec."""

    def __init__(self, front: Front) -> None:
        async def run(**arguments: object) -> str:
            return (await front.acall(arguments)).text

        super().__init__(name=front.name, description=front.description, func=run, input_model=front.schema())
        self._front = front

    async def invoke(
        self,
        *,
        arguments: BaseModel | Mapping[str, object] | None = None,
        context: FunctionInvocationContext | None = None,
        tool_call_id: str | None = None,
        skip_parsing: bool = False,
        **named: object,
    ) -> list[Content] | str:
        """Take the call the whole way; the text for the model, whatever came of it."""
        _ = tool_call_id
        given = arguments if arguments is not None else named or (context.arguments if context is not None else {})
        values = given.model_dump() if isinstance(given, BaseModel) else dict(given)
        text = (await self._front.acall(values)).text
        return text if skip_parsing else [Content.from_text(text)]

    def __copy__(self) -> SandboxedTool:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> SandboxedTool:
        return self

    def __reduce__(self) -> NoReturn:
        message = f"`{self._front.name}` stays behind its gate; it cannot be pickled"
        raise TypeError(message)


def wrap(gate: Gate, tools: Sequence[object] | None = None, *, session: SessionSource = None) -> list[SandboxedTool]:
    """Tools for the gate's spec: all that it can run, or those named by `tools`.

    A given tool stands for the spec's tool of its name: where the spec says `run: {host: ...}` its function runs after
    the permit, else it serves for its description only. Raises UsageError for what the gate could not see or judge.
    """
    if tools is None:
        return [SandboxedTool(front) for front in fronts(gate, session)]
    given = [_checked(tool) for tool in tools]
    refuse_duplicates(tool.name for tool in given)
    return [SandboxedTool(stand_in(gate, tool.name, tool.description, session, _host_of(tool))) for tool in given]


def _checked(tool: object) -> FunctionTool:
    if isinstance(tool, SandboxedTool):
        message = f"`{tool.name}` is wrapped already"
        raise UsageError(message)
    if isinstance(tool, FunctionTool):
        if tool.declaration_only:
            refuse_unseen(tool.name, "is a declaration: it runs elsewhere")
        return tool
    if isinstance(tool, Mapping):
        refuse_unseen(str(tool.get("name") or tool.get("type") or "?"), "is a tool of the provider's: it runs there")
    message = f"`{getattr(tool, '__name__', type(tool).__name__)}` is no function tool; decorate it with `@tool` first"
    raise UsageError(message)


def _host_of(tool: FunctionTool) -> Callable[[], HostFunction]:
    """What the gate runs for a host tool: its own `invoke`, unparsed."""

    def made() -> HostFunction:
        async def run(**arguments: object) -> object:
            answer: object = await tool.invoke(arguments=arguments, skip_parsing=True)
            return answer

        return run

    return made
