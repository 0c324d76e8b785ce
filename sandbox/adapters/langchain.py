"""LangChain and LangGraph: tools whose every run goes through the gate.

`wrap` returns LangChain's own tool type, so agents, tool nodes, retries and middleware use them as they are; the
boundary is the tool itself, not a hook. Sync and async runs take the same way. Nothing of a wrapped tool leads to
the raw one: no `func`, no `coroutine`, no `__wrapped__`; of a container tool it is not even kept.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final, NoReturn

from langchain_core.tools import BaseTool, StructuredTool, ToolException
from pydantic import PrivateAttr

from sandbox.adapters.schema import arguments_schema
from sandbox.call import Outcome
from sandbox.errors import ApprovalNeeded, Denied, ToolError, UsageError
from sandbox.gate import Gate
from sandbox.host import HostFunction
from sandbox.ir import RunHost, Tool
from sandbox.session import SessionSource, current

MAX_SHOWN_STDERR: Final = 2_000
"""Characters of a failed tool's stderr that the model is shown: the end of a traceback says most."""

_TOOL_CALL: Final = "tool_call"


class SandboxedTool(BaseTool):
    """One tool of a spec. A refusal becomes a tool message with status `error` that says why."""

    _gate: Gate = PrivateAttr()
    _tool_name: str = PrivateAttr()
    _session: SessionSource = PrivateAttr()

    def __init__(self, gate: Gate, tool: Tool, description: str, session: SessionSource) -> None:
        super().__init__(
            name=tool.name,
            description=description,
            args_schema=arguments_schema(tool),
            handle_tool_error=True,
        )
        self._gate = gate
        self._tool_name = tool.name
        self._session = session

    def _run(self, /, **arguments: object) -> str:
        try:
            return _shown(self._gate.call(self._raw(arguments), current(self._session)).outcome)
        except (Denied, ApprovalNeeded, ToolError) as error:
            _tell(error)

    async def _arun(self, /, **arguments: object) -> str:
        try:
            return _shown((await self._gate.acall(self._raw(arguments), current(self._session))).outcome)
        except (Denied, ApprovalNeeded, ToolError) as error:
            _tell(error)

    def _raw(self, arguments: dict[str, object]) -> dict[str, object]:
        return {"tool": self._tool_name, "args": arguments}


def wrap(gate: Gate, tools: Sequence[object] | None = None, *, session: SessionSource = None) -> list[BaseTool]:
    """LangChain tools for the gate's spec: all that it can run, or those named by `tools`.

    A given LangChain tool stands for the spec's tool of its name. Where the spec says `run: {host: ...}` it is what
    runs after the permit; else the spec's own `run` is, and the given one serves for its description only.
    `session` has the session's facts, or returns them at the time of a call.

    Raises UsageError for what the gate could not see or judge: provider-side (dict) tools, plain callables, a name
    that the spec does not have or has no `run` for, a name given twice.
    """
    if tools is None:
        runnable = (tool for tool in gate.contract.tools if tool.run is not None)
        return [SandboxedTool(gate, tool, tool.description or tool.name, session) for tool in runnable]
    given = [_checked(tool) for tool in tools]
    _refuse_duplicates(given)
    return [_wrapped(gate, tool, session) for tool in given]


def _checked(tool: object) -> BaseTool:
    if isinstance(tool, SandboxedTool):
        message = f"`{tool.name}` is wrapped already"
        raise UsageError(message)
    if isinstance(tool, BaseTool):
        return tool
    if isinstance(tool, dict):
        name = tool.get("name") or tool.get("type") or "?"
        message = f"`{name}` is a tool of the provider's: it runs where no gate can see it; leave it out"
        raise UsageError(message)
    message = f"`{getattr(tool, '__name__', type(tool).__name__)}` is no LangChain tool; decorate it with `@tool` first"
    raise UsageError(message)


def _refuse_duplicates(tools: list[BaseTool]) -> None:
    names = [tool.name for tool in tools]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        message = f"given more than once: {', '.join(f'`{name}`' for name in twice)}; the later one would win"
        raise UsageError(message)


def _wrapped(gate: Gate, given: BaseTool, session: SessionSource) -> BaseTool:
    declared = gate.contract.tool(given.name)
    if declared is None or declared.run is None:
        lacks = "no such tool" if declared is None else "no `run` for it"
        message = f"`{given.name}`: the spec `{gate.contract.name}` has {lacks}"
        raise UsageError(message)
    if isinstance(declared.run.what, RunHost):
        gate.attach(given.name, _host_function(given))
    return SandboxedTool(gate, declared, declared.description or given.description or given.name, session)


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


def _shown(outcome: Outcome) -> str:
    """A result as the text of a tool message: its value, with what the tool printed if it printed anything."""
    if outcome.stdout or outcome.stderr:
        return json.dumps(
            {"result": outcome.result, "stdout": outcome.stdout, "stderr": outcome.stderr}, ensure_ascii=False
        )
    return outcome.result if isinstance(outcome.result, str) else json.dumps(outcome.result, ensure_ascii=False)


def _tell(error: Denied | ApprovalNeeded | ToolError) -> NoReturn:
    """Say to the model what happened and what would help."""
    match error:
        case Denied():
            message = f"denied ({error.reason_code}): {error}. It did not run; the same call will be denied again."
        case ApprovalNeeded():
            message = f"not run: it waits for a person ({error}). Do not repeat it; tell the user."
        case ToolError():
            stderr = error.outcome.stderr[-MAX_SHOWN_STDERR:]
            message = f"{error}\n{stderr}" if stderr else str(error)
    raise ToolException(message) from error
