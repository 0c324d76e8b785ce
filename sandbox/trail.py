"""What the record says about a call, and the only way in which the gate writes to it.

Kinds: `denied`, `asked`, `approval`, `intent`, `outcome`, `cancelled`, `interrupted`, `fault`, `spec_changed`; the
commands of the kill switch add `stopped` and `resumed`. Keyed digests stand for secrets, also for what a tool that was
given some has said; long calls are recorded by their size and digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Final

from sandbox.approve import Approval, Refused
from sandbox.audit import AuditLog, Record
from sandbox.call import Asked, Call, Change, Decision, Outcome, Permit, Receipt, Ruling
from sandbox.canonical import printable
from sandbox.errors import ApprovalNeeded, Denied, RecordBroken, SandboxError
from sandbox.events import emit
from sandbox.ir import Json
from sandbox.joint import JointLanding
from sandbox.seal import Seal
from sandbox.state import Reservation

MAX_RECORDED_CALL: Final = 16 * 1024
"""Characters of a call that a record holds; of a longer one its digest and size stand there."""
MAX_RECORDED_REASON: Final = 2_000
"""Characters of a reason in a record: a tool's own message may be megabytes."""


class Trail:
    """Writes records of one gate. Thread-safe, as the record itself is."""

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit

    def append(self, kind: str, body: Mapping[str, Json]) -> Record:
        """Write a record, or raise RecordBroken: what is not on record does not go on."""
        try:
            return self._audit.append(kind, body)
        except RecordBroken:
            raise
        except Exception as error:
            message = f"the record cannot be written: {one_line(error)}"
            raise RecordBroken(message) from error

    def intend(self, permit: Permit, decision: Decision) -> None:
        """Record what is about to run; raises RecordBroken, and then it does not run."""
        self.append("intent", intent_body(permit, decision))

    def refuse(self, decision: Decision) -> Denied:
        """Record a denial and give back what to raise. It stands whether or not the record takes it."""
        self.note("fault" if is_fault(decision) else "denied", decision)
        emit("gate.denied", reason_code=decision.reason_code, rule=decision.rule)
        return Denied(decision)

    def wait(self, decision: Decision, reason: str) -> ApprovalNeeded:
        """Record that a call waits for a person and give back what to raise."""
        waiting = replace(decision, reason_code="approval.needed", reason=reason)
        self.note("asked", waiting)
        emit("gate.asked", rule=decision.rule)
        return ApprovalNeeded(waiting)

    def note(self, kind: str, decision: Decision) -> None:
        """Record a decision by which nothing runs, if the record still takes it."""
        try:
            self._audit.append(kind, decision_body(decision))
        except Exception as error:  # noqa: BLE001  # nothing runs either way
            emit("gate.record_failed", reason=one_line(error))


def is_fault(decision: Decision) -> bool:
    """Whether the gate itself failed, and denied for that."""
    return decision.reason_code.startswith("fault.")


def one_line(error: BaseException) -> str:
    """An error in one printable line; its type too, where it is none of ours."""
    text = printable(" ".join(str(error).split()))[:MAX_RECORDED_REASON]
    if isinstance(error, SandboxError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def named(error: BaseException) -> str:
    """An error in one printable line; of one that is none of ours its type alone: it may repeat what it was given."""
    return one_line(error) if isinstance(error, SandboxError) else type(error).__name__


def call_body(call: Call) -> dict[str, Json]:
    """Tool, digest and canonical arguments; what is secret is replaced by a keyed digest."""
    text = call.shown
    body: dict[str, Json] = {"tool": call.tool, "size": len(text), "call_digest": call.digest}
    if len(text) <= MAX_RECORDED_CALL:
        body["args"] = json.loads(text)["args"]
    if call.origins:
        body["origins"] = _listed(call.told_origins())
    return body


def _listed(origins: Mapping[str, tuple[str, ...]]) -> dict[str, Json]:
    return {name: list(labels) for name, labels in origins.items()}


def decision_body(decision: Decision) -> dict[str, Json]:
    """Why a call was denied or waits, and which call it was."""
    body: dict[str, Json] = {
        "verdict": decision.verdict,
        "reason_code": decision.reason_code,
        "reason": decision.reason[:MAX_RECORDED_REASON],
        "spec": decision.spec,
        "rule": decision.rule,
        "fired": list(decision.fired),
        "engines": {"evaluator": decision.engines.evaluator, "solver": decision.engines.solver},
    }
    if decision.call is not None:
        body["call"] = call_body(decision.call)
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


def intent_body(permit: Permit, decision: Decision) -> dict[str, Json]:
    """Everything that the permit binds, written before anything runs."""
    return {
        "decision": decision_body(decision),
        "nonce": permit.nonce,
        "contract_digest": permit.contract_digest,
        "contracts": dict(permit.contracts),
        "session_digest": permit.session_digest,
        "run_digest": permit.run_digest,
        "image_digest": permit.image_digest,
        "source_digest": permit.source_digest,
        "expires_at_ms": permit.expires_at_ms,
        "epoch": permit.epoch,
        "approved_by": list(permit.approved_by),
    }


def outcome_body(
    outcome: Outcome,
    receipt: Receipt,
    landing: JointLanding | None = None,
    ruling: Ruling | None = None,
    seal: Seal | None = None,
) -> dict[str, Json]:
    """What came of it, with the receipt. Output is recorded by size and digest, changes in full.

    `landing` is what came of `on_success`: `stored`, `unchanged`, or the code of why nothing could be stored. `seal` is
    there where the tool was given secrets, which it may repeat: then digests are keyed, and its words are left out.
    `ruling` is what became of the result, which is recorded as it was, in size and digest.
    """
    noted: dict[str, Json] = {}
    if landing is not None:
        noted["on_success"] = landing.reason_code or ("stored" if landing.after else "unchanged")
    if ruling is not None:
        noted["after"] = {"verdict": ruling.kind, "spec": ruling.spec, "rule": ruling.rule, "code": ruling.reason_code}
    bound = {k: v for k, v in asdict(receipt).items() if k not in {"record_sequence", "record_digest"}}
    return {
        "status": outcome.status,
        "reason_code": outcome.reason_code,
        "reason": _words(outcome, ruling, seal)[:MAX_RECORDED_REASON],
        "started": outcome.started,
        "duration_ms": outcome.duration_ms,
        "truncated": outcome.truncated,
        "result": _summary(json.dumps(outcome.result, sort_keys=True), seal),
        "stdout": _summary(outcome.stdout, seal),
        "stderr": _summary(outcome.stderr, seal),
        "changes": [asdict(_sealed(change, seal)) for change in outcome.changes],
        "requests": [asdict(_sealed_request(request, seal)) for request in outcome.requests],
        "receipt": {
            **bound,
            "contracts": dict(receipt.contracts),
            "approved_by": list(receipt.approved_by),
            "origins": _listed(receipt.origins),
        },
        **noted,
    }


def interrupted_body(reservation: Reservation, *, intended: bool) -> dict[str, Json]:
    """A reservation whose owner is gone: what it was for, and how far it had come.

    One that was not intended never ran. One that was may have, also where the state says `reserved`: when the power is
    lost, that is what it knew last.
    """
    return {
        "nonce": reservation.nonce,
        "tool": reservation.tool,
        "call_digest": reservation.call_digest,
        "status": reservation.status,
        "intended": intended,
        "created_ms": reservation.created_ms,
        "owner_pid": reservation.owner_pid,
    }


def names(answers: Sequence[Approval]) -> tuple[str, ...]:
    """Who approved, in the order of their answers."""
    return tuple(answer.approver for answer in answers)


def _words(outcome: Outcome, ruling: Ruling | None, seal: Seal | None) -> str:
    """The outcome's reason; nothing that a tool may have put into it, where it knows a secret or is not to be seen."""
    if not outcome.reason or outcome.reason_code.startswith("limit."):
        return outcome.reason
    if seal is not None:
        return "not recorded, for the tool was given secret values"
    return outcome.reason if ruling is None or ruling.kind == "pass" else "not recorded, for the result is not shown"


def _summary(text: str, seal: Seal | None) -> dict[str, Json]:
    data = text.encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(data).hexdigest() if seal is None else seal.digest("output", text)
    return {"size": len(data), "digest": digest}


def _sealed(change: Change, seal: Seal | None) -> Change:
    return change if seal is None or not change.digest else replace(change, digest=seal.digest("file", change.digest))


def _sealed_request(request: Asked, seal: Seal | None) -> Asked:
    """A path is a common place for a token; where the tool knows a secret it is left out, and its digest keyed."""
    return request if seal is None else replace(request, path="", digest=seal.digest("request", request.digest))
