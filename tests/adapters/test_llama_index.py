"""LlamaIndex behind the gate: the suite in its own agent workflow, hand-offs, and what a tool does not show."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from gatekit import STRANGER, SpyRunner, open_gate
from llama_index.core.agent.workflow import AgentWorkflow, CodeActAgent, FunctionAgent, ReActAgent
from llama_index.core.agent.workflow.workflow_events import ToolCallResult
from llama_index.core.base.llms.types import ChatMessage, TextBlock, ToolCallBlock
from llama_index.core.llms.mock import MockFunctionCallingLLM
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.tools import FunctionTool
from llama_index.core.workflow import Context, HumanResponseEvent, InputRequiredEvent
from suite import AdapterSuite, Driver, Heard, Made, elsewhere, made, runs_once_elsewhere, shows_all_three

from sandbox.adapters.llama_index import check, wrap
from sandbox.adapters.ticket import read_ticket
from sandbox.errors import UsageError
from sandbox.gate import Gate


def model_of(turns: Sequence[Sequence[Made]]) -> MockFunctionCallingLLM:
    left = [*turns, []]

    def answer(_messages: object, **_: object) -> ChatMessage:
        number, calls = len(left), left.pop(0)
        blocks = [
            ToolCallBlock(tool_call_id=f"c{number}_{n}", tool_name=each.name, tool_kwargs=json.loads(each.arguments))
            for n, each in enumerate(calls)
        ]
        return ChatMessage(role="assistant", blocks=blocks or [TextBlock(text="done")])

    return MockFunctionCallingLLM(response_generator=answer)


class LlamaDriver:
    ways = ("async", "stream")
    keeps_text = False

    def tools(self, gate: Gate, given: Sequence[object] | None = None) -> list[object]:
        return list(wrap(gate, given))

    def run(self, tools: Sequence[object], turns: Sequence[Sequence[Made]], way: str) -> list[Heard]:
        return asyncio.run(self.start(tools, turns, streaming=way == "stream"))

    async def start(
        self, tools: Sequence[object], turns: Sequence[Sequence[Made]], *, streaming: bool = False
    ) -> list[Heard]:
        agent = FunctionAgent(tools=list(tools), llm=model_of(turns), streaming=streaming)
        handler = agent.run("go", max_iterations=99)
        seen = [event async for event in handler.stream_events() if isinstance(event, ToolCallResult)]
        await handler
        order = {f"c{len(turns) + 1 - t}_{n}": (t, n) for t, calls in enumerate(turns) for n in range(len(calls))}
        return [
            Heard(each.tool_output.content, each.tool_output.is_error)
            for each in sorted(seen, key=lambda event: order[event.tool_id])
        ]

    def own_tool(self, function: Callable[..., object], name: str) -> object:
        return FunctionTool.from_defaults(function, name=name)

    def shown_schema(self, tool: object) -> dict[str, object]:
        return tool.metadata.to_openai_tool(skip_length_check=True)["function"]["parameters"]

    def unseen(self) -> Sequence[tuple[object, str]]:
        def needs(ctx: Context, x: int) -> int:
            return x

        needs.__annotations__ = {"ctx": Context, "x": int, "return": int}
        return [(FunctionTool.from_defaults(needs), "takes a workflow's context"), ({}, "`dict` is no LlamaIndex tool")]


class TestLlamaIndex(AdapterSuite):
    @pytest.fixture
    def driver(self) -> Driver:
        return LlamaDriver()


def test_a_tool_shows_no_function_and_does_not_become_another_frameworks(tmp_path: Path) -> None:
    with open_gate(tmp_path) as gate:
        (tool,) = wrap(gate)
        for name in ("fn", "async_fn", "real_fn", "partial_params"):
            assert not hasattr(tool, name)


def test_positional_and_sync_calls_go_through_the_gate(tmp_path: Path) -> None:
    runner, values = SpyRunner(), list(json.loads(made().arguments).values())
    with open_gate(tmp_path, runner=runner) as gate:
        (tool,) = wrap(gate)
        assert tool(*values).raw_output == {"done": True}
        assert tool.call(*values, "note", "one too many").is_error
        assert asyncio.run(tool.acall(*values)).content == '{"done": true}'
    assert len(runner.permits) == 2


def test_agents_of_a_workflow_spend_one_budget(tmp_path: Path) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        tools = wrap(gate)
        handing = [[made(amount="1000")], [made(amount="1000")], [Made('{"to_agent": "b", "reason": "x"}', "handoff")]]
        one = FunctionAgent(name="a", description="a", tools=tools, llm=model_of(handing), can_handoff_to=["b"])
        turns = [[made(amount="1000")] for _ in range(4)]
        two = FunctionAgent(name="b", description="b", tools=tools, llm=model_of(turns))

        async def go() -> None:
            await AgentWorkflow(agents=[one, two], root_agent="a").run("go", max_iterations=99)

        asyncio.run(go())
    assert len(runner.permits) == 5


def test_an_agent_is_checked_with_all_of_its_workflow(tmp_path: Path) -> None:
    def stray(x: int) -> int:
        return x

    def run_code(code: str) -> str:
        return code

    with open_gate(tmp_path) as gate:
        tools = wrap(gate)
        good = FunctionAgent(name="a", description="a", tools=tools, llm=model_of([]), can_handoff_to=["b"])
        check(
            AgentWorkflow(
                agents=[good, ReActAgent(name="b", description="b", tools=tools, llm=model_of([]))], root_agent="a"
            )
        )
        bad = FunctionAgent(name="b", description="b", tools=[*tools, stray], llm=model_of([]))
        with pytest.raises(UsageError, match="`stray` of the agent `b` is not behind the gate"):
            check(AgentWorkflow(agents=[good, bad], root_agent="a"))
        with pytest.raises(UsageError, match="`c` is a `CodeActAgent`, which may act without tools"):
            check(CodeActAgent(run_code, name="c", description="c", tools=tools, llm=model_of([])))
        finds = FunctionAgent(name="d", description="d", tools=tools, llm=model_of([]))
        object.__setattr__(finds, "tool_retriever", object())
        with pytest.raises(UsageError, match="`d` has a tool retriever"):
            check(finds)


def test_a_whole_module_of_bare_functions_is_refused(tmp_path: Path) -> None:
    with open_gate(tmp_path) as gate, pytest.raises(UsageError, match="is no LlamaIndex tool"):
        wrap(gate, [json.dumps])


def test_the_example_runs_is_refused_and_is_short() -> None:
    shows_all_three("llama_clerk")


# --- runs that pause ---------------------------------------------------------------------------------


async def pause(folder: Path, calls: Sequence[Made]) -> list[dict[str, object]]:
    """Run until calls wait for a person; store the context, and what Ann answers to each."""
    with open_gate(folder) as gate:
        agent = FunctionAgent(tools=wrap(gate, pause=True), llm=model_of([calls]), streaming=False)
        handler, tickets = agent.run("go"), []
        async for event in handler.stream_events():
            if isinstance(event, InputRequiredEvent):
                tickets.append(event.get("ticket"))
                if len(tickets) == len(calls):
                    break
        stored = handler.ctx.to_dict()
        await handler.cancel_run()
        with contextlib.suppress(Exception):
            await handler
    answers = [read_ticket(each).answer(approved_by=["ann"]) for each in tickets]
    (folder / "paused.json").write_text(json.dumps({"context": stored, "answers": answers}))
    return tickets


def resume(folder: Path) -> dict[str, object]:
    stored, runner = json.loads((folder / "paused.json").read_text()), SpyRunner()

    async def go(gate: Gate) -> dict[str, object]:
        agent = FunctionAgent(tools=wrap(gate, pause=True), llm=model_of([]), streaming=False)
        handler = agent.run(ctx=Context.from_dict(agent, stored["context"]))
        chat = [ChatMessage("go")]
        await handler.ctx.store.set("memory", ChatMemoryBuffer.from_defaults(chat, token_limit=9_000))
        handler.ctx.send_event(HumanResponseEvent(answers=stored["answers"]))
        told = [
            event.tool_output.content async for event in handler.stream_events() if isinstance(event, ToolCallResult)
        ]
        assert str(await handler) == "done"
        return {"told": told, "by": [each.approved_by for each in runner.permits]}

    with open_gate(folder, runner=runner) as gate:
        return asyncio.run(go(gate))


def test_a_run_that_waits_for_a_person_is_resumed_by_another_process_and_runs_once(tmp_path: Path) -> None:
    (ticket,) = asyncio.run(pause(tmp_path, [made(STRANGER)]))
    assert json.loads(ticket["call"])["args"]["recipient"] == STRANGER
    runs_once_elsewhere(__name__, tmp_path)


def test_each_of_several_calls_that_wait_has_its_own_answer(tmp_path: Path) -> None:
    asyncio.run(pause(tmp_path, [made(STRANGER), made(STRANGER, "11.00")]))
    found = elsewhere(__name__, tmp_path)
    assert (len(found["told"]), found["by"]) == (2, [["ann"], ["ann"]])


def test_a_stored_run_that_was_changed_runs_nothing(tmp_path: Path) -> None:
    asyncio.run(pause(tmp_path, [made(STRANGER)]))
    file = tmp_path / "paused.json"
    stored = json.loads(file.read_text())
    changed = json.loads(json.dumps(stored["context"]).replace("10.00", "11.00"))
    assert changed != stored["context"]
    file.write_text(json.dumps({**stored, "context": changed}))
    found = elsewhere(__name__, tmp_path)
    assert "waits for a person" in found["told"][0]
    assert found["by"] == []


def test_an_event_that_is_no_answer_runs_nothing(tmp_path: Path) -> None:
    asyncio.run(pause(tmp_path, [made(STRANGER)]))
    file = tmp_path / "paused.json"
    stored = json.loads(file.read_text())
    (answer,) = stored["answers"]
    for odd in ({"digest": answer["digest"]}, {**answer, "approved_by": []}, {**answer, "call": 1}):
        file.write_text(json.dumps({**stored, "answers": [odd]}))
        found = elsewhere(__name__, tmp_path)
        assert found["by"] == []
        assert "done" not in found["told"][0]
