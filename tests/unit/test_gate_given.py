"""Approvals that were given elsewhere, while the call waited: for this very call, in time, and for one run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from gatekit import NOON, PAYMENTS, STRANGER, HandClock, SpyRunner, kinds, open_gate, payment

from sandbox.approve import Approval, ApprovalRequest, Given, Refused, ScriptedApprover
from sandbox.call import Outcome
from sandbox.errors import ApprovalNeeded, Denied, EnvironmentLacking, UsageError
from sandbox.gate import Gate

LATER = NOON + 600_000
TWO_PEOPLE = PAYMENTS.replace("approvers: 1", "approvers: 2")


def waiting(gate: Gate, session: dict[str, str] | None = None, **more: object) -> Given:
    """What a host keeps of a call that waits: nobody has answered yet."""
    with pytest.raises(ApprovalNeeded) as waits:
        gate.call(payment(STRANGER, **more), session)
    digest, basis = waits.value.decision.call.digest, gate.basis(waits.value.decision)
    return Given("r1", (Approval(digest, "nobody", LATER),), basis=basis)


def said_by(asked: Given, *names: str, request: str = "r1") -> Given:
    """The same call, approved by these people."""
    (open_,) = asked.approvals
    return replace(asked, request=request, approvals=tuple(replace(open_, approver=name) for name in names))


def test_a_call_approved_elsewhere_runs_and_the_record_says_who(tmp_path: Path) -> None:
    with open_gate(tmp_path) as gate:
        said = said_by(waiting(gate), "ann")
        assert gate.call(payment(STRANGER), given=said).receipt.approved_by == ("ann",)
    assert kinds(tmp_path) == ["asked", "approval", "intent", "outcome"]


def test_what_was_approved_once_runs_once_also_in_another_process(tmp_path: Path) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        said = said_by(waiting(gate), "ann")
        gate.call(payment(STRANGER), given=said)
    with open_gate(tmp_path, runner=runner) as again, pytest.raises(Denied) as denied:
        again.call(payment(STRANGER), given=said)
    assert denied.value.reason_code == "approval.used"
    assert len(runner.permits) == 1


def test_a_run_that_failed_has_used_its_approval(tmp_path: Path) -> None:
    runner = SpyRunner(lambda _: Outcome("timeout", "limit.time", "too slow"))
    with open_gate(tmp_path, runner=runner) as gate:
        said = said_by(waiting(gate), "ann")
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
        said = said_by(waiting(gate), "ann")
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
        said = said_by(waiting(gate, ann), "eve")
        with pytest.raises(Denied, match="another principal's") as denied:
            gate.call(payment(STRANGER), ann, given=replace(said, principal=whose))
        assert denied.value.reason_code == "approval.refused"
        assert runner.permits == []
        gate.call(payment(STRANGER), ann, given=replace(said, principal="ann"))
    assert len(runner.permits) == 1


# --- under which rules -------------------------------------------------------------------------------

OTHER_RULE = PAYMENTS.replace("id: human", "id: compliance")
NO_RULE = PAYMENTS.replace("args.recipient in trusted && args.amount", "args.amount")
A_REMARK = PAYMENTS.replace("owner: payments-team", "owner: another-team")
FULL = PAYMENTS.replace(
    "      - id: human",
    "      - {id: busy, ask: state.sent_today > 500.00, reason: a busy day}\n      - id: human",
)


@pytest.mark.parametrize("changed", [OTHER_RULE, A_REMARK], ids=["another rule", "a remark"])
def test_what_was_approved_under_another_version_of_the_spec_counts_for_nothing(tmp_path: Path, changed: str) -> None:
    assert changed != PAYMENTS
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        said = said_by(waiting(gate), "ann")
    with open_gate(tmp_path, text=changed, runner=runner) as later:
        with pytest.raises(Denied, match="ask again") as denied:
            later.call(payment(STRANGER), given=said)
        assert denied.value.reason_code == "approval.refused"
        assert runner.permits == []
        later.call(payment(STRANGER), given=said_by(waiting(later), "ann"))
    assert len(runner.permits) == 1


def test_a_changed_spec_that_asks_nobody_decides_by_itself(tmp_path: Path) -> None:
    with open_gate(tmp_path) as gate:
        said = said_by(waiting(gate), "ann")
    with open_gate(tmp_path, text=NO_RULE) as later:
        assert later.call(payment(STRANGER), given=said).receipt.approved_by == ()
    with open_gate(tmp_path, text=PAYMENTS.replace("min: 0.01", "min: 20")) as last, pytest.raises(Denied) as denied:
        last.call(payment(STRANGER), given=said)
    assert denied.value.reason_code == "parse.range"


def test_a_rule_that_asks_only_since_the_state_changed_was_not_approved(tmp_path: Path) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, text=FULL, runner=runner) as gate:
        said = said_by(waiting(gate), "ann")
        gate.call(payment(amount="900"))
        with pytest.raises(Denied, match="ask again"):
            gate.call(payment(STRANGER), given=said)
        gate.call(payment(STRANGER), given=said_by(waiting(gate), "ann"))
    assert len(runner.permits) == 2


def test_an_approval_that_does_not_say_under_which_rules_counts_for_nothing(tmp_path: Path) -> None:
    with open_gate(tmp_path) as gate:
        said = said_by(waiting(gate), "ann")
        with pytest.raises(Denied, match="ask again"):
            gate.call(payment(STRANGER), given=replace(said, basis=""))


class Meanwhile:
    """A person who thinks while another call goes through; the first time only."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, ...]] = []
        self.gate: Gate | None = None

    def review(self, request: ApprovalRequest) -> Approval | Refused:
        self.seen.append(request.decision.fired)
        if len(self.seen) == 1:
            self.gate.call(payment(amount="900"))
        return Approval(request.call.digest, "ann", request.expires_at_ms)


def test_who_thought_while_another_rule_began_to_ask_is_asked_again(tmp_path: Path) -> None:
    person = Meanwhile()
    with open_gate(tmp_path, text=FULL, approver=person) as gate:
        person.gate = gate
        assert gate.call(payment(STRANGER)).receipt.approved_by == ("ann",)
    assert person.seen == [("human",), ("busy", "human")]


# --- until when, and by whom --------------------------------------------------------------------------


def test_an_approval_ends_when_the_rule_says_even_if_it_says_later(tmp_path: Path) -> None:
    clock = HandClock()
    with open_gate(tmp_path, clock=clock) as gate:
        said = said_by(waiting(gate), "ann")
        clock.pass_hours(1)
        with pytest.raises(Denied) as denied:
            gate.call(payment(STRANGER), given=said)
    assert denied.value.reason_code == "approval.expired"


def test_two_people_are_two_different_names_wherever_they_answer(tmp_path: Path) -> None:
    with open_gate(tmp_path, text=TWO_PEOPLE, approver=ScriptedApprover("ann")) as gate:
        asked = waiting(gate)
        with pytest.raises(ApprovalNeeded):
            gate.call(payment(STRANGER), given=said_by(asked, "ann"))
        receipt = gate.call(payment(STRANGER), given=said_by(asked, "bob", request="r2")).receipt
    assert sorted(receipt.approved_by) == ["ann", "bob"]


def test_too_few_answers_elsewhere_still_wait(tmp_path: Path) -> None:
    with open_gate(tmp_path, text=TWO_PEOPLE) as gate:
        asked = waiting(gate)
        with pytest.raises(ApprovalNeeded):
            gate.call(payment(STRANGER), given=said_by(asked, "ann"))
        assert gate.call(payment(STRANGER), given=said_by(asked, "ann", "bob")).receipt.approved_by == ("ann", "bob")


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
