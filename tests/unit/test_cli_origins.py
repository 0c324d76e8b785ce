"""Unit: `--origins` of `sandbox decide` and `sandbox explain`, and what the latter finds in a stored state."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from gatekit import OK, SpyRunner

from sandbox.call import Outcome
from sandbox.cli.program import PROGRAM
from sandbox.gate import Gate
from sandbox.testing.search import search

SPEC = """\
sandbox: 1
name: mail
session: {id: {type: string}}
tools:
  read:
    args: {}
    returns: {body: {origin: web}}
    rules: [{id: any, allow: true}]
    run: {tool: "tools.payments:send_money"}
  send:
    args: {to: {type: enum, values: [ann, bob]}, n: {type: int, min: 0, max: 9}}
    rules:
      - {id: web, deny: "'web' in origin(args.to)"}
      - {id: mine, allow: "'user' in origin(args.to) && args.n <= 5"}
    run: {tool: "tools.payments:send_money"}
"""
ONE = '{"id": "s1"}'
BOB = '{"to": "bob", "n": 3}'


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "mail.yaml"
    path.write_text(SPEC)
    return path


def run(*words: object, stdin: str = "") -> Result:
    return CliRunner().invoke(PROGRAM, [str(word) for word in words], input=stdin)


def explain(spec: Path, args: str, *words: str) -> Result:
    return run("explain", spec, "--tool", "send", "--args", args, "--session", ONE, *words)


def test_decide_judges_calls_with_the_origins_that_are_told(spec: Path) -> None:
    line = f'{{"tool": "send", "args": {BOB}}}\n'
    told = run("decide", spec, "--session", ONE, "--origins", '{"to": "user"}', stdin=line)
    assert json.loads(told.output)["rule"] == "mine"
    both = run("decide", spec, "--session", ONE, "--origins", '{"to": ["user", "web"]}', stdin=line)
    assert json.loads(both.output)["rule"] == "web"
    assert json.loads(run("decide", spec, "--session", ONE, stdin=line).output)["reason_code"] == "default_deny"
    odd = run("decide", spec, "--session", ONE, "--origins", '{"too": "user"}', stdin=line)
    assert json.loads(odd.output)["reason_code"] == "origin.wrong"


@pytest.mark.parametrize("told", ["x", "[]", '{"to": 1}', '{"to": [1]}', '{"to": {"user": true}}'])
def test_what_is_no_object_of_labels_is_refused(spec: Path, told: str) -> None:
    result = explain(spec, BOB, "--origins", told)
    assert result.exit_code == 2
    assert "is no JSON object of labels by argument" in result.output


def test_a_label_of_no_spec_is_refused(spec: Path) -> None:
    result = explain(spec, BOB, "--origins", '{"to": "usr"}')
    assert result.exit_code == 2
    assert "`usr` is no origin of `mail`; did you mean `user`?" in result.output


def test_explain_says_where_each_value_comes_from(spec: Path) -> None:
    result = explain(spec, '{"to": "bob", "n": 9}', "--origins", '{"to": "user"}')
    assert "origin(args.to) = user\n" in result.output
    assert "would be allowed: with `n` = 5" in result.output
    document = json.loads(explain(spec, BOB, "--origins", '{"to": ["web", "user"]}', "--json").output)
    assert (document["rule"], document["origins"]) == ("web", {"to": ["user", "web"]})


def test_explain_finds_what_the_session_has_learned_and_leaves_it(spec: Path) -> None:
    runner = SpyRunner(lambda permit: Outcome("ok", "ok", "", {"body": "bob"}) if permit.call.tool == "read" else OK)
    with Gate.open(spec, runner=runner) as gate:
        gate.call({"tool": "read", "args": {}}, {"id": "s1"})
        gate.learn("ann", "user", {"id": "s1"})
    before = {path.name: path.stat().st_mtime_ns for path in (spec.parent / ".sandbox").iterdir()}
    document = json.loads(explain(spec, BOB, "--json").output)
    assert (document["rule"], document["origins"]) == ("web", {"to": ["tool:read", "web"]})
    assert [(each["argument"], each["value"]) for each in document["nearest"]] == [("to", "ann")]
    other = run("explain", spec, "--tool", "send", "--args", BOB, "--session", '{"id": "s2"}', "--json")
    assert json.loads(other.output)["origins"] == {"to": ["unknown"]}
    assert before.keys() == {path.name for path in (spec.parent / ".sandbox").iterdir()}


def test_explain_makes_no_key_where_nothing_was_learned(spec: Path) -> None:
    with Gate.open(spec, runner=SpyRunner()):
        pass
    (spec.parent / ".sandbox" / "state.key").unlink()
    assert json.loads(explain(spec, BOB, "--json").output)["origins"] == {"to": ["unknown"]}
    assert not (spec.parent / ".sandbox" / "state.key").exists()


def test_the_search_reaches_rules_that_ask_for_origins(spec: Path) -> None:
    found = search(spec, examples=20, session={"id": "s1"})
    assert not found.finding
    assert "send/mine: decides" in found.aimed
    assert "send/web: decides" in found.aimed
    assert found.seen["allow", "mine"] >= 1
