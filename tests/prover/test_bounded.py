"""Properties of a spec that extends another: entries rest on the ceiling too, and what is possible runs under it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sandbox.errors import SpecError
from sandbox.prove.ledger import LEDGER_NAME
from sandbox.prove.run import ProveOptions, prove_paths
from sandbox.prove.standing import survey
from sandbox.prove.verdicts import Proved, Refuted, Unknown, Verdict

pytestmark = pytest.mark.usefixtures("forked")

SPEC = """\
sandbox: 1
name: pays
extends: ceiling.yaml
state: {paid: {type: int, initial: 0}}
tools:
  pay:
    args: {amount: {type: int, min: 1, max: 100}}
    rules: [{id: much, ask: args.amount > 50}, {id: small, allow: true}]
    then: {paid: state.paid + 1}
"""

CEILING = """\
sandbox: 1
name: ceiling
state: {opened: {type: int, initial: 0}}
tools:
  pay:
    args: {amount: {type: int, min: 1, max: 100}}
    rules: [{id: some, allow: RULE}]
    then: {opened: state.opened + 1}
"""

PROPERTIES = """\
proves: pays.yaml
properties:
  - {id: useful, possible: "decision == 'allow'"}
  - {id: again, possible: "decision == 'allow' && state.paid == 2"}
  - {id: asked, possible: "decision == 'ask'"}
  - {id: cap, never: "args.amount > 100"}
"""


def project(folder: Path, rule: str) -> Path:
    for name, text in (("pays", SPEC), ("ceiling", CEILING.replace("RULE", rule)), ("proofs", PROPERTIES)):
        (folder / f"{name}.yaml").write_text(text)
    return folder / "proofs.yaml"


def verdicts(folder: Path, rule: str) -> dict[str, Verdict]:
    report = prove_paths([project(folder, rule)])
    return {each.subject.id: each.verdict for each in report.properties if each.subject.id != "extends"}


def test_what_the_ceiling_lets_run_is_possible(tmp_path: Path) -> None:
    assert {name: type(verdict) for name, verdict in verdicts(tmp_path, "true").items()} == dict.fromkeys(
        ("useful", "again", "asked", "cap"), Proved
    )


@pytest.mark.parametrize(
    ("rule", "lost", "reason"),
    [
        pytest.param(
            "args.amount > 100", {"useful", "again", "asked"}, "call 1 is deny: `ceiling`: no rule", id="nothing runs"
        ),
        pytest.param("args.amount <= 50", {"asked"}, "call 1 is deny: `ceiling`: no rule", id="nobody is asked"),
        pytest.param("state.opened < 2", {"again"}, "call 3 is deny: `ceiling`: no rule", id="its own state counts"),
    ],
)
def test_what_the_ceiling_stops_is_not_shown_to_be_possible(
    tmp_path: Path, rule: str, lost: set[str], reason: str
) -> None:
    found = verdicts(tmp_path, rule)
    assert {name for name, verdict in found.items() if not isinstance(verdict, Proved)} == lost
    for name in lost:
        verdict = found[name]
        assert isinstance(verdict, Unknown)
        begun = "the sequence that was found does not run under what the spec extends: "
        assert verdict.reason.startswith(f"{begun}{reason}")


def test_a_verdict_that_the_ceiling_makes_stricter_is_another_one(tmp_path: Path) -> None:
    ceiling = CEILING.replace("allow: RULE", "ask: true")
    project(tmp_path, "true")
    (tmp_path / "ceiling.yaml").write_text(ceiling)
    report = prove_paths([tmp_path / "proofs.yaml"])
    kinds = {each.subject.id: type(each.verdict) for each in report.properties}
    assert kinds == {"useful": Unknown, "again": Unknown, "asked": Proved, "cap": Proved, "extends": Refuted}


def test_every_entry_is_stale_when_the_ceiling_changes(tmp_path: Path) -> None:
    file = project(tmp_path, "true")
    prove_paths([file], ProveOptions(update=True))
    (standing,) = survey(file)
    assert standing.proofs.status == "current"
    project(tmp_path, "args.amount <= 99")
    (standing,) = survey(file)
    assert standing.proofs.status == "stale"
    assert [flaw.status for flaw in standing.flaws] == ["stale"] * 5
    differences = prove_paths([file]).differences
    assert sorted(each.change for each in differences) == [*["stale"] * 4, "verdict"]


def test_an_entry_rests_on_a_ceiling_of_the_ceiling(tmp_path: Path) -> None:
    top = CEILING.replace("name: ceiling", "name: top").replace("RULE", "true")
    file = project(tmp_path, "true")
    (tmp_path / "ceiling.yaml").write_text(
        CEILING.replace("name: ceiling", "name: ceiling\nextends: top.yaml").replace("RULE", "true")
    )
    (tmp_path / "top.yaml").write_text(top)
    prove_paths([file], ProveOptions(update=True))
    before = json.loads((tmp_path / LEDGER_NAME).read_text())
    (tmp_path / "top.yaml").write_text(top.replace("true", "args.amount <= 99"))
    (standing,) = survey(file)
    assert standing.proofs.status == "stale"
    prove_paths([file], ProveOptions(update=True))
    after = json.loads((tmp_path / LEDGER_NAME).read_text())
    assert {key: entry["digest"] for key, entry in before["entries"].items()} != {
        key: entry["digest"] for key, entry in after["entries"].items()
    }


def test_a_ceiling_that_does_not_load_leaves_nothing_proved(tmp_path: Path) -> None:
    file = project(tmp_path, "args.nothing > 1")
    with pytest.raises(SpecError, match=r"ceiling\.yaml"):
        prove_paths([file])
