"""The rules of what is judged after a call, `changes` and `after`, whose kinds the author calls otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from sandbox import stages
from sandbox.ir import BoolSort, Expr, Returned, Rule, RuleKind, Sort, Tool
from sandbox.lang import Scope, SourceText
from sandbox.lang.source import shown
from sandbox.spec.model import AfterRuleSpec, ChangeRuleSpec, ToolSpec

CHANGE_KINDS: Final[Mapping[str, RuleKind]] = {"commit": "allow", "refuse": "deny"}
AFTER_KINDS: Final[Mapping[str, RuleKind]] = {"pass": "allow", "redact": "ask", "withhold": "deny"}

_Path = tuple[str | int, ...]


class StageRules:
    """Compiles them for one spec; `note` takes a problem at its place, `expression` gives the IR of a source text."""

    def __init__(self, note: Callable[..., None], expression: Callable[[SourceText, Scope, Sort], Expr | None]) -> None:
        self._note = note
        self._expression = expression

    def changes(self, spec: ToolSpec, scope: Scope, path: _Path) -> tuple[Rule, ...] | None:
        """The rules about changed paths; None where the spec says nothing of them."""
        if spec.changes is None:
            return None
        workspace = spec.run.workspace if spec.run is not None else None
        if spec.run is not None and (workspace is None or workspace.mode != "rw"):
            message = "`changes` judges what a call leaves in its workspace, and this tool has none with `mode: rw`"
            self._note(f"{message}; take it out, or add one", *path, key=True)
        about = replace(scope, subjects={"change": stages.CHANGE})
        return self._rules(spec.changes, CHANGE_KINDS, about, path)

    def after(
        self, spec: ToolSpec, returns: tuple[Returned, ...], scope: Scope, path: _Path
    ) -> tuple[Rule, ...] | None:
        """The rules about the result; None where the spec says nothing of it."""
        if spec.after is None:
            return None
        result = stages.result_of(Tool("", (), (), returns=returns))
        subjects = {"outcome": stages.OUTCOME} | ({} if result is None else {"result": result})
        about = replace(scope, subjects=subjects, wholes={"result": stages.WHOLE})
        return self._rules(spec.after, AFTER_KINDS, about, path)

    def _rules(
        self, specs: Sequence[ChangeRuleSpec | AfterRuleSpec], kinds: Mapping[str, RuleKind], scope: Scope, path: _Path
    ) -> tuple[Rule, ...]:
        rules = []
        seen: set[str] = set()
        for at, spec in enumerate(specs):
            if spec.id in seen:
                message = f"the id {shown(spec.id)} stands here already; ids are unique within `{path[-1]}`"
                self._note(message, *path, at, "id")
            seen.add(spec.id)
            rule = self._rule(spec, kinds, scope, (*path, at))
            rules += [] if rule is None else [rule]
        return tuple(rules)

    def _rule(
        self, spec: ChangeRuleSpec | AfterRuleSpec, kinds: Mapping[str, RuleKind], scope: Scope, path: _Path
    ) -> Rule | None:
        given = [(kind, source) for key, kind in kinds.items() if (source := spec.written(key)) is not None]
        if len(given) != 1:
            names = ", ".join(f"`{key}`" for key in kinds)
            self._note(f"a rule of `{path[-2]}` has exactly one of {names}; split it or add one", *path)
            return None
        kind, source = given[0]
        when = self._expression(source, scope, BoolSort())
        if when is None:
            return None
        return Rule(spec.id, kind, when, spec.reason, text=source.text, place=source.place())
