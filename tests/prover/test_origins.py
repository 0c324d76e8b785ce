"""Proofs about where values come from: any labels at all, counterexamples with them, and replays that heed them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.compile import load_properties
from sandbox.decide import EnginePair, Evaluator
from sandbox.errors import Fault
from sandbox.prove import ProveOptions, prove_paths
from sandbox.prove.findings import Shown, finding_from_json, finding_to_json
from sandbox.prove.regression import assert_mended
from sandbox.prove.replay import Differs, replay
from sandbox.prove.report import moves_from_json, property_words, report_to_json
from sandbox.prove.verdicts import Move, Moves, Replayed, name_of, replay_of

pytestmark = pytest.mark.usefixtures("forked")

SPEC = """\
sandbox: 1
name: mail
state: {dirty: {type: bool, initial: false}, done: {type: bool, initial: false}, n: {type: int, initial: 0}}
tools:
  read:
    args: {}
    returns: {body: {origin: web}}
    rules: [{id: any, allow: true}]
  note:
    args: {what: {type: string}}
    rules: [{id: any, allow: "'web' in origin(args.what)"}]
    then:
      dirty: "state.dirty || 'web' in origin(args.what)"
      n: "'web' in origin(args.what) ? state.n + 1 : state.n - 1"
    on_success: {done: "true"}
  send:
    args: {to: {type: string}, cc: {type: string, optional: true}}
    rules:
      - {id: web, deny: "'web' in origin(args.to)"}
      - {id: user, allow: "'user' in origin(args.to) && !('unknown' in origin(args.to))"}
      - {id: after, allow: "state.dirty && 'tool:read' in origin(args.to)"}
"""
PROPERTIES = """\
proves: spec.yaml
properties:
  - {id: web, never: "tool == 'send' && 'web' in origin(args.to)"}
  - {id: copies, never: "tool == 'send' && has(args.cc) && 'web' in origin(args.cc)"}
  - {id: unknown, never: "tool == 'send' && 'unknown' in origin(args.to) && rule == 'user'"}
  - {id: asked-by-none, never: "tool == 'send' && 'tool:note' in origin(args.to) && decision == 'allow'"}
  - {id: user, possible: "tool == 'send' && rule == 'user'"}
  - {id: after, possible: "tool == 'send' && rule == 'after'"}
  - {id: counts, always: "state.n >= 0"}
  - {id: contradicts, never: "tool == 'send' && 'web' in origin(args.to) && !('web' in origin(args.to))"}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("origins")
    (folder / "spec.yaml").write_text(SPEC)
    (folder / "properties.yaml").write_text(PROPERTIES)
    return folder


@pytest.fixture(scope="module")
def report(folder: Path) -> object:
    return prove_paths([folder / "properties.yaml"], ProveOptions(timeout_s=60))


def found(report: object, name: str) -> object:
    (each,) = (each for each in report.properties if each.subject.id == name)
    return each


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("web", "proved"),
        ("copies", "refuted"),
        ("unknown", "proved"),
        ("asked-by-none", "refuted"),
        ("user", "proved"),
        ("after", "proved"),
        ("counts", "proved"),
        ("contradicts", "vacuous"),
    ],
)
def test_a_property_holds_of_every_origin_or_is_refuted_by_one(report: object, name: str, verdict: str) -> None:
    assert name_of(found(report, name).verdict) == verdict, found(report, name).verdict


def test_a_counterexample_has_the_labels_of_every_call_that_asks_for_any(report: object) -> None:
    copies = replay_of(found(report, "copies").verdict).moves.calls
    assert [(move.tool, dict(move.origins)) for move in copies] == [("send", {"cc": ("web",), "to": ("user",)})]
    after = replay_of(found(report, "after").verdict).moves.calls
    assert [(move.tool, dict(move.origins)) for move in after] == [
        ("note", {"what": ("web",)}),
        ("send", {"to": ("tool:read",)}),
    ]
    (words,) = (line for line in property_words(found(report, "copies")) if "1. " in line)
    assert "(cc from web, to from user)" in words


def test_the_labels_are_in_the_json_of_a_sequence_and_read_back(folder: Path, report: object) -> None:
    document = json.loads(json.dumps(report_to_json(report)))
    (copies,) = (each for each in document["properties"] if each["id"] == "copies")
    sequence = copies["counterexample"]
    assert sequence["calls"][0]["origins"] == {"cc": ["web"], "to": ["user"]}
    assert moves_from_json(sequence) == replay_of(found(report, "copies").verdict).moves
    with pytest.raises(AssertionError, match="cc from web"):
        assert_mended(folder / "properties.yaml", spec="mail", property_id="copies", sequence=sequence)
    sequence["calls"][0]["origins"]["cc"] = ["user"]
    assert_mended(folder / "properties.yaml", spec="mail", property_id="copies", sequence=sequence)
    sequence["calls"][0]["origins"] = {"cc": "web"}
    with pytest.raises(Fault, match="origins are labels by the name of an argument"):
        moves_from_json(sequence)


def test_a_child_of_the_prover_replies_with_labels() -> None:
    shown = Shown(Moves((Move("send", {}, 5, origins={"to": ("web", "user")}),), 7))
    assert finding_from_json(json.loads(json.dumps(finding_to_json(shown)))) == shown


def test_a_call_of_which_no_origin_is_asked_has_none(report: object) -> None:
    assert all(
        "origins" not in call
        for each in report_to_json(report)["properties"]
        if isinstance(each.get("counterexample"), dict)
        for call in each["counterexample"]["calls"]
        if call["tool"] == "read"
    )


def test_a_sequence_without_its_labels_does_not_replay(folder: Path, report: object) -> None:
    each = found(report, "copies")
    (loaded,) = load_properties(folder / "properties.yaml")
    moves = replay_of(each.verdict).moves
    unlabelled = replace(moves, calls=tuple(replace(move, origins={}) for move in moves.calls))
    engines = EnginePair(Evaluator(loaded.contract), None)
    assert isinstance(replay(loaded.contract, engines, each.subject, moves), Replayed)
    assert isinstance(replay(loaded.contract, engines, each.subject, unlabelled), Differs)
