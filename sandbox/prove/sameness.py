"""What `same` of a `needs` compares: values of a call with constants that stand for any values, but always the same.

An earlier call counts for a later one if both have these very values. Whatever they are: let constants be the later
call's (Skolem's), and look only for earlier calls that have those. The constants are facts whose names begin with
`same.`; every step of a proof and every call of a sequence has the same ones. A record has one for each scalar in it
and for whether an optional part is there, a list one for its size and one for each place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from sandbox.errors import Fault
from sandbox.ir import (
    TRUE,
    URL_SORT,
    And,
    Arg,
    ArgType,
    BoolSort,
    Const,
    Contract,
    Eq,
    Expr,
    Fact,
    Field,
    FieldSort,
    Has,
    HasField,
    Index,
    IntSort,
    Ite,
    ListSort,
    ListType,
    Lt,
    Not,
    RecordSort,
    RecordType,
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
"""Parts of a URL that its host decides: two URLs that are equal in the others are equal.

Of a record that an author declared with the parts of a URL it is not so, and sorts do not tell the two apart.
"""


def commons(exprs: Iterable[Expr]) -> dict[str, ScalarSort]:
    """The constants in some expressions that stand for what calls have in common, with their sorts."""
    return {name: sort for expr in exprs for name, sort in facts_in(expr).items() if name.startswith(PREFIX)}


def there(contract: Contract, tool: Tool, path: str) -> Expr:
    """Whether a call of the tool has a value at the path. Raises Fault where the tool knows no such path."""
    return _at(contract, tool, path)[1]


def equal(contract: Contract, tool: Tool, path: str) -> Expr:
    """Whether the value at the path, which is there, is the one that the constants stand for. Raises Fault."""
    value, _, sort = _at(contract, tool, path)
    return _equal(value, sort, f"{PREFIX}{path}", frozenset() if _has_look_alikes(contract) else _OF_THE_HOST)


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


def _has_look_alikes(contract: Contract) -> bool:
    """Whether a record of some tool has the parts of a URL."""
    types = (part for tool in contract.tools for argument in tool.arguments for part in _types_in(argument.type))
    return any(isinstance(each, RecordType) and sort_of(each) == URL_SORT for each in types)


def _types_in(type_: ArgType) -> Iterator[ArgType]:
    yield type_
    match type_:
        case RecordType(fields=fields):
            for each in fields:
                yield from _types_in(each.type)
        case ListType(items=items):
            yield from _types_in(items)
        case _:
            pass


def _equal(value: Expr, sort: Sort, name: str, decided: frozenset[str]) -> Expr:
    """Equality with the constants of this name; `decided` are the parts of a URL that are equal where the rest is."""
    match sort:
        case RecordSort(fields=fields):
            parts = [each for each in fields if sort != URL_SORT or each.name not in decided]
            return And(tuple(_equal_part(value, each, name, decided) for each in parts))
        case ListSort(item=item, max_size=most):
            size = Size(value)
            places = (
                Ite(Lt(_number(at), size), _equal(Index(value, at), item, f"{name}@{at}", decided), TRUE)
                for at in range(most)
            )
            return And((Eq(size, Fact(f"{name}@size", IntSort())), *places))
        case _:
            return Eq(value, _fact(name, sort))


def _equal_part(value: Expr, part: FieldSort, name: str, decided: frozenset[str]) -> Expr:
    same = _equal(Field(value, part.name, part.sort), part.sort, f"{name}.{part.name}", decided)
    if not part.optional:
        return same
    there_too = Fact(f"{name}.{part.name}@there", BoolSort())
    return Ite(HasField(value, part.name), And((there_too, same)), Not(there_too))


def _number(value: int) -> Const:
    return Const(value, IntSort())
