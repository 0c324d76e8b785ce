"""Pydantic AI: a toolset whose every call goes through the gate.

The boundary is `call_tool` of the leaf toolset: capabilities and hooks may change arguments before it, and what they
made of them is what is judged. Native tools run at the provider, and other toolsets have tools of their own: `check`
refuses both on an agent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, get_origin

from pydantic_ai import Agent, RunContext, Tool
from pydantic_ai.exceptions import ApprovalRequired, ToolFailed
from pydantic_ai.output import NativeOutput, PromptedOutput, TextOutput, ToolOutput
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.toolsets import AbstractToolset, ToolsetTool
from pydantic_core import SchemaValidator, core_schema

from sandbox.adapters.front import Front, fronts_for, refuse_unseen
from sandbox.adapters.ticket import read_answer
from sandbox.errors import UsageError
from sandbox.gate import Gate
from sandbox.host import HostFunction
from sandbox.session import SessionSource

_HARMLESS: Final = frozenset({"tool_search"})
"""Native tools that only find tools which the agent has anyway; every agent has this one."""


class SandboxedToolset(AbstractToolset):
    """Tools of a spec. A refusal is a failed tool result that says why; it costs the model no retry."""

    def __init__(self, held: Sequence[Front], *, pause: bool) -> None:
        self._fronts = {front.name: front for front in held}
        self._pause = pause

    @property
    def id(self) -> str:
        """What durable execution knows the toolset by."""
        return "sandbox"

    async def get_tools(self, ctx: RunContext) -> dict[str, ToolsetTool]:
        """The tools as the spec describes them; arguments reach the gate as the framework has read them."""
        _ = ctx
        return {
            name: ToolsetTool(
                toolset=self,
                tool_def=ToolDefinition(
                    name=name, description=front.description, parameters_json_schema=front.schema(), strict=False
                ),
                max_retries=0,
                args_validator=SchemaValidator(core_schema.dict_schema(core_schema.str_schema())),
            )
            for name, front in self._fronts.items()
        }

    async def call_tool(self, name: str, tool_args: dict[str, object], ctx: RunContext, tool: ToolsetTool) -> str:
        """Take the call the whole way; ToolFailed is what the model is told of a refusal."""
        _ = tool
        said = ctx.tool_call_metadata if ctx.tool_call_approved and self._pause else None
        answer = await self._fronts[name].acall(tool_args, None if said is None else read_answer(said))
        if answer.ticket is not None and self._pause:
            raise ApprovalRequired(metadata=answer.ticket.to_json())
        if answer.is_error:
            raise ToolFailed(answer.text)
        return answer.text


def wrap(
    gate: Gate, tools: Sequence[object] | None = None, *, session: SessionSource = None, pause: bool = False
) -> SandboxedToolset:
    """A toolset for the gate's spec: all that it can run, or those named by `tools` (each a `Tool`).

    A given tool stands for the spec's tool of its name: where the spec says `run: {host: ...}` its function runs
    after the permit, else it serves for its description only.

    With `pause` a call that waits for a person ends the run with `DeferredToolRequests`, whose metadata is the
    ticket; resume with `DeferredToolResults(approvals={id: True}, metadata={id: ticket.answer(...)})`. An approval
    without that metadata runs nothing.

    Raises UsageError for what the gate could not see or judge.
    """
    return SandboxedToolset(fronts_for(gate, tools, session, _checked, _host_of), pause=pause)


def check(agent: Agent) -> None:
    """UsageError for a tool of the agent that is not behind the gate.

    Its functions, other toolsets, native tools, and functions as its output: those run with what the model puts out.
    """
    for toolset in agent.toolsets:
        leaves: list[object] = []
        toolset.apply(leaves.append)
        for leaf in leaves:
            names = getattr(leaf, "tools", {})
            if not isinstance(leaf, SandboxedToolset) and (names or type(leaf).__name__ != "_AgentFunctionToolset"):
                shown = ", ".join(f"`{name}`" for name in names) or f"a `{type(leaf).__name__}`"
                message = f"{shown} of the agent is not behind the gate; wrap it"
                raise UsageError(message)
    for name in _output_functions(agent.output_type):
        message = f"`{name}` runs with what the model puts out, and is not behind the gate; make it a tool"
        raise UsageError(message)
    native = getattr(agent, "_cap_native_tools", None)
    if native is None:
        message = "this version of Pydantic AI does not show an agent's native tools; they cannot be checked"
        raise UsageError(message)
    for tool in native:
        kind = str(getattr(tool, "kind", tool))
        if kind not in _HARMLESS:
            refuse_unseen(kind, "runs at the provider")


def _output_functions(spec: object) -> Iterator[str]:
    """The names of what is a function, and no type, among an agent's outputs."""
    match spec:
        case list() | tuple():
            for each in spec:
                yield from _output_functions(each)
        case ToolOutput(output=inner) | NativeOutput(outputs=inner) | PromptedOutput(outputs=inner):
            yield from _output_functions(inner)
        case TextOutput(output_function=inner):
            yield from _output_functions(inner)
        case _ if callable(spec) and not isinstance(spec, type) and get_origin(spec) is None:
            yield str(getattr(spec, "__name__", type(spec).__name__))
        case _:
            return


def _checked(tool: object) -> Tool:
    if isinstance(tool, SandboxedToolset):
        message = "the toolset is wrapped already"
        raise UsageError(message)
    if isinstance(tool, AbstractToolset):
        refuse_unseen(type(tool).__name__, "is a whole toolset: it may gain tools")
    if not isinstance(tool, Tool):
        kind = getattr(tool, "kind", None)
        if isinstance(kind, str):
            refuse_unseen(kind, "runs at the provider")
        message = f"`{getattr(tool, '__name__', type(tool).__name__)}` is no `Tool`; make it one with `Tool(...)`"
        raise UsageError(message)
    if tool.takes_ctx:
        message = f"`{tool.name}` takes a run context, which the gate does not have; take it out"
        raise UsageError(message)
    return tool


def _host_of(tool: Tool) -> Callable[[], HostFunction]:
    return lambda: tool.function
