"""Claude Agent SDK: an agent whose only tools are those of a spec, in a server inside of this process.

Claude Code's own tools run in its command line, where no gate is, and `can_use_tool` is asked last, after rules and
modes that may allow. So `options` leaves the built-in tools out, reads no settings, takes no other server, and a hook
denies whatever is left: the boundary is still the tool itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from claude_agent_sdk import ClaudeAgentOptions, HookMatcher, SdkMcpTool, create_sdk_mcp_server

from sandbox.adapters.front import Front, fronts, refuse_duplicates, refuse_unseen, stand_in
from sandbox.errors import UsageError
from sandbox.gate import Gate
from sandbox.host import HostFunction
from sandbox.ir import Json
from sandbox.session import SessionSource

SERVER: Final = "sandbox"
"""The name of the server; Claude knows a tool as `mcp__sandbox__NAME`."""
FIXED: Final = frozenset(
    {
        "tools",
        "allowed_tools",
        "disallowed_tools",
        "mcp_servers",
        "strict_mcp_config",
        "permission_mode",
        "permission_prompt_tool_name",
        "can_use_tool",
        "hooks",
        "agents",
        "plugins",
        "setting_sources",
        "settings",
        "sandbox",
        "extra_args",
    }
)
"""Options that could give the agent a tool around the gate."""

_MARK: Final = "_sandbox_front"


def wrap(gate: Gate, tools: Sequence[object] | None = None, *, session: SessionSource = None) -> list[SdkMcpTool]:
    """Tools for a server of yours (`create_sdk_mcp_server`): all that the spec can run, or those named by `tools`.

    A given `SdkMcpTool` stands for the spec's tool of its name: where the spec says `run: {host: ...}` its handler runs
    after the permit, else it serves for its description only. Raises UsageError for what the gate could not judge.
    """
    if tools is None:
        return [_tool(front) for front in fronts(gate, session)]
    given = [_checked(tool) for tool in tools]
    refuse_duplicates(tool.name for tool in given)
    return [_tool(stand_in(gate, tool.name, tool.description, session, _host_of(tool))) for tool in given]


def options(
    gate: Gate, tools: Sequence[object] | None = None, *, session: SessionSource = None, **more: object
) -> ClaudeAgentOptions:
    """Options of an agent that can do what the spec allows, and nothing else. `more` are those that add no tool.

    Raises UsageError for an option that could, and where `wrap` does.
    """
    unsafe = sorted(FIXED & more.keys())
    if unsafe:
        message = f"`{unsafe[0]}` could give the agent a tool around the gate; leave it to the adapter"
        raise UsageError(message)
    held = wrap(gate, tools, session=session)
    names = [f"mcp__{SERVER}__{tool.name}" for tool in held]
    return ClaudeAgentOptions(
        tools=[],
        allowed_tools=names,
        mcp_servers={SERVER: create_sdk_mcp_server(SERVER, tools=held)},
        strict_mcp_config=True,
        setting_sources=[],
        hooks={"PreToolUse": [HookMatcher(hooks=[_only(frozenset(names))])]},
        **more,
    )


def _only(names: frozenset[str]) -> Callable[[Mapping[str, object], str | None, object], Awaitable[dict[str, Json]]]:
    """A hook that denies every tool but these; the first thing that is asked about any call."""

    async def deny(call: Mapping[str, object], tool_use_id: str | None, context: object) -> dict[str, Json]:
        _ = tool_use_id, context
        if call.get("tool_name") in names:
            return {}
        reason = f"`{call.get('tool_name')}` is not behind the gate"
        said: dict[str, Json] = {
            "hookEventName": "PreToolUse",
            "permissionDecision": "deny",
            "permissionDecisionReason": reason,
        }
        return {"hookSpecificOutput": said}

    return deny


def _tool(front: Front) -> SdkMcpTool:
    async def handle(arguments: Mapping[str, object]) -> dict[str, Json]:
        answer = await front.acall(arguments)
        return {"content": [{"type": "text", "text": answer.text}], "is_error": answer.is_error}

    tool = SdkMcpTool(front.name, front.description, front.schema(), handle)
    setattr(tool, _MARK, front)
    return tool


def _checked(tool: object) -> SdkMcpTool:
    if hasattr(tool, _MARK):
        message = f"`{getattr(tool, 'name', '?')}` is wrapped already"
        raise UsageError(message)
    if isinstance(tool, SdkMcpTool):
        return tool
    if isinstance(tool, str):
        refuse_unseen(tool, "is a tool of Claude Code's: it runs in its command line")
    message = (
        f"`{getattr(tool, '__name__', type(tool).__name__)}` is no tool of the SDK; decorate it with `@tool` first"
    )
    raise UsageError(message)


def _host_of(tool: SdkMcpTool) -> Callable[[], HostFunction]:
    """What the gate runs for a host tool: its handler, with the arguments; the text of its content is the result."""

    def made() -> HostFunction:
        async def run(**arguments: object) -> object:
            answer = await tool.handler(arguments)
            return "".join(each.get("text", "") for each in answer.get("content", []))

        return run

    return made
