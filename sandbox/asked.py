"""Lookups in sets and maps, as the ground check asks for them: one symbol for what a variable has at one key.

In a proof a set is an array and a lookup a `select`. Of one ground call every key is known, so a lookup is given its
value as an argument is, and the arrays stay symbols: a `then` is confirmed if it stores the claimed values at the
claimed keys of an array of which nothing else is said. What is left over, here too, is a fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import z3

from sandbox.call import Value
from sandbox.encode import Environment, MapTerm, SetTerm, Term, literal
from sandbox.errors import Fault
from sandbox.ir import Contract, EnumSort, MapSort, ScalarSort, SetSort, Variable
from sandbox.regex import python_string


@dataclass(frozen=True, slots=True)
class Asked:
    """`symbol` stands for what the variable has at `key`: for a set a Bool, for a map a number."""

    variable: Variable
    key: z3.ExprRef
    symbol: z3.ExprRef


@dataclass(frozen=True, slots=True)
class AskedSet(SetTerm):
    """A set before the call. What `then` makes of it is an array again, and never asked."""

    variable: Variable
    asked: dict[int, Asked]

    def has(self, item: z3.ExprRef) -> z3.BoolRef:
        """The symbol for whether the item is in the set."""
        return _symbol(self.variable, item, self.asked, z3.Bool)


@dataclass(frozen=True, slots=True)
class AskedMap(MapTerm):
    """A map before the call."""

    variable: Variable
    asked: dict[int, Asked]

    def get(self, key: z3.ExprRef) -> z3.ArithRef:
        """The symbol for the value at the key."""
        return _symbol(self.variable, key, self.asked, z3.Int)


def asking(contract: Contract, env: Environment) -> tuple[dict[str, Term], Callable[[], tuple[Asked, ...]]]:
    """The state of an environment with sets and maps that are asked, and what returns all that has been asked."""
    asked: dict[str, dict[int, Asked]] = {variable.name: {} for variable in contract.variables}
    state: dict[str, Term] = dict(env.state)
    for variable in contract.variables:
        match env.state[variable.name]:
            case SetTerm(members=members):
                state[variable.name] = AskedSet(members, variable, asked[variable.name])
            case MapTerm(values=values, initial=initial):
                state[variable.name] = AskedMap(values, initial, variable, asked[variable.name])
            case _:
                pass
    return state, lambda: tuple(each for own in asked.values() for each in own.values())


def _symbol(
    variable: Variable, key: z3.ExprRef, asked: dict[int, Asked], make: Callable[[str, z3.Context], z3.ExprRef]
) -> z3.ExprRef:
    found = asked.get(identity(key))  # the key is held, so that its id stays its own
    if found is None:
        found = Asked(variable, key, make(f"asked_{variable.name}@{len(asked)}", key.ctx))
        asked[identity(key)] = found
    return found.symbol


def answers(
    asked: Iterable[Asked],
    known: Mapping[int, Value | None],
    state: Mapping[str, Value],
    reduced: Callable[[z3.ExprRef], z3.ExprRef],
) -> Iterator[tuple[z3.ExprRef, z3.ExprRef]]:
    """Each symbol with its value in this call, of those whose key has one.

    `known` are the values of symbols by their ids, `reduced` the ground form of any other key. What is absent (None) is
    not looked at: nothing is kept there. A key that does not reduce is that of an element beyond the end of its list,
    on which no term may depend: it gets no value.
    """
    held = {name: frozenset(map(str, each)) if isinstance(each, tuple) else each for name, each in state.items()}
    for each in asked:
        found = identity(each.key)
        if found not in known and is_symbol(each.key):
            continue
        key = known[found] if found in known else _read(reduced(each.key), key_sort(each.variable))
        if key is not None or found in known:
            yield each.symbol, _value(each.variable, key, held[each.variable.name], each.key.ctx)


def identity(term: z3.ExprRef) -> int:
    """What tells a term from every other that is held: Z3 keeps equal terms once. Asking Z3 for its id takes longer."""
    return int(term.as_ast().value)


def is_symbol(term: z3.ExprRef) -> bool:
    """Whether a term is a free constant: what a call gives a value, or does not."""
    return bool(term.num_args() == 0 and term.decl().kind() == z3.Z3_OP_UNINTERPRETED)


def constants_in(terms: Iterable[z3.ExprRef]) -> Iterator[int]:
    """The ids of the free constants in some terms."""
    seen: set[int] = set()
    pending = list(terms)
    while pending:
        term = pending.pop()
        if identity(term) not in seen:
            seen.add(identity(term))
            if is_symbol(term):
                yield identity(term)
            pending += term.children()


def key_sort(variable: Variable) -> ScalarSort | None:
    """The sort of a set's items or a map's keys."""
    match variable.sort:
        case SetSort(item=sort) | MapSort(key=sort):
            return sort
        case _:
            return None


def _read(key: z3.ExprRef, sort: ScalarSort | None) -> str | None:
    if isinstance(sort, EnumSort):
        return sort.values[int(key.as_long())] if z3.is_int_value(key) else None
    return python_string(key) if z3.is_string_value(key) else None


def _value(variable: Variable, key: Value | None, held: Value, ctx: z3.Context) -> z3.ExprRef:
    match variable.sort, held:
        case MapSort(value=sort), Mapping():
            value = held[key] if isinstance(key, str) and key in held else initial_number(variable)
            return literal(value, sort, ctx)
        case _, frozenset():
            return z3.BoolVal(isinstance(key, str) and key in held, ctx)
        case _:
            message = f"`{variable.name}` has a value of another sort"
            raise Fault(message, "fault.unsupported")


def initial_number(variable: Variable) -> int:
    """The value of a map at a key that is not kept."""
    return variable.initial if isinstance(variable.initial, int) else 0
