"""OpenAI Agents SDK: function tools whose every run goes through the gate.

What the model wrote as arguments goes to the gate as that text. Guardrails of the SDK see function tools only; here
the tool itself is the boundary. Hosted tools run at the provider, and shell, computer and patch tools of the SDK on
the host: both are refused when the agent is configured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from agents import Agent, FunctionTool, RunContextWrapper
from agents.items import ToolApprovalItem
from agents.tool_context import ToolContext

from sandbox.adapters.front import Front, fronts_for, refuse_unseen
from sandbox.adapters.ticket import Ticket, read_answer
from sandbox.errors import UsageError
from sandbox.gate import Gate
from sandbox.host import HostFunction
from sandbox.session import SessionSource

Answers = Mapping[str, object]
"""What people said, by the id of the call: `Ticket.answer(...)`. The host stores it and adds to it."""

_MARK: Final = "_sandbox_front"


def wrap(
    gate: Gate,
    tools: Sequence[object] | None = None,
    *,
    session: SessionSource = None,
    answers: Answers | None = None,
) -> list[FunctionTool]:
    """Function tools for the gate's spec: all that it can run, or those named by `tools`.

    A given `FunctionTool` stands for the spec's tool of its name: where the spec says `run: {host: ...}` its own
    `on_invoke_tool` runs after the permit, else it serves for its description only.

    With `answers` a call that waits for a person interrupts the run; `waiting(tools, item)` is its ticket. Put
    `ticket.answer(...)` under the item's call id, approve the item in the run's state, and resume. An approval in
    the SDK alone runs nothing: it names nobody, and may be a standing one.

    Raises UsageError for what the gate could not see or judge.
    """
    return [_tool(front, answers) for front in fronts_for(gate, tools, session, _checked, _host_of)]


def check(agent: Agent[object]) -> None:
    """UsageError, naming it, for anything by which the agent or one that it hands over to acts around the gate."""
    pending, seen = [agent], set[int]()
    while pending:
        each = pending.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if type(each) is not Agent:
            kind = type(each).__name__
            message = f"`{each.name}` is a `{kind}`, which may have tools that are not listed; take an `Agent`"
            raise UsageError(message)
        for tool in each.tools:
            if not hasattr(tool, _MARK):
                message = f"`{tool.name}` of the agent `{each.name}` is not behind the gate; wrap it"
                raise UsageError(message)
        _check_settings(each)
        if each.mcp_servers:
            message = f"the agent `{each.name}` has MCP servers, whose tools are not behind the gate; use `sandbox mcp`"
            raise UsageError(message)
        for handoff in each.handoffs:
            if not isinstance(handoff, Agent):
                message = f"a hand-off of `{each.name}` is no agent that can be looked into; name the agent itself"
                raise UsageError(message)
            pending.append(handoff)


def _check_settings(agent: Agent[object]) -> None:
    """UsageError for what can bring tools of the provider's with the request itself."""
    if agent.prompt is not None:
        message = (
            f"the agent `{agent.name}` has a stored prompt, which may bring tools of the provider's; write it here"
        )
        raise UsageError(message)
    settings = agent.model_settings
    for more in (settings.extra_body, settings.extra_args):
        if isinstance(more, Mapping) and "tools" in more:
            message = f"`tools` in the model settings of `{agent.name}` run at the provider; leave them out"
            raise UsageError(message)


def waiting(tools: Sequence[FunctionTool], item: ToolApprovalItem) -> Ticket:
    """The ticket of an interruption: the very call that would run. UsageError where nothing of it waits."""
    arguments = getattr(item.raw_item, "arguments", None)
    tool = next((each for each in tools if each.name == item.tool_name), None)
    front = getattr(tool, _MARK, None)
    if isinstance(front, Front) and isinstance(arguments, str):
        ticket = front.ticket(arguments)
        if ticket is not None:
            return ticket
    message = f"nothing of `{item.tool_name}` waits for a person"
    raise UsageError(message)


def _tool(front: Front, answers: Answers | None) -> FunctionTool:
    async def invoke(context: ToolContext[object], arguments: str) -> str:
        said = None if answers is None else answers.get(context.tool_call_id)
        return (await front.acall(arguments, None if said is None else read_answer(said))).text

    async def asks(context: RunContextWrapper[object], arguments: Mapping[str, object], call_id: str) -> bool:
        _ = context, call_id
        return front.ticket(arguments) is not None

    tool = FunctionTool(
        name=front.name,
        description=front.description,
        params_json_schema=front.schema(),
        on_invoke_tool=invoke,
        strict_json_schema=False,
        needs_approval=False if answers is None else asks,
    )
    setattr(tool, _MARK, front)
    return tool


def _checked(tool: object) -> FunctionTool:
    if hasattr(tool, _MARK):
        message = f"`{getattr(tool, 'name', '?')}` is wrapped already"
        raise UsageError(message)
    if isinstance(tool, FunctionTool):
        return tool
    name = getattr(tool, "name", None)
    if isinstance(name, str) and not callable(tool):
        refuse_unseen(name, f"is a `{type(tool).__name__}`: it runs at the provider or unconfined on the host")
    message = (
        f"`{getattr(tool, '__name__', type(tool).__name__)}` is no function tool; decorate it with `@function_tool`"
    )
    raise UsageError(message)


def _host_of(tool: FunctionTool) -> Callable[[], HostFunction]:
    """What the gate runs for a host tool."""
    import json  # noqa: PLC0415 - used for host tools only

    def made() -> HostFunction:
        async def run(**arguments: object) -> object:
            text = json.dumps(arguments, default=str)
            context = ToolContext(None, tool_name=tool.name, tool_call_id="gate", tool_arguments=text)
            answer: object = await tool.on_invoke_tool(context, text)
            return answer

        return run

    return made
