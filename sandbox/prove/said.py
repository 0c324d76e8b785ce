"""An expression in the words of the spec language, for people: what a mutant says in place of the author's own text.

It is not read back: constants that the author named show their values, and what stands for a list of equalities shows
as one.
"""

from __future__ import annotations

import json
from typing import Final, assert_never

from sandbox.canonical import show_decimal
from sandbox.ir import (
    Add,
    All,
    AllKeys,
    And,
    Arg,
    Bound,
    Const,
    Contains,
    DecimalSort,
    Div,
    DurationSort,
    EndsWith,
    Eq,
    Exists,
    ExistsOne,
    Expr,
    Fact,
    Field,
    Has,
    HasField,
    Index,
    InSet,
    Ite,
    Le,
    Lower,
    Lt,
    MapGet,
    Matches,
    Member,
    Mod,
    Mul,
    Neg,
    Not,
    Or,
    OriginHas,
    SetAdd,
    SetRemove,
    Size,
    StartsWith,
    State,
    Sub,
    TimestampSort,
)
from sandbox.times import show_duration, show_timestamp

MAX_SAID: Final = 300
"""Characters of one expression; the rest of a longer one is left out."""


def said(expr: Expr) -> str:
    """The expression on one line."""
    text = _said(expr)
    return text if len(text) <= MAX_SAID else f"{text[:MAX_SAID]}..."


def _said(expr: Expr) -> str:
    match expr:
        case Const():
            return _constant(expr)
        case Arg(name=name):
            return f"args.{name}"
        case Has(name=name):
            return f"has(args.{name})"
        case OriginHas(argument=argument, label=label):
            return f"{json.dumps(label)} in origin(args.{argument})"
        case Field(of=of, name=name):
            return f"{_inner(of)}.{name}"
        case HasField(of=of, name=name):
            return f"has({_inner(of)}.{name})"
        case State(name=name):
            return f"state.{name}"
        case Fact(name=name):
            return name
        case Bound(name=name):
            return name
        case Not(operand=Eq(left=left, right=right)):
            return f"{_inner(left)} != {_inner(right)}"
        case Not(operand=operand):
            return f"!{_inner(operand)}"
        case And(operands=operands):
            return " && ".join(map(_inner, operands)) or "true"
        case Or(operands=operands):
            return " || ".join(map(_inner, operands)) or "false"
        case Ite(condition=condition, then=then, otherwise=otherwise):
            return f"{_inner(condition)} ? {_inner(then)} : {_inner(otherwise)}"
        case Eq(left=left, right=right):
            return f"{_inner(left)} == {_inner(right)}"
        case Lt(left=left, right=right):
            return f"{_inner(left)} < {_inner(right)}"
        case Le(left=left, right=right):
            return f"{_inner(left)} <= {_inner(right)}"
        case Add(left=left, right=right):
            return f"{_inner(left)} + {_inner(right)}"
        case Sub(left=left, right=right):
            return f"{_inner(left)} - {_inner(right)}"
        case Neg(operand=operand):
            return f"-{_inner(operand)}"
        case Mul(operand=operand, factor=factor):
            return f"{_inner(operand)} * {factor}"
        case Div(operand=operand, divisor=divisor):
            return f"{_inner(operand)} / {divisor}"
        case Mod(operand=operand, divisor=divisor):
            return f"{_inner(operand)} % {divisor}"
        case Size(operand=operand):
            return f"size({_said(operand)})"
        case StartsWith(subject=subject, part=part):
            return f"{_inner(subject)}.startsWith({_said(part)})"
        case EndsWith(subject=subject, part=part):
            return f"{_inner(subject)}.endsWith({_said(part)})"
        case Contains(subject=subject, part=part):
            return f"{_inner(subject)}.contains({_said(part)})"
        case Matches(subject=subject, pattern=pattern):
            return f"{_inner(subject)}.matches({json.dumps(pattern, ensure_ascii=False)})"
        case Lower(operand=operand):
            return f"{_inner(operand)}.lowerAscii()"
        case Member(item=item, of=of) | InSet(item=item, of=of):
            return f"{_inner(item)} in {_inner(of)}"
        case SetAdd(of=of, item=item):
            return f"{_inner(of)}.add({_said(item)})"
        case SetRemove(of=of, item=item):
            return f"{_inner(of)}.remove({_said(item)})"
        case MapGet(of=of, key=key):
            return f"{_inner(of)}[{_said(key)}]"
        case Index(of=of, position=position):
            return f"{_inner(of)}[{position}]"
        case All(variable=variable, over=over, body=body) | AllKeys(variable=variable, over=over, body=body):
            return f"{_inner(over)}.all({variable.name}, {_said(body)})"
        case Exists(variable=variable, over=over, body=body):
            return f"{_inner(over)}.exists({variable.name}, {_said(body)})"
        case ExistsOne(variable=variable, over=over, body=body):
            return f"{_inner(over)}.exists_one({variable.name}, {_said(body)})"
        case _:
            assert_never(expr)


def _inner(expr: Expr) -> str:
    """In brackets, where what stands around could bind more closely."""
    text = _said(expr)
    loose = isinstance(expr, And | Or | Ite | Eq | Lt | Le | Add | Sub | Mul | Div | Mod | Member | InSet | OriginHas)
    return f"({text})" if loose or (isinstance(expr, Not) and isinstance(expr.operand, Eq)) else text


def _constant(expr: Const) -> str:
    match expr.sort, expr.value:
        case _, bool() as value:
            return str(value).lower()
        case DecimalSort(scale=scale), int() as value:
            return show_decimal(value, scale)
        case TimestampSort(), int() as value:
            return f"timestamp('{show_timestamp(value)}')"
        case DurationSort(), int() as value:
            return f"duration('{show_duration(value)}')"
        case _, str() as value:
            return json.dumps(value, ensure_ascii=False)
        case _, value:
            return str(value)
