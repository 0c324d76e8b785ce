"""`== != < <= > >=` and `in`, on operands that are brought to one sort first."""

from __future__ import annotations

from typing import Final

from sandbox.ir import (
    FALSE,
    And,
    Const,
    DecimalSort,
    DurationSort,
    Eq,
    Expr,
    Index,
    InSet,
    IntSort,
    Le,
    ListSort,
    Lower,
    Lt,
    MapSort,
    Member,
    Not,
    Or,
    RecordSort,
    Size,
    State,
    StringSort,
    TimestampSort,
)
from sandbox.lang.keys import as_key
from sandbox.lang.operands import Here, Kept, Lowered, Typed, as_sort, at_one_sort, kind, mismatch, own_sort
from sandbox.lang.scope import Items, Word
from sandbox.lang.source import Refused
from sandbox.lang.syntax import Listing

_EXISTS: Final = "write `exists(x, ...)`"


def related(operator: str, left: Here, right: Here) -> Expr:
    """`left operator right`, in the IR's four shapes: equal, not equal, less, less or equal."""
    match operator:
        case "==":
            return _equal(left, right)
        case "!=":
            return Not(_equal(left, right))
    one, other = _ordered(left, right)
    match operator:
        case "<":
            return Lt(one, other)
        case "<=":
            return Le(one, other)
        case ">":
            return Lt(other, one)
        case _:
            return Le(other, one)


def _equal(left: Here, right: Here) -> Expr:
    match left.operand, right.operand:
        case Typed(sort=ListSort()), Items():
            return _list_equal(left, right)
        case Items(), Typed(sort=ListSort()):
            return _list_equal(right, left)
        case Typed(sort=ListSort()), Typed(sort=ListSort()):
            raise Refused(right.start, "two list arguments cannot be compared; compare each with a list of constants")
        case Lowered(expr=expr), Word(value=text):
            return Eq(Lower(expr), Const(text, StringSort()))
        case Word(value=text), Lowered(expr=expr):
            return Eq(Lower(expr), Const(text, StringSort()))
        case _:
            one, other, _ = at_one_sort(left, right)
            return Eq(one, other)


def _list_equal(argument: Here, constants: Here) -> Expr:
    match argument.operand:
        case Typed(expr=expr, sort=ListSort(item=item, max_size=max_size)):
            wanted = [as_sort(value, item, argument.source) for value in items_of(constants)]
        case _:
            raise mismatch(argument, "a list argument")
    if len(wanted) > max_size:
        return FALSE
    same_size = Eq(Size(expr), Const(len(wanted), IntSort()))
    return And((same_size, *(Eq(Index(expr, at), value) for at, value in enumerate(wanted))))


def _ordered(left: Here, right: Here) -> tuple[Expr, Expr]:
    one, other, sort = at_one_sort(left, right)
    if not isinstance(sort, IntSort | DecimalSort | StringSort | TimestampSort | DurationSort):
        raise mismatch(left, "int, decimal, string, timestamp or duration")
    return one, other


def member(left: Here, right: Here) -> Expr:
    """`left in right`: one of some constants, or an element of a list argument."""
    match left.operand, right.operand:
        case _, Kept():
            return _in_kept(left, right, right.operand)
        case Lowered(expr=expr), Items():
            words = (as_sort(word, StringSort(), left.source) for word in items_of(right))
            return Or(tuple(Eq(Lower(expr), word) for word in words))
        case _, Items():
            own_sort(left)
            pairs = [at_one_sort(left, item) for item in items_of(right)]
            return Or(tuple(Eq(one, other) for one, other, _ in pairs))
        case _, Typed(sort=ListSort(item=ListSort() | RecordSort())):
            raise Refused(
                right.start, f"`in` needs single values, found {kind(right.operand)} {right.source}; {_EXISTS}"
            )
        case _, Typed(expr=expr, sort=ListSort(item=item)):
            return Member(as_sort(left, item, right.source), expr)
        case _:
            raise mismatch(right, "a list or set")


def _in_kept(left: Here, right: Here, kept: Kept) -> Expr:
    name = kept.variable.name
    if isinstance(kept.variable.sort, MapSort):
        remedy = f"a map has a value for every key, `state.{name}[KEY]`"
        raise Refused(right.start, f"`in` asks a list or a set, and {right.source} is a map; {remedy}")
    if not isinstance(kept.expr, State):
        message = f"`in` asks the set as it is before the call, `state.{name}`; `add` and `remove` stand in `then` only"
        raise Refused(right.start, message)
    return InSet(as_key(left, kept.variable), kept.expr)


def items_of(of: Here) -> list[Here]:
    """The constants of a list, each with the place it was written at (that of the name, for a list from `define`)."""
    match of.operand, of.node:
        case Items(items=items), Listing(items=nodes):
            return [Here(item, node, of.text) for item, node in zip(items, nodes, strict=True)]
        case Items(items=items), _:
            return [Here(item, of.node, of.text) for item in items]
        case _:
            raise mismatch(of, "a list of constants")
