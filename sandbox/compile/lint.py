"""What is allowed to be written and is seldom meant. Warnings only: no exit code, no decision rests on them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from sandbox.compile.bounds import implies, truth
from sandbox.compile.lint_origins import lint_origins
from sandbox.compile.lint_serving import lint_serving
from sandbox.compile.lint_stages import lint_stages
from sandbox.errors import Place, Problem
from sandbox.ir import (
    All,
    And,
    Arg,
    ArgType,
    Argument,
    ArgWord,
    BoolType,
    Const,
    Contains,
    Contract,
    EmailType,
    EndsWith,
    EnumType,
    Eq,
    Exists,
    ExistsOne,
    Expr,
    Field,
    Index,
    Le,
    ListType,
    Lower,
    Lt,
    Matches,
    Or,
    PathType,
    Rule,
    RunArgv,
    SetAdd,
    SetSort,
    StartsWith,
    State,
    StringType,
    TimestampType,
    Tool,
    UrlType,
    Variable,
)
from sandbox.lang.reach import Reached, bound, declared, element_of, least_size
from sandbox.lang.walk import parts, within
from sandbox.stages import stages_of

_STRICTNESS: Final = {"deny": 0, "ask": 1, "allow": 2}
_NEVER_A_DASH = re.compile(r"\^?[A-Za-z0-9/_]|\^?\[[A-Za-z0-9/_]")


def lint(contract: Contract) -> tuple[Problem, ...]:
    """What looks unintended in a contract, in the order of its places. An empty tuple is no praise."""
    found = [*_of_state(contract), *_of_contract(contract), *lint_serving(contract)]
    for tool in contract.tools:
        found += [*_of_tool(tool), *_of_keys(contract, tool), *_of_argv(tool), *lint_stages(tool), *lint_origins(tool)]
        found += [remark for stage in stages_of(tool) for rule in stage.rules for remark in _of_rule(stage, rule)]
        for rule in tool.rules:
            found += _of_rule(tool, rule)
    return tuple(sorted(found, key=lambda problem: (problem.place, problem.message)))


def _of_contract(contract: Contract) -> Iterator[Problem]:
    place = Place(contract.file, 1, 1)
    if not contract.tools:
        yield Problem(place, "this spec has no tools and denies everything")
    elif not any(_may_permit(tool) for tool in contract.tools):
        yield Problem(place, "this spec allows and asks nothing, so that every call is denied")


def _may_permit(tool: Tool) -> bool:
    return any(rule.kind != "deny" and truth(rule.when, _types(tool)) is not False for rule in tool.rules)


def _types(tool: Tool) -> dict[str, ArgType]:
    return {argument.name: argument.type for argument in tool.arguments}


def _of_state(contract: Contract) -> Iterator[Problem]:
    written = {step.variable for tool in contract.tools for step in (*tool.then, *tool.on_success)}
    for variable in contract.variables:
        if variable.period is not None and variable.period.kind == "reset":
            message = (
                f"`{variable.name}` has a `reset`: up to twice its cap fits in a rolling period; `window` has no gap"
            )
            yield Problem(variable.place, message)
        if variable.scope == "session" and variable.period is not None:
            message = f"`{variable.name}` has `scope: session`: whoever begins a new session has a new budget"
            yield Problem(variable.place, message)
        if isinstance(variable.sort, SetSort):
            yield from _of_set(contract, variable)
        elif variable.name not in written:
            message = f"no `then` and no `on_success` ever changes `{variable.name}`; a cap on it caps nothing"
            yield Problem(variable.place, message)


def _of_set(contract: Contract, variable: Variable) -> Iterator[Problem]:
    changes = [expr for expr in _assigned_to(contract, variable) if not isinstance(expr, State)]
    if any(isinstance(expr, SetAdd) for change in changes for expr in within(change)):
        return
    if not variable.initial:
        yield Problem(
            variable.place, f"nothing is ever added to `{variable.name}`, which begins empty; nothing is ever in it"
        )
    elif not changes:
        yield Problem(variable.place, f"nothing ever changes `{variable.name}`; a list in `define` says the same")


def _assigned_to(contract: Contract, variable: Variable) -> list[Expr]:
    steps = [step for tool in contract.tools for step in (*tool.then, *tool.on_success)]
    return [step.value for step in steps if step.variable == variable.name]


def _of_keys(contract: Contract, tool: Tool) -> Iterator[Problem]:
    """Budgets of keys that a model can spell in many ways: each spelling is a budget of its own."""
    types = _types(tool)
    for step in tool.then:
        given = None if step.key is None else declared(step.key, types)
        variable = contract.variable(step.variable)
        kept = None if variable is None else variable.key
        if all(isinstance(type_, StringType) and type_.pattern is None for type_ in (given, kept)):
            message = (
                f"each spelling of the key in `{step.target}` has a value of its own (`Ann`, `ann`, `ann `); "
                "give its type a pattern"
            )
            yield Problem(tool.place, message)


def _of_tool(tool: Tool) -> Iterator[Problem]:
    if not tool.rules:
        yield Problem(tool.place, f"`{tool.name}` has no rules and is always denied")
    elif not _may_permit(tool):
        yield Problem(tool.place, f"no rule of `{tool.name}` allows or asks, so that it is always denied")
    types = _types(tool)
    firing = [rule for rule in tool.rules if truth(rule.when, types) is not False]
    order = sorted(firing, key=lambda rule: _STRICTNESS[rule.kind])
    for place, rule in enumerate(order):
        earlier = [before for before in order[:place] if (before.kind, rule.kind) != ("ask", "ask")]
        for before in earlier:  # of two that ask, each may want its own number of people
            if truth(before.when, types):
                yield Problem(rule.place, f"rule `{rule.id}` never decides, because `{before.id}` is always true")
                break
            if implies(rule.when, before.when):
                message = f"rule `{rule.id}` never decides, because `{before.id}` is true whenever it is"
                yield Problem(rule.place, message)
                break


def _of_rule(tool: Tool, rule: Rule) -> Iterator[Problem]:
    types = _types(tool)
    constant = truth(rule.when, types)
    if constant is not None:
        says = "always true" if constant else "never true"
        yield Problem(rule.place, f"rule `{rule.id}` is {says}")
    reached = _types_within(rule.when, dict(types))
    for expr in within(rule.when):
        match expr:
            case StartsWith(subject=subject, part=Const(value=str(part))) if _is_path(
                subject, reached
            ) and not part.endswith("/"):
                message = (
                    f"the prefix `{part}` in rule `{rule.id}` has no slash at its end and begins `{part}-other` too"
                )
                yield Problem(rule.place, message)
            case EndsWith(subject=subject, part=Const(value=str(part))) if _is_host(
                subject, reached
            ) and not part.startswith("."):
                message = (
                    f"the suffix `{part}` in rule `{rule.id}` has no dot at its beginning and ends `evil-{part}` too"
                )
                yield Problem(rule.place, message)
            case Matches(pattern=pattern) if rule.kind != "deny" and not (
                pattern.startswith("^") and pattern.endswith("$")
            ):
                message = (
                    f"`matches` in rule `{rule.id}` finds its pattern anywhere; write `^...$` to mean all of the text"
                )
                yield Problem(rule.place, message)
            case StartsWith(part=part) | EndsWith(part=part) | Contains(part=part) if not isinstance(part, Const):
                yield Problem(
                    rule.place, f"rule `{rule.id}` tests against a part that is no constant, which is slow to prove"
                )
            case _:
                pass
    if rule.kind == "allow":
        yield from _empty_lists(rule, reached)


def _types_within(expr: Expr, types: dict[str, Reached]) -> dict[str, Reached]:
    """The declared types of arguments, and of the variables of all quantifiers."""
    for each in within(expr):
        if isinstance(each, All | Exists | ExistsOne):
            over = declared(each.over, types)
            element = None if over is None else element_of(over)
            if element is not None:
                types = {**types, bound(each.variable.name): element}
    return types


def _empty_lists(rule: Rule, types: Mapping[str, Reached]) -> Iterator[Problem]:
    for expr in _conjuncts(rule.when):
        if not isinstance(expr, All):
            continue
        type_ = declared(expr.over, types)
        if least_size(type_) == 0 and not _size_is_asked(rule.when, expr.over):
            message = f"rule `{rule.id}` rests on `all` of `{_shown(expr.over)}`, which is true of an empty list"
            yield Problem(rule.place, message)


def _shown(path: Expr) -> str:
    match path:
        case Arg(name=name):
            return f"args.{name}"
        case Field(of=of, name=name):
            return f"{_shown(of)}.{name}"
        case Index(of=of, position=position):
            return f"{_shown(of)}[{position}]"
        case _:
            return "..."


def _size_is_asked(expr: Expr, over: Expr) -> bool:
    return any(
        side == over
        for relation in within(expr)
        if isinstance(relation, Eq | Lt | Le)
        for operand in (relation.left, relation.right)
        for side in parts(operand)
    )


def _of_argv(tool: Tool) -> Iterator[Problem]:
    if tool.run is None or not isinstance(tool.run.what, RunArgv):
        return
    types = {argument.name: argument for argument in tool.arguments}
    closed = False
    for word in tool.run.what.words:
        if word == "--":
            closed = True
        elif isinstance(word, ArgWord) and not closed and _may_begin_with_dash(types[word.argument]):
            message = (
                f"`args.{word.argument}` may begin with `-`, like an option; give it a pattern, or put `--` before it"
            )
            yield Problem(tool.place, message)


def _may_begin_with_dash(argument: Argument) -> bool:
    type_ = argument.type.items if isinstance(argument.type, ListType) else argument.type
    match type_:
        case PathType() | UrlType() | TimestampType() | BoolType():
            return False
        case EnumType(values=values):
            return any(value.startswith("-") for value in values)
        case StringType(pattern=str(pattern)):
            return _NEVER_A_DASH.match(pattern) is None or "|" in pattern
        case _:
            return True


def _is_path(subject: Expr, types: Mapping[str, Reached]) -> bool:
    match subject:
        case Lower(operand=operand):
            return _is_path(operand, types)
        case Field(of=of, name="path") if isinstance(declared(of, types), UrlType):
            return True
        case _:
            return isinstance(declared(subject, types), PathType)


def _is_host(subject: Expr, types: Mapping[str, Reached]) -> bool:
    match subject:
        case Lower(operand=operand):
            return _is_host(operand, types)
        case Field(of=of, name="host" | "domain"):
            return isinstance(declared(of, types), UrlType | EmailType)
        case _:
            return False


def _conjuncts(expr: Expr) -> Iterator[Expr]:
    if isinstance(expr, And | Or):
        for operand in expr.operands:
            yield from _conjuncts(operand)
    else:
        yield expr
