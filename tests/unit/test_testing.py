"""`sandbox.testing` and `sandbox test`: what is generated is what it says, and a gate that slips is found out."""

from __future__ import annotations

import json
import unittest
from pathlib import Path

import pytest
from click.testing import CliRunner
from gatekit import NOON, PAYMENTS, TRUSTED, spec_file
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.call import Call, Outcome
from sandbox.cli.program import PROGRAM
from sandbox.compile import load_policy
from sandbox.errors import UsageError
from sandbox.gate import Gate
from sandbox.parse import parse_call
from sandbox.testing import (
    Trial,
    aimed_calls,
    allowed_calls,
    assert_never,
    gate_machine,
    hostile_calls,
    valid_calls,
)
from sandbox.testing.search import search

pytestmark = pytest.mark.usefixtures("forked")

ROOT = Path(__file__).resolve().parents[2]
SPECS = sorted((ROOT / "specs").glob("*.yaml"))
RICH = """\
sandbox: 1
name: rich
types:
  order:
    type: record
    fields: {code: {type: string, pattern: "[A-Z]{2}"}, paid: {type: decimal, scale: 2, optional: true}}
tools:
  every:
    args:
      a: {type: bool}
      b: {type: int, min: -3, max: 9}
      c: {type: decimal, scale: 3}
      d: {type: string, min_size: 1, max_size: 9}
      e: {type: text}
      f: {type: enum, values: [red, green]}
      g: {type: path, under: /data}
      h: {type: timestamp}
      i: {type: duration}
      j: {type: url}
      k: {type: email}
      l: {type: argv}
      m: {type: shell}
      n: {type: order}
      o: {type: list, items: {type: order}, min_size: 1, max_size: 3}
      p: {type: int, default: 4}
      q: {type: path, optional: true}
    rules: [{id: few, allow: args.b <= 5 && args.a && size(args.o) < 3}]
"""


@pytest.mark.parametrize("spec", SPECS, ids=lambda path: path.stem)
def test_valid_calls_parse_and_hostile_ones_are_bytes(spec: Path) -> None:
    policy, names = load_policy(spec), set()

    @settings(max_examples=25, deadline=None)
    @given(valid_calls(spec), hostile_calls(spec))
    def check(call: dict[str, object], hostile: bytes) -> None:
        assert isinstance(parse_call(json.dumps(call).encode(), policy), Call)
        assert isinstance(hostile, bytes)
        names.add(call["tool"])

    check()
    assert names == {tool.name for tool in policy.tools}


def test_every_type_has_values_that_parse(tmp_path: Path) -> None:
    spec = spec_file(tmp_path, RICH, "rich.yaml")
    seen: set[str] = set()

    @settings(max_examples=25, deadline=None)
    @given(valid_calls(spec))
    def check(call: dict[str, dict[str, object]]) -> None:
        seen.update(call["args"])

    check()
    assert seen == set("abcdefghijklmnopq")


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One spec for all: what is aimed at it is found once."""
    return spec_file(tmp_path_factory.mktemp("spec"))


def test_allowed_calls_are_allowed_and_differ(spec: Path) -> None:
    calls: set[str] = set()

    @settings(max_examples=25, deadline=None)
    @given(allowed_calls(spec))
    def check(call: dict[str, dict[str, str]]) -> None:
        calls.add(json.dumps(call))
        assert call["tool"] == "balance" or call["args"]["recipient"] in TRUSTED

    check()
    assert len(calls) > 5


def test_a_spec_that_allows_nothing_has_no_allowed_call(tmp_path: Path) -> None:
    nothing = PAYMENTS.replace("allow: args.recipient", "ask: args.recipient").replace("{id: all, allow: true}", "")
    with pytest.raises(UsageError, match="no call is allowed by `payments`"):
        allowed_calls(spec_file(tmp_path, nothing))
    with pytest.raises(UsageError, match="has no tool"):
        valid_calls(spec_file(tmp_path, "sandbox: 1\nname: none\ntools: {}\n", "none.yaml"))


def test_every_rule_is_aimed_at_and_each_bound_from_both_sides(spec: Path) -> None:
    found = {each.what: each for each in aimed_calls(spec)}
    for rule in ("over-limit", "trusted", "human"):
        assert f"send_money/{rule}: decides" in found
        assert any(what.startswith(f"send_money/{rule}: outside") for what in found)
    amounts = {each.moves[-1].args["amount"] for each in found.values() if each.tool == "send_money"}
    assert {"1000.00", "1000.01", "5000.00", "5000.01"} <= amounts


def test_a_call_that_should_never_be_allowed_is_found_small(spec: Path) -> None:
    with pytest.raises(AssertionError, match=r"1000\.00") as found:
        assert_never(spec, lambda call, said: said.verdict == "allow" and float(call["args"].get("amount", 0)) > 999.99)
    assert "allowed by rule `trusted`" in str(found.value)
    assert_never(
        spec, lambda call, said: said.verdict == "allow" and float(call["args"].get("amount", 0)) > 1000, examples=50
    )


# --- the trial finds what slips ----------------------------------------------------------------------


def payment(amount: str = "10.00", recipient: str = TRUSTED[0]) -> bytes:
    return json.dumps({"tool": "send_money", "args": {"recipient": recipient, "amount": amount}}).encode()


def test_a_sound_gate_stands_its_trial(tmp_path: Path) -> None:
    with Trial(spec_file(tmp_path), solver=True) as trial:
        assert trial.emit(payment()).verdict == "allow"
        assert trial.emit(payment("6000")).verdict == "deny"
        assert trial.emit(payment(recipient="FR7630006000011234567890189")).verdict == "ask"
        assert trial.emit(b"\xff").verdict == "deny"
        trial.wait(86_400_000)
        assert len(trial.edge.permits) == 1
        assert trial.now_ms == NOON + 86_400_000


@pytest.mark.parametrize(
    ("slip", "told"),
    [
        (lambda gate, raw, session, **told: None, "0 calls reached the edge, where the verdict is allow"),
        (lambda gate, raw, session, **told: 1 / 0, "the gate raised ZeroDivisionError"),
        (lambda gate, raw, session, **told: gate._runner.permits.append(None), "1 calls reached the edge"),
    ],
)
def test_a_gate_that_slips_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slip: object, told: str
) -> None:
    monkeypatch.setattr(Gate, "attempt", slip)
    with Trial(spec_file(tmp_path)) as trial:
        first = payment() if "0 calls" in told else payment("6000")
        with pytest.raises(AssertionError, match=told) as found:
            trial.emit(first)
    assert "after:\n1. " in str(found.value)


def test_another_call_at_the_edge_is_found_out(tmp_path: Path) -> None:
    with Trial(spec_file(tmp_path)) as trial:
        call = parse_call(payment(), trial.policy)
        with pytest.raises(AssertionError, match="what ran is another call"):
            trial._check_same(payment().replace(b"send_money", b"balance"), call)


# --- the search --------------------------------------------------------------------------------------

LOOSE = PAYMENTS.replace("state.sent_today + args.amount > 5000.00", "args.amount > 5000.00").replace("window: 24h", "")
CAP = """\
proves: payments.yaml
properties:
  - {id: cap, always: state.sent_today <= 1500.00}
  - {id: small, never: "tool == 'send_money' && args.amount == 1000.00 && decision == 'allow'"}
"""


def test_a_search_finds_a_violated_property_and_tells_the_smallest_sequence(tmp_path: Path) -> None:
    spec = spec_file(tmp_path, LOOSE.replace("initial: 0, }", "initial: 0}"))
    (tmp_path / "cap.yaml").write_text(CAP)
    ran = CliRunner().invoke(
        PROGRAM, ["test", str(spec), "--properties", str(tmp_path / "cap.yaml"), "--examples", "20", "--json"]
    )
    assert ran.exit_code == 1
    document = json.loads(ran.stdout)
    assert document["schema_version"] == 1
    assert "the property `small` is violated" in document["finding"]
    assert '"1000.00"' in document["finding"]


def test_a_sound_spec_passes_and_says_what_was_seen(spec: Path) -> None:
    stages: list[str] = []
    found = search(spec, examples=30, on_stage=stages.append)
    assert (found.finding, found.outputs >= 30, found.sequences >= 3) == ("", True, True)
    assert ("deny", "parse.json") in found.seen or ("deny", "parse.utf8") in found.seen
    assert ("allow", "trusted") in found.seen
    assert len(stages) == 3
    ran = CliRunner().invoke(PROGRAM, ["test", str(spec), "--examples", "30"])
    assert (ran.exit_code, ran.stdout.splitlines()[-1]) == (0, "nothing was found")
    assert all(f"{count:6} {verdict:5} {by}" in ran.stdout for (verdict, by), count in found.seen.items())


def test_a_spec_without_tools_has_nothing_to_search(tmp_path: Path) -> None:
    none = CliRunner().invoke(PROGRAM, ["test", str(spec_file(tmp_path, "sandbox: 1\nname: none\n", "none.yaml"))])
    assert none.exit_code == 2


# --- the state machine -------------------------------------------------------------------------------


def ran(machine: type) -> unittest.TestResult:
    case = machine.TestCase
    case.settings = settings(max_examples=4, stateful_step_count=5, deadline=None, database=None)
    result = unittest.TestResult()
    case("runTest").run(result)
    return result


def test_the_machine_passes_on_a_sound_spec_and_fails_on_a_violated_property(tmp_path: Path) -> None:
    assert ran(gate_machine(spec_file(tmp_path))).wasSuccessful()
    broken = tmp_path / "broken.yaml"
    broken.write_text("proves: payments.yaml\nproperties:\n  - {id: none, never: \"tool == 'balance'\"}\n")
    result = ran(gate_machine(spec_file(tmp_path), broken))
    assert not result.wasSuccessful()
    assert "the property `none` is violated" in (result.errors + result.failures)[0][1]


def test_strategies_are_strategies(tmp_path: Path) -> None:
    assert isinstance(hostile_calls(spec_file(tmp_path)), st.SearchStrategy)


def test_an_outcome_of_the_edge_is_ok(tmp_path: Path) -> None:
    with Trial(spec_file(tmp_path)) as trial:
        trial.emit(payment())
        assert trial.edge.run(trial.edge.permits[0], trial.policy.first, trial.policy.tools[0], 0) == Outcome(
            "ok", "ok", ""
        )
