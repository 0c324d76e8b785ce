"""What the declared types alone say about a condition: enough to see most rules that can never or must always fire.

No solver is asked: lint must answer at once, and a remark too few costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sandbox.ir import (
    And,
    Arg,
    ArgType,
    Const,
    DecimalType,
    Eq,
    Expr,
    IntType,
    Le,
    ListType,
    Lt,
    Not,
    Or,
    Size,
    StringType,
    TextType,
)


@dataclass(frozen=True, slots=True)
class Range:
    """Integers between two inclusive bounds; None is no bound."""

    low: int | None
    high: int | None

    def meet(self, other: Range) -> Range:
        """What lies in both."""
        lows = [low for low in (self.low, other.low) if low is not None]
        highs = [high for high in (self.high, other.high) if high is not None]
        return Range(max(lows, default=None), min(highs, default=None))

    @property
    def empty(self) -> bool:
        """Whether nothing lies in it."""
        return self.low is not None and self.high is not None and self.low > self.high


def truth(expr: Expr, types: Mapping[str, ArgType]) -> bool | None:
    """Whether an expression is true, or false, of every accepted call; None where that takes more than a look."""
    match expr:
        case Const(value=bool(value)):
            return value
        case Not(operand=operand):
            inner = truth(operand, types)
            return None if inner is None else not inner
        case And(operands=operands):
            values = [truth(operand, types) for operand in operands]
            return False if False in values or _contradicts(expr, types) else True if all(values) else None
        case Or(operands=operands):
            values = [truth(operand, types) for operand in operands]
            return True if True in values else None if None in values else False
        case _ if isinstance(expr, Eq | Le) and expr.left == expr.right:
            return True
        case Eq(left=left, right=right) | Lt(left=left, right=right) | Le(left=left, right=right):
            return _compare(expr, left, right, types)
        case _:
            return None


def implies(stronger: Expr, weaker: Expr) -> bool:
    """Whether each condition that `weaker` joins by `&&` is one that `stronger` joins, too."""
    return set(conjuncts(weaker)) <= set(conjuncts(stronger))


def conjuncts(expr: Expr) -> Iterator[Expr]:
    """What an expression joins by `&&`: itself, where it is no such chain."""
    if isinstance(expr, And):
        for operand in expr.operands:
            yield from conjuncts(operand)
    else:
        yield expr


def _compare(expr: Expr, left: Expr, right: Expr, types: Mapping[str, ArgType]) -> bool | None:
    if isinstance(left, Const) and isinstance(right, Const):
        return _of_constants(expr, left, right)
    one, other = _range(left, types), _range(right, types)
    if one is None or other is None:
        return None
    if isinstance(expr, Eq):
        return False if one.meet(other).empty else None
    strict = int(isinstance(expr, Lt))
    if one.high is not None and other.low is not None and one.high + strict <= other.low:
        return True
    if one.low is not None and other.high is not None and one.low + strict > other.high:
        return False
    return None


def _of_constants(expr: Expr, left: Const, right: Const) -> bool:
    match expr:
        case Eq():
            return left.value == right.value
        case Lt():
            return left.value < right.value  # type: ignore[operator]  # `lang` gave both one sort
        case _:
            return left.value <= right.value  # type: ignore[operator]  # as above


def _range(expr: Expr, types: Mapping[str, ArgType]) -> Range | None:
    match expr:
        case Const(value=bool()):
            return None
        case Const(value=int(value)):
            return Range(value, value)
        case Arg(name=name):
            return _of_value(types.get(name))
        case Size(operand=Arg(name=name)):
            return _of_size(types.get(name))
        case _:
            return None


def _of_value(type_: ArgType | None) -> Range | None:
    match type_:
        case IntType(minimum=low, maximum=high) | DecimalType(minimum=low, maximum=high):
            return Range(low, high)
        case _:
            return None


def _of_size(type_: ArgType | None) -> Range | None:
    match type_:
        case StringType(min_size=low, max_size=high) | ListType(min_size=low, max_size=high):
            return Range(low, high)
        case TextType(max_size=high):
            return Range(0, high)
        case _:
            return None


def _contradicts(chain: And, types: Mapping[str, ArgType]) -> bool:
    """Whether two bounds on one value, or two values of it, exclude each other."""
    ranges: dict[Expr, Range] = {}
    values: dict[Expr, set[bool | int | str]] = {}
    for expr in conjuncts(chain):
        for subject, bound in _bounds(expr):
            ranges[subject] = ranges.get(subject, _range(subject, types) or Range(None, None)).meet(bound)
        match expr:
            case Eq(left=Const(value=value), right=subject) | Eq(left=subject, right=Const(value=value)):
                values.setdefault(subject, set()).add(value)
            case _:
                pass
    return any(found.empty for found in ranges.values()) or any(len(found) > 1 for found in values.values())


def _bounds(expr: Expr) -> Iterator[tuple[Expr, Range]]:
    match expr:
        case Lt(left=subject, right=Const(value=int(value))):
            yield subject, Range(None, value - 1)
        case Le(left=subject, right=Const(value=int(value))):
            yield subject, Range(None, value)
        case Lt(left=Const(value=int(value)), right=subject):
            yield subject, Range(value + 1, None)
        case Le(left=Const(value=int(value)), right=subject):
            yield subject, Range(value, None)
        case Eq(left=Const(value=int(value)), right=subject) | Eq(left=subject, right=Const(value=int(value))):
            yield subject, Range(value, value)
        case _:
            pass
