"""LangChain and LangGraph behind the gate: the suite. What is LangChain's own is in `adversarial/test_langchain.py`."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from gatekit import STRANGER, SpyRunner, open_gate
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import tool as langchain_tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from suite import AdapterSuite, Driver, Heard, Made, elsewhere, made, runs_once_elsewhere, shows_all_three

from sandbox.adapters.langchain import wrap
from sandbox.adapters.ticket import read_ticket
from sandbox.gate import Gate


class Scripted(GenericFakeChatModel):
    def bind_tools(self, tools: Sequence[object], **_: object) -> Runnable:
        return self


class LangChainDriver:
    ways = ("sync", "async", "stream")
    keeps_text = False

    def tools(self, gate: Gate, given: Sequence[object] | None = None) -> list[object]:
        return list(wrap(gate, given))

    def run(self, tools: Sequence[object], turns: Sequence[Sequence[Made]], way: str) -> list[Heard]:
        agent, start, limit = agent_on(tools, turns), {"messages": [("user", "go")]}, {"recursion_limit": 99}
        match way:
            case "sync":
                return heard(agent.invoke(start, limit))
            case "async":
                return asyncio.run(self.start(tools, turns))
            case _:
                return heard(list(agent.stream(start, limit, stream_mode="values"))[-1])

    async def start(self, tools: Sequence[object], turns: Sequence[Sequence[Made]]) -> list[Heard]:
        agent = agent_on(tools, turns)
        return heard(await agent.ainvoke({"messages": [("user", "go")]}, {"recursion_limit": 99}))

    def own_tool(self, function: Callable[..., object], name: str) -> object:
        return langchain_tool(name)(function)

    def shown_schema(self, tool: object) -> dict[str, object]:
        return tool.args_schema

    def unseen(self) -> Sequence[tuple[object, str]]:
        return [
            ({"type": "web_search_20250305", "name": "web_search"}, "`web_search` is a tool of the provider's"),
            ({"type": "code_interpreter"}, "`code_interpreter` is a tool of the provider's"),
        ]


def agent_on(tools: Sequence[object], turns: Sequence[Sequence[Made]], **more: object) -> Runnable:
    messages = [
        AIMessage(
            "",
            tool_calls=[
                {"name": each.name, "args": json.loads(each.arguments), "id": f"c{turn}_{n}"}
                for n, each in enumerate(calls)
            ],
        )
        for turn, calls in enumerate(turns)
    ]
    return create_agent(Scripted(messages=iter([*messages, AIMessage("done")])), list(tools), **more)


def heard(state: dict[str, list[object]]) -> list[Heard]:
    messages = [message for message in state["messages"] if isinstance(message, ToolMessage)]
    return [Heard(message.content, message.status == "error") for message in messages]


class TestLangChain(AdapterSuite):
    @pytest.fixture
    def driver(self) -> Driver:
        return LangChainDriver()


# --- runs that pause ---------------------------------------------------------------------------------

THREAD = {"configurable": {"thread_id": "1"}}


def store(saver: InMemorySaver, file: Path) -> None:
    """What LangGraph's own saver keeps, in a file."""
    threads = {thread: {space: dict(each) for space, each in kept.items()} for thread, kept in saver.storage.items()}
    writes = {key: dict(each) for key, each in saver.writes.items()}
    file.write_bytes(pickle.dumps((threads, writes, dict(saver.blobs))))


def stored(file: Path) -> InMemorySaver:
    saver = InMemorySaver()
    threads, writes, blobs = pickle.loads(file.read_bytes())  # noqa: S301  # what this test wrote
    for thread, kept in threads.items():
        saver.storage[thread].update(kept)
    for key, each in writes.items():
        saver.writes[key].update(each)
    saver.blobs.update(blobs)
    return saver


def paused_on(agent: Runnable, saver: InMemorySaver, folder: Path) -> None:
    """Run until a call waits for a person; store the thread, and what Ann answers."""
    (waits,) = agent.invoke({"messages": [("user", "go")]}, THREAD)["__interrupt__"]
    store(saver, folder / "thread")
    (folder / "answer.json").write_text(json.dumps(read_ticket(waits.value).answer(approved_by=["ann"])))


def resumed_on(agent: Runnable, folder: Path) -> list[str]:
    answer = Command(resume=json.loads((folder / "answer.json").read_text()))
    return [each.text for each in heard(agent.invoke(answer, THREAD))]


def resume(folder: Path) -> dict[str, object]:
    runner = SpyRunner()
    with open_gate(folder, runner=runner) as gate:
        agent = agent_on(wrap(gate, pause=True), [], checkpointer=stored(folder / "thread"))
        told = resumed_on(agent, folder)
    return {"told": told, "by": [each.approved_by for each in runner.permits]}


def pause(folder: Path) -> None:
    saver = InMemorySaver()
    with open_gate(folder) as gate:
        paused_on(agent_on(wrap(gate, pause=True), [[made(STRANGER)]], checkpointer=saver), saver, folder)


def test_a_run_that_waits_for_a_person_is_resumed_by_another_process_and_runs_once(tmp_path: Path) -> None:
    pause(tmp_path)
    runs_once_elsewhere(__name__, tmp_path)


def test_a_stored_run_that_was_changed_runs_nothing(tmp_path: Path) -> None:
    pause(tmp_path)
    before = (tmp_path / "thread").read_bytes()
    (tmp_path / "thread").write_bytes(before.replace(b"10.00", b"11.00"))
    assert (tmp_path / "thread").read_bytes() != before
    found = elsewhere(__name__, tmp_path)
    assert "is for another call" in found["told"][0]
    assert found["by"] == []


def test_the_example_runs_is_refused_and_is_short() -> None:
    shows_all_three("langchain_clerk")
