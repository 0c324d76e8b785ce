"""Claude Agent SDK behind the gate: the suite in the real command line of Claude Code, before a scripted API."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from claude_agent_sdk import ClaudeAgentOptions, SdkMcpTool, create_sdk_mcp_server, query
from gatekit import SpyRunner, open_gate
from scripted_api import Script, served
from suite import AdapterSuite, Driver, Heard, Made, made

from sandbox.adapters.claude_agent_sdk import options, wrap
from sandbox.errors import UsageError
from sandbox.gate import Gate

PREFIX = "mcp__sandbox__"


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
        with served(script) as address:
            settings.env = {
                "ANTHROPIC_BASE_URL": address,
                "ANTHROPIC_API_KEY": "x",
                "HOME": str(home),
                "CLAUDE_CONFIG_DIR": str(home),
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            }
            settings.model, settings.cwd = "claude-sonnet-5", home
            async for _ in query(prompt="go", options=settings):
                pass
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return script


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
