"""What one decision can cost at worst: atoms x characters x elements, bounded when the spec is loaded.

Every meaning of a rule is linear in this figure, the solver's too, so that no call can take it past its deadline.
The solver writes every quantifier out, once for each element that a list can have; how much that is, is bounded too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from sandbox.compile.measure import MAX_PARTS, Measures
from sandbox.ir import (
    All,
    ArgvType,
    Assignment,
    Contains,
    Contract,
    EndsWith,
    Eq,
    Exists,
    ExistsOne,
    Expr,
    InSet,
    Ite,
    Le,
    ListType,
    Lower,
    Lt,
    MapGet,
    Matches,
    Member,
    PathType,
    Rule,
    SetAdd,
    SetRemove,
    ShellType,
    StartsWith,
    StringType,
    Tool,
)
from sandbox.lang.reach import Command, Reached, bound, declared, element_of, element_on_average, most_size
from sandbox.lang.walk import parts
from sandbox.stages import stages_of

Types: TypeAlias = Mapping[str, Reached]

MAX_COST: Final = 8_000_000
"""Character steps of one decision: about a second in the slower engine, which is half its deadline."""

MAX_TERMS: Final = 100_000
"""Terms of one tool once its quantifiers are written out: the solver builds them in about a second."""

PART_SHARE: Final = 16
"""Characters of a variable part that one step compares, in the search for it from every character of its subject."""

LOOKUP: Final = 10
"""Steps of a lookup in a set or map: its key is checked against its type, whatever the set holds."""

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
        _check_parts(tool, note)
        for judged in (tool, *stages_of(tool)):
            _check_written_out(contract, judged, note)
            _check_cost(contract, judged, note)


def _check_cost(contract: Contract, tool: Tool, note: Callable[..., None]) -> None:
    terms = tool_terms(contract, tool)
    total = sum(term.cost for term in terms)
    if total > MAX_COST:
        worst = max(terms, key=lambda term: term.cost)
        message = f"a decision could take {total:,} steps, of which {worst.name} takes {worst.cost:,}"
        message = f"{message}, and {MAX_COST:,} are allowed; declare smaller sizes"
        note(message, *worst.path)


def _rules_at(tool: Tool) -> list[tuple[Rule, tuple[str | int, ...]]]:
    """Each rule of a tool, or of what is judged after its calls, with its path in the file."""
    name, _, stage = tool.name.partition("@")
    if stage:
        return [(rule, ("tools", name, stage, at)) for at, rule in enumerate(tool.rules)]
    return [(rule, ("tools", name, "rules", at, rule.kind)) for at, rule in enumerate(tool.rules)]


def _check_parts(tool: Tool, note: Callable[..., None]) -> None:
    measures = Measures()
    sizes = {argument.name: measures.of(argument.type).parts for argument in tool.arguments}
    total = sum(sizes.values())
    if total > MAX_PARTS:
        worst = max(sizes, key=lambda name: sizes[name])
        message = f"the arguments of `{tool.name}` are up to {total:,} values, of which this is {sizes[worst]:,}"
        note(f"{message}, and {MAX_PARTS:,} are allowed; declare shorter lists", "tools", tool.name, "args", worst)


def _check_written_out(contract: Contract, tool: Tool, note: Callable[..., None]) -> None:
    types = _types_of(contract, tool)
    sizes = [(written_out(rule.when, types), path) for rule, path in _rules_at(tool)]
    at = ("tools", tool.name)
    sizes += [(_written_out_in(step, types), (*at, key, step.target)) for key, step in _assignments(tool)]
    total = sum(size for size, _ in sizes)
    if total > MAX_TERMS:
        worst, path = max(sizes, key=lambda sized: sized[0])
        message = f"written out, the rules of `{tool.name}` are {total:,} terms, of which this is {worst:,}"
        message = f"{message}, and {MAX_TERMS:,} are allowed; declare shorter lists, or split the tool"
        note(message, *path)


def _types_of(contract: Contract, tool: Tool) -> dict[str, Reached]:
    facts: dict[str, Reached] = {f"session.{fact.name}": fact.type for fact in contract.session}
    return facts | {argument.name: argument.type for argument in tool.arguments}


def written_out(expr: Expr, types: Types) -> int:
    """How many terms an expression is once every quantifier stands there for each element."""
    match expr:
        case All() | Exists() | ExistsOne():
            return 1 + _elements(expr.over, types) * (1 + written_out(expr.body, _inside(expr, types)))
        case Member(item=item, of=of):
            return 1 + written_out(item, types) + 2 * _elements(of, types)
        case _:
            return 1 + sum(written_out(part, types) for part in parts(expr))


def tool_terms(contract: Contract, tool: Tool) -> list[Term]:
    """What each rule and assignment of a tool costs at worst."""
    types = _types_of(contract, tool)
    at = ("tools", tool.name)
    rules = [Term(path, f"rule `{rule.id}`", cost(rule.when, types)) for rule, path in _rules_at(tool)]
    return rules + [
        Term((*at, key, step.target), f"`{key}` of `{step.target}`", _cost_of(step, types))
        for key, step in _assignments(tool)
    ]


def _assignments(tool: Tool) -> list[tuple[str, Assignment]]:
    return [*(("then", step) for step in tool.then), *(("on_success", step) for step in tool.on_success)]


def _written_out_in(step: Assignment, types: Types) -> int:
    return written_out(step.value, types) + (0 if step.key is None else written_out(step.key, types))


def _cost_of(step: Assignment, types: Types) -> int:
    return cost(step.value, types) + (
        0 if step.key is None else cost(step.key, types) + LOOKUP + _characters(step.key, types)
    )


def cost(expr: Expr, types: Types) -> int:
    """Steps to evaluate an expression on the largest call."""
    match expr:
        case All() | Exists() | ExistsOne():
            return 1 + _elements(expr.over, types) * cost(expr.body, _inside(expr, types))
    inner = sum(cost(part, types) for part in parts(expr))
    match expr:
        case Member(of=of):
            return 1 + inner + _elements(of, types) * _characters(of, types)
        case Contains(subject=subject, part=part):
            compared = max(1, _characters(part, types) // PART_SHARE)
            return 1 + inner + _characters(subject, types) * compared
        case StartsWith(subject=subject) | EndsWith(subject=subject) | Matches(subject=subject):
            return 1 + inner + _characters(subject, types)
        case InSet(item=key) | SetAdd(item=key) | SetRemove(item=key) | MapGet(key=key):
            return LOOKUP + inner + _characters(key, types)
        case Lt(left=left, right=right) | Le(left=left, right=right) | Eq(left=left, right=right):
            return 1 + inner + min(_characters(left, types), _characters(right, types))
        case _:
            return 1 + inner


def _elements(expr: Expr, types: Types) -> int:
    return most_size(declared(expr, types))


def _inside(quantifier: All | Exists | ExistsOne, types: Types) -> dict[str, Reached]:
    over = declared(quantifier.over, types)
    element = None if over is None else element_on_average(over)
    return {**types} if element is None else {**types, bound(quantifier.variable.name): element}


def _characters(expr: Expr, types: Types) -> int:
    match expr:
        case Lower(operand=operand):
            return _characters(operand, types)
        case Ite(then=then, otherwise=otherwise):
            return max(_characters(then, types), _characters(otherwise, types))
        case _:
            return _longest(declared(expr, types))


def _longest(type_: Reached | None) -> int:
    match type_:
        case StringType(max_size=size):
            return size
        case PathType():
            return MAX_PATH
        case ListType() | ArgvType() | ShellType() | Command():
            element = element_of(type_)
            return _longest(element)
        case _:
            return 1
