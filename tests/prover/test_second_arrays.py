"""Sets, maps and variables of principals are arrays in obligations: the second solver decides them from their text."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.prove import Proved, ProveOptions, Refuted, prove_paths
from sandbox.prove.second import second_opinion
from sandbox.prove.verify import VerifyOptions, verify

pytestmark = pytest.mark.usefixtures("forked")

SPEC = """\
sandbox: 1
name: gifts
session: {principal: {type: string}}
state:
  known: {type: set, items: {type: string}, initial: []}
  given: {type: map, key: {type: string}, value: {type: int}, initial: 0}
  mine: {type: int, initial: 0, scope: principal}
tools:
  learn:
    args: {to: {type: string, pattern: "[a-z]{1,8}"}}
    rules: [{id: good, allow: args.to != 'eve'}]
    then: {known: state.known.add(args.to)}
  give:
    args: {to: {type: string, pattern: "[a-z]{1,8}"}, n: {type: int, min: 1, max: 9}}
    rules: [{id: cap, allow: "args.to in state.known && state.given[args.to] + args.n <= 20 && state.mine < 5"}]
    then: {"given[args.to]": "state.given[args.to] + args.n", mine: state.mine + 1}
"""
PROPERTIES = """\
proves: spec.yaml
properties:
  - {id: eve, always: "!('eve' in state.known)"}
  - {id: cap, always: "state.given.all(k, state.given[k] <= 20)"}
  - {id: mine, always: state.mine <= 5}
  - {id: gave, never: "tool == 'give' && args.to == 'eve'"}
  - {id: low, always: "state.given.all(k, state.given[k] <= 12)"}
"""


def test_both_solvers_decide_sets_maps_and_scopes(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC)
    (tmp_path / "properties.yaml").write_text(PROPERTIES)
    report = prove_paths([tmp_path / "properties.yaml"], ProveOptions(solver="both", emit_dir=tmp_path / "cert"))
    kinds = {each.subject.id: type(each.verdict) for each in report.properties}
    assert kinds == {**dict.fromkeys(("eve", "cap", "mine", "gave"), Proved), "low": Refuted}
    checked = verify(tmp_path / "cert", [tmp_path / "spec.yaml"], VerifyOptions(solver="cvc5")).properties
    assert {each.subject.id: each.status for each in checked if each.status != "verified"} == {}


@pytest.mark.parametrize(("member", "answer"), [("false", "unsat"), ("true", "sat")])
def test_the_second_solver_reads_an_array_that_is_one_value_everywhere(member: str, answer: str) -> None:
    array = f"((as const (Array String Bool)) {member})"
    script = f'(set-logic ALL)\n(assert (select {array} "eve"))\n(check-sat)\n'
    assert second_opinion(script, 10_000) == answer
