"""Anthropic SDK behind the gate: its tool runner over a scripted API, and a loop of one's own."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import httpx2 as httpx
import pytest
from anthropic import Anthropic, AsyncAnthropic
from anthropic.lib.tools import BetaBuiltinFunctionTool, beta_async_tool, beta_tool
from gatekit import STRANGER, SpyRunner, open_gate
from scripted_api import Script, events
from suite import AdapterSuite, Driver, Heard, Made, elsewhere, made, shows_all_three

from sandbox.adapters.anthropic import execute, waiting, wrap, wrap_async
from sandbox.errors import UsageError
from sandbox.gate import Gate

ASYNC = ("async", "async stream")


class Api:
    """The scripted API behind the SDK's own HTTP client."""

    def __init__(self, turns: Sequence[Sequence[Made]]) -> None:
        self.script = Script(turns)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        message = self.script.answer(body)
        if body.get("stream"):
            return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=events(message))
        return httpx.Response(200, json=message)

    async def answer(self, request: httpx.Request) -> httpx.Response:
        return self(request)


class AnthropicDriver:
    ways = ("sync", "async", "stream", "async stream")
    keeps_text = False

    def tools(self, gate: Gate, given: Sequence[object] | None = None) -> list[object]:
        return list(wrap(gate, given))

    def run(self, tools: Sequence[object], turns: Sequence[Sequence[Made]], way: str) -> list[Heard]:
        if way in ASYNC:
            return asyncio.run(self.start(tools, turns, stream=way == "async stream"))
        api = Api(turns)
        client = Anthropic(api_key="x", http_client=httpx.Client(transport=httpx.MockTransport(api)), max_retries=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for message in client.beta.messages.tool_runner(**request(tools), stream=way == "stream"):
                if way == "stream":
                    message.get_final_message()
        return api.script.heard

    async def start(
        self, tools: Sequence[object], turns: Sequence[Sequence[Made]], *, stream: bool = False
    ) -> list[Heard]:
        api = Api(turns)
        transport = httpx.MockTransport(api.answer)
        client = AsyncAnthropic(api_key="x", http_client=httpx.AsyncClient(transport=transport), max_retries=0)
        tools = [tool.as_async() for tool in tools]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            async for message in client.beta.messages.tool_runner(**request(tools), stream=stream):
                if stream:
                    await message.get_final_message()
        return api.script.heard

    def own_tool(self, function: Callable[..., object], name: str) -> object:
        return beta_tool(function, name=name)

    def shown_schema(self, tool: object) -> dict[str, object]:
        return tool.to_dict()["input_schema"]

    def unseen(self) -> Sequence[tuple[object, str]]:
        class Bash(BetaBuiltinFunctionTool):
            def to_dict(self) -> dict[str, str]:
                return {"type": "bash_20250124", "name": "bash"}

            def call(self, input: object) -> str:  # noqa: A002
                return ""

        return [
            ({"type": "web_search_20250305", "name": "web_search"}, "`web_search` is a raw definition"),
            ({"type": "code_execution_20250825", "name": "code_execution"}, "`code_execution` is a raw definition"),
            (Bash(), "`Bash` runs unconfined on the host"),
        ]


def request(tools: Sequence[object]) -> dict[str, object]:
    return {"model": "x", "max_tokens": 9, "messages": [{"role": "user", "content": "go"}], "tools": list(tools)}


class TestAnthropic(AdapterSuite):
    @pytest.fixture
    def driver(self) -> Driver:
        return AnthropicDriver()


def test_async_tools_are_wrapped_for_the_asynchronous_client(tmp_path: Path) -> None:
    @beta_async_tool
    async def send_money(recipient: str, amount: str, note: str = "") -> str:
        """Sends money."""
        raise AssertionError

    with open_gate(tmp_path) as gate:
        (tool,) = wrap_async(gate, [send_money])
        assert tool.to_dict()["description"] == "Sends money."
        with pytest.raises(UsageError, match="wrapped already"):
            wrap_async(gate, [tool])


# --- a loop of one's own -----------------------------------------------------------------------------


def block(call: Made, identity: str = "c1", name: str = "send_money") -> SimpleNamespace:
    return SimpleNamespace(id=identity, name=name, input=json.loads(call.arguments))


def test_a_loop_of_ones_own_gets_a_tool_result_for_every_block(tmp_path: Path) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        tools = wrap(gate)
        ran, denied = execute(tools, block(made())), execute(tools, block(made(amount="6000")))
        nothing = [execute(tools, block(made(), name="Send_money")), execute(tools, SimpleNamespace(name="send_money"))]
        odd = execute(tools, SimpleNamespace(id="x", name="send_money", input=[1]))
    assert ran == {"type": "tool_result", "tool_use_id": "c1", "content": '{"done": true}', "is_error": False}
    assert all(each["is_error"] for each in (denied, odd, *nothing))
    assert len(runner.permits) == 1


def test_a_block_that_waits_for_a_person_is_answered_and_runs_once(tmp_path: Path) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        tools, asked = wrap(gate), block(made(STRANGER))
        assert waiting(tools, block(made())) is None
        assert waiting(tools, block(made(), name="x")) is None
        answers = {"c1": waiting(tools, asked).answer(approved_by=["ann"])}
        assert execute(tools, asked)["is_error"]
        assert not execute(tools, asked, answers=answers)["is_error"]
        assert execute(tools, asked, answers=answers)["is_error"]
        assert execute(tools, block(made(STRANGER, "11.00")), answers=answers)["is_error"]
    assert [permit.approved_by for permit in runner.permits] == [("ann",)]


def pause(folder: Path) -> None:
    """A loop of one's own that stores the block that waits, and what Ann answers to it."""
    asked = block(made(STRANGER))
    with open_gate(folder) as gate:
        answers = {asked.id: waiting(wrap(gate), asked).answer(approved_by=["ann"])}
    (folder / "paused.json").write_text(json.dumps({"block": vars(asked), "answers": answers}))


def resume(folder: Path) -> dict[str, object]:
    stored, runner = json.loads((folder / "paused.json").read_text()), SpyRunner()
    with open_gate(folder, runner=runner) as gate:
        result = execute(wrap(gate), SimpleNamespace(**stored["block"]), answers=stored["answers"])
    return {"told": result["content"], "by": [each.approved_by for each in runner.permits]}


def test_a_block_that_waits_is_answered_by_another_process_once_and_not_where_it_was_changed(tmp_path: Path) -> None:
    pause(tmp_path)
    first, again = elsewhere(__name__, tmp_path), elsewhere(__name__, tmp_path)
    assert (json.loads(first["told"]), first["by"], again["by"]) == ({"done": True}, [["ann"]], [])
    pause(tmp_path)
    file = tmp_path / "paused.json"
    stored = json.loads(file.read_text())
    stored["block"]["input"]["amount"] = "11.00"
    file.write_text(json.dumps(stored))
    changed = elsewhere(__name__, tmp_path)
    assert ("is for another call" in changed["told"], changed["by"]) == (True, [])


def test_the_example_runs_is_refused_and_is_short() -> None:
    shows_all_three("anthropic_clerk")
