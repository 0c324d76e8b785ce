"""The gate: what it returns, what it refuses, what it spends, and what it writes down."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from gatekit import (
    NOON,
    OK,
    PAYMENTS,
    STRANGER,
    HandClock,
    SpyRunner,
    digest_of,
    kinds,
    left_running,
    open_gate,
    payment,
    records,
    spec_file,
)

from sandbox.approve import Approval, ApprovalRequest, Refused, ScriptedApprover
from sandbox.audit import verify
from sandbox.call import Outcome, Permit
from sandbox.errors import (
    ApprovalNeeded,
    Denied,
    EnvironmentLacking,
    Fault,
    SandboxFailure,
    SpecError,
    ToolError,
    UsageError,
)
from sandbox.gate import Gate


def spent(gate: Gate) -> int:
    """Cents that the window holds now."""
    from sandbox.machine import effective, tick

    now = gate._clock()
    with gate._store.transaction() as transaction:
        return int(
            effective(gate.contract, tick(gate.contract, transaction.load(gate.contract, now), now))["sent_today"]
        )


def statuses(gate: Gate) -> list[str]:
    rows = gate._store._connection.execute("SELECT status FROM reservations ORDER BY rowid").fetchall()
    return [row[0] for row in rows]


# --- deciding ----------------------------------------------------------------------------------------


def test_a_decision_runs_nothing_spends_nothing_and_records_nothing(tmp_path: Path) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        assert gate.decide(payment()).verdict == "allow"
        assert gate.decide(payment(STRANGER)).verdict == "ask"
        assert gate.decide(payment(amount="6000")).verdict == "deny"
        assert spent(gate) == 0
    assert (runner.permits, runner.prepared) == ([], 0)
    assert not (tmp_path / ".sandbox/state.audit.jsonl").read_bytes()


@pytest.mark.parametrize("raw", [b"", b"\xff", "{", b"[" * 100_000, {}, {"tool": 1}, {"tool": "send_money"}])
def test_what_is_no_call_is_denied_with_a_reason(tmp_path: Path, raw: object) -> None:
    with open_gate(tmp_path) as gate:
        decision = gate.decide(raw)
    assert decision.verdict == "deny"
    assert decision.reason_code.startswith("parse.")


@pytest.mark.parametrize("raw", [None, 7, 1.5, object(), ["tool"], bytearray(b"{}")])
def test_even_what_no_caller_should_pass_is_denied_and_raises_nothing(tmp_path: Path, raw: object) -> None:
    with open_gate(tmp_path) as gate:
        assert gate.decide(raw).verdict == "deny"


def test_both_engines_are_asked_by_default(tmp_path: Path) -> None:
    with open_gate(tmp_path, solver=True) as gate:
        engines = gate.decide(payment()).engines
    assert (engines.evaluator, engines.solver) == ("allow", "allow")


def test_an_internal_error_is_a_denial_that_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_gate(tmp_path) as gate:
        monkeypatch.setattr("sandbox.gate.take_joint_step", lambda *_: 1 / 0)
        decision = gate.decide(payment())
    assert (decision.verdict, decision.reason_code) == ("deny", "fault.internal")
    assert kinds(tmp_path) == ["fault"]


def test_a_decision_on_a_closed_gate_is_a_denial(tmp_path: Path) -> None:
    gate = open_gate(tmp_path)
    gate.close()
    assert gate.decide(payment()).reason_code.startswith("fault.")


# --- the whole way -----------------------------------------------------------------------------------


def test_an_allowed_call_runs_once_and_leaves_a_verified_trail(tmp_path: Path) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        result = gate.call(payment(note="hello"), session={"user": "ann"})
        assert spent(gate) == 1000
        assert statuses(gate) == ["settled"]
    assert result.value == {"done": True}
    assert kinds(tmp_path) == ["intent", "outcome"]
    (permit,) = runner.permits
    receipt = result.receipt
    assert (receipt.call_digest, receipt.nonce) == (permit.call.digest, permit.nonce)
    assert (receipt.run_digest, receipt.image_digest, receipt.source_digest) == ("a" * 64, "b" * 64, "c" * 64)
    assert (receipt.isolation, receipt.runtime, receipt.record_sequence) == ("container", "spy", 2)
    assert receipt.record_digest == verify(tmp_path / ".sandbox/state.audit.jsonl").head


def test_a_permit_binds_everything_that_was_decided_about(tmp_path: Path) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        gate.call(payment(), session={"user": "ann"})
        gate.call(payment(), session={"user": "bob"})
    first, second = runner.permits
    assert first.contract_digest == digest_of(tmp_path / "payments.yaml")
    assert first.session_digest != second.session_digest
    assert first.nonce != second.nonce
    assert NOON < first.expires_at_ms <= NOON + 60_000


def test_what_the_runner_receives_is_the_canonical_value(tmp_path: Path) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        gate.call(b' {"args": {"amount": 10.0, "recipient": "GB29NWBK60161331926819"}, "tool": "send_money"}\n')
    assert runner.permits[0].call.canonical == (
        '{"args":{"amount":"10.00","recipient":"GB29NWBK60161331926819"},"tool":"send_money"}'
    )


def test_a_denied_call_is_recorded_and_reaches_neither_runner_nor_budget(tmp_path: Path) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        with pytest.raises(Denied) as denied:
            gate.call(payment(amount="5000.01"))
        assert spent(gate) == 0
    assert (denied.value.reason_code, denied.value.decision.rule) == ("rule.deny", "over-limit")
    assert (runner.prepared, kinds(tmp_path)) == (0, ["denied"])


def test_a_budget_is_spent_by_what_was_allowed_and_renews_with_time(tmp_path: Path) -> None:
    clock = HandClock()
    with open_gate(tmp_path, clock=clock) as gate:
        for _ in range(5):
            gate.call(payment(amount="1000"))
        with pytest.raises(Denied):
            gate.call(payment(amount="0.01"))
        clock.pass_hours(25)
        assert gate.call(payment(amount="1000")).outcome.status == "ok"


def test_a_tool_without_run_is_judged_and_never_run(tmp_path: Path) -> None:
    with open_gate(tmp_path) as gate:
        assert gate.decide({"tool": "balance", "args": {}}).verdict == "allow"
        with pytest.raises(Denied, match="judged, and never run"):
            gate.call({"tool": "balance", "args": {}})
    assert kinds(tmp_path) == ["denied"]


def test_a_missing_engine_spends_nothing(tmp_path: Path) -> None:
    runner = SpyRunner(prepare_error=EnvironmentLacking("no engine"))
    with open_gate(tmp_path, runner=runner) as gate:
        with pytest.raises(EnvironmentLacking):
            gate.call(payment())
        assert (spent(gate), statuses(gate)) == (0, [])


def test_a_session_that_is_no_json_is_the_callers_mistake(tmp_path: Path) -> None:
    with open_gate(tmp_path) as gate, pytest.raises(UsageError, match="session"):
        gate.call(payment(), session={"user": object()})


# --- outcomes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["error", "timeout", "out_of_memory", "output_limit", "killed"])
def test_a_tool_that_does_not_end_well_keeps_what_it_spent(tmp_path: Path, status: str) -> None:
    outcome = Outcome(status, "tool.error", "it failed", stderr="why")
    with open_gate(tmp_path, runner=SpyRunner(lambda _: outcome)) as gate:
        with pytest.raises(ToolError) as error:
            gate.call(payment())
        assert (spent(gate), statuses(gate)) == (1000, ["failed"])
    assert error.value.outcome == outcome


def test_a_container_that_never_started_gives_its_budget_back(tmp_path: Path) -> None:
    outcome = Outcome("sandbox_failure", "sandbox_failure.engine", "no space", started=False)
    with open_gate(tmp_path, runner=SpyRunner(lambda _: outcome)) as gate:
        with pytest.raises(EnvironmentLacking):
            gate.call(payment())
        assert (spent(gate), statuses(gate)) == (0, ["cancelled"])
    assert kinds(tmp_path) == ["intent", "cancelled", "outcome"]


def test_nothing_is_given_back_where_another_call_has_spent_since(tmp_path: Path) -> None:
    gates: list[Gate] = []

    def behave(permit: Permit) -> Outcome:
        if permit.call.canonical.count("50.00"):
            gates[0].call(payment(amount="1.00"))
            return Outcome("sandbox_failure", "sandbox_failure.engine", "late", started=False)
        return OK

    with open_gate(tmp_path, runner=SpyRunner(behave)) as gate:
        gates.append(gate)
        with pytest.raises(EnvironmentLacking):
            gate.call(payment(amount="50.00"))
        assert (spent(gate), statuses(gate)) == (5100, ["failed", "settled"])


def test_a_failure_of_the_machinery_is_ours_and_not_the_tools(tmp_path: Path) -> None:
    outcome = Outcome("sandbox_failure", "sandbox_failure.engine", "the engine went away")
    with open_gate(tmp_path, runner=SpyRunner(lambda _: outcome)) as gate:
        with pytest.raises(SandboxFailure, match="went away"):
            gate.call(payment())
        assert statuses(gate) == ["failed"]


def test_a_runner_that_raises_keeps_the_reservation(tmp_path: Path) -> None:
    def broken(_: Permit) -> Outcome:
        message = "boom"
        raise RuntimeError(message)

    with open_gate(tmp_path, runner=SpyRunner(broken)) as gate:
        with pytest.raises(SandboxFailure, match="boom"):
            gate.call(payment())
        assert (spent(gate), statuses(gate)) == (1000, ["failed"])
    assert kinds(tmp_path) == ["intent", "outcome"]


def test_an_interrupt_while_it_runs_is_settled_and_recorded(tmp_path: Path) -> None:
    def interrupted(_: Permit) -> Outcome:
        raise KeyboardInterrupt

    with open_gate(tmp_path, runner=SpyRunner(interrupted)) as gate:
        with pytest.raises(KeyboardInterrupt):
            gate.call(payment())
        assert (spent(gate), statuses(gate)) == (1000, ["failed"])
    assert kinds(tmp_path) == ["intent", "outcome"]


def test_an_attempt_returns_what_a_call_would_raise(tmp_path: Path) -> None:
    outcome = Outcome("timeout", "limit.time", "too slow")
    with open_gate(tmp_path, runner=SpyRunner(lambda _: outcome)) as gate:
        assert gate.attempt(payment()).outcome.status == "timeout"


# --- people ------------------------------------------------------------------------------------------


def test_without_an_approver_what_is_asked_waits_and_spends_nothing(tmp_path: Path) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        with pytest.raises(ApprovalNeeded) as waiting:
            gate.call(payment(STRANGER))
        assert spent(gate) == 0
    assert waiting.value.reason_code == "approval.needed"
    assert waiting.value.decision.rule == "human"
    assert (runner.permits, kinds(tmp_path)) == ([], ["asked"])


def test_an_approved_call_runs_and_the_receipt_says_who(tmp_path: Path) -> None:
    with open_gate(tmp_path, approver=ScriptedApprover("ann")) as gate:
        result = gate.call(payment(STRANGER))
        assert spent(gate) == 1000
    assert (result.decision.verdict, result.receipt.approved_by) == ("ask", ("ann",))
    assert kinds(tmp_path) == ["approval", "intent", "outcome"]


def test_a_refusal_is_a_denial(tmp_path: Path) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner, approver=ScriptedApprover("ann", {})) as gate:
        with pytest.raises(Denied) as denied:
            gate.call(payment(STRANGER))
        assert spent(gate) == 0
    assert denied.value.reason_code == "approval.refused"
    assert (runner.permits, kinds(tmp_path)) == ([], ["approval", "denied"])


TWO_PEOPLE = PAYMENTS.replace("approvers: 1", "approvers: 2")


def test_two_approvers_are_two_different_people(tmp_path: Path) -> None:
    ann, again, bob = ScriptedApprover("ann"), ScriptedApprover("ann"), ScriptedApprover("bob")
    with open_gate(tmp_path / "one", text=TWO_PEOPLE, approver=(ann, again)) as gate, pytest.raises(ApprovalNeeded):
        gate.call(payment(STRANGER))
    with open_gate(tmp_path / "two", text=TWO_PEOPLE, approver=(ann, again, bob)) as gate:
        assert gate.call(payment(STRANGER)).receipt.approved_by == ("ann", "bob")


class Acting:
    """An approver that does something before it says yes, or says something odd."""

    def __init__(self, act: object) -> None:
        self._act = act

    def review(self, request: ApprovalRequest) -> Approval | Refused:
        answer = self._act(request)
        return answer or Approval(request.call.digest, "ann", request.expires_at_ms)


def test_an_approval_that_came_too_late_is_a_denial(tmp_path: Path) -> None:
    clock = HandClock()
    approver = Acting(lambda _: clock.pass_hours(1))
    with open_gate(tmp_path, clock=clock, approver=approver) as gate, pytest.raises(Denied) as denied:
        gate.call(payment(STRANGER))
    assert denied.value.reason_code == "approval.expired"


@pytest.mark.parametrize(
    "odd",
    [
        lambda request: Approval("f" * 64, "ann", request.expires_at_ms),
        lambda request: Approval(request.call.digest, "", request.expires_at_ms),
        lambda _: True,
        lambda _: "yes",
        lambda _: 1 / 0,
    ],
)
def test_whatever_is_no_clear_yes_to_this_call_is_a_denial(tmp_path: Path, odd: object) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner, approver=Acting(odd)) as gate, pytest.raises(Denied):
        gate.call(payment(STRANGER))
    assert runner.permits == []


def test_a_call_is_decided_again_after_the_approval(tmp_path: Path) -> None:
    """While a person thinks, another call spends the budget; the yes does not help any more."""
    gates: list[Gate] = []
    runner = SpyRunner()

    def spend(_: ApprovalRequest) -> None:
        for _ in range(5):
            gates[0].call(payment(amount="1000"))

    with open_gate(tmp_path, runner=runner, approver=Acting(spend)) as gate:
        gates.append(gate)
        with pytest.raises(Denied) as denied:
            gate.call(payment(STRANGER, amount="100"))
        assert spent(gate) == 500_000
    assert denied.value.decision.rule == "over-limit"
    assert len(runner.permits) == 5


ESCALATING = PAYMENTS.replace(
    "allow: args.recipient in trusted && args.amount <= 1000.00}",
    "allow: args.recipient in trusted && args.amount <= 1000.00 && state.sent_today < 100.00}",
).replace(
    "ask: args.amount <= 5000.00 && !(args.recipient in trusted && args.amount <= 1000.00)",
    "ask: args.amount <= 5000.00",
)


def test_a_call_that_was_allowed_and_now_needs_a_person_goes_to_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between judging and reserving, another call moves the state from allow to ask."""
    with open_gate(tmp_path, text=ESCALATING, approver=ScriptedApprover("ann")) as gate:
        prepare = gate._runner.prepare
        turns = iter(range(10))

        def spend_meanwhile(contract: object, tool: object) -> object:
            if next(turns) == 0:
                gate.call(payment(amount="200"))
            return prepare(contract, tool)

        monkeypatch.setattr(gate._runner, "prepare", spend_meanwhile)
        result = gate.call(payment(amount="10"))
    assert (result.decision.verdict, result.receipt.approved_by) == ("ask", ("ann",))


def test_a_call_whose_state_keeps_changing_ends_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_gate(tmp_path, approver=ScriptedApprover("ann")) as gate:
        monkeypatch.setattr("sandbox.gate.is_enough", lambda *_: False)
        with pytest.raises(ApprovalNeeded, match="kept changing"):
            gate.call(payment(STRANGER))


# --- permits, the kill switch, recovery --------------------------------------------------------------


def test_the_kill_switch_denies_every_call_and_every_decision(tmp_path: Path) -> None:
    with open_gate(tmp_path) as gate:
        with gate._store.transaction() as transaction:
            transaction.stop()
        assert gate.decide(payment()).reason_code == "stopped"
        with pytest.raises(Denied) as denied:
            gate.call(payment())
    assert denied.value.reason_code == "stopped"


@pytest.mark.parametrize("resume", [False, True])
def test_the_kill_switch_voids_a_permit_that_is_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resume: bool
) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        append = gate._audit.append

        def stop_meanwhile(kind: str, body: dict[str, object]) -> object:
            if kind == "intent":
                with gate._store.transaction() as transaction:
                    transaction.stop()
                    if resume:
                        transaction.resume()
            return append(kind, body)

        monkeypatch.setattr(gate._audit, "append", stop_meanwhile)
        with pytest.raises(Denied) as denied:
            gate.call(payment())
        assert (spent(gate), statuses(gate)) == (0, ["cancelled"])
    assert (denied.value.reason_code, runner.permits) == ("stopped", [])


def test_the_kill_switch_stops_a_call_between_judging_and_reserving(tmp_path: Path) -> None:
    def stop(_: ApprovalRequest) -> None:
        with gate._store.transaction() as transaction:
            transaction.stop()

    with open_gate(tmp_path, approver=Acting(stop)) as gate, pytest.raises(Denied) as denied:
        gate.call(payment(STRANGER))
    assert denied.value.reason_code == "stopped"


def test_a_permit_that_waited_too_long_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, runner = HandClock(), SpyRunner()
    with open_gate(tmp_path, clock=clock, runner=runner) as gate:
        append = gate._audit.append

        def late(kind: str, body: dict[str, object]) -> object:
            clock.pass_hours(kind == "intent")
            return append(kind, body)

        monkeypatch.setattr(gate._audit, "append", late)
        with pytest.raises(Denied) as denied:
            gate.call(payment())
        assert spent(gate) == 0
    assert (denied.value.reason_code, runner.permits) == ("permit.expired", [])


def test_a_permit_is_used_once(tmp_path: Path) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        gate.call(payment())
        with pytest.raises(Fault, match="used already"):
            gate._passage.consume(runner.permits[0])


def test_what_a_dead_process_left_is_interrupted_and_stays_spent(tmp_path: Path) -> None:
    with open_gate(tmp_path) as gate:
        gate.call(payment())
        left_running(gate)
    with open_gate(tmp_path) as gate:
        assert (spent(gate), statuses(gate)) == (1000, ["interrupted"])
    assert kinds(tmp_path) == ["intent", "outcome", "interrupted"]
    assert records(tmp_path)[-1]["body"]["status"] == "running"


# --- opening and closing -----------------------------------------------------------------------------


def test_a_wrong_spec_does_not_open(tmp_path: Path) -> None:
    with pytest.raises(SpecError):
        Gate.open(spec_file(tmp_path, "sandbox: 2\n"))


def test_the_evaluator_alone_needs_the_digest_of_what_was_proved(tmp_path: Path) -> None:
    spec = spec_file(tmp_path)
    with pytest.raises(UsageError, match="proved_digest"):
        Gate.open(spec, engine="evaluator")
    with pytest.raises(UsageError, match="proved_digest"):
        Gate.open(spec, engine="evaluator", proved_digest="0" * 64)
    with pytest.raises(UsageError, match="`both` or `evaluator`"):
        Gate.open(spec, engine="none")


def test_a_workspace_may_not_hold_the_state(tmp_path: Path) -> None:
    text = PAYMENTS.replace("timeout: 10s", "timeout: 10s, workspace: {source: ../data, mode: rw}")
    spec = spec_file(tmp_path / "specs", text)
    (tmp_path / "data").mkdir()
    with pytest.raises(UsageError, match="overlap"):
        Gate.open(spec, state=f"sqlite:///{tmp_path}/data/state/state.db")


def test_a_closed_gate_takes_no_calls_and_closes_once(tmp_path: Path) -> None:
    gate = open_gate(tmp_path)
    gate.close()
    gate.close()
    with pytest.raises(UsageError, match="closed"):
        gate.call(payment())


def test_closing_waits_for_the_call_that_is_on_its_way(tmp_path: Path) -> None:
    started, go = threading.Event(), threading.Event()

    def behave(_: Permit) -> Outcome:
        started.set()
        assert go.wait(10)
        return OK

    gate = open_gate(tmp_path, runner=SpyRunner(behave))
    with ThreadPoolExecutor(2) as pool:
        call = pool.submit(gate.call, payment())
        assert started.wait(10)
        closing = pool.submit(gate.close)
        assert not closing.done()
        go.set()
        assert call.result(10).outcome.status == "ok"
        closing.result(10)


def test_the_state_can_be_named(tmp_path: Path) -> None:
    with Gate.open(spec_file(tmp_path), state=f"sqlite:///{tmp_path}/elsewhere/s.db", runner=SpyRunner()) as gate:
        gate.call(payment())
    assert verify(tmp_path / "elsewhere/s.audit.jsonl").records == 2
    assert not (tmp_path / ".sandbox").exists()


# --- threads and tasks -------------------------------------------------------------------------------


def test_many_threads_spend_one_budget_exactly_once(tmp_path: Path) -> None:
    runner = SpyRunner()

    def attempt(_: int) -> bool:
        try:
            gate.call(payment(amount="1000"))
        except Denied:
            return False
        return True

    with open_gate(tmp_path, runner=runner) as gate:
        with ThreadPoolExecutor(8) as pool:
            granted = list(pool.map(attempt, range(24)))
        assert spent(gate) == 500_000
    assert (sum(granted), len(runner.permits)) == (5, 5)
    assert verify(tmp_path / ".sandbox/state.audit.jsonl").records == 5 * 2 + 19


def test_an_awaited_call_is_the_same_call(tmp_path: Path) -> None:
    async def main() -> object:
        async with open_gate(tmp_path) as gate:
            return (await gate.acall(payment())).value

    assert asyncio.run(main()) == {"done": True}


def test_a_cancelled_task_leaves_a_call_that_still_settles(tmp_path: Path) -> None:
    started, go = threading.Event(), threading.Event()

    def behave(_: Permit) -> Outcome:
        started.set()
        assert go.wait(10)
        return OK

    async def main() -> None:
        async with open_gate(tmp_path, runner=SpyRunner(behave)) as gate:
            task = asyncio.create_task(gate.acall(payment()))
            await asyncio.to_thread(started.wait, 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            go.set()

    asyncio.run(main())
    assert kinds(tmp_path) == ["intent", "outcome"]
