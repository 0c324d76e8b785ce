"""Timestamps and durations: their literals, their sums, and the parts of a timestamp in UTC.

A timestamp is its Unix milliseconds, a duration its milliseconds, so everything here is exact integer arithmetic.
"""

from __future__ import annotations

from typing import Final

from sandbox.ir import Add, Const, Div, DurationSort, Expr, IntSort, Mod, Neg, Sub, TimestampSort
from sandbox.lang.operands import Here, Typed, as_sort, kind, mismatch, own_sort
from sandbox.lang.scope import Time, Word
from sandbox.lang.source import Refused
from sandbox.times import parse_duration, parse_timestamp

_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 60 * _MINUTE_MS
_DAY_MS: Final = 24 * _HOUR_MS
_WEEK_MS: Final = 7 * _DAY_MS
_EPOCHS_DAY: Final = 4
"""1970-01-01 was a Thursday, and CEL's weeks begin with Sunday, 0."""

PARTS: Final = frozenset({"getHours", "getMinutes", "getDayOfWeek"})
LITERALS: Final = frozenset({"timestamp", "duration"})

_EXAMPLES: Final = {
    "timestamp": "an RFC 3339 text such as `timestamp('2026-01-31T08:00:00Z')`",
    "duration": "units of `ns us ms s m h` in whole milliseconds, such as `duration('1h30m')`",
}


def time_literal(function: str, text: Here) -> Time:
    """`timestamp('...')` or `duration('...')`: a constant."""
    if not isinstance(text.operand, Word):
        message = f"`{function}` takes a constant string, found {kind(text.operand)} {text.source}"
        raise Refused(text.start, f"{message}; an argument is declared `type: {function}` instead")
    value = (parse_timestamp if function == "timestamp" else parse_duration)(text.operand.value)
    if value is None:
        raise Refused(text.start, f"{text.source} is no {function}; write {_EXAMPLES[function]}")
    return Time(value, TimestampSort() if function == "timestamp" else DurationSort())


def part_of_time(method: str, of: Here) -> Typed:
    """`getHours()`, `getMinutes()` or `getDayOfWeek()` of a timestamp, in UTC, before 1970 too."""
    instant = as_sort(of, TimestampSort())
    match method:
        case "getHours":
            return Typed(Div(_within(instant, _DAY_MS), _HOUR_MS), IntSort())
        case "getMinutes":
            return Typed(Div(_within(instant, _HOUR_MS), _MINUTE_MS), IntSort())
        case _:
            shifted = Add(instant, Const(_EPOCHS_DAY * _DAY_MS, DurationSort()))
            return Typed(Div(_within(shifted, _WEEK_MS), _DAY_MS), IntSort())


def _within(instant: Expr, period: int) -> Expr:
    """How far into its period an instant lies; `Mod` has the sign of the dividend, and this is never negative."""
    return Mod(Add(Mod(instant, period), Const(period, DurationSort())), period)


def is_time(here: Here) -> bool:
    """Whether an operand is a timestamp or a duration."""
    match here.operand:
        case Typed(sort=TimestampSort() | DurationSort()) | Time():
            return True
        case _:
            return False


def time_sum(operator: str, left: Here, right: Here) -> Typed:
    """`left + right` or `left - right`, where one of them at least is a timestamp or a duration."""
    for side in (left, right):
        if not is_time(side):
            raise mismatch(side, "timestamp or duration")
    one, other = own_sort(left), own_sort(right)
    first, second = as_sort(left, one), as_sort(right, other)
    match operator, one, other:
        case "-", TimestampSort(), TimestampSort():
            return Typed(Sub(first, second), DurationSort())
        case _, TimestampSort(), TimestampSort():
            raise mismatch(right, "duration")
        case "-", DurationSort(), TimestampSort():
            raise mismatch(right, "duration")
        case "+", _, _:
            return Typed(Add(first, second), TimestampSort() if TimestampSort() in {one, other} else DurationSort())
        case _:
            return Typed(Sub(first, second), one)


def negated_time(here: Here) -> Typed:
    """`-duration`."""
    return Typed(Neg(as_sort(here, DurationSort())), DurationSort())
