"""Invariants that the prover found: expressions over the state, read back from the very text that people are shown.

Where the proof is about calls that have values in common, they speak of those too (`same.args.x`), and of whose state
they are about (`session.principal`, `session.id`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sandbox.ir import BoolSort, Contract, Expr, ScalarSort
from sandbox.lang import Scope, SourceText, compile_expression

_NONE: Mapping[str, ScalarSort] = {}
_KEYS = frozenset({"principal", "id"})


def read_invariants(
    texts: Iterable[str], contract: Contract, commons: Mapping[str, ScalarSort] = _NONE
) -> dict[str, Expr]:
    """Each text with its condition; raises SpecError where one is none."""
    return {text: read_invariant(text, contract, commons) for text in texts}


def read_invariant(text: str, contract: Contract, commons: Mapping[str, ScalarSort] = _NONE) -> Expr:
    """The condition that the text states of the contract's state. Raises SpecError where it is none."""
    keys = {fact.name: fact for fact in contract.session if fact.name in _KEYS} if commons else {}
    state = {variable.name: variable for variable in contract.variables}
    scope = Scope(state=state, session=keys, commons=commons)
    return compile_expression(SourceText.of(text, "<invariant>"), scope, BoolSort())
