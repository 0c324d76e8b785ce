"""Every intent has one ending on record, also where the process that had to write it is gone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from gatekit import OK, SpyRunner, kinds, open_gate, payment, records

from sandbox.audit import AuditLog, Record, verify
from sandbox.call import Outcome
from sandbox.errors import Fault, RecordBroken
from sandbox.gate import Gate
from sandbox.ir import Json
from sandbox.receipts import Balance, check_receipts, told

JUDGED = """\
sandbox: 1
name: lookup
tools:
  find:
    rules: [{id: all, allow: true}]
    after: [{id: all, pass: true}]
    run: {tool: tools.lookup:find}
"""


def record_of(folder: Path) -> Path:
    return folder / ".sandbox/state.audit.jsonl"


def kept(gate: Gate) -> int:
    return int(gate._store._connection.execute("SELECT count(*) FROM endings").fetchone()[0])


def full_disk(monkeypatch: pytest.MonkeyPatch, *refused: str) -> None:
    """From now on no record of these kinds can be written."""
    append = AuditLog.append

    def appending(log: AuditLog, kind: str, body: Mapping[str, Json]) -> Record:
        if kind in refused:
            message = "the record cannot be written: no space left on device"
            raise RecordBroken(message)
        return append(log, kind, body)

    monkeypatch.setattr(AuditLog, "append", appending)


def owner_dies(gate: Gate) -> None:
    gate._store._connection.execute("UPDATE reservations SET owner_start = 'gone'")


def test_notes_are_let_go_once_they_are_on_record(tmp_path: Path) -> None:
    with open_gate(tmp_path) as gate:
        for _ in range(4):
            gate.call(payment(amount="1.00"))
            assert kept(gate) == 1
    with open_gate(tmp_path) as gate:
        assert kept(gate) == 0


def test_an_outcome_that_could_not_be_written_is_written_by_the_next_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken, open_gate(tmp_path) as gate:
        full_disk(broken, "outcome")
        with pytest.raises(RecordBroken, match="no space left"):
            gate.call(payment())
        owner_dies(gate)
    assert check_receipts(record_of(tmp_path)) == Balance(0, 0, 1)
    open_gate(tmp_path).close()
    assert kinds(tmp_path) == ["intent", "outcome"]
    body = records(tmp_path)[-1]["body"]
    assert (body["status"], body["recovered"], body["result"]["size"]) == ("ok", True, len('{"done": true}'))
    assert check_receipts(record_of(tmp_path)) == Balance(1, 0, 0)
    assert verify(record_of(tmp_path)).records == 2


def test_a_living_process_writes_its_own_endings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken, open_gate(tmp_path) as gate:
        full_disk(broken, "outcome")
        with pytest.raises(RecordBroken):
            gate.call(payment())
    with open_gate(tmp_path) as gate:
        assert (kinds(tmp_path), kept(gate)) == (["intent"], 1)


def test_a_call_that_is_on_record_and_was_never_settled_gets_no_second_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_gate(tmp_path) as gate:
        with monkeypatch.context() as broken:
            broken.setattr("sandbox.state.Transaction.note_ending", lambda *_: 1 / 0)
            with pytest.raises(Fault):
                gate.call(payment())
        assert gate._store._connection.execute("SELECT status FROM reservations").fetchall() == [("running",)]
        owner_dies(gate)
    open_gate(tmp_path).close()
    with open_gate(tmp_path) as gate:
        assert gate._store._connection.execute("SELECT status FROM reservations").fetchall() == [("interrupted",)]
    assert kinds(tmp_path) == ["intent", "outcome"]


def test_where_recovery_cannot_write_nothing_opens_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        full_disk(broken, "outcome")
        with open_gate(tmp_path) as gate:
            with pytest.raises(RecordBroken):
                gate.call(payment())
            owner_dies(gate)
        with pytest.raises(RecordBroken):
            open_gate(tmp_path)
    open_gate(tmp_path).close()
    assert kinds(tmp_path) == ["intent", "outcome"]


def test_a_result_that_nobody_judged_is_recorded_as_withheld(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = Outcome("error", "tool.error", "the account is DE89370400440532013000")
    with (
        monkeypatch.context() as broken,
        open_gate(tmp_path, text=JUDGED, runner=SpyRunner(lambda _: failed)) as gate,
    ):
        full_disk(broken, "outcome")
        with pytest.raises(RecordBroken):
            gate.attempt({"tool": "find", "args": {}})
        owner_dies(gate)
    open_gate(tmp_path, text=JUDGED).close()
    body = records(tmp_path)[-1]["body"]
    assert body["after"] == {"verdict": "withhold", "spec": "", "rule": "", "code": "after.fault"}
    assert body["reason"] == "not recorded, for the result is not shown"


def test_a_note_that_was_changed_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken, open_gate(tmp_path) as gate:
        full_disk(broken, "outcome")
        with pytest.raises(RecordBroken):
            gate.call(payment())
        owner_dies(gate)
        gate._store._connection.execute("""UPDATE endings SET body = replace(body, '"ok"', '"no"')""")
    with pytest.raises(Fault, match="ended does not have its digest"):
        open_gate(tmp_path)
    assert kinds(tmp_path) == ["intent"]


def test_what_a_tool_says_in_words_that_are_no_text_is_noted_as_it_is_recorded(tmp_path: Path) -> None:
    odd = Outcome("error", "tool.error", "lone \ud800 surrogate", stdout="\udcff", result=None)
    with open_gate(tmp_path, runner=SpyRunner(lambda _: odd)) as gate:
        assert gate.attempt(payment()).outcome == odd
    assert kinds(tmp_path) == ["intent", "outcome"]


def test_only_a_record_of_an_intent_or_an_ending_is_one(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "state.audit.jsonl", lambda: 0)
    log.append("intent", {"nonce": "abc"})
    log.append("denied", {"reason": "abc", "nonce": "abc"})
    log.append("cancelled", {"nonce": "abc", "restored": True})
    log.append("outcome", {"receipt": {"nonce": "of another"}, "reason": "abc"})
    assert told(log.path, {"abc"}) == {("abc", "intent"), ("abc", "cancelled")}
    with log.path.open("ab") as file:
        file.write(b'{"kind": "outcome", "abc')
    assert told(log.path, {"abc"}) == {("abc", "intent"), ("abc", "cancelled")}
    with pytest.raises(RecordBroken, match="cannot be read"):
        told(tmp_path / "gone", {"abc"})
    with log.path.open("ab") as file:
        file.write(b"\n")
    with pytest.raises(RecordBroken, match="cannot be read"):
        told(log.path, {"abc"})


def test_the_next_call_does_not_wait_for_notes_that_cannot_be_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = open_gate(tmp_path, runner=SpyRunner(lambda _: OK))
    gate.call(payment())

    def busy(*_: object) -> None:
        message = "the state was held by another process"
        raise Fault(message, "state.busy")

    with monkeypatch.context() as stuck:
        stuck.setattr("sandbox.state.Transaction.forget_ending", busy)
        gate.close()
    with open_gate(tmp_path) as again:
        assert kept(again) == 1
        owner_dies(again)
    with open_gate(tmp_path) as again:
        assert kept(again) == 0
    assert kinds(tmp_path) == ["intent", "outcome"]
