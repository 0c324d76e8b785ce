"""Whether a `window` variable is only ever added to, by amounts that are provably not negative.

Interval arithmetic over the declared bounds of the arguments: sound, and enough for what budgets look like.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.ir import (
    DURATION_RANGE,
    TIMESTAMP_RANGE,
    Add,
    Arg,
    Argument,
    ArgvType,
    Assignment,
    Bound,
    Const,
    DecimalType,
    Div,
    DurationType,
    Expr,
    Fact,
    Field,
    Index,
    IntType,
    Ite,
    ListType,
    MapGet,
    Mod,
    Mul,
    Neg,
    ShellType,
    Size,
    State,
    StringType,
    Sub,
    TextType,
    TimestampType,
    Variable,
)
from sandbox.lang.reach import Command, Reached, declared, least_size, most_size


@dataclass(frozen=True, slots=True)
class Interval:
    """All integers from `low` to `high`; None is without bound."""

    low: int | None
    high: int | None


ANYTHING = Interval(None, None)


def refusal(variable: Variable, assignment: Assignment, arguments: tuple[Argument, ...]) -> str:
    """Why an assignment may not be made to a variable with a window, or ''; of any other variable ''."""
    if variable.period is None or variable.period.kind != "window":
        return ""
    before: Expr = State(variable.name, variable.sort)
    if assignment.key is not None and isinstance(variable.initial, int):
        before = MapGet(before, assignment.key, variable.initial)
    return _added(assignment, before, assignment.value, arguments)


def _added(assignment: Assignment, before: Expr, value: Expr, arguments: tuple[Argument, ...]) -> str:
    match value:
        case _ if value == before:
            return ""
        case Ite(then=then, otherwise=otherwise):
            return _added(assignment, before, then, arguments) or _added(assignment, before, otherwise, arguments)
        case Add(left=left, right=amount) if left == before:
            return _amount(assignment, amount, arguments)
        case Add(left=amount, right=right) if right == before:
            return _amount(assignment, amount, arguments)
        case _:
            name, target = assignment.variable, assignment.target
            return (
                f"`{name}` has a `window` and is only ever added to; write `state.{target} + AMOUNT`, or leave it out"
            )


def _amount(assignment: Assignment, amount: Expr, arguments: tuple[Argument, ...]) -> str:
    types: dict[str, Reached] = {argument.name: argument.type for argument in arguments}
    low = interval(amount, types).low
    if low is not None and low >= 0:
        return ""
    return (
        f"what is added to `{assignment.variable}`, which has a `window`, might be negative; "
        "declare `min: 0` (or more) on the arguments in it"
    )


def interval(expr: Expr, types: Mapping[str, Reached]) -> Interval:
    """Bounds of an integer expression, whatever the call and the state; scaled as the expression is."""
    match expr:
        case Const(value=value):
            return Interval(int(value), int(value)) if not isinstance(value, str) else ANYTHING
        case Arg() | Field() | Index() | Bound() | Fact():
            return _declared(declared(expr, types))
        case Size(operand=operand):
            return _size(declared(operand, types))
        case Add(left=left, right=right):
            one, other = interval(left, types), interval(right, types)
            return Interval(_sum(one.low, other.low), _sum(one.high, other.high))
        case Sub(left=left, right=right):
            return interval(Add(left, Neg(right)), types)
        case Neg(operand=operand):
            inner = interval(operand, types)
            return Interval(_scaled(inner.high, -1), _scaled(inner.low, -1))
        case Mul(operand=operand, factor=factor):
            inner = interval(operand, types)
            ends = (_scaled(inner.low, factor), _scaled(inner.high, factor))
            return Interval(*ends) if factor >= 0 else Interval(ends[1], ends[0])
        case Div(operand=operand, divisor=divisor):
            inner = interval(operand, types)
            return Interval(_truncated(inner.low, divisor), _truncated(inner.high, divisor))
        case Mod(operand=operand, divisor=divisor):
            inner = interval(operand, types)
            low = 0 if inner.low is not None and inner.low >= 0 else 1 - divisor
            high = 0 if inner.high is not None and inner.high <= 0 else divisor - 1
            return Interval(low, high)
        case Ite(then=then, otherwise=otherwise):
            one, other = interval(then, types), interval(otherwise, types)
            low_ = None if one.low is None or other.low is None else min(one.low, other.low)
            high_ = None if one.high is None or other.high is None else max(one.high, other.high)
            return Interval(low_, high_)
        case _:
            return ANYTHING


def _declared(type_: Reached | None) -> Interval:
    match type_:
        case IntType(minimum=minimum, maximum=maximum):
            return Interval(minimum, maximum)
        case DecimalType(minimum=low, maximum=high):
            return Interval(low, high)
        case TimestampType():
            return Interval(*TIMESTAMP_RANGE)
        case DurationType():
            return Interval(*DURATION_RANGE)
        case _:
            return ANYTHING


def _size(type_: Reached | None) -> Interval:
    match type_:
        case StringType(min_size=low, max_size=high) | ListType(min_size=low, max_size=high):
            return Interval(low, high)
        case TextType(max_size=high):
            return Interval(0, high)
        case ArgvType() | ShellType() | Command():
            return Interval(least_size(type_), most_size(type_))
        case _:
            return Interval(0, None)


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def _scaled(value: int | None, factor: int) -> int | None:
    return 0 if factor == 0 else None if value is None else value * factor


def _truncated(value: int | None, divisor: int) -> int | None:
    if value is None:
        return None
    return abs(value) // divisor * (1 if value >= 0 else -1)
