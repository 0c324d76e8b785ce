"""What is judged after a call: each change to its workspace, before it is committed.

Every such judgement is one of rules over the call and one thing more, its subject. It is written as the judgement of a
call with one argument more, of a tool of its own (`write@changes`), whose rules allow and deny: so both engines read
these rules as they read all others, and must agree on them as on all others. `@` stands in no author's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from sandbox.call import Call, Change, Value
from sandbox.ir import Argument, Contract, EnumType, IntType, PathType, RecordType, Rule, Tool

CHANGES: Final = "@changes"
"""What is added to a tool's name where its changes are judged."""

WORKSPACE: Final = "/workspace"
"""Where a call sees its workspace, and below which the paths of changes lie."""

CHANGE: Final = Argument(
    "change@",
    RecordType(
        (
            Argument("path", PathType(None)),
            Argument("kind", EnumType(("added", "modified", "deleted"))),
            Argument("size", IntType(0, 2**63 - 1)),
            Argument("mode", IntType(0, 0o7777)),
        )
    ),
)
"""One changed path, as `changes` rules see it."""


def staged(contract: Contract) -> Contract:
    """The contract with a tool for every judgement that comes after a call; no call can be of these."""
    return replace(contract, tools=(*contract.tools, *(stage for tool in contract.tools for stage in stages_of(tool))))


def stages_of(tool: Tool) -> tuple[Tool, ...]:
    """The judgements that come after a call of this tool."""
    return () if tool.changes is None else (_stage(tool, CHANGES, (CHANGE,), tool.changes),)


def change_call(call: Call, change: Change) -> Call:
    """What both engines are asked about one change."""
    subject: dict[str, Value] = {
        "path": f"{WORKSPACE}/{change.path}",
        "kind": change.kind,
        "size": change.size,
        "mode": change.mode,
    }
    return _asked(call, CHANGES, {CHANGE.name: subject})


def _stage(tool: Tool, suffix: str, subjects: tuple[Argument, ...], rules: tuple[Rule, ...]) -> Tool:
    return Tool(f"{tool.name}{suffix}", (*tool.arguments, *subjects), rules, place=tool.place)


def _asked(call: Call, suffix: str, subjects: Mapping[str, Value]) -> Call:
    return Call(f"{call.tool}{suffix}", {**call.args, **subjects}, "", call.digest, call.shown)
