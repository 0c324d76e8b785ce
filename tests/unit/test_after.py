"""Results judged before anybody sees them: what is withheld or redacted is nowhere in what leaves the gate."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from gatekit import HandClock, SpyRunner, open_gate, records, spec_file

from sandbox import sandboxed
from sandbox.adapters.front import fronts
from sandbox.call import Outcome
from sandbox.cli.program import PROGRAM
from sandbox.decide import Claim, Confirmation, EnginePair, Evaluator
from sandbox.errors import EnvironmentLacking, SandboxFailure, ToolError
from sandbox.gate import Gate
from sandbox.ir import Json
from sandbox.stages import staged

pytestmark = pytest.mark.usefixtures("forked")

MARK = "DE89370400440532013000"
SPEC = """\
sandbox: 1
name: lookup
state: {strict: {type: bool, initial: false}}
session: {who: {type: string}}
tools:
  find:
    args: {id: {type: int}}
    returns:
      name: {type: {type: string, max_size: 40}}
      iban: {type: {type: string, optional: true}}
      hits: {type: {type: list, items: {type: int}, max_size: 3, optional: true}}
    rules: [{id: all, allow: true}]
    on_success: {strict: true}
    after:
      - {id: failed, pass: "outcome.status == 'error' && size(outcome.stderr) == 0"}
      - {id: plain, pass: "!has(result.iban) && size(result) < 60 && args.id < 100"}
      - {id: account, redact: has(result.iban), reason: accounts are not for the model}
      - {id: guest, withhold: "session.who == 'guest'", reason: ask for an account}
      - {id: loud, withhold: size(outcome.stdout) > 100}
    run: {tool: tools.lookup:find}
  open:
    rules: [{id: all, allow: true}]
    run: {tool: tools.lookup:open}
"""
NAME = {"name": "ann"}
ACCOUNT = {"name": "ann", "iban": MARK}
WITHHELD = "the call ran; its result is withheld, for no rule passes it"


def ended(result: Json = None, status: str = "ok", **more: object) -> Outcome:
    return replace(Outcome(status, "ok" if status == "ok" else "tool.error", "", result), **more)


def find(number: int = 1) -> dict[str, object]:
    return {"tool": "find", "args": {"id": number}}


def judged(
    folder: Path, outcome: Outcome, *, number: int = 1, who: str = "ann", text: str = SPEC, solver: bool = False
) -> Outcome:
    runner = SpyRunner(lambda _: outcome)
    with open_gate(folder, text=text, runner=runner, solver=solver) as gate:
        return gate.attempt(find(number), {"who": who}).outcome


@pytest.mark.parametrize("solver", [False, True])
@pytest.mark.parametrize(
    ("given", "number", "who", "code", "reason", "result"),
    [
        (ended(NAME), 1, "ann", "ok", "", NAME),
        (ended({"name": "ann", "hits": [1, 2]}), 1, "ann", "ok", "", {"name": "ann", "hits": [1, 2]}),
        (ended(NAME), 100, "ann", "after.withheld", WITHHELD, None),
        (ended(ACCOUNT), 1, "ann", "ok", "", {"redacted": True}),
        (ended(ACCOUNT), 1, "guest", "after.withheld",
         "the call ran; its result is withheld by rule `guest`: ask for an account", None),
        (ended(NAME, stdout="x" * 101), 1, "ann", "after.withheld",
         "the call ran; its result is withheld by rule `loud`", None),
        (ended(NAME, stdout="x" * 100), 1, "ann", "ok", "", NAME),
        (ended({"name": "a" * 40}), 1, "ann", "ok", "", {"name": "a" * 40}),
        (ended(status="timeout"), 1, "ann", "ok", "", None),
        (ended(status="timeout"), 100, "ann", "after.withheld", WITHHELD, None),
    ],
)  # fmt: skip
def test_what_becomes_of_a_result(
    tmp_path: Path, given: Outcome, number: int, who: str, code: str, reason: str, result: Json, solver: bool
) -> None:
    outcome = judged(tmp_path, given, number=number, who=who, solver=solver)
    assert outcome.status == given.status
    assert outcome.result == result
    assert outcome.reason == reason
    if outcome.status == "ok":
        assert outcome.reason_code == code
    hidden = result != given.result or code != "ok"
    assert (outcome.stdout, outcome.stderr) == (("", "") if hidden else (given.stdout, given.stderr))


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (None, "parse.type"),
        ("text", "parse.type"),
        (json.dumps(NAME), "parse.type"),
        ([NAME], "parse.type"),
        (7, "parse.type"),
        ({}, "parse.missing_argument"),
        ({"name": 7}, "parse.type"),
        ({"name": None}, "parse.null"),
        ({"name": "a" * 41}, "parse.size"),
        ({"name": "ann", "iban": 7}, "parse.type"),
        ({"name": "ann", "iban": None}, "parse.null"),
        ({"name": "ann", "hits": [1, 2, 3, 4]}, "parse.size"),
        ({"name": "ann", "hits": [1.5]}, "parse.type"),
        ({"name": "ann", "more": MARK}, "parse.unknown_argument"),
        ({"name": "\U0003abcd"}, "parse.unicode"),
        ({"name": "ann", **{f"k{n}": 1 for n in range(300)}}, "parse.keys"),
    ],
)
def test_what_is_not_as_declared_is_withheld(tmp_path: Path, result: Json, code: str) -> None:
    outcome = judged(tmp_path, ended(result))
    assert (outcome.status, outcome.reason_code, outcome.result) == ("ok", "after.type", None)
    assert outcome.reason == f"the call ran; its result is not what `returns` declares ({code}) and is withheld"


def test_a_result_without_declared_fields_is_its_size(tmp_path: Path) -> None:
    start, end = SPEC.index("    returns:"), SPEC.index("    rules: [{id: all, allow: true}]\n    on_success")
    text = SPEC[:start] + SPEC[end:]
    text = (
        text[: text.index("    after:")]
        + "    after: [{id: a, pass: size(result) == 5}]\n"
        + text[text.index("    run:") :]
    )
    for result, passes in (
        ("abc", True),
        ("\u00fc\U0001f600c", True),
        ("abcd", False),
        (12345, True),
        ([1, 2], True),
        (None, False),
    ):
        assert (judged(tmp_path, ended(result), text=text).reason_code == "ok") is passes


def test_a_success_is_noted_and_recorded_whatever_the_model_sees(tmp_path: Path) -> None:
    judged(tmp_path, ended(ACCOUNT, stdout=MARK), who="guest")
    body = records(tmp_path)[-1]["body"]
    assert (body["status"], body["reason_code"], body["on_success"]) == ("ok", "ok", "stored")
    assert body["after"] == {"verdict": "withhold", "spec": "lookup", "rule": "guest", "code": "after.withheld"}
    assert body["stdout"]["size"] == len(MARK)
    assert MARK not in json.dumps(body)


def test_a_record_says_nothing_of_the_words_of_a_tool_that_is_withheld(tmp_path: Path) -> None:
    failed = ended(status="error", reason=f"ValueError: {MARK}", stderr=MARK)
    outcome = judged(tmp_path, failed, who="guest")
    assert MARK not in repr(outcome)
    assert records(tmp_path)[-1]["body"]["reason"] == "not recorded, for the result is not shown"


# --- where a result could leak -----------------------------------------------------------------------


LEAKING = [
    ended(ACCOUNT, stdout=MARK, stderr=MARK),
    ended(MARK),
    ended({"name": MARK * 3}),
    ended({"name": "ann", "other": MARK}),
    ended(status="error", reason=f"ValueError: {MARK}", stdout=MARK, stderr=MARK),
    ended(status="error", reason=MARK, result={"content": [{"type": "text", "text": MARK}]}),
    ended(status="timeout", reason=MARK, stdout=MARK),
    ended(ACCOUNT, status="sandbox_failure", reason="the container was killed", stdout=MARK, stderr=MARK),
]


@pytest.mark.parametrize("who", ["guest", "ann"])
@pytest.mark.parametrize("leaking", LEAKING, ids=[f"{at}-{each.status}" for at, each in enumerate(LEAKING)])
def test_what_is_not_passed_leaves_the_gate_nowhere(
    tmp_path: Path, leaking: Outcome, who: str, caplog: pytest.LogCaptureFixture
) -> None:
    text = SPEC.replace("size(outcome.stderr) == 0", "size(outcome.stderr) == 0 && args.id == 5")
    text = text.replace("size(result) < 60 && args.id < 100", "args.id == 5")
    said: list[str] = []
    with caplog.at_level(logging.DEBUG), open_gate(tmp_path, text=text, runner=SpyRunner(lambda _: leaking)) as gate:
        said.append(repr(gate.attempt(find(), {"who": who})))
        try:
            said.append(repr(gate.call(find(), {"who": who})))
        except (ToolError, SandboxFailure) as error:
            said += [str(error), repr(error), *traceback.format_exception(error), repr(getattr(error, "outcome", ""))]
        front = fronts(gate, {"who": who})[0]
        if leaking.status == "sandbox_failure":
            with pytest.raises(SandboxFailure) as failure:
                front.call({"id": 1})
            said.append(str(failure.value))
        else:
            said.append(repr(front.call({"id": 1})))
    said += [f"{record.getMessage()} {record.__dict__}" for record in caplog.records]
    assert not [each for each in said if MARK in each]
    assert len(said) > 5
    for path in sorted((tmp_path / ".sandbox").iterdir()):
        assert MARK.encode() not in path.read_bytes()


def test_a_failure_of_the_machinery_keeps_its_own_reason(tmp_path: Path) -> None:
    outcome = judged(tmp_path, LEAKING[-1])
    assert (outcome.status, outcome.reason, outcome.result, outcome.stdout) == (
        "sandbox_failure", "the container was killed", None, "",
    )  # fmt: skip
    assert "after" not in records(tmp_path)[-1]["body"]


def test_what_never_started_is_said_as_it_is(tmp_path: Path) -> None:
    lacking = Outcome("sandbox_failure", "environment.image", "no image", started=False)
    with (
        open_gate(tmp_path, text=SPEC, runner=SpyRunner(lambda _: lacking)) as gate,
        pytest.raises(EnvironmentLacking, match="no image"),
    ):
        gate.call(find(), {"who": "ann"})


def test_gate_call_raises_for_a_withheld_result_and_returns_a_redacted_one(tmp_path: Path) -> None:
    with open_gate(tmp_path, text=SPEC, runner=SpyRunner(lambda _: ended(ACCOUNT))) as gate:
        assert gate.call(find(), {"who": "ann"}).value == {"redacted": True}
        with pytest.raises(ToolError) as withheld:
            gate.call(find(), {"who": "guest"})
        with pytest.raises(ToolError):
            asyncio.run(gate.acall(find(), {"who": "guest"}))
    assert withheld.value.reason_code == "after.withheld"
    assert str(withheld.value) == (
        "the tool ended `ok`: the call ran; its result is withheld by rule `guest`: ask for an account"
    )


def test_a_model_is_told_that_the_call_ran(tmp_path: Path) -> None:
    with open_gate(tmp_path, text=SPEC, runner=SpyRunner(lambda _: ended(ACCOUNT))) as gate:
        withheld = fronts(gate, {"who": "guest"})[0].call({"id": 1})
        redacted = fronts(gate, {"who": "ann"})[0].call({"id": 1})
    assert (withheld.status, withheld.result) == ("failed", None)
    assert "the call ran; its result is withheld by rule `guest`" in withheld.text
    assert (redacted.status, redacted.result, redacted.text) == ("ok", {"redacted": True}, '{"redacted": true}')


def test_a_decorated_function_raises_or_returns_the_marker(tmp_path: Path) -> None:
    with open_gate(tmp_path, text=SPEC, runner=SpyRunner(lambda _: ended(ACCOUNT))) as gate:
        who = {"who": "ann"}

        @sandboxed(gate, session=lambda: who)
        def find(id: int) -> dict: ...  # noqa: A002 - the name of the tool's argument

        assert find(1) == {"redacted": True}
        who["who"] = "guest"
        with pytest.raises(ToolError):
            find(1)


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_the_command_prints_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]) -> None:
    monkeypatch.setattr("sandbox.execute.cold.ColdRunner", lambda: SpyRunner(lambda _: ended(ACCOUNT, stdout=MARK)))
    words = ["run", str(spec_file(tmp_path, SPEC)), "--tool", "find", "--args", '{"id": 1}', *options]
    for who, shown in (("ann", "redacted"), ("guest", "withheld by rule `guest`")):
        result = CliRunner().invoke(PROGRAM, [*words, "--session", json.dumps({"who": who})])
        assert result.exit_code == 0, result.output
        assert shown in result.output
        assert MARK not in result.output


# --- what goes wrong withholds -----------------------------------------------------------------------


class Judging:
    """A solver that says what it is told to of results, and agrees to all else."""

    def __init__(self, answer: Confirmation | Exception) -> None:
        self._answer = answer

    def confirm(self, call: object, state: object, facts: object, claim: Claim) -> Confirmation:
        if not call.tool.endswith("@after"):  # type: ignore[attr-defined]
            return Confirmation(claim.verdict)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    def confirm_success(self, *_: object) -> Confirmation:
        return Confirmation("allow")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Confirmation("deny"), "fault.disagreement"),
        (Confirmation("ask"), "fault.disagreement"),
        (Confirmation("allow", "something else"), "fault.disagreement"),
        (Confirmation("fault", "late", "fault.solver_timeout"), "fault.solver_timeout"),
        (ValueError(MARK), "fault.internal"),
    ],
)
def test_engines_that_do_not_agree_withhold(tmp_path: Path, answer: Confirmation | Exception, code: str) -> None:
    with open_gate(tmp_path, text=SPEC, runner=SpyRunner(lambda _: ended(NAME))) as gate:
        gate._passage._engines = {"lookup": EnginePair(Evaluator(staged(gate.contract)), Judging(answer))}
        outcome = gate.attempt(find(), {"who": "ann"}).outcome
    assert (outcome.status, outcome.reason_code, outcome.result) == ("ok", "after.fault", None)
    assert outcome.reason == f"the call ran; its result could not be judged ({code}) and is withheld"


def test_a_state_that_cannot_be_read_withholds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_gate(tmp_path, text=SPEC, runner=SpyRunner(lambda _: ended(NAME))) as gate:

        def broken(_: object) -> object:
            raise OSError(MARK)

        monkeypatch.setattr(gate._passage, "_moments", broken)
        outcome = gate.attempt(find(), {"who": "ann"}).outcome
    assert (outcome.reason_code, outcome.result) == ("after.fault", None)
    assert outcome.reason == "the call ran; its result could not be judged (OSError) and is withheld"


def test_rules_read_the_state_and_the_time_as_they_are_by_then(tmp_path: Path) -> None:
    text = SPEC[: SPEC.index("    after:")] + (
        "    after: [{id: day, pass: now.getHours() < 18 && !state.strict}]\n    run: {tool: tools.lookup:find}\n"
    )
    clock = HandClock()
    with open_gate(tmp_path, text=text, runner=SpyRunner(lambda _: ended(NAME)), clock=clock) as gate:
        outcome = gate.attempt(find(), {"who": "ann"}).outcome
    assert outcome.reason_code == "after.withheld"  # the success has made the state strict before it was judged


def test_no_key_passes_all(tmp_path: Path) -> None:
    text = SPEC[: SPEC.index("    after:")] + "    run: {tool: tools.lookup:find}\n"
    assert judged(tmp_path, ended({"what": MARK}, stdout=MARK), text=text).stdout == MARK


# --- several specs -----------------------------------------------------------------------------------

OTHER = """\
sandbox: 1
name: house
tools:
  find:
    args: {id: {type: int}}
    rules: [{id: all, allow: true}]
    after:
      - {id: long, redact: size(result) > 15}
      - {id: rest, pass: "true"}
"""


@pytest.mark.parametrize(
    ("given", "who", "result", "code"),
    [
        (ended(NAME), "ann", NAME, "ok"),
        (ended({"name": "anna maria"}), "ann", {"redacted": True}, "ok"),
        (ended(ACCOUNT), "ann", {"redacted": True}, "ok"),
        (ended(ACCOUNT), "guest", None, "after.withheld"),
        (ended({"name": 7}), "ann", None, "after.type"),
    ],
)
def test_the_strictest_spec_counts(tmp_path: Path, given: Outcome, who: str, result: Json, code: str) -> None:
    specs = [spec_file(tmp_path, SPEC, "lookup.yaml"), spec_file(tmp_path, OTHER, "house.yaml")]
    with Gate.open(specs, runner=SpyRunner(lambda _: given), clock=HandClock()) as gate:
        outcome = gate.attempt(find(), {"who": who}).outcome
    assert (outcome.result, outcome.reason_code) == (result, code)
