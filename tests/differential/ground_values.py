"""One expression, one environment, both meanings: what the differential tests compare."""

from __future__ import annotations

from collections.abc import Mapping

import z3

from sandbox.call import NOTHING_KNOWN, Origins, Value
from sandbox.encode import Environment, Keys, ListTerm, RecordTerm, Term, encode, literal, plain, state_literal
from sandbox.evaluate import Env, evaluate
from sandbox.ground import SIMPLIFIER_PASSES
from sandbox.ir import Bound, CollectionSort, Expr, ListSort, MapSort, RecordSort, Sort, Variable

CTX = z3.Context()


def evaluated(
    expr: Expr,
    args: Mapping[str, Value],
    state: Mapping[str, Value] | None = None,
    facts: Mapping[str, Value] | None = None,
    origins: Origins | None = None,
) -> Value:
    """What the expression is when it runs."""
    return evaluate(expr)(Env(args, state or {}, facts or {}, origins=origins or {}))


def encoded(
    expr: Expr,
    sorts: Mapping[str, Sort],
    args: Mapping[str, Value],
    state: Mapping[str, Value] | None = None,
    state_sorts: Mapping[str, Sort | CollectionSort] | None = None,
    facts: Mapping[str, Value] | None = None,
    fact_sorts: Mapping[str, Sort] | None = None,
    origins: Origins | None = None,
) -> object:
    """What the solver makes of it: a bool, an int, or the left-over term where it does not reduce.

    Maps have the `initial` 0. What is said of all keys is said of those that are kept in any map.
    """
    variables = {name: Variable(name, sort, 0) for name, sort in (state_sorts or {}).items()}
    env = Environment(
        CTX,
        {name: term(args.get(name), sort) for name, sort in sorts.items()},
        {name: z3.BoolVal(name in args, CTX) for name in sorts},
        {name: state_literal(variables[name], value, CTX) for name, value in (state or {}).items()},
        {name: literal(value, (fact_sorts or {})[name], CTX) for name, value in (facts or {}).items()},
        keys=kept_keys(variables, state or {}),
        origins=lambda name, label: z3.BoolVal(label in (origins or {}).get(name, NOTHING_KNOWN), CTX),
    )
    found = encode(expr, env)
    for _ in range(SIMPLIFIER_PASSES):
        found = z3.simplify(found)
    if z3.is_true(found) or z3.is_false(found):
        return z3.is_true(found)
    return found.as_long() if z3.is_int_value(found) else found


def kept_keys(variables: Mapping[str, Variable], state: Mapping[str, Value]) -> Keys:
    """For the variable of an `AllKeys`, the kept keys of every map whose keys have its sort."""

    def keys(bound: Bound) -> tuple[z3.ExprRef, ...]:
        maps = [v for v in variables.values() if isinstance(v.sort, MapSort) and v.sort.key == bound.sort]
        kept = sorted({key for each in maps for key in state[each.name]})
        return tuple(literal(key, bound.sort, CTX) for key in kept)

    return keys


def term(value: Value | None, sort: Sort) -> Term:
    """A value as a ground term; an absent one is any value."""
    if isinstance(sort, ListSort):
        given = value if isinstance(value, tuple) else ()
        filler = [plain(sort.item, CTX)] * (sort.max_size - len(given))
        items = (*(term(item, sort.item) for item in given), *filler)
        return ListTerm(z3.IntVal(len(given), CTX), items, plain(sort.item, CTX))
    if isinstance(sort, RecordSort):
        parts = value if isinstance(value, Mapping) else {}
        present = {part.name: z3.BoolVal(part.name in parts, CTX) for part in sort.fields if part.optional}
        return RecordTerm({part.name: term(parts.get(part.name), part.sort) for part in sort.fields}, present)
    return plain(sort, CTX) if value is None else literal(value, sort, CTX)
