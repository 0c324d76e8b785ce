"""`--change`, `--result` and `--status`: what would become of a change, or of a result, if the call had run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, TypeVar, cast, get_args

import click

from sandbox.aftermath import ResultJudge, has_rules
from sandbox.call import Call, Change, Outcome, Ruling, Status
from sandbox.canonical import canonical_path
from sandbox.execute.runner import Objection
from sandbox.execute.tree import Entry
from sandbox.execute.workspace import OURS_ALONE, Changes
from sandbox.ir import Contract, Json
from sandbox.judging import ChangesJudge
from sandbox.stages import WORKSPACE

if TYPE_CHECKING:
    from sandbox.joint import Engines
    from sandbox.judging import Moments

F = TypeVar("F", bound=Callable[..., object])

_KINDS: Final = ("added", "modified", "deleted")
_REGULAR: Final = 0o644


@dataclass(frozen=True, slots=True)
class Supposed:
    """What is supposed of a call that had run; nothing where all is None or empty."""

    changes: tuple[Change, ...]
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class Consequences:
    """What would become of each supposed change, and of the supposed result."""

    changes: tuple[tuple[Change, Objection | None], ...] = ()
    ruling: Ruling | None = None


class ChangeType(click.ParamType[Change]):
    """A JSON object: `path` below /workspace, and as needed `kind`, `size`, `mode`."""

    name = "JSON"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Change:
        """The change, or a usage error."""
        change = _change(value)
        if change is None:
            example = '`{"path": "/workspace/a.txt", "kind": "added", "size": 1, "mode": 420}`'
            self.fail(f"`{value}` is no change; write one such as {example}", param, ctx)
        return change


class ResultType(click.ParamType[object]):
    """Any JSON."""

    name = "JSON"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        """The JSON in a list of one (`null` is a result too), or a usage error."""
        try:
            return [json.loads(str(value))] if not isinstance(value, list) else value
        except (ValueError, RecursionError):
            self.fail(f"`{value}` is no JSON", param, ctx)


def afterwards_options(command: F) -> F:
    """`--change JSON`, any number of times; `--result JSON`; `--status STATUS`."""
    changes = "A path that the call would change; repeatable."
    for option in (
        click.option("--status", type=click.Choice(get_args(Status)), default="ok", help="How the call would end."),
        click.option("--result", type=ResultType(), help="What the tool would return."),
        click.option("--change", "changes", type=ChangeType(), multiple=True, help=changes),
    ):
        command = option(command)
    return command


def supposed(changes: tuple[Change, ...], result: object, status: str) -> Supposed:
    """What the options say."""
    if result is None and status == "ok":
        return Supposed(changes, None)
    value = cast("Json", result[0]) if isinstance(result, list) else None
    return Supposed(changes, Outcome(cast("Status", status), "ok", "", value))


def consequences(
    asked: Supposed, judges: tuple[Contract, ...], engines: Engines, call: Call, moments: Moments
) -> Consequences:
    """What the rules of these specs, and our own, make of it."""
    tools = [tool for each in judges if (tool := each.tool(call.tool)) is not None]
    declared = any(tool.changes is not None for tool in tools)
    judge = ChangesJudge(judges, engines, call, lambda: moments)
    changes = Changes(declared=True, judge=judge) if declared else OURS_ALONE
    ruling = None
    if asked.outcome is not None and has_rules(judges, call.tool):
        ruling = ResultJudge(judges, engines, call, lambda: moments).ruling(asked.outcome)
    elif asked.outcome is not None:
        ruling = Ruling("pass", "", reason="the call ran; its result is passed, for no spec judges it")
    return Consequences(tuple((each, changes.objection((each,), _tree(each))) for each in asked.changes), ruling)


def lines(found: Consequences) -> list[str]:
    """Each of them in a line."""
    said = [
        f"change {WORKSPACE}/{change.path}: " + ("commit" if objection is None else f"refuse: {objection.reason}")
        for change, objection in found.changes
    ]
    return said if found.ruling is None else [*said, f"result: {found.ruling.kind}: {found.ruling.reason}"]


def document(found: Consequences) -> dict[str, Json]:
    """The same as JSON; without what was not asked for."""
    changes: list[Json] = [
        {
            "path": f"{WORKSPACE}/{change.path}",
            "verdict": "commit" if objection is None else "refuse",
            "reason_code": "ok" if objection is None else objection.reason_code,
            "reason": "" if objection is None else objection.reason,
        }
        for change, objection in found.changes
    ]
    said: dict[str, Json] = {"changes": changes} if changes else {}
    return said if found.ruling is None else {**said, "result": dict(asdict(found.ruling))}


def _change(value: object) -> Change | None:
    match _json(value):
        case {"path": str() as path, **rest} if rest.keys() <= {"kind", "size", "mode"}:
            kind, size, mode = rest.get("kind", "added"), rest.get("size", 0), rest.get("mode", _REGULAR)
            below = path.removeprefix(f"{WORKSPACE}/")
            is_below = canonical_path(path, None) == path and below != path
            if is_below and kind in _KINDS and type(size) is int and type(mode) is int:
                return Change(below, kind, "file", mode, size)
    return None


def _tree(change: Change) -> Mapping[str, Entry]:
    return {change.path: Entry("file", change.mode, change.size, "", (0, 0, 0, 0))}


def _json(value: object) -> object:
    try:
        return json.loads(str(value))
    except (ValueError, RecursionError):
        return None
