"""SARIF: of the shape that the standard demands, at the right lines, and safe whatever an author wrote."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

from sandbox.cli.program import PROGRAM
from sandbox.errors import Place
from sandbox.ir import TRUE, Property
from sandbox.prove import Bounded, Proved, ProveOptions, Report, Unknown, Vacuous, prove_paths
from sandbox.prove.ledger import Difference
from sandbox.prove.report import PropertyReport
from sandbox.prove.sarif import sarif

pytestmark = pytest.mark.usefixtures("forked")

SPEC = """\
sandbox: 1
name: pays
state: {sent: {type: int, initial: 0}}
tools:
  pay:
    args: {amount: {type: int, min: 1, max: 60}}
    rules:
      - {id: over, deny: args.amount > 55}
      - {id: any, allow: true}
    then: {sent: state.sent + args.amount}
"""
PROPERTIES = """\
proves: pays.yaml
properties:
  - {id: cap, always: state.sent <= 100, why: "see [here](evil.example)"}
  - {id: never-50, never: args.amount > 50}
  - {id: fine, never: args.amount > 55}
"""


def closed(required: dict, optional: dict | None = None) -> dict:
    """An object that has these properties and no others."""
    properties = {**required, **(optional or {})}
    return {"type": "object", "required": [*required], "properties": properties, "additionalProperties": False}


def listed(item: dict, *, least: int = 0) -> dict:
    return {"type": "array", "items": item, "minItems": least}


# As the standard's sections 3.13 (log) to 3.38 (thread flow location) say of what is used here.
TEXT = {"type": "string"}
NUMBER = {"type": "integer", "minimum": 1}
LEVEL = {"enum": ["none", "note", "warning", "error"]}
MESSAGE = closed({"text": {"type": "string", "minLength": 1}})
PHYSICAL = closed(
    {"artifactLocation": closed({"uri": TEXT}), "region": closed({"startLine": NUMBER, "startColumn": NUMBER})}
)
LOCATION = closed({"physicalLocation": PHYSICAL}, {"message": MESSAGE, "id": {"type": "integer", "minimum": 0}})
STEP = closed({"location": LOCATION})
FLOW = closed({"threadFlows": listed(closed({"locations": listed(STEP, least=1)}), least=1)})
RESULT = closed(
    {
        "ruleId": TEXT,
        "ruleIndex": {"type": "integer", "minimum": 0},
        "level": LEVEL,
        "message": MESSAGE,
        "locations": listed(LOCATION, least=1),
        "partialFingerprints": {"type": "object", "additionalProperties": TEXT},
    },
    {"codeFlows": listed(FLOW), "relatedLocations": listed(LOCATION), "properties": {"type": "object"}},
)
DESCRIPTOR = closed(
    {
        "id": TEXT,
        "name": TEXT,
        "shortDescription": MESSAGE,
        "fullDescription": MESSAGE,
        "help": MESSAGE,
        "defaultConfiguration": closed({"level": LEVEL}),
    }
)
DRIVER = closed({"name": TEXT, "semanticVersion": TEXT, "rules": listed(DESCRIPTOR)})
RUN = closed(
    {
        "tool": closed({"driver": DRIVER}),
        "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
        "invocations": listed(closed({"executionSuccessful": {"type": "boolean"}, "exitCode": {"type": "integer"}})),
        "results": listed(RESULT),
    }
)
LOG = closed({"version": {"const": "2.1.0"}, "$schema": TEXT, "runs": listed(RUN)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("sarif")
    (place / "my specs").mkdir()
    (place / "my specs" / "pays.yaml").write_text(SPEC)
    (place / "my specs" / "proofs.yaml").write_text(PROPERTIES)
    return place


@pytest.fixture(scope="module")
def report(folder: Path) -> Report:
    return prove_paths([folder / "my specs" / "proofs.yaml"], ProveOptions(jobs=2))


def results(report: Report, root: Path) -> list[dict]:
    log = sarif(report, root)
    jsonschema.validate(log, LOG)
    (run,) = log["runs"]
    for result in run["results"]:
        descriptor = run["tool"]["driver"]["rules"][result["ruleIndex"]]
        assert (descriptor["id"], descriptor["defaultConfiguration"]["level"]) == (result["ruleId"], result["level"])
    return run["results"]


def place(location: dict) -> tuple[str, int]:
    physical = location["physicalLocation"]
    return physical["artifactLocation"]["uri"], physical["region"]["startLine"]


def test_what_is_refuted_stands_at_its_property_and_its_calls_at_their_rules(folder: Path, report: Report) -> None:
    cap, fifty = results(report, folder)
    assert [place(each["locations"][0]) for each in (cap, fifty)] == [
        ("my%20specs/proofs.yaml", 3),
        ("my%20specs/proofs.yaml", 4),
    ]
    (flow,) = cap["codeFlows"]
    steps = [place(step["location"]) for step in flow["threadFlows"][0]["locations"]]
    assert steps == [("my%20specs/pays.yaml", 9)] * 2 + [("my%20specs/proofs.yaml", 3)]
    (rule,) = fifty["relatedLocations"]
    assert place(rule) == ("my%20specs/pays.yaml", 9)
    assert rule["message"]["text"] == "the rule `any` of `pay` gave the last verdict, `allow`"
    assert cap["message"]["text"].startswith("`cap` of `pays` is refuted: 2 calls, the last with verdict `allow`")


def test_what_is_proved_is_no_result(folder: Path, report: Report) -> None:
    assert "fine" not in {each["properties"]["property"] for each in results(report, folder)}
    proved = replace(report, properties=tuple(e for e in report.properties if isinstance(e.verdict, Proved)))
    assert results(proved, folder) == []


def test_no_text_of_an_author_becomes_a_link(folder: Path, report: Report) -> None:
    (cap, _) = results(report, folder)
    assert "see [here] (evil.example)" in cap["message"]["text"]


def test_fingerprints_stay_the_same_while_lines_move(folder: Path, report: Report) -> None:
    moved = replace(
        report,
        properties=tuple(
            replace(each, subject=replace(each.subject, place=Place(each.subject.place.file, 99, 1)))
            for each in report.properties
        ),
    )
    before, after = results(report, folder), results(moved, folder)
    assert [e["partialFingerprints"] for e in before] == [e["partialFingerprints"] for e in after]
    assert len({e["partialFingerprints"]["sandboxProperty/v1"] for e in before}) == 2
    assert place(after[0]["locations"][0])[1] == 99


def test_every_way_not_to_be_proved_has_its_level(tmp_path: Path) -> None:
    subject = Property("p", "always", TRUE)
    verdicts = (Vacuous("empty"), Unknown("late"), Bounded(3))
    each = tuple(PropertyReport("s", "f", subject, verdict, ("z3",), 0, 0) for verdict in verdicts)
    drift = Difference("f/s/p", "removed", "`f/s/p` is in the ledger, and no longer a property")
    found = results(Report(each, (), ((str(tmp_path), "differs"),), (drift,)), tmp_path)
    assert [(e["ruleId"], e["level"]) for e in found] == [
        ("sandbox/vacuous", "error"),
        ("sandbox/unknown", "warning"),
        ("sandbox/bounded", "warning"),
        ("sandbox/ledger", "error"),
    ]
    assert place(found[3]["locations"][0]) == ("ledger.json", 1)


def test_a_file_beside_the_root_is_named_by_its_uri(folder: Path, report: Report, tmp_path: Path) -> None:
    (cap, _) = results(report, tmp_path)
    assert place(cap["locations"][0])[0] == (folder / "my specs" / "proofs.yaml").as_uri()


def test_the_command_writes_it(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    file = tmp_path / "out.sarif"
    done = CliRunner().invoke(PROGRAM, ["prove", "my specs/proofs.yaml", "--sarif", str(file)])
    assert done.exit_code == 1
    log = json.loads(file.read_text())
    jsonschema.validate(log, LOG)
    assert place(log["runs"][0]["results"][0]["locations"][0]) == ("my%20specs/proofs.yaml", 3)
    assert log["runs"][0]["invocations"] == [{"executionSuccessful": True, "exitCode": 1}]
    done = CliRunner().invoke(PROGRAM, ["prove", "my specs/proofs.yaml", "--sarif", str(tmp_path / "no" / "file")])
    assert (done.exit_code, "cannot be written" in done.output) == (2, True)
