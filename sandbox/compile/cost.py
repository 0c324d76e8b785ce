"""What one decision can cost at worst: atoms x characters x elements, bounded when the spec is loaded.

Every meaning of a rule is linear in this figure, the solver's too, so that no call can take it past its deadline.
The solver writes every quantifier out, once for each element that a list can have; how much that is, is bounded too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sandbox.ir import (
    All,
    Arg,
    ArgType,
    Bound,
    Contains,
    Contract,
    EndsWith,
    Eq,
    Exists,
    ExistsOne,
    Expr,
    Index,
    Ite,
    Le,
    ListType,
    Lower,
    Lt,
    Matches,
    Member,
    PathType,
    StartsWith,
    StringType,
    Tool,
)
from sandbox.lang.walk import parts

MAX_COST: Final = 8_000_000
"""Character steps of one decision: about a second in the slower engine, which is half its deadline."""

MAX_TERMS: Final = 100_000
"""Terms of one tool once its quantifiers are written out: the solver builds them in about a second."""

PART_SHARE: Final = 16
"""Characters of a variable part that one step compares, in the search for it from every character of its subject."""

MAX_PATH: Final = 4_096
"""Characters of a path."""


@dataclass(frozen=True, slots=True)
class Term:
    """One rule or assignment, and what it costs."""

    path: tuple[str | int, ...]
    name: str
    cost: int


def check(contract: Contract, note: Callable[..., None]) -> None:
    """Notes a problem at the costliest term of every tool whose decision could cost too much."""
    for tool in contract.tools:
        _check_written_out(tool, note)
        terms = tool_terms(tool)
        total = sum(term.cost for term in terms)
        if total > MAX_COST:
            worst = max(terms, key=lambda term: term.cost)
            message = f"a decision could take {total:,} steps, of which {worst.name} takes {worst.cost:,}"
            message = f"{message}, and {MAX_COST:,} are allowed; declare smaller sizes"
            note(message, *worst.path)


def _check_written_out(tool: Tool, note: Callable[..., None]) -> None:
    types = {argument.name: argument.type for argument in tool.arguments}
    sizes: list[tuple[int, tuple[str | int, ...]]] = [
        (written_out(rule.when, types), ("rules", at, rule.kind)) for at, rule in enumerate(tool.rules)
    ]
    sizes += [(written_out(step.value, types), ("then", step.variable)) for step in tool.then]
    total = sum(size for size, _ in sizes)
    if total > MAX_TERMS:
        worst, path = max(sizes, key=lambda sized: sized[0])
        message = f"written out, the rules of `{tool.name}` are {total:,} terms, of which this is {worst:,}"
        message = f"{message}, and {MAX_TERMS:,} are allowed; declare shorter lists, or split the tool"
        note(message, "tools", tool.name, *path)


def written_out(expr: Expr, types: dict[str, ArgType]) -> int:
    """How many terms an expression is once every quantifier stands there for each element."""
    match expr:
        case All() | Exists() | ExistsOne():
            return 1 + _elements(expr.over, types) * (1 + written_out(expr.body, types))
        case Member(item=item, of=of):
            return 1 + written_out(item, types) + 2 * _elements(of, types)
        case _:
            return 1 + sum(written_out(part, types) for part in parts(expr))


def tool_terms(tool: Tool) -> list[Term]:
    """What each rule and assignment of a tool costs at worst."""
    types = {argument.name: argument.type for argument in tool.arguments}
    at = ("tools", tool.name)
    rules = [
        Term((*at, "rules", number, rule.kind), f"rule `{rule.id}`", cost(rule.when, types))
        for number, rule in enumerate(tool.rules)
    ]
    return rules + [
        Term((*at, "then", step.variable), f"`then` of `{step.variable}`", cost(step.value, types))
        for step in tool.then
    ]


def cost(expr: Expr, types: dict[str, ArgType]) -> int:
    """Steps to evaluate an expression on the largest call."""
    match expr:
        case All() | Exists() | ExistsOne():
            return 1 + _elements(expr.over, types) * cost(expr.body, {**types, **_element_type(expr, types)})
    inner = sum(cost(part, types) for part in parts(expr))
    match expr:
        case Member(of=of):
            return 1 + inner + _elements(of, types) * _characters(of, types)
        case Contains(subject=subject, part=part):
            compared = max(1, _characters(part, types) // PART_SHARE)
            return 1 + inner + _characters(subject, types) * compared
        case StartsWith(subject=subject) | EndsWith(subject=subject) | Matches(subject=subject):
            return 1 + inner + _characters(subject, types)
        case Lt(left=left, right=right) | Le(left=left, right=right) | Eq(left=left, right=right):
            return 1 + inner + min(_characters(left, types), _characters(right, types))
        case _:
            return 1 + inner


def _elements(expr: Expr, types: dict[str, ArgType]) -> int:
    type_ = types[expr.name] if isinstance(expr, Arg) else None
    return type_.max_size if isinstance(type_, ListType) else 1


def _element_type(quantifier: All | Exists | ExistsOne, types: dict[str, ArgType]) -> dict[str, ArgType]:
    type_ = types[quantifier.over.name] if isinstance(quantifier.over, Arg) else None
    return {_bound(quantifier.variable.name): type_.items} if isinstance(type_, ListType) else {}


def _bound(name: str) -> str:
    return f"{name} of a quantifier"  # no argument is called so


def _characters(expr: Expr, types: dict[str, ArgType]) -> int:
    match expr:
        case Lower(operand=operand):
            return _characters(operand, types)
        case Ite(then=then, otherwise=otherwise):
            return max(_characters(then, types), _characters(otherwise, types))
        case Arg(name=name):
            return _longest(types[name])
        case Bound(name=name):
            return _longest(types[_bound(name)])
        case Index(of=Arg(name=name)):
            return _longest(types[name])
        case _:
            return 1


def _longest(type_: ArgType) -> int:
    match type_:
        case StringType(max_size=size):
            return size
        case PathType():
            return MAX_PATH
        case ListType(items=items):
            return _longest(items)
        case _:
            return 1
