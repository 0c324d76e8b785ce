"""Walking IR: the parts of an expression, and how many there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import get_args

from sandbox.ir import Expr

_EXPRESSIONS = get_args(Expr)


def parts(expr: Expr) -> tuple[Expr, ...]:
    """The expressions directly inside of one, in the order of its fields."""
    found: list[Expr] = []
    for field in fields(expr):
        value = getattr(expr, field.name)
        found.extend(
            item for item in (value if isinstance(value, tuple) else (value,)) if isinstance(item, _EXPRESSIONS)
        )
    return tuple(found)


def within(expr: Expr) -> Iterator[Expr]:
    """The expression and every one inside of it, from the outside in."""
    yield expr
    for part in parts(expr):
        yield from within(part)


def weight(expr: Expr) -> int:
    """The number of nodes of an expression, those that it shares counted at each place."""
    return _weight(expr, {})


def _weight(expr: Expr, known: dict[int, int]) -> int:
    if id(expr) not in known:
        known[id(expr)] = 1 + sum(_weight(part, known) for part in parts(expr))
    return known[id(expr)]
