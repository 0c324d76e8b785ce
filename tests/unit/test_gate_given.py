"""Approvals that were given elsewhere, while the call waited: for this very call, in time, and for one run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from gatekit import NOON, PAYMENTS, STRANGER, HandClock, SpyRunner, kinds, open_gate, payment

from sandbox.approve import Approval, Given, ScriptedApprover
from sandbox.call import Outcome
from sandbox.errors import ApprovalNeeded, Denied, EnvironmentLacking, UsageError
from sandbox.gate import Gate

LATER = NOON + 600_000
TWO_PEOPLE = PAYMENTS.replace("approvers: 1", "approvers: 2")


def digest_of_waiting(gate: Gate, **more: object) -> str:
    with pytest.raises(ApprovalNeeded) as waiting:
        gate.call(payment(STRANGER, **more))
    return waiting.value.decision.call.digest


def given(digest: str, *names: str, request: str = "r1", expires: int = LATER) -> Given:
    return Given(request, tuple(Approval(digest, name, expires) for name in names))


def test_a_call_approved_elsewhere_runs_and_the_record_says_who(tmp_path: Path) -> None:
    with open_gate(tmp_path) as gate:
        said = given(digest_of_waiting(gate), "ann")
        assert gate.call(payment(STRANGER), given=said).receipt.approved_by == ("ann",)
    assert kinds(tmp_path) == ["asked", "approval", "intent", "outcome"]


def test_what_was_approved_once_runs_once_also_in_another_process(tmp_path: Path) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        said = given(digest_of_waiting(gate), "ann")
        gate.call(payment(STRANGER), given=said)
    with open_gate(tmp_path, runner=runner) as again, pytest.raises(Denied) as denied:
        again.call(payment(STRANGER), given=said)
    assert denied.value.reason_code == "approval.used"
    assert len(runner.permits) == 1


def test_a_run_that_failed_has_used_its_approval(tmp_path: Path) -> None:
    runner = SpyRunner(lambda _: Outcome("timeout", "limit.time", "too slow"))
    with open_gate(tmp_path, runner=runner) as gate:
        said = given(digest_of_waiting(gate), "ann")
        assert gate.attempt(payment(STRANGER), given=said).outcome.status == "timeout"
        with pytest.raises(Denied):
            gate.attempt(payment(STRANGER), given=said)


def test_nothing_is_used_where_nothing_could_run(tmp_path: Path) -> None:
    with open_gate(tmp_path, runner=SpyRunner(prepare_error=EnvironmentLacking("no engine"))) as gate:
        said = Given("r1", (Approval("0" * 64, "ann", LATER),))
        with pytest.raises(EnvironmentLacking):
            gate.call(payment(STRANGER), given=said)
    assert kinds(tmp_path) == []


def test_an_approval_of_another_call_denies(tmp_path: Path) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        said = given(digest_of_waiting(gate), "ann")
        with pytest.raises(Denied) as denied:
            gate.call(payment(STRANGER, "10.01"), given=said)
    assert denied.value.reason_code == "approval.refused"
    assert runner.permits == []


WITH_PRINCIPAL = PAYMENTS.replace("name: payments", "name: payments\nsession: {principal: {type: string}}")


@pytest.mark.parametrize("whose", ["", "bob"])
def test_an_approval_of_another_principals_call_denies(tmp_path: Path, whose: str) -> None:
    assert "principal" in WITH_PRINCIPAL
    runner, ann = SpyRunner(), {"principal": "ann"}
    with open_gate(tmp_path, text=WITH_PRINCIPAL, runner=runner) as gate:
        with pytest.raises(ApprovalNeeded) as waiting:
            gate.call(payment(STRANGER), ann)
        said = given(waiting.value.decision.call.digest, "eve")
        with pytest.raises(Denied, match="another principal's") as denied:
            gate.call(payment(STRANGER), ann, given=replace(said, principal=whose))
        assert denied.value.reason_code == "approval.refused"
        assert runner.permits == []
        gate.call(payment(STRANGER), ann, given=replace(said, principal="ann"))
    assert len(runner.permits) == 1


def test_an_approval_ends_when_the_rule_says_even_if_it_says_later(tmp_path: Path) -> None:
    clock = HandClock()
    with open_gate(tmp_path, clock=clock) as gate:
        said = given(digest_of_waiting(gate), "ann")
        clock.pass_hours(1)
        with pytest.raises(Denied) as denied:
            gate.call(payment(STRANGER), given=said)
    assert denied.value.reason_code == "approval.expired"


def test_two_people_are_two_different_names_wherever_they_answer(tmp_path: Path) -> None:
    with open_gate(tmp_path, text=TWO_PEOPLE, approver=ScriptedApprover("ann")) as gate:
        digest = digest_of_waiting(gate)
        with pytest.raises(ApprovalNeeded):
            gate.call(payment(STRANGER), given=given(digest, "ann"))
        receipt = gate.call(payment(STRANGER), given=given(digest, "bob", request="r2")).receipt
    assert sorted(receipt.approved_by) == ["ann", "bob"]


def test_too_few_answers_elsewhere_still_wait(tmp_path: Path) -> None:
    with open_gate(tmp_path, text=TWO_PEOPLE) as gate:
        digest = digest_of_waiting(gate)
        with pytest.raises(ApprovalNeeded):
            gate.call(payment(STRANGER), given=given(digest, "ann"))
        assert gate.call(payment(STRANGER), given=given(digest, "ann", "bob")).receipt.approved_by == ("ann", "bob")


@pytest.mark.parametrize(
    "odd",
    [
        Given("", (Approval("0" * 64, "ann", LATER),)),
        Given("r" * 257, (Approval("0" * 64, "ann", LATER),)),
        Given("r1", (Approval("0" * 64, "", LATER),)),
        Given("r1", (Approval("0" * 64, "ann", LATER), Approval("0" * 64, "ann", LATER))),
    ],
)
def test_a_host_that_does_not_say_who_or_what_is_told(tmp_path: Path, odd: Given) -> None:
    with open_gate(tmp_path) as gate, pytest.raises(UsageError, match="elsewhere"):
        gate.call(payment(STRANGER), given=odd)
