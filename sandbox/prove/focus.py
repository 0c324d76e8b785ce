"""A property that ranges over several tools and decisions, looked at for one of them.

`tool` becomes a constant and what depends on it is folded away, so that only arguments of that tool are left; so do
`decision` and `rule` where it is only asked whether anything of it is left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, get_args

from sandbox.ir import FALSE, TRUE, And, Const, Eq, Expr, Fact, Ite, Not, Or, Tool
from sandbox.machine import rule_sort

if TYPE_CHECKING:
    from sandbox.prove.obligations import Case

_Known: TypeAlias = Callable[[Expr], Expr | None]
"""What an expression is known to be, None where nothing is known of it as a whole."""


def for_tool(condition: Expr, tool: Tool) -> Expr:
    """The condition where `tool` is this one: equal in meaning, with the enum `rule` of this tool alone."""
    return _folded(condition, partial(_of_tool, tool))


def speaks_of(condition: Expr, case: Case) -> bool:
    """Whether a condition that reads as it does for the case's tool can be true of what the case decides.

    It is false only where it folds to `false` with the case's verdict and rule in it: where no solver is needed.
    """
    return _folded(condition, partial(_of_case, case)) != FALSE


def _of_tool(tool: Tool, expr: Expr) -> Expr | None:
    match expr:
        case Eq(left=Fact(name="tool"), right=Const(value=name)) | Eq(left=Const(value=name), right=Fact(name="tool")):
            return TRUE if name == tool.name else FALSE
        case Eq(left=Fact(name="rule"), right=Const(value=rule)) | Eq(left=Const(value=rule), right=Fact(name="rule")):
            return _rule_is(str(rule), tool)
        case Fact(name="tool", sort=sort):
            return Const(tool.name, sort)
        case _:
            return None


def _of_case(case: Case, expr: Expr) -> Expr | None:
    match expr:
        case (
            Eq(left=Fact(name="decision" | "rule" as name), right=Const(value=value))
            | Eq(left=Const(value=value), right=Fact(name="decision" | "rule" as name))
        ):
            return TRUE if value == (case.verdict if name == "decision" else case.rule) else FALSE
        case _:
            return None


def _folded(condition: Expr, known: _Known) -> Expr:
    whole = known(condition)
    if whole is not None:
        return whole
    match condition:
        case Not(operand=operand):
            inner = _folded(operand, known)
            return Const(value=not inner.value, sort=TRUE.sort) if isinstance(inner, Const) else Not(inner)
        case And(operands=operands):
            return _all(operands, known)
        case Or(operands=operands):
            return _any(operands, known)
        case Ite(condition=test, then=then, otherwise=otherwise):
            chosen = _folded(test, known)
            if isinstance(chosen, Const):
                return _folded(then if chosen.value else otherwise, known)
            return Ite(chosen, _folded(then, known), _folded(otherwise, known))
        case _:
            return _rebuilt(condition, known)


def _rule_is(rule: str, tool: Tool) -> Expr:
    sort = rule_sort(tool)
    return Eq(Fact("rule", sort), Const(rule, sort)) if rule in sort.values else FALSE


def _all(operands: tuple[Expr, ...], known: _Known) -> Expr:
    kept: list[Expr] = []
    for operand in operands:
        inner = _folded(operand, known)
        if inner == FALSE:
            return FALSE  # what follows may name arguments that only another tool has
        if inner != TRUE:
            kept.append(inner)
    return And(tuple(kept)) if kept else TRUE


def _any(operands: tuple[Expr, ...], known: _Known) -> Expr:
    kept: list[Expr] = []
    for operand in operands:
        inner = _folded(operand, known)
        if inner == TRUE:
            return TRUE
        if inner != FALSE:
            kept.append(inner)
    return Or(tuple(kept)) if kept else FALSE


def _rebuilt(expr: Expr, known: _Known) -> Expr:
    changed = {
        field.name: _folded(value, known)
        for field in fields(expr)
        if isinstance(value := getattr(expr, field.name), get_args(Expr)) and field.name != "variable"
    }
    return replace(expr, **changed) if changed else expr  # type: ignore[arg-type]  # fields of this very node
