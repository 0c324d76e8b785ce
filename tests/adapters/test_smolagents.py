"""smolagents behind the gate: the suite, managed agents, and the agents that run the model's code."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from gatekit import SpyRunner, open_gate
from smolagents import ActionStep, CodeAgent, PythonInterpreterTool, ToolCallingAgent
from smolagents import tool as smolagents_tool
from smolagents.models import (
    ChatMessage,
    ChatMessageToolCall,
    ChatMessageToolCallFunction,
    MessageRole,
    Model,
    get_tool_json_schema,
)
from smolagents.monitoring import LogLevel
from suite import AdapterSuite, Driver, Heard, Made, made, shows_all_three

from sandbox.adapters.smolagents import check, wrap
from sandbox.errors import UsageError
from sandbox.gate import Gate


class Scripted(Model):
    """A model that makes the given calls, turn by turn, and then answers."""

    def __init__(self, turns: Sequence[Sequence[Made]]) -> None:
        super().__init__(model_id="scripted")
        self.turns = [*turns, [Made('{"answer": "done"}', "final_answer")]]

    def generate(self, messages: object, **_: object) -> ChatMessage:
        calls = self.turns.pop(0)
        made_calls = [
            ChatMessageToolCall(ChatMessageToolCallFunction(json.loads(each.arguments), each.name), f"c{n}", "function")
            for n, each in enumerate(calls)
        ]
        return ChatMessage(MessageRole.ASSISTANT, content="", tool_calls=made_calls)


class SmolagentsDriver:
    ways = ("sync", "stream")
    keeps_text = False
    refuses_first = "is not in the tool's input schema"

    def tools(self, gate: Gate, given: Sequence[object] | None = None) -> list[object]:
        return list(wrap(gate, given))

    def run(self, tools: Sequence[object], turns: Sequence[Sequence[Made]], way: str) -> list[Heard]:
        agent = agent_on(tools, turns)
        if way == "sync":
            agent.run("go", max_steps=99)
        else:
            list(agent.run("go", stream=True, max_steps=99))
        return heard(agent, [len(calls) for calls in turns])

    def own_tool(self, function: Callable[..., object], name: str) -> object:
        def forward(recipient: str, amount: str, note: str | None = None) -> str:
            """Sends money.

            Args:
                recipient: who
                amount: how much
                note: what for
            """
            return function(recipient, amount, note)

        own = smolagents_tool(forward)
        own.forward = function
        own.name = name
        return own

    def shown_schema(self, tool: object) -> dict[str, object]:
        shown = get_tool_json_schema(tool)["function"]["parameters"]
        for name, each in shown["properties"].items():
            each.pop("nullable", None)
            if each["type"] == ["string", "number", "integer"]:
                each["type"] = ["string", "number"]
            if each["description"] == name:
                del each["description"]
        return {**shown, "additionalProperties": False}

    def unseen(self) -> Sequence[tuple[object, str]]:
        return [({"type": "web_search"}, "`dict` is no smolagents tool")]


def agent_on(tools: Sequence[object], turns: Sequence[Sequence[Made]], **more: object) -> ToolCallingAgent:
    return ToolCallingAgent(list(tools), Scripted(turns), verbosity_level=LogLevel.OFF, **more)


def heard(agent: ToolCallingAgent, counts: Sequence[int]) -> list[Heard]:
    """What stands in the memory of each step; the results of parallel calls are lines of one text."""
    found: list[Heard] = []
    steps = [step for step in agent.memory.steps if isinstance(step, ActionStep)]
    for step, count in zip(steps, counts, strict=False):
        text = str(step.error) if step.error is not None else step.observations
        found += [Heard(line) for line in text.split("\n")] if count > 1 else [Heard(text)]
    return found


class TestSmolagents(AdapterSuite):
    @pytest.fixture
    def driver(self) -> Driver:
        return SmolagentsDriver()


def test_positional_arguments_are_the_declared_ones_in_order(tmp_path: Path) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        (tool,) = wrap(gate)
        assert json.loads(tool(*json.loads(made().arguments).values())) == {"done": True}
    assert len(runner.permits) == 1


def test_a_managed_agent_spends_the_same_budget(tmp_path: Path) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        tools = wrap(gate)
        inner = agent_on(tools, [[made(amount="1000")] for _ in range(4)], name="inner", description="pays")
        asks = [Made('{"task": "pay"}', "inner")]
        outer = agent_on(tools, [[made(amount="1000")], [made(amount="1000")], asks], managed_agents=[inner])
        check(outer)
        outer.run("go")
    assert len(runner.permits) == 5


def test_what_could_act_around_the_gate_is_refused(tmp_path: Path) -> None:
    with open_gate(tmp_path) as gate:
        tools = wrap(gate)
        with pytest.raises(UsageError, match="runs the model's code"):
            check(CodeAgent(tools, Scripted([]), verbosity_level=LogLevel.OFF))
        with pytest.raises(UsageError, match="`python_interpreter` of the agent is not behind the gate"):
            check(agent_on([*tools, PythonInterpreterTool()], []))


def test_a_tool_is_neither_saved_nor_sent_to_a_remote_kernel(tmp_path: Path) -> None:
    with open_gate(tmp_path) as gate:
        (tool,) = wrap(gate)
        for leave in (tool.to_dict, lambda: tool.save(tmp_path / "out")):
            with pytest.raises(UsageError, match="stays behind its gate"):
                leave()


def test_the_example_runs_is_refused_and_is_short() -> None:
    shows_all_three("smol_clerk")
