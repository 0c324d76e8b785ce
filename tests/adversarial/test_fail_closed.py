"""B5: whatever fails on the way, nothing runs that should not, and nothing is spent twice or given back wrongly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from gatekit import STRANGER, SpyRunner, kinds, open_gate, payment

from sandbox.approve import ScriptedApprover
from sandbox.audit import verify
from sandbox.decide import Confirmation, EnginePair, Evaluator
from sandbox.errors import Denied, Fault, RecordBroken, SandboxError
from sandbox.gate import Gate
from sandbox.state import Transaction

BEFORE_THE_EFFECT = ("load", "save", "reserve", "kill_epoch", "stopped", "advance")


def reservations(gate: Gate) -> list[str]:
    return [row[0] for row in gate._store._connection.execute("SELECT status FROM reservations").fetchall()]


@pytest.mark.parametrize("method", BEFORE_THE_EFFECT)
def test_a_state_that_fails_before_the_effect_means_that_nothing_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        monkeypatch.setattr(Transaction, method, lambda *_, **__: 1 / 0)
        with pytest.raises((SandboxError, ZeroDivisionError)):
            gate.call(payment())
        monkeypatch.undo()
        assert "running" not in reservations(gate)
        assert gate.call(payment(amount="1000")).outcome.status == "ok"
    assert len(runner.permits) == 1


@pytest.mark.parametrize("method", ["load", "stopped"])
def test_a_state_that_cannot_be_read_is_a_denial_by_decide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    with open_gate(tmp_path) as gate:
        monkeypatch.setattr(Transaction, method, lambda *_, **__: 1 / 0)
        assert gate.decide(payment()).reason_code == "fault.internal"


def test_a_commit_that_fails_means_that_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        transaction = gate._store.transaction

        @contextmanager
        def lossy() -> Iterator[Transaction]:
            with transaction() as inner:
                yield inner
                if inner.version(gate.contract.name):
                    message = "disk full"
                    raise OSError(message)

        monkeypatch.setattr(gate._store, "transaction", lossy)
        with pytest.raises(Denied, match="disk full"):
            gate.call(payment())
        monkeypatch.undo()
        assert reservations(gate) == []
    assert runner.permits == []


@pytest.mark.parametrize("error", [RecordBroken("full"), OSError("full"), ValueError("full")])
def test_an_intent_that_cannot_be_recorded_does_not_run_and_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        monkeypatch.setattr(gate._audit, "append", raising(error))
        with pytest.raises(RecordBroken):
            gate.call(payment())
        assert reservations(gate) == ["cancelled"]
        monkeypatch.undo()
        for _ in range(5):
            gate.call(payment(amount="1000"))
    assert len(runner.permits) == 5


def test_an_approval_that_cannot_be_recorded_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner, approver=ScriptedApprover("ann")) as gate:
        monkeypatch.setattr(gate._audit, "append", raising(OSError("full")))
        with pytest.raises(RecordBroken):
            gate.call(payment(STRANGER))
        assert reservations(gate) == []
    assert runner.permits == []


def test_a_denial_stands_though_the_record_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_gate(tmp_path) as gate:
        monkeypatch.setattr(gate._audit, "append", raising(OSError("full")))
        with pytest.raises(Denied):
            gate.call(payment(amount="9999"))
        assert gate.decide(payment(amount="9999")).verdict == "deny"


def test_an_outcome_that_cannot_be_recorded_is_an_error_and_stays_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        append = gate._audit.append
        monkeypatch.setattr(
            gate._audit, "append", lambda kind, body: append(kind, body) if kind != "outcome" else 1 / 0
        )
        with pytest.raises(RecordBroken):
            gate.call(payment())
        assert reservations(gate) == ["settled"]
    assert len(runner.permits) == 1


def test_a_settlement_that_fails_is_recorded_and_stays_reserved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_gate(tmp_path) as gate:
        advance = Transaction.advance

        def lossy(self: Transaction, nonce: str, *, expect: str, to: str) -> None:
            if to == "settled":
                message = "the state is gone"
                raise Fault(message)
            advance(self, nonce, expect=expect, to=to)

        monkeypatch.setattr(Transaction, "advance", lossy)
        with pytest.raises(Fault, match="is gone"):
            gate.call(payment())
        assert reservations(gate) == ["running"]
    assert kinds(tmp_path) == ["intent", "outcome"]


def test_a_runner_whose_preparation_fails_oddly_spends_nothing(tmp_path: Path) -> None:
    with open_gate(tmp_path, runner=SpyRunner(prepare_error=RuntimeError("odd"))) as gate:
        with pytest.raises(Fault, match="odd"):
            gate.call(payment())
        assert reservations(gate) == []


def test_a_cancellation_that_fails_stays_spent_and_hides_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_gate(tmp_path) as gate:
        monkeypatch.setattr(gate._audit, "append", raising(RecordBroken("the record is full")))
        monkeypatch.setattr(Transaction, "cancel", lambda *_: 1 / 0)
        with pytest.raises(RecordBroken, match="is full"):
            gate.call(payment())
        assert reservations(gate) == ["reserved"]


# --- the second engine -------------------------------------------------------------------------------


class Odd:
    """A solver that answers as it is told."""

    def __init__(self, answer: object) -> None:
        self._answer = answer

    def confirm(self, *_: object) -> Confirmation:
        return self._answer() if callable(self._answer) else self._answer


ODD_ANSWERS = {
    "fault.disagreement": Confirmation("deny"),
    "fault.solver_timeout": Confirmation("fault", "late", "fault.solver_timeout"),
    "fault.solver_crash": Confirmation("fault", "gone", "fault.solver_crash"),
    "fault.solver_unreduced": Confirmation("fault", "left over", "fault.solver_unreduced"),
    "fault.internal": lambda: 1 / 0,
}


@pytest.mark.parametrize("reason_code", ODD_ANSWERS)
def test_a_solver_that_does_not_confirm_is_a_denial_on_record(tmp_path: Path, reason_code: str) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        gate._engines = {"payments": EnginePair(Evaluator(gate.contract), Odd(ODD_ANSWERS[reason_code]))}
        assert gate.decide(payment()).reason_code == reason_code
        with pytest.raises(Denied) as denied:
            gate.call(payment())
    assert denied.value.reason_code == reason_code
    assert (runner.permits, kinds(tmp_path)) == ([], ["fault", "fault"])


def test_a_solver_that_dies_between_the_two_decisions_is_a_denial(tmp_path: Path) -> None:
    answers = iter([Confirmation("allow"), Confirmation("fault", "gone", "fault.solver_crash")])
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        gate._engines = {"payments": EnginePair(Evaluator(gate.contract), Odd(lambda: next(answers)))}
        with pytest.raises(Denied) as denied:
            gate.call(payment())
        assert reservations(gate) == []
    assert (denied.value.reason_code, runner.permits) == ("fault.solver_crash", [])
    assert kinds(tmp_path) == ["fault"]


def test_a_real_solver_process_that_was_killed_is_replaced_or_denies(tmp_path: Path) -> None:
    with open_gate(tmp_path, solver=True) as gate:
        assert gate.decide(payment()).verdict == "allow"
        child = gate._engines["payments"].solver._child
        child.kill()
        child.wait()
        assert gate.decide(payment()).verdict == "allow"
        assert gate._engines["payments"].solver._child is not child


def test_an_edited_record_does_not_verify(tmp_path: Path) -> None:
    with open_gate(tmp_path) as gate:
        gate.call(payment())
    path = tmp_path / ".sandbox/state.audit.jsonl"
    path.write_text(path.read_text().replace('"10.00"', '"99.00"'))
    with pytest.raises(RecordBroken):
        verify(path)


def raising(error: Exception) -> object:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail
