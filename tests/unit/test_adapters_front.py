"""The one way that every adapter takes: arguments as the model wrote them, words for the model, tickets for people."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from gatekit import PAYMENTS, STRANGER, TRUSTED, SpyRunner, kinds, open_gate, payment

from sandbox.adapters.front import Front, fronts, refuse_duplicates, stand_in
from sandbox.adapters.ticket import read_answer, read_ticket
from sandbox.call import Outcome
from sandbox.errors import EnvironmentLacking, UsageError
from sandbox.gate import Gate

GOOD = json.dumps(payment()["args"])


@pytest.fixture
def runner() -> SpyRunner:
    return SpyRunner()


@pytest.fixture
def gate(tmp_path: Path, runner: SpyRunner) -> Iterator[Gate]:
    with open_gate(tmp_path, runner=runner) as opened:
        yield opened


@pytest.fixture
def front(gate: Gate) -> Front:
    (only,) = fronts(gate)
    return only


def test_only_what_can_run_has_a_front(front: Front) -> None:
    assert front.name == "send_money"
    assert front.schema()["additionalProperties"] is False


@pytest.mark.parametrize("arguments", [payment()["args"], GOOD, GOOD.encode()])
def test_arguments_may_be_a_mapping_or_the_models_own_text(front: Front, runner: SpyRunner, arguments: object) -> None:
    assert front.call(arguments).status == "ok"
    assert asyncio.run(front.acall(arguments)).status == "ok"
    assert len(runner.permits) == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        '"x"',
        "{",
        GOOD[:-1],
        GOOD + ' ,"tool":"balance"',
        GOOD + ',"args":{}',
        GOOD + "}",
        GOOD + "} {",
        GOOD + ',"approved":true',
        '{},"tool":"send_money","args":' + GOOD,
        GOOD[:-1] + ',"amount":"1.00"}',
        GOOD[:-1] + ',"note":"\ud800"}',
        "\ufeff" + GOOD,
        "NaN",
        "[" * 100_000,
        " " * (4 * 1024 * 1024 + 1),
    ],
)
def test_no_text_of_arguments_becomes_more_than_arguments(front: Front, runner: SpyRunner, text: str) -> None:
    assert front.call(text).status == "denied"
    assert runner.permits == []


def test_a_denial_names_the_rule_and_a_number_that_would_do(front: Front) -> None:
    answer = front.call(payment(amount="5000.01")["args"])
    assert answer.text == (
        "denied (rule.deny): denied by rule `over-limit`: state.sent_today + args.amount > 5000.00. It did not run; "
        'the same call will be denied again. Allowed would be: `amount` "1000.00".'
    )


def test_a_string_of_the_rules_is_never_told(tmp_path: Path) -> None:
    text = PAYMENTS.replace("- id: human", "- id: human\n        reason: not today").replace("ask: args", "deny: args")
    with open_gate(tmp_path, text=text.replace("approvers: 1\n", "\n")) as gate:
        (front,) = fronts(gate)
        told = front.call(payment(STRANGER)["args"]).text
        assert gate.nearest(payment(STRANGER))[0].value in TRUSTED
    assert "not today" in told
    assert not any(account in told for account in TRUSTED)


def test_what_cannot_be_read_gets_the_parsers_own_reason(front: Front) -> None:
    assert front.call('{"recipient": 1, "amount": "1"}').text.startswith("denied (parse.type)")


def test_a_failed_tool_shows_the_end_of_what_it_said(tmp_path: Path) -> None:
    runner = SpyRunner(lambda _: Outcome("error", "tool.error", "ValueError: no", stderr="x" * 5_000))
    with open_gate(tmp_path, runner=runner) as gate:
        (front,) = fronts(gate)
        answer = front.call(GOOD)
    assert (answer.status, answer.is_error, len(answer.text)) == (
        "failed",
        True,
        2_000 + len("the tool ended `error`: ValueError: no\n"),
    )


def test_a_missing_engine_is_raised(tmp_path: Path) -> None:
    with open_gate(tmp_path, runner=SpyRunner(prepare_error=EnvironmentLacking("no engine"))) as gate:
        (front,) = fronts(gate)
        with pytest.raises(EnvironmentLacking):
            front.call(GOOD)
        with pytest.raises(EnvironmentLacking):
            asyncio.run(front.acall(GOOD))


def test_a_copy_is_the_front_itself_and_nothing_pickles(front: Front) -> None:
    assert copy.copy(front) is front
    assert copy.deepcopy(front) is front
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(front)


# --- people ------------------------------------------------------------------------------------------


def test_a_waiting_call_has_a_ticket_that_another_process_can_answer(tmp_path: Path, runner: SpyRunner) -> None:
    raw = json.dumps(payment(STRANGER)["args"])
    with open_gate(tmp_path, runner=runner) as gate:
        (front,) = fronts(gate)
        assert front.ticket(raw).digest == front.call(raw).ticket.digest
        assert front.ticket(GOOD) is None
        waiting = front.call(raw)
        assert (waiting.status, waiting.ticket.needed) == ("waiting", 1)
        stored = json.dumps(waiting.ticket.to_json())
    with open_gate(tmp_path, runner=runner) as later:
        (front,) = fronts(later)
        answer = read_answer(read_ticket(json.loads(stored)).answer(approved_by=["ann"]))
        assert front.call(raw, answer).status == "ok"
        assert asyncio.run(front.acall(raw, answer)).status == "denied"
        refusal = read_answer(read_ticket(json.loads(stored)).answer(refused_by="bob"))
        assert front.call(raw, refusal).text == "denied (approval.refused): refused by bob. It did not run."
        assert asyncio.run(front.acall(raw, refusal)).status == "denied"
    assert len(runner.permits) == 1
    assert kinds(tmp_path).count("intent") == 1


@pytest.mark.parametrize("other", [{"principal": "bob"}, {"principal": ""}, {"principal": "Ann"}, {}])
def test_what_was_approved_for_one_principal_is_no_approval_for_another(
    tmp_path: Path, runner: SpyRunner, other: dict[str, object]
) -> None:
    raw = json.dumps(payment(STRANGER)["args"])
    with open_gate(tmp_path, runner=runner) as gate:
        (front,) = fronts(gate, {"principal": "ann", "id": "first"})
        ticket = read_ticket(json.loads(json.dumps(front.call(raw).ticket.to_json())))
        assert (ticket.principal, front.ticket(raw).principal) == ("ann", "ann")
        answer = read_answer(ticket.answer(approved_by=["eve"]))
        (stranger,) = fronts(gate, other)
        assert "of another principal's" in stranger.call(raw, answer).text
        assert asyncio.run(stranger.acall(raw, answer)).status == "denied"
        assert runner.permits == []
        (resumed,) = fronts(gate, {"principal": "ann", "id": "after a restart"})
        assert resumed.call(raw, answer).status == "ok"
    assert len(runner.permits) == 1


def ticket_of(front: Front) -> dict[str, object]:
    return front.call(payment(STRANGER)["args"]).ticket.to_json()


@pytest.mark.parametrize(
    "change",
    [
        {"approved_by": "ann"},
        {"approved_by": [""]},
        {"approved_by": [1]},
        {"approved_by": []},
        {"approved_by": ["ann"], "refused_by": "bob"},
        {"approved_by": ["ann"], "refused_by": None},
        {"approved_by": ["ann"], "digest": 1},
        {"approved_by": ["ann"], "request": ""},
        {"approved_by": ["ann"], "expires_at_ms": "9"},
        {"approved_by": ["ann"], "principal": None},
    ],
)
def test_nothing_odd_counts_as_a_yes(front: Front, change: dict[str, object]) -> None:
    odd = {**ticket_of(front), "refused_by": "", **change}
    with pytest.raises(UsageError):
        read_answer(odd)


@pytest.mark.parametrize("odd", [None, True, "yes", ["ann"], {}, {"approved_by": ["ann"]}])
def test_a_bare_yes_is_none(odd: object) -> None:
    with pytest.raises(UsageError):
        read_answer(odd)
    with pytest.raises(UsageError):
        read_ticket(odd)


# --- what is wrapped ---------------------------------------------------------------------------------


def test_a_name_that_the_spec_does_not_have_or_cannot_run_is_refused(gate: Gate) -> None:
    with pytest.raises(UsageError, match="no such tool"):
        stand_in(gate, "nope", "", None, lambda: print)
    with pytest.raises(UsageError, match="no `run` for it"):
        stand_in(gate, "balance", "", None, lambda: print)


def test_of_a_container_tool_the_host_function_is_not_even_made(gate: Gate) -> None:
    def never() -> object:
        raise AssertionError

    assert stand_in(gate, "send_money", "sends", None, never).description == "sends"


def test_a_name_given_twice_is_refused() -> None:
    refuse_duplicates(["a", "b"])
    with pytest.raises(UsageError, match="given more than once: `a`"):
        refuse_duplicates(["a", "b", "a"])
