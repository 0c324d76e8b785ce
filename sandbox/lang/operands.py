"""What sub-expressions are lowered to, and how two of them are brought to one sort, exactly or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from sandbox.ir import (
    EMAIL_SORT,
    URL_SORT,
    BoolSort,
    Const,
    DecimalSort,
    DurationSort,
    EnumSort,
    Expr,
    IntSort,
    Ite,
    ListSort,
    MapSort,
    Mul,
    RecordSort,
    ScalarSort,
    SetSort,
    Sort,
    State,
    StringSort,
    TextSort,
    TimestampSort,
    Variable,
)
from sandbox.lang.reach import Reached
from sandbox.lang.scope import Digits, Items, Scalar, Time, Truth, Word
from sandbox.lang.source import Refused, shown
from sandbox.lang.suggest import near_miss
from sandbox.lang.syntax import Node

_TELLING: Final = frozenset({"host", "domain"})
"""Of a URL or an e-mail address, what rules mostly are about."""


@dataclass(frozen=True, slots=True)
class Typed:
    """An expression of a sort; of an access path, also the declared type of what it leads to."""

    expr: Expr
    sort: Sort
    type: Reached | None = None


@dataclass(frozen=True, slots=True)
class Lowered:
    """`x.lowerAscii()`: only a test against a constant may use it."""

    expr: Expr


@dataclass(frozen=True, slots=True)
class Either:
    """`condition ? then : otherwise` of constants, whose sort only what stands beside it can tell."""

    condition: Expr
    then: Here
    otherwise: Here


@dataclass(frozen=True, slots=True)
class Kept:
    """A set or map of the state; of a set, also what `add` and `remove` make of it."""

    expr: Expr
    variable: Variable


Operand: TypeAlias = Typed | Lowered | Kept | Either | Digits | Word | Truth | Time | Items


@dataclass(frozen=True, slots=True)
class Here:
    """An operand and the text that it came from, for messages."""

    operand: Operand
    node: Node
    text: str

    @property
    def start(self) -> int:
        """Where it begins."""
        return self.node.span.start

    @property
    def source(self) -> str:
        """Its own text, in backticks."""
        return shown(self.text[self.node.span.start : self.node.span.end])


def describe(sort: Sort) -> str:
    """A sort as a message names it."""
    match sort:
        case BoolSort():
            return "bool"
        case IntSort():
            return "int"
        case DecimalSort(scale=scale):
            return f"decimal with scale {scale}"
        case StringSort():
            return "string"
        case TextSort():
            return "text"
        case EnumSort():
            return "enum"
        case TimestampSort():
            return "timestamp"
        case DurationSort():
            return "duration"
        case RecordSort() if sort == URL_SORT:
            return "url"
        case RecordSort() if sort == EMAIL_SORT:
            return "email"
        case RecordSort():
            return "record"
        case ListSort(item=item):
            return f"list of {describe(item)}"


def kind(operand: Operand) -> str:
    """What an operand is, as a message names it."""
    match operand:
        case Typed(sort=sort) | Time(sort=sort):
            return describe(sort)
        case Lowered():
            return "lower-cased string"
        case Kept(variable=variable):
            return "map" if isinstance(variable.sort, MapSort) else "set"
        case Digits(digits=0):
            return "int"
        case Digits():
            return "decimal"
        case Word():
            return "string"
        case Truth():
            return "bool"
        case Items():
            return "list of constants"
        case Either(then=then):
            return kind(then.operand)


def is_open(operand: Operand) -> bool:
    """Whether its sort is still open: a constant, or a choice between constants."""
    return isinstance(operand, Digits | Word | Truth | Either)


def is_set(kept: Kept) -> bool:
    """Whether it is a set, and not a map."""
    return isinstance(kept.variable.sort, SetSort)


def constant_sort(constant: Scalar) -> ScalarSort:
    """The sort of a constant that stands beside nothing else."""
    match constant:
        case Digits(digits=0):
            return IntSort()
        case Digits(digits=digits):
            return DecimalSort(digits)
        case Word():
            return StringSort()
        case Truth():
            return BoolSort()
        case Time(sort=sort):
            return sort


def as_sort(here: Here, sort: Sort, beside: str = "") -> Expr:
    """The operand at exactly this sort. Raises Refused where that is not exact; `beside` names the neighbour."""
    operand = here.operand
    match operand, sort:
        case Typed(expr=expr, sort=own), _ if own == sort:
            return expr
        case Either(condition=condition, then=then, otherwise=otherwise), _:
            return Ite(condition, as_sort(then, sort, beside), as_sort(otherwise, sort, beside))
        case Typed(expr=expr, sort=DecimalSort(scale=own)), DecimalSort(scale=scale) if own < scale:
            return Mul(expr, 10 ** (scale - own))
        case Typed(sort=DecimalSort(scale=own)), DecimalSort(scale=scale):
            message = (
                f"{here.source} has {own} digits behind the point and {scale} are kept; nothing is rounded silently"
            )
            raise Refused(here.start, message)
        case Time(value=value, sort=own), TimestampSort() | DurationSort() if own == sort:
            return Const(value, own)
        case Truth(value=truth), BoolSort():
            return Const(truth, BoolSort())
        case Digits(value=value, digits=0), IntSort():
            return Const(value, IntSort())
        case Digits(), IntSort():
            message = f"{here.source} needs a decimal beside it, found int{_of(beside)}; write it without a point"
            raise Refused(here.start, message)
        case Digits(value=value, digits=digits), DecimalSort(scale=scale):
            if digits > scale:
                message = (
                    f"{here.source} has {digits} digits behind the point, more than the scale {scale}{_of(beside)}"
                )
                raise Refused(here.start, f"{message}; write at most {scale}")
            return Const(value * 10 ** (scale - digits), DecimalSort(scale))
        case Word(value=text), StringSort():
            return Const(text, StringSort())
        case Word(value=text), EnumSort(values=values):
            if text not in values:
                message = f"{here.source} is not a value{_of(beside)}{near_miss(text, values)}"
                raise Refused(here.start, message)
            return Const(text, sort)
        case _:
            raise mismatch(here, describe(sort))


def _of(beside: str) -> str:
    return f" of {beside}" if beside else ""


def mismatch(here: Here, expected: str) -> Refused:
    """The refusal of an operand of a wrong sort."""
    match here.operand:
        case Typed(sort=TextSort()):
            remedy = "; rules see only `size` and `has` of it; declare it `string`"
        case Lowered():
            remedy = "; compare it with a constant"
        case Kept(variable=Variable(name=name, sort=MapSort())):
            remedy = f"; the value of one key is `state.{name}[KEY]`"
        case Kept(expr=State(name=name)):
            remedy = f"; ask `x in state.{name}`"
        case Kept():
            remedy = "; `add` and `remove` stand in `then` only"
        case Typed(sort=EnumSort()) if expected == "enum":
            remedy = "; two enums compare only with equal values in equal order"
        case Typed(sort=IntSort() | DecimalSort()) if expected.startswith(("int", "decimal")):
            remedy = "; int and decimal do not mix; declare both as one type"
        case Typed(sort=IntSort() | DecimalSort() | StringSort() | EnumSort()) if expected == "bool":
            remedy = "; compare it with something"
        case Typed(sort=RecordSort(fields=fields)):
            telling = next((field.name for field in fields if field.name in _TELLING), fields[0].name)
            remedy = f"; write a field of it, such as `{here.source[1:-1]}.{telling}`"
        case Word() if expected in {"timestamp", "duration"}:
            remedy = f"; write `{expected}({here.source[1:-1]})`"
        case Typed(sort=IntSort()) | Digits() if expected.endswith("duration"):
            remedy = "; a number has no unit; write `duration('1h')`"
        case _:
            remedy = ""
    return Refused(here.start, f"expected {expected}, found {kind(here.operand)} {here.source}{remedy}")


def at_one_sort(left: Here, right: Here) -> tuple[Expr, Expr, Sort]:
    """Both operands at the one sort that holds both exactly."""
    sort = _common(left, right)
    return as_sort(left, sort, right.source), as_sort(right, sort, left.source), sort


def _common(left: Here, right: Here) -> Sort:
    for side in (left, right):
        if isinstance(side.operand, Lowered | Kept | Items) or (
            isinstance(side.operand, Typed) and not _is_single(side.operand)
        ):
            raise mismatch(side, "a single value")
    match left.operand, right.operand:
        case Typed(sort=DecimalSort(scale=one)), Typed(sort=DecimalSort(scale=other)):
            return DecimalSort(max(one, other))
        case Typed(sort=sort), _:
            return sort
        case _, Typed(sort=sort):
            return sort
        case _:
            return _wider(own_sort(left), own_sort(right))


def _is_single(typed: Typed) -> bool:
    return not isinstance(typed.sort, ListSort | TextSort | RecordSort)


def _wider(one: ScalarSort, other: ScalarSort) -> ScalarSort:
    match one, other:
        case DecimalSort(scale=scale), DecimalSort(scale=more):
            return DecimalSort(max(scale, more))
        case IntSort(), DecimalSort():
            return other
        case _:
            return one


def own_sort(here: Here) -> ScalarSort:
    """The sort of an operand that stands beside nothing else. Raises Refused where it is no single value."""
    match here.operand:
        case Typed(sort=sort) if isinstance(sort, ScalarSort):
            return sort
        case (Digits() | Word() | Truth() | Time()) as constant:
            return constant_sort(constant)
        case Either(then=then, otherwise=otherwise):
            return _wider(own_sort(then), own_sort(otherwise))
        case _:
            raise mismatch(here, "a single value")


def standing_alone(here: Here) -> Typed:
    """The operand at its own sort."""
    sort = own_sort(here)
    return Typed(as_sort(here, sort), sort)
