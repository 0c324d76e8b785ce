"""The command line on state of principals, on sets and on maps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from gatekit import SpyRunner, open_gate, spec_file

from sandbox.cli.program import PROGRAM

SPEC = """\
sandbox: 1
name: payments
session: {principal: {type: string, max_size: 40}}
state:
  own: {type: decimal, scale: 2, initial: 0, window: 24h, scope: principal}
  known: {type: set, items: {type: string, max_size: 40}, initial: [house]}
  given: {type: map, key: {type: string, max_size: 40}, value: {type: decimal, scale: 2}, initial: 0}
tools:
  pay:
    args: {to: {type: string}, n: {type: decimal, scale: 2, min: 0, max: 10}}
    rules:
      - {id: cap, deny: state.own + args.n > 10.00}
      - {id: each, deny: "state.given[args.to] + args.n > 8"}
      - {id: known, allow: args.to in state.known}
    then:
      own: state.own + args.n
      "given[args.to]": state.given[args.to] + args.n
    run: {tool: "tools.payments:send_money"}
  meet:
    args: {who: {type: string}}
    rules: [{id: all, allow: true}]
    then: {known: state.known.add(args.who)}
    run: {tool: "tools.payments:send_money"}
"""
NOON = "2026-01-01T12:00:00Z"
ANN, BOB = {"principal": "ann"}, {"principal": "bob"}


def pay(n: int, to: str = "house") -> dict[str, object]:
    return {"tool": "pay", "args": {"to": to, "n": n}}


def explain(spec: Path, session: dict[str, str] | None, n: int, *words: str, to: str = "house") -> Result:
    args = ["explain", str(spec), "--tool", "pay", "--now", NOON, "--args", json.dumps({"to": to, "n": n}), *words]
    args += [] if session is None else ["--session", json.dumps(session)]
    return CliRunner().invoke(PROGRAM, args)


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A spec on whose state Ann has paid 7."""
    with open_gate(tmp_path, text=SPEC, runner=SpyRunner()) as gate:
        gate.call(pay(7), ANN)
    return spec_file(tmp_path, SPEC)


def test_explain_looks_at_the_state_of_the_principal_that_is_named(spec: Path) -> None:
    ann, bob, nobody = (json.loads(explain(spec, who, 1, "--json").stdout) for who in (ANN, BOB, None))
    assert ann["state"] == {"own": "7.00", "known": ["house"], "given": {"house": "7.00"}}
    assert bob["state"] == {"own": "0.00", "known": ["house"], "given": {"house": "7.00"}}
    assert (ann["verdict"], bob["verdict"]) == ("allow", "allow")
    assert (nobody["reason_code"], nobody["state"]["own"]) == ("session.missing", "0.00")


def test_explain_names_the_nearest_number_that_a_map_leaves(spec: Path) -> None:
    result = explain(spec, BOB, 5)
    assert result.exit_code == 1
    assert "state.given = {house: 7.00}" in result.stdout
    assert "  true   deny  each: state.given[args.to] + args.n > 8" in result.stdout
    assert 'would be allowed: with `n` = "1.00"' in result.stdout


def test_explain_says_which_key_is_outside_of_its_type(spec: Path) -> None:
    result = explain(spec, BOB, 1, to="x" * 41)
    assert result.exit_code == 1
    assert f"deny: `{'x' * 41}` is outside of the declared type of `state.given` [state.key]" in result.stdout


def test_explain_prints_the_first_entries_of_many(spec: Path) -> None:
    with open_gate(spec.parent, text=SPEC, runner=SpyRunner()) as gate:
        for number in range(30):
            gate.call({"tool": "meet", "args": {"who": f"{number:02}"}}, ANN)
    text = explain(spec, ANN, 1).stdout
    names = ", ".join(f"{number:02}" for number in range(20))
    assert f"state.known = {{{names}, and 11 more}}\n" in text
    assert len(json.loads(explain(spec, ANN, 1, "--json").stdout)["state"]["known"]) == 31


def test_decide_moves_the_state_of_the_session_that_is_given(tmp_path: Path) -> None:
    spec = spec_file(tmp_path, SPEC)
    lines = "".join(
        json.dumps(call) + "\n"
        for call in (pay(7), pay(2), pay(1), {"tool": "meet", "args": {"who": "x"}}, pay(3, "x"))
    )
    result = CliRunner().invoke(PROGRAM, ["decide", str(spec), "--session", json.dumps(ANN)], input=lines)
    assert [json.loads(line)["reason_code"] for line in result.stdout.splitlines()] == [
        "rule.allow", "rule.deny", "rule.allow", "rule.allow", "rule.deny",
    ]  # fmt: skip
    nobody = CliRunner().invoke(PROGRAM, ["decide", str(spec)], input=lines)
    assert {json.loads(line)["reason_code"] for line in nobody.stdout.splitlines()} == {"session.missing"}
    assert not (tmp_path / ".sandbox").exists()
