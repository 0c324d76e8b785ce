"""A secret goes the whole way with a mark on it, and every place that anybody could read afterwards is searched.

Searched for are the value itself, and every digest of it, or of a text that holds it, that can be made without the key.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from gatekit import HandClock, SpyRunner, kinds, left_running, open_gate, records, spec_file

from sandbox.adapters.front import Front, fronts
from sandbox.approve import Approval, ApprovalRequest, Refused, TerminalApprover
from sandbox.call import Asked, Change, Outcome, Permit
from sandbox.canonical import canonical_json
from sandbox.cli.program import PROGRAM
from sandbox.compile import load_contract
from sandbox.errors import ApprovalNeeded, Denied, SandboxError, ToolError
from sandbox.gate import Gate
from sandbox.ir import Json
from sandbox.parse import parse_call
from sandbox.state import Store

MARK = "7f3a-marked-secret"
PIN = 4711
SHORT: dict[str, object] = {"password": "q7z"}
OTHER: dict[str, object] = {"password": "another one"}
SPEC = """\
sandbox: 1
name: vault
state: {opened: {type: int, initial: 0}}
tools:
  unlock:
    args:
      user: {type: string}
      password: {type: string, secret: true, max_size: 40}
      note: {type: text, secret: true, optional: true}
      cards:
        type: list
        items:
          type: record
          fields: {holder: {type: string}, pin: {type: int, min: 0, max: 9999, secret: true}}
      tries: {type: int, min: 0, max: 100}
    rules:
      - {id: too-often, deny: args.tries > 50}
      - {id: a-person, ask: args.tries > 5}
      - {id: known, allow: "args.user == 'ann' && args.password != 'guest' && args.password.size() > 3"}
    then: {opened: state.opened + 1}
    run: {tool: tools.vault:unlock}
  ping:
    rules: [{id: all, allow: true}]
    run: {tool: tools.vault:ping}
"""


def unlock(**changed: object) -> dict[str, object]:
    cards = [{"holder": "ann", "pin": PIN}, {"holder": "bob", "pin": PIN}]
    args = {"user": "ann", "password": MARK, "note": f"{MARK} note", "cards": cards, "tries": 1, **changed}
    return {"tool": "unlock", "args": args}


def traces() -> tuple[str, ...]:
    """What must be found nowhere: the value, and digests that anybody can make of it and of its call."""
    pins = [f'"pin":{PIN}', f'"pin": {PIN}', f"'pin': {PIN}"]
    calls = [canonical_json(unlock(tries=tries)) for tries in (1, 6, 51)]
    texts = [MARK, json.dumps(MARK), f"{MARK} note", json.dumps(f"{MARK} note"), str(PIN), *calls]
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    return (MARK, *pins, *digests, *(digest[:16] for digest in digests))


def assert_clean(text: str, where: str) -> None:
    for trace in traces():
        assert trace not in text, f"{where} has `{trace}`"


def assert_clean_files(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            for trace in traces():
                assert trace.encode() not in data, f"{path} has `{trace}`"


class Listening:
    """An approver that says yes, and remembers all that it was shown without asking for more."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.revealed: list[str] = []

    def review(self, request: ApprovalRequest) -> Approval | Refused:
        call = request.call
        parts = (request, call, call.args, call.canonical, call.shown, request.decision, request.decision.call)
        self.seen += [f"{part!r} {part}" for part in parts]
        self.revealed.append(request.reveal())
        return Approval(call.digest, "ann", request.expires_at_ms)


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], str]]:
    """All that the program's own logging was told."""
    with caplog.at_level(logging.DEBUG):
        yield lambda: "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)


def failing(permit: Permit) -> Outcome:
    return Outcome("error", "tool.error", "it broke", stdout="nothing")


def told(error: SandboxError) -> str:
    """Everything that printing an exception shows, with its causes; not the values in its frames."""
    decision = getattr(error, "decision", None)
    return "\n".join((str(error), repr(error), repr(decision), *traceback.format_exception(error)))


def test_a_secret_that_is_marked_is_found_nowhere(tmp_path: Path, heard: Callable[[], str]) -> None:
    approver, clock = Listening(), HandClock()
    with open_gate(tmp_path, text=SPEC, approver=approver, clock=clock, solver=True) as gate:
        result = gate.call(unlock())
        assert_clean(f"{result!r} {result.decision!r} {result.receipt!r}", "a result")
        assert gate.call(unlock(tries=6)).receipt.approved_by == ("ann",)
        for raw in (unlock(tries=51), unlock(password="x" * 41), unlock(password=[MARK]), unlock(note=MARK + "\0")):
            with pytest.raises(Denied) as denied:
                gate.call(raw)
            assert_clean(told(denied.value), "a denial")
        for pin in (MARK, 47110, -PIN, f"{PIN}", PIN + 0.5):
            with pytest.raises(Denied) as denied:
                gate.call(unlock(cards=[{"holder": "ann", "pin": pin}]))
            assert_clean(told(denied.value), "a denial of a field")
            assert "it is secret, and nothing of what was given is repeated" in str(denied.value)
        assert_clean(repr(gate.decide(unlock())), "a decision")
        assert_clean(repr(gate.nearest(unlock(tries=51))), "a suggestion")
        gate._runner = SpyRunner(failing)
        with pytest.raises(ToolError) as broken:
            gate.call(unlock())
        assert_clean(told(broken.value), "a tool's error")
    with open_gate(tmp_path, text=SPEC) as gate, pytest.raises(ApprovalNeeded) as needed:
        gate.call(unlock(tries=6))
    assert_clean(told(needed.value), "a call that waits")
    assert approver.revealed == [canonical_json(unlock(tries=6))]
    assert_clean("\n".join(approver.seen), "an approver's request")
    assert_clean(heard(), "the log")
    assert heard().count("gate.") >= 10
    assert_clean_files(tmp_path)
    assert {"intent", "outcome", "denied", "approval", "asked"} <= set(kinds(tmp_path))


def test_what_reaches_the_tool_is_the_exact_value(tmp_path: Path) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, text=SPEC, runner=runner) as gate:
        gate.call(unlock())
    assert runner.calls == [unlock()]
    assert runner.permits[0].call.args["password"] == MARK


def test_a_record_holds_a_keyed_digest_and_all_that_is_not_secret(tmp_path: Path) -> None:
    with open_gate(tmp_path, text=SPEC) as gate:
        first, second = gate.call(unlock()), gate.call(unlock())
        other = gate.call(unlock(**OTHER))
    assert first.receipt.call_digest == second.receipt.call_digest != other.receipt.call_digest
    intents = [each["body"]["decision"]["call"] for each in records(tmp_path) if each["kind"] == "intent"]
    recorded = intents[0]
    assert recorded["call_digest"] == first.receipt.call_digest
    assert recorded["args"]["user"] == "ann"
    assert set(recorded["args"]["password"]) == {"secret"}
    assert recorded["args"]["cards"][0]["holder"] == "ann"
    assert recorded["args"]["cards"][0]["pin"] == recorded["args"]["cards"][1]["pin"]
    assert recorded["args"]["password"] == intents[1]["args"]["password"] != intents[2]["args"]["password"]


def test_a_digest_is_the_same_in_the_next_process_and_another_in_another_state(tmp_path: Path) -> None:
    digests = []
    for folder in ("one", "one", "two"):
        with open_gate(tmp_path / folder, text=SPEC) as gate:
            digests.append(gate.call(unlock()).receipt.call_digest)
    assert digests[0] == digests[1] != digests[2]


def test_equal_values_at_different_places_have_different_digests(tmp_path: Path) -> None:
    contract = load_contract(spec_file(tmp_path, SPEC))
    call = parse_call(unlock(note=MARK), contract)
    shown = json.loads(call.shown)["args"]
    assert shown["password"] != shown["note"]


def test_what_a_tool_says_is_recorded_under_the_key(tmp_path: Path) -> None:
    plain = hashlib.sha256(f"/{MARK}".encode()).hexdigest()
    asked = Asked("GET", "api.bank.example", 443, f"/{MARK}", plain, 200, 0, 0, "ok")
    changed = Change("a.txt", "added", "file", 0o644, len(MARK), hashlib.sha256(MARK.encode()).hexdigest())
    said = Outcome("error", "tool.error", f"wrong: {MARK}", {"echo": MARK}, MARK, MARK)
    said = replace(said, changes=(changed,), requests=(asked,))
    with open_gate(tmp_path, text=SPEC, runner=SpyRunner(lambda _: said)) as gate:
        outcome = gate.attempt(unlock()).outcome
    assert (outcome.stdout, outcome.reason) == (MARK, f"wrong: {MARK}")  # for the host: a tool's words are its own
    assert_clean_files(tmp_path)
    body = records(tmp_path)[-1]["body"]
    assert body["reason"] == "not recorded, for the tool was given secret values"
    assert body["stdout"]["size"] == len(MARK)
    assert (body["requests"][0]["host"], body["requests"][0]["path"]) == ("api.bank.example", "")
    assert body["requests"][0]["digest"] != plain
    assert body["changes"][0]["path"] == "a.txt"


def test_what_a_tool_without_secrets_says_is_recorded_as_before(tmp_path: Path) -> None:
    said = Outcome("error", "tool.error", "no answer", stdout="x")
    with open_gate(tmp_path, text=SPEC, runner=SpyRunner(lambda _: said)) as gate:
        gate.attempt({"tool": "ping", "args": {}})
    body = records(tmp_path)[-1]["body"]
    assert (body["reason"], body["stdout"]["digest"]) == ("no answer", hashlib.sha256(b"x").hexdigest())


def test_a_runner_that_fails_on_a_secret_repeats_nothing_of_it(tmp_path: Path) -> None:
    def failing_on(permit: Permit) -> Outcome:
        raise ValueError(permit.call.canonical)

    with open_gate(tmp_path, text=SPEC, runner=SpyRunner(failing_on)) as gate:
        assert_clean(gate.attempt(unlock()).outcome.reason, "an outcome's reason")
    assert_clean_files(tmp_path)


def test_engines_that_fail_on_a_secret_repeat_nothing_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing_on(*_: object, **__: object) -> None:
        raise ValueError(MARK)

    monkeypatch.setattr("sandbox.gate.take_joint_step", failing_on)
    with open_gate(tmp_path, text=SPEC) as gate:
        assert gate.decide(unlock()).reason == "the gate failed and so denies: ValueError"
        with pytest.raises(Denied, match="the gate failed and so denies: ValueError"):
            gate.call(unlock())
    assert_clean_files(tmp_path)


def test_an_interrupted_call_is_recorded_without_it(tmp_path: Path) -> None:
    with open_gate(tmp_path, text=SPEC) as gate:
        gate.call(unlock())
        left_running(gate)
    open_gate(tmp_path, text=SPEC).close()
    assert kinds(tmp_path)[-1] == "interrupted"
    assert_clean_files(tmp_path)


# --- people ------------------------------------------------------------------------------------------


def at_terminal(folder: Path, typed: str, *, reveal: bool = False) -> str:
    sink = io.StringIO()
    approver = TerminalApprover(io.StringIO(typed), sink, "ann", reveal=reveal)
    with open_gate(folder, text=SPEC, approver=approver) as gate, suppress(Denied):
        gate.call(unlock(tries=6))
    return sink.getvalue()


def test_a_person_sees_it_on_request_only(tmp_path: Path) -> None:
    shown = at_terminal(tmp_path, "no\n")
    assert_clean(shown, "a terminal")
    assert "secret values are hidden; type `show` to see them" in shown
    assert '"password":{"secret":"' in shown
    assert MARK in at_terminal(tmp_path, "show\nno\n")
    revealed = at_terminal(tmp_path, "no\n", reveal=True)
    assert canonical_json(unlock(tries=6)) in revealed
    assert "secret values are hidden" not in revealed
    assert_clean_files(tmp_path)


def test_what_is_typed_to_approve_says_nothing_of_it(tmp_path: Path) -> None:
    (digest,) = {line.split()[1] for line in at_terminal(tmp_path, "").splitlines() if line.startswith("digest ")}
    approver = TerminalApprover(io.StringIO(f"approve {digest[:8]}\n"), io.StringIO(), "ann")
    with open_gate(tmp_path, text=SPEC, approver=approver) as gate:
        assert gate.call(unlock(tries=6)).receipt.approved_by == ("ann",)


# --- commands and frameworks -------------------------------------------------------------------------


def said_by(*words: object, stdin: str = "") -> str:
    result = CliRunner().invoke(PROGRAM, [str(word) for word in words], input=stdin)
    assert result.exit_code in {0, 1, 3}, result.output
    return result.output


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("tries", [1, 6, 51])
def test_commands_print_nothing_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tries: int) -> None:
    monkeypatch.setattr("sandbox.execute.cold.ColdRunner", SpyRunner)
    spec = spec_file(tmp_path, SPEC)
    raw = unlock(tries=tries)
    args = json.dumps(raw["args"])
    for words in (["explain", spec], ["run", spec], ["run", spec, "--approve-as", "ann"]):
        for options in ([], ["--json"]):
            printed = said_by(*words, "--tool", "unlock", "--args", args, *options)
            assert_clean(printed, f"`{words[0]}`")
            assert printed
    lines = "".join(f"{json.dumps(each)}\n" for each in (raw, raw, unlock(password="x" * 41)))
    printed = said_by("decide", spec, stdin=lines)
    assert_clean(printed, "`decide`")
    first, second, third = map(json.loads, printed.splitlines())
    assert first["call_digest"] == second["call_digest"]
    assert third["call_digest"] is None
    assert_clean(said_by("audit", "show", tmp_path / ".sandbox" / "state.audit.jsonl"), "`audit show`")
    assert_clean_files(tmp_path)


def test_a_masked_call_still_shows_what_would_be_allowed(tmp_path: Path) -> None:
    spec = spec_file(tmp_path, SPEC)
    printed = said_by("explain", spec, "--tool", "unlock", "--args", json.dumps(unlock(tries=51)["args"]), "--json")
    (suggestion,) = json.loads(printed)["nearest"]
    assert (suggestion["argument"], suggestion["value"]) == ("tries", 5)
    assert set(suggestion["call"]["args"]["password"]) == {"secret"}
    assert suggestion["call"]["args"]["user"] == "ann"


def test_nothing_is_suggested_in_place_of_a_secret(tmp_path: Path) -> None:
    """Else the suggestion `annq7z` would say what was given."""
    spec = spec_file(tmp_path, SPEC)
    short = json.dumps(unlock(**SHORT)["args"])
    printed = said_by("explain", spec, "--tool", "unlock", "--args", short)
    assert "q7z" not in printed
    assert "no change of a single argument was found that would be allowed" in printed


def front_on(gate: Gate) -> Front:
    return next(front for front in fronts(gate) if front.name == "unlock")


def test_what_a_framework_is_told_and_stores_has_nothing_of_it(tmp_path: Path) -> None:
    with open_gate(tmp_path, text=SPEC) as gate:
        for tries in (1, 6, 51):
            answer = front_on(gate).call(unlock(tries=tries)["args"])
            assert_clean(f"{answer!r} {answer.text}", "an answer")
            if answer.ticket is not None:
                stored: Json = answer.ticket.to_json()
                assert_clean(json.dumps(stored), "a ticket")
        assert front_on(gate).call({"user": "ann"}).status == "denied"


def test_an_approval_given_elsewhere_is_of_the_keyed_digest(tmp_path: Path) -> None:
    from sandbox.adapters.ticket import read_answer

    with open_gate(tmp_path, text=SPEC) as gate:
        ticket = front_on(gate).call(unlock(tries=6)["args"]).ticket
        answered = read_answer(ticket.answer(approved_by=["ann"]))
        other = front_on(gate).call(unlock(tries=6, **OTHER)["args"], answered)
        assert other.status == "denied"
    with open_gate(tmp_path, text=SPEC) as gate:
        assert front_on(gate).call(unlock(tries=6)["args"], answered).status == "ok"


def test_a_state_in_memory_has_no_key_and_needs_none() -> None:
    assert Store.in_memory()._path is None
