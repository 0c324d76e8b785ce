"""What a guess may speak of besides the numbers and truth values of the state: what is there at the common values.

Sets and maps have no place in the projection of the machine. Where a proof is about calls that have certain values in
common, it matters what is in them at those values, and no more: that is a truth value or a number again. What is known
of keys, that equal ones have the same, is lost with the arrays, and is said of those that a clause reads.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import z3

from sandbox.ir import (
    BoolSort,
    Contract,
    DecimalSort,
    EnumSort,
    Eq,
    Expr,
    Fact,
    InSet,
    IntSort,
    MapGet,
    MapSort,
    ScalarSort,
    SetSort,
    State,
    TimestampSort,
    Variable,
)
from sandbox.prove.nodes import Raw, node_of, raw_of
from sandbox.prove.sameness import PREFIX
from sandbox.prove.scopes import FACTS

MOST_KEYS: Final = 8
"""Keys of a clause of which it is said what equality means: there are as many triples as their third power."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A scalar that depends on the state and the common values: as text that is read back, and as what that means."""

    text: str
    expr: Expr
    sort: BoolSort | IntSort | DecimalSort | EnumSort | TimestampSort

    def variable(self) -> Variable:
        """As `wording` knows it: by its whole text."""
        return Variable(self.text, self.sort, initial=False)


def probes_of(contract: Contract, commons: Mapping[str, ScalarSort]) -> tuple[Probe, ...]:
    """Everything of the state that is looked up with a common value, or can be compared with one."""
    named = {name: sort for name, sort in commons.items() if "@" not in name}
    return tuple(probe for name, sort in named.items() for probe in _about(contract, name, sort))


def _about(contract: Contract, name: str, sort: ScalarSort) -> Iterator[Probe]:
    common = Fact(name, sort)
    for variable in contract.variables:
        whole = State(variable.name, variable.sort)
        match variable.sort:
            case SetSort(item=item) if item == sort:
                yield Probe(f"{name} in state.{variable.name}", InSet(common, whole), BoolSort())
            case MapSort(key=key, value=value) if key == sort and isinstance(variable.initial, int):
                text = f"state.{variable.name}[{name}]"
                yield Probe(text, MapGet(whole, common, variable.initial), value)
            case _:
                pass
    if isinstance(sort, BoolSort | IntSort | DecimalSort | EnumSort | TimestampSort) and _compared(contract, sort):
        yield Probe(name, common, sort)
    for scope, fact in FACTS.items():
        if name == f"{PREFIX}session.{fact}" and any(each.scope == scope for each in contract.variables):
            yield Probe(f"session.{fact} == {name}", Eq(Fact(f"session.{fact}", sort), common), BoolSort())


def _compared(contract: Contract, sort: ScalarSort) -> bool:
    """Whether the state has something that is compared with this."""
    return any(
        each.sort == sort or (isinstance(each.sort, MapSort) and each.sort.value == sort) for each in contract.variables
    )


def alike(terms: Iterable[z3.ExprRef]) -> list[z3.BoolRef]:
    """What follows from equality of the keys that the terms read, and of the strings that they compare."""
    read, keys = _read(terms)
    said = [meaning for node in read for meaning in _meaning(node)]
    for one, other in itertools.combinations(read, 2):
        if one.arg(0).eq(other.arg(0)):
            said.append(z3.Implies(one.arg(1) == other.arg(1), one == other))
    strings = [key for key in keys if z3.is_string(key)][:MOST_KEYS]
    places = range(len(strings))
    equal = {(one, other): strings[one] == strings[other] for one, other in itertools.permutations(places, 2)}
    said += [equal[one, other] == equal[other, one] for one, other in itertools.combinations(places, 2)]
    said += [
        z3.Implies(z3.And(equal[one, other], equal[other, third]), equal[one, third])
        for one, other, third in itertools.permutations(places, 3)
    ]
    return said


def _read(terms: Iterable[z3.ExprRef]) -> tuple[list[z3.ExprRef], list[z3.ExprRef]]:
    """What is read of arrays in the terms, and of those that these are made of; the keys, and what is compared."""
    alive = list(terms)  # a node is its own as long as a term has it
    read: dict[Raw, z3.ExprRef] = {}
    keys: dict[Raw, z3.ExprRef] = {}
    seen: set[Raw] = set()
    pending = [raw_of(term) for term in alive]
    while pending:
        raw = pending.pop()
        if raw in seen:
            continue
        seen.add(raw)
        node = node_of(raw, alive[0].ctx)
        pending += node.children
        if node.kind == z3.Z3_OP_SELECT:
            read[raw] = node.term()
            keys[node.children[1]] = node.child(1).term()
            meaning = _meaning(read[raw])
            alive += meaning
            pending += [raw_of(each) for each in meaning]
        elif node.kind == z3.Z3_OP_EQ and node.child(0).is_string():
            keys.update({child: node.child(at).term() for at, child in enumerate(node.children)})
    return list(read.values()), list(keys.values())


def _meaning(node: z3.ExprRef) -> list[z3.BoolRef]:
    """What is read of an array, by what it is made of."""
    array, key = node.children()
    if z3.is_store(array):
        of, at, value = array.children()
        return [node == z3.If(at == key, value, z3.Select(of, key))]
    if z3.is_K(array):
        return [node == array.arg(0)]
    if z3.is_app_of(array, z3.Z3_OP_ITE):
        test, then, otherwise = array.children()
        return [node == z3.If(test, z3.Select(then, key), z3.Select(otherwise, key))]
    return []
