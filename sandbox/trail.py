"""What the record says about a call: the body of each kind of record, with secrets masked and long calls cut.

Kinds: `denied`, `asked`, `approval`, `intent`, `outcome`, `cancelled`, `interrupted`, `fault`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from sandbox.approve import Approval, Refused
from sandbox.call import Call, Decision, Outcome, Permit, Receipt
from sandbox.ir import Contract, Json
from sandbox.state import Reservation

MAX_RECORDED_CALL: Final = 16 * 1024
"""Characters of a call that a record holds; of a longer one its digest and size stand there."""
MAX_RECORDED_REASON: Final = 2_000
"""Characters of a reason in a record: a tool's own message may be megabytes."""


def call_body(contract: Contract, call: Call, secret_key: bytes) -> dict[str, Json]:
    """Tool, digest and canonical arguments; a secret argument is replaced by a keyed digest of its value."""
    text = call.canonical
    tool = contract.tool(call.tool)
    secrets = {argument.name for argument in tool.arguments if argument.secret} if tool is not None else set[str]()
    body: dict[str, Json] = {"tool": call.tool, "size": len(text)}
    if not secrets:
        body["call_digest"] = call.digest
    if len(text) > MAX_RECORDED_CALL:
        return body
    args: Json = json.loads(text)["args"]
    if isinstance(args, dict):
        body["args"] = {key: _mask(value, secret_key) if key in secrets else value for key, value in args.items()}
    return body


def decision_body(contract: Contract, decision: Decision, secret_key: bytes) -> dict[str, Json]:
    """Why a call was denied or waits, and which call it was."""
    body: dict[str, Json] = {
        "verdict": decision.verdict,
        "reason_code": decision.reason_code,
        "reason": decision.reason[:MAX_RECORDED_REASON],
        "rule": decision.rule,
        "fired": list(decision.fired),
        "engines": {"evaluator": decision.engines.evaluator, "solver": decision.engines.solver},
    }
    if decision.call is not None:
        body["call"] = call_body(contract, decision.call, secret_key)
    return body


def answer_body(answer: Approval | Refused, call: Call) -> dict[str, Json]:
    """Who answered what about which call."""
    match answer:
        case Approval():
            return {
                "answer": "approved",
                "approver": answer.approver,
                "call_digest": call.digest,
                "expires_at_ms": answer.expires_at_ms,
            }
        case Refused():
            return {
                "answer": "refused",
                "approver": answer.approver,
                "call_digest": call.digest,
                "reason": answer.reason[:MAX_RECORDED_REASON],
            }


def intent_body(contract: Contract, permit: Permit, decision: Decision, secret_key: bytes) -> dict[str, Json]:
    """Everything that the permit binds, written before anything runs."""
    return {
        "decision": decision_body(contract, decision, secret_key),
        "nonce": permit.nonce,
        "contract_digest": permit.contract_digest,
        "session_digest": permit.session_digest,
        "run_digest": permit.run_digest,
        "image_digest": permit.image_digest,
        "source_digest": permit.source_digest,
        "expires_at_ms": permit.expires_at_ms,
        "epoch": permit.epoch,
        "approved_by": list(permit.approved_by),
    }


def outcome_body(outcome: Outcome, receipt: Receipt) -> dict[str, Json]:
    """What came of it, with the receipt. Output is recorded by size and digest, changes in full."""
    bound = {k: v for k, v in asdict(receipt).items() if k not in {"record_sequence", "record_digest"}}
    return {
        "status": outcome.status,
        "reason_code": outcome.reason_code,
        "reason": outcome.reason[:MAX_RECORDED_REASON],
        "started": outcome.started,
        "duration_ms": outcome.duration_ms,
        "truncated": outcome.truncated,
        "result": _summary(json.dumps(outcome.result, sort_keys=True)),
        "stdout": _summary(outcome.stdout),
        "stderr": _summary(outcome.stderr),
        "changes": [asdict(change) for change in outcome.changes],
        "receipt": {**bound, "approved_by": list(receipt.approved_by)},
    }


def interrupted_body(reservation: Reservation) -> dict[str, Json]:
    """A reservation whose owner is gone: what it was for, and how far it had come."""
    return {
        "nonce": reservation.nonce,
        "tool": reservation.tool,
        "call_digest": reservation.call_digest,
        "status": reservation.status,
        "created_ms": reservation.created_ms,
        "owner_pid": reservation.owner_pid,
    }


def names(answers: Sequence[Approval]) -> tuple[str, ...]:
    """Who approved, in the order of their answers."""
    return tuple(answer.approver for answer in answers)


def _mask(value: Json, secret_key: bytes) -> Json:
    text = json.dumps(value, sort_keys=True)
    return {"secret": hmac.new(secret_key, text.encode(), hashlib.sha256).hexdigest()}


def _summary(text: str) -> dict[str, Json]:
    data = text.encode("utf-8", "surrogatepass")
    return {"size": len(data), "digest": hashlib.sha256(data).hexdigest()}
