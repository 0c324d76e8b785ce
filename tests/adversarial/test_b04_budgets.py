"""Budgets: what many calls add up to. Exact, on the sum, decided and spent in one step."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest
from attacked_gate import RECIPIENT, SpyRunner, attacked, outcome_of

from sandbox.call import Outcome

CAP = 5000


def pay(amount: str) -> str:
    return f'{{"tool": "pay", "args": {{"recipient": "{RECIPIENT}", "amount": {amount}}}}}'


def spent(runner: SpyRunner) -> Decimal:
    """What the tool would really have paid, added up from what reached it."""
    return sum((Decimal(int(permit.call.args["amount"])) / 100 for permit in runner.permits), Decimal(0))  # type: ignore[arg-type]  # an int


def naive_cap_per_call(amounts: list[float]) -> float:
    """A cap on each call and none on the sum."""
    return sum(amount for amount in amounts if amount <= CAP)


def naive_check_before_adding(amounts: list[float]) -> float:
    """Asks whether the budget is spent, not whether it would be."""
    total = 0.0
    for amount in amounts:
        if total <= CAP:
            total += amount
    return total


def naive_negated(amounts: list[float]) -> float:
    """`NaN > cap` is false, so that nothing is ever over it again."""
    total = 0.0
    for amount in amounts:
        if not total + amount > CAP:
            total += amount
    return total


@pytest.mark.parametrize(
    ("amounts", "naive"),
    [
        (["900"] * 8, naive_cap_per_call),
        (["999.99"] * 8, naive_check_before_adding),
        (["1000", "1000", "1000", "1000", "999.99", "1000"], naive_check_before_adding),
        (["0.01", *["1000"] * 6], naive_cap_per_call),
    ],
)
def test_many_small_payments_do_not_pass_the_cap(
    amounts: list[str], naive: Callable[[list[float]], float], tmp_path: Path
) -> None:
    assert naive([float(amount) for amount in amounts]) > CAP
    runner = SpyRunner()
    with attacked(tmp_path, runner=runner) as gate:
        codes = [outcome_of(gate, pay(amount)) for amount in amounts]
    assert "rule.deny" in codes
    assert spent(runner) <= CAP


@pytest.mark.parametrize(
    "text", ["NaN", "-Infinity", "-1", "-0.01", "-0", "1e-3", "1E3", '"1e3"', '" 1"', '"NaN"', "0.001", "0"]
)
def test_an_amount_that_would_upset_the_sum_is_no_amount(text: str, tmp_path: Path) -> None:
    assert not float(text.strip('"')) > CAP  # float takes every one of them, and none is over the cap
    with attacked(tmp_path) as gate:
        decision = gate.decide(pay(text))
    assert decision.verdict == "deny"
    assert decision.reason_code in {"parse.number", "parse.range", "parse.type", "parse.scale"}


def test_not_a_number_disarms_a_naive_cap() -> None:
    assert naive_negated([float("nan"), 4000.0, 4000.0]) != naive_negated([4000.0, 4000.0])


def test_a_sum_beyond_a_double_still_grows(tmp_path: Path) -> None:
    limit = "9007199254740993"
    naive = float(limit)
    for _ in range(10):
        naive += 0.01
    assert naive == float(limit)  # ten payments that no float sum ever sees
    spec = SPEC_WITH_LARGE_CAP.replace("LIMIT", f"{limit}.00")
    runner = SpyRunner()
    with attacked(tmp_path, spec, runner=runner) as gate:
        codes = [outcome_of(gate, pay(amount)) for amount in ("9007199254740992.99", "0.01", "0.01")]
    assert codes == ["ok", "ok", "rule.deny"]
    assert spent(runner) == Decimal(limit)


SPEC_WITH_LARGE_CAP = """
sandbox: 1
name: attacked
state:
  sent: {type: decimal, scale: 2, initial: 0, window: 24h}
tools:
  pay:
    args:
      recipient: {type: string}
      amount: {type: decimal, scale: 2, min: 0.01, max: 100000000000000000000}
    rules:
      - {id: cap, deny: "state.sent + args.amount > LIMIT"}
      - {id: any, allow: "true"}
    then: {sent: state.sent + args.amount}
    run: {tool: "tools.payments:send_money"}
"""

THREADS = 8


class NaiveBudget:
    """Reads the sum, decides, and adds: three steps, between which every other thread does the same."""

    def __init__(self) -> None:
        self.sent = 0
        self.decided = threading.Barrier(THREADS)

    def pay(self, amount: int) -> bool:
        allowed = self.sent + amount <= CAP
        self.decided.wait()
        if allowed:
            self.sent += amount
        return allowed


def test_calls_at_the_same_time_share_one_budget(tmp_path: Path) -> None:
    naive = NaiveBudget()
    with ThreadPoolExecutor(THREADS) as pool:
        assert all(pool.map(naive.pay, [1000] * THREADS))
    assert naive.sent > CAP

    runner = SpyRunner()
    with attacked(tmp_path, runner=runner) as gate, ThreadPoolExecutor(THREADS) as pool:
        codes = list(pool.map(lambda _: outcome_of(gate, pay("1000")), range(THREADS)))
    assert sorted(codes) == ["ok"] * 5 + ["rule.deny"] * 3
    assert spent(runner) == CAP


def test_two_gates_on_one_state_share_one_budget(tmp_path: Path) -> None:
    naive = [0, 0]  # a sum for each process
    for _ in range(5):
        naive = [each + 1000 for each in naive if each + 1000 <= CAP]
    assert sum(naive) > CAP
    runner = SpyRunner()
    with attacked(tmp_path, runner=runner) as one, attacked(tmp_path, runner=runner) as other:
        for _ in range(5):
            outcome_of(one, pay("1000"))
            outcome_of(other, pay("1000"))
    assert spent(runner) == CAP


def test_a_tool_that_fails_has_spent(tmp_path: Path) -> None:
    naive_sent = 0  # refunded after each failure, although the effect may have happened
    runner = SpyRunner(lambda permit: Outcome("error", "tool.error", "it failed, after the money had gone"))
    with attacked(tmp_path, runner=runner) as gate:
        codes = [outcome_of(gate, pay("1000")) for _ in range(7)]
    assert naive_sent + 1000 <= CAP
    assert codes == ["tool.error"] * 5 + ["rule.deny"] * 2
    assert spent(runner) == CAP
