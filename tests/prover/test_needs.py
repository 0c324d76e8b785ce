# ruff: noqa: E501 - a table is read line by line
"""What must have ended `ok` before a call is let through: proved, or refuted by calls that are replayed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from gatekit import OK, HandClock, SpyRunner

from sandbox import ir
from sandbox.call import Outcome
from sandbox.compile import load_properties
from sandbox.decide import EnginePair, Evaluator
from sandbox.errors import UsageError
from sandbox.gate import Gate
from sandbox.prove import PropertyReport, Proved, ProveOptions, Refuted, Unknown, Vacuous, prove_paths, report_to_json
from sandbox.prove.needing import before_of, name_of
from sandbox.prove.regression import assert_mended
from sandbox.prove.replay import Differs, replay
from sandbox.prove.resting import resting_on
from sandbox.prove.verdicts import AT_ONCE, Ends, Move, Moves
from sandbox.prove.verify import verify
from sandbox.testing import Trial

pytestmark = pytest.mark.usefixtures("forked", "in_this_process")

BANK = """\
sandbox: 1
name: bank
session: {user: {type: string, pattern: "[a-z]{1,8}"}}
state:
  checked: {type: bool, initial: false}
  reviews: {type: int, initial: 0}
tools:
  check:
    args: {level: {type: int, min: 0, max: 9}}
    rules: [{id: enough, allow: args.level >= 3}]
    on_success: {checked: "true"}
  review:
    rules: [{id: any, ask: true}]
    on_success: {reviews: "state.reviews > 1 ? state.reviews : 1"}
  pay:
    args: {amount: {type: int, min: 1, max: 100}}
    rules:
      - {id: unchecked, deny: "!state.checked"}
      - {id: large, deny: args.amount > 50 && state.reviews < 1}
      - {id: rest, allow: true}
  look:
    rules: [{id: any, allow: true}]
"""
CHECKED = "{before: \"tool == 'check' && args.level >= 3\", after: \"tool == 'pay'\"}"
REVIEWED = "{before: \"tool == 'review'\", after: \"tool == 'pay' && args.amount > 50\"}"


def file_of(folder: Path, needs: str, spec: str = BANK, more: str = "") -> Path:
    (folder / "bank.yaml").write_text(spec)
    file = folder / "order.yaml"
    file.write_text(f"proves: bank.yaml\nproperties:\n  - {{id: first, needs: {needs}{more}}}\n")
    return file


def only(file: Path) -> PropertyReport:
    (report,) = prove_paths([file]).properties
    return report


@dataclass(frozen=True)
class Slip:
    """A change of the spec; the tools of a shortest sequence that comes too early, none where there is none."""

    name: str
    needs: str
    before: str
    after: str
    calls: tuple[str, ...] = ()


LOOK = "  look:\n    rules: [{id: any, allow: true}]\n"
SLIPS = (
    Slip("checked as it is", CHECKED, "look", "see"),
    Slip("a check of a lower level counts", CHECKED, "allow: args.level >= 3", "allow: args.level >= 2", ("check", "pay")),
    Slip("a stricter check counts", CHECKED, "allow: args.level >= 3", "allow: args.level >= 5"),
    Slip("noted when permitted and not when it is done", CHECKED, 'on_success: {checked: "true"}', 'then: {checked: "true"}', ("check", "pay")),
    Slip("no rule asks for it", CHECKED, '"!state.checked"', "args.amount > 60", ("pay",)),
    Slip("checked from the start", CHECKED, "checked: {type: bool, initial: false}", "checked: {type: bool, initial: true}", ("pay",)),
    Slip("a person is asked instead", CHECKED, 'deny: "!state.checked"', 'ask: "!state.checked"', ("pay",)),
    Slip("another tool opens it", CHECKED, LOOK, f'{LOOK}    on_success: {{checked: "true"}}\n', ("look", "pay")),
    Slip("another tool closes it", CHECKED, LOOK, f'{LOOK}    then: {{checked: "false"}}\n'),
    Slip("reviewed as it is", REVIEWED, "look", "see"),
    Slip("one review is there from the start", REVIEWED, "reviews: {type: int, initial: 0}", "reviews: {type: int, initial: 1}", ("check", "pay")),
    Slip("looking counts as a review", REVIEWED, LOOK, f'{LOOK}    on_success: {{reviews: "state.reviews > 1 ? state.reviews : 1"}}\n', ("check", "look", "pay")),
    Slip("a review is spent", REVIEWED, "      - {id: rest, allow: true}\n", "      - {id: rest, allow: true}\n    then: {reviews: state.reviews - 1}\n"),
    Slip("the bound is off by one", REVIEWED, "args.amount > 50", "args.amount > 51", ("check", "pay")),
    Slip("a bound that is stricter", REVIEWED, "args.amount > 50", "args.amount > 49"),
)  # fmt: skip


@pytest.mark.parametrize("slip", SLIPS, ids=[slip.name.replace(" ", "-") for slip in SLIPS])
def test_what_is_needed_comes_first_or_calls_show_that_it_need_not(slip: Slip, tmp_path: Path) -> None:
    assert BANK.count(slip.before) == 1
    report = only(file_of(tmp_path, slip.needs, BANK.replace(slip.before, slip.after)))
    if not slip.calls:
        assert isinstance(report.verdict, Proved), report.verdict
        return
    assert isinstance(report.verdict, Refuted), report.verdict
    assert report.verdict.counterexample is not None
    assert tuple(each.tool for each in report.verdict.counterexample.moves.calls) == slip.calls


SLIPPED = BANK.replace('on_success: {checked: "true"}', 'then: {checked: "true"}')


def test_a_call_that_is_still_running_has_not_come_and_the_story_says_so(tmp_path: Path) -> None:
    report = only(file_of(tmp_path, CHECKED, SLIPPED))
    assert isinstance(report.verdict, Refuted)
    assert report.verdict.counterexample is not None
    text = "tool == 'check' && args.level >= 3 before tool == 'pay'"
    assert report.subject.text == text
    assert report.verdict.counterexample.words[-2:] == (
        "call 1 is one that it needs, and has not ended",
        f"that call is let through before what it needs: `{text}`",
    )
    assert report.verdict.reason == "2 calls, the last with verdict `allow` by rule `rest`"


def test_a_counterexample_is_kept_as_a_test_that_fails_until_the_spec_is_mended(tmp_path: Path) -> None:
    file = file_of(tmp_path, CHECKED, SLIPPED)
    told = report_to_json(prove_paths([file]))
    (found,) = told["properties"]
    assert (found["kind"], found["verdict"]) == ("needs", "refuted")
    sequence = json.loads(json.dumps(found["counterexample"]))
    with pytest.raises(AssertionError, match="`first` of `bank` is still violated"):
        assert_mended(file, spec="bank", property_id="first", sequence=sequence)
    file_of(tmp_path, CHECKED)
    assert_mended(file, spec="bank", property_id="first", sequence=sequence)


def replayed(folder: Path, ends: Ends | None) -> str:
    """What becomes of a check that ends so, and a payment, where a check is noted when it is permitted."""
    ((found),) = load_properties(file_of(folder, CHECKED, SLIPPED))
    (subject,) = found.properties
    user, now = {"user": "ann"}, 1_767_225_600_000
    moves = Moves((Move("check", {"level": 3}, now, user, ends=ends), Move("pay", {"amount": 1}, now, user)), now)
    shown = replay(found.contract, EnginePair(Evaluator(found.contract), None), subject, moves)
    return shown.reason if isinstance(shown, Differs) else shown.words[-1]


def test_the_replay_judges_for_itself_what_has_come(tmp_path: Path) -> None:
    assert replayed(tmp_path, None).startswith("that call is let through before what it needs")
    assert replayed(tmp_path, AT_ONCE) == "call 1 is one that the property needs, and it ended `ok`"


@pytest.mark.parametrize(
    ("needs", "verdict"),
    [
        ("{before: tool == 'look' && tool == 'pay', after: tool == 'pay'}", Vacuous("its `before` contradicts itself, whatever the call")),
        ("{before: \"tool == 'check' && args.level < 1 && args.level > 2\", after: tool == 'pay'}", Vacuous("its `before` contradicts itself, whatever the call")),
        ("{before: tool == 'look', after: \"tool == 'pay' && tool == 'look'\"}", Vacuous("its condition contradicts itself, whatever the call, the state and the decision")),
        ("{before: tool == 'look', after: \"tool == 'pay' && decision == 'deny'\"}", Vacuous("its condition contradicts itself, whatever the call, the state and the decision")),
        ("{before: tool == 'look', after: \"tool == 'pay' && args.amount > 100\"}", Proved("by_type")),
    ],
)  # fmt: skip
def test_what_says_nothing_is_told(needs: str, verdict: Proved | Vacuous, tmp_path: Path) -> None:
    assert only(file_of(tmp_path, needs)).verdict == verdict


ANYBODY = "{before: \"tool == 'check' && session.user == 'bob'\", after: \"tool == 'pay'\"}"


def test_whoever_has_to_come_first_is_asked_for_by_a_fact_of_the_session(tmp_path: Path) -> None:
    only_bob = BANK.replace("allow: args.level >= 3", "allow: \"args.level >= 3 && session.user == 'bob'\"")
    assert isinstance(only(file_of(tmp_path, ANYBODY, only_bob)).verdict, Proved)
    report = only(file_of(tmp_path, ANYBODY))
    assert isinstance(report.verdict, Refuted)
    assert report.verdict.counterexample is not None
    assert report.verdict.counterexample.moves.calls[0].session["user"] != "bob"


SCOPED = BANK.replace("{user:", "{principal: {type: string, max_size: 8}, user:").replace(
    "checked: {type: bool, initial: false}", "checked: {type: bool, initial: false, scope: principal}"
)


def test_what_has_come_has_come_for_everybody_whoever_did_it(tmp_path: Path) -> None:
    assert SCOPED.count("principal") == 2
    assert isinstance(only(file_of(tmp_path, CHECKED, SCOPED)).verdict, Proved)
    mine = "{before: \"tool == 'check' && session.user == 'bob'\", after: \"tool == 'pay' && session.user == 'bob'\"}"
    assert isinstance(only(file_of(tmp_path, mine, SCOPED)).verdict, Refuted)


def test_a_name_of_the_spec_is_never_taken_for_what_has_come(tmp_path: Path) -> None:
    """A variable that the spec sets at will, of the very name that invariants tell."""
    named = BANK.replace("checked", "has_come")
    assert isinstance(only(file_of(tmp_path, CHECKED, named)).verdict, Proved)
    opened = named.replace(LOOK, f'{LOOK}    then: {{has_come: "true"}}\n')
    assert isinstance(only(file_of(tmp_path, CHECKED, opened)).verdict, Refuted)


def test_a_proof_is_recorded_and_verified_from_its_certificate(tmp_path: Path) -> None:
    file, folder = file_of(tmp_path, CHECKED), tmp_path / "certificate"
    report = prove_paths([file], ProveOptions(solver="both", emit_dir=folder, update=True))
    (found,) = report.properties
    assert isinstance(found.verdict, Proved)
    assert found.verdict.invariant == ("!state.checked || state.has_come",)
    assert "!state.checked || state.has_come" in [source.name for source in found.rests_on.sources]
    assert found.rests_on.untold == 0
    (entry,) = json.loads((tmp_path / "ledger.json").read_text())["entries"].values()
    assert (entry["kind"], entry["verdict"]) == ("needs", "proved")
    assert prove_paths([file], ProveOptions(locked=True)).exit_code == 0
    other = CHECKED.replace(">= 3", ">= 2")
    file_of(tmp_path, other)
    assert [each.change for each in prove_paths([file], ProveOptions(locked=True)).differences] == ["stale"]
    file_of(tmp_path, CHECKED)
    (checked,) = verify(folder, [tmp_path / "bank.yaml"]).properties
    assert (checked.status, checked.reasons) == ("verified", ())


def test_an_invariant_about_what_has_come_is_held_against_what_the_state_remembers(tmp_path: Path) -> None:
    prove_paths([file_of(tmp_path, CHECKED)], ProveOptions(update=True))
    (found,) = load_properties(tmp_path / "order.yaml")
    (subject,) = found.properties
    texts = ("!state.checked || state.has_come", "state.reviews >= 0")
    about = resting_on(found.contract, subject, texts)
    assert about is not None
    assert [(each.remembers, each.before) for each in about] == [("has_come", name_of(before_of(subject))), ("", "")]
    assert resting_on(found.contract, subject, ("state.has_gone",)) is None


RUNS = BANK.replace("    rules:", "    run: {host: a test}\n    rules:")
MORE = RUNS.replace("  look:\n", "  peek:\n    rules: [{id: any, allow: true}]\n  look:\n")
LOOKED = RUNS.replace("allow: true}]\n", 'allow: true}]\n    on_success: {checked: "true"}\n')
USER = {"user": "ann"}


def opened(folder: Path, spec: str) -> Gate:
    """A gate on a spec whose `first` is proved, on the state that lies there."""
    (folder / "proofs").mkdir(exist_ok=True)
    (folder / "bank.yaml").write_text(spec)
    file = folder / "proofs" / "order.yaml"
    file.write_text(f"proves: ../bank.yaml\nproperties:\n  - {{id: first, needs: {CHECKED}}}\n")
    (report,) = prove_paths([file], ProveOptions(update=True)).properties
    assert isinstance(report.verdict, Proved) is (spec != LOOKED)
    (digest,) = {ir.digest(each.contract) for each in load_properties(file)}
    gate = Gate.open(folder / "bank.yaml", clock=HandClock(), engine="evaluator", proved_digest=digest)
    gate._host = SpyRunner()
    return gate


def test_a_state_in_which_what_is_needed_came_is_taken_over_by_another_version(tmp_path: Path) -> None:
    with opened(tmp_path, RUNS) as gate:
        gate.call({"tool": "check", "args": {"level": 3}}, USER)
    for spec in (RUNS, MORE):
        with opened(tmp_path, spec) as gate:
            gate.call({"tool": "pay", "args": {"amount": 1}}, USER)


@pytest.mark.parametrize("ended", [OK, Outcome("error", "tool.error", "no")])
def test_a_state_in_which_it_never_came_opens_no_gate_whose_proofs_say_that_it_must(
    ended: Outcome, tmp_path: Path
) -> None:
    """An earlier version let something else stand for a check, and the state does not say what it was."""
    with opened(tmp_path, LOOKED) as gate:
        gate._host = SpyRunner(lambda permit: ended if permit.call.tool == "check" else OK)
        gate.call({"tool": "look", "args": {}}, USER)
        gate.attempt({"tool": "check", "args": {"level": 3}}, USER)
    if ended is OK:
        opened(tmp_path, RUNS).close()
        return
    with pytest.raises(
        UsageError, match=r"`!state.checked \|\| state.has_come`, by which `first` is proved,"
    ) as raised:
        opened(tmp_path, RUNS)
    assert raised.value.reason_code == "state.unproved"


def test_what_is_not_decided_in_time_is_unknown(tmp_path: Path) -> None:
    (report,) = prove_paths([file_of(tmp_path, CHECKED)], ProveOptions(timeout_s=1e-6)).properties
    assert isinstance(report.verdict, Unknown)


FLAGGED = """\
sandbox: 1
name: bank
session: {user: {type: string, max_size: 8}}
state: {done: {type: bool, initial: false}, best: {type: int, initial: 0}}
tools:
  check:
    args: {level: {type: int, min: 1, max: 5}}
    rules: [{id: any, allow: true}]
    on_success: {done: "true", best: "state.best > args.level ? state.best : args.level"}
  pay:
    rules: [{id: done, allow: state.done}]
"""


def test_a_flag_that_any_success_sets_says_nothing_of_what_the_call_was(tmp_path: Path) -> None:
    report = only(file_of(tmp_path, CHECKED, FLAGGED))
    assert isinstance(report.verdict, Refuted), report.verdict
    assert report.verdict.counterexample is not None
    first = report.verdict.counterexample.moves.calls[0]
    assert (first.tool, first.ends is not None, int(str(first.args["level"])) < 3) == ("check", True, True)
    mended = FLAGGED.replace("allow: state.done", "allow: state.best >= 3")
    assert isinstance(only(file_of(tmp_path, CHECKED, mended)).verdict, Proved)


def test_a_trial_notices_what_comes_too_early(tmp_path: Path) -> None:
    sets = load_properties(file_of(tmp_path, CHECKED, FLAGGED))

    def call(tool: str, **args: int) -> bytes:
        return json.dumps({"tool": tool, "args": args}).encode()

    with Trial(tmp_path / "bank.yaml", sets, session={"user": "ann"}) as trial:
        assert trial.emit(call("pay")).verdict == "deny"
        assert trial.emit(call("check", level=3)).verdict == "allow"
        assert trial.emit(call("pay")).verdict == "allow"
    with Trial(tmp_path / "bank.yaml", sets, session={"user": "ann"}) as trial:
        assert trial.emit(call("check", level=2)).verdict == "allow"
        with pytest.raises(AssertionError, match="the property `first` is violated"):
            trial.emit(call("pay"))


def test_what_must_come_before_is_covered_too(tmp_path: Path) -> None:
    (covered,) = prove_paths([file_of(tmp_path, CHECKED, BANK, ", tools: [pay]")]).coverage
    assert covered.tools.proved == ("check", "pay")
    assert covered.arguments.proved == ("check.level",)
