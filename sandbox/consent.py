"""People's consent to one call: enough different people, in time, each on record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from sandbox.approve import Approval, ApprovalRequest, Approver, Given, ask, request_for
from sandbox.call import Call, Decision, Value
from sandbox.canonical import json_digest
from sandbox.ir import Json, Tool
from sandbox.policy import Policy
from sandbox.step import denied
from sandbox.trail import Trail, answer_body


class Consent:
    """Asks approvers in turn, for as long as more different people are needed."""

    def __init__(self, policy: Policy, approvers: Sequence[Approver], trail: Trail, clock: Callable[[], int]) -> None:
        self._policy = policy
        self._digests: dict[str, Json] = dict(policy.digests())
        self._approvers = tuple(approvers)
        self._trail = trail
        self._clock = clock

    def basis(self, decision: Decision) -> str:
        """What people are asked on, beside the call itself: SHA-256 (hex) of the specs and of the rules that ask."""
        tool = "" if decision.call is None else decision.call.tool
        return json_digest({"specs": self._digests, "asking": list(self._policy.asking(tool, decision.fired))})

    def obtain(self, call: Call, tool: Tool, decision: Decision, earlier: tuple[Approval, ...]) -> tuple[Approval, ...]:
        """Enough approvals of exactly this call; those given earlier count while they last.

        Raises Denied at the first refusal, ApprovalNeeded where too few can be asked, RecordBroken if an answer
        cannot be recorded.
        """
        now = self._clock()
        approvals = {each.approver: each for each in earlier if each.expires_at_ms > now}
        for approver in self._approvers:
            if len(approvals) >= decision.approvers:
                break
            request = request_for(call, decision, tool, now + decision.expires_ms)
            answer = self._answer(approver, request)
            approvals[answer.approver] = answer
        if len(approvals) < decision.approvers:
            reason = f"{decision.approvers} approval(s) needed, {len(approvals)} given: {decision.reason}"
            raise self._trail.wait(decision, reason)
        return tuple(approvals.values())

    def present(self, call: Call, decision: Decision, given: Given, facts: Mapping[str, Value]) -> tuple[Approval, ...]:
        """What people said elsewhere to this very call, held against the rule as an approver's answer is; recorded.

        Raises Denied for an approval of another call, of another principal's, under other rules, one that is over, or
        one of values with other origins. `facts` are the session's, by their names.
        """
        now = self._clock()
        if given.basis != self.basis(decision):
            reason = "it was not approved under these specs, or not to the rules that ask now; ask again"
            raise self._trail.refuse(denied(call, "approval.refused", reason))
        if given.principal != str(facts.get("principal", given.principal)):
            reason = "what was approved is the same call of another principal's; ask again"
            raise self._trail.refuse(denied(call, "approval.refused", reason))
        if call.told_origins() != {name: tuple(sorted(labels)) for name, labels in sorted(given.origins.items())}:
            reason = "where its values come from is not known as it was when it was approved; ask again"
            raise self._trail.refuse(denied(call, "approval.refused", reason))
        for each in given.approvals:
            if each.call_digest != call.digest:
                reason = f"the approval by {each.approver} is for another call"
                raise self._trail.refuse(denied(call, "approval.refused", reason))
            if each.expires_at_ms <= now:
                raise self._trail.refuse(denied(call, "approval.expired", f"the approval by {each.approver} is over"))
        latest = now + decision.expires_ms
        approvals = tuple(replace(each, expires_at_ms=min(each.expires_at_ms, latest)) for each in given.approvals)
        for each in approvals:
            self._trail.append("approval", answer_body(each, call))
        return approvals

    def _answer(self, approver: Approver, request: ApprovalRequest) -> Approval:
        """One person's approval, recorded, good for no longer than the rule says; anything else is a denial."""
        answer = ask(approver, request, self._clock)
        self._trail.append("approval", answer_body(answer, request.call))
        if isinstance(answer, Approval):
            return replace(answer, expires_at_ms=min(answer.expires_at_ms, request.expires_at_ms))
        late = self._clock() >= request.expires_at_ms
        code = "approval.expired" if late else "approval.refused"
        raise self._trail.refuse(denied(request.call, code, f"refused by {answer.approver}: {answer.reason}"))


def is_enough(decision: Decision, approvals: tuple[Approval, ...], now_ms: int) -> bool:
    """Whether a call with this verdict may run now, given these approvals by different people."""
    match decision.verdict:
        case "allow":
            return True
        case "ask":
            return sum(each.expires_at_ms > now_ms for each in approvals) >= max(1, decision.approvers)
        case "deny":
            return False
