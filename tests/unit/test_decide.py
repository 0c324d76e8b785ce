"""Unit: the decision by both engines, and that every way in which they can fail is a denial."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from itertools import product

import pytest
from pay_contract import CONTRACT, OTHER, PAY, call

from sandbox.call import Call
from sandbox.decide import NO_FACTS, Claim, Confirmation, EnginePair, Evaluator, Facts, Judgement, decide
from sandbox.engines import SolverWorker, engine_pair
from sandbox.errors import Fault
from sandbox.ir import TRUE, Arg, Argument, BoolSort, BoolType, Contract, Rule, RuleKind, Tool
from sandbox.machine import RULE_KINDS, Scalar


class Answering:
    """A solver that says what it is told to say."""

    def __init__(self, answer: Confirmation | Exception) -> None:
        self.answer = answer
        self.asked = 0

    def confirm(self, call: Call, state: Mapping[str, Scalar], facts: Facts, claim: Claim) -> Confirmation:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture(scope="module")
def both() -> Iterator[EnginePair]:
    with SolverWorker(CONTRACT) as worker:
        yield EnginePair(Evaluator(CONTRACT), worker, always_ask=True)


def judged(engines: EnginePair, one: Call, sent: int = 0) -> Judgement:
    return decide(engines, one, {"sent": sent})


@pytest.mark.parametrize(
    ("amount", "sent", "verdict", "rule", "code"),
    [
        (100, 0, "allow", "small", "rule.allow"),
        (100_000, 0, "allow", "small", "rule.allow"),
        (100_001, 0, "ask", "person", "rule.ask"),
        (100, 499_901, "deny", "over", "rule.deny"),
        (100, 499_900, "allow", "small", "rule.allow"),
    ],
)
def test_both_engines_decide_alike(
    both: EnginePair, amount: int, sent: int, verdict: str, rule: str, code: str
) -> None:
    decision = judged(both, call(amount=amount), sent).decision
    assert (decision.verdict, decision.rule, decision.reason_code) == (verdict, rule, code)
    assert (decision.engines.evaluator, decision.engines.solver) == (verdict, verdict)


def test_an_ask_names_its_quorum_and_expiry_and_carries_the_updates(both: EnginePair) -> None:
    found = judged(both, call(amount=100_001), 7)
    assert (found.decision.approvers, found.decision.expires_ms) == (2, 60_000)
    assert found.updates == {"sent": 100_008}


def test_reasons_name_every_rule_that_fired(both: EnginePair) -> None:
    decision = judged(both, call(amount=100, note="123456"), 500_000).decision
    assert decision.fired == ("over", "long", "small")
    assert decision.reason == ("denied by rule `over`: state.sent + args.amount > 5000.00 (also true: `long`, `small`)")


@pytest.mark.parametrize("kinds", list(product(RULE_KINDS, repeat=4)))
def test_each_rule_that_is_true_fires_and_the_strictest_decides(kinds: tuple[RuleKind, ...]) -> None:
    names = tuple(f"b{at}" for at in range(len(kinds)))
    rules = tuple(Rule(n, kind, Arg(n, BoolSort())) for n, kind in zip(names, kinds, strict=True))
    contract = Contract("c", (Tool("t", tuple(Argument(n, BoolType()) for n in names), rules),))
    evaluator = Evaluator(contract)
    for values in product([False, True], repeat=len(kinds)):
        args = dict(zip(names, values, strict=True))
        claim = evaluator.claim(Call("t", args, "", ""), {})
        true = [rule for rule in rules if args[rule.id]]
        verdict = next((kind for kind in RULE_KINDS if kind in {rule.kind for rule in true}), "deny")
        rule = next((rule.id for rule in true if rule.kind == verdict), "")
        assert claim == (verdict, rule, tuple(rule.id for rule in true), {})


def test_a_text_is_judged_by_its_size_and_escapes_in_data_are_data(both: EnginePair) -> None:
    assert judged(both, call(amount=1, note="\U0010ffff" * 5)).decision.verdict == "allow"
    assert judged(both, call(amount=1, to=("a", "a\\u{61}b"))).decision.rule == "odd"
    assert judged(both, call(amount=1, to=("a",))).decision.verdict == "allow"
    assert judged(both, call(amount=1, to=())).decision.verdict == "allow"


def test_a_tool_without_rules_denies_by_default_and_the_tool_is_a_constant(both: EnginePair) -> None:
    assert judged(both, call("shut")).decision.reason_code == "default_deny"
    assert judged(both, call("other")).decision.verdict == "allow"


def test_the_solver_is_not_asked_after_a_deny_unless_told_to() -> None:
    solver = Answering(Confirmation("deny"))
    denied = call(amount=100, note="123456")
    assert judged(EnginePair(Evaluator(CONTRACT), solver), denied).decision.engines.solver is None
    assert solver.asked == 0
    assert judged(EnginePair(Evaluator(CONTRACT), solver, always_ask=True), denied).decision.engines.solver == "deny"
    assert judged(EnginePair(Evaluator(CONTRACT), None), call(amount=1)).decision.verdict == "allow"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Confirmation("deny", "the solver says `deny`", "fault.disagreement"), "fault.disagreement"),
        (Confirmation("ask"), "fault.disagreement"),
        (Confirmation("allow", "another value", "fault.disagreement"), "fault.disagreement"),
        (Confirmation("fault", "late", "fault.solver_timeout"), "fault.solver_timeout"),
        (Confirmation("fault"), "fault.disagreement"),
        (RuntimeError("boom"), "fault.internal"),
        (RecursionError(), "fault.internal"),
        (MemoryError(), "fault.internal"),
    ],
)
def test_whatever_the_solver_does_instead_of_confirming_is_a_denial(
    answer: Confirmation | Exception, code: str
) -> None:
    found = judged(EnginePair(Evaluator(CONTRACT), Answering(answer)), call(amount=1))
    assert (found.decision.verdict, found.decision.reason_code, found.updates) == ("deny", code, {})


def test_an_evaluator_that_fails_is_a_denial() -> None:
    found = decide(EnginePair(Evaluator(CONTRACT), None), call(amount=1), {})
    assert (found.decision.verdict, found.decision.reason_code) == ("deny", "fault.internal")
    assert found.decision.engines.evaluator == "fault"


class Slipping(Evaluator):
    """An evaluator with a fault: it says another verdict, or stores another value, than the rules do."""

    def __init__(self, contract: Contract, **slip: object) -> None:
        super().__init__(contract)
        self.slip = slip

    def claim(self, call: Call, state: Mapping[str, Scalar], facts: Facts = NO_FACTS) -> Claim:
        return super().claim(call, state, facts)._replace(**self.slip)  # type: ignore[arg-type]  # a slip of any kind


@pytest.mark.parametrize(
    "slip",
    [
        {"verdict": "ask"},
        {"verdict": "deny"},
        {"updates": {"sent": 101}},
        {"updates": {}},
        {"updates": {"sent": 100, "other": 1}},
        {"verdict": "surely"},
    ],
)
def test_the_real_solver_notices_an_evaluator_that_slips(both: EnginePair, slip: dict[str, object]) -> None:
    decision = judged(EnginePair(Slipping(CONTRACT, **slip), both.solver, always_ask=True), call(amount=100)).decision
    assert (decision.verdict, decision.reason_code) == ("deny", "fault.disagreement")


def test_a_value_of_another_type_is_never_confirmed(both: EnginePair) -> None:
    engines = EnginePair(Slipping(CONTRACT, updates={"sent": True}), both.solver)
    assert judged(engines, call(amount=1)).decision.reason_code == "fault.solver_unreduced"


def test_an_allow_that_the_rules_deny_is_stopped_by_the_solver(both: EnginePair) -> None:
    engines = EnginePair(Slipping(CONTRACT, verdict="allow", updates={"sent": 600_000}), both.solver)
    decision = judged(engines, call(amount=100_000), 500_000).decision
    assert (decision.verdict, decision.engines.evaluator, decision.engines.solver) == ("deny", "allow", "deny")


def test_a_solver_that_hangs_is_killed_at_its_deadline_and_the_next_check_has_a_new_one() -> None:
    with SolverWorker(CONTRACT, deadline_s=0.3) as worker:
        worker.start()
        child = worker._child
        assert child is not None
        os.kill(child.pid, signal.SIGSTOP)
        engines = EnginePair(Evaluator(CONTRACT), worker)
        assert judged(engines, call(amount=1)).decision.reason_code == "fault.solver_timeout"
        assert child.poll() is not None
    with SolverWorker(CONTRACT) as worker:
        assert judged(EnginePair(Evaluator(CONTRACT), worker), call(amount=1)).decision.verdict == "allow"


def test_two_threads_ask_the_solver_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(2)
    met: list[int] = []

    def asked(_worker: SolverWorker, _question: object) -> Confirmation:
        with contextlib.suppress(threading.BrokenBarrierError):
            met.append(together.wait(timeout=0.2))
        return Confirmation("allow", "", "")

    monkeypatch.setattr(SolverWorker, "_ask", asked)
    worker, claim = SolverWorker(CONTRACT), Claim("allow", "", (), {})
    threads = [threading.Thread(target=worker.confirm, args=(call(amount=1), {"sent": 0}, {}, claim)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert met == []


def test_a_solver_that_dies_denies_once_and_is_started_again() -> None:
    with SolverWorker(CONTRACT) as worker:
        worker.start()
        child = worker._child
        assert child is not None
        child.kill()
        engines = EnginePair(Evaluator(CONTRACT), worker)
        first = judged(engines, call(amount=1)).decision
        assert first.verdict == "allow" or first.reason_code == "fault.solver_crash"
        assert judged(engines, call(amount=1)).decision.verdict == "allow"


def test_a_solver_that_holds_another_contract_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = SolverWorker(CONTRACT)
    monkeypatch.setattr("sandbox.ir.digest", lambda node: "another")
    with pytest.raises(Fault, match="another contract"):
        worker.start()


def test_a_call_of_a_tool_that_the_contract_lacks_is_a_fault() -> None:
    with SolverWorker(CONTRACT) as worker:
        assert worker.confirm(call("gone"), {}, {}, Claim("allow", "", (), {})).verdict == "fault"
        assert decide(EnginePair(Evaluator(CONTRACT), worker), call("gone"), {}).decision.verdict == "deny"


def test_engine_pair_with_and_without_a_solver() -> None:
    assert engine_pair(CONTRACT, solver=False).solver is None
    pair = engine_pair(CONTRACT, always_ask=True)
    assert isinstance(pair.solver, SolverWorker)
    assert pair.always_ask


def test_rules_are_told_one_by_one_with_their_values() -> None:
    values = {rule.id: value for rule, value in Evaluator(CONTRACT).rules(call(amount=1), {"sent": 0})}
    assert values == {"over": False, "long": False, "odd": False, "small": True, "person": False}
    assert Evaluator(CONTRACT).rules(call("other"), {}) == ((OTHER.rules[0], True),)
    assert TRUE not in {rule.when for rule in PAY.rules}
