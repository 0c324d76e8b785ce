"""`same` of a `needs`: by which values an earlier call and a later one are compared, and that they can be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sandbox.errors import SpecError
from sandbox.ir import (
    And,
    Argument,
    Const,
    Contract,
    Eq,
    Expr,
    Fact,
    Ite,
    ListSort,
    Not,
    Or,
    RecordSort,
    Sort,
    TextSort,
    Tool,
    sort_of,
)
from sandbox.lang import SourceText, read_path
from sandbox.lang.source import Problems, shown
from sandbox.lang.suggest import near_miss

PATH: Final = "`same` names values of a call; write `args.NAME`, a field of it, or `session.NAME`"


def paths_of(
    contract: Contract,
    sources: Iterable[SourceText],
    before: Expr,
    after: tuple[Expr, tuple[str, ...]],
    problems: Problems,
) -> tuple[str, ...] | None:
    """The paths of `same`, each once; None where one is wrong, which is noted.

    Every tool whose call can be the earlier or (of those that `after` ranges over) the later one must have a value of
    the same sort at each.
    """
    earlier = {tool.name for tool in contract.tools if _can_be(before, tool)}
    later = {tool.name for tool in contract.tools if tool.name in after[1] and _can_be(after[0], tool)}
    tools = [tool for tool in contract.tools if tool.name in earlier | later]
    found: list[str] = []
    wrong = False
    for source in sources:
        try:
            found.append(_path(contract, tools, source))
        except SpecError as error:
            wrong = True
            for problem in error.problems:
                problems.add(problem)
    return None if wrong else tuple(dict.fromkeys(found))


def _path(contract: Contract, tools: list[Tool], source: SourceText) -> str:
    """The path that a text says. Raises SpecError."""
    path = read_path(source)
    names = tuple(name for name in path or () if isinstance(name, str))
    if path is None or names != path or len(path) < 2 or path[0] not in {"args", "session"}:  # noqa: PLR2004 - root and name
        raise _wrong(source, PATH)
    if path[0] == "session":
        _check_comparable(source, _step(source, "the session", contract.session, names[1:]))
    first: tuple[Tool, Sort] | None = None
    for tool in tools if path[0] == "args" else ():
        sort = _step(source, f"tool `{tool.name}`", tool.arguments, names[1:])
        _check_comparable(source, sort)
        if first is not None and not _alike(first[1], sort):
            message = f"{shown(source.text)} has another type in `{tool.name}` than in `{first[0].name}`"
            raise _wrong(source, f"{message}; values are compared that have equal types")
        first = first or (tool, sort)
    return ".".join(names)


def _step(source: SourceText, whose: str, declared: tuple[Argument, ...], names: tuple[str, ...]) -> Sort:
    what = "fact" if whose == "the session" else "argument"
    argument = next((each for each in declared if each.name == names[0]), None)
    if argument is None:
        near = near_miss(names[0], (each.name for each in declared))
        means = "" if what == "fact" else f"; say in `before` and `after` which tools are meant{near}"
        raise _wrong(source, f"{whose} has no {what} {shown(names[0])}{means or near}")
    sort = sort_of(argument.type)
    for name in names[1:]:
        field = sort.field(name) if isinstance(sort, RecordSort) else None
        if field is None:
            fields = [each.name for each in sort.fields] if isinstance(sort, RecordSort) else []
            raise _wrong(source, f"{shown(source.text)} of {whose} has no field {shown(name)}{near_miss(name, fields)}")
        sort = field.sort
    return sort


def _check_comparable(source: SourceText, sort: Sort) -> None:
    match sort:
        case TextSort():
            raise _wrong(
                source, f"{shown(source.text)} is a text, of which only the size is known; compare another value"
            )
        case ListSort(item=ListSort()):
            raise _wrong(
                source, f"{shown(source.text)} is a command line, which is not compared; compare another value"
            )
        case ListSort(item=item):
            _check_comparable(source, item)
        case RecordSort(fields=fields):
            for each in fields:
                _check_comparable(source, each.sort)
        case _:
            pass


def _alike(one: Sort, other: Sort) -> bool:
    """Whether values of both sorts can be equal, and are compared in the same way."""
    match one, other:
        case ListSort(item=item), ListSort(item=another):
            return _alike(item, another)
        case RecordSort(fields=fields), RecordSort(fields=others):
            return len(fields) == len(others) and all(
                (each.name, each.optional) == (twin.name, twin.optional) and _alike(each.sort, twin.sort)
                for each, twin in zip(fields, others, strict=True)
            )
        case _:
            return one == other


def _can_be(condition: Expr, tool: Tool) -> bool:
    """Whether the condition is more than `false` of the tool, by what it says of `tool` alone."""
    return _truth(condition, tool) is not False


def _truth(condition: Expr, tool: Tool) -> bool | None:
    match condition:
        case Const(value=bool() as value):
            return value
        case Eq(left=Fact(name="tool"), right=Const(value=name)) | Eq(left=Const(value=name), right=Fact(name="tool")):
            return name == tool.name
        case Not(operand=operand):
            inner = _truth(operand, tool)
            return None if inner is None else not inner
        case And(operands=operands) | Or(operands=operands):
            ends = isinstance(condition, Or)
            inners = [_truth(each, tool) for each in operands]
            return ends if ends in inners else (not ends if None not in inners else None)
        case Ite(condition=test, then=then, otherwise=otherwise):
            known = _truth(test, tool)
            return None if known is None else _truth(then if known else otherwise, tool)
        case _:
            return None


def _wrong(source: SourceText, message: str) -> SpecError:
    return SpecError((source.problem(0, message),))
