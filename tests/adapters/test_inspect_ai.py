"""Inspect behind the gate: the suite in its own loop of tool calls, and the approver."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from gatekit import STRANGER, SpyRunner, open_gate, payment
from inspect_ai.approval import Approval, ApprovalPolicy, Approver, approver
from inspect_ai.model import ChatMessageAssistant, ChatMessageTool, ChatMessageUser, execute_tools
from inspect_ai.tool import ToolCall, ToolCallView, ToolDef
from suite import AdapterSuite, Driver, Heard, Made, made, shows_all_three

from sandbox.adapters.inspect_ai import gate_approver, wrap
from sandbox.gate import Gate


class InspectDriver:
    ways = ("async",)
    keeps_text = False
    refuses_first = "Additional properties are not allowed"

    def tools(self, gate: Gate, given: Sequence[object] | None = None) -> list[object]:
        return list(wrap(gate, given))

    def run(self, tools: Sequence[object], turns: Sequence[Sequence[Made]], way: str) -> list[Heard]:
        return asyncio.run(self.start(tools, turns))

    async def start(self, tools: Sequence[object], turns: Sequence[Sequence[Made]], **more: object) -> list[Heard]:
        messages: list[object] = [ChatMessageUser(content="go")]
        for turn, calls in enumerate(turns):
            made_calls = [
                ToolCall(f"c{turn}_{n}", each.name, json.loads(each.arguments)) for n, each in enumerate(calls)
            ]
            messages.append(ChatMessageAssistant(content="", tool_calls=made_calls))
            messages += (await execute_tools(messages, list(tools), **more)).messages
        told = [each for each in messages if isinstance(each, ChatMessageTool)]
        return [Heard(each.error.message if each.error else each.text, each.error is not None) for each in told]

    def own_tool(self, function: Callable[..., object], name: str) -> object:
        return ToolDef(function, name, "Sends money.", {"recipient": "who", "amount": "how much", "note": "what for"})

    def shown_schema(self, tool: object) -> dict[str, object]:
        shown = ToolDef(tool).parameters.model_dump(exclude_none=True)
        for name, each in shown["properties"].items():
            if each["description"] == name:
                del each["description"]
        return shown

    def unseen(self) -> Sequence[tuple[object, str]]:
        return [({"type": "web_search"}, "`web_search` is no Inspect tool")]


class TestInspect(AdapterSuite):
    @pytest.fixture
    def driver(self) -> Driver:
        return InspectDriver()


# --- the approver ------------------------------------------------------------------------------------


def verdict(gate: Gate, raw: dict[str, object], **more: object) -> tuple[str, str]:
    call = ToolCall("c", raw["tool"], raw["args"], **more)
    said = asyncio.run(gate_approver(gate)("", call, ToolCallView(), []))
    return said.decision, said.explanation


def test_the_approver_says_what_the_gate_would_say_and_runs_nothing(tmp_path: Path) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        assert verdict(gate, payment())[0] == "approve"
        assert verdict(gate, payment(amount="6000"))[0] == "reject"
        assert verdict(gate, payment(STRANGER))[0] == "escalate"
        assert verdict(gate, {"tool": "bash", "args": {"cmd": "ls"}})[1].startswith("unknown_tool")
        assert verdict(gate, payment(), parse_error="bad")[0] == "reject"
    assert runner.permits == []


def test_an_approver_that_says_yes_to_all_does_not_widen_the_gate(tmp_path: Path) -> None:
    runner = SpyRunner()
    policy = [ApprovalPolicy(approver=yes_to_all(), tools="*")]
    with open_gate(tmp_path, runner=runner) as gate:
        (said,) = asyncio.run(InspectDriver().start(wrap(gate), [[made(amount="6000")]], approval=policy))
    assert "denied (rule.deny)" in said.text
    assert runner.permits == []


@approver(name="yes")
def yes_to_all() -> Approver:
    async def approve(message: str, call: ToolCall, view: ToolCallView, history: object) -> Approval:
        return Approval(decision="approve")

    return approve


def test_with_the_gates_approver_a_refused_call_does_not_reach_its_tool(tmp_path: Path) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        policy = [ApprovalPolicy(approver=gate_approver(gate), tools="*")]
        said = asyncio.run(InspectDriver().start(wrap(gate), [[made(amount="6000")], [made()]], approval=policy))
    assert [each.is_error for each in said] == [True, False]
    assert len(runner.permits) == 1


def test_the_example_runs_is_refused_and_is_short() -> None:
    shows_all_three("inspect_clerk")
