"""Which lookups of a tool may be of an item or key outside of the declared type, which denies whatever the rules say.

A rule that is not evaluated to its end looks up less, so that no term says which calls these are: it is only told
whether there may be any, read off from the types of what stands as a key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

from sandbox.ir import (
    All,
    Arg,
    ArgType,
    ArgvType,
    Bound,
    Const,
    Contract,
    EnumType,
    Exists,
    ExistsOne,
    Expr,
    Fact,
    Field,
    Index,
    InSet,
    ListType,
    MapGet,
    RecordType,
    SetAdd,
    SetRemove,
    State,
    StringType,
    Tool,
)
from sandbox.lang.walk import parts, within
from sandbox.parse import MAX_WORD

LONGEST: Final = 16_384
"""Characters of any string that rules see: a type of that size with no pattern refuses none."""

_Bounds: TypeAlias = Mapping[str, ArgType | None]


def looked_up_outside(contract: Contract, tool: Tool) -> frozenset[str]:
    """The sets and maps that a call may look up, or write, at an item or key that is outside of their type."""
    types = {variable.name: variable.key for variable in contract.variables}
    return frozenset(
        name
        for name, key, bounds in _lookups(tool)
        if (type_ := types.get(name)) is not None and not _inside(key, type_, contract, tool, bounds)
    )


def _lookups(tool: Tool) -> Iterator[tuple[str, Expr, _Bounds]]:
    """Each variable with what stands as its item or key, and the types of the elements that this may name."""
    steps = (*tool.then, *tool.on_success)
    for root in (*(rule.when for rule in tool.rules), *(step.value for step in steps)):
        yield from _in_expression(root, tool, {})
    for step in steps:
        if step.key is not None:
            yield step.variable, step.key, {}
            yield from _in_expression(step.key, tool, {})


def _in_expression(expr: Expr, tool: Tool, bounds: _Bounds) -> Iterator[tuple[str, Expr, _Bounds]]:
    match expr:
        case (
            All(variable=variable, over=over)
            | Exists(variable=variable, over=over)
            | ExistsOne(variable=variable, over=over)
        ):
            bounds = {**bounds, variable.name: _item(_type(over, tool, {}, bounds))}
        case InSet(item=key, of=of) | SetAdd(item=key, of=of) | SetRemove(item=key, of=of) | MapGet(key=key, of=of):
            yield from ((each.name, key, bounds) for each in within(of) if isinstance(each, State))
        case _:
            pass
    for part in parts(expr):
        yield from _in_expression(part, tool, bounds)


def _inside(key: Expr, type_: StringType | EnumType, contract: Contract, tool: Tool, bounds: _Bounds) -> bool:
    if isinstance(key, Const):
        return True  # a constant outside is refused at load
    facts = {f"session.{fact.name}": fact.type for fact in contract.session}
    return _is_part(_type(key, tool, facts, bounds), type_)


def _type(expr: Expr, tool: Tool, facts: Mapping[str, ArgType], bounds: _Bounds) -> ArgType | None:
    """The declared type of a value; None where it has none of its own."""
    match expr:
        case Arg(name=name):
            return next((argument.type for argument in tool.arguments if argument.name == name), None)
        case Fact(name=name):
            return facts.get(name)
        case Bound(name=name):
            return bounds.get(name)
        case Index(of=of):
            return _item(_type(of, tool, facts, bounds))
        case Field(of=of, name=name):
            whole = _type(of, tool, facts, bounds)
            fields = whole.fields if isinstance(whole, RecordType) else ()
            return next((part.type for part in fields if part.name == name), None)
        case _:
            return None


def _item(type_: ArgType | None) -> ArgType | None:
    match type_:
        case ListType(items=items):
            return items
        case ArgvType():
            return StringType(None, 0, MAX_WORD)
        case _:
            return None


def _is_part(one: ArgType | None, whole: StringType | EnumType) -> bool:
    """Whether every value of the one is one of the whole, as far as that can be read off."""
    match one, whole:
        case EnumType(values=values), EnumType(values=every):
            return set(values) <= set(every)
        case StringType(), StringType():
            matched = whole.pattern in {None, one.pattern}
            return matched and whole.min_size <= one.min_size and one.max_size <= whole.max_size
        case _, StringType(pattern=None, min_size=0, max_size=size):
            return size >= LONGEST
        case _:
            return False
