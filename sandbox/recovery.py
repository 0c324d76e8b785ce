"""What a gate does first: hold what is stored against its specs, and find what dead processes left unfinished.

A state may have been left by an earlier spec of the same name. It must fit the declarations, and be one that the
current proofs speak of; then it is this spec's, which goes on record, and a gate on another version of the spec is
denied whatever it asks (`Transaction.superseded`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.events import emit
from sandbox.ir import Contract
from sandbox.machine import tick
from sandbox.opening import Checked, check_state
from sandbox.policy import Policy
from sandbox.state import Transaction
from sandbox.state_document import check_keys
from sandbox.trail import Trail, interrupted_body

if TYPE_CHECKING:
    from sandbox.prove.standing import Standing


def recover(transaction: Transaction, policy: Policy, proofs: Checked, trail: Trail, now_ms: int) -> int:
    """Takes over the state of every spec, in this transaction; returns how many calls dead processes left unfinished.

    Their budget stays spent. Raises UsageError where a stored state is none that its spec, or the proofs of it, speak
    of; RecordBroken where the change of a spec cannot be recorded.
    """
    for contract, (name, digest) in zip(policy.contracts, policy.digests(), strict=True):
        _check(transaction, contract, proofs.standings[name], now_ms)
        before = transaction.adopt(name, digest)
        if before is not None and before != digest:
            trail.append("spec_changed", {"spec": name, "before": before, "after": digest})
            emit("gate.spec_changed", spec=name, before=before, after=digest)
    lost = transaction.unfinished()
    for reservation in lost:
        trail.append("interrupted", interrupted_body(reservation))
        transaction.advance(reservation.nonce, expect=reservation.status, to="interrupted")
    return len(lost)


def _check(transaction: Transaction, contract: Contract, found: Standing, now_ms: int) -> None:
    stored = transaction.load(contract, now_ms)
    check_keys(contract, stored)
    ticked = tick(contract, stored, now_ms)
    check_state(contract, found, ticked)
    if found.proved and ticked != stored:
        transaction.save(contract, ticked)  # what was checked stays, should the clock be set back
