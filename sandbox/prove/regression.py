"""Counterexamples as tests: each fails for as long as the gate, at the spec of the day, still plays the sequence.

A test that was written once stays: when a later change of the spec opens the same hole, it fails again, without a
solver. It says nothing of other ways into the hole; the property does.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sandbox.compile import load_properties
from sandbox.decide import EnginePair, Evaluator
from sandbox.errors import UsageError
from sandbox.ir import Json
from sandbox.prove.replay_beside import played
from sandbox.prove.report import PropertyReport, Report, call_words, moves_from_json, replayed_to_json
from sandbox.prove.verdicts import Refuted, Replayed

_HEAD: Final = '''"""Sequences that break a property, found by `sandbox prove`. Each fails until its spec is mended."""

import json
from pathlib import Path

from sandbox.prove.regression import assert_mended

HERE = Path(__file__).resolve().parent
'''
_TEST: Final = """

def test_{name}() -> None:
{told}
    assert_mended(HERE / {file}, spec={spec}, property_id={identity}, sequence=json.loads({sequence}))
"""
_KEPT: Final = ("calls", "until", "session")
_SPLIT: Final = 100
"""Characters of a literal a line."""


def assert_mended(properties: str | Path, *, spec: str, property_id: str, sequence: Mapping[str, Json]) -> None:
    """AssertionError, telling the calls, if the sequence still shows what the property forbids.

    `properties` is the property file; `sequence` as `sandbox prove --json` has it.
    UsageError where the file has no such property of such a spec any more.
    """
    for each in load_properties(properties):
        for subject in each.properties:
            if each.contract.name == spec and subject.id == property_id:
                engines = EnginePair(Evaluator(each.contract), None)
                shown = played(each.contract, engines, subject, moves_from_json(dict(sequence)))
                if isinstance(shown, Replayed):
                    told = "\n".join((f"`{property_id}` of `{spec}` is still violated:", *call_words(shown)))
                    raise AssertionError(told)
                return
    message = f"`{properties}` has no property `{property_id}` of `{spec}`; take the test out, or name the new one"
    raise UsageError(message)


def regression_tests(report: Report, folder: Path) -> str:
    """A pytest file for this folder, with a test for every refuted property that has a counterexample."""
    found = [each for each in report.properties if _counterexample(each) is not None]
    return _HEAD + "".join(_test(each, number, folder) for number, each in enumerate(found, start=1))


def _counterexample(report: PropertyReport) -> Replayed | None:
    return report.verdict.counterexample if isinstance(report.verdict, Refuted) else None


def _test(report: PropertyReport, number: int, folder: Path) -> str:
    found = _counterexample(report)
    whole = replayed_to_json(found) if found is not None else {}
    sequence = {key: whole[key] for key in _KEPT} if isinstance(whole, dict) else {}
    told = call_words(found) if found is not None else ()
    return _TEST.format(
        name=re.sub(r"\W+", "_", f"{number}_{report.spec}_{report.subject.id}", flags=re.ASCII).strip("_").lower(),
        told="\n".join(f"    # {ascii(line)[1:-1]}" for line in told),
        file=_literal(os.path.relpath(Path(report.file).resolve(), folder.resolve())),
        spec=_literal(report.spec),
        identity=_literal(report.subject.id),
        sequence=_literal(json.dumps(sequence, sort_keys=True)),
    )


def _literal(text: str) -> str:
    """A string literal of Python in ASCII, whatever the text holds."""
    pieces = [text[at : at + _SPLIT] for at in range(0, len(text), _SPLIT)] or [""]
    if len(pieces) == 1:
        return ascii(pieces[0])
    return "\n" + "".join(f"        {piece!a}\n" for piece in pieces) + "    "
