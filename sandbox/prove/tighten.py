"""The bounds of a spec that can be made stricter, one at a time: in rules, and in the types of arguments.

A stricter bound never lets through what was denied, nor past without a person what was asked; but one in an `ask` may,
where an `allow` of the same tool then decides: `laxer` says what would show that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from sandbox.canonical import show_decimal
from sandbox.errors import Place
from sandbox.ir import (
    All,
    And,
    Arg,
    Argument,
    Const,
    Contract,
    DecimalSort,
    Eq,
    Exists,
    Expr,
    IntSort,
    Ite,
    Le,
    ListSort,
    Lt,
    Not,
    Or,
    Property,
    RecordSort,
    Rule,
    Tool,
    sort_of,
)
from sandbox.machine import VERDICT_SORT, verdict_of
from sandbox.prove.limits import Limit, Way, limits
from sandbox.prove.reach import Reach, reach
from sandbox.prove.rewrite import rewritten
from sandbox.prove.said import said

Where: TypeAlias = Literal["rule", "argument"]


@dataclass(frozen=True, slots=True)
class Setting:
    """A spec, the property, and the other `always` properties of its file, of which those `held` are proved."""

    contract: Contract
    subject: Property
    always: tuple[Property, ...] = ()
    held: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Bound:
    """A number that is compared with, or a limit of a type. `now` and what `turned` takes are scaled by `scale`.

    `of` names the rule or the argument; `told` is the whole bound with another number in it. `limit` is the strictest
    number that makes sense to the type, if there is one; `of_string` of a number of characters.
    """

    where: Where
    tool: str
    of: str
    place: Place
    now: int
    way: Way
    scale: int
    told: Callable[[int], str]
    turned: Callable[[int], Setting]
    limit: int | None = None
    of_string: bool = False

    def shown(self, value: int) -> str:
        """The number as it is written."""
        return show_decimal(value, self.scale)


@dataclass(frozen=True, slots=True)
class Choice:
    """Values that something is compared with, any of which lets through; `without` leaves some out."""

    tool: str
    of: str
    place: Place
    subject: str
    values: tuple[str, ...]
    without: Callable[[frozenset[int]], Setting]


Candidate: TypeAlias = Bound | Choice

MAX_VALUES: Final = 32
"""Of a longer list no values are left out."""


def candidates(setting: Setting, tool: Tool, rule: Rule) -> Iterator[Candidate]:
    """What could be stricter: first in the rule that decided, then in the arguments, then in the rules that deny."""
    matters = reach(setting.contract.tools, tool, setting.subject)
    yield from _of_rule(setting, tool, rule, matters)
    for argument in tool.arguments:
        if matters.has_argument(argument.name):
            yield from (each for each in _of_argument(setting, tool, argument) if matters.sizes or not each.of_string)
    for each in tool.rules:
        if each.kind == "deny":
            yield from _of_rule(setting, tool, each, matters)


def laxer(tool: Tool, other: Tool) -> Expr:
    """Whether the other tool's rules give a less strict verdict to the same call in the same state."""
    ours, theirs = verdict_of(tool), verdict_of(other)
    let_through = And((_is(theirs, "allow"), Not(_is(ours, "allow"))))
    asked = And((_is(theirs, "ask"), _is(ours, "deny")))
    return Or((let_through, asked))


def _is(verdict: Expr, name: str) -> Expr:
    return Eq(verdict, Const(name, VERDICT_SORT))


# --- rules -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Spot:
    """A part of a condition that may be true less often (`less`) or more often; `rebuilt` puts another in its place."""

    part: Expr
    less: bool
    rebuilt: Callable[[Expr], Expr]


def _spots(expr: Expr, less: bool, rebuilt: Callable[[Expr], Expr]) -> Iterator[_Spot]:  # noqa: FBT001 - a direction
    """Every part that the whole is true with more often, or less often, as the part is; from the outside in."""
    yield _Spot(expr, less, rebuilt)
    match expr:
        case And(operands=operands) | Or(operands=operands):
            for at, each in enumerate(operands):

                def put(new: Expr, at: int = at, whole: And | Or = expr) -> Expr:
                    parts = whole.operands
                    return rebuilt(replace(whole, operands=(*parts[:at], new, *parts[at + 1 :])))

                yield from _spots(each, less, put)
        case Not(operand=operand):
            yield from _spots(operand, not less, lambda new: rebuilt(Not(new)))
        case Ite(then=then, otherwise=otherwise):
            yield from _spots(then, less, lambda new: rebuilt(replace(expr, then=new)))
            yield from _spots(otherwise, less, lambda new: rebuilt(replace(expr, otherwise=new)))
        case All(body=body) | Exists(body=body):
            yield from _spots(body, less, lambda new: rebuilt(replace(expr, body=new)))
        case _:
            return


def _of_rule(setting: Setting, tool: Tool, rule: Rule, matters: Reach) -> Iterator[Candidate]:
    def changed(when: Expr) -> Setting:
        rules = tuple(replace(rule, when=when) if each is rule else each for each in tool.rules)
        return replace(setting, contract=_with(setting.contract, tool.name, replace(tool, rules=rules)))

    for spot in _spots(rule.when, rule.kind != "deny", lambda new: new):
        if not matters.is_in(spot.part):
            continue
        found = _bound(spot, tool, rule, changed) or _choice(spot, tool, rule, changed)
        if found is not None:
            yield found


def _bound(spot: _Spot, tool: Tool, rule: Rule, changed: Callable[[Expr], Setting]) -> Bound | None:
    match spot.part:
        case Le(left=Const()) | Le(right=Const()) | Lt(left=Const()) | Lt(right=Const()):
            return _compared(spot, spot.part, tool, rule, changed)
        case _:
            return None


def _compared(spot: _Spot, part: Le | Lt, tool: Tool, rule: Rule, changed: Callable[[Expr], Setting]) -> Bound | None:
    """A comparison of a number with a constant, on either side, as its author would read it."""
    above = isinstance(part.right, Const)
    constant, other = (part.right, part.left) if above else (part.left, part.right)
    match constant:
        case Const(value=int() as now, sort=IntSort() | DecimalSort() as sort) if not isinstance(other, Const):
            scale = sort.scale if isinstance(sort, DecimalSort) else 0
        case _:
            return None
    strict = "" if isinstance(part, Lt) else "="
    sign = f"{'<' if above else '>'}{strict}"
    way: Way = -1 if above == spot.less else 1

    def turned(value: int) -> Setting:
        new = Const(value, sort)
        return changed(spot.rebuilt(replace(part, right=new) if above else replace(part, left=new)))

    def told(value: int) -> str:
        return f"{_operand(other)} {sign} {show_decimal(value, scale)}"

    return Bound("rule", tool.name, rule.id, rule.place, now, way, scale, told, turned)


def _operand(expr: Expr) -> str:
    return f"({said(expr)})" if isinstance(expr, Ite) else said(expr)


def _choice(spot: _Spot, tool: Tool, rule: Rule, changed: Callable[[Expr], Setting]) -> Choice | None:
    """A list of constants, one of which something must be."""
    if not spot.less or not isinstance(spot.part, Or):
        return None
    whole = spot.part
    pairs = [(each.left, each.right) for each in whole.operands if isinstance(each, Eq)]
    if not 1 < len(pairs) == len(whole.operands) <= MAX_VALUES or len({left for left, _ in pairs}) > 1:
        return None
    if not all(isinstance(right, Const) for _, right in pairs):
        return None

    def without(left_out: frozenset[int]) -> Setting:
        kept = tuple(each for at, each in enumerate(whole.operands) if at not in left_out)
        return changed(spot.rebuilt(replace(whole, operands=kept)))

    values = tuple(said(right) for _, right in pairs)
    return Choice(tool.name, rule.id, rule.place, said(pairs[0][0]), values, without)


# --- types of arguments ------------------------------------------------------------------------------


def _of_argument(setting: Setting, tool: Tool, argument: Argument) -> Iterator[Bound]:
    if argument.default is not None or _is_shared(setting, tool, argument):
        return

    for limit in limits(argument.type):

        def turned(value: int, limit: Limit = limit) -> Setting:
            new = replace(argument, type=limit.put(value))
            arguments = tuple(new if each is argument else each for each in tool.arguments)
            return _retyped(setting, replace(tool, arguments=arguments), argument, new)

        def told(value: int, limit: Limit = limit) -> str:
            return f"{limit.word}: {show_decimal(value, limit.scale)}"

        of, strictest = f"args.{argument.name}{limit.path}", limit.strictest
        shape = (limit.now, limit.way, limit.scale, told, turned, strictest, limit.of_string)
        yield Bound("argument", tool.name, of, tool.place, *shape)


def _is_shared(setting: Setting, tool: Tool, argument: Argument) -> bool:
    """Whether the property reads it of other tools too, as a list or record, which has to be of one type in all."""
    others = (each for each in setting.contract.tools if each.name in setting.subject.tools and each.name != tool.name)
    compound = isinstance(sort_of(argument.type), ListSort | RecordSort)
    return compound and any(argument.name == theirs.name for other in others for theirs in other.arguments)


def _retyped(setting: Setting, tool: Tool, old: Argument, new: Argument) -> Setting:
    """The tool with another type of an argument: expressions about it have the sort that goes with it."""
    was, sort = sort_of(old.type), sort_of(new.type)
    contract = setting.contract
    if was == sort:
        return replace(setting, contract=_with(contract, tool.name, tool))

    def resorted(expr: Expr) -> Expr:
        if isinstance(expr, Arg) and expr.name == old.name and expr.sort == was:
            return replace(expr, sort=sort)
        return expr

    def told(expr: Expr) -> Expr:
        return rewritten(expr, resorted)

    rules = tuple(replace(rule, when=told(rule.when)) for rule in tool.rules)
    then, on_success = (
        tuple(replace(a, value=told(a.value), key=None if a.key is None else told(a.key)) for a in each)
        for each in (tool.then, tool.on_success)
    )
    changed = _with(contract, tool.name, replace(tool, rules=rules, then=then, on_success=on_success))
    asked = setting.subject
    before = None if asked.before is None else told(asked.before)
    subject = replace(asked, condition=told(asked.condition), before=before)
    return replace(setting, contract=changed, subject=subject)


def _with(contract: Contract, name: str, changed: Tool) -> Contract:
    return replace(contract, tools=tuple(changed if each.name == name else each for each in contract.tools))
