"""Claude Agent SDK behind the gate: the suite in the real command line of Claude Code, before a scripted API."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from claude_agent_sdk import (
    ClaudeAgentOptions,
    DeferredToolUse,
    ResultMessage,
    SdkMcpTool,
    create_sdk_mcp_server,
    query,
)
from gatekit import STRANGER, SpyRunner, open_gate
from scripted_api import Script, served
from suite import AdapterSuite, Driver, Heard, Made, elsewhere, made, shows_all_three

from sandbox.adapters.claude_agent_sdk import PREFIX, options, waiting, wrap
from sandbox.errors import UsageError
from sandbox.gate import Gate


class ClaudeDriver:
    ways = ("async",)
    keeps_text = False
    refuses_first = "Input validation error"

    def tools(self, gate: Gate, given: Sequence[object] | None = None) -> list[object]:
        return list(wrap(gate, given))

    def run(self, tools: Sequence[object], turns: Sequence[Sequence[Made]], way: str) -> list[Heard]:
        return asyncio.run(self.start(tools, turns))

    async def start(self, tools: Sequence[object], turns: Sequence[Sequence[Made]]) -> list[Heard]:
        settings = ClaudeAgentOptions(
            tools=[],
            allowed_tools=[PREFIX + tool.name for tool in tools],
            mcp_servers={"sandbox": create_sdk_mcp_server("sandbox", tools=list(tools))},
            strict_mcp_config=True,
            setting_sources=[],
            max_turns=99,
        )
        return (await said(settings, Script(turns, PREFIX))).heard

    def own_tool(self, function: Callable[..., object], name: str) -> object:
        async def handle(arguments: dict[str, object]) -> dict[str, object]:
            return {"content": [{"type": "text", "text": function(**arguments)}]}

        return SdkMcpTool(name, "Sends money.", {"type": "object", "properties": {}}, handle)

    def shown_schema(self, tool: object) -> dict[str, object]:
        script = asyncio.run(
            said(
                ClaudeAgentOptions(
                    tools=[],
                    mcp_servers={"sandbox": create_sdk_mcp_server("sandbox", tools=[tool])},
                    setting_sources=[],
                ),
                Script([]),
            )
        )
        (shown,) = script.shown
        return {key: value for key, value in shown["input_schema"].items() if key != "$schema"}

    def unseen(self) -> Sequence[tuple[object, str]]:
        return [("Bash", "`Bash` is a tool of Claude Code's"), ({"type": "x"}, "`dict` is no tool of the SDK")]


async def said(settings: ClaudeAgentOptions, script: Script) -> Script:
    """One whole run of Claude Code before the scripted API, in a home of its own."""
    home = Path(tempfile.mkdtemp())
    try:
        await run(settings, script, home)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return script


async def run(settings: ClaudeAgentOptions, script: Script, home: Path) -> ResultMessage:
    with served(script) as address:
        settings.env = {
            "ANTHROPIC_BASE_URL": address,
            "ANTHROPIC_API_KEY": "x",
            "HOME": str(home),
            "CLAUDE_CONFIG_DIR": str(home),
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        }
        settings.model, settings.cwd = "claude-sonnet-5", home
        results = [each async for each in query(prompt="go", options=settings) if isinstance(each, ResultMessage)]
    return results[-1]


class TestClaudeAgentSDK(AdapterSuite):
    @pytest.fixture
    def driver(self) -> Driver:
        return ClaudeDriver()


def test_the_agent_of_our_options_has_the_tools_of_the_spec_and_no_other(tmp_path: Path) -> None:
    runner = SpyRunner()
    around = [Made('{"command": "id"}', "Bash"), Made('{"file_path": "/etc/passwd"}', "Read"), Made("{}", "Task")]
    allowed = Made(made().arguments, PREFIX + "send_money")
    with open_gate(tmp_path, runner=runner) as gate:
        script = asyncio.run(said(options(gate, max_turns=9), Script([[allowed, *around]])))
    assert [each["name"] for each in script.shown] == [PREFIX + "send_money"]
    assert json.loads(script.heard[0].text) == {"done": True}
    assert all(each.is_error for each in script.heard[1:])
    assert len(script.heard) == 4
    assert len(runner.permits) == 1


@pytest.mark.parametrize(
    "more",
    [
        {"permission_mode": "bypassPermissions"},
        {"mcp_servers": {}},
        {"tools": ["Bash"]},
        {"hooks": {}},
        {"setting_sources": ["user"]},
        {"agents": {}},
        {"extra_args": {"dangerously-skip-permissions": None}},
    ],
)
def test_an_option_that_could_add_a_tool_is_refused(tmp_path: Path, more: dict[str, object]) -> None:
    with open_gate(tmp_path) as gate, pytest.raises(UsageError, match="gate"):
        options(gate, **more)


def test_the_hook_denies_what_is_not_behind_the_gate(tmp_path: Path) -> None:
    with open_gate(tmp_path) as gate:
        (matcher,) = options(gate).hooks["PreToolUse"]
        (hook,) = matcher.hooks
        denied = asyncio.run(hook({"tool_name": "Bash"}, None, None))
        assert denied["hookSpecificOutput"]["permissionDecision"] == "deny"
        assert asyncio.run(hook({"tool_name": PREFIX + "send_money"}, None, None)) == {}


# --- runs that pause ---------------------------------------------------------------------------------

ASKED = made(STRANGER)


def pause(folder: Path, *calls: Made, refused_by: str = "") -> ResultMessage:
    """Run until a call waits for a person, and store the session and the answer."""
    with open_gate(folder) as gate:
        result = asyncio.run(run(options(gate, answers={}), Script([calls or [ASKED]], PREFIX), folder))
        if result.deferred_tool_use is not None:
            ticket = waiting(gate, result.deferred_tool_use)
            answer = ticket.answer(refused_by=refused_by) if refused_by else ticket.answer(approved_by=["ann"])
            stored = {"session": result.session_id, "answers": {result.deferred_tool_use.id: answer}}
            (folder / "paused.json").write_text(json.dumps(stored))
    return result


def resume(folder: Path) -> dict[str, object]:
    stored, runner, script = json.loads((folder / "paused.json").read_text()), SpyRunner(), Script([])
    with open_gate(folder, runner=runner) as gate:
        settings = options(gate, answers=stored["answers"], resume=stored["session"])
        result = asyncio.run(run(settings, script, folder))
    told = [each.text for each in script.heard]
    return {"told": told, "by": [each.approved_by for each in runner.permits], "waits": bool(result.deferred_tool_use)}


def test_a_run_that_waits_for_a_person_is_resumed_by_another_process_and_runs_once(tmp_path: Path) -> None:
    assert pause(tmp_path).stop_reason == "tool_deferred"
    first, again = elsewhere(__name__, tmp_path), elsewhere(__name__, tmp_path)
    assert (json.loads(first["told"][0]), first["by"]) == ({"done": True}, [["ann"]])
    assert again["by"] == []


def test_a_stored_run_that_was_changed_runs_nothing(tmp_path: Path) -> None:
    pause(tmp_path)
    (transcript,) = (tmp_path / "projects").rglob("*.jsonl")
    before = transcript.read_text()
    transcript.write_text(before.replace("10.00", "11.00"))
    assert transcript.read_text() != before
    found = elsewhere(__name__, tmp_path)
    assert "is for another call" in found["told"][0]
    assert found["by"] == []


def test_what_nobody_answered_or_somebody_refused_runs_nothing(tmp_path: Path) -> None:
    pause(tmp_path, refused_by="bob")
    assert "refused by bob" in elsewhere(__name__, tmp_path)["told"][0]
    pause(tmp_path / "other")
    stored = json.loads((tmp_path / "other" / "paused.json").read_text())
    (tmp_path / "other" / "paused.json").write_text(json.dumps({**stored, "answers": {}}))
    assert elsewhere(__name__, tmp_path / "other")["by"] == []


def test_of_several_calls_that_wait_at_once_only_one_can_be_answered_and_runs(tmp_path: Path) -> None:
    """Claude Code defers one call; of the others the model is told on resuming that they have no result."""
    pause(tmp_path, ASKED, ASKED)
    found = elsewhere(__name__, tmp_path)
    assert found["by"] == [["ann"]]
    assert sum("done" in each for each in found["told"]) == 1


def test_only_what_waits_has_a_ticket(tmp_path: Path) -> None:
    with open_gate(tmp_path) as gate:
        for name, call in ((PREFIX + "send_money", made()), ("Bash", made()), ("send_money", made(STRANGER))):
            with pytest.raises(UsageError, match=f"nothing of `{name}` waits"):
                waiting(gate, DeferredToolUse("c", name, json.loads(call.arguments)))


def test_the_example_runs_is_refused_and_is_short() -> None:
    shows_all_three("claude_clerk")
