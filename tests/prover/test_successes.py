"""How a sequence is told in which a call succeeds at once, later, or not at all."""

from __future__ import annotations

import pytest
from known_truths import every_truth
from prover_specs import decided

from sandbox.engines import Json
from sandbox.prove.findings import Shown, finding_from_json, finding_to_json
from sandbox.prove.report import replayed_to_json
from sandbox.prove.verdicts import AT_ONCE, Ends, Move, Moves, replay_of

TRUTHS = {truth.name: truth for truth in every_truth()}


def told(name: str) -> dict[str, Json]:
    truth = TRUTHS[name]
    replayed = replay_of(decided(truth.spec, truth.subject))
    assert replayed is not None
    return replayed_to_json(replayed)


def test_a_call_that_ends_before_the_next_one_is_ok() -> None:
    shown = told("merged after a review")
    assert [call["outcome"] for call in shown["calls"]] == ["ok", "ok"]
    assert not any("ends_after" in call for call in shown["calls"])
    assert shown["words"][1] == "1. ends `ok`; done false -> true"


def test_a_call_that_ends_after_the_next_one_is_running() -> None:
    shown = told("a call succeeds late")
    first, second = shown["calls"]
    assert (first["tool"], first["outcome"], first["ends_after"], first["ends"]) == (
        "first", "running", 1, "2026-01-01T00:00:00.000Z",
    )  # fmt: skip
    assert (second["tool"], second["outcome"]) == ("second", "ok")
    assert shown["words"][2] == "1. ends `ok`; done false -> true"


def test_a_call_that_takes_its_time_says_when_it_ends() -> None:
    shown = told("by its time, not that of the permit")
    (call,) = shown["calls"]
    assert (call["outcome"], call["ends_after"]) == ("ok", 0)
    assert call["ends"] > call["now"]
    assert shown["words"][1].startswith(f"1. ends `ok` at {call['ends']}; latest 0 -> ")


@pytest.mark.parametrize("ends", [AT_ONCE, None, Ends(2), Ends(1, 7)])
def test_what_a_child_replies_keeps_when_a_call_ends(ends: Ends | None) -> None:
    shown = Shown(Moves((Move("pay", {}, 5, {}, ends),), 7))
    assert finding_from_json(finding_to_json(shown)) == shown
