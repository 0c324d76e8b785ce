"""From property files to a report, through real children: verdicts, exit codes, the ledger, files for other solvers."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from known_truths import every_truth
from prover_specs import (
    Add,
    Contract,
    IntType,
    Le,
    Lt,
    Not,
    allow,
    always,
    arg,
    argument,
    contract,
    never,
    number,
    possible,
    state,
    then,
    tool,
    variable,
)

from sandbox.errors import EnginesDisagree, Fault, UsageError
from sandbox.ir import Property
from sandbox.prove import (
    Batch,
    Bounded,
    PropertyReport,
    Proved,
    ProveOptions,
    Refuted,
    Report,
    Unknown,
    Vacuous,
    Verdict,
    prove_batches,
    prove_paths,
    report_to_json,
    run,
    words,
)
from sandbox.prove.coverage import Coverage, Share
from sandbox.prove.crew import Reply
from sandbox.prove.findings import Disputed
from sandbox.prove.ledger import Difference
from sandbox.prove.report import moves_from_json, replayed_to_json
from sandbox.prove.run import Watch
from sandbox.prove.second import second_opinion
from sandbox.prove.verdicts import Ends, Move, Moves, Replayed

pytestmark = pytest.mark.usefixtures("forked")

AMOUNT, SENT = argument("amount", IntType(1, 60)), variable("sent")
NOTE = argument("note", IntType(0, 1), optional=True)
OVER = Lt(number(100), Add(state(SENT), arg(AMOUNT)))


def paying(*, capped: bool) -> Contract:
    rule = allow(Not(OVER) if capped else Lt(number(0), arg(AMOUNT)))
    writes = then(SENT, Add(state(SENT), arg(AMOUNT)))
    return replace(contract((tool("pay", (AMOUNT, NOTE), (rule,), writes), tool("idle", (), ())), SENT), name="pays")


PROPERTIES = (
    replace(always(Le(state(SENT), number(100))), id="cap", why="money is lost", text="state.sent <= 100"),
    replace(never("pay", Lt(number(100), state(SENT))), id="beyond"),
    replace(possible("pay"), id="useful"),
)


def batch(folder: Path, *, capped: bool = True, properties: tuple[Property, ...] = PROPERTIES) -> Batch:
    (folder / "pays.yaml").touch()
    return Batch(folder / "pays.yaml", paying(capped=capped), properties)


def test_a_sound_spec_is_proved_and_what_is_proved_helps_the_others(tmp_path: Path) -> None:
    heard: list[str] = []
    begun: list[tuple[str, int]] = []
    watch = Watch(lambda subject, count: begun.append((subject.id, count)), lambda each: heard.append(each.subject.id))
    report = prove_batches([batch(tmp_path)], ProveOptions(jobs=2), watch)
    assert [type(each.verdict) for each in report.properties] == [Proved, Proved, Proved]
    assert heard == ["cap", "beyond", "useful"]
    assert sorted(begun) == [("beyond", 3), ("cap", 3), ("useful", 3)]
    assert report.exit_code == 0
    assert report.ledgers == ((str(tmp_path), "absent"),)
    assert all(each.solvers == ("z3",) for each in report.properties)


def test_a_hole_is_refuted_in_words_and_as_json(tmp_path: Path) -> None:
    report = prove_batches([batch(tmp_path, capped=False)])
    assert report.exit_code == 1
    document = json.loads(json.dumps(report_to_json(report)))
    cap, beyond, useful = document["properties"]
    assert (cap["verdict"], beyond["verdict"], useful["verdict"]) == ("refuted", "refuted", "proved")
    shown = cap["counterexample"]
    assert shown["replayed"] is True
    assert [call["tool"] for call in shown["calls"]] == ["pay", "pay"]
    assert {*shown["calls"][0]} == {"tool", "args", "now", "session", "outcome"}
    assert sum(call["args"]["amount"] for call in shown["calls"]) == shown["state"]["sent"] > 100
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", call["now"]) for call in shown["calls"])
    assert [decision["rule"] for decision in shown["decisions"]] == ["allowed", "allowed"]
    assert len(beyond["counterexample"]["calls"]) == 3
    assert useful["counterexample"] is None
    assert len(useful["witness"]["calls"]) == 1
    told = "\n".join(words(report))
    assert "it matters because: money is lost" in told
    assert "then `state.sent <= 100` is false" in told
    assert "allowed by rule `allowed`" in told


def test_reports_state_what_no_property_speaks_of(tmp_path: Path) -> None:
    report = prove_batches([batch(tmp_path, properties=PROPERTIES[:1])])
    (covered,) = report.coverage
    assert covered.tools == Share(("pay",), (), ("idle",))
    assert covered.arguments == Share(("pay.amount",), (), ("pay.note",))
    assert covered.rules == Share(("pay.allowed",), (), ())
    assert covered.state == Share(("sent",), (), ())
    assert "pays: no property speaks of `idle`, `pay.note`" in list(words(report))
    open_report = prove_batches([batch(tmp_path, capped=False, properties=PROPERTIES[:1])])
    assert open_report.coverage[0].tools == Share((), ("pay",), ("idle",))


def test_the_ledger_is_written_compared_and_deterministic(tmp_path: Path) -> None:
    update = ProveOptions(update=True, jobs=2)
    assert prove_batches([batch(tmp_path)], update).ledgers == ((str(tmp_path), "updated"),)
    first = (tmp_path / "ledger.json").read_bytes()
    prove_batches([batch(tmp_path)], update)
    assert (tmp_path / "ledger.json").read_bytes() == first
    assert json.loads(first)["entries"]["pays.yaml/pays/beyond"]["invariants"] == ["cap"]

    current = prove_batches([batch(tmp_path)])
    assert (current.ledgers, current.exit_code) == (((str(tmp_path), "current"),), 0)
    removed = prove_batches([batch(tmp_path, properties=PROPERTIES[::2])])
    assert removed.exit_code == 1
    assert {each.change for each in removed.differences} == {"removed", "stale"}
    assert any(line.startswith("ledger: ") for line in words(removed))
    opened = prove_batches([batch(tmp_path, capped=False)])
    assert {each.change for each in opened.differences} == {"verdict", "stale"}
    assert report_to_json(opened)["ledgers"] == [{"folder": str(tmp_path), "status": "differs"}]


def test_both_solvers_are_convinced_from_the_files_that_are_emitted(tmp_path: Path) -> None:
    options = ProveOptions(solver="both", emit_dir=tmp_path / "smt" / "files")
    report = prove_batches([batch(tmp_path)], options)
    assert [type(each.verdict) for each in report.properties] == [Proved, Proved, Proved]
    assert all(each.solvers == ("z3", "cvc5") for each in report.properties)
    files = sorted((tmp_path / "smt" / "files").glob("*.smt2"))
    needed = [path for path in files if path.read_text().partition("\n")[0].endswith("expected unsat")]
    steps = [path for path in needed if "-cap-" in path.name]
    assert len(steps) >= 3
    assert all(second_opinion(path.read_text(), 10_000) == "unsat" for path in steps)


def test_a_batch_that_is_named_twice_is_proved_once(tmp_path: Path) -> None:
    report = prove_batches([batch(tmp_path, properties=PROPERTIES[:1])] * 2)
    assert len(report.properties) == 1


def test_no_property_is_an_error_of_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        prove_batches([batch(tmp_path, properties=())])
    assert caught.value.reason_code == "nothing_to_prove"
    with pytest.raises(UsageError) as caught:
        prove_paths([])
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "options", [ProveOptions(jobs=0), ProveOptions(timeout_s=0), ProveOptions(timeout_s=float("nan"))]
)
def test_options_that_mean_nothing_are_refused(tmp_path: Path, options: ProveOptions) -> None:
    with pytest.raises(UsageError):
        prove_batches([batch(tmp_path)], options)


def test_a_dispute_between_solvers_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run.Crew, "carry_out", lambda *_: Reply(Disputed("they differ"), 0, 0))
    with pytest.raises(EnginesDisagree, match="they differ") as caught:
        prove_batches([batch(tmp_path)])
    assert caught.value.exit_code == 5


def test_files_are_loaded_and_proved(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(
        "sandbox: 1\nname: small\ntools:\n  pay:\n    args: {amount: {type: int, min: 0, max: 10}}\n"
        "    rules:\n      - {id: few, allow: args.amount <= 5}\n"
    )
    (tmp_path / "props.yaml").write_text(
        "proves: spec.yaml\nproperties:\n  - {id: many, never: args.amount > 5}\n"
        "  - {id: none, possible: args.amount == 0 && decision == 'allow'}\n"
    )
    report = prove_paths([tmp_path / "props.yaml"])
    assert [(each.subject.id, type(each.verdict)) for each in report.properties] == [("many", Proved), ("none", Proved)]


# --- exit codes --------------------------------------------------------------------------------------


def reported(*verdicts: Verdict, differences: tuple[Difference, ...] = ()) -> Report:
    each = [PropertyReport("s", "f", PROPERTIES[0], verdict, ("z3",), 0, 0) for verdict in verdicts]
    nothing = Share((), (), ())
    return Report(tuple(each), (Coverage("s", nothing, nothing, nothing, nothing),), (), differences)


@pytest.mark.parametrize(
    ("report", "code"),
    [
        (reported(), 2),
        (reported(Proved()), 0),
        (reported(Proved(), Unknown("?")), 3),
        (reported(Proved(), Bounded(3)), 3),
        (reported(Unknown("?"), Refuted("no")), 1),
        (reported(Unknown("?"), Vacuous("no")), 1),
        (reported(Proved(), differences=(Difference("k", "removed", "gone"),)), 1),
    ],
)
def test_the_exit_code_follows_from_the_verdicts(report: Report, code: int) -> None:
    assert report.exit_code == code
    assert report_to_json(report)["exit_code"] == code


def test_notes_reasons_and_bounds_are_in_the_report() -> None:
    document = report_to_json(reported(Proved("by_type"), Bounded(3), Vacuous("empty")))
    assert [(each["note"], each["bound"], each["reason"]) for each in document["properties"]] == [
        ("by_type", None, "by_type"),
        ("", 3, "shown for at most 3"),
        ("", None, "empty"),
    ]


def test_an_always_has_no_sequence_when_it_is_false_from_the_start(tmp_path: Path) -> None:
    truth = next(each for each in every_truth() if each.name == "false from the start")
    report = prove_batches([Batch(tmp_path / "p.yaml", truth.spec, (truth.subject,))])
    (only,) = report.properties
    assert isinstance(only.verdict, Refuted)
    assert only.verdict.reason == "it is false of the initial state"


# --- sequences as JSON ------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", [None, Ends(0), Ends(0, 7_000), Ends(2, 9_000), Ends(1)])
def test_a_sequence_is_read_as_it_was_written(ends: Ends | None) -> None:
    moves = Moves((Move("pay", {"amount": 1}, 5_000, {"who": "ann"}, ends), Move("idle", {}, 5_000)), 9_000)
    written = json.loads(json.dumps(replayed_to_json(Replayed(moves, (), {}, ()))))
    assert moves_from_json(written) == moves


@pytest.mark.parametrize(
    "wrong", [None, {"calls": []}, {"calls": [{}], "until": "2026-01-01T00:00:00.000Z"}, {"calls": [], "until": "now"}]
)
def test_what_is_no_sequence_is_refused(wrong: object) -> None:
    with pytest.raises((Fault, ValueError)):
        moves_from_json(wrong)
