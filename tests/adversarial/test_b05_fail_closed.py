"""B5: unknown, timeout, exception, missing, empty: each is a denial. What fails here is let through by a naive gate."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from attacked_gate import RECIPIENT, SPEC, SpyRunner, attacked, outcome_of
from gatekit import NOON

from sandbox import Gate
from sandbox.approve import Approval, ApprovalRequest, Refused
from sandbox.call import Call
from sandbox.decide import Claim, Confirmation, EnginePair
from sandbox.errors import EnvironmentLacking, Fault, SandboxError, UsageError
from sandbox.machine import Scalar

READ = {"tool": "read", "args": {"path": "/data/x"}}
LARGE = {"tool": "pay", "args": {"recipient": RECIPIENT, "amount": "2000"}}


def naive_run(check: Callable[[], bool | None]) -> bool:
    """Whether the tool runs: an error of the check is logged, and only a clear no stops the call."""
    try:
        verdict = check()
    except Exception:  # noqa: BLE001  # the hole that is shown
        return True
    return verdict is not False


def broken() -> bool:
    """A check that fails."""
    message = "the policy service does not answer"
    raise ConnectionError(message)


# --- nothing is written: nothing is allowed ----------------------------------------------------------


def test_an_empty_list_of_rules_denies(tmp_path: Path) -> None:
    rules: list[Callable[[], bool]] = []
    assert all(rule() for rule in rules)  # naive: nothing objects
    spec = "sandbox: 1\nname: empty\ntools:\n  read:\n    args: {path: {type: path}}\n    rules: []\n"
    with attacked(tmp_path, spec) as gate:
        assert gate.decide(READ).reason_code == "default_deny"


def test_a_spec_without_tools_denies_everything(tmp_path: Path) -> None:
    listed: tuple[str, ...] = ()
    assert not listed or "read" in listed  # naive: no list means no limit
    with attacked(tmp_path, "sandbox: 1\nname: empty\ntools: {}\n") as gate:
        assert gate.decide(READ).reason_code == "unknown_tool"


def test_a_missing_spec_opens_no_gate(tmp_path: Path) -> None:
    assert naive_run(lambda: bool((tmp_path / "missing.yaml").read_text()))
    with pytest.raises(UsageError):
        Gate.open(tmp_path / "missing.yaml", state=f"sqlite:///{tmp_path / 'state.db'}")


def test_a_missing_approver_does_not_mean_approved(tmp_path: Path) -> None:
    approvers: list[Callable[[], bool]] = []
    assert all(approver() for approver in approvers)  # naive: nobody refused
    runner = SpyRunner()
    with attacked(tmp_path, runner=runner) as gate:
        assert outcome_of(gate, LARGE) == "approval.needed"
    assert runner.calls == []


# --- an engine that does not say yes -----------------------------------------------------------------


class SayingSolver:
    """A solver that always gives the same answer, or fails."""

    def __init__(self, answer: Confirmation | Exception) -> None:
        self.answer = answer

    def confirm(self, call: Call, state: Mapping[str, Scalar], facts: object, claim: Claim) -> Confirmation:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "reason_code"),
    [
        (Confirmation("fault", "no answer in time", "fault.solver_timeout"), "fault.solver_timeout"),
        (Confirmation("fault", "the process is gone", "fault.solver_crash"), "fault.solver_crash"),
        (Confirmation("fault", "left unreduced", "fault.solver_unreduced"), "fault.solver_unreduced"),
        (Confirmation("deny", "it denies"), "fault.disagreement"),
        (Confirmation("deny"), "fault.disagreement"),
        (Confirmation("fault"), "fault.disagreement"),
        (MemoryError(), "fault.internal"),
        (RuntimeError("unknown"), "fault.internal"),
    ],
)
def test_a_solver_that_does_not_confirm_denies(
    answer: Confirmation | Exception, reason_code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert naive_run(broken)
    assert naive_run(lambda: None)  # naive: unknown is no counterexample
    runner = SpyRunner()
    with attacked(tmp_path, runner=runner) as gate:
        evaluator = gate._engines[gate.contract.name].evaluator
        engines = {gate.contract.name: EnginePair(evaluator, SayingSolver(answer))}
        monkeypatch.setattr(gate, "_engines", engines)
        assert gate.decide(READ).reason_code == reason_code
        assert outcome_of(gate, READ) == reason_code
    assert runner.calls == []


def test_an_evaluator_that_fails_denies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert naive_run(broken)
    runner = SpyRunner()
    with attacked(tmp_path, runner=runner) as gate:
        monkeypatch.setattr(gate._engines[gate.contract.name].evaluator, "claim", lambda call, state: broken())
        assert gate.decide(READ).reason_code == "fault.internal"
        assert outcome_of(gate, READ) == "fault.internal"
    assert runner.calls == []


# --- people ------------------------------------------------------------------------------------------


class Answering:
    """An approver that answers with whatever it was given, or fails with it."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def review(self, request: ApprovalRequest) -> Approval | Refused:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[return-value]  # what a faulty approver does


@pytest.mark.parametrize("answer", [None, True, "yes", 0, TimeoutError(), KeyError("x"), EOFError()])
def test_an_approver_that_gives_no_approval_approves_nothing(answer: object, tmp_path: Path) -> None:
    def naive_ask() -> bool | None:
        if isinstance(answer, Exception):
            raise answer
        return answer is not False

    assert naive_run(naive_ask)
    runner = SpyRunner()
    with attacked(tmp_path, runner=runner, approver=Answering(answer)) as gate, pytest.raises(SandboxError):
        gate.call(LARGE)
    assert runner.calls == []


def test_an_approval_that_has_expired_approves_nothing(tmp_path: Path) -> None:
    class Late:
        def review(self, request: ApprovalRequest) -> Approval:
            return Approval(request.call.digest, "ann", NOON)

    assert naive_run(lambda: True)  # naive: she said yes, whenever that was
    runner = SpyRunner()
    with attacked(tmp_path, runner=runner, approver=Late()) as gate:
        assert outcome_of(gate, LARGE) in {"approval.expired", "approval.refused"}
    assert runner.calls == []


# --- the machine around it ---------------------------------------------------------------------------


def test_a_missing_engine_runs_nothing_and_spends_nothing(tmp_path: Path) -> None:
    on_the_host: list[str] = []

    def naive_runner() -> None:
        try:
            broken()
        except ConnectionError:
            on_the_host.append("ran")  # naive: better on the host than not at all

    naive_runner()
    assert on_the_host == ["ran"]
    runner = SpyRunner(prepare_error=EnvironmentLacking("no engine"))
    payment = {"tool": "pay", "args": {"recipient": RECIPIENT, "amount": "900"}}
    with attacked(tmp_path, runner=runner) as gate:
        assert [outcome_of(gate, payment) for _ in range(7)] == ["environment"] * 7  # the cap is never reached
    assert runner.calls == []


def test_a_record_that_cannot_be_written_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(kind: str, body: Mapping[str, object]) -> None:
        message = "no space left on device"
        raise OSError(message)

    assert naive_run(lambda: full("intent", {}))  # naive: logging is best effort
    runner = SpyRunner()
    with attacked(tmp_path, runner=runner) as gate:
        monkeypatch.setattr(gate._audit, "append", full)
        assert outcome_of(gate, READ) == "audit.broken"
    assert runner.calls == []


def test_a_state_that_cannot_be_read_is_no_fresh_state(tmp_path: Path) -> None:
    payment = {"tool": "pay", "args": {"recipient": RECIPIENT, "amount": "1000"}}
    with attacked(tmp_path) as gate:
        assert [outcome_of(gate, payment) for _ in range(6)] == ["ok"] * 5 + ["rule.deny"]
    database = tmp_path / ".sandbox" / "state.db"
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE state SET document = '{}'")
    connection.close()

    def naive_sent() -> float:
        try:
            return float(str(None))
        except ValueError:
            return 0.0  # naive: unreadable, so begin anew

    assert naive_sent() == 0.0
    with pytest.raises(Fault, match="damaged"):
        attacked(tmp_path)


def test_the_kill_switch_stops_every_call_until_it_is_turned_off(tmp_path: Path) -> None:
    runner = SpyRunner()
    with attacked(tmp_path, runner=runner) as gate:
        with gate._store.transaction() as transaction:
            transaction.stop()
        assert outcome_of(gate, READ) == "stopped"
    with attacked(tmp_path, runner=runner) as gate:  # naive: a flag in memory is gone after a restart
        assert outcome_of(gate, READ) == "stopped"
    assert runner.calls == []


def test_the_spec_that_is_attacked_allows_what_it_should(tmp_path: Path) -> None:
    """Else every denial above would be worth nothing."""
    runner = SpyRunner()
    with attacked(tmp_path, SPEC, runner=runner) as gate:
        assert outcome_of(gate, READ) == "ok"
    assert len(runner.calls) == 1
