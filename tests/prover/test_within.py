# ruff: noqa: E501 - a table is read line by line
"""A spec within a ceiling: call by call, after every sequence of calls, no verdict is laxer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.compile import load_properties
from sandbox.errors import PropertyError, SpecError
from sandbox.prove import PropertyReport, Proved, ProveOptions, Refuted, Unknown, prove_paths, report_to_json, words
from sandbox.prove.verify import verify

pytestmark = pytest.mark.usefixtures("forked", "in_this_process")

CEILING = """\
sandbox: 1
name: company
state:
  sent: {type: int, initial: 0, window: 24h}
  total: {type: int, initial: 0}
tools:
  pay:
    args: {to: {type: string, pattern: "[a-z]{1,8}"}, amount: {type: int, min: 1, max: 1000}}
    rules:
      - {id: over, deny: state.sent + args.amount > 500}
      - {id: ever, deny: state.total + args.amount > 900}
      - {id: large, ask: args.amount > 100}
      - {id: rest, allow: true}
    then: {sent: state.sent + args.amount, total: state.total + args.amount}
  look:
    rules: [{id: all, allow: true}]
"""
TEAM = """\
sandbox: 1
name: team
state:
  mine: {type: int, initial: 0, window: 24h}
  calls: {type: int, initial: 0}
tools:
  pay:
    args: {to: {type: string, pattern: "[a-z]{1,8}"}, amount: {type: int, min: 1, max: 1000}}
    rules:
      - {id: often, deny: state.calls >= 3}
      - {id: over, deny: state.mine + args.amount > 300}
      - {id: large, ask: args.amount > 80}
      - {id: friends, allow: "args.to in ['bob', 'eve']"}
    then: {mine: state.mine + args.amount, calls: state.calls + 1}
"""


def files(folder: Path, team: str = TEAM, ceiling: str = CEILING, more: str = "") -> Path:
    (folder / "company.yaml").write_text(ceiling)
    (folder / "team.yaml").write_text(team)
    file = folder / "inside.yaml"
    file.write_text(f"proves: team.yaml\nproperties:\n  - {{id: inside, within: company.yaml{more}}}\n")
    return file


def only(file: Path) -> PropertyReport:
    (report,) = prove_paths([file]).properties
    return report


@dataclass(frozen=True)
class Slip:
    """A change of the team's spec; the calls of a shortest sequence that leaves the ceiling, None where none does."""

    name: str
    before: str
    after: str
    calls: int | None
    by: str = ""


SLIPS = (
    Slip("as it is", "often", "frequently", None),
    Slip("no limit on calls", "state.calls >= 3", "state.calls >= 30", 4, "ever"),
    Slip("a cap above the ceiling's", "> 300", "> 501", 1, "over"),
    Slip("allowed where the ceiling asks", "args.amount > 80", "args.amount > 800", 1, "large"),
    Slip("nothing is counted", "mine: state.mine + args.amount, ", "", 2, "over"),
    Slip(
        "a tool that the ceiling does not have", "tools:\n", "tools:\n  drop:\n    rules: [{id: all, ask: true}]\n", 1
    ),
    Slip("another window", "window: 24h", "window: 1h", 2, "over"),
    Slip("a longer window", "window: 24h", "window: 48h", None),
)


@pytest.mark.parametrize("slip", SLIPS, ids=[slip.name.replace(" ", "-") for slip in SLIPS])
def test_a_spec_that_leaves_its_ceiling_is_refuted_by_calls(slip: Slip, tmp_path: Path) -> None:
    assert TEAM.count(slip.before) == 1
    report = only(files(tmp_path, TEAM.replace(slip.before, slip.after)))
    if slip.calls is None:
        assert isinstance(report.verdict, Proved), report.verdict
        return
    assert isinstance(report.verdict, Refuted), report.verdict
    shown = report.verdict.counterexample
    assert len(shown.moves.calls) == slip.calls
    assert [each.spec for each in shown.beside] == ["company"]
    assert shown.beside[0].decision.rule == slip.by
    assert "where `company` says" in report.verdict.reason


def test_a_proof_by_an_invariant_is_verified_from_its_certificate(tmp_path: Path) -> None:
    ceiling = CEILING.replace("state.sent + args.amount > 500", "state.sent + args.amount > 5000")
    team = TEAM.replace("state.mine + args.amount > 300", "args.amount > 300")
    file = files(tmp_path, team, ceiling)
    (report,) = prove_paths([file], ProveOptions(update=True, emit_dir=tmp_path / "cert")).properties
    assert isinstance(report.verdict, Proved)
    assert any("ceiling_total" in text for text in report.verdict.invariant)
    entry = json.loads((tmp_path / "ledger.json").read_text())["entries"]["inside.yaml/team/inside"]
    assert (entry["kind"], entry["invariant"]) == ("within", list(report.verdict.invariant))
    (checked,) = verify(tmp_path / "cert", [tmp_path / "team.yaml"]).properties
    assert (checked.status, checked.reasons) == ("verified", ())
    assert prove_paths([file]).ledgers[0][1] == "current"
    (tmp_path / "company.yaml").write_text(ceiling.replace("5000", "4999"))
    assert [each.change for each in prove_paths([file]).differences] == ["stale"]


def test_it_may_range_over_some_tools(tmp_path: Path) -> None:
    extra = "tools:\n  drop:\n    effects: [gone]\n    rules: [{id: all, ask: true}]\n"
    loose = TEAM.replace("tools:\n", extra)
    assert isinstance(only(files(tmp_path, loose, more=", tools: [pay]")).verdict, Proved)
    assert isinstance(only(files(tmp_path, loose, more=", effect: gone")).verdict, Refuted)


def test_a_ceiling_stands_for_what_it_extends_too(tmp_path: Path) -> None:
    top = CEILING.replace("name: company", "name: top").replace("args.amount > 100", "args.amount > 50")
    (tmp_path / "top.yaml").write_text(top)
    report = only(files(tmp_path, ceiling=CEILING.replace("name: company", "name: company\nextends: top.yaml")))
    assert isinstance(report.verdict, Refuted)
    assert [each.spec for each in report.verdict.counterexample.beside] == ["company", "top"]
    assert report.verdict.reason.endswith("where `top` says `ask`")


def test_what_a_spec_extends_is_proved_without_a_word(tmp_path: Path) -> None:
    file = files(tmp_path, TEAM.replace("name: team", "name: team\nextends: company.yaml"))
    file.write_text("proves: team.yaml\nproperties:\n  - {id: small, never: args.amount > 300}\n")
    small, extends = prove_paths([file]).properties
    assert (small.subject.id, extends.subject.id) == ("small", "extends")
    assert isinstance(extends.verdict, Proved)
    (tmp_path / "team.yaml").write_text(
        TEAM.replace("name: team", "name: team\nextends: company.yaml").replace("args.amount > 80", "args.amount > 800")
    )
    report = prove_paths([file])
    assert isinstance(report.properties[1].verdict, Refuted)
    assert "  it matters because: the spec says that it stays within what it extends" in list(words(report))


def test_shared_state_is_one_variable(tmp_path: Path) -> None:
    """Declared alike and moved alike: a cap on it is compared in every state, without an invariant."""
    team = CEILING.replace("name: company", "name: team").replace("> 900", "> 800")
    report = only(files(tmp_path, team))
    assert report.verdict == Proved()


def test_a_ceiling_that_may_be_full_is_noted(tmp_path: Path) -> None:
    kept = CEILING.replace("state:\n", "state:\n  seen: {type: set, items: string, initial: []}\n")
    kept = kept.replace("then: {sent", "then: {seen: state.seen.add(args.to), sent")
    assert only(files(tmp_path, ceiling=kept)).verdict.note == "rules_only"


def test_a_fact_that_only_the_ceiling_demands_is_noted(tmp_path: Path) -> None:
    demanding = CEILING.replace("tools:", "session: {who: {type: string}}\ntools:")
    assert only(files(tmp_path, ceiling=demanding)).verdict.note == "rules_only"


def test_origins_are_compared_and_shown(tmp_path: Path) -> None:
    strict = "{id: told, ask: \"!('user' in origin(args.to))\"}"
    ceiling = CEILING.replace("rules:\n      - {id: over", f"rules:\n      - {strict}\n      - {{id: over")
    report = only(files(tmp_path, ceiling=ceiling))
    assert isinstance(report.verdict, Refuted), report.verdict
    shown = report.verdict.counterexample
    assert "user" not in shown.moves.calls[-1].origins["to"]
    assert shown.beside[0].decision.rule == "told"
    both = TEAM.replace("rules:\n", f"rules:\n      - {strict}\n")
    assert isinstance(only(files(tmp_path, both, ceiling)).verdict, Proved)


def test_a_spec_without_tools_is_within_anything(tmp_path: Path) -> None:
    assert isinstance(only(files(tmp_path, "sandbox: 1\nname: team\ntools: {}\n")).verdict, Proved)


def test_no_time_is_unknown(tmp_path: Path) -> None:
    (report,) = prove_paths([files(tmp_path)], ProveOptions(timeout_s=0.001)).properties
    assert isinstance(report.verdict, Unknown)


def test_json_has_what_the_others_said(tmp_path: Path) -> None:
    file = files(tmp_path, TEAM.replace("args.amount > 80", "args.amount > 800"))
    (found,) = report_to_json(prove_paths([file]))["properties"]
    assert (found["kind"], found["verdict"]) == ("within", "refuted")
    (beside,) = found["counterexample"]["beside"]
    assert beside == {
        "spec": "company",
        "verdict": "ask",
        "rule": "large",
        "reason_code": "rule.ask",
        "reason": beside["reason"],
    }


@pytest.mark.parametrize(
    ("line", "place", "message"),
    [
        ("{id: a, within: other.yaml}", "3:21", "`other.yaml` is no spec file; the path is relative to this file"),
        ("{id: a, within: team.yaml}", "3:21", "`team.yaml` is the spec itself; name the one that it must stay within"),
        ("{id: a, within: company.yaml, never: true}", "3:5", "a property has exactly one of `never`, `always`, `possible`, `needs`, `flow`, `within`; split it or add one"),
        ("{id: a, within: company.yaml, tools: [pays]}", "3:43", "the spec has no tool `pays`; did you mean `pay`?"),
    ],
)  # fmt: skip
def test_a_within_is_refused_at_its_place(tmp_path: Path, line: str, place: str, message: str) -> None:
    file = files(tmp_path)
    file.write_text(f"proves: team.yaml\nproperties:\n  - {line}\n")
    with pytest.raises(PropertyError) as caught:
        load_properties(file)
    (problem,) = caught.value.problems
    assert (f"{problem.place.line}:{problem.place.column}", problem.message) == (place, message)


def test_arguments_and_facts_are_those_of_the_ceiling(tmp_path: Path) -> None:
    team = TEAM.replace("max: 1000", "max: 999").replace("tools:", "session: {who: {type: string}}\ntools:")
    file = files(tmp_path, team, CEILING.replace("tools:", "session: {who: {type: int}}\ntools:"))
    with pytest.raises(PropertyError) as caught:
        load_properties(file)
    told = [f"{each.place.line}:{each.place.column} {each.message}" for each in caught.value.problems]
    company = tmp_path / "company.yaml"
    assert told == [
        f"6:11 `who` is declared otherwise at {company}:6:11; a fact has one type",
        f"9:55 `amount` is declared otherwise at {company}:9:55; a tool has the same arguments in every spec",
    ]


def test_a_ceiling_that_does_not_load_is_refused(tmp_path: Path) -> None:
    file = files(tmp_path, ceiling=CEILING.replace("allow: true", "allow: tru"))
    with pytest.raises(SpecError):
        load_properties(file)


def test_the_id_of_what_is_proved_anyway_is_taken(tmp_path: Path) -> None:
    file = files(tmp_path, TEAM.replace("name: team", "name: team\nextends: company.yaml"))
    file.write_text("proves: team.yaml\nproperties:\n  - {id: extends, never: args.amount > 300}\n")
    with pytest.raises(PropertyError, match="`extends` is the id of what is proved of every spec that extends one"):
        load_properties(file)
