"""What rules about changes and results do and are seldom meant to: remarks only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from sandbox.call import Value
from sandbox.errors import Problem
from sandbox.evaluate import Env, evaluate
from sandbox.ir import Arg, Const, Eq, Expr, Field, StartsWith, Tool, sort_of
from sandbox.lang.source import shown
from sandbox.lang.walk import parts
from sandbox.machine import verdict_of
from sandbox.stages import CHANGE, CHANGES, WORKSPACE, stages_of

_SORT: Final = sort_of(CHANGE.type)

HANDED_OVER: Final = (".git/config", ".github/workflows/a.yml", "conftest.py", ".env", "a.pth", ".vscode/settings.json")
"""Files of the kinds that tools on the host act upon, below a folder that a rule commits."""


def lint_stages(tool: Tool) -> Iterator[Problem]:
    """Remarks on one tool's rules about what comes after a call."""
    for stage in stages_of(tool):
        if stage.name.endswith(CHANGES):
            yield from _lint_changes(tool, stage)
        elif not any(rule.kind != "deny" for rule in stage.rules):
            message = f"no rule of `{tool.name}` passes or redacts a result, so that every one is withheld"
            yield Problem(tool.place, message)


def _lint_changes(tool: Tool, stage: Tool) -> Iterator[Problem]:
    tested = [text for rule in stage.rules for text in _tested(rule.when)]
    for rule in stage.rules:
        for text in _tested(rule.when):
            if not text.startswith(f"{WORKSPACE}/"):
                message = f"every path of a change begins with `{WORKSPACE}/`, and {shown(text)} does not"
                yield Problem(rule.place, f"{message}; see rule `{rule.id}`")
    if not any(rule.kind == "allow" for rule in stage.rules):
        yield Problem(tool.place, f"no rule of `{tool.name}` commits a change, so that every change refuses its call")
    yield from _handed_over(tool, stage, tested)


def _handed_over(tool: Tool, stage: Tool, tested: list[str]) -> Iterator[Problem]:
    """The first file of these kinds that the rules commit, as far as that can be seen without a call."""
    verdict = evaluate(verdict_of(stage))
    folders = [f"{WORKSPACE}/", *(f"{text.rstrip('/')}/" for text in tested if text.startswith(f"{WORKSPACE}/"))]
    for path in (f"{folder}{name}" for folder in folders for name in HANDED_OVER):
        subject: Mapping[str, Value] = {"path": path, "kind": "added", "size": 1, "mode": 0o644}
        try:
            committed = verdict(Env({CHANGE.name: subject}, {})) == "allow"
        except KeyError:  # the rules read the call, the state or the session
            return
        if committed:
            message = f"`changes` of `{tool.name}` commits {shown(path)}, which tools on the host act upon"
            yield Problem(tool.place, f"{message}; add a `refuse` if that is not meant")
            return


def _tested(expr: Expr) -> Iterator[str]:
    """The constants that `change.path` is compared with, or its beginning."""
    match expr:
        case StartsWith(subject=subject, part=Const(value=str(text))) if _is_path(subject):
            yield text
        case Eq(left=subject, right=Const(value=str(text))) | Eq(left=Const(value=str(text)), right=subject) if (
            _is_path(subject)
        ):
            yield text
    for part in parts(expr):
        yield from _tested(part)


def _is_path(subject: Expr) -> bool:
    return isinstance(subject, Field) and subject.name == "path" and subject.of == Arg(CHANGE.name, _SORT)
