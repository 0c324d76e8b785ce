"""Specs of times, sessions, records, URLs, addresses and command lines: the sound one proved, the hole shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from prover_specs import decided
from written_truths import PAIRS, Pair

from sandbox.cli.program import PROGRAM
from sandbox.compile import load_properties
from sandbox.prove.replay import rfc3339
from sandbox.prove.verdicts import Proved, Refuted, Verdict

pytestmark = pytest.mark.no_cover  # it goes the prover's ways once more for each example; others cover them


READABLE = 400
"""Characters that a person reads as one line."""

NAMES = [pair.name.replace(" ", "-") for pair in PAIRS]


def verdict(folder: Path, pair: Pair, rule: str) -> Verdict:
    (folder / "spec.yaml").write_text(pair.spec(rule))
    (folder / "properties.yaml").write_text(pair.properties())
    (found,) = load_properties(folder / "properties.yaml")
    return decided(found.contract, found.properties[0])


@pytest.mark.parametrize("pair", PAIRS, ids=NAMES)
def test_what_keeps_the_property_is_proved(pair: Pair, tmp_path: Path) -> None:
    assert verdict(tmp_path, pair, pair.sound) == Proved()


@pytest.mark.parametrize("pair", PAIRS, ids=NAMES)
def test_a_hole_is_shown_by_a_call_that_the_command_line_takes(pair: Pair, tmp_path: Path) -> None:
    found = verdict(tmp_path, pair, pair.hole)
    assert isinstance(found, Refuted)
    assert found.counterexample is not None
    (move,) = found.counterexample.moves.calls
    told = found.counterexample.words[0]
    assert told.isprintable()
    assert len(told) < READABLE
    raw = json.dumps({"tool": move.tool, "args": dict(move.args)})
    words = ["decide", str(tmp_path / "spec.yaml"), "--session", json.dumps(dict(move.session))]
    shown = CliRunner().invoke(PROGRAM, [*words, "--now", rfc3339(move.now_ms)], input=f"{raw}\n")
    assert shown.exit_code == 0, shown.output
