"""OpenAI Agents SDK behind the gate: the suite, its own interruptions, and what its guardrails do not see."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from agents import (
    Agent,
    ApplyPatchTool,
    CodeInterpreterTool,
    FunctionTool,
    HostedMCPTool,
    LocalShellTool,
    ModelSettings,
    RunConfig,
    Runner,
    RunState,
    WebSearchTool,
    function_tool,
    set_tracing_disabled,
)
from agents.exceptions import ModelBehaviorError
from agents.sandbox import SandboxAgent
from agents.testing import ScriptedModel, assistant_message, function_call
from gatekit import STRANGER, SpyRunner, open_gate
from suite import AdapterSuite, Driver, Heard, Made, elsewhere, made, runs_once_elsewhere, shows_all_three

from sandbox.adapters.openai_agents import check, waiting, wrap
from sandbox.errors import UsageError
from sandbox.gate import Gate

set_tracing_disabled(disabled=True)


class OpenAIDriver:
    ways = ("sync", "async", "stream")
    keeps_text = True

    def tools(self, gate: Gate, given: Sequence[object] | None = None) -> list[object]:
        return list(wrap(gate, given))

    def run(self, tools: Sequence[object], turns: Sequence[Sequence[Made]], way: str) -> list[Heard]:
        if way == "sync":
            return heard(Runner.run_sync(agent_on(tools, turns), "go", max_turns=99))
        return asyncio.run(self.start(tools, turns, stream=way == "stream"))

    async def start(
        self, tools: Sequence[object], turns: Sequence[Sequence[Made]], *, stream: bool = False
    ) -> list[Heard]:
        agent = agent_on(tools, turns)
        if not stream:
            return heard(await Runner.run(agent, "go", max_turns=99))
        result = Runner.run_streamed(agent, "go", max_turns=99)
        async for _ in result.stream_events():
            pass
        return heard(result)

    def own_tool(self, function: Callable[..., object], name: str) -> object:
        return function_tool(function, name_override=name)

    def shown_schema(self, tool: object) -> dict[str, object]:
        return tool.params_json_schema

    def unseen(self) -> Sequence[tuple[object, str]]:
        hosted = HostedMCPTool({"type": "mcp", "server_label": "x", "server_url": "https://x.example"})
        code = CodeInterpreterTool({"type": "code_interpreter", "container": {"type": "auto"}})
        return [
            (WebSearchTool(), "`web_search`"),
            (hosted, "`hosted_mcp`"),
            (code, "`code_interpreter`"),
            (LocalShellTool(lambda _: ""), "`local_shell`"),
            (ApplyPatchTool(object()), "`apply_patch`"),
        ]


def agent_on(tools: Sequence[object], turns: Sequence[Sequence[Made]], **more: object) -> Agent:
    return Agent("agent", tools=list(tools), model=model_of(turns), **more)


def model_of(turns: Sequence[Sequence[Made]]) -> ScriptedModel:
    steps = [
        [function_call(each.name, each.arguments, call_id=f"c{turn}_{n}") for n, each in enumerate(calls)]
        for turn, calls in enumerate(turns)
    ]
    return ScriptedModel([*steps, [assistant_message("done")]])


def heard(result: object) -> list[Heard]:
    return [Heard(item.output) for item in result.new_items if item.type == "tool_call_output_item"]


class TestOpenAIAgents(AdapterSuite):
    @pytest.fixture
    def driver(self) -> Driver:
        return OpenAIDriver()


# --- runs that pause ---------------------------------------------------------------------------------


def paused(gate: Gate, answers: dict[str, object], turns: Sequence[Sequence[Made]]) -> tuple[Agent, list[FunctionTool]]:
    tools = wrap(gate, answers=answers)
    return agent_on(tools, turns), tools


def pause(folder: Path) -> None:
    """Run until a call waits for a person; store the state of the run, and what Ann answers."""
    with open_gate(folder) as gate:
        agent, tools = paused(gate, {}, [[made(STRANGER)]])
        result = Runner.run_sync(agent, "go")
        (item,) = result.interruptions
        answers = {"c0_0": waiting(tools, item).answer(approved_by=["ann"])}
    (folder / "paused.json").write_text(json.dumps({"state": result.to_state().to_string(), "answers": answers}))


def resume(folder: Path) -> dict[str, object]:
    stored, runner = json.loads((folder / "paused.json").read_text()), SpyRunner()
    with open_gate(folder, runner=runner) as gate:
        agent, _ = paused(gate, stored["answers"], [])
        state = asyncio.run(RunState.from_string(agent, stored["state"]))
        try:
            for each in state.get_interruptions():
                state.approve(each)
        except ModelBehaviorError as error:
            return {"told": [str(error)], "by": []}
        told = [each.text for each in heard(Runner.run_sync(agent, state))]
    return {"told": told, "by": [each.approved_by for each in runner.permits]}


def test_a_run_that_waits_for_a_person_is_resumed_by_another_process_and_runs_once(tmp_path: Path) -> None:
    pause(tmp_path)
    runs_once_elsewhere(__name__, tmp_path)


def test_a_stored_run_that_was_changed_is_refused_by_the_sdk_before_it_comes_to_the_gate(tmp_path: Path) -> None:
    pause(tmp_path)
    file = tmp_path / "paused.json"
    stored = json.loads(file.read_text())
    assert "10.00" in stored["state"]
    file.write_text(json.dumps({**stored, "state": stored["state"].replace("10.00", "11.00")}))
    found = elsewhere(__name__, tmp_path)
    assert "a different invocation" in found["told"][0]
    assert found["by"] == []


@pytest.mark.parametrize("always", [False, True])
def test_an_approval_in_the_sdk_alone_runs_nothing(tmp_path: Path, *, always: bool) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        agent, _ = paused(gate, {}, [[made(STRANGER)]])
        state = Runner.run_sync(agent, "go").to_state()
        state.approve(state.get_interruptions()[0], always_approve=always)
        (answer,) = heard(Runner.run_sync(agent, state))
    assert "waits for a person" in answer.text
    assert runner.permits == []


def test_an_answer_is_good_for_its_very_call_only(tmp_path: Path) -> None:
    runner, answers = SpyRunner(), {}
    with open_gate(tmp_path, runner=runner) as gate:
        agent, tools = paused(gate, answers, [[made(STRANGER)]])
        item = Runner.run_sync(agent, "go").interruptions[0]
        answers["c0_0"] = waiting(tools, item).answer(approved_by=["ann"])
        other, _ = paused(gate, answers, [[made(STRANGER, "11.00")]])
        state = Runner.run_sync(other, "go").to_state()
        state.approve(state.get_interruptions()[0])
        (answer,) = heard(Runner.run_sync(other, state))
    assert "approval.refused" in answer.text
    assert runner.permits == []


def test_only_what_waits_has_a_ticket(tmp_path: Path) -> None:
    with open_gate(tmp_path) as gate:
        agent, tools = paused(gate, {}, [[made(STRANGER)]])
        item = Runner.run_sync(agent, "go").interruptions[0]
        with pytest.raises(UsageError, match="nothing of `send_money` waits"):
            waiting([], item)
        assert waiting(tools, item).tool == "send_money"


# --- around the tool ---------------------------------------------------------------------------------


def test_an_agent_is_checked_with_all_that_it_hands_over_to(tmp_path: Path) -> None:
    with open_gate(tmp_path) as gate:
        tools = wrap(gate)
        inner = agent_on(tools, [])
        outer = agent_on(tools, [], handoffs=[inner])
        inner.handoffs.append(outer)
        check(outer)
        inner.tools.append(WebSearchTool())
        with pytest.raises(UsageError, match="`web_search` of the agent `agent` is not behind the gate"):
            check(outer)
        served = agent_on(tools, [], mcp_servers=[object()])
        with pytest.raises(UsageError, match="has MCP servers"):
            check(served)
        stored = agent_on(tools, [], prompt={"id": "p_1"})
        with pytest.raises(UsageError, match="stored prompt"):
            check(stored)
        for more in ({"extra_body": {"tools": []}}, {"extra_args": {"tools": []}}):
            with pytest.raises(UsageError, match="`tools` in the model settings"):
                check(agent_on(tools, [], model_settings=ModelSettings(**more)))
        with pytest.raises(UsageError, match="`SandboxAgent`, which may have tools that are not listed"):
            check(SandboxAgent("shell", tools=list(tools)))
        odd = agent_on(tools, [], handoffs=[object()])
        with pytest.raises(UsageError, match="no agent that can be looked into"):
            check(odd)


def test_a_hand_off_and_an_agent_as_a_tool_spend_one_budget(tmp_path: Path) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        tools = wrap(gate)
        inner = Agent("inner", tools=tools, model=model_of([[made(amount="1000")] for _ in range(4)]))
        handing = ScriptedModel(
            [
                [function_call("send_money", made(amount="1000").arguments, call_id="a")],
                [function_call("send_money", made(amount="1000").arguments, call_id="b")],
                [function_call("transfer_to_inner", "{}", call_id="t")],
            ]
        )
        outer = Agent("outer", tools=tools, model=handing, handoffs=[inner])
        check(outer)
        Runner.run_sync(outer, "go")
    assert len(runner.permits) == 5


def test_an_argument_guardrail_or_hook_cannot_widen_what_runs(tmp_path: Path) -> None:
    """The SDK has no way to rewrite arguments after the model; a copy with other settings still asks the gate."""
    from dataclasses import replace

    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        (tool,) = wrap(gate)
        renamed = replace(tool, name="anything", needs_approval=False, tool_input_guardrails=None)
        (answer,) = heard(
            Runner.run_sync(
                agent_on([renamed], [[Made(made(STRANGER).arguments, "anything")]]), "go", run_config=RunConfig()
            )
        )
    assert "waits for a person" in answer.text
    assert runner.permits == []


def test_the_example_runs_is_refused_and_is_short() -> None:
    shows_all_three("openai_clerk")
