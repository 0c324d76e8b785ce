"""AutoGen behind the gate: the suite in its assistant agent, workbenches, and what is not stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.messages import ToolCallExecutionEvent
from autogen_agentchat.tools import AgentTool
from autogen_core import CancellationToken, FunctionCall
from autogen_core.models import ChatCompletionClient, CreateResult, ModelInfo, RequestUsage
from autogen_core.tools import FunctionTool, StaticWorkbench, ToolOverride
from gatekit import SpyRunner, open_gate, payment
from suite import AdapterSuite, Driver, Heard, Made, shows_all_three

from sandbox.adapters.autogen import wrap
from sandbox.errors import UsageError
from sandbox.gate import Gate

NOTHING = RequestUsage(prompt_tokens=0, completion_tokens=0)


class Scripted(ChatCompletionClient):
    def __init__(self, turns: Sequence[Sequence[Made]]) -> None:
        self.turns = [*turns, []]

    async def create(self, messages: object, **_: object) -> CreateResult:
        number, calls = len(self.turns), self.turns.pop(0)
        content = [FunctionCall(f"c{number}_{n}", each.arguments, each.name) for n, each in enumerate(calls)]
        reason = "function_calls" if calls else "stop"
        return CreateResult(finish_reason=reason, content=content or "done", usage=NOTHING, cached=False)

    async def create_stream(self, messages: object, **more: object) -> AsyncIterator[CreateResult]:
        yield await self.create(messages, **more)

    async def close(self) -> None: ...

    def actual_usage(self) -> RequestUsage:
        return NOTHING

    total_usage = actual_usage

    def count_tokens(self, *_: object, **__: object) -> int:
        return 0

    remaining_tokens = count_tokens

    @property
    def capabilities(self) -> ModelInfo:
        return self.model_info

    @property
    def model_info(self) -> ModelInfo:
        return ModelInfo(
            vision=False, function_calling=True, json_output=True, family="unknown", structured_output=False
        )


class AutoGenDriver:
    ways = ("async", "stream")
    keeps_text = False

    def tools(self, gate: Gate, given: Sequence[object] | None = None) -> list[object]:
        return list(wrap(gate, given))

    def run(self, tools: Sequence[object], turns: Sequence[Sequence[Made]], way: str) -> list[Heard]:
        return asyncio.run(self.start(tools, turns, stream=way == "stream"))

    async def start(
        self, tools: Sequence[object], turns: Sequence[Sequence[Made]], *, stream: bool = False
    ) -> list[Heard]:
        agent = AssistantAgent(
            "agent",
            Scripted(turns),
            tools=list(tools),
            max_tool_iterations=99,
            model_client_stream=stream,
        )
        events = [event async for event in agent.run_stream(task="go")]
        results = [each for event in events if isinstance(event, ToolCallExecutionEvent) for each in event.content]
        return [Heard(each.content, each.is_error) for each in results]

    def own_tool(self, function: Callable[..., object], name: str) -> object:
        return FunctionTool(function, description="Sends money.", name=name)

    def shown_schema(self, tool: object) -> dict[str, object]:
        return tool.schema["parameters"]

    def unseen(self) -> Sequence[tuple[object, str]]:
        inner = AssistantAgent("inner", Scripted([]), description="x")
        return [(AgentTool(inner), "`inner` streams what it does"), ({}, "`dict` is no AutoGen tool")]


class TestAutoGen(AdapterSuite):
    @pytest.fixture
    def driver(self) -> Driver:
        return AutoGenDriver()


def test_a_workbench_with_other_names_still_asks_for_the_declared_tool(tmp_path: Path) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        bench = StaticWorkbench(wrap(gate), {"send_money": ToolOverride(name="harmless")})
        ran = asyncio.run(bench.call_tool("harmless", payment()["args"]))
        denied = asyncio.run(bench.call_tool("harmless", payment(amount="6000")["args"]))
        nothing = asyncio.run(bench.call_tool("harmless", None))
    assert (ran.is_error, denied.is_error, nothing.is_error) == (False, True, True)
    assert [permit.call.tool for permit in runner.permits] == ["send_money"]


def test_a_tool_is_not_stored_as_a_component_and_its_own_way_in_is_the_gate(tmp_path: Path) -> None:
    with open_gate(tmp_path) as gate:
        (tool,) = wrap(gate)
        with pytest.raises((UsageError, NotImplementedError, ValueError)):
            StaticWorkbench([tool]).dump_component()
        with pytest.raises(Exception, match="denied"):
            asyncio.run(tool.run_json(payment(amount="6000")["args"], CancellationToken()))


def test_the_example_runs_is_refused_and_is_short() -> None:
    shows_all_three("autogen_clerk")
