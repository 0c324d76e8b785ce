"""Invariants that the prover found: expressions over the state, read back from the very text that people are shown."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.ir import BoolSort, Contract, Expr
from sandbox.lang import Scope, SourceText, compile_expression


def read_invariants(texts: Iterable[str], contract: Contract) -> dict[str, Expr]:
    """Each text with its condition; raises SpecError where one is none."""
    return {text: read_invariant(text, contract) for text in texts}


def read_invariant(text: str, contract: Contract) -> Expr:
    """The condition that the text states of the contract's state. Raises SpecError where it is none."""
    scope = Scope(state={variable.name: variable for variable in contract.variables})
    return compile_expression(SourceText.of(text, "<invariant>"), scope, BoolSort())
