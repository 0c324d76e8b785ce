"""Whose state it is: what belongs to the spec, to each principal, and to each session.

A variable of `scope: principal` has a value for every `session.principal`, one of `scope: session` for every
`session.id`. The language knows nothing of it: a call reads the state as it is for its own principal and its own
session, joined with what belongs to the spec, and what it writes is split again. The clock belongs to all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

from sandbox.ir import Contract, ScopeName
from sandbox.machine import StoredState, initial_state, tick

if TYPE_CHECKING:
    from sandbox.call import Value

FACTS: Final[Mapping[ScopeName, str]] = MappingProxyType({"principal": "principal", "session": "id"})
"""The declared fact of the session that says whose a variable of this scope is."""

Holders: TypeAlias = Mapping[ScopeName, str]
"""Whose state a call reads and writes: its principal and its session, as far as they are known."""

NOBODY: Final[Holders] = MappingProxyType({})


def holders_of(contract: Contract, facts: Mapping[str, Value]) -> Holders:
    """Whose state a call with these session facts reads and writes; what is missing denies the call anyway."""
    known = {scope: facts.get(FACTS[scope]) for scope in scopes_in(contract) if scope != "spec"}
    return {scope: holder for scope, holder in known.items() if isinstance(holder, str)}


def scopes_in(contract: Contract) -> tuple[ScopeName, ...]:
    """The scopes of the contract's variables, and always the spec's own, which has the clock."""
    used = {variable.scope for variable in contract.variables}
    return ("spec", *(scope for scope in FACTS if scope in used))


def share(contract: Contract, scope: ScopeName) -> Contract:
    """The contract with the variables of one scope only."""
    own = tuple(variable for variable in contract.variables if variable.scope == scope)
    return contract if len(own) == len(contract.variables) else replace(contract, variables=own)


def split(contract: Contract, state: StoredState) -> dict[ScopeName, StoredState]:
    """What of a joined state belongs to whom."""
    scopes = scopes_in(contract)
    return {scope: _part(share(contract, scope), state) for scope in scopes} if len(scopes) > 1 else {"spec": state}


def _part(own: Contract, state: StoredState) -> StoredState:
    names = {variable.name for variable in own.variables}
    lengths = {variable.period.length_ms for variable in own.variables if variable.period is not None}
    return StoredState(
        {name: value for name, value in state.values.items() if name in names},
        {length: number for length, number in state.epochs.items() if length in lengths},
        {name: pairs for name, pairs in state.events.items() if name in names},
        state.clock_ms,
        {name: keys for name, keys in state.key_events.items() if name in names},
    )


def join(contract: Contract, parts: Mapping[ScopeName, StoredState]) -> StoredState:
    """The state that a call reads: each part at the clock of the spec's, which is never behind."""
    clock = parts["spec"].clock_ms
    ticked = [tick(share(contract, scope), parts[scope], clock) for scope in scopes_in(contract)]
    if len(ticked) == 1:
        return ticked[0]
    return StoredState(
        {name: value for part in ticked for name, value in part.values.items()},
        {length: number for part in ticked for length, number in part.epochs.items()},
        {name: pairs for part in ticked for name, pairs in part.events.items()},
        clock,
        {name: keys for part in ticked for name, keys in part.key_events.items()},
    )


@dataclass(slots=True)
class Shelf:
    """The state of one contract in memory, of as many principals and sessions as come: for replays and oracles."""

    contract: Contract
    spec: StoredState
    parts: dict[tuple[ScopeName, str], StoredState] = field(default_factory=dict)

    @classmethod
    def fresh(cls, contract: Contract, now_ms: int) -> Shelf:
        """Everything at `initial`."""
        return cls(contract, initial_state(share(contract, "spec"), now_ms))

    def view(self, holders: Holders) -> StoredState:
        """The state as it is for these."""
        fresh = {scope: initial_state(share(self.contract, scope), self.spec.clock_ms) for scope in FACTS}
        own = {scope: self.parts.get((scope, holders.get(scope, "")), fresh[scope]) for scope in FACTS}
        return join(self.contract, {"spec": self.spec, **own})

    def put(self, holders: Holders, state: StoredState) -> None:
        """Store what a call of these leaves."""
        for scope, part in split(self.contract, state).items():
            if scope == "spec":
                self.spec = part
            else:
                self.parts[scope, holders[scope]] = part
