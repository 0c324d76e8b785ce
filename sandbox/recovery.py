"""What a gate does first: hold what is stored against its specs, and find what dead processes left unfinished.

A state may have been left by an earlier spec of the same name. It must fit the declarations, and be one that the
current proofs speak of; then it is this spec's, which goes on record, and a gate on another version of the spec is
denied whatever it asks (`Transaction.superseded`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sandbox.endings import recover_endings
from sandbox.errors import UsageError
from sandbox.events import emit
from sandbox.holders import FACTS, Holders
from sandbox.ir import Contract, Expr, Json, ScopeName, State
from sandbox.lang.walk import within
from sandbox.machine import tick
from sandbox.opening import Checked, check_state
from sandbox.policy import Policy
from sandbox.receipts import spec_change_stands
from sandbox.state import Transaction
from sandbox.trail import Trail

if TYPE_CHECKING:
    from sandbox.prove.standing import Standing


MAX_PAIRS: Final = 1_000_000
"""Pairs of a principal and a session that are looked at when a gate opens: some seconds."""


def recover(
    transaction: Transaction, policy: Policy, proofs: Checked, trail: Trail, *, record: Path, now_ms: int
) -> int:
    """Takes over the state of every spec, in this transaction; returns how many calls dead processes left unfinished.

    Their budget stays spent. Raises UsageError where a stored state is none that its spec, or the proofs of it, speak
    of; RecordBroken where the change of a spec cannot be recorded.
    """
    for contract, (name, digest) in zip(policy.contracts, policy.digests(), strict=True):
        if transaction.spec(name) != digest:
            transaction.check_fit(contract)  # what this very spec has written fits it
        _check(transaction, contract, proofs.standings[name], now_ms)
        before = transaction.adopt(name, digest)
        if before is not None and before != digest:
            body: dict[str, Json] = {"spec": name, "before": before, "after": digest}
            if not spec_change_stands(record, body):  # else a process was killed between writing this and committing
                trail.append("spec_changed", body)
            emit("gate.spec_changed", spec=name, before=before, after=digest)
    return recover_endings(transaction, trail, record)


def _check(transaction: Transaction, contract: Contract, found: Standing, now_ms: int) -> None:
    stored = transaction.load(contract, now_ms)
    every = transaction.every(contract)
    ticked = tick(contract, stored, now_ms)
    come = transaction.come(contract.name)
    check_state(contract, found, ticked, come=come)
    if not found.proved:
        return
    for holders in seen_together(contract, found, every):
        own = tick(contract, transaction.load(contract, now_ms, holders), now_ms)
        check_state(contract, found, own, holders, come=come)
    if ticked != stored:
        transaction.save(contract, ticked)  # what was checked stays, should the clock be set back


def seen_together(contract: Contract, found: Standing, every: Sequence[Holders]) -> Iterator[Holders]:
    """Whose states have to be looked at together: each principal and each session, in pairs only where they matter.

    An invariant that speaks of both holds of every principal in every session. Raises UsageError for too many pairs.
    """
    yield from every
    both = [FACTS.keys() <= scopes_read(contract, each.condition) for each in found.invariants]
    if not any(both):
        return
    principals, sessions = ([each for each in every if scope in each] for scope in FACTS)
    if len(principals) * len(sessions) > MAX_PAIRS:
        message = (
            f"the proofs of `{contract.name}` speak of every principal in every session, and its state has "
            f"{len(principals):,} and {len(sessions):,}, more than can be looked at; choose another one with --state"
        )
        raise UsageError(message, "state.unproved")
    for principal, session in product(principals, sessions):
        yield {**principal, **session}


def scopes_read(contract: Contract, condition: Expr) -> frozenset[ScopeName]:
    """The scopes of the variables that a condition reads."""
    read = {expr.name for expr in within(condition) if isinstance(expr, State)}
    return frozenset(variable.scope for variable in contract.variables if variable.name in read)
