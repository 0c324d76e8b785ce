"""Expressions rewritten from the inside out: arguments by other expressions, variables by other names, enums by wider.

What nothing changes is returned as it is, so that equal expressions stay one and the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import TypeAlias, get_args

from sandbox.ir import (
    CollectionSort,
    EnumSort,
    EnumType,
    Expr,
    FieldSort,
    ListSort,
    MapSort,
    RecordSort,
    SetSort,
    Sort,
    State,
    Variable,
)

Wider: TypeAlias = Mapping[tuple[str, ...], tuple[str, ...]]
"""Of the values of an enum, those of the wider one that it is part of."""

_EXPRESSIONS = get_args(Expr)


def rewritten(expr: Expr, change: Callable[[Expr], Expr]) -> Expr:
    """The expression with every part of it changed, each after its own parts."""
    changed: dict[str, object] = {}
    for each in fields(expr):
        value = getattr(expr, each.name)
        if isinstance(value, _EXPRESSIONS):
            new: object = rewritten(value, change)
        elif isinstance(value, tuple):
            new = tuple(rewritten(item, change) if isinstance(item, _EXPRESSIONS) else item for item in value)
        else:
            continue
        if new != value:
            changed[each.name] = new
    return change(replace(expr, **changed) if changed else expr)  # type: ignore[arg-type]  # fields of this very node


def renamed(expr: Expr, names: Mapping[str, str]) -> Expr:
    """The expression about the same state under other names."""

    def change(part: Expr) -> Expr:
        return replace(part, name=names[part.name]) if isinstance(part, State) and part.name in names else part

    return rewritten(expr, change)


def widened(expr: Expr, wider: Wider) -> Expr:
    """The expression with wider enums."""

    def change(part: Expr) -> Expr:
        sort = getattr(part, "sort", None)
        if sort is None or (wide := wide_sort(sort, wider)) == sort:
            return part
        return replace(part, sort=wide)  # type: ignore[arg-type]  # it has a sort, as was just seen

    return rewritten(expr, change) if wider else expr


def wide_sort(sort: Sort | CollectionSort, wider: Wider) -> Sort | CollectionSort:
    """The sort with wider enums in it."""
    match sort:
        case EnumSort(values=values):
            return EnumSort(wider.get(values, values))
        case ListSort(item=item):
            return replace(sort, item=_plain(item, wider))
        case RecordSort(fields=parts):
            return RecordSort(tuple(FieldSort(p.name, _plain(p.sort, wider), p.optional) for p in parts))
        case SetSort(item=EnumSort(values=values)):
            return SetSort(EnumSort(wider.get(values, values)))
        case MapSort(key=EnumSort(values=values)):
            return replace(sort, key=EnumSort(wider.get(values, values)))
        case _:
            return sort


def _plain(sort: Sort, wider: Wider) -> Sort:
    wide = wide_sort(sort, wider)
    return sort if isinstance(wide, SetSort | MapSort) else wide


def wide_variable(variable: Variable, wider: Wider) -> Variable:
    """The variable with wider enums."""
    sort = wide_sort(variable.sort, wider)
    key = variable.key
    if isinstance(key, EnumType):
        key = EnumType(wider.get(key.values, key.values))
    return replace(variable, sort=sort, key=key)  # type: ignore[arg-type]  # a sort of the state stays one
