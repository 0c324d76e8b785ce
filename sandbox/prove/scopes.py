"""Variables of a scope in proofs: every principal, and every session, has values of its own.

What must always hold, must hold for every principal and every session. A call moves what belongs to its own two, and
what belongs to the spec. So there is one obligation for the call's own, and one for each way of being somebody else's:
another principal, another session, or both. What is known of all is then known of both, and of their mixtures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from typing import Final, TypeAlias

import z3

from sandbox.encode import Environment, Term, single, symbol
from sandbox.ir import Argument, Contract, EnumType, Expr, ScopeName, StringType, sort_of
from sandbox.prove.keys import of_type
from sandbox.prove.mentions import facts_in, variables_in

OTHER: Final = "@other"
"""What tells the symbols of somebody else from those of the call's own principal and session."""

FACTS: Final[Mapping[ScopeName, str]] = {"principal": "principal", "session": "id"}
"""The fact of the session that is the key of a scope."""

Apart: TypeAlias = tuple[ScopeName, ...]
"""The scopes in which something is looked at for somebody else than the one who calls."""


def scopes_of(contract: Contract, expr: Expr) -> Apart:
    """The scopes, other than the spec, that an expression depends on: by their variables, or by their keys."""
    read, keys = variables_in(expr), facts_in(expr)
    found = {variable.scope for variable in contract.variables if variable.name in read}
    return tuple(scope for scope, name in FACTS.items() if scope in found or f"session.{name}" in keys)


def ways_apart(scopes: Apart) -> Iterator[Apart]:
    """Every way of being somebody else; the first is to be nobody else."""
    for count in range(len(scopes) + 1):
        yield from combinations(scopes, count)


def seen_by(contract: Contract, own: Mapping[str, Term], other: Mapping[str, Term], apart: Apart) -> Mapping[str, Term]:
    """The state as it is for who has another key in these scopes, and the call's own in the rest."""
    return {v.name: other[v.name] if v.scope in apart else own[v.name] for v in contract.variables}


def key_facts(contract: Contract, scopes: Iterable[ScopeName]) -> list[tuple[ScopeName, Argument]]:
    """For each of these scopes the declared fact that is its key."""
    declared = {fact.name: fact for fact in contract.session}
    return [(scope, declared[FACTS[scope]]) for scope in scopes if FACTS[scope] in declared]


def keys_seen(contract: Contract, own: Mapping[str, z3.ExprRef], apart: Apart) -> Mapping[str, z3.ExprRef]:
    """The facts of whoever has another key in these scopes, and the call's own in the rest."""
    others = {
        f"session.{fact.name}": single(symbol(f"session_{fact.name}{OTHER}", sort_of(fact.type), key.ctx))
        for _, fact in key_facts(contract, apart)
        if (key := own.get(f"session.{fact.name}")) is not None
    }
    return {**own, **others}


def differing_keys(contract: Contract, env: Environment, apart: Apart, *, named: bool) -> list[z3.BoolRef]:
    """That there is somebody else, where the type of the key leaves a doubt, or something `named` the keys."""
    terms: list[z3.BoolRef] = []
    for _, fact in key_facts(contract, apart):
        if isinstance(fact.type, StringType | EnumType):
            other = symbol(f"session_{fact.name}{OTHER}", sort_of(fact.type), env.ctx)
            typed = of_type(other, fact.type, env.ctx)
            terms += [*typed, other != env.facts[f"session.{fact.name}"]] if typed or named else []
    return terms
