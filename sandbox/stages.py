"""What is judged after a call: each change to its workspace before it is committed, its result before it is seen.

Every such judgement is one of rules over the call and one thing more, its subject. It is written as the judgement of a
call with one argument more, of a tool of its own (`write@changes`), whose rules allow, ask and deny: so both engines
read these rules as they read all others, and must agree on them as on all others. `@` stands in no author's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, get_args

from sandbox.call import Call, Change, Outcome, Status, Value
from sandbox.ir import Argument, Contract, EnumType, IntType, PathType, RecordType, Rule, TextType, Tool

CHANGES: Final = "@changes"
AFTER: Final = "@after"
"""What is added to a tool's name where its changes, or its result, are judged."""

WORKSPACE: Final = "/workspace"
"""Where a call sees its workspace, and below which the paths of changes lie."""

MAX_TEXT: Final = 2**31 - 1
"""Code points of a result, or of output, at most: far above what any `output` lets through."""

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

OUTCOME: Final = Argument(
    "outcome@",
    RecordType(
        (
            Argument("status", EnumType(get_args(Status))),
            Argument("stdout", TextType(MAX_TEXT)),
            Argument("stderr", TextType(MAX_TEXT)),
        )
    ),
)
"""How a call ended, as `after` rules see it."""

WHOLE: Final = Argument("whole@", TextType(MAX_TEXT))
"""The result as one text, its canonical JSON, of which rules see the size."""


def result_of(tool: Tool) -> Argument | None:
    """The declared fields of the result, as `after` rules see them; None where there are none.

    Each is optional to a rule: whatever a tool declares, what it returns is its own doing, and of a call that failed
    there is nothing.
    """
    typed = [(each.name, each.type) for each in tool.returns if each.type is not None]
    if not typed:
        return None
    return Argument("result@", RecordType(tuple(Argument(name, type_, optional=True) for name, type_ in typed)))


def staged(contract: Contract) -> Contract:
    """The contract with a tool for every judgement that comes after a call; no call can be of these."""
    return replace(contract, tools=(*contract.tools, *(stage for tool in contract.tools for stage in stages_of(tool))))


def stages_of(tool: Tool) -> tuple[Tool, ...]:
    """The judgements that come after a call of this tool."""
    result = result_of(tool)
    subjects = (OUTCOME, WHOLE) if result is None else (OUTCOME, WHOLE, result)
    judged = ((CHANGES, (CHANGE,), tool.changes), (AFTER, subjects, tool.after))
    return tuple(_stage(tool, suffix, about, rules) for suffix, about, rules in judged if rules is not None)


def change_call(call: Call, change: Change) -> Call:
    """What both engines are asked about one change."""
    subject: dict[str, Value] = {
        "path": f"{WORKSPACE}/{change.path}",
        "kind": change.kind,
        "size": change.size,
        "mode": change.mode,
    }
    return _asked(call, CHANGES, {CHANGE.name: subject})


def after_call(call: Call, outcome: Outcome, whole: str, fields: Mapping[str, Value] | None) -> Call:
    """What both engines are asked about a result: the outcome, the result as one text, and its declared fields."""
    ended: dict[str, Value] = {"status": outcome.status, "stdout": outcome.stdout, "stderr": outcome.stderr}
    subjects: dict[str, Value] = {OUTCOME.name: ended, WHOLE.name: whole}
    return _asked(call, AFTER, subjects if fields is None else {**subjects, "result@": fields})


def _stage(tool: Tool, suffix: str, subjects: tuple[Argument, ...], rules: tuple[Rule, ...]) -> Tool:
    return Tool(f"{tool.name}{suffix}", (*tool.arguments, *subjects), rules, place=tool.place)


def _asked(call: Call, suffix: str, subjects: Mapping[str, Value]) -> Call:
    return Call(f"{call.tool}{suffix}", {**call.args, **subjects}, "", call.digest, call.shown, origins=call.origins)
