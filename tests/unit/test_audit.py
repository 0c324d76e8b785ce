"""The record: every change of it shows, a torn end is repaired and said, and nothing hostile stands in it raw."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import stat
import threading
from pathlib import Path

import pytest

from sandbox.audit import GENESIS, MAX_LINE, AuditLog, Record, Verified, verify
from sandbox.errors import RecordBroken

NOW = 1_764_000_000_123


def clock() -> int:
    return NOW


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.audit.jsonl"


def written(path: Path, count: int = 5) -> list[Record]:
    log = AuditLog(path, clock)
    return [log.append("intent", {"number": number}) for number in range(count)]


def test_a_record_is_one_line_with_its_chain(path: Path) -> None:
    first, second = written(path, 2)
    lines = path.read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {
            "sequence": each.sequence,
            "time": "2025-11-24T16:00:00.123Z",
            "kind": "intent",
            "body": each.body,
            "previous": each.previous,
            "digest": each.digest,
        }
        for each in (first, second)
    ]
    assert (first.sequence, first.previous, second.sequence, second.previous) == (1, GENESIS, 2, first.digest)
    without = {key: value for key, value in json.loads(lines[0]).items() if key != "digest"}
    canonical = json.dumps(without, sort_keys=True, separators=(",", ":"))
    assert first.digest == hashlib.sha256(canonical.encode()).hexdigest()
    assert verify(path) == AuditLog(path, clock).verify() == Verified(2, second.digest)


def test_an_empty_record_verifies(path: Path) -> None:
    log = AuditLog(path, clock)
    assert log.verify() == Verified(0, GENESIS)
    assert log.verify(expected_head=GENESIS) == Verified(0, GENESIS)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_record_that_is_not_there_does_not_verify(path: Path) -> None:
    with pytest.raises(RecordBroken, match="No such file"):
        verify(path)


# --- tampering


def changed(lines: list[str]) -> dict[str, list[str]]:
    edited = lines[2].replace('"number":2', '"number":7')
    rehashed = Record(**json.loads(edited))
    return {
        "an edit": [*lines[:2], edited, *lines[3:]],
        "an edit of the kind": [*lines[:2], lines[2].replace("intent", "denied"), *lines[3:]],
        "an edit of the time": [*lines[:2], lines[2].replace("2025", "2024"), *lines[3:]],
        "an edit with its own digest": [*lines[:2], redigested(rehashed), *lines[3:]],
        "an edit of the last line": [*lines[:4], lines[4].replace('"number":4', '"number":7')],
        "a deletion": [*lines[:2], *lines[3:]],
        "a deletion at the beginning": lines[1:],
        "a swap": [lines[0], lines[2], lines[1], *lines[3:]],
        "a repetition": [*lines[:3], lines[2], *lines[3:]],
        "an insertion": [*lines[:3], lines[0], *lines[3:]],
        "an empty line": [*lines[:3], "", *lines[3:]],
        "an empty line at the end": [*lines, ""],
        "a line that is no JSON": [*lines[:3], "{", *lines[3:]],
        "a line that is no record": [*lines[:3], "[]", *lines[3:]],
        "a field more": [*lines[:2], lines[2][:-1] + ',"x":1}', *lines[3:]],
        "a field twice": [*lines[:2], lines[2].replace('"kind"', '"kind":"denied","kind"'), *lines[3:]],
        "white space": [*lines[:2], lines[2].replace('":', '": '), *lines[3:]],
        "another escape": [*lines[:2], lines[2].replace("intent", "\\u0069ntent"), *lines[3:]],
        "a number for a number": [*lines[:2], lines[2].replace('"sequence":3', '"sequence":3.0'), *lines[3:]],
        "another number for the same": [*lines[:2], lines[2].replace('"number":2', '"number":2.0'), *lines[3:]],
        "another order": [*lines[:2], reordered(lines[2]), *lines[3:]],
        "not a number": [*lines[:2], lines[2].replace('"number":2', '"number":NaN'), *lines[3:]],
        "depth": [*lines[:2], lines[2].replace('"number":2', f'"number":{"[" * 9999}{"]" * 9999}'), *lines[3:]],
        "a line too long": [*lines[:2], "x" * (MAX_LINE + 1), *lines[3:]],
        "a carriage return": [*lines[:2], lines[2] + "\r", *lines[3:]],
    }


def reordered(line: str) -> str:
    return json.dumps(dict(reversed(json.loads(line).items())), separators=(",", ":"))


def redigested(record: Record) -> str:
    fields = {
        "sequence": record.sequence,
        "time": record.time,
        "kind": record.kind,
        "body": dict(record.body),
        "previous": record.previous,
    }
    digest = hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    return json.dumps(fields | {"digest": digest}, sort_keys=True, separators=(",", ":"))


SOME_LINES = ["0"] * 2 + ['{"sequence":1,"time":"","kind":"","body":{},"previous":"","digest":""}'] * 3


@pytest.mark.parametrize("what", sorted(changed(SOME_LINES)))
def test_every_change_before_the_end_shows(path: Path, what: str) -> None:
    written(path)
    path.write_text("".join(f"{line}\n" for line in changed(path.read_text().splitlines())[what]))
    with pytest.raises(RecordBroken) as caught:
        verify(path)
    assert str(caught.value).startswith(str(path))
    assert caught.value.exit_code == 1


def test_a_record_written_wholly_anew_does_not_show_without_an_anchor(path: Path) -> None:
    head = written(path)[-1].digest
    path.unlink()
    written(path, 4)
    assert verify(path).records == 4
    with pytest.raises(RecordBroken, match="is missing"):
        verify(path, expected_head=head)


def test_an_end_that_was_cut_off_shows_only_against_an_anchor(path: Path) -> None:
    records = written(path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:3]))
    assert verify(path) == Verified(3, records[2].digest)
    assert verify(path, expected_head=records[1].digest).records == 3
    with pytest.raises(RecordBroken, match="the end was cut off"):
        verify(path, expected_head=records[4].digest)


def test_nothing_is_appended_to_a_record_whose_end_was_changed(path: Path) -> None:
    log = AuditLog(path, clock)
    log.append("intent", {"number": 0})
    path.write_text(path.read_text().replace('"number":0', '"number":10'))
    for attempt in (lambda: AuditLog(path, clock), lambda: log.append("intent", {})):
        with pytest.raises(RecordBroken, match="the last line: the record was changed"):
            attempt()
    path.write_text("x\n\n")
    with pytest.raises(RecordBroken):
        AuditLog(path, clock)


# --- a torn end


@pytest.mark.parametrize("whole", [0, 1, 3])
@pytest.mark.parametrize("torn", [b"{", b'{"sequence":4,"ti', b"\x00" * 100, b"x" * 100_000])
def test_a_torn_end_is_broken_until_it_is_repaired_and_said(path: Path, whole: int, torn: bytes) -> None:
    written(path, whole)
    with path.open("ab") as file:
        file.write(torn)
    with pytest.raises(RecordBroken, match=f":{whole + 1}: the last line is torn"):
        verify(path)
    AuditLog(path, clock)
    assert verify(path).records == whole + 1
    last = json.loads(path.read_text().splitlines()[-1])
    assert last["kind"] == "repaired"
    assert last["body"] == {"cut_bytes": len(torn), "cut_digest": hashlib.sha256(torn).hexdigest()}


def test_a_torn_end_is_repaired_by_the_next_append_too(path: Path) -> None:
    log = AuditLog(path, clock)
    log.append("intent", {})
    with path.open("ab") as file:
        file.write(b"{")
    log.append("outcome", {})
    assert [json.loads(line)["kind"] for line in path.read_text().splitlines()] == ["intent", "repaired", "outcome"]
    assert verify(path).records == 3


@pytest.mark.parametrize(
    "content", [b"x" * (MAX_LINE + 1), b"\n" + b"x" * (MAX_LINE + 1), b"x" * (MAX_LINE + 1) + b"\n"]
)
def test_what_is_too_long_for_a_torn_line_is_not_cut(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(RecordBroken):
        AuditLog(path, clock)
    assert path.read_bytes() == content


def test_a_long_last_line_is_found(path: Path) -> None:
    log = AuditLog(path, clock)
    log.append("intent", {str(number): "x" * 100_000 for number in range(9)})
    second = AuditLog(path, clock).append("intent", {})
    assert second.sequence == 2
    assert verify(path).records == 2


def test_a_write_that_fails_leaves_the_record_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = AuditLog(path, clock)
    log.append("intent", {})
    before = path.read_bytes()

    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RecordBroken, match="No space left on device"):
        log.append("intent", {"more": 1})
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert log.append("intent", {}).sequence == 2
    assert verify(path).records == 2


@pytest.mark.parametrize("replaced", [True, False])
def test_a_record_that_is_cut_off_or_replaced_while_in_use_takes_no_more(path: Path, *, replaced: bool) -> None:
    log = AuditLog(path, clock)
    for _ in range(2):
        log.append("intent", {})
    content = path.read_bytes()
    if replaced:
        written(path.with_name("other"), 3)
        path.with_name("other").replace(path)
    else:
        path.write_bytes(content[: content.index(b"\n") + 1])
    for _ in range(2):
        with pytest.raises(RecordBroken, match="cut off or replaced"):
            log.append("intent", {})


def test_a_clock_out_of_range_is_no_time(path: Path) -> None:
    with pytest.raises(RecordBroken, match="cannot be written"):
        AuditLog(path, lambda: 10**30).append("intent", {})


# --- several writers


def test_threads_and_logs_append_to_one_chain(path: Path) -> None:
    logs = [AuditLog(path, clock), AuditLog(path, clock)]

    def append(log: AuditLog) -> None:
        for _ in range(20):
            log.append("intent", {})

    threads = [threading.Thread(target=append, args=(log,)) for log in logs * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verify(path).records == 80


def test_a_record_is_on_disk_and_locked_while_it_is_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = AuditLog(path, clock)
    synced = []
    sync = os.fsync

    def checked(file: int) -> None:
        with path.open("rb") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        synced.append(path.read_bytes())
        sync(file)

    monkeypatch.setattr(os, "fsync", checked)
    log.append("intent", {})
    assert synced == [path.read_bytes()]


def test_what_is_appended_while_it_is_verified_is_left_for_the_next_time(path: Path) -> None:
    records = written(path, 3)
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        assert verify(path) == Verified(3, records[-1].digest)


# --- the file


def test_a_file_that_others_can_change_takes_no_record(path: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(path)
    (tmp_path / "loose").touch(0o622)
    (tmp_path / "loose").chmod(0o622)
    for name in ("fifo", "link", "loose", "", "no/such/folder"):
        with pytest.raises(RecordBroken, match=r"^the record"):
            AuditLog(tmp_path / name, clock)


# --- bodies


def test_hostile_text_stands_escaped(path: Path) -> None:
    log = AuditLog(path, clock)
    record = log.append(
        "denied",
        {"reason": "\x1b[2J\u202e\x00\x7f\x9b\ud800\U0001f600\n\r", "\udfff": ["\ud800"], "n": {"k": "\udc00"}},
    )
    content = path.read_bytes()
    assert content.isascii()
    assert content.count(b"\n") == 1
    assert content.rstrip(b"\n").decode().isprintable()
    assert record.body["\\udfff"] == ["\\ud800"]
    assert verify(path).records == 1


def test_large_fields_and_bodies_are_kept_by_size_and_digest(path: Path) -> None:
    log = AuditLog(path, clock)
    one = log.append("intent", {"args": "x" * 300_000, "nonce": "n"})
    text = json.dumps("x" * 300_000)
    cut = {"cut": True, "size": len(text), "digest": hashlib.sha256(text.encode()).hexdigest()}
    assert one.body == {"args": cut, "nonce": "n"}
    many = log.append("intent", {str(number): "\U0001f600" * 20_000 for number in range(5)})
    assert many.body["cut"] is True
    assert max(map(len, path.read_bytes().splitlines())) <= MAX_LINE
    assert verify(path).records == 2


def test_every_json_value_can_be_recorded(path: Path) -> None:
    log = AuditLog(path, clock)
    body = {"a": None, "b": True, "c": 10**300, "d": 1e22, "e": [1.5, {"f": []}], "g": float("inf"), "h": float("nan")}
    record = log.append("outcome", body)
    assert record.body["g"] == "inf"
    assert record.body["h"] == "nan"
    assert verify(path).records == 1


def test_what_is_no_json_is_refused_and_nothing_written(path: Path) -> None:
    log = AuditLog(path, clock)
    deep: list[object] = []
    for _ in range(5_000):
        deep = [deep]
    for bad in (object(), b"bytes", deep, {1: 2}):
        with pytest.raises(RecordBroken, match="cannot be written as JSON"):
            log.append("intent", {"x": bad})  # type: ignore[dict-item]  # that is the mistake
    assert verify(path).records == 0
