"""Microsoft Agent Framework behind the gate: the suite in its agent, middleware, and tools that run elsewhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
from agent_framework import (
    Agent,
    AgentSession,
    BaseChatClient,
    ChatResponse,
    ChatResponseUpdate,
    Content,
    ContextProvider,
    FunctionInvocationContext,
    FunctionInvocationLayer,
    FunctionTool,
    InMemoryHistoryProvider,
    MCPStdioTool,
    Message,
    ResponseStream,
    function_middleware,
    tool,
)
from gatekit import STRANGER, SpyRunner, kinds, open_gate, payment
from suite import AdapterSuite, Driver, Heard, Made, elsewhere, made, runs_once_elsewhere, shows_all_three

from sandbox.adapters.agent_framework import Pauses, check, waiting, wrap
from sandbox.errors import UsageError
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


def test_an_agent_with_tools_of_another_kind_is_refused(tmp_path: Path) -> None:
    @tool
    def stray(x: int) -> int:
        """Does something."""
        return x

    with open_gate(tmp_path) as gate:
        tools = wrap(gate)
        check(Agent(Scripted([]), tools=tools, context_providers=[InMemoryHistoryProvider()]))
        inner = Agent(Scripted([]), name="inner", tools=tools)
        for other, name in ((stray, "stray"), ({"type": "web_search"}, "web_search"), (inner.as_tool(), "inner")):
            with pytest.raises(UsageError, match=f"`{name}` of the agent is not behind the gate"):
                check(Agent(Scripted([]), tools=[*tools, other]))
        with pytest.raises(UsageError, match="`served` of the agent is not behind the gate"):
            check(Agent(Scripted([]), tools=[*tools, MCPStdioTool(name="served", command="true")]))
        with pytest.raises(UsageError, match="`Skilled` may bring tools when the agent runs"):
            check(Agent(Scripted([]), tools=tools, context_providers=[Skilled("x")]))
        with pytest.raises(UsageError, match="`Other`, whose tools are not known"):
            check(Other(Scripted([]), tools=tools))


class Skilled(ContextProvider): ...


class Other(Agent): ...


# --- runs that pause ---------------------------------------------------------------------------------


async def pause(folder: Path, calls: Sequence[Made]) -> list[Content]:
    """Run until calls wait for a person; store the session, the requests, and what Ann answers to each."""
    answers: dict[str, object] = {}
    with open_gate(folder) as gate:
        agent = Agent(Scripted([calls]), tools=wrap(gate), middleware=[Pauses(answers)])
        session = agent.create_session()
        requests = (await agent.run("go", session=session)).user_input_requests
    answers |= {each.call_id: waiting(each).answer(approved_by=["ann"]) for each in requests}
    stored = {"session": session.to_dict(), "requests": [each.to_dict() for each in requests], "answers": answers}
    (folder / "paused.json").write_text(json.dumps(stored))
    return requests


def resume(folder: Path) -> dict[str, object]:
    stored, runner = json.loads((folder / "paused.json").read_text()), SpyRunner()
    requests = [Content.from_dict(each) for each in stored["requests"]]

    async def go(gate: Gate) -> dict[str, object]:
        agent = Agent(Scripted([]), tools=wrap(gate), middleware=[Pauses(stored["answers"])])
        said = [each.to_function_approval_response(approved=True) for each in requests]
        done = await agent.run([Message("user", said)], session=AgentSession.from_dict(stored["session"]))
        told = [each.text for each in heard(done.messages)]
        return {
            "told": told,
            "by": [each.approved_by for each in runner.permits],
            "waits": len(done.user_input_requests),
        }

    with open_gate(folder, runner=runner) as gate:
        return asyncio.run(go(gate))


@pytest.mark.filterwarnings("error")
def test_a_run_that_waits_for_a_person_is_resumed_by_another_process_and_runs_once(tmp_path: Path) -> None:
    (request,) = asyncio.run(pause(tmp_path, [made(STRANGER)]))
    assert json.loads(waiting(request).call)["args"]["recipient"] == STRANGER
    runs_once_elsewhere(__name__, tmp_path)


def test_of_calls_at_once_those_that_wait_are_answered_each_and_the_others_run_before(tmp_path: Path) -> None:
    requests = asyncio.run(pause(tmp_path, [made(STRANGER), made(), made(STRANGER, "11.00")]))
    assert len(requests) == 2
    assert kinds(tmp_path).count("outcome") == 1
    assert elsewhere(__name__, tmp_path)["by"] == [["ann"], ["ann"]]


def test_a_stored_run_that_was_changed_runs_nothing(tmp_path: Path) -> None:
    asyncio.run(pause(tmp_path, [made(STRANGER)]))
    file = tmp_path / "paused.json"
    stored = json.loads(file.read_text())
    changed = {key: json.loads(json.dumps(stored[key]).replace("10.00", "11.00")) for key in ("session", "requests")}
    assert changed["session"] != stored["session"]
    file.write_text(json.dumps({**stored, **changed}))
    found = elsewhere(__name__, tmp_path)
    assert "is for another call" in found["told"][0]
    assert found["by"] == []


def test_an_approval_in_the_framework_alone_runs_nothing_and_asks_again(tmp_path: Path) -> None:
    asyncio.run(pause(tmp_path, [made(STRANGER)]))
    file = tmp_path / "paused.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "answers": {}}))
    assert elsewhere(__name__, tmp_path) == {"told": [], "by": [], "waits": 1}


def test_only_a_request_of_the_gate_has_a_ticket(tmp_path: Path) -> None:
    call = Content.from_function_call("c", "send_money", arguments={})
    with pytest.raises(UsageError, match="no ticket"):
        waiting(Content.from_function_approval_request(id="c", function_call=call))
