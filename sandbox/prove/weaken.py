"""An expression made true a little more often, or a little less: the slips that an author makes, one at a time.

What another part of the expression rests on (that an optional value is there, that a list is long enough) is left
alone, so that no mutant can fail where the original could not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from sandbox.ir import (
    FALSE,
    TRUE,
    Add,
    All,
    And,
    Const,
    Contains,
    EndsWith,
    Eq,
    Exists,
    Expr,
    Has,
    HasField,
    Index,
    InSet,
    IntSort,
    Le,
    Lt,
    Matches,
    Member,
    Not,
    Or,
    OriginHas,
    Size,
    StartsWith,
)
from sandbox.lang.walk import within


def weaker(expr: Expr) -> Iterator[Expr]:
    """Each expression that is `expr` with one part changed so that it can only be true more often."""
    match expr:
        case And(operands=operands):
            yield from _without_one(operands, expr, And)
            yield from _one_changed(operands, weaker, And)
        case Or(operands=operands):
            yield from _one_changed(operands, weaker, Or)
        case Not(operand=operand):
            yield from (Not(each) for each in stronger(operand))
        case Lt(left=left, right=right):
            yield Le(left, right)
        case Le(left=left, right=right) if _is_number(right) or _is_number(left):
            yield Le(left, Add(right, Const(1, IntSort())))
        case All(variable=variable, over=over, body=body):
            yield Exists(variable, over, body)
            yield from (replace(expr, body=each) for each in weaker(body))
        case Exists(body=body):
            yield from (replace(expr, body=each) for each in weaker(body))
        case StartsWith(part=Const(value=str() as text, sort=sort)) if text:
            yield replace(expr, part=Const(text[:-1], sort))
        case EndsWith(part=Const(value=str() as text, sort=sort)) if text:
            yield replace(expr, part=Const(text[1:], sort))
        case Contains(part=Const(value=str() as text, sort=sort)) if text:
            yield replace(expr, part=Const(text[:-1], sort))
        case Matches() | Member() | InSet() | OriginHas() | Eq():
            yield TRUE
        case _:
            return


def stronger(expr: Expr) -> Iterator[Expr]:
    """Each expression that is `expr` with one part changed so that it can only be true less often."""
    match expr:
        case And(operands=operands):
            yield from _one_changed(operands, stronger, And)
        case Or(operands=operands):
            yield from _without_one(operands, expr, Or)
            yield from _one_changed(operands, stronger, Or)
        case Not(operand=operand):
            yield from (Not(each) for each in weaker(operand))
        case Le(left=left, right=right):
            yield Lt(left, right)
        case Lt(left=left, right=right) if _is_number(right) or _is_number(left):
            yield Lt(Add(left, Const(1, IntSort())), right)
        case Exists(variable=variable, over=over, body=body):
            yield All(variable, over, body)
            yield from (replace(expr, body=each) for each in stronger(body))
        case All(body=body):
            yield from (replace(expr, body=each) for each in stronger(body))
        case StartsWith() | EndsWith() | Contains() | Matches() | Member() | InSet() | OriginHas() | Eq():
            yield FALSE
        case _:
            return


def _without_one(operands: tuple[Expr, ...], whole: Expr, made: Callable[[tuple[Expr, ...]], Expr]) -> Iterator[Expr]:
    """One operand left out, unless others may rest on it."""
    for at, each in enumerate(operands):
        if not _guards(each, whole):
            yield made((*operands[:at], *operands[at + 1 :]))


def _one_changed(
    operands: tuple[Expr, ...],
    change: Callable[[Expr], Iterator[Expr]],
    made: Callable[[tuple[Expr, ...]], Expr],
) -> Iterator[Expr]:
    for at, each in enumerate(operands):
        if not _guards(each, made(operands)):
            yield from (made((*operands[:at], changed, *operands[at + 1 :])) for changed in change(each))


def _guards(part: Expr, whole: Expr) -> bool:
    """Whether something may be read only because this part says that it is there."""
    inside = tuple(within(part))
    if any(isinstance(each, Has | HasField) for each in inside):
        return True
    return any(isinstance(each, Size) for each in inside) and any(isinstance(each, Index) for each in within(whole))


def _is_number(expr: Expr) -> bool:
    return isinstance(expr, Const) and type(expr.value) is int
