"""CrewAI: tools whose `_run` is the gate.

The framework's hooks are none: every exception of a hook but one is swallowed, and the tool runs. Whatever stands
before `_run` (hooks, guardrails, delegation, flows, structured copies) ends in it. Results are never kept for later
calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn

from crewai import Agent, Crew
from crewai.tools import BaseTool
from crewai.tools.structured_tool import CrewStructuredTool
from pydantic import BaseModel, ConfigDict, PrivateAttr

from sandbox.adapters.front import Front, fronts_for, refuse_unseen
from sandbox.errors import UsageError
from sandbox.gate import Gate
from sandbox.host import HostFunction
from sandbox.ir import Json
from sandbox.session import SessionSource

BRINGING: Final = ("apps", "mcps", "skills", "memory", "allow_code_execution", "multimodal")
"""What of an agent brings tools when a task begins; one of the same name as another takes its place."""


class Unread(BaseModel):
    """Arguments as the framework has them: the gate is the first to judge them."""

    model_config = ConfigDict(extra="allow")


class SandboxedTool(BaseTool):
    """One tool of a spec. A refusal is its text: CrewAI repeats a tool that raises."""

    _front: Front = PrivateAttr()

    def __init__(self, front: Front) -> None:
        super().__init__(
            name=front.name,
            description=front.description,
            args_schema=_schema_of(front),
            cache_function=_never,
        )
        self._front = front

    def _run(self, *args: object, **arguments: object) -> str:
        if args:
            message = "a call names its arguments"
            raise UsageError(message)
        return self._front.call(arguments).text

    async def _arun(self, *args: object, **arguments: object) -> str:
        if args:
            message = "a call names its arguments"
            raise UsageError(message)
        return (await self._front.acall(arguments)).text

    def __copy__(self) -> SandboxedTool:
        return self

    def __deepcopy__(self, memo: dict[int, object] | None = None) -> SandboxedTool:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        message = "a tool behind a gate cannot be pickled; wrap it where it is needed"
        raise TypeError(message)


def wrap(gate: Gate, tools: Sequence[object] | None = None, *, session: SessionSource = None) -> list[SandboxedTool]:
    """Tools for the gate's spec: all that it can run, or those named by `tools`; give them to agents and tasks.

    A given tool stands for the spec's tool of its name: where the spec says `run: {host: ...}` it runs after the
    permit, else it serves for its description only. Raises UsageError for what the gate could not see or judge.
    """
    return [SandboxedTool(front) for front in fronts_for(gate, tools, session, _checked, _host_of)]


def check(crew: Crew) -> None:
    """UsageError, naming it, for what the crew's agents could do around the gate: other tools, or what brings them."""
    if crew.memory:
        refuse_unseen("memory", "of the crew brings tools of its own")
    managers = [] if crew.manager_agent is None else [crew.manager_agent]
    for agent in (*crew.agents, *managers):
        if type(agent) is not Agent:
            message = f"`{agent.role}` is a `{type(agent).__name__}`, whose tools are not known; take an `Agent`"
            raise UsageError(message)
        for name in BRINGING:
            if getattr(agent, name, None):
                refuse_unseen(name, f"of the agent `{agent.role}` brings tools of its own")
        _check_tools(agent.tools, f"agent `{agent.role}`")
    for task in crew.tasks:
        _check_tools(task.tools, "task")


def _check_tools(tools: Sequence[object] | None, whose: str) -> None:
    for tool in tools or ():
        if not isinstance(tool, SandboxedTool):
            message = f"`{getattr(tool, 'name', '?')}` of the {whose} is not behind the gate; wrap it"
            raise UsageError(message)


def _schema_of(front: Front) -> type[BaseModel]:
    """A model that takes whatever it is given, and is shown as the spec's schema."""

    class Shown(Unread):
        @classmethod
        def model_json_schema(cls, *_: object, **__: object) -> dict[str, Any]:
            """The spec's own."""
            return front.schema()

    Shown.__name__ = Shown.__qualname__ = front.name
    return Shown


def _never(_: object = None, __: object = None) -> bool:
    """Whether a result may be kept for another call: that would be an answer that nobody has judged."""
    return False


def _checked(tool: object) -> BaseTool:
    if isinstance(tool, SandboxedTool):
        message = f"`{tool.name}` is wrapped already"
        raise UsageError(message)
    if isinstance(tool, BaseTool):
        return tool
    if isinstance(tool, CrewStructuredTool):
        message = f"`{tool.name}` is a structured copy; give the tool that it was made of"
        raise UsageError(message)
    if isinstance(tool, Mapping | str):
        name = str(tool.get("name") or tool.get("type") or "?") if isinstance(tool, Mapping) else tool
        refuse_unseen(name, "is a tool of a platform or provider: it runs there")
    message = f"`{getattr(tool, '__name__', type(tool).__name__)}` is no CrewAI tool; decorate it with `@tool` first"
    raise UsageError(message)


def _host_of(tool: BaseTool) -> Callable[[], HostFunction]:
    """What the gate runs for a host tool: its own `run`, with the canonical arguments."""

    def made() -> HostFunction:
        def run(**arguments: object) -> Json:
            answer: Json = tool.run(**arguments)
            return answer

        return run

    return made
