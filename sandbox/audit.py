"""The record: JSON Lines, each bound to the one before by its digest, on disk before what it speaks of happens.

A line is the canonical JSON (RFC 8785) of `{"sequence", "time", "kind", "body", "previous", "digest"}`, where `digest`
is the SHA-256 of the canonical JSON of the rest and `previous` the digest of the line before. Only, all but printable
ASCII is escaped: no byte of a model or a tool reaches a terminal that shows the file.

What the chain shows: that no record was changed, removed, inserted or moved before the last one. What it cannot
show: that records were cut off at the end, or that its owner wrote the whole of it anew. For that, keep the head's
digest elsewhere and give it to `verify` as `expected_head`.

A writer that was killed may leave a torn last line. The next `AuditLog` cuts it off and says so in a record of kind
`repaired`; until then `verify` calls the record broken.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import re
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sandbox.canonical import canonical_json, escaped, json_digest, text_digest
from sandbox.errors import RecordBroken
from sandbox.ir import Json

MAX_FIELD: Final = 256 * 1024
"""ASCII characters of one field of a body; of a larger one its size and digest stand there."""
MAX_BODY: Final = 1024 * 1024
"""ASCII characters of a body; of a larger one its size and digest stand there."""
MAX_LINE: Final = MAX_BODY + 4096
"""Bytes of a line: the largest body and the chain's own fields."""
GENESIS: Final = "0" * 64
"""What the first record has as `previous`."""

_NEAR_END: Final = 64 * 1024
_NOT_PRINTED: Final = re.compile(r"[^\x20-\x7e]")

Clock = Callable[[], int]


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the record. `sequence` counts from 1; `time` is RFC 3339, UTC, with milliseconds."""

    sequence: int
    time: str
    kind: str
    body: Mapping[str, Json]
    previous: str
    digest: str


@dataclass(frozen=True, slots=True)
class Verified:
    """A chain that holds: how many records, and the digest of the last (`GENESIS` of none)."""

    records: int
    head: str


@dataclass(frozen=True, slots=True)
class _Tail:
    """Where the chain ends: what the next record builds on, and the file's identity when that was read."""

    sequence: int
    digest: str
    size: int
    inode: int


class AuditLog:
    """The record at one path. Threads and processes may append at once; the file's own lock orders them."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Opens the record, and repairs a torn last line. `clock` returns Unix milliseconds.

        Raises RecordBroken if the file cannot be written or its last record does not hold.
        """
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._tail: _Tail | None = None
        with self._lock, self._locked_file() as file:
            self._find_tail(file)

    @property
    def path(self) -> Path:
        """The file of the record."""
        return self._path

    def append(self, kind: str, body: Mapping[str, Json]) -> Record:
        """Write one record; it is on disk when this returns. Raises RecordBroken if it cannot be."""
        with self._lock, self._locked_file() as file:
            return self._write(file, self._find_tail(file), kind, body)

    def verify(self, expected_head: str | None = None) -> Verified:
        """As the function `verify`, of this record."""
        return verify(self._path, expected_head)

    @contextmanager
    def _locked_file(self) -> Iterator[int]:
        try:
            made = not self._path.exists()
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            file = os.open(self._path, flags, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                _check_file(file, self._path)
                if made:
                    _sync_folder(self._path.parent)
                yield file
            finally:
                os.close(file)
        except OSError as error:
            message = f"the record `{self._path}` cannot be written: {error.strerror}; nothing runs without a record"
            raise RecordBroken(message) from error

    def _find_tail(self, file: int) -> _Tail:
        """Where the chain ends, from the file if anyone else has written to it; repairs a torn last line."""
        found = os.fstat(file)
        known = self._tail
        if known is not None and (known.size, known.inode) == (found.st_size, found.st_ino):
            return known
        if known is not None and (found.st_size < known.size or found.st_ino != known.inode):
            message = f"the record `{self._path}` was cut off or replaced while it was in use; nothing runs without it"
            raise RecordBroken(message)
        last, torn = _last_line(file, found.st_size, self._path)
        record = None if last is None else _read_line(last, self._path)
        whole = found.st_size - len(torn)
        sequence, digest = (record.sequence, record.digest) if record else (0, GENESIS)
        tail = _Tail(sequence, digest, whole, found.st_ino)
        if torn:
            os.ftruncate(file, whole)
            self._write(
                file, tail, "repaired", {"cut_bytes": len(torn), "cut_digest": hashlib.sha256(torn).hexdigest()}
            )
            return self._find_tail(file)
        self._tail = tail
        return tail

    def _write(self, file: int, tail: _Tail, kind: str, body: Mapping[str, Json]) -> Record:
        try:
            record = _next_record(tail, kind, bounded(body), _rfc3339(self._clock()))
        except (TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            message = f"a record of kind `{kind}` cannot be written as JSON: {error}"
            raise RecordBroken(message) from error
        line = _line(record)
        try:
            _write_all(file, line)
            os.fsync(file)
        except OSError:
            os.ftruncate(file, tail.size)
            raise
        self._tail = _Tail(record.sequence, record.digest, tail.size + len(line), tail.inode)
        return record


def verify(path: Path, expected_head: str | None = None) -> Verified:
    """Read the whole record, line by line; RecordBroken, naming the line, if anything does not hold.

    `expected_head` is the digest of a record that was seen before: it must be in the chain, or the end is missing.
    """
    head, count, seen = GENESIS, 0, expected_head in (None, GENESIS)
    for line in _lines(path):
        count += 1
        record = _read_line(line, path, count)
        if record.sequence != count or record.previous != head:
            message = f"{path}:{count}: the record does not follow the one before; lines were removed, added or moved"
            raise RecordBroken(message)
        head = record.digest
        seen = seen or head == expected_head
    if not seen:
        message = f"{path}: the record `{expected_head}` is missing; the end was cut off, or this is another record"
        raise RecordBroken(message)
    return Verified(count, head)


# --- lines -------------------------------------------------------------------------------------------


def _lines(path: Path) -> Iterator[bytes]:
    """The lines that are there now, without their ends; what is appended meanwhile is left alone."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            rest = os.fstat(file.fileno()).st_size
            fcntl.flock(file, fcntl.LOCK_UN)
            number = 0
            while rest > 0:
                number += 1
                line = file.readline(min(rest, MAX_LINE + 1))
                rest -= len(line)
                if not line.endswith(b"\n"):
                    raise _torn(path, number, rest)
                yield line[:-1]
    except OSError as error:
        message = f"the record `{path}` cannot be read: {error.strerror}"
        raise RecordBroken(message) from error


def _torn(path: Path, number: int, rest: int) -> RecordBroken:
    if rest:
        return RecordBroken(f"{path}:{number}: a line of over {MAX_LINE} bytes is no record")
    return RecordBroken(f"{path}:{number}: the last line is torn, its writer was killed; opening the gate repairs it")


def _last_line(file: int, size: int, path: Path) -> tuple[bytes | None, bytes]:
    """The last whole line without its end (None if there is none), and what stands torn behind it."""
    for window in (min(size, _NEAR_END), min(size, 2 * MAX_LINE + 2)):
        whole, newline, torn = os.pread(file, window, size - window).rpartition(b"\n")
        _, separator, last = whole.rpartition(b"\n")
        if newline and (separator or window == size) and len(last) <= MAX_LINE and len(torn) <= MAX_LINE:
            return last, torn
        if not newline and window == size <= MAX_LINE:
            return None, torn
    message = f"{path}: the last line is over {MAX_LINE} bytes and so no record; nothing is appended to it"
    raise RecordBroken(message)


def _line(record: Record) -> bytes:
    text = canonical_json(_fields(record) | {"digest": record.digest})
    return _NOT_PRINTED.sub(lambda found: escaped(found[0]), text).encode("ascii") + b"\n"


def _read_line(line: bytes, path: Path, number: int | None = None) -> Record:
    """The record that stands in a line, if the line is, byte for byte, what would be written for it."""
    try:
        record = Record(**json.loads(line))
        if _line(record) == line + b"\n" and _digest(record) == record.digest:
            return record
    except (ValueError, TypeError, RecursionError):
        pass
    place = f"{path}:{number}" if number else f"{path}: the last line"
    message = f"{place}: the record was changed: it does not have its digest"
    raise RecordBroken(message)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


# --- records -----------------------------------------------------------------------------------------


def _fields(record: Record) -> dict[str, Json]:
    return {
        "sequence": record.sequence,
        "time": record.time,
        "kind": record.kind,
        "body": dict(record.body),
        "previous": record.previous,
    }


def _digest(record: Record) -> str:
    return json_digest(_fields(record))


def _next_record(tail: _Tail, kind: str, body: Mapping[str, Json], time: str) -> Record:
    draft = Record(tail.sequence + 1, time, kind, body, tail.digest, "")
    return Record(draft.sequence, time, kind, body, draft.previous, _digest(draft))


def bounded(body: Mapping[str, Json]) -> dict[str, Json]:
    """The body as a record holds it: with a canonical form, and what is too large as its size and digest."""
    fields = {_valid(key): _cut(_plain(value), MAX_FIELD) for key, value in body.items()}
    whole = _cut(fields, MAX_BODY)
    return whole if isinstance(whole, dict) else fields


def _cut(value: Json, limit: int) -> Json:
    if len(json.dumps(value)) <= limit:
        return value
    text = canonical_json(value)
    return {"cut": True, "size": len(text), "digest": text_digest(text)}


def _plain(value: Json) -> Json:
    """As JSON that has a canonical form: lone surrogates escaped, tuples as lists, NaN and infinity as their names."""
    match value:
        case str():
            return _valid(value)
        case dict():
            return {_valid(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case float() if not math.isfinite(value):
            return str(value)
        case _:
            return value


def _valid(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _rfc3339(now_ms: int) -> str:
    seconds, milliseconds = divmod(now_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"


# --- the file ----------------------------------------------------------------------------------------


def _check_file(file: int, path: Path) -> None:
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        message = f"the record `{path}` is no regular file that only you can write; make it so (`chown`, `chmod 600`)"
        raise RecordBroken(message)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
