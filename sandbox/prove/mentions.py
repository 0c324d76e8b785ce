"""Which names an expression speaks of: for the facts that a property needs, and for the report's coverage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Final, get_args

from sandbox.errors import Fault
from sandbox.ir import Arg, Expr, Fact, Has, OriginHas, ScalarSort, State

_EXPRESSIONS: Final = get_args(Expr)


def walk(expr: Expr) -> Iterator[Expr]:
    """The expression and every expression in it, from the root."""
    yield expr
    for each in fields(expr):
        value = getattr(expr, each.name)
        for child in value if isinstance(value, tuple) else (value,):
            if isinstance(child, _EXPRESSIONS):
                yield from walk(child)


def arguments_in(expr: Expr) -> frozenset[str]:
    """The arguments that are read or asked for."""
    asked = (node for node in walk(expr) if isinstance(node, Arg | Has | OriginHas))
    return frozenset(node.argument if isinstance(node, OriginHas) else node.name for node in asked)


def origins_in(expr: Expr) -> frozenset[OriginHas]:
    """What is asked of origins."""
    return frozenset(node for node in walk(expr) if isinstance(node, OriginHas))


def variables_in(expr: Expr) -> frozenset[str]:
    """The state variables that are read."""
    return frozenset(node.name for node in walk(expr) if isinstance(node, State))


def facts_in(expr: Expr) -> dict[str, ScalarSort]:
    """Each fact that is read with its sort."""
    sorts: dict[str, ScalarSort] = {}
    for node in walk(expr):
        if isinstance(node, Fact) and sorts.setdefault(node.name, node.sort) != node.sort:
            message = f"`{node.name}` has two sorts in one expression"
            raise Fault(message, "fault.unsupported")
    return sorts
