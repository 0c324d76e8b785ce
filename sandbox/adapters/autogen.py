"""AutoGen: tools whose `run_json`, the way in of every workbench and agent, goes through the gate.

A refusal is raised, so that the workbench marks the result as an error; its text is what the model is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from autogen_core import CancellationToken
from autogen_core.tools import BaseTool, StreamTool
from pydantic import BaseModel

from sandbox.adapters.front import Front, fronts_for
from sandbox.adapters.telling import Answer
from sandbox.errors import UsageError
from sandbox.gate import Gate
from sandbox.host import HostFunction
from sandbox.ir import Json
from sandbox.session import SessionSource


class ToolRefused(Exception):
    """What the model is told of a call that did not do what was asked."""


class SandboxedTool(BaseTool):
    """One tool of a spec."""

    def __init__(self, front: Front) -> None:
        super().__init__(BaseModel, BaseModel, front.name, front.description)
        self._front = front

    @property
    def schema(self) -> dict[str, Json]:
        """What the model is shown: the spec's own schema."""
        front = self._front
        return {"name": front.name, "description": front.description, "parameters": front.schema(), "strict": False}

    async def run(self, args: BaseModel, cancellation_token: CancellationToken) -> str:
        """As `run_json`, with what the model of the arguments holds."""
        return await self.run_json(args.model_dump(), cancellation_token)

    async def run_json(
        self, args: Mapping[str, object], cancellation_token: CancellationToken, call_id: str | None = None
    ) -> str:
        """Take the call the whole way; ToolRefused is what the model is told of a refusal."""
        _ = cancellation_token, call_id
        return _text(await self._front.acall(dict(args)))

    def _to_config(self) -> NoReturn:
        message = f"`{self._front.name}` stays behind its gate; it cannot be stored as a component"
        raise UsageError(message)


def wrap(gate: Gate, tools: Sequence[object] | None = None, *, session: SessionSource = None) -> list[SandboxedTool]:
    """Tools for the gate's spec: all that it can run, or those named by `tools`.

    A given tool stands for the spec's tool of its name: where the spec says `run: {host: ...}` it runs after the
    permit, else it serves for its description only. Raises UsageError for what the gate could not see or judge.
    """
    return [SandboxedTool(front) for front in fronts_for(gate, tools, session, _checked, _host_of)]


def _checked(tool: object) -> BaseTool:
    if isinstance(tool, SandboxedTool):
        message = f"`{tool.name}` is wrapped already"
        raise UsageError(message)
    if isinstance(tool, StreamTool):
        message = f"`{tool.name}` streams what it does; a tool behind a gate returns one result"
        raise UsageError(message)
    if isinstance(tool, BaseTool):
        return tool
    message = f"`{getattr(tool, '__name__', type(tool).__name__)}` is no AutoGen tool; make it a `FunctionTool` first"
    raise UsageError(message)


def _host_of(tool: BaseTool) -> Callable[[], HostFunction]:
    def made() -> HostFunction:
        async def run(**arguments: object) -> object:
            answer: object = await tool.run_json(arguments, CancellationToken())
            return answer.model_dump(mode="json") if isinstance(answer, BaseModel) else answer

        return run

    return made


def _text(answer: Answer) -> str:
    if answer.is_error:
        raise ToolRefused(answer.text)
    return answer.text
