"""A report as SARIF 2.1.0 (OASIS, section 3): what code review shows beside the line that it is about.

Only what is not proved is a result: a reviewer has nothing to do about the rest. A sequence of calls is a code flow,
each step of it at the rule that decided. Files are named by their path from the root of the repository.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal, TypeAlias
from urllib.parse import quote

from sandbox.errors import Place
from sandbox.ir import Contract, Json, Rule
from sandbox.prove.ledger import LEDGER_NAME, Difference
from sandbox.prove.report import PropertyReport, Report, call_words
from sandbox.prove.verdicts import Proved, name_of, reason_of, replay_of

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"

Level: TypeAlias = Literal["error", "warning"]

_KINDS: Final[dict[str, tuple[Level, str, str]]] = {
    "refuted": (
        "error",
        "A property does not hold",
        "The calls of the code flow were replayed through the gate: they break the property. Mend the spec.",
    ),
    "vacuous": (
        "error",
        "A property says nothing",
        "Its condition contradicts itself, so that it holds whatever the spec says. Write what was meant.",
    ),
    "unknown": (
        "warning",
        "A property is not decided",
        "The prover gave up. This is no pass: word the property otherwise, or raise the time limit.",
    ),
    "bounded": ("warning", "A property is shown up to a bound only", "This is no pass."),
    "ledger": (
        "error",
        "The ledger does not say what is found",
        "Review the difference, then write the ledger anew with `sandbox prove --update`.",
    ),
}


def sarif(report: Report, root: Path) -> dict[str, Json]:
    """The report as a SARIF log; files are named relative to the folder `root`, where they lie in it."""
    results = [*(_result(each, root) for each in report.properties if not isinstance(each.verdict, Proved))]
    results += [_drift(each, root) for each in _ledgers(report)]
    driver: dict[str, Json] = {
        "name": "sandbox",
        "semanticVersion": version("sandbox"),
        "rules": [_descriptor(id_, *said) for id_, said in _KINDS.items()],
    }
    run: dict[str, Json] = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": True, "exitCode": report.exit_code}],
        "results": results,
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def sarif_text(report: Report, root: Path) -> str:
    """The log as a file has it."""
    return json.dumps(sarif(report, root), ensure_ascii=False, indent=2) + "\n"


def _descriptor(id_: str, level: Level, short: str, full: str) -> Json:
    return {
        "id": _rule_id(id_),
        "name": id_.capitalize(),
        "shortDescription": {"text": short},
        "fullDescription": {"text": full},
        "help": {"text": full},
        "defaultConfiguration": {"level": level},
    }


def _rule_id(kind: str) -> str:
    return f"sandbox/{kind}"


def _result(report: PropertyReport, root: Path) -> Json:
    subject, kind = report.subject, name_of(report.verdict)
    result: dict[str, Json] = {
        "ruleId": _rule_id(kind),
        "ruleIndex": list(_KINDS).index(kind),
        "level": _KINDS[kind][0],
        "message": _text(_message(report)),
        "locations": [_location(subject.place, root)],
        "partialFingerprints": {"sandboxProperty/v1": _fingerprint(report.spec, subject.id, kind)},
        "properties": {"spec": report.spec, "property": subject.id, "kind": subject.kind},
    }
    steps = list(_steps(report, root))
    if steps:
        flow: Json = {"threadFlows": [{"locations": steps}]}
        result["codeFlows"] = [flow]
    related = list(_related(report, root))
    if related:
        result["relatedLocations"] = related
    return result


def _message(report: PropertyReport) -> str:
    subject, verdict = report.subject, report.verdict
    said = f"`{subject.id}` of `{report.spec}` is {name_of(verdict)}: {reason_of(verdict)}"
    because = f" It matters because: {subject.why}" if subject.why else ""
    replayed = replay_of(verdict)
    told = "".join(f"\n{line}" for line in replayed.words) if replayed is not None else ""
    mended = "".join(f"\n{each.words}" for each in report.mends)
    return f"{said}.{because}{told}{mended}"


def _steps(report: PropertyReport, root: Path) -> Iterator[Json]:
    """A step for each call of the sequence, at the rule that decided, else at the tool; and the property at its end."""
    replayed = replay_of(report.verdict)
    if replayed is None or report.contract is None:
        return
    for move, decision, told in zip(replayed.moves.calls, replayed.decisions, call_words(replayed), strict=True):
        tool = report.contract.tool(move.tool)
        rule = _rule(report.contract, move.tool, decision.rule)
        place = rule.place if rule is not None else tool.place if tool is not None else report.subject.place
        yield {"location": {**_location(place, root), "message": _text(told)}}
    yield {"location": {**_location(report.subject.place, root), "message": _text(replayed.words[-1])}}


def _related(report: PropertyReport, root: Path) -> Iterator[Json]:
    """The rule that let the last call through."""
    replayed = replay_of(report.verdict)
    if replayed is None or report.contract is None or not replayed.decisions:
        return
    tool, decision = replayed.moves.calls[-1].tool, replayed.decisions[-1]
    rule = _rule(report.contract, tool, decision.rule)
    if rule is not None:
        yield {
            "id": 0,
            **_location(rule.place, root),
            "message": _text(f"the rule `{rule.id}` of `{tool}` gave the last verdict, `{decision.verdict}`"),
        }


def _rule(contract: Contract, tool: str, name: str) -> Rule | None:
    found = contract.tool(tool)
    return next((rule for rule in found.rules if rule.id == name), None) if found is not None else None


def _ledgers(report: Report) -> Iterable[tuple[str, Difference]]:
    """Each difference with the folder of its ledger; a run over several folders does not say which, so the first."""
    folder = next((folder for folder, status in report.ledgers if status != "current"), ".")
    return [(folder, each) for each in report.differences]


def _drift(found: tuple[str, Difference], root: Path) -> Json:
    folder, difference = found
    return {
        "ruleId": _rule_id("ledger"),
        "ruleIndex": list(_KINDS).index("ledger"),
        "level": "error",
        "message": _text(f"The ledger differs ({difference.change}): {difference.words}."),
        "locations": [_location(Place(str(Path(folder) / LEDGER_NAME), 1, 1), root)],
        "partialFingerprints": {"sandboxProperty/v1": _fingerprint("ledger", difference.key, difference.change)},
    }


def _text(text: str) -> Json:
    """A message in which nothing is a link, whatever an author or a model wrote (section 3.11.6)."""
    return {"text": text.replace("](", "] (")}


def _location(place: Place, root: Path) -> dict[str, Json]:
    region: dict[str, Json] = {"startLine": max(1, place.line), "startColumn": max(1, place.column)}
    return {"physicalLocation": {"artifactLocation": _artifact(place.file, root), "region": region}}


def _artifact(file: str, root: Path) -> Json:
    """A file by its path from the root, as text; by its own URI where it lies elsewhere."""
    inside = os.path.relpath(os.path.abspath(file), os.path.abspath(root))  # noqa: PTH100 - links stay as they are named
    if inside.startswith(".."):
        return {"uri": Path(file).absolute().as_uri()}
    return {"uri": quote(Path(inside).as_posix())}


def _fingerprint(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
