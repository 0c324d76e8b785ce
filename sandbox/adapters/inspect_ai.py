"""Inspect: tools whose every run goes through the gate, and an approver that says before what the gate would say.

The approver is no boundary: where Inspect has another policy, or none, the tools themselves still ask the gate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from inspect_ai._util.registry import is_registry_object, registry_info
from inspect_ai.approval import Approval, Approver, approver
from inspect_ai.tool import Tool, ToolCall, ToolCallView, ToolDef, ToolError, ToolParams

from sandbox.adapters.front import Front, fronts_for
from sandbox.adapters.origins import said_origins
from sandbox.errors import UsageError
from sandbox.gate import Gate
from sandbox.host import HostFunction
from sandbox.session import SessionSource, current

_MARK: Final = "_sandbox_front"


def wrap(gate: Gate, tools: Sequence[object] | None = None, *, session: SessionSource = None) -> list[Tool]:
    """Tools for the gate's spec: all that it can run, or those named by `tools`.

    A given tool stands for the spec's tool of its name: where the spec says `run: {host: ...}` it runs after the
    permit, else it serves for its description only. Raises UsageError for what the gate could not see or judge.
    """
    return [_tool(front) for front in fronts_for(gate, tools, session, _checked, _host_of)]


def gate_approver(gate: Gate, *, session: SessionSource = None) -> Approver:
    """An approver by the gate's verdict: `reject` what is denied, `escalate` what waits for a person, else `approve`.

    Tools that the spec does not have are rejected. It runs nothing, and reserves nothing.
    """

    async def approve(message: str, call: ToolCall, view: ToolCallView, history: Sequence[object]) -> Approval:
        _ = message, view, history
        if call.parse_error is not None:
            return Approval(decision="reject", explanation="the call could not be read")
        raw = {"tool": call.function, "args": dict(call.arguments)}
        decision = gate.decide(raw, current(session), origins=said_origins(gate, session, raw))
        kind = {"allow": "approve", "ask": "escalate", "deny": "reject"}[decision.verdict]
        return Approval(decision=kind, explanation=f"{decision.reason_code}: {decision.reason}")

    made: Callable[[], Approver] = approver(name="sandbox_gate")(lambda: approve)  # the name that Inspect logs
    return made()


def _tool(front: Front) -> Tool:
    async def execute(**kwargs: Any) -> str:  # noqa: ANN401 - the form that Inspect passes arguments through, unread
        answer = await front.acall(kwargs)
        if answer.is_error:
            raise ToolError(answer.text)
        return answer.text

    execute.__annotations__ = {"kwargs": Any, "return": str}
    parameters = ToolParams.model_validate(front.schema())
    for name, each in parameters.properties.items():
        each.description = each.description or name  # Inspect takes no tool without
    tool = ToolDef(execute, front.name, front.description, parameters, parallel=True).as_tool()
    setattr(tool, _MARK, front)
    return tool


def _checked(tool: object) -> ToolDef:
    if isinstance(getattr(tool, _MARK, None), Front):
        message = f"`{registry_info(tool).name}` is wrapped already"
        raise UsageError(message)
    if isinstance(tool, ToolDef):
        return tool
    if is_registry_object(tool) and registry_info(tool).type == "tool":
        return ToolDef(tool)
    if isinstance(tool, Mapping):
        message = f"`{tool.get('name') or tool.get('type') or '?'}` is no Inspect tool"
        raise UsageError(message)
    message = f"`{getattr(tool, '__name__', type(tool).__name__)}` is no Inspect tool; decorate it with `@tool` first"
    raise UsageError(message)


def _host_of(tool: ToolDef) -> Callable[[], HostFunction]:
    return lambda: tool.tool
