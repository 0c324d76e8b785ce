"""Items of sets and keys of maps: at exactly the sort that the variable declares.

A constant outside of the declared type is refused where it stands; what a call looks up is checked when it runs.
"""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.ir import Const, EnumSort, EnumType, Expr, Ite, MapSort, SetSort, StringSort, StringType, Variable
from sandbox.lang.operands import Here, Kept, as_sort, mismatch
from sandbox.lang.source import Refused, shown


def as_key(here: Here, variable: Variable) -> Expr:
    """The operand as an item of the set, or a key of the map. Raises Refused."""
    expr = as_sort(here, key_sort(variable), f"`state.{variable.name}`")
    for value in _constants(expr):
        if not _inside(value, variable.key):
            message = f"{shown(value)} is outside of the declared type of `state.{variable.name}`"
            raise Refused(here.start, f"{message}; nothing like it is ever kept there")
    return expr


def key_sort(variable: Variable) -> StringSort | EnumSort:
    """The sort of a set's items or a map's keys; of any other variable, which has none, that of a string."""
    match variable.sort:
        case SetSort(item=sort) | MapSort(key=sort):
            return sort
        case _:
            return StringSort()


def as_change(here: Here, variable: Variable) -> Expr:
    """The operand as what `then` may make of a set: itself, with items that come and go. Raises Refused."""
    match here.operand:
        case Kept(expr=expr, variable=changed) if changed.name == variable.name:
            return expr
        case Kept(variable=other):
            message = f"`state.{variable.name}` changes by its own `add` and `remove`; `state.{other.name}` is another"
            raise Refused(here.start, f"{message} variable")
        case _:
            raise mismatch(here, f"a set such as `state.{variable.name}.add(...)`")


def _constants(expr: Expr) -> Iterator[str]:
    match expr:
        case Const(value=str(value)):
            yield value
        case Ite(then=then, otherwise=otherwise):
            yield from _constants(then)
            yield from _constants(otherwise)
        case _:
            pass


def _inside(value: str, type_: StringType | EnumType | None) -> bool:
    match type_:
        case StringType(pattern=pattern, min_size=low, max_size=high):
            return low <= len(value) <= high and (pattern is None or _matches(pattern, value))
        case EnumType(values=values):
            return value in values
        case None:
            return True


def _matches(pattern: str, value: str) -> bool:
    from sandbox.regex import full_matcher  # noqa: PLC0415 - RE2 loads only where there are patterns

    return full_matcher(pattern)(value)
