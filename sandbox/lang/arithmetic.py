"""`+ - * / %` and the sign: exact on constants, and in the IR on integers of one scale."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sandbox.ir import Add, DecimalSort, Div, IntSort, Mod, Mul, Neg, Sub
from sandbox.lang.clock import is_time, negated_time, time_sum
from sandbox.lang.literals import MAX_DIGITS
from sandbox.lang.operands import Either, Here, Operand, Typed, at_one_sort, mismatch, own_sort, standing_alone
from sandbox.lang.scope import Digits
from sandbox.lang.source import Refused
from sandbox.lang.syntax import Binary

MAX_SCALE: Final = MAX_DIGITS
"""Digits behind the point of an intermediate result, as many as a number has."""


def negated(here: Here) -> Operand:
    """`-operand`."""
    if is_time(here):
        return negated_time(here)
    here = _settled(here)
    match here.operand:
        case Digits(value=value, digits=digits):
            return Digits(-value, digits)
        case Typed(expr=expr, sort=IntSort() | DecimalSort() as sort):
            return Typed(Neg(expr), sort)
        case _:
            raise mismatch(here, "int, decimal or duration")


def calculated(node: Binary, left: Here, right: Here) -> Operand:
    """`left operator right`."""
    if node.operator in {"+", "-"} and (is_time(left) or is_time(right)):
        return time_sum(node.operator, left, right)
    for side in (left, right):
        if not isinstance(own_sort(side), IntSort | DecimalSort):
            raise mismatch(side, "int or decimal")
    match node.operator:
        case "+" | "-":
            return _sum(node, left, right)
        case "*":
            return _product(node, _settled(left), _settled(right))
        case _:
            return _quotient(node, _settled(left), right)


def _settled(here: Here) -> Here:
    return replace(here, operand=standing_alone(here)) if isinstance(here.operand, Either) else here


def _sum(node: Binary, left: Here, right: Here) -> Operand:
    sign = 1 if node.operator == "+" else -1
    match left.operand, right.operand:
        case Digits(value=one, digits=digits), Digits(value=other, digits=more):
            scale = max(digits, more)
            return _limited(int(one * 10 ** (scale - digits) + sign * other * 10 ** (scale - more)), scale, left)
        case _:
            first, second, sort = at_one_sort(left, right)
            return Typed(Add(first, second) if sign > 0 else Sub(first, second), sort)


def _product(node: Binary, left: Here, right: Here) -> Operand:
    match left.operand, right.operand:
        case Digits(value=one, digits=digits), Digits(value=other, digits=more):
            return _limited(one * other, digits + more, left)
        case (Typed() as typed, Digits() as factor):
            return _multiple(typed, factor, right, left)
        case (Digits() as factor, Typed() as typed):
            return _multiple(typed, factor, left, right)
        case _:
            at = node.operator_span.start
            raise Refused(at, "one side of `*` must be a constant; write the constant, or a rule for each case")


def _multiple(typed: Typed, factor: Digits, constant: Here, other: Here) -> Typed:
    match typed.sort:
        case IntSort() if factor.digits == 0:
            return Typed(Mul(typed.expr, factor.value), IntSort())
        case DecimalSort(scale=scale) if scale + factor.digits <= MAX_SCALE:
            return Typed(Mul(typed.expr, factor.value), DecimalSort(scale + factor.digits))
        case DecimalSort():
            message = f"the product would have more than {MAX_SCALE} digits behind the point; write a shorter constant"
            raise Refused(constant.start, message)
        case _:
            message = f"{constant.source} needs a decimal beside it, found int {other.source}; write it without a point"
            raise Refused(constant.start, message)


def _limited(value: int, digits: int, here: Here) -> Digits:
    if abs(value) >= 10**MAX_DIGITS or digits > MAX_DIGITS:
        raise Refused(here.start, f"this constant has more than {MAX_DIGITS} digits; write a shorter one")
    return Digits(value, digits)


def _quotient(node: Binary, left: Here, right: Here) -> Operand:
    divide = Div if node.operator == "/" else Mod
    match right.operand:
        case Digits(value=divisor, digits=0) if divisor > 0:
            pass
        case _:
            message = f"the right side of `{node.operator}` must be a positive int constant, found {right.source}"
            raise Refused(right.start, message)
    match left.operand:
        case Digits(value=value, digits=0):
            quotient = abs(value) // divisor * (1 if value >= 0 else -1)
            return Digits(quotient if divide is Div else value - divisor * quotient, 0)
        case Typed(expr=expr, sort=IntSort()):
            return Typed(divide(expr, divisor), IntSort())
        case _:
            raise mismatch(left, "int")
