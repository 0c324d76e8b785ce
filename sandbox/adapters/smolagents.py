"""smolagents: tools for its tool-calling agent whose every call goes through the gate.

A refusal is the tool's answer, not an exception: one exception would lose the results of all parallel calls of a
step. A `CodeAgent` runs the model's Python in this process or copies the source of its tools elsewhere; `check` refuses
it, and what would be copied is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn

from smolagents import CodeAgent, MultiStepAgent, Tool
from smolagents.default_tools import FinalAnswerTool

from sandbox.adapters.front import Front, fronts_for
from sandbox.errors import UsageError
from sandbox.gate import Gate
from sandbox.host import HostFunction
from sandbox.ir import Json
from sandbox.session import SessionSource


class SandboxedTool(Tool):
    """One tool of a spec."""

    skip_forward_signature_validation = True
    name = "sandboxed"
    description = "a tool behind a gate"
    inputs: dict[str, dict[str, Json]] = {}  # noqa: RUF012 - the framework's own shape; each instance has its own
    output_type = "string"

    def __init__(self, front: Front) -> None:
        self.name = front.name
        self.description = front.description
        self.inputs = _inputs(front)
        self._front = front
        super().__init__()

    def forward(self, *values: object, **named: object) -> str:
        """Take the call the whole way; what the model is told, whatever came of it."""
        return self._front.call({**dict(zip(self.inputs, values, strict=False)), **named}).text

    def __call__(self, *values: object, sanitize_inputs_outputs: bool = False, **named: object) -> str:
        """As `forward`: nothing is converted on the way in or out."""
        _ = sanitize_inputs_outputs
        return self.forward(*values, **named)

    def to_dict(self) -> NoReturn:
        """UsageError: the source of a tool, copied elsewhere, would run without the gate."""
        message = f"`{self.name}` stays behind its gate; it cannot be saved or sent"
        raise UsageError(message)


def wrap(gate: Gate, tools: Sequence[object] | None = None, *, session: SessionSource = None) -> list[SandboxedTool]:
    """Tools for the gate's spec: all that it can run, or those named by `tools`.

    A given tool stands for the spec's tool of its name: where the spec says `run: {host: ...}` its `forward` runs after
    the permit, else it serves for its description only. Raises UsageError for what the gate could not judge.
    """
    return [SandboxedTool(front) for front in fronts_for(gate, tools, session, _checked, _host_of)]


def check(agent: MultiStepAgent) -> None:
    """UsageError, naming it, for what the agent or one that it manages could do around the gate."""
    if isinstance(agent, CodeAgent):
        message = "a `CodeAgent` runs the model's code around every gate; take a `ToolCallingAgent`"
        raise UsageError(message)
    for name, tool in agent.tools.items():
        if not isinstance(tool, SandboxedTool | FinalAnswerTool):
            message = f"`{name}` of the agent is not behind the gate; wrap it"
            raise UsageError(message)
    for managed in agent.managed_agents.values():
        check(managed)


def _checked(tool: object) -> Tool:
    if isinstance(tool, SandboxedTool):
        message = f"`{tool.name}` is wrapped already"
        raise UsageError(message)
    if isinstance(tool, Tool):
        return tool
    message = (
        f"`{getattr(tool, '__name__', type(tool).__name__)}` is no smolagents tool; decorate it with `@tool` first"
    )
    raise UsageError(message)


def _host_of(tool: Tool) -> Callable[[], HostFunction]:
    return lambda: tool.forward


def _inputs(front: Front) -> dict[str, dict[str, Json]]:
    """The schema's properties in the framework's shape: each with a description, optional ones nullable."""
    schema = front.schema()
    properties, required = schema["properties"], schema["required"]
    inputs: dict[str, dict[str, Json]] = {}
    if isinstance(properties, dict) and isinstance(required, list):
        for name, each in properties.items():
            if isinstance(each, dict):
                optional: dict[str, Json] = {} if name in required else {"nullable": True}
                inputs[name] = {"description": name, **each, "type": _types(each["type"]), **optional}
    return inputs


def _types(named: Json) -> Json:
    """The framework does not take an integer for one of several types that has `number` among them."""
    return [*named, "integer"] if isinstance(named, list) and "number" in named else named
