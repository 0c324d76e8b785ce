"""Phrases in the words of the spec language: `state.total <= 100 * state.calls`.

A sum is written with whole factors, a decimal with its digits, an enum by its values. What the language cannot say (an
int beside a decimal) is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import TypeAlias

import z3

from sandbox.canonical import show_decimal
from sandbox.ir import DURATION_RANGE, TIMESTAMP_RANGE, DecimalSort, EnumSort, IntSort, TimestampSort, Variable
from sandbox.prove.phrase import Compared, Every, OneOf, Phrase, Relation, Some, Truth, UnsayableError, conjuncts_of
from sandbox.times import show_duration, show_timestamp

_Factors: TypeAlias = Mapping[str, int]


def phrased(formula: z3.BoolRef, variables: tuple[Variable, ...]) -> tuple[str, ...]:
    """The conjuncts of a formula over `Var(i)`, the i-th of the variables, as expressions; sorted, each once.

    Raises UnsayableError.
    """
    known = {variable.name: variable for variable in variables}
    texts = {_text(part, known) for part in conjuncts_of(formula, variables)}
    return tuple(sorted(texts, key=lambda text: (len(text), text)))


def _text(phrase: Phrase, known: Mapping[str, Variable]) -> str:
    match phrase:
        case Every(parts=parts):
            return " && ".join(_inner(part, known) for part in parts) if parts else "true"
        case Some(parts=parts):
            return " || ".join(_inner(part, known) for part in parts) if parts else "false"
        case Truth(name=name, holds=holds):
            return named(name) if holds else f"!{_whole(named(name))}"
        case OneOf(name=name, values=values):
            return _one_of(name, values, known[name])
        case Compared():
            return _comparison(phrase, known)


def named(name: str) -> str:
    """A variable as expressions read it; what is no plain name is such an expression already."""
    return f"state.{name}" if name.isidentifier() else name


def _whole(text: str) -> str:
    return f"({text})" if " " in text else text


def _inner(phrase: Phrase, known: Mapping[str, Variable]) -> str:
    text = _text(phrase, known)
    return f"({text})" if isinstance(phrase, Every | Some) and len(phrase.parts) > 1 else text


def _one_of(name: str, values: tuple[str, ...], variable: Variable) -> str:
    every = variable.sort.values if isinstance(variable.sort, EnumSort) else ()
    if len(values) == 1:
        return f"{named(name)} == {_quoted(values[0])}"
    others = [value for value in every if value not in values]
    if len(others) == 1:
        return f"{named(name)} != {_quoted(others[0])}"
    return f"{named(name)} in [{', '.join(_quoted(value) for value in values)}]"


def _quoted(value: str) -> str:
    escaped = "".join(
        char if char.isascii() and char.isprintable() and char not in "'\\" else f"\\U{ord(char):08x}" for char in value
    )
    return f"'{escaped}'"


def _comparison(compared: Compared, known: Mapping[str, Variable]) -> str:
    sorts = {type(known[name].sort) for name, _ in compared.factors}
    if sorts == {IntSort}:
        return _of_numbers(compared, known)
    if sorts == {DecimalSort}:
        return _of_numbers(compared, known)
    if sorts == {TimestampSort}:
        return _of_times(compared)
    if sorts == {IntSort, DecimalSort}:
        ints = [name for name, _ in compared.factors if isinstance(known[name].sort, IntSort)]
        message = (
            f"an invariant compares the int `{named(ints[0])}` with a decimal, which no expression can say; "
            f"declare it `type: decimal, scale: 0`"
        )
        raise UnsayableError(message)
    names = ", ".join(f"`{named(name)}`" for name, _ in compared.factors)
    message = f"an invariant compares {names}, whose types no expression compares"
    raise UnsayableError(message)


def _of_numbers(compared: Compared, known: Mapping[str, Variable]) -> str:
    """With the smallest whole factors, and as many digits as the finest of the variables has."""
    scales = {name: sort.scale for name, _ in compared.factors if isinstance(sort := known[name].sort, DecimalSort)}
    scale = max(scales.values(), default=0)
    weights = {name: factor * 10 ** scales.get(name, 0) for name, factor in compared.factors}
    common = math.gcd(*weights.values())
    constant = compared.constant * 10**scale // common  # exact: the common factor divides this power of ten
    factors = {name: weight // common for name, weight in weights.items()}
    finest = {name for name in factors if scales.get(name, 0) == scale}
    return _sides(factors, compared.relation, constant, finest, lambda value: show_decimal(value, scale))


def _sides(
    factors: _Factors, relation: Relation, constant: int, finest: Collection[str], shown: Callable[[int], str]
) -> str:
    """The first variable stands on the left, with a factor above zero; the constant beside one of the finest."""
    flipped = next(iter(factors.values())) < 0
    if flipped:
        factors, constant = {name: -factor for name, factor in factors.items()}, -constant
    operator = ">=" if flipped and relation == "<=" else relation
    left = [_times(name, factor) for name, factor in factors.items() if factor > 0]
    right = [_times(name, -factor) for name, factor in factors.items() if factor < 0]
    if not right:
        return f"{' + '.join(left)} {operator} {shown(constant)}"
    on_right = any(factors[name] < 0 for name in finest)
    rest = constant if on_right else -constant
    more = f" {'-' if rest < 0 else '+'} {shown(abs(rest))}" if rest else ""
    one, other = " + ".join(left), " + ".join(right)
    return f"{one} {operator} {other}{more}" if on_right else f"{one}{more} {operator} {other}"


def _times(name: str, factor: int) -> str:
    return named(name) if factor == 1 else f"{factor} * {named(name)}"


def _of_times(compared: Compared) -> str:
    """One instant beside a constant one, or two with a constant length of time between them."""
    match compared:
        case Compared(factors=((name, 1 | -1),), constant=constant) if _within(constant, compared, TIMESTAMP_RANGE):
            return _sides(dict(compared.factors), compared.relation, constant, (name,), _instant)
        case Compared(factors=((one, 1), (other, -1)) | ((other, -1), (one, 1)), constant=constant) if (
            DURATION_RANGE[0] <= constant <= DURATION_RANGE[1]
        ):
            if constant == 0:
                return f"{named(one)} {compared.relation} {named(other)}"
            return f"{named(one)} - {named(other)} {compared.relation} duration('{show_duration(constant)}')"
        case _:
            message = "an invariant about instants is none that an expression of the language says"
            raise UnsayableError(message)


def _within(constant: int, compared: Compared, bounds: tuple[int, int]) -> bool:
    ((_, factor),) = compared.factors
    return bounds[0] <= constant * factor <= bounds[1]


def _instant(value: int) -> str:
    return f"timestamp('{show_timestamp(value)}')"
