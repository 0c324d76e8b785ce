"""Approvers that answer what is no answer: that is a refusal, on the record, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from gatekit import SpyRunner, kinds, open_gate, payment

from sandbox.approve import Approval, ApprovalRequest, Refused
from sandbox.errors import Denied

ODD: dict[str, Callable[[ApprovalRequest], object]] = {
    "expires in words": lambda request: Approval(request.call.digest, "ann", "never"),
    "expires at no number": lambda request: Approval(request.call.digest, "ann", float("nan")),
    "expires in infinity": lambda request: Approval(request.call.digest, "ann", float("inf")),
    "a list for a name": lambda request: Approval(request.call.digest, ["ann"], request.expires_at_ms),
    "a number for a name": lambda request: Approval(request.call.digest, 7, request.expires_at_ms),
    "bytes for a digest": lambda request: Approval(request.call.digest.encode(), "ann", request.expires_at_ms),
    "no reason": lambda _: Refused("ann", None),
    "no name to refuse by": lambda _: Refused(None, "no"),
}


@pytest.mark.parametrize("odd", ODD)
def test_an_answer_that_is_none_is_a_refusal_on_record(tmp_path: Path, odd: str) -> None:
    class Odd:
        def review(self, request: ApprovalRequest) -> object:
            return ODD[odd](request)

    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner, approver=Odd()) as gate:
        with pytest.raises(Denied) as caught:
            gate.call(payment(amount="2000.00"))
        assert caught.value.reason_code == "approval.refused"
    assert runner.permits == []
    assert kinds(tmp_path) == ["approval", "denied"]
