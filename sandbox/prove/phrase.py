"""A solver's formula over the state, read as comparisons of sums with constants, bools, and values of enums.

What is none of these is refused, never approximated. `wording` writes them as expressions.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import z3

from sandbox.ir import (
    EnumSort,
    Variable,
)

MAX_COMBINATIONS: Final = 256
"""Values of the enums of one comparison that are told apart."""

Relation: TypeAlias = Literal["<=", "==", "!="]


class UnsayableError(Exception):
    """The formula says what no expression of the language says; the message is why, and what to do."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The sum of each variable times its factor, in scaled integers, stands in this relation to the constant."""

    factors: tuple[tuple[str, int], ...]
    relation: Relation
    constant: int


@dataclass(frozen=True, slots=True)
class Truth:
    """A bool variable, or its negation."""

    name: str
    holds: bool


@dataclass(frozen=True, slots=True)
class OneOf:
    """An enum variable has one of these values."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Every:
    """A conjunction; of nothing, true."""

    parts: tuple[Phrase, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """A disjunction; of nothing, false."""

    parts: tuple[Phrase, ...]


Phrase: TypeAlias = Compared | Truth | OneOf | Every | Some


def conjuncts_of(formula: z3.BoolRef, variables: tuple[Variable, ...]) -> tuple[Phrase, ...]:
    """The conjuncts of a formula over `Var(i)`, the i-th of the variables. Raises UnsayableError."""
    whole = _plain(_Reader(variables).phrase(formula, holds=True))
    return whole.parts if isinstance(whole, Every) else (whole,)


# --- reading -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Reader:
    variables: tuple[Variable, ...]

    def phrase(self, node: z3.ExprRef, *, holds: bool) -> Phrase:
        """The formula, or its negation."""
        if z3.is_var(node):
            return Truth(self._variable(node).name, holds)
        kind, parts = node.decl().kind(), node.children()
        match kind:
            case z3.Z3_OP_TRUE | z3.Z3_OP_FALSE:
                return Every(()) if (kind == z3.Z3_OP_TRUE) == holds else Some(())
            case z3.Z3_OP_NOT:
                return self.phrase(parts[0], holds=not holds)
            case z3.Z3_OP_AND | z3.Z3_OP_OR:
                join = Every if (kind == z3.Z3_OP_AND) == holds else Some
                return join(tuple(self.phrase(part, holds=holds) for part in parts))
            case z3.Z3_OP_IMPLIES:
                sides = (self.phrase(parts[0], holds=not holds), self.phrase(parts[1], holds=holds))
                return Some(sides) if holds else Every(sides)
            case z3.Z3_OP_ITE:
                test, then, otherwise = parts
                return self._choice(test, self.phrase(then, holds=holds), self.phrase(otherwise, holds=holds))
            case z3.Z3_OP_EQ | z3.Z3_OP_DISTINCT if len(parts) == 2 and z3.is_bool(parts[0]):  # noqa: PLR2004 - sides
                alike = (kind == z3.Z3_OP_EQ) == holds
                one, other = parts
                return self._choice(one, self.phrase(other, holds=alike), self.phrase(other, holds=not alike))
            case _ if len(parts) == 2:  # noqa: PLR2004 - both sides of a comparison
                return self._told_apart(self._comparison(kind, parts[0], parts[1], holds=holds))
            case _:
                raise _unsayable(node)

    def _choice(self, test: z3.ExprRef, then: Phrase, otherwise: Phrase) -> Phrase:
        return Some((Every((self.phrase(test, holds=True), then)), Every((self.phrase(test, holds=False), otherwise))))

    def _comparison(self, kind: int, left: z3.ExprRef, right: z3.ExprRef, *, holds: bool) -> Compared:
        match kind:
            case z3.Z3_OP_EQ | z3.Z3_OP_DISTINCT:
                return self._compared("==" if (kind == z3.Z3_OP_EQ) == holds else "!=", left, right)
            case z3.Z3_OP_LE | z3.Z3_OP_GT:
                below = (kind == z3.Z3_OP_LE) == holds
                return self._compared("<=", left, right) if below else self._compared("<=", right, left, less=1)
            case z3.Z3_OP_GE | z3.Z3_OP_LT:
                above = (kind == z3.Z3_OP_GE) == holds
                return self._compared("<=", right, left) if above else self._compared("<=", left, right, less=1)
            case _:
                raise _unsayable(left)

    def _compared(self, relation: Relation, left: z3.ExprRef, right: z3.ExprRef, *, less: int = 0) -> Compared:
        factors: dict[str, int] = {}
        constant = -less - self._sum(left, 1, factors) - self._sum(right, -1, factors)
        order = [variable.name for variable in self.variables]
        return Compared(tuple((name, factors[name]) for name in order if factors.get(name)), relation, constant)

    def _sum(self, node: z3.ExprRef, factor: int, factors: dict[str, int]) -> int:
        """Adds `factor` times the term to the factors; returns `factor` times its constant part."""
        if z3.is_var(node):
            name = self._variable(node).name
            factors[name] = factors.get(name, 0) + factor
            return 0
        if z3.is_int_value(node):
            return factor * int(node.as_long())
        parts = node.children()
        match node.decl().kind():
            case z3.Z3_OP_ADD:
                return sum(self._sum(part, factor, factors) for part in parts)
            case z3.Z3_OP_SUB:
                rest = sum(self._sum(part, -factor, factors) for part in parts[1:])
                return self._sum(parts[0], factor, factors) + rest
            case z3.Z3_OP_UMINUS:
                return self._sum(parts[0], -factor, factors)
            case z3.Z3_OP_MUL if len(parts) == 2 and z3.is_int_value(parts[0]):  # noqa: PLR2004 - a constant and a term
                return self._sum(parts[1], factor * int(parts[0].as_long()), factors)
            case _:
                raise _unsayable(node)

    def _told_apart(self, compared: Compared) -> Phrase:
        """The comparison without enums in it: for each choice of their values, what is left to compare."""
        sorts = {variable.name: variable.sort for variable in self.variables}
        enums = [(name, sort.values) for name, _ in compared.factors if isinstance(sort := sorts[name], EnumSort)]
        if not enums:
            return _decided(compared)
        if math.prod(len(values) for _, values in enums) > MAX_COMBINATIONS:
            message = f"an invariant tells more than {MAX_COMBINATIONS} combinations of enum values apart"
            raise UnsayableError(message)
        chosen = [dict(zip((name for name, _ in enums), at, strict=True)) for at in itertools.product(*_places(enums))]
        known = dict(enums)
        return Some(
            tuple(
                Every((*(OneOf(name, (known[name][place],)) for name, place in at.items()), _fixed(compared, at)))
                for at in chosen
            )
        )

    def _variable(self, node: z3.ExprRef) -> Variable:
        return self.variables[int(z3.get_var_index(node))]


def _places(enums: Iterable[tuple[str, tuple[str, ...]]]) -> Iterator[range]:
    return (range(len(values)) for _, values in enums)


def _fixed(compared: Compared, at: Mapping[str, int]) -> Phrase:
    """The comparison with the enums at these positions."""
    known = sum(factor * at[name] for name, factor in compared.factors if name in at)
    rest = tuple((name, factor) for name, factor in compared.factors if name not in at)
    return _decided(Compared(rest, compared.relation, compared.constant - known))


def _decided(compared: Compared) -> Phrase:
    """Divided by the greatest common factor: a sum of whole numbers is no fraction. Of nothing, true or false."""
    common, constant = math.gcd(*(factor for _, factor in compared.factors)), compared.constant
    if not compared.factors:
        true = constant >= 0 if compared.relation == "<=" else (constant == 0) == (compared.relation == "==")
        return Every(()) if true else Some(())
    if compared.relation != "<=" and constant % common:
        return Some(()) if compared.relation == "==" else Every(())
    factors = tuple((name, factor // common) for name, factor in compared.factors)
    return Compared(factors, compared.relation, constant // common)


def _unsayable(node: z3.ExprRef) -> UnsayableError:
    return UnsayableError(f"an invariant uses `{node.decl().name()}`, which no expression of the language says")


# --- simplifying -------------------------------------------------------------------------------------


def _plain(phrase: Phrase) -> Phrase:
    """Without conjunctions in conjunctions, true and false in them, and the values of one enum apart."""
    match phrase:
        case Every(parts=parts):
            return _joined(tuple(_plain(part) for part in parts), Every, Some)
        case Some(parts=parts):
            return _joined(tuple(_plain(part) for part in parts), Some, Every)
        case _:
            return phrase


def _joined(parts: tuple[Phrase, ...], own: type[Every | Some], other: type[Every | Some]) -> Phrase:
    flat: list[Phrase] = []
    for part in parts:
        flat += part.parts if isinstance(part, own) else [part]
    if any(isinstance(part, other) and not part.parts for part in flat):
        return other(())
    merged = _enums_merged(flat) if own is Some else [_equal(part, flat) for part in flat]
    once = tuple(dict.fromkeys(merged))
    return once[0] if len(once) == 1 else own(once)


def _enums_merged(parts: list[Phrase]) -> list[Phrase]:
    values: dict[str, tuple[str, ...]] = {}
    for part in parts:
        if isinstance(part, OneOf):
            values[part.name] = (*values.get(part.name, ()), *part.values)
    rest = [part for part in parts if not isinstance(part, OneOf)]
    return [*(OneOf(name, tuple(dict.fromkeys(each))) for name, each in values.items()), *rest]


def _equal(part: Phrase, others: Iterable[Phrase]) -> Phrase:
    """Of two bounds that leave one value, the equality."""
    if not isinstance(part, Compared) or part.relation != "<=":
        return part
    opposite = tuple((name, -factor) for name, factor in part.factors)
    if Compared(opposite, "<=", -part.constant) not in others:
        return part
    return (
        Compared(part.factors, "==", part.constant)
        if part.factors[0][1] > 0
        else Compared(opposite, "==", -part.constant)
    )
