"""What a call enables when it has ended `ok`: stored with the settlement, on the state as it is then, or not at all."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from gatekit import HandClock, SpyRunner, digest_of, kinds, open_gate, records, spec_file

from sandbox.approve import ScriptedApprover
from sandbox.call import Call, Outcome, Permit
from sandbox.compile import load_contract
from sandbox.decide import Confirmation, EnginePair, Evaluator, succeed
from sandbox.engines import SolverWorker
from sandbox.errors import ApprovalNeeded, Denied, Fault, ToolError
from sandbox.gate import Gate
from sandbox.ir import Contract
from sandbox.machine import StateFullError, StoredState, effective, initial_state, tick
from sandbox.machine import succeed as succeeded
from sandbox.parse import parse_call
from sandbox.policy import Policy
from sandbox.rehearsal import Rehearsal
from sandbox.step import Landing, take_step, take_success

SPEC = """\
sandbox: 1
name: release
session: {clerk: {type: string}}
state:
  begun: {type: int, initial: 0}
  tested: {type: int, initial: 0, reset: 24h}
  price: {type: decimal, scale: 2, initial: 0}
  seen: {type: timestamp, initial: 2026-01-01T00:00:00Z}
  ready: {type: bool, initial: false}
  phase: {type: enum, values: [open, frozen, shipped], initial: open}
tools:
  test:
    args: {build: {type: int}, cost: {type: decimal, scale: 2, default: 0}}
    rules:
      - {id: not-yet-shipped, allow: state.phase != 'shipped' && args.build < 1000}
      - {id: late, ask: args.build >= 1000}
    then: {begun: state.begun + 1}
    on_success:
      tested: "state.tested > args.build ? state.tested : args.build"
      price: "state.price > args.cost * 2 ? state.price : args.cost * 2"
      seen: "state.seen > now ? state.seen : now"
      ready: true
    run: {tool: tools.release:test}
  freeze:
    rules: [{id: all, allow: true}]
    on_success: {phase: "'frozen'"}
    run: {tool: tools.release:freeze}
  ship:
    rules: [{id: ready, allow: state.ready}]
    then: {phase: "'shipped'"}
    run: {tool: tools.release:ship}
"""
CLERK = {"clerk": "ann"}
FAILED = Outcome("error", "tool.error", "it broke")


def build_of(build: int, cost: str = "0") -> dict[str, object]:
    return {"tool": "test", "args": {"build": build, "cost": cost}}


FREEZE: dict[str, object] = {"tool": "freeze", "args": {}}
SHIP: dict[str, object] = {"tool": "ship", "args": {}}


def state(gate: Gate) -> dict[str, object]:
    now = gate._clock()
    with gate._store.transaction() as transaction:
        return dict(effective(gate.contract, tick(gate.contract, transaction.load(gate.contract, now), now)))


def outcomes(folder: Path) -> list[object]:
    return [each["body"].get("on_success") for each in records(folder) if each["kind"] == "outcome"]


def test_a_call_that_ends_ok_enables_what_its_spec_says(tmp_path: Path) -> None:
    clock = HandClock()
    with open_gate(tmp_path, text=SPEC, clock=clock, solver=True) as gate:
        with pytest.raises(Denied):
            gate.call(SHIP, CLERK)
        gate.call(build_of(7, "1.25"), CLERK)
        assert state(gate) == {
            "begun": 1, "tested": 7, "price": 250, "seen": clock.now_ms, "ready": True, "phase": "open",
        }  # fmt: skip
        gate.call(build_of(3), CLERK)
        assert (state(gate)["tested"], state(gate)["price"]) == (7, 250)
        gate.call(SHIP, CLERK)
        gate.call(FREEZE, CLERK)
        assert state(gate)["phase"] == "shipped"
    assert outcomes(tmp_path) == ["stored", "unchanged", None, "unchanged"]


@pytest.mark.parametrize("status", ["error", "timeout", "out_of_memory", "output_limit", "killed", "sandbox_failure"])
def test_a_call_that_does_not_end_ok_enables_nothing(tmp_path: Path, status: str) -> None:
    runner = SpyRunner(lambda _: Outcome(status, "x", "y"))
    with open_gate(tmp_path, text=SPEC, runner=runner) as gate:
        gate.attempt(build_of(7), CLERK)
        assert state(gate) == {
            "begun": 1,
            "tested": 0,
            "price": 0,
            "seen": 1767225600000,
            "ready": False,
            "phase": "open",
        }
    assert outcomes(tmp_path) == [None]


def test_a_call_that_never_started_gives_back_and_enables_nothing(tmp_path: Path) -> None:
    runner = SpyRunner(lambda _: Outcome("sandbox_failure", "x", "y", started=False))
    with open_gate(tmp_path, text=SPEC, runner=runner) as gate:
        gate.attempt(build_of(7), CLERK)
        assert (state(gate)["begun"], state(gate)["ready"]) == (0, False)


def test_a_runner_that_raises_enables_nothing(tmp_path: Path) -> None:
    def behave(_: Permit) -> Outcome:
        message = "no"
        raise ValueError(message)

    with open_gate(tmp_path, text=SPEC, runner=SpyRunner(behave)) as gate:
        gate.attempt(build_of(7), CLERK)
        assert (state(gate)["begun"], state(gate)["ready"]) == (1, False)


def test_a_success_is_noted_on_the_state_as_it_is_by_then(tmp_path: Path) -> None:
    """Between permit and success other calls were permitted and settled, and a day went by."""
    clock = HandClock()
    within: list[Callable[[], object]] = []

    def behave(permit: Permit) -> Outcome:
        while within:
            within.pop()()
        return Outcome("ok", "ok", "")

    with open_gate(tmp_path, text=SPEC, clock=clock, runner=SpyRunner(behave)) as gate:
        within.append(lambda: gate.call(build_of(9), CLERK))
        gate.call(build_of(5), CLERK)
        assert (state(gate)["begun"], state(gate)["tested"]) == (2, 9)
        within.append(lambda: (gate.call(build_of(8), CLERK), clock.pass_hours(24)))
        gate.call(build_of(6), CLERK)
        assert (state(gate)["begun"], state(gate)["tested"], state(gate)["seen"]) == (4, 6, clock.now_ms)


def test_its_rules_need_not_hold_any_more(tmp_path: Path) -> None:
    within: list[Callable[[], object]] = []

    def behave(permit: Permit) -> Outcome:
        while within:
            within.pop()()
        return Outcome("ok", "ok", "")

    with open_gate(tmp_path, text=SPEC, runner=SpyRunner(behave)) as gate:
        gate.call(build_of(1), CLERK)
        within.append(lambda: gate.call(SHIP, CLERK))
        gate.call(build_of(5), CLERK)
        assert gate.decide(build_of(6), CLERK).verdict == "deny"
        assert state(gate)["tested"] == 5


def test_an_approved_call_enables_too_and_a_waiting_one_does_not(tmp_path: Path) -> None:
    with open_gate(tmp_path, text=SPEC) as gate:
        with pytest.raises(ApprovalNeeded):
            gate.call(build_of(1000), CLERK)
        assert state(gate)["tested"] == 0
    with open_gate(tmp_path, text=SPEC, approver=ScriptedApprover("ann")) as gate:
        gate.call(build_of(1000), CLERK)
        assert state(gate)["tested"] == 1000


def test_a_success_keeps_an_earlier_call_from_being_taken_back(tmp_path: Path) -> None:
    """`cancel` puts back the state before a permit only while nothing was written since; a success is written."""
    within: list[Callable[[], object]] = []

    def behave(permit: Permit) -> Outcome:
        while within:
            within.pop()()
        return Outcome("ok", "ok", "", started=permit.call.tool == "freeze")

    with open_gate(tmp_path, text=SPEC, runner=SpyRunner(behave)) as gate:
        within.append(lambda: gate.call(FREEZE, CLERK))
        gate.attempt(build_of(5), CLERK)
        assert (state(gate)["begun"], state(gate)["phase"]) == (1, "frozen")


def test_a_process_that_dies_between_the_end_and_the_settlement_enables_nothing(tmp_path: Path) -> None:
    spec_file(tmp_path, SPEC)
    digest_of(tmp_path / "payments.yaml")
    child = os.fork()
    if child == 0:

        def die(permit: Permit) -> Outcome:
            os.kill(os.getpid(), signal.SIGKILL)
            return Outcome("ok", "ok", "")

        open_gate(tmp_path, text=SPEC, runner=SpyRunner(die)).call(build_of(5), CLERK)
        os._exit(1)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    with open_gate(tmp_path, text=SPEC) as gate:
        assert kinds(tmp_path)[-1] == "interrupted"
        assert (state(gate)["begun"], state(gate)["ready"]) == (1, False)


# --- what can go wrong -------------------------------------------------------------------------------


class Objecting:
    """A solver that agrees to every permit and to no success."""

    def __init__(self, answer: Confirmation | Exception) -> None:
        self._answer = answer

    def confirm(self, call: Call, state: object, facts: object, claim: object) -> Confirmation:
        return Confirmation(claim.verdict)  # type: ignore[attr-defined]

    def confirm_success(self, *_: object) -> Confirmation:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Confirmation("allow", "another value", "fault.disagreement"), "fault.disagreement"),
        (Confirmation("allow", "another value"), "fault.disagreement"),
        (Confirmation("fault"), "fault.disagreement"),
        (Confirmation("deny"), "fault.disagreement"),
        (Confirmation("fault", "late", "fault.solver_timeout"), "fault.solver_timeout"),
        (ValueError("no"), "fault.internal"),
    ],
)
def test_engines_that_do_not_agree_enable_nothing(tmp_path: Path, answer: Confirmation | Exception, code: str) -> None:
    with open_gate(tmp_path, text=SPEC) as gate:
        gate._passage._engines = {gate.contract.name: EnginePair(Evaluator(gate.contract), Objecting(answer))}
        assert gate.call(build_of(5), CLERK).outcome.status == "ok"
        assert (state(gate)["begun"], state(gate)["ready"]) == (1, False)
    assert outcomes(tmp_path) == [code]


def test_in_a_rehearsal_a_fault_is_a_denial_that_leaves_the_state_alone(tmp_path: Path) -> None:
    contract = load_contract(spec_file(tmp_path, SPEC))
    answer = Confirmation("allow", "another value", "fault.disagreement")
    engines = {contract.name: EnginePair(Evaluator(contract), Objecting(answer))}
    judge = Rehearsal(Policy.of(contract), engines, 0, session=CLERK)
    decision = judge.advance(build_of(5), 0)
    assert (decision.verdict, decision.reason_code, decision.reason) == ("deny", "fault.disagreement", "another value")
    assert judge.state(contract, 0)["begun"] == 0


def test_a_rehearsal_counts_every_allowed_call_as_one_that_ended_ok(tmp_path: Path) -> None:
    contract = load_contract(spec_file(tmp_path, SPEC))
    judge = Rehearsal(Policy.of(contract), {contract.name: EnginePair(Evaluator(contract), None)}, 0, session=CLERK)
    assert judge.advance(SHIP, 0).verdict == "deny"
    assert judge.advance(build_of(1001), 0).verdict == "ask"
    assert judge.advance(SHIP, 0).verdict == "deny"
    assert judge.judge(build_of(1), 0).verdict == "allow"
    assert judge.advance(SHIP, 0).verdict == "deny"
    assert judge.advance(build_of(1), 0).verdict == "allow"
    assert judge.advance(SHIP, 0).verdict == "allow"


def call_of(contract: Contract, raw: dict[str, object]) -> Call:
    call = parse_call(raw, contract)
    assert isinstance(call, Call)
    return call


def test_the_solver_says_no_to_every_other_value(tmp_path: Path) -> None:
    contract = load_contract(spec_file(tmp_path, SPEC))
    call = call_of(contract, build_of(5, "0.01"))
    before = {"begun": 0, "tested": 4, "price": 0, "seen": 0, "ready": False, "phase": "open"}
    right = {"tested": 5, "price": 2, "seen": 9, "ready": True}
    facts = {"now": 9, "session.clerk": "ann"}
    with SolverWorker(contract) as solver:
        assert solver.confirm_success(call, before, facts, right) == Confirmation("allow")
        for wrong in ({"tested": 4}, {"price": 1}, {"seen": 0}, {"ready": False}):
            answer = solver.confirm_success(call, before, facts, {**right, **wrong})
            (name,) = wrong
            said = f"the evaluator would store another value of `{name}` in `test` than the solver"
            assert answer == Confirmation("allow", said, "fault.disagreement")
        fewer = solver.confirm_success(call, before, facts, {"tested": 5})
        assert fewer.objection == "the evaluator assigns other variables than the spec"
        assert succeed(EnginePair(Evaluator(contract), solver), call, before, facts).updates == right
        gone = Call("gone", {}, "{}", "")
        assert solver.confirm_success(gone, before, facts, {}).verdict == "fault"


def test_an_evaluator_that_fails_enables_nothing(tmp_path: Path) -> None:
    contract = load_contract(spec_file(tmp_path, SPEC))
    pair = EnginePair(Evaluator(contract), None)
    found = succeed(pair, call_of(contract, build_of(5)), {}, {})
    assert (found.updates, found.reason_code, found.reason) == ({}, "fault.internal", "the evaluator failed: KeyError")


def test_a_full_state_enables_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> StoredState:
        raise StateFullError

    monkeypatch.setattr("sandbox.machine.succeed", full)
    with open_gate(tmp_path, text=SPEC) as gate:
        gate.call(build_of(5), CLERK)
        assert (state(gate)["begun"], state(gate)["ready"]) == (1, False)
    assert outcomes(tmp_path) == ["state_full"]


def test_a_window_is_never_written_by_a_success(tmp_path: Path) -> None:
    text = SPEC.replace("initial: 0, reset: 24h", "initial: 0, window: 24h").replace(
        '      tested: "state.tested > args.build ? state.tested : args.build"\n', ""
    )
    contract = load_contract(spec_file(tmp_path, text))
    with pytest.raises(Fault, match="`on_success` would write the window variable `tested`"):
        succeeded(contract, initial_state(contract, 0), {"tested": 5})


def test_a_tool_without_on_success_moves_nothing(tmp_path: Path) -> None:
    contract = load_contract(spec_file(tmp_path, SPEC))
    pair = EnginePair(Evaluator(contract), None)
    stored = initial_state(contract, 0)
    assert take_success(pair, contract, stored, call_of(contract, SHIP), 1) == Landing()


def test_gate_and_replay_take_the_same_step(tmp_path: Path) -> None:
    """By hand, what the gate does: a permit, time, a success."""
    contract = load_contract(spec_file(tmp_path, SPEC))
    pair = EnginePair(Evaluator(contract), None)
    call = call_of(contract, build_of(5))
    step = take_step(pair, contract, initial_state(contract, 0), call, 0, session={"clerk": "ann"})
    assert step.after is not None
    landing = take_success(pair, contract, step.after, call, 10, session={"clerk": "ann"})
    assert landing.after is not None
    assert landing.after.clock_ms == 10
    again = take_success(pair, contract, landing.after, call, 10, session={"clerk": "ann"})
    assert again == Landing()


def test_a_tool_error_still_raises(tmp_path: Path) -> None:
    with open_gate(tmp_path, text=SPEC, runner=SpyRunner(lambda _: FAILED)) as gate, pytest.raises(ToolError):
        gate.call(build_of(5), CLERK)
