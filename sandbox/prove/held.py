"""What is stored along a sequence of calls, as terms: `machine.StoredState`, and who each part of it belongs to.

A variable of a scope is read by its last writer of the same key. A window is the sum of the amounts that are younger
than its length; one of a map is such a sum at each key. Maps begin as `initial` everywhere, so that what they keep is
among the keys that were assigned on the way: what is said of all keys is said of exactly those.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import z3

from sandbox.encode import Environment, MapTerm, SetTerm, Term, choice, initial_literal, initial_map, single, symbol
from sandbox.ir import Bound, Contract, ScopeName, Tool, Variable
from sandbox.machine import is_map, is_window
from sandbox.prove.keys import keys_in
from sandbox.prove.obligations import is_written, term

Owners: TypeAlias = Mapping[ScopeName, z3.ExprRef]
"""For each scope whose key is known of a call, that key."""


@dataclass(frozen=True, slots=True)
class Written:
    """A value of a variable, since when, and whose it is (None: the spec's)."""

    value: Term
    at: z3.ArithRef
    owner: z3.ExprRef | None


@dataclass(frozen=True, slots=True)
class Event:
    """An amount that was added to a window, when, at which key (of a map), and whose it is."""

    amount: z3.ArithRef
    at: z3.ArithRef
    key: z3.ExprRef | None
    owner: z3.ExprRef | None


@dataclass(frozen=True, slots=True)
class Held:
    """`values` and `events` by variable, the oldest first; `assigned` are the keys of maps that were assigned."""

    values: Mapping[str, tuple[Written, ...]] = field(default_factory=dict)
    events: Mapping[str, tuple[Event, ...]] = field(default_factory=dict)
    assigned: tuple[z3.ExprRef, ...] = ()

    def keys(self, variable: Bound) -> tuple[z3.ExprRef, ...]:
        """Every key of this sort that a map can have kept."""
        return tuple(k for k in self.assigned if k.sort() == single(symbol("any", variable.sort, k.ctx)).sort())


@dataclass(frozen=True, slots=True)
class Way:
    """What a permit of one tool would do, `if_chosen`: the environment it is judged in, and the state after it."""

    tool: Tool
    if_chosen: z3.BoolRef
    env: Environment
    after: Mapping[str, Term]


def effective_at(contract: Contract, held: Held, now: z3.ArithRef, owners: Owners) -> dict[str, Term]:
    """What rules read as the state at a time, after `tick`, in a call whose keys are `owners`."""
    return {v.name: _effective(v, held, now, owners.get(v.scope)) for v in contract.variables}


def _effective(variable: Variable, held: Held, now: z3.ArithRef, owner: z3.ExprRef | None) -> Term:
    if is_window(variable):
        return _within_window(variable, held.events.get(variable.name, ()), now, owner)
    value = initial = initial_literal(variable, now.ctx)
    for written in held.values.get(variable.name, ()):
        kept = choice(_turned(variable, written.at, now), initial, written.value) if variable.period else written.value
        value = kept if written.owner is None else choice(written.owner == owner, kept, value)
    return value


def _turned(variable: Variable, then: z3.ArithRef, now: z3.ArithRef) -> z3.BoolRef:
    length = variable.period.length_ms if variable.period is not None else 1
    return then / length != now / length


def _within_window(variable: Variable, events: tuple[Event, ...], now: z3.ArithRef, owner: z3.ExprRef | None) -> Term:
    length = variable.period.length_ms if variable.period is not None else 0
    zero = z3.IntVal(0, now.ctx)
    amounts = []
    for event in events:
        counts = [event.at > now - length, *([] if event.owner is None else [event.owner == owner])]
        amounts.append((event.key, z3.If(z3.And(counts), event.amount, zero)))
    if not is_map(variable):
        return z3.Sum([zero, *(amount for _, amount in amounts)])
    entries = initial_map(variable, now.ctx)
    for key, amount in amounts:
        entries = entries.put(key, entries.get(key) + amount)
    return entries


def with_values(contract: Contract, held: Held, at: z3.ArithRef, owners: Owners, state: Mapping[str, Term]) -> Held:
    """What is stored once the state is this one, as far as it is no window."""
    values = dict(held.values)
    for variable in contract.variables:
        if is_written(contract, variable) and not is_window(variable):
            owner = owners.get(variable.scope)
            earlier = () if owner is None else values.get(variable.name, ())
            values[variable.name] = (*earlier, Written(state[variable.name], at, owner))
    return replace(held, values=values)


def with_events(contract: Contract, held: Held, at: z3.ArithRef, owners: Owners, ways: Iterable[Way]) -> Held:
    """What is stored of the windows and of the keys that were assigned, once one of these ways was taken."""
    events, assigned = dict(held.events), list(held.assigned)
    for way in ways:
        for each in way.tool.then:
            variable = contract.variable(each.variable)
            key = None if each.key is None else term(each.key, way.env, {"tool": way.tool.name})
            assigned += [] if key is None else [key]
            if variable is not None and is_window(variable):
                added = _at(way.after[variable.name], key) - _at(way.env.state[variable.name], key)
                amount = z3.If(way.if_chosen, added, z3.IntVal(0, at.ctx))
                event = Event(amount, at, key, owners.get(variable.scope))
                events[variable.name] = (*events.get(variable.name, ()), event)
    return replace(held, events=events, assigned=tuple(assigned))


def rooms(contract: Contract, before: Mapping[str, Term], after: Mapping[str, Term]) -> list[z3.BoolRef]:
    """That no set or map grows beyond its `max_size`; nothing is said where so many entries were never assigned."""
    terms: list[z3.BoolRef] = []
    for variable in contract.variables:
        old, new, most = before[variable.name], after[variable.name], variable.max_size
        if isinstance(old, SetTerm | MapTerm) and isinstance(new, SetTerm | MapTerm) and most is not None:
            entries = keys_in([_array(new)])
            if len(entries) > most:
                count = _count(new, entries)
                terms.append(z3.Or(count <= most, count <= _count(old, entries)))
    return terms


def _array(value: SetTerm | MapTerm) -> z3.ArrayRef:
    return value.members if isinstance(value, SetTerm) else value.values


def _count(value: SetTerm | MapTerm, entries: tuple[z3.ExprRef, ...]) -> z3.ArithRef:
    """How many different ones of these entries it has."""
    one, zero = z3.IntVal(1, _array(value).ctx), z3.IntVal(0, _array(value).ctx)
    counted = []
    for position, entry in enumerate(entries):
        there = value.has(entry) if isinstance(value, SetTerm) else value.kept(entry)
        first = [entry != earlier for earlier in entries[:position]]
        counted.append(z3.If(z3.And(there, *first), one, zero))
    return z3.Sum([zero, *counted])


def _at(value: Term, key: z3.ExprRef | None) -> z3.ArithRef:
    return value.get(key) if isinstance(value, MapTerm) else single(value)
