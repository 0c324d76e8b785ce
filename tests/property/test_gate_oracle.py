"""For any bytes, in any order, at any state: `decide` never raises, and what reaches the edge is allowed.

The oracle below is written from the prose of the payments rules and shares no line with the package.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest
from gatekit import NOON, TRUSTED, HandClock, SpyRunner, open_gate
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.approve import ScriptedApprover
from sandbox.audit import verify
from sandbox.call import Decision, Permit
from sandbox.errors import SandboxError

DAY_MS = 24 * 3_600_000


@dataclass
class Oracle:
    """The payments rules, naively: at most 5000.00 in any 24 h, strangers and large sums only with a person's yes."""

    sent: list[tuple[int, Decimal]] = field(default_factory=list)

    def may_run(self, permit: Permit, now_ms: int, *, person: bool) -> bool:
        call = json.loads(permit.call.canonical)
        args = call["args"]
        amount = Decimal(args["amount"])
        recent = sum((spent for when, spent in self.sent if when > now_ms - DAY_MS), Decimal(0))
        self.sent.append((now_ms, amount))
        return (
            call["tool"] == "send_money"
            and set(args) <= {"recipient", "amount", "note"}
            and Decimal("0.01") <= amount <= 5000
            and recent + amount <= 5000
            and ((args["recipient"] in TRUSTED and amount <= 1000) or person)
        )


AMOUNTS = st.one_of(
    st.decimals("-1", "6000", places=2).map(str),
    st.sampled_from(["1000", "1000.00", 1000, 999.99, "5000.00", "5000.01", "1e3", "-0", "0.001", True, None, [], 0]),
)
RECIPIENTS = st.one_of(
    st.sampled_from([*TRUSTED, "FR7630006000011234567890189", TRUSTED[0] + " ", TRUSTED[0].lower(), "GB29\u202e", ""]),
    st.text(max_size=20),
    st.integers(),
)
CALLS = st.fixed_dictionaries(
    {
        "tool": st.sampled_from(["send_money", "send_money ", "balance", "Send_Money", "nope", "", 3]),
        "args": st.fixed_dictionaries(
            {"recipient": RECIPIENTS, "amount": AMOUNTS}, optional={"note": st.text(), "approved": st.just(True)}
        ),
    },
    optional={"approved": st.just(True)},
)
LIKELY = st.fixed_dictionaries(
    {
        "tool": st.just("send_money"),
        "args": st.fixed_dictionaries(
            {
                "recipient": st.sampled_from([*TRUSTED, "FR7630006000011234567890189"]),
                "amount": st.sampled_from(["999.99", "1000", "1000.01", "0.01", "2500", "4999.99", "5000"]),
            }
        ),
    }
)
BYTES = st.one_of(
    st.binary(max_size=60),
    CALLS.map(lambda call: json.dumps(call).encode()),
    CALLS.map(lambda call: json.dumps(call).encode()[:-1]),
    CALLS.map(lambda call: b"\xef\xbb\xbf" + json.dumps(call).encode()),
    st.just(b'{"tool":"send_money","args":{"recipient":"x","recipient":"y","amount":1}}'),
    st.just(b"[" * 5000),
)
RAW = st.one_of(LIKELY, LIKELY.map(lambda call: json.dumps(call).encode()), CALLS, BYTES, st.text(max_size=40))
STEPS = st.lists(st.tuples(RAW, st.sampled_from([0, 1, 60_000, DAY_MS - 1, DAY_MS, -60_000])), max_size=12)


@pytest.mark.parametrize("person", [False, True])
@given(steps=STEPS)
@settings(max_examples=40)
def test_only_what_an_independent_oracle_allows_reaches_the_edge(person: bool, steps: list[tuple[object, int]]) -> None:
    clock, oracle, runner = HandClock(NOON), Oracle(), SpyRunner()
    latest = NOON
    with tempfile.TemporaryDirectory() as folder:
        approver = ScriptedApprover("ann") if person else None
        with open_gate(Path(folder), clock=clock, runner=runner, approver=approver) as gate:
            for raw, pause in steps:
                clock.now_ms += pause
                latest = max(latest, clock.now_ms)
                seen = len(runner.permits)
                decision = gate.decide(raw)
                assert isinstance(decision, Decision)
                assert len(runner.permits) == seen
                try:
                    gate.call(raw)
                except SandboxError:
                    assert len(runner.permits) == seen
                    continue
                assert decision.verdict == "allow" or (person and decision.verdict == "ask")
                assert oracle.may_run(runner.permits[-1], latest, person=person)
        assert verify(Path(folder) / ".sandbox/state.audit.jsonl").records >= len(runner.permits)
