"""What some `needs` of a spec names, noted when a call has ended `ok` that is one of these.

The state says what is, and not how it came about. So a gate that takes over a state of another version can tell whether
what its proofs say had to come before has come, and does not open where it has not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from sandbox.call import Call
from sandbox.decide import Facts
from sandbox.evaluate import Env, truth
from sandbox.ir import Contract, Property
from sandbox.prove.needing import before_of, name_of
from sandbox.state import Transaction

Needs: TypeAlias = Mapping[str, Sequence[Property]]
"""The properties that say what has to come before, by the name of their spec."""


class Needed:
    """What calls may meet, by the name of each spec. Compiled once; thread-safe."""

    def __init__(self, needs: Needs) -> None:
        self._tests: dict[str, dict[str, Callable[[Env], bool]]] = {
            spec: {name_of(before): truth(before) for before in map(before_of, subjects)}
            for spec, subjects in needs.items()
        }

    def asks(self, judges: Sequence[Contract]) -> bool:
        """Whether any of these specs has to remember anything."""
        return any(self._tests.get(each.name) for each in judges)

    def note(self, transaction: Transaction, judges: Sequence[Contract], call: Call, facts: Facts) -> None:
        """Remember what this call, which has ended `ok`, was for each of its specs."""
        known = {"tool": call.tool, **{f"session.{name}": value for name, value in facts.items()}}
        for each in judges:
            for name, is_met in self._tests.get(each.name, {}).items():
                if is_met(Env(call.args, {}, known)):
                    transaction.note_come(each.name, name)
