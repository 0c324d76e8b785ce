"""B15: LangChain agents whose every tool run goes through the gate: sync, async, parallel, retried, copied, renamed."""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import pickle
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from types import FunctionType

import pytest
from gatekit import PAYMENTS, STRANGER, TRUSTED, SpyRunner, open_gate, payment
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool, StructuredTool, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.prebuilt import ToolNode
from langgraph.types import Command

from sandbox.adapters.langchain import SandboxedTool, wrap
from sandbox.adapters.ticket import read_ticket
from sandbox.call import Outcome
from sandbox.errors import EnvironmentLacking, UsageError
from sandbox.gate import Gate

HOST = PAYMENTS.replace("run:  {tool: tools.payments:send_money, timeout: 10s}", 'run: {host: "a session"}')


class Scripted(GenericFakeChatModel):
    """A chat model that says what it was given; tools may be bound to it."""

    def bind_tools(self, tools: Sequence[object], **_: object) -> Runnable:
        return self


def agent_on(tools: list[BaseTool], *turns: list[dict[str, object]]) -> Runnable:
    """An agent whose model makes these calls, turn by turn, and then stops."""
    messages = [AIMessage("", tool_calls=calls) for calls in turns]
    return create_agent(Scripted(messages=iter([*messages, AIMessage("done")])), tools)


def call(recipient: object = TRUSTED[0], amount: object = "10.00", name: str = "send_money", **more: object) -> dict:
    call.count += 1
    return {"name": name, "args": {"recipient": recipient, "amount": amount, **more}, "id": f"c{call.count}"}


call.count = 0


def answers(state: dict[str, list[object]]) -> list[ToolMessage]:
    return [message for message in state["messages"] if isinstance(message, ToolMessage)]


@pytest.fixture
def runner() -> SpyRunner:
    return SpyRunner()


@pytest.fixture
def gate(tmp_path: Path, runner: SpyRunner) -> Iterator[Gate]:
    with open_gate(tmp_path, runner=runner) as opened:
        yield opened


def sync(agent: Runnable) -> dict[str, list[object]]:
    return agent.invoke({"messages": [("user", "go")]})


def asynchronous(agent: Runnable) -> dict[str, list[object]]:
    return asyncio.run(agent.ainvoke({"messages": [("user", "go")]}))


def streamed(agent: Runnable) -> dict[str, list[object]]:
    return list(agent.stream({"messages": [("user", "go")]}, stream_mode="values"))[-1]


WAYS = pytest.mark.parametrize("way", [sync, asynchronous, streamed])


@WAYS
def test_every_way_of_running_an_agent_goes_through_the_gate(gate: Gate, runner: SpyRunner, way: Callable) -> None:
    agent = agent_on(
        wrap(gate), [call()], [call(amount="6000")], [call(STRANGER)], [call(amount="1e3")], [call(approved=True)]
    )
    ran, denied, waits, malformed, extra = answers(way(agent))
    assert (ran.status, json.loads(ran.content)) == ("success", {"done": True})
    assert [message.status for message in (denied, waits, malformed, extra)] == ["error"] * 4
    assert "denied (rule.deny)" in denied.content
    assert "over-limit" in denied.content
    assert "waits for a person" in waits.content
    assert "parse." in malformed.content
    assert "parse.unknown_argument" in extra.content
    assert len(runner.permits) == 1


@WAYS
def test_parallel_calls_spend_one_budget(gate: Gate, runner: SpyRunner, way: Callable) -> None:
    agent = agent_on(wrap(gate), [call(amount="1000") for _ in range(8)])
    assert sorted(message.status for message in answers(way(agent))) == ["error"] * 3 + ["success"] * 5
    assert len(runner.permits) == 5


def test_a_tool_that_the_agent_does_not_have_reaches_nothing(gate: Gate, runner: SpyRunner) -> None:
    (answer,) = answers(sync(agent_on(wrap(gate), [call(name="send_money ")])))
    assert answer.status == "error"
    assert runner.permits == []


def test_a_retried_tool_is_judged_again_each_time(tmp_path: Path) -> None:
    runner = SpyRunner(lambda _: Outcome("timeout", "limit.time", "too slow", stderr="line\n"))
    with open_gate(tmp_path, runner=runner) as gate:
        (wrapped,) = wrap(gate)
        for _ in range(9):
            message = wrapped.invoke({"type": "tool_call", **call(amount="1000")})
            assert message.status == "error"
    assert len(runner.permits) == 5
    assert "denied" in message.content


def test_a_failed_tool_shows_the_model_why(tmp_path: Path) -> None:
    runner = SpyRunner(lambda _: Outcome("error", "tool.error", "ValueError: no", stderr="Traceback: no"))
    with open_gate(tmp_path, runner=runner) as gate:
        (answer,) = answers(sync(agent_on(wrap(gate), [call()])))
    assert (answer.status, answer.content) == ("error", "the tool ended `error`: ValueError: no\nTraceback: no")


def test_what_a_tool_printed_is_shown_with_its_result(tmp_path: Path) -> None:
    runner = SpyRunner(lambda _: Outcome("ok", "ok", "", result=[1], stdout="hi\n"))
    with open_gate(tmp_path, runner=runner) as gate:
        (answer,) = answers(sync(agent_on(wrap(gate), [call()])))
    assert json.loads(answer.content) == {"result": [1], "stdout": "hi\n", "stderr": ""}


def test_a_missing_engine_is_the_operators_matter_and_not_the_models(tmp_path: Path) -> None:
    runner = SpyRunner(prepare_error=EnvironmentLacking("no engine"))
    with open_gate(tmp_path, runner=runner) as gate, pytest.raises(EnvironmentLacking):
        sync(agent_on(wrap(gate), [call()]))


def test_a_raw_tool_node_goes_through_the_gate_too(gate: Gate, runner: SpyRunner) -> None:
    node = ToolNode(wrap(gate))
    assert set(node.tools_by_name) == {"send_money"}
    (wrapped,) = node.tools_by_name.values()
    assert isinstance(wrapped, SandboxedTool)


def test_batches_and_streams_of_the_tool_itself_go_through_the_gate(gate: Gate, runner: SpyRunner) -> None:
    (wrapped,) = wrap(gate)
    wrapped.batch([payment()["args"], payment()["args"]])
    list(wrapped.stream(payment()["args"]))
    asyncio.run(wrapped.abatch([payment()["args"]]))
    wrapped.run(payment()["args"])
    wrapped.with_retry().invoke(payment()["args"])
    assert len(runner.permits) == 6


def test_copies_and_renamed_tools_still_ask_for_the_declared_tool(gate: Gate, runner: SpyRunner) -> None:
    (wrapped,) = wrap(gate)
    for each in (copy.copy(wrapped), copy.deepcopy(wrapped), wrapped.model_copy(update={"name": "balance"})):
        each.name = "balance"
        each.invoke(payment()["args"])
    assert {permit.call.tool for permit in runner.permits} == {"send_money"}
    with pytest.raises(TypeError):
        pickle.dumps(wrapped)


def test_a_string_instead_of_arguments_runs_nothing(gate: Gate, runner: SpyRunner) -> None:
    (wrapped,) = wrap(gate)
    with pytest.raises(ValueError, match="String tool inputs"):
        wrapped.invoke("send 10")
    assert runner.permits == []


def test_an_argument_may_be_called_like_a_parameter_of_ours(tmp_path: Path) -> None:
    text = """\
sandbox: 1
name: odd
tools:
  odd:
    args: {self: {type: int}, config: {type: int}, run_manager: {type: int}}
    rules: [{id: all, allow: true}]
    run: {tool: tools.odd:odd}
"""
    runner = SpyRunner()
    args = {"self": 1, "config": 2, "run_manager": 3}
    with open_gate(tmp_path, text=text, runner=runner) as gate:
        (wrapped,) = wrap(gate)
        wrapped.invoke(args)
        asyncio.run(wrapped.ainvoke(args))
    assert [made["args"] for made in runner.calls] == [args, args]


# --- runs that pause ----------------------------------------------------------------------------------


def paused_agent(gate: Gate, saver: InMemorySaver, *turns: list[dict[str, object]]) -> Runnable:
    messages = [AIMessage("", tool_calls=calls) for calls in turns]
    model = Scripted(messages=iter([*messages, AIMessage("done")]))
    return create_agent(model, wrap(gate, pause=True), checkpointer=saver)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_run_that_waits_for_a_person_is_resumed_by_another_process_and_runs_once(
    tmp_path: Path, *, is_async: bool
) -> None:
    runner, saver, thread = SpyRunner(), InMemorySaver(), {"configurable": {"thread_id": "1"}}

    def go(agent: Runnable, what: object) -> dict[str, object]:
        return asyncio.run(agent.ainvoke(what, thread)) if is_async else agent.invoke(what, thread)

    with open_gate(tmp_path, runner=runner) as gate:
        state = go(paused_agent(gate, saver, [call(STRANGER)]), {"messages": [("user", "go")]})
    (waiting,) = state["__interrupt__"]
    assert (waiting.value["tool"], runner.permits) == ("send_money", [])
    with open_gate(tmp_path, runner=runner) as later:
        yes = Command(resume=read_ticket(waiting.value).answer(approved_by=["ann"]))
        (answer,) = answers(go(paused_agent(later, saver), yes))
    assert (answer.status, [permit.approved_by for permit in runner.permits]) == ("success", [("ann",)])


def test_a_refusal_resumes_the_run_with_a_denial(tmp_path: Path) -> None:
    runner, saver, thread = SpyRunner(), InMemorySaver(), {"configurable": {"thread_id": "1"}}
    with open_gate(tmp_path, runner=runner) as gate:
        agent = paused_agent(gate, saver, [call(STRANGER)])
        (waiting,) = agent.invoke({"messages": [("user", "go")]}, thread)["__interrupt__"]
        no = Command(resume=read_ticket(waiting.value).answer(refused_by="bob"))
        (answer,) = answers(agent.invoke(no, thread))
    assert (answer.status, runner.permits) == ("error", [])
    assert "refused by bob" in answer.content


@pytest.mark.parametrize("resume", [True, "yes", {"approved_by": ["ann"]}])
def test_a_bare_yes_resumes_nothing(tmp_path: Path, resume: object) -> None:
    runner, saver, thread = SpyRunner(), InMemorySaver(), {"configurable": {"thread_id": "1"}}
    with open_gate(tmp_path, runner=runner) as gate:
        agent = paused_agent(gate, saver, [call(STRANGER)])
        agent.invoke({"messages": [("user", "go")]}, thread)
        with pytest.raises(UsageError):
            agent.invoke(Command(resume=resume), thread)
    assert runner.permits == []


# --- what is wrapped ---------------------------------------------------------------------------------


@tool
def send_money(recipient: str, amount: str, note: str = "") -> str:
    """Sends money, says the tool itself."""
    raise AssertionError


def test_of_a_container_tool_only_the_description_is_used(gate: Gate, runner: SpyRunner) -> None:
    (wrapped,) = wrap(gate, [send_money])
    assert wrapped.description == "Sends money, says the tool itself."
    wrapped.invoke(payment()["args"])
    assert len(runner.permits) == 1
    assert not [name for name in ("func", "coroutine", "__wrapped__", "fn") if hasattr(wrapped, name)]
    held = [each for each in gc.get_referents(wrapped.__dict__, wrapped.__pydantic_private__) if each is send_money]
    assert held == []


def test_a_host_tool_is_what_runs_after_the_permit(tmp_path: Path) -> None:
    seen: list[Decimal] = []

    @tool("send_money")
    def pay(recipient: str, amount: Decimal, note: str = "") -> str:
        """Pays."""
        seen.append(amount)
        return f"sent {amount}"

    with open_gate(tmp_path, text=HOST) as gate:
        (wrapped,) = wrap(gate, [pay])
        ran, denied = answers(sync(agent_on([wrapped], [call()], [call(amount="6000")])))
        assert not [each for each in gc.get_referents(wrapped.__dict__) if isinstance(each, FunctionType | BaseTool)]
    assert (ran.content, denied.status, seen) == ("sent 10.00", "error", [10])


def test_an_async_only_host_tool_runs_sync_and_async(tmp_path: Path) -> None:
    async def pay(recipient: str, amount: Decimal, note: str = "") -> str:
        """Pays."""
        return f"sent {amount}"

    with open_gate(tmp_path, text=HOST) as gate:
        (wrapped,) = wrap(gate, [StructuredTool.from_function(coroutine=pay, name="send_money")])
        assert wrapped.invoke(payment()["args"]) == "sent 10.00"
        assert asyncio.run(wrapped.ainvoke(payment()["args"])) == "sent 10.00"


@tool("nope")
def unknown(x: str) -> str:
    """Nothing."""
    return x


@tool
def balance() -> str:
    """Judged only."""
    return ""


@pytest.mark.parametrize(
    ("tools", "why"),
    [
        ([{"type": "web_search_20250305", "name": "web_search"}], "`web_search` is a tool of the provider's"),
        ([{"type": "code_interpreter"}], "`code_interpreter` is a tool of the provider's"),
        ([lambda x: x], "is no LangChain tool"),
        ([unknown], "no such tool"),
        ([balance], "no `run` for it"),
        ([send_money, send_money], "given more than once: `send_money`"),
    ],
)
def test_what_the_gate_could_not_see_or_judge_is_refused(gate: Gate, tools: list[object], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        wrap(gate, tools)


def test_a_wrapped_tool_is_not_wrapped_again(gate: Gate) -> None:
    with pytest.raises(UsageError, match="wrapped already"):
        wrap(gate, wrap(gate))


# --- the schema that a model is shown ----------------------------------------------------------------


def test_the_schema_tells_a_model_what_the_spec_takes(gate: Gate) -> None:
    (wrapped,) = wrap(gate)
    schema = wrapped.args_schema
    assert schema["required"] == ["recipient", "amount"]
    assert schema["additionalProperties"] is False
    assert "[A-Z]{2}[0-9A-Z]{13,32}" in schema["properties"]["recipient"]["description"]
    assert "at least 0.01, at most 1000000.00" in schema["properties"]["amount"]["description"]
    assert schema["properties"]["note"] == {"type": "string", "maxLength": 140}


def test_every_type_has_a_schema() -> None:
    from sandbox import ir
    from sandbox.adapters.schema import type_schema

    assert type_schema(ir.BoolType()) == {"type": "boolean"}
    assert type_schema(ir.IntType(1, 9)) == {"type": "integer", "minimum": 1, "maximum": 9}
    assert type_schema(ir.EnumType(("a", "b"))) == {"type": "string", "enum": ["a", "b"]}
    assert type_schema(ir.StringType(None, 1, 9)) == {"type": "string", "minLength": 1, "maxLength": 9}
    assert "below /data" in str(type_schema(ir.PathType("/data"))["description"])
    assert type_schema(ir.DecimalType(2, None, None))["type"] == ["string", "number"]
    record = ir.RecordType((ir.Argument("u", ir.UrlType(("https",))), ir.Argument("e", ir.EmailType(), optional=True)))
    assert type_schema(record)["required"] == ["u"]
    for each in (ir.TimestampType(), ir.DurationType(), ir.ShellType(9), ir.UrlType(("https",)), ir.EmailType()):
        assert type_schema(each)["type"] == "string"
    assert type_schema(ir.ArgvType(4)) == {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 4}
    unique = type_schema(ir.ListType(ir.BoolType(), 0, 2, unique=True))
    assert unique == {"type": "array", "items": {"type": "boolean"}, "minItems": 0, "maxItems": 2, "uniqueItems": True}
    assert "uniqueItems" not in type_schema(ir.ListType(ir.BoolType(), 0, 2, unique=False))
