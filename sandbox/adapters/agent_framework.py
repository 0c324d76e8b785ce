"""Microsoft Agent Framework: function tools whose `invoke` is the gate.

Function middleware may change arguments before the tool; what it made of them is judged. A refusal is the tool's
result: the framework shows a model nothing of an exception but that there was one. A middleware turns a call that waits
for a person into the framework's own approval request; it is no boundary.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, NoReturn, TypeAlias

from agent_framework import (
    Agent,
    Content,
    FunctionInvocationContext,
    FunctionMiddleware,
    FunctionTool,
    HistoryProvider,
)
from pydantic import BaseModel

from sandbox.adapters.front import Front, fronts_for, refuse_unseen
from sandbox.adapters.ticket import Ticket, read_answer, read_ticket
from sandbox.errors import UsageError
from sandbox.gate import Gate
from sandbox.host import HostFunction
from sandbox.session import SessionSource

Answers: TypeAlias = Mapping[str, object]
"""What people said, by the id of the call: `Ticket.answer(...)`. The host stores it and adds to it."""

_ANSWER: Final = "sandbox_answer"
_TICKET: Final = "sandbox_ticket"


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
        said = None if context is None else context.metadata.get(_ANSWER)
        text = (await self._front.acall(_values(given), None if said is None else read_answer(said))).text
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
    return [SandboxedTool(front) for front in fronts_for(gate, tools, session, _checked, _host_of)]


def check(agent: Agent) -> None:
    """UsageError, naming it, for what the agent could do around the gate: other tools, MCP servers, context providers.

    A provider of context may bring tools when the agent runs; those that keep the history only are let be.
    """
    if type(agent) is not Agent:
        message = f"`{agent.name}` is a `{type(agent).__name__}`, whose tools are not known; take an `Agent`"
        raise UsageError(message)
    for tool in (*(agent.default_options.get("tools") or ()), *agent.mcp_tools):
        if not isinstance(tool, SandboxedTool):
            kind = tool.get("type") if isinstance(tool, Mapping) else type(tool).__name__
            message = f"`{getattr(tool, 'name', kind)}` of the agent is not behind the gate; wrap it"
            raise UsageError(message)
    for provider in agent.context_providers:
        if not isinstance(provider, HistoryProvider):
            refuse_unseen(type(provider).__name__, "may bring tools when the agent runs")


class Pauses(FunctionMiddleware):
    """Ends a run at a call that waits for a person, with an approval request; lets it through with people's answer.

    `waiting(request)` is its ticket. Put `ticket.answer(...)` under the call's id, and run the agent again, in the same
    session, with `request.to_function_approval_response(approved=True)`. That alone runs nothing: it names nobody.
    """

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    async def process(self, context: FunctionInvocationContext, call_next: Callable[[], Awaitable[None]]) -> None:
        """Ask what the gate would say; whatever is not answered here, the tool itself asks the gate."""
        tool, call_id = context.function, str(context.metadata.get("call_id"))
        if isinstance(tool, SandboxedTool):
            said = self._answers.get(call_id)
            values = _values(context.arguments)
            front = tool._front  # noqa: SLF001  # of a tool of this module
            ticket = None if said is not None else await asyncio.to_thread(front.ticket, values)
            if ticket is not None:
                occurrence = context.metadata.get("function_call_occurrence_id")
                context.result = _request(ticket, values, call_id, str(occurrence or call_id))
                return
            context.metadata[_ANSWER] = said
        await call_next()


def waiting(request: Content) -> Ticket:
    """The ticket of an approval request: the very call that would run. UsageError for another request."""
    return read_ticket(request.additional_properties.get(_TICKET))


def _request(ticket: Ticket, arguments: Mapping[str, object], call_id: str, occurrence: str) -> Content:
    call = Content.from_function_call(call_id, ticket.tool, arguments=dict(arguments))
    call.id = occurrence
    shown = {_TICKET: ticket.to_json()}
    request = Content.from_function_approval_request(id=occurrence, function_call=call, additional_properties=shown)
    request.call_id = call_id
    return request


def _values(arguments: BaseModel | Mapping[str, object]) -> dict[str, object]:
    return arguments.model_dump() if isinstance(arguments, BaseModel) else dict(arguments)


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
