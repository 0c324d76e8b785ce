"""LangChain and LangGraph behind the gate: the suite. What is LangChain's own is in `adversarial/test_langchain.py`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence

import pytest
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import tool as langchain_tool
from suite import AdapterSuite, Driver, Heard, Made, shows_all_three

from sandbox.adapters.langchain import wrap
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


def agent_on(tools: Sequence[object], turns: Sequence[Sequence[Made]]) -> Runnable:
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
    return create_agent(Scripted(messages=iter([*messages, AIMessage("done")])), list(tools))


def heard(state: dict[str, list[object]]) -> list[Heard]:
    messages = [message for message in state["messages"] if isinstance(message, ToolMessage)]
    return [Heard(message.content, message.status == "error") for message in messages]


class TestLangChain(AdapterSuite):
    @pytest.fixture
    def driver(self) -> Driver:
        return LangChainDriver()


def test_the_example_runs_is_refused_and_is_short() -> None:
    shows_all_three("langchain_clerk")
