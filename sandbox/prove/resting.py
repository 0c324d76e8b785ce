"""What recorded proofs rest on, as conditions on the state: proved `always`, and invariants that were found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sandbox.errors import SpecError
from sandbox.ir import Contract, Expr, Property
from sandbox.prove.spoken import read_invariant


@dataclass(frozen=True, slots=True)
class Invariant:
    """A condition that every step keeps, and on which a proof rests; `source` tells a person where it is from."""

    source: str
    condition: Expr


def resting_on(contract: Contract, subject: Property, texts: Iterable[str]) -> tuple[Invariant, ...] | None:
    """The invariants of a property that is proved, given those that were found for it.

    None where one of them is no condition on the contract's state. Of a `within` only those count that are: the rest
    are about states of other specs too; and of a `needs`: the rest are about what has been, which no state keeps.
    """
    if subject.kind in {"within", "needs"}:
        texts = [text for text in texts if _is_about(contract, text)]
    own = [Invariant(f"`{subject.id}`", subject.condition)] if subject.kind == "always" else []
    try:
        found = [
            Invariant(f"`{text}`, by which `{subject.id}` is proved,", read_invariant(text, contract)) for text in texts
        ]
    except SpecError:
        return None
    return (*own, *found)


def _is_about(contract: Contract, text: str) -> bool:
    try:
        read_invariant(text, contract)
    except SpecError:
        return False
    return True
