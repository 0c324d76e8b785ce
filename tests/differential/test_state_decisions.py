"""Differential: sets and maps of the state, by both engines and by a naive reading, over any sequence of calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.call import Call
from sandbox.compile import load_contract
from sandbox.decide import Evaluator
from sandbox.engines import EnginePair, SolverWorker, engine_pair
from sandbox.ground import Answer, GroundChecker, Question
from sandbox.ir import Contract
from sandbox.machine import effective, initial_state, tick
from sandbox.parse import parse_call
from sandbox.step import take_step

SPEC = """
sandbox: 1
name: refunds
types:
  customer: {type: string, pattern: "[a-z]*", max_size: 8}
  level: {type: enum, values: [low, high]}
state:
  known: {type: set, items: customer, initial: [ann], max_size: 4}
  seen: {type: set, items: level, initial: []}
  given: {type: map, key: customer, value: {type: decimal, scale: 2}, initial: 0, window: 1h}
  left: {type: map, key: level, value: int, initial: 3, reset: 1h}
tools:
  refund:
    args:
      to: {type: string, max_size: 12}
      amount: {type: decimal, scale: 2, min: 0, max: 100}
      level: {type: level}
      also: {type: list, items: {type: string, max_size: 12}, max_size: 3}
    rules:
      - {id: cap, deny: "state.given[args.to] + args.amount > 100.00"}
      - {id: left, deny: "state.left[args.level] <= 0"}
      - {id: friends, allow: "args.to in state.known && args.also.all(a, a in state.known || state.given[a] < 50)"}
      - {id: seen, ask: "args.level in state.seen || state.given['house'] > 20"}
    then:
      "given[args.to]": "args.level == 'low' ? state.given[args.to] + args.amount : state.given[args.to]"
      "given['house']": "state.given['house'] + (args.amount > 50 ? 1 : 0)"
      "left[args.level]": state.left[args.level] - 1
      seen: "state.seen.add(args.level)"
  know:
    args: {who: {type: string, max_size: 12}, gone: {type: string, max_size: 12}}
    rules: [{id: any, allow: "args.who != ''"}]
    then: {known: "args.gone in state.known ? state.known.remove(args.gone).add(args.who) : state.known.add(args.who)"}
"""
HOUR = 3_600_000
NAMES = ("", "ann", "bob", "cid", "house", "UP", "toolongname", "\u00e9")


@dataclass
class Naive:
    """The spec above, read by hand."""

    now: int = 0
    known: set[str] = field(default_factory=lambda: {"ann"})
    seen: set[str] = field(default_factory=set)
    events: list[tuple[str, int, int]] = field(default_factory=list)
    used: list[tuple[str, int]] = field(default_factory=list)

    def given(self, name: str) -> int:
        return sum(amount for key, when, amount in self.events if key == name and when > self.now - HOUR)

    def left(self, level: str) -> int:
        return 3 - sum(1 for name, when in self.used if name == level and when // HOUR == self.now // HOUR)

    def refund(self, to: str, amount: int, level: str, also: list[str]) -> str:
        fails = [at for at, name in enumerate(also) if name not in self.known and self.given(name) >= 5000]
        looked = [to, *(also[: fails[0] + 1] if fails else also)] if to in self.known else [to]
        if not all(map(is_customer, looked)):
            return "state.key"
        if self.given(to) + amount > 10000 or self.left(level) <= 0:
            return "rule.deny"
        asked = level in self.seen or self.given("house") > 2000
        if not asked and (to not in self.known or fails):
            return "default_deny"
        if to == "house":
            return "state.key_twice"
        self.events += [(to, self.now, amount)] if level == "low" else []
        self.events += [("house", self.now, 100)] if amount > 5000 else []
        self.used.append((level, self.now))
        self.seen.add(level)
        return "rule.ask" if asked else "rule.allow"

    def know(self, who: str, gone: str) -> str:
        if who == "":
            return "default_deny"
        if not is_customer(gone) or not is_customer(who):
            return "state.key"
        after = (self.known - {gone}) | {who}
        if len(after) > max(4, len(self.known)):
            return "state_full"
        self.known = after
        return "rule.allow"

    def state(self) -> dict[str, object]:
        """The effective state; only what differs from `initial` is kept."""
        names, levels = {key for key, _, _ in self.events}, ("low", "high")
        return {
            "known": self.known,
            "seen": self.seen,
            "given": {name: self.given(name) for name in names if self.given(name)},
            "left": {level: self.left(level) for level in levels if self.left(level) != 3},
        }


def is_customer(name: str) -> bool:
    return len(name) <= 8 and all("a" <= char <= "z" for char in name)


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    path = tmp_path_factory.mktemp("spec") / "spec.yaml"
    path.write_text(SPEC, encoding="utf-8")
    return load_contract(path)


@pytest.fixture(scope="module")
def engines(contract: Contract) -> Iterator[EnginePair]:
    pair = engine_pair(contract, always_ask=True)
    assert isinstance(pair.solver, SolverWorker)
    with pair.solver:
        yield pair


NAME = st.sampled_from(NAMES)
REFUND = st.fixed_dictionaries({
    "to": NAME,
    "amount": st.sampled_from([0, 1, 2_500, 5_001, 9_999, 10_000]),
    "level": st.sampled_from(["low", "high"]),
    "also": st.lists(NAME, max_size=3),
})  # fmt: skip
KNOW = st.fixed_dictionaries({"who": NAME, "gone": NAME})
WAIT = st.sampled_from([0, 0, 1, HOUR // 2, HOUR - 1, HOUR, -HOUR])
STEP = st.tuples(WAIT, st.one_of(REFUND, KNOW))


@settings(max_examples=150)
@given(start=st.integers(0, 3 * HOUR), steps=st.lists(STEP, min_size=1, max_size=12))
def test_both_engines_and_a_naive_reading_agree_over_any_sequence(
    contract: Contract, engines: EnginePair, start: int, steps: list[tuple[int, dict[str, object]]]
) -> None:
    naive, stored, clock, seen = Naive(now=start), initial_state(contract, start), start, start
    for wait, args in steps:
        clock += wait  # a clock that is set back behind the last permit renews nothing and forgets nothing
        naive.now = max(seen, clock)
        expected = naive.refund(**args) if "to" in args else naive.know(**args)  # type: ignore[arg-type]  # as drawn
        step = take_step(engines, contract, stored, parse_call(raw(args), contract), clock)
        assert step.decision.reason_code == expected, (args, naive)
        if step.after is not None:
            stored, seen = step.after, naive.now
            assert effective(contract, tick(contract, stored, clock)) == naive.state(), (args, naive)


def raw(args: dict[str, object]) -> bytes:
    if "to" not in args:
        return json.dumps({"tool": "know", "args": args}).encode()
    amount = f"{int(str(args['amount'])) / 100:.2f}"
    return json.dumps({"tool": "refund", "args": {**args, "amount": amount}}).encode()


CHOSEN = """
sandbox: 1
name: chosen
state:
  s: {type: set, items: string, initial: []}
  m: {type: map, key: string, value: int, initial: 0}
tools:
  t:
    args: {a: {type: string}, b: {type: string}}
    rules: [{id: r, allow: "EXPRESSION"}]
    then: {"m[args.a.startsWith('x') ? args.a : args.b]": "state.m[args.b] + 1"}
"""


@pytest.mark.parametrize(
    "expression",
    [
        "(args.a.startsWith('x') ? args.a : args.b).endsWith('y')",
        "(args.a in state.s ? args.a : args.b).matches('^x')",
        "(args.a.startsWith('x') ? args.a : args.b) in state.s",
        "(args.a in state.s ? args.a : args.b) in state.s",
        "state.m[args.a.startsWith('x') ? args.a : args.b] == 0",
        "((args.a.endsWith('y') ? args.a : args.b) in state.s ? args.b : args.a).lowerAscii() == 'xy'",
        "(args.a.startsWith('x') ? args.a : args.b).endsWith(args.b)",
        "(args.a < args.b ? args.a : args.b).matches('^y?$')",
        "(args.a < args.b ? args.a : args.b) in state.s",
    ],
)
def test_what_is_asked_may_be_chosen_by_what_is_asked(tmp_path: Path, expression: str) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(CHOSEN.replace("EXPRESSION", expression), encoding="utf-8")
    contract = load_contract(path)
    evaluator, checker = Evaluator(contract), GroundChecker(contract)
    verdicts = set()
    for a, b, full in product(["", "x", "xy", "y", "XY"], ["", "x", "y"], [False, True]):
        call = parse_call(json.dumps({"tool": "t", "args": {"a": a, "b": b}}).encode(), contract)
        assert isinstance(call, Call)
        items, entries = (["x", "y"], {"x": 1}) if full else ([], {})
        claim = evaluator.claim(call, {"s": frozenset(items), "m": entries})
        verdicts.add(claim.verdict)
        question = Question("t", call.args, {"s": tuple(items), "m": entries}, claim.verdict, claim.updates)
        assert checker.answer(question) == Answer(claim.verdict, "")
        other = "deny" if claim.verdict == "allow" else "allow"
        assert checker.answer(replace(question, verdict=other)).objection
    assert verdicts == {"allow", "deny"}
