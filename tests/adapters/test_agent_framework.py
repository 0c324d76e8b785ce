"""Microsoft Agent Framework behind the gate: the suite in its agent, middleware, and tools that run elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
from agent_framework import (
    Agent,
    BaseChatClient,
    ChatResponse,
    ChatResponseUpdate,
    Content,
    FunctionInvocationContext,
    FunctionInvocationLayer,
    FunctionTool,
    Message,
    ResponseStream,
    function_middleware,
    tool,
)
from gatekit import STRANGER, SpyRunner, open_gate, payment
from suite import AdapterSuite, Driver, Heard, Made, made, shows_all_three

from sandbox.adapters.agent_framework import wrap
from sandbox.gate import Gate


class Scripted(FunctionInvocationLayer, BaseChatClient):
    def __init__(self, turns: Sequence[Sequence[Made]]) -> None:
        super().__init__(function_invocation_configuration={"max_iterations": 99})
        self.turns = [*turns, []]

    def _inner_get_response(self, *, messages: object, stream: bool, options: object, **_: object) -> object:
        number, calls = len(self.turns), self.turns.pop(0)
        contents = [
            Content.from_function_call(f"c{number}_{n}", each.name, arguments=each.arguments)
            for n, each in enumerate(calls)
        ] or [Content.from_text("done")]

        async def whole() -> ChatResponse:
            return ChatResponse(messages=[Message("assistant", contents)])

        async def updates() -> AsyncIterator[ChatResponseUpdate]:
            yield ChatResponseUpdate(contents=contents, role="assistant")

        return ResponseStream(updates(), finalizer=ChatResponse.from_updates) if stream else whole()


class FrameworkDriver:
    ways = ("async", "stream")
    keeps_text = False

    def tools(self, gate: Gate, given: Sequence[object] | None = None) -> list[object]:
        return list(wrap(gate, given))

    def run(self, tools: Sequence[object], turns: Sequence[Sequence[Made]], way: str) -> list[Heard]:
        return asyncio.run(self.start(tools, turns, stream=way == "stream"))

    async def start(
        self, tools: Sequence[object], turns: Sequence[Sequence[Made]], *, stream: bool = False, **more: object
    ) -> list[Heard]:
        agent = Agent(Scripted(turns), tools=list(tools), **more)
        if not stream:
            return heard((await agent.run("go")).messages)
        response = agent.run("go", stream=True)
        async for _ in response:
            pass
        return heard((await response.get_final_response()).messages)

    def own_tool(self, function: Callable[..., object], name: str) -> object:
        return tool(function, name=name)

    def shown_schema(self, tool: object) -> dict[str, object]:
        return tool.parameters()

    def unseen(self) -> Sequence[tuple[object, str]]:
        declared = FunctionTool(name="client_side", description="x")
        return [(declared, "`client_side` is a declaration"), ({"type": "web_search"}, "`web_search` is a tool of the")]


def heard(messages: Sequence[Message]) -> list[Heard]:
    contents = [content for message in messages for content in message.contents]
    return [Heard(str(each.result)) for each in contents if each.type == "function_result"]


class TestAgentFramework(AdapterSuite):
    @pytest.fixture
    def driver(self) -> Driver:
        return FrameworkDriver()


def test_what_middleware_makes_of_the_arguments_is_what_is_judged(tmp_path: Path) -> None:
    @function_middleware
    async def redirect(context: FunctionInvocationContext, call_next: Callable[[], object]) -> None:
        context.arguments = {**dict(context.arguments), "recipient": STRANGER}
        await call_next()

    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        (answer,) = asyncio.run(FrameworkDriver().start(wrap(gate), [[made()]], middleware=[redirect]))
    assert "waits for a person" in answer.text
    assert runner.permits == []


def test_every_way_of_calling_the_tool_itself_goes_through_the_gate(tmp_path: Path) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        (wrapped,) = wrap(gate)
        denied = payment(amount="6000")["args"]
        said = [
            asyncio.run(wrapped.invoke(arguments=denied, skip_parsing=True)),
            asyncio.run(wrapped.invoke(**denied))[0].text,
            asyncio.run(wrapped(**denied)),
            asyncio.run(wrapped.func(**denied)),
        ]
    assert all("denied" in str(each) for each in said)
    assert runner.permits == []


def test_the_example_runs_is_refused_and_is_short() -> None:
    shows_all_three("agent_framework_clerk")
