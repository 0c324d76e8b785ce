"""Claude Agent SDK: an agent whose only tools are those of a spec, in a server inside of this process.

Claude Code's own tools run in its command line, where no gate is, and `can_use_tool` is asked last, after rules and
modes that may allow. So `options` leaves the built-in tools out, reads no settings, takes no other server, and a hook
denies whatever is left: the boundary is still the tool itself. The same hook defers a call that waits for a person,
where the run may pause.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeAlias

from claude_agent_sdk import ClaudeAgentOptions, DeferredToolUse, HookMatcher, SdkMcpTool, create_sdk_mcp_server

from sandbox.adapters.front import Front, fronts, fronts_for, refuse_unseen
from sandbox.adapters.ticket import Ticket, read_answer
from sandbox.errors import UsageError
from sandbox.gate import Gate
from sandbox.host import HostFunction
from sandbox.ir import Json
from sandbox.session import SessionSource

SERVER: Final = "sandbox"
"""The name of the server."""
PREFIX: Final = f"mcp__{SERVER}__"
"""What stands before a tool's name where Claude knows it."""
FIXED: Final = frozenset(
    {
        "tools",
        "allowed_tools",
        "disallowed_tools",
        "mcp_servers",
        "strict_mcp_config",
        "permission_mode",
        "permission_prompt_tool_name",
        "can_use_tool",
        "hooks",
        "agents",
        "plugins",
        "setting_sources",
        "settings",
        "sandbox",
        "extra_args",
    }
)
"""Options that could give the agent a tool around the gate."""

_MARK: Final = "_sandbox_front"

Answers: TypeAlias = Mapping[str, object]
"""What people said, by the id of the call: `Ticket.answer(...)`. The host stores it and adds to it."""

Hook: TypeAlias = Callable[[Mapping[str, object], str | None, object], Awaitable[dict[str, Json]]]


def wrap(gate: Gate, tools: Sequence[object] | None = None, *, session: SessionSource = None) -> list[SdkMcpTool]:
    """Tools for a server of yours (`create_sdk_mcp_server`): all that the spec can run, or those named by `tools`.

    A given `SdkMcpTool` stands for the spec's tool of its name: where the spec says `run: {host: ...}` its handler runs
    after the permit, else it serves for its description only. Raises UsageError for what the gate could not judge.
    """
    return [_tool(front) for front in fronts_for(gate, tools, session, _checked, _host_of)]


def options(
    gate: Gate,
    tools: Sequence[object] | None = None,
    *,
    session: SessionSource = None,
    answers: Answers | None = None,
    **more: object,
) -> ClaudeAgentOptions:
    """Options of an agent that can do what the spec allows, and nothing else. `more` are those that add no tool.

    With `answers` the run ends at a call that waits for a person, if it is the only one of its turn: the result has it
    as `deferred_tool_use`, and `waiting(gate, deferred_tool_use)` is its ticket. Put `ticket.answer(...)` under the
    call's id and resume the session. The call asks the gate again, with that answer.

    Raises UsageError for an option that could add a tool, and where `wrap` does.
    """
    unsafe = sorted(FIXED & more.keys())
    if unsafe:
        message = f"`{unsafe[0]}` could give the agent a tool around the gate; leave it to the adapter"
        raise UsageError(message)
    held = wrap(gate, tools, session=session)
    pauses = _Pauses({PREFIX + tool.name: getattr(tool, _MARK) for tool in held}, answers)
    if answers is not None:
        held = [_tool(getattr(tool, _MARK), pauses) for tool in held]
    names = [PREFIX + tool.name for tool in held]
    return ClaudeAgentOptions(
        tools=[],
        allowed_tools=names,
        mcp_servers={SERVER: create_sdk_mcp_server(SERVER, tools=held)},
        strict_mcp_config=True,
        setting_sources=[],
        hooks={"PreToolUse": [HookMatcher(hooks=[_only(frozenset(names), pauses)])]},
        **more,
    )


def waiting(gate: Gate, deferred: DeferredToolUse, *, session: SessionSource = None) -> Ticket:
    """The ticket of a call at which a run has ended: the very call that would run. UsageError where none waits."""
    front = next((each for each in fronts(gate, session) if PREFIX + each.name == deferred.name), None)
    ticket = None if front is None else front.ticket(deferred.input)
    if ticket is None:
        message = f"nothing of `{deferred.name}` waits for a person"
        raise UsageError(message)
    return ticket


class _Pauses:
    """The calls at which a run ends, and the answers to those with which it goes on.

    The hook knows the id of a call and the tool does not, so it is the call's digest by which a tool finds its answer.
    """

    def __init__(self, held: Mapping[str, Front], answers: Answers | None) -> None:
        self._fronts = dict(held)
        self._answers = answers
        self._ready: dict[str, list[object]] = {}

    def defers(self, name: object, arguments: object, call_id: str | None) -> bool:
        """Whether the run ends here: the call waits for a person, and nobody has answered it."""
        front = self._fronts.get(name) if isinstance(name, str) else None
        if self._answers is None or front is None or not isinstance(arguments, Mapping):
            return False
        ticket = front.ticket(arguments)
        if ticket is None:
            return False
        said = self._answers.get(call_id or "")
        if said is not None:
            self._ready.setdefault(ticket.digest, []).append(said)
        return said is None

    def answer(self, front: Front, arguments: Mapping[str, object]) -> object:
        """What people said of a call that the hook let through, once; None where nobody said anything."""
        ticket = front.ticket(arguments)
        ready = self._ready.get(ticket.digest) if ticket is not None else None
        return ready.pop(0) if ready else None


def _only(names: frozenset[str], pauses: _Pauses) -> Hook:
    """A hook that denies every tool but these; the first thing that is asked about any call."""

    async def decide(call: Mapping[str, object], tool_use_id: str | None, context: object) -> dict[str, Json]:
        _ = context
        name = call.get("tool_name")
        if name not in names:
            return _said("deny", f"`{name}` is not behind the gate")
        if await asyncio.to_thread(pauses.defers, name, call.get("tool_input"), tool_use_id):
            return _said("defer", "it waits for a person")
        return {}

    return decide


def _said(decision: str, reason: str) -> dict[str, Json]:
    said: dict[str, Json] = {
        "hookEventName": "PreToolUse",
        "permissionDecision": decision,
        "permissionDecisionReason": reason,
    }
    return {"hookSpecificOutput": said}


def _tool(front: Front, pauses: _Pauses | None = None) -> SdkMcpTool:
    async def handle(arguments: Mapping[str, object]) -> dict[str, Json]:
        said = None if pauses is None else await asyncio.to_thread(pauses.answer, front, arguments)
        answer = await front.acall(arguments, None if said is None else read_answer(said))
        return {"content": [{"type": "text", "text": answer.text}], "is_error": answer.is_error}

    tool = SdkMcpTool(front.name, front.description, front.schema(), handle)
    setattr(tool, _MARK, front)
    return tool


def _checked(tool: object) -> SdkMcpTool:
    if hasattr(tool, _MARK):
        message = f"`{getattr(tool, 'name', '?')}` is wrapped already"
        raise UsageError(message)
    if isinstance(tool, SdkMcpTool):
        return tool
    if isinstance(tool, str):
        refuse_unseen(tool, "is a tool of Claude Code's: it runs in its command line")
    message = (
        f"`{getattr(tool, '__name__', type(tool).__name__)}` is no tool of the SDK; decorate it with `@tool` first"
    )
    raise UsageError(message)


def _host_of(tool: SdkMcpTool) -> Callable[[], HostFunction]:
    """What the gate runs for a host tool: its handler, with the arguments; the text of its content is the result."""

    def made() -> HostFunction:
        async def run(**arguments: object) -> object:
            answer = await tool.handler(arguments)
            return "".join(each.get("text", "") for each in answer.get("content", []))

        return run

    return made
