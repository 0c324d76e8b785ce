"""Every verdict on specs whose truth is known, none of them `unknown`; refutations are shortest, and replayed."""

from __future__ import annotations

import pytest
from known_truths import Truth, every_truth
from prover_specs import always, decided

from sandbox.prove.verdicts import Proved, name_of, replay_of

pytestmark = pytest.mark.no_cover  # it goes the prover's ways once more for each example; others cover them


TRUTHS = every_truth()


@pytest.mark.parametrize("truth", TRUTHS, ids=[truth.name.replace(" ", "-") for truth in TRUTHS])
def test_a_known_truth_is_found(truth: Truth) -> None:
    verdict = decided(truth.spec, truth.subject, *truth.assumed)
    assert name_of(verdict) == truth.verdict, verdict
    assert not isinstance(verdict, Proved) or verdict.note == truth.note
    replayed = replay_of(verdict)
    assert (None if replayed is None else len(replayed.moves.calls)) == truth.calls


def test_there_are_enough_of_both_kinds() -> None:
    assert sum(truth.verdict == "proved" for truth in TRUTHS) >= 20
    assert sum(truth.verdict == "refuted" for truth in TRUTHS) >= 20


def test_what_is_assumed_is_itself_an_invariant() -> None:
    for truth in TRUTHS:
        for invariant in truth.assumed:
            assert isinstance(decided(truth.spec, always(invariant)), Proved)
