# ruff: noqa: E501 - a table is read line by line
"""`flow`: origins that must not come to an argument, each way of letting one through told from what stops it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.compile import load_properties
from sandbox.decide import EnginePair, Evaluator
from sandbox.prove import ProveOptions, prove_paths
from sandbox.prove.page import page
from sandbox.prove.regression import assert_mended
from sandbox.prove.replay import Differs, replay
from sandbox.prove.report import PropertyReport, property_words, report_to_json
from sandbox.prove.sarif import sarif
from sandbox.prove.verdicts import Move, Moves, Proved, Refuted, replay_of
from sandbox.prove.verify import verify
from sandbox.testing import Trial

pytestmark = pytest.mark.usefixtures("forked", "in_this_process")

SPEC = """\
sandbox: 1
name: mail
state: {open: {type: bool, initial: false}}
types: {mail: {type: record, fields: {to: {type: string}, body: {type: string}}}}
tools:
  read:
    args: {}
    returns: {body: {origin: web}}
    rules: [{id: any, allow: true}]
  unlock:
    args: {n: {type: int, min: 0, max: 9}}
    rules: [{id: any, allow: args.n > 5}]
    then: {open: "true"}
  send:
    args: {to: {type: string}, cc: {type: string, optional: true}}
    effects: [sends]
    rules:
      - {id: web, deny: "'web' in origin(args.to)"}
      - {id: copies, ask: has(args.cc)}
      - {id: user, allow: "'user' in origin(args.to)"}
      - {id: rest, ask: "!('user' in origin(args.to))"}
  post:
    args: {mail: {type: mail}, all: {type: list, items: string, max_size: 3}}
    effects: [posts]
    rules:
      - {id: web, deny: "'web' in origin(args.mail)"}
      - {id: any, allow: "!('web' in origin(args.all))"}
"""
AS_IT_IS = "name: mail"
TO = "{from: web, to: args.to}"
COPIES = "{from: web, to: args.cc, unless: approved}"
WHOLE = "{from: web, to: args.mail}"
ALL = "{from: web, to: args.all}"
READ = "{from: 'tool:read', to: args.to, unless: approved}"
KNOWN = "{from: unknown, to: args.to, unless: approved}"


def file_of(folder: Path, flow: str, spec: str = SPEC, more: str = "") -> Path:
    (folder / "mail.yaml").write_text(spec)
    file = folder / "flows.yaml"
    file.write_text(f"proves: mail.yaml\nproperties:\n  - {{id: first, flow: {flow}{more}}}\n")
    return file


def only(file: Path) -> PropertyReport:
    (report,) = prove_paths([file]).properties
    return report


@dataclass(frozen=True)
class Slip:
    """A change of the spec; the tools of a shortest sequence that lets a value through, none where there is none."""

    name: str
    flow: str
    before: str
    after: str
    calls: tuple[str, ...] = ()


USER = "allow: \"'user' in origin(args.to)\""
DENIED = "deny: \"'web' in origin(args.to)\""
SLIPS = (
    Slip("denied as it is", TO, AS_IT_IS, AS_IT_IS),
    Slip("asked and not denied", TO, DENIED, "ask: \"'web' in origin(args.to)\"", ("send",)),
    Slip("asked is enough where a person may approve", TO.replace("}", ", unless: approved}"), DENIED, "ask: \"'web' in origin(args.to)\""),
    Slip("another label is denied", TO, DENIED, "deny: \"'tool:read' in origin(args.to)\"", ("send",)),
    Slip("only what is known wholly is denied", TO, DENIED, "deny: \"'web' in origin(args.to) && !('user' in origin(args.to))\"", ("send",)),
    Slip("another argument is denied", TO, DENIED, "deny: \"has(args.cc) && 'web' in origin(args.cc)\"", ("send",)),
    Slip("copies are asked about", COPIES, AS_IT_IS, AS_IT_IS),
    Slip("copies are asked about too late", COPIES, "ask: has(args.cc)}", 'ask: "has(args.cc) && args.cc != args.to"}', ("send",)),
    Slip("copies are allowed once somebody has unlocked", COPIES, "ask: has(args.cc)}", "ask: has(args.cc) && !state.open}", ("unlock", "send")),
    Slip("a whole record", WHOLE, AS_IT_IS, AS_IT_IS),
    Slip("a record of which a part is looked at", WHOLE, "deny: \"'web' in origin(args.mail)\"", "deny: args.mail.body.contains('http')", ("post",)),
    Slip("a list", ALL, AS_IT_IS, AS_IT_IS),
    Slip("a list, unless it is short", ALL, "\"!('web' in origin(args.all))\"", "\"!('web' in origin(args.all)) || size(args.all) == 0\"", ("post",)),
    Slip("what the user said may come from a tool, too", READ, AS_IT_IS, AS_IT_IS, ("send",)),
    Slip("what the user said and no tool", READ, USER, f"{USER[:-1]} && !('tool:read' in origin(args.to))\""),
    Slip("what the user said may be known in part", KNOWN, AS_IT_IS, AS_IT_IS, ("send",)),
    Slip("what the user said and is known", KNOWN, USER, f"{USER[:-1]} && !('unknown' in origin(args.to))\""),
)  # fmt: skip


@pytest.mark.parametrize("slip", SLIPS, ids=[slip.name.replace(" ", "-") for slip in SLIPS])
def test_what_must_not_come_there_does_not_or_a_call_shows_it(slip: Slip, tmp_path: Path) -> None:
    assert SPEC.count(slip.before) >= 1
    report = only(file_of(tmp_path, slip.flow, SPEC.replace(slip.before, slip.after)))
    if not slip.calls:
        assert isinstance(report.verdict, Proved), report.verdict
        return
    assert isinstance(report.verdict, Refuted), report.verdict
    found = replay_of(report.verdict)
    assert found is not None
    assert tuple(each.tool for each in found.moves.calls) == slip.calls
    label, name, *_ = re.split(r"\{from: |, to: args\.|, |\}", slip.flow.replace("'", ""))[1:]
    assert label in found.moves.calls[-1].origins[name]


def test_a_story_says_what_came_from_where_and_is_kept_as_a_test(tmp_path: Path) -> None:
    slipped = SPEC.replace(DENIED, "deny: has(args.cc)")
    file = file_of(tmp_path, TO, slipped)
    report = prove_paths([file])
    (told,) = report.properties
    assert told.subject.text == "web to args.to"
    lines = list(property_words(told))
    assert any("(to from user and web)" in line for line in lines), lines
    assert lines[-1].strip() == "that call is let through with what must not flow there: `web to args.to`"
    document = json.loads(json.dumps(report_to_json(report)))
    (found,) = document["properties"]
    assert (found["kind"], found["verdict"]) == ("flow", "refuted")
    assert found["counterexample"]["calls"][-1]["origins"] == {"to": ["user", "web"]}
    assert "web to args.to" in page(report)
    assert "web to args.to" in json.dumps(sarif(report, tmp_path))
    with pytest.raises(AssertionError, match="`first` of `mail` is still violated"):
        assert_mended(file, spec="mail", property_id="first", sequence=found["counterexample"])
    file_of(tmp_path, TO)
    assert_mended(file, spec="mail", property_id="first", sequence=found["counterexample"])


def test_it_ranges_over_every_tool_that_has_the_argument(tmp_path: Path) -> None:
    other = SPEC + "  ring:\n    args: {to: {type: int}}\n    rules: [{id: any, allow: true}]\n"
    report = only(file_of(tmp_path, TO, other))
    assert report.subject.tools == ("send", "ring")
    assert isinstance(report.verdict, Refuted)
    assert isinstance(only(file_of(tmp_path, TO, other, ", effect: sends")).verdict, Proved)
    assert isinstance(only(file_of(tmp_path, TO, other, ", tools: [send]")).verdict, Proved)
    report = prove_paths([file_of(tmp_path, TO, other)])
    (covered,) = report.coverage
    assert covered.tools.open == ("send", "ring")
    assert covered.arguments.open == ("send.to", "ring.to")


def test_no_other_label_and_no_other_call_shows_it(tmp_path: Path) -> None:
    """The replay asks the gate: the label itself, of a call that its rules let through."""
    slipped = SPEC.replace(DENIED, "deny: has(args.cc)")
    (found,) = load_properties(file_of(tmp_path, TO, slipped))
    (subject,) = found.properties
    engines = EnginePair(Evaluator(found.contract), None)

    def shown(args: dict[str, str], *labels: str) -> bool:
        move = Move("send", args, 1_767_225_600_000, {}, origins={"to": labels})
        return not isinstance(replay(found.contract, engines, subject, Moves((move,), move.now_ms)), Differs)

    assert shown({"to": "x"}, "web")
    assert shown({"to": "x"}, "user", "web")
    assert not shown({"to": "x"}, "user")
    assert not shown({"to": "x"})
    assert not shown({"to": "x", "cc": "y"}, "web")


def test_to_an_argument_that_is_not_there_nothing_comes(tmp_path: Path) -> None:
    assert isinstance(only(file_of(tmp_path, "{from: unknown, to: args.cc, unless: approved}")).verdict, Proved)


def test_a_proof_is_recorded_and_verified_from_its_certificate(tmp_path: Path) -> None:
    file, folder = file_of(tmp_path, COPIES), tmp_path / "certificate"
    report = prove_paths([file], ProveOptions(emit_dir=folder, update=True))
    (found,) = report.properties
    assert isinstance(found.verdict, Proved)
    assert "send.copies" in [source.name for source in found.rests_on.sources]
    (entry,) = json.loads((tmp_path / "ledger.json").read_text())["entries"].values()
    assert (entry["kind"], entry["verdict"]) == ("flow", "proved")
    assert prove_paths([file], ProveOptions(locked=True)).exit_code == 0
    for other in (
        COPIES.replace(", unless: approved", ""),
        COPIES.replace("web", "unknown"),
        COPIES.replace("cc", "to"),
    ):
        file_of(tmp_path, other)
        assert prove_paths([file], ProveOptions(locked=True)).differences, other
    file_of(tmp_path, COPIES)
    (checked,) = verify(folder, [tmp_path / "mail.yaml"]).properties
    assert (checked.status, checked.reasons) == ("verified", ())


def test_a_trial_notices_what_is_let_through(tmp_path: Path) -> None:
    slipped = SPEC.replace(DENIED, "deny: has(args.cc)")
    sets = load_properties(file_of(tmp_path, TO, slipped))
    call = json.dumps({"tool": "send", "args": {"to": "x"}}).encode()
    with Trial(tmp_path / "mail.yaml", sets) as trial:
        assert trial.emit(call, {"to": frozenset({"user"})}).verdict == "allow"
        with pytest.raises(AssertionError, match=r"the property `first` is violated: web to args\.to"):
            trial.emit(call, {"to": frozenset({"web"})})
