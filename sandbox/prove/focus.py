"""A property that ranges over several tools, looked at for one of them.

`tool` becomes a constant and what depends on it is folded away, so that only arguments of that tool are left.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import get_args

from sandbox.ir import FALSE, TRUE, And, Const, Eq, Expr, Fact, Ite, Not, Or, Tool
from sandbox.machine import rule_sort


def for_tool(condition: Expr, tool: Tool) -> Expr:
    """The condition where `tool` is this one: equal in meaning, with the enum `rule` of this tool alone."""
    match condition:
        case Eq(left=Fact(name="tool"), right=Const(value=name)) | Eq(left=Const(value=name), right=Fact(name="tool")):
            return TRUE if name == tool.name else FALSE
        case Eq(left=Fact(name="rule"), right=Const(value=rule)) | Eq(left=Const(value=rule), right=Fact(name="rule")):
            return _rule_is(str(rule), tool)
        case Not(operand=operand):
            inner = for_tool(operand, tool)
            return Const(value=not inner.value, sort=TRUE.sort) if isinstance(inner, Const) else Not(inner)
        case And(operands=operands):
            return _all(operands, tool)
        case Or(operands=operands):
            return _any(operands, tool)
        case Ite(condition=test, then=then, otherwise=otherwise):
            known = for_tool(test, tool)
            if isinstance(known, Const):
                return for_tool(then if known.value else otherwise, tool)
            return Ite(known, for_tool(then, tool), for_tool(otherwise, tool))
        case Fact(name="tool", sort=sort):
            return Const(tool.name, sort)
        case _:
            return _rebuilt(condition, tool)


def _rule_is(rule: str, tool: Tool) -> Expr:
    sort = rule_sort(tool)
    return Eq(Fact("rule", sort), Const(rule, sort)) if rule in sort.values else FALSE


def _all(operands: tuple[Expr, ...], tool: Tool) -> Expr:
    kept: list[Expr] = []
    for operand in operands:
        inner = for_tool(operand, tool)
        if inner == FALSE:
            return FALSE  # what follows may name arguments that only another tool has
        if inner != TRUE:
            kept.append(inner)
    return And(tuple(kept)) if kept else TRUE


def _any(operands: tuple[Expr, ...], tool: Tool) -> Expr:
    kept: list[Expr] = []
    for operand in operands:
        inner = for_tool(operand, tool)
        if inner == TRUE:
            return TRUE
        if inner != FALSE:
            kept.append(inner)
    return Or(tuple(kept)) if kept else FALSE


def _rebuilt(expr: Expr, tool: Tool) -> Expr:
    changed = {
        field.name: for_tool(value, tool)
        for field in fields(expr)
        if isinstance(value := getattr(expr, field.name), get_args(Expr)) and field.name != "variable"
    }
    return replace(expr, **changed) if changed else expr  # type: ignore[arg-type]  # fields of this very node
