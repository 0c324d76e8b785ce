"""A sound spec has its properties proved, and one slip in it is shown by a shortest sequence. None is `unknown`."""

from __future__ import annotations

from pathlib import Path

import pytest
from prover_specs import decided
from seeded_holes import SEEDED, Seeded

from sandbox.compile import load_properties
from sandbox.prove.verdicts import Proved, Refuted, Verdict, name_of

pytestmark = pytest.mark.no_cover  # it goes the prover's ways once more for each example; others cover them


NAMES = [seeded.name.replace(" ", "-") for seeded in SEEDED]


def verdicts(folder: Path, seeded: Seeded, spec: str) -> dict[str, Verdict]:
    """As a run of the prover: first what holds always, and the rest by what was proved of it."""
    (folder / "spec.yaml").write_text(spec)
    (folder / "properties.yaml").write_text(seeded.property_file())
    (loaded,) = load_properties(folder / "properties.yaml")
    invariants = [each for each in loaded.properties if each.kind == "always"]
    found: dict[str, Verdict] = {}
    for each in invariants:
        found[each.id] = decided(loaded.contract, each, *(o.condition for o in invariants if o is not each))
    known = [each.condition for each in invariants if isinstance(found[each.id], Proved)]
    for each in loaded.properties:
        if each.kind != "always":
            found[each.id] = decided(loaded.contract, each, *known)
    return found


@pytest.mark.parametrize("seeded", SEEDED, ids=NAMES)
def test_a_sound_spec_has_its_properties_proved(seeded: Seeded, tmp_path: Path) -> None:
    found = verdicts(tmp_path, seeded, seeded.sound())
    assert {name: name_of(verdict) for name, verdict in found.items()} == dict.fromkeys(found, "proved"), found


@pytest.mark.parametrize("seeded", SEEDED, ids=NAMES)
def test_a_slip_is_shown_by_a_shortest_sequence(seeded: Seeded, tmp_path: Path) -> None:
    verdict = verdicts(tmp_path, seeded, seeded.slipped())["p"]
    assert isinstance(verdict, Refuted), verdict
    assert verdict.counterexample is not None
    assert len(verdict.counterexample.moves.calls) == seeded.calls, verdict.counterexample.words
