"""LlamaIndex: tools whose `call` and `acall` go through the gate.

A `FunctionTool` shows its raw function as `.fn`, `.async_fn` and `.real_fn`; what is returned here is none, and has no
such attribute. A refusal is an output that is marked as an error. A call that waits for a person can wait as the
framework's own workflows do, for an event, in a context that is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from llama_index.core.agent.workflow import AgentWorkflow, BaseWorkflowAgent, FunctionAgent, ReActAgent
from llama_index.core.tools import AsyncBaseTool, BaseTool, FunctionTool, ToolMetadata, ToolOutput
from llama_index.core.workflow import Context, HumanResponseEvent, InputRequiredEvent

from sandbox.adapters.front import Front, fronts, refuse_duplicates, stand_in
from sandbox.adapters.telling import Answer
from sandbox.adapters.ticket import Answered, Ticket, read_answer
from sandbox.errors import UsageError
from sandbox.gate import Gate
from sandbox.host import HostFunction
from sandbox.ir import Json
from sandbox.session import SessionSource


@dataclass
class SandboxedMetadata(ToolMetadata):
    """What the model is shown: the spec's own schema."""

    parameters: dict[str, Json] = field(default_factory=dict)

    def get_parameters_dict(self) -> dict[str, Json]:
        """The schema of the arguments."""
        return self.parameters


class SandboxedTool(AsyncBaseTool):
    """One tool of a spec."""

    def __init__(self, front: Front, *, pause: bool) -> None:
        self._front = front
        self._pause = pause
        self._metadata = SandboxedMetadata(front.description, front.name, parameters=front.schema())

    @property
    def metadata(self) -> ToolMetadata:
        """Name, description and schema."""
        return self._metadata

    def call(self, /, *values: object, **named: object) -> ToolOutput:
        """Take the call the whole way, whatever came of it."""
        arguments = self._named(values, named)
        return self._output(self._front.call(arguments), arguments)

    async def acall(self, /, *values: object, **named: object) -> ToolOutput:
        """As `call`, in a thread; where it may pause, its step of the workflow waits for people's answer."""
        arguments = self._named(values, named)
        answer = await self._front.acall(arguments)
        if answer.ticket is not None and self._pause:
            answered = await _answer_to(answer.ticket, answer.text)
            answer = answer if answered is None else await self._front.acall(arguments, answered)
        return self._output(answer, arguments)

    def _named(self, values: tuple[object, ...], named: dict[str, object]) -> dict[str, object]:
        """Positional values are the declared arguments, in order; one too many has a name that no spec has."""
        declared = self._front.schema()["properties"]
        names = [*(declared if isinstance(declared, dict) else ()), *(f"*{n}" for n in range(len(values)))]
        return {**dict(zip(names, values, strict=False)), **named}

    def _output(self, answer: Answer, arguments: dict[str, object]) -> ToolOutput:
        return ToolOutput(
            tool_name=self._front.name,
            content=answer.text,
            raw_input=arguments,
            raw_output=answer.text if answer.is_error else answer.result,
            is_error=answer.is_error,
        )


async def _answer_to(ticket: Ticket, text: str) -> Answered | None:
    """What people said of this call; the workflow's runtime ends the step here until then, and then runs it anew.

    It forgets, in a stored context, what each call waits for: one event wakes them all, and has the answers to all.
    """
    question = InputRequiredEvent(prefix=text, ticket=ticket.to_json())
    said = await Context.get_step_context().wait_for_event(HumanResponseEvent, question, timeout=None)
    answers = said.get("answers", [])
    read = [read_answer(each) for each in answers] if isinstance(answers, list) else []
    return next((each for each in read if each.ticket.digest == ticket.digest), None)


def wrap(
    gate: Gate, tools: Sequence[object] | None = None, *, session: SessionSource = None, pause: bool = False
) -> list[SandboxedTool]:
    """Tools for the gate's spec: all that it can run, or those named by `tools`.

    A given tool stands for the spec's tool of its name: where the spec says `run: {host: ...}` it runs after the
    permit, else it serves for its description only.

    With `pause` a call that waits for a person is an `InputRequiredEvent` with its `ticket`, and waits for one
    `HumanResponseEvent(answers=[Ticket.answer(...), ...])` with the answers to all of them, in this process or in
    another that has the workflow's context. Without, the model is told that the call waits.

    Raises UsageError for what the gate could not see or judge.
    """
    if tools is None:
        return [SandboxedTool(front, pause=pause) for front in fronts(gate, session)]
    given = [_checked(tool) for tool in tools]
    refuse_duplicates(tool.metadata.get_name() for tool in given)
    return [SandboxedTool(_stand_in(gate, tool, session), pause=pause) for tool in given]


def check(agent: BaseWorkflowAgent | AgentWorkflow) -> None:
    """UsageError, naming it, for what an agent, or one of a workflow's, could do around the gate.

    Hand-offs of the framework's own are let be: the agent that is handed over to is one of the workflow's.
    """
    for each in agent.agents.values() if isinstance(agent, AgentWorkflow) else (agent,):
        if type(each) not in {FunctionAgent, ReActAgent}:
            kind = type(each).__name__
            message = (
                f"`{each.name}` is a `{kind}`, which may act without tools; take a `FunctionAgent` or `ReActAgent`"
            )
            raise UsageError(message)
        if each.tool_retriever is not None:
            message = (
                f"`{each.name}` has a tool retriever, whose tools are not known before; give it the tools of `wrap`"
            )
            raise UsageError(message)
        for tool in each.tools or ():
            if not isinstance(tool, SandboxedTool):
                name = tool.metadata.name if isinstance(tool, BaseTool) else getattr(tool, "__name__", "?")
                message = f"`{name}` of the agent `{each.name}` is not behind the gate; wrap it"
                raise UsageError(message)


def _checked(tool: object) -> BaseTool:
    if isinstance(tool, SandboxedTool):
        message = f"`{tool.metadata.name}` is wrapped already"
        raise UsageError(message)
    if isinstance(tool, FunctionTool) and tool.requires_context:
        message = f"`{tool.metadata.name}` takes a workflow's context, which the gate does not have; take it out"
        raise UsageError(message)
    if isinstance(tool, BaseTool):
        return tool
    message = (
        f"`{getattr(tool, '__name__', type(tool).__name__)}` is no LlamaIndex tool; make it a `FunctionTool` first"
    )
    raise UsageError(message)


def _stand_in(gate: Gate, tool: BaseTool, session: SessionSource) -> Front:
    return stand_in(gate, tool.metadata.get_name(), tool.metadata.description, session, _host_of(tool))


def _host_of(tool: BaseTool) -> Callable[[], HostFunction]:
    """What the gate runs for a host tool: its own way in; its raw output is the result."""

    def made() -> HostFunction:
        def run(**arguments: object) -> object:
            output: ToolOutput = tool(**arguments)
            return output.raw_output

        return run

    return made
