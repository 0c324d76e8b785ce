"""What recorded proofs rest on, as conditions on the state: proved `always`, and invariants that were found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sandbox.errors import SpecError
from sandbox.ir import Contract, Expr, Property
from sandbox.prove.mentions import variables_in
from sandbox.prove.needing import before_of, name_of, remembering
from sandbox.prove.spoken import read_invariant


@dataclass(frozen=True, slots=True)
class Invariant:
    """A condition that every step keeps, and on which a proof rests; `source` tells a person where it is from.

    Of a `needs` it may speak of what has come, as the variable `remembers`, which the state keeps as `before`.
    """

    source: str
    condition: Expr
    remembers: str = ""
    before: str = ""


def resting_on(contract: Contract, subject: Property, texts: Iterable[str]) -> tuple[Invariant, ...] | None:
    """The invariants of a property that is proved, given those that were found for it.

    None where one of them is no condition on the contract's state. Of a `within` only those count that are: the rest
    are about states of other specs too. What has come with which values no state keeps, and of a `needs` that compares
    them no invariant about it counts as one.
    """
    if subject.kind == "needs":
        return _on_what_came(contract, subject, texts)
    if subject.kind == "within":
        texts = [text for text in texts if _is_about(contract, text)]
    own = [Invariant(f"`{subject.id}`", subject.condition)] if subject.kind == "always" else []
    try:
        found = [
            Invariant(f"`{text}`, by which `{subject.id}` is proved,", read_invariant(text, contract)) for text in texts
        ]
    except SpecError:
        return None
    return (*own, *found)


def _on_what_came(contract: Contract, subject: Property, texts: Iterable[str]) -> tuple[Invariant, ...] | None:
    watched, _ = remembering(contract, subject)
    name, before = watched.variables[-1].name, name_of(before_of(subject))
    found = []
    for text in texts:
        try:
            condition = read_invariant(text, watched)
        except SpecError:
            return None
        if subject.same and name in variables_in(condition):
            return None
        kept = (name, before) if name in variables_in(condition) else ("", "")
        found.append(Invariant(f"`{text}`, by which `{subject.id}` is proved,", condition, *kept))
    return tuple(found)


def _is_about(contract: Contract, text: str) -> bool:
    try:
        read_invariant(text, contract)
    except SpecError:
        return False
    return True
