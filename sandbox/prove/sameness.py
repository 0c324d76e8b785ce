"""What `same` of a `needs` compares: values of a call with constants that stand for any values, but always the same.

An earlier call counts for a later one if both have these very values. Whatever they are: let constants be the later
call's (Skolem's), and look only for earlier calls that have those. The constants are facts whose names begin with
`same.`; every step of a proof and every call of a sequence has the same ones. A record has one for each scalar in it
and for whether an optional part is there, a list one for its size and one for each place.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sandbox.errors import Fault
from sandbox.ir import (
    TRUE,
    URL_SORT,
    And,
    Arg,
    BoolSort,
    Const,
    Contract,
    Eq,
    Expr,
    Fact,
    Field,
    Has,
    HasField,
    Index,
    IntSort,
    Ite,
    ListSort,
    Lt,
    Not,
    RecordSort,
    ScalarSort,
    Size,
    Sort,
    TextSort,
    Tool,
    sort_of,
)
from sandbox.prove.mentions import facts_in

PREFIX: Final = "same."

_OF_THE_HOST: Final = frozenset({"is_ip", "is_private"})
"""Parts of a URL that its host decides: two URLs that are equal in the others are equal."""


def commons(exprs: Iterable[Expr]) -> dict[str, ScalarSort]:
    """The constants in some expressions that stand for what calls have in common, with their sorts."""
    return {name: sort for expr in exprs for name, sort in facts_in(expr).items() if name.startswith(PREFIX)}


def there(contract: Contract, tool: Tool, path: str) -> Expr:
    """Whether a call of the tool has a value at the path. Raises Fault where the tool knows no such path."""
    return _at(contract, tool, path)[1]


def equal(contract: Contract, tool: Tool, path: str) -> Expr:
    """Whether the value at the path, which is there, is the one that the constants stand for. Raises Fault."""
    value, _, sort = _at(contract, tool, path)
    return _equal(value, sort, f"{PREFIX}{path}")


def sort_at(contract: Contract, tool: Tool, path: str) -> Sort:
    """The sort of what is at the path. Raises Fault where the tool knows no such path."""
    return _at(contract, tool, path)[2]


def _at(contract: Contract, tool: Tool, path: str) -> tuple[Expr, Expr, Sort]:
    """What is at the path, whether it is there, and its sort."""
    root, name, *rest = path.split(".")
    declared = {"args": tool.arguments, "session": contract.session}.get(root, ())
    found = next((each for each in declared if each.name == name), None)
    if found is None:
        raise _nowhere(tool, path)
    sort = sort_of(found.type)
    is_there: list[Expr] = [Has(name)] if root == "args" and found.optional else []
    value: Expr = Arg(name, sort) if root == "args" else _fact(f"session.{name}", sort)
    for part in rest:
        field = sort.field(part) if isinstance(sort, RecordSort) else None
        if field is None:
            raise _nowhere(tool, path)
        is_there += [HasField(value, part)] if field.optional else []
        value, sort = Field(value, part, field.sort), field.sort
    return value, And(tuple(is_there)), sort


def _nowhere(tool: Tool, path: str) -> Fault:
    return Fault(f"`{tool.name}` has no `{path}`, by which calls are compared")


def _fact(name: str, sort: Sort) -> Fact:
    if isinstance(sort, TextSort | RecordSort | ListSort):
        message = f"`{name}` is no single value"
        raise Fault(message)
    return Fact(name, sort)


def _equal(value: Expr, sort: Sort, name: str) -> Expr:
    match sort:
        case RecordSort(fields=fields):
            parts = [each for each in fields if sort != URL_SORT or each.name not in _OF_THE_HOST]
            return And(tuple(_equal_part(value, each.name, each.sort, name, optional=each.optional) for each in parts))
        case ListSort(item=item, max_size=most):
            size = Size(value)
            places = (
                Ite(Lt(_number(at), size), _equal(Index(value, at), item, f"{name}@{at}"), TRUE) for at in range(most)
            )
            return And((Eq(size, Fact(f"{name}@size", IntSort())), *places))
        case _:
            return Eq(value, _fact(name, sort))


def _equal_part(value: Expr, part: str, sort: Sort, name: str, *, optional: bool) -> Expr:
    same = _equal(Field(value, part, sort), sort, f"{name}.{part}")
    if not optional:
        return same
    there_too = Fact(f"{name}.{part}@there", BoolSort())
    return Ite(HasField(value, part), And((there_too, same)), Not(there_too))


def _number(value: int) -> Const:
    return Const(value, IntSort())
