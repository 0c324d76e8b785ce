"""Pydantic AI behind the gate: the suite, its deferred approvals, and the tools that `check` refuses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
from gatekit import STRANGER, SpyRunner, open_gate
from pydantic import TypeAdapter
from pydantic_ai import Agent, DeferredToolRequests, DeferredToolResults, RunContext, Tool
from pydantic_ai.capabilities import NativeTool
from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel
from pydantic_ai.native_tools import CodeExecutionTool, WebSearchTool
from pydantic_ai.output import NativeOutput, PromptedOutput, TextOutput, ToolOutput
from pydantic_ai.toolsets import FunctionToolset
from suite import AdapterSuite, Driver, Heard, Made, elsewhere, made, runs_once_elsewhere, shows_all_three

from sandbox.adapters.pydantic_ai import check, wrap
from sandbox.adapters.ticket import read_ticket
from sandbox.errors import UsageError
from sandbox.gate import Gate


def model_of(turns: Sequence[Sequence[Made]]) -> FunctionModel:
    left = [*turns, []]

    def answer(_messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        number, calls = len(left), left.pop(0)
        parts = [ToolCallPart(each.name, each.arguments, f"c{number}_{n}") for n, each in enumerate(calls)]
        return ModelResponse(parts=parts or [TextPart("done")])

    async def stream(_messages: list[ModelMessage], _info: AgentInfo) -> AsyncIterator[object]:
        number, calls = len(left), left.pop(0)
        if not calls:
            yield "done"
        for n, each in enumerate(calls):
            yield {n: DeltaToolCall(each.name, each.arguments, tool_call_id=f"c{number}_{n}")}

    return FunctionModel(answer, stream_function=stream)


class PydanticDriver:
    ways = ("sync", "async", "stream")
    keeps_text = False

    def tools(self, gate: Gate, given: Sequence[object] | None = None) -> list[object]:
        return [wrap(gate, given)]

    def run(self, tools: Sequence[object], turns: Sequence[Sequence[Made]], way: str) -> list[Heard]:
        if way == "sync":
            return heard(Agent(model_of(turns), toolsets=list(tools)).run_sync("go").all_messages())
        return asyncio.run(self.start(tools, turns, stream=way == "stream"))

    async def start(
        self, tools: Sequence[object], turns: Sequence[Sequence[Made]], *, stream: bool = False
    ) -> list[Heard]:
        agent = Agent(model_of(turns), toolsets=list(tools))
        if not stream:
            return heard((await agent.run("go")).all_messages())
        async with agent.run_stream("go") as result:
            await result.get_output()
            return heard(result.all_messages())

    def own_tool(self, function: Callable[..., object], name: str) -> object:
        return Tool(function, name=name, takes_ctx=False)

    def shown_schema(self, tool: object) -> dict[str, object]:
        (definition,) = asyncio.run(tool.get_tools(None)).values()
        return definition.tool_def.parameters_json_schema

    def unseen(self) -> Sequence[tuple[object, str]]:
        return [
            (WebSearchTool(), "`web_search` runs at the provider"),
            (CodeExecutionTool(), "`code_execution` runs at the provider"),
            (FunctionToolset(), "`FunctionToolset` is a whole toolset"),
        ]


def heard(messages: Sequence[ModelMessage]) -> list[Heard]:
    parts = [part for message in messages for part in message.parts]
    return [
        Heard(part.content, getattr(part, "outcome", "success") != "success")
        for part in parts
        if part.part_kind in {"tool-return", "retry-prompt"}
    ]


class TestPydanticAI(AdapterSuite):
    @pytest.fixture
    def driver(self) -> Driver:
        return PydanticDriver()


# --- runs that pause ---------------------------------------------------------------------------------


def paused(gate: Gate, turns: Sequence[Sequence[Made]]) -> Agent:
    return Agent(model_of(turns), toolsets=[wrap(gate, pause=True)], output_type=[str, DeferredToolRequests])


STORED = TypeAdapter(DeferredToolResults)


def pause(folder: Path) -> None:
    """Run until a call waits for a person; store the messages, and what Ann answers."""
    with open_gate(folder) as gate:
        result = paused(gate, [[made(STRANGER)]]).run_sync("go")
    (waits,) = (each.tool_call_id for each in result.output.approvals)
    answer = read_ticket(json.loads(json.dumps(result.output.metadata[waits]))).answer(approved_by=["ann"])
    (folder / "messages.json").write_bytes(result.all_messages_json())
    (folder / "results.json").write_bytes(
        STORED.dump_json(DeferredToolResults(approvals={waits: True}, metadata={waits: answer}))
    )


def resume(folder: Path) -> dict[str, object]:
    runner = SpyRunner()
    history = ModelMessagesTypeAdapter.validate_json((folder / "messages.json").read_bytes())
    results = STORED.validate_json((folder / "results.json").read_bytes())
    with open_gate(folder, runner=runner) as gate:
        done = paused(gate, []).run_sync(message_history=history, deferred_tool_results=results)
    told = [each.text for each in heard(done.all_messages())]
    return {"told": told, "by": [each.approved_by for each in runner.permits]}


def test_a_run_that_waits_for_a_person_is_resumed_by_another_process_and_runs_once(tmp_path: Path) -> None:
    pause(tmp_path)
    runs_once_elsewhere(__name__, tmp_path)


def test_a_stored_run_that_was_changed_runs_nothing(tmp_path: Path) -> None:
    pause(tmp_path)
    file = tmp_path / "messages.json"
    assert b"10.00" in file.read_bytes()
    file.write_bytes(file.read_bytes().replace(b"10.00", b"11.00"))
    found = elsewhere(__name__, tmp_path)
    assert "is for another call" in found["told"][0]
    assert found["by"] == []


def test_an_approval_without_a_name_runs_nothing(tmp_path: Path) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        result = paused(gate, [[made(STRANGER)]]).run_sync("go")
        (waits,) = result.output.approvals
        bare = DeferredToolResults(approvals={waits.tool_call_id: True})
        again = paused(gate, []).run_sync(message_history=result.all_messages(), deferred_tool_results=bare)
    assert isinstance(again.output, DeferredToolRequests)
    assert runner.permits == []


# --- around the toolset ------------------------------------------------------------------------------


def test_an_agent_with_tools_of_another_kind_is_refused(tmp_path: Path) -> None:
    def stray(x: int) -> int:
        return x

    with open_gate(tmp_path) as gate:
        good = wrap(gate)
        check(Agent(model_of([]), toolsets=[good, wrap(gate).prefixed("a")]))
        with pytest.raises(UsageError, match="`stray` of the agent is not behind the gate"):
            check(Agent(model_of([]), toolsets=[good], tools=[stray]))
        with pytest.raises(UsageError, match="`stray` of the agent is not behind the gate"):
            check(Agent(model_of([]), toolsets=[good, FunctionToolset([stray]).prefixed("b")]))
        with pytest.raises(UsageError, match="`web_search` runs at the provider"):
            check(Agent(model_of([]), toolsets=[good], capabilities=[NativeTool(WebSearchTool())]))


def test_an_output_function_which_is_a_tool_without_a_gate_is_refused(tmp_path: Path) -> None:
    def transfer(recipient: str) -> str:
        return recipient

    with open_gate(tmp_path) as gate:
        good = wrap(gate)
        check(Agent(model_of([]), toolsets=[good], output_type=[str, DeferredToolRequests, ToolOutput(int, name="n")]))
        check(Agent(model_of([]), toolsets=[good], output_type=int | str))
        for outputs in (
            transfer,
            [str, transfer],
            ToolOutput(transfer),
            TextOutput(transfer),
            NativeOutput([transfer]),
            PromptedOutput([int, transfer]),
        ):
            with pytest.raises(UsageError, match="`transfer` runs with what the model puts out"):
                check(Agent(model_of([]), toolsets=[good], output_type=outputs))


def test_a_tool_that_needs_the_run_is_refused(tmp_path: Path) -> None:
    def send_money(ctx: RunContext, recipient: str) -> str:
        return recipient

    with open_gate(tmp_path) as gate, pytest.raises(UsageError, match="takes a run context"):
        wrap(gate, [Tool(send_money)])


def test_renamed_and_prefixed_toolsets_still_ask_for_the_declared_tool(tmp_path: Path) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        agent = Agent(model_of([[Made(made(STRANGER).arguments, "x_send_money")]]), toolsets=[wrap(gate).prefixed("x")])
        (answer,) = heard(agent.run_sync("go").all_messages())
    assert "waits for a person" in answer.text
    assert runner.permits == []


def test_the_example_runs_is_refused_and_is_short() -> None:
    shows_all_three("pydantic_clerk")
