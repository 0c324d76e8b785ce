"""What was asked for, a line a request before it is sent and one after: on a file that outlives the broker.

The runner made the file, and reads it when the broker is gone, however that ended.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from sandbox.call import Asked, Value
from sandbox.execute.broker.refused import Refused, Why

MAX_PATH: Final = 100
"""Characters of a path in the record; the digest is of all of it, and of the query."""

MAX_METHOD: Final = 16
"""Characters of a method: those that can be granted are shorter."""

MAX_BYTES: Final = 4 * 1024 * 1024
"""Of a journal: more than all requests of a call can write."""


@dataclass(slots=True)
class Tally:
    """One request while it is under way. Bytes are of bodies."""

    number: int
    sent: int = 0
    received: int = 0
    status: int = 0
    code: str = "ok"


@dataclass(slots=True)
class Journal:
    """Writes lines to a descriptor. Thread-safe."""

    descriptor: int
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> Tally:
        """A number for a request."""
        with self._lock:
            return Tally(next(self._numbers))

    def intend(self, tally: Tally, method: str, url: Mapping[str, Value]) -> None:
        """What is asked for; raises Refused if it cannot be written, and then it is not sent."""
        path, query = str(url["path"]), str(url["query"])
        self._write(
            {
                "number": tally.number,
                "method": method[:MAX_METHOD],
                "host": str(url["host"]),
                "port": int(str(url["port"])),
                "path": path[:MAX_PATH],
                "digest": hashlib.sha256((f"{path}?{query}" if query else path).encode()).hexdigest(),
            }
        )

    def end(self, tally: Tally) -> None:
        """What came of it."""
        self._write(
            {
                "number": tally.number,
                "status": tally.status,
                "sent": tally.sent,
                "received": tally.received,
                "code": tally.code,
            }
        )

    def _write(self, line: dict[str, int | str]) -> None:
        data = json.dumps(line).encode() + b"\n"
        with self._lock:
            try:
                written = os.write(self.descriptor, data)
            except OSError as error:
                raise _unwritten() from error
        if written != len(data):
            raise _unwritten()


def _unwritten() -> Refused:
    return Refused(Why.RECORD, "the request cannot be recorded, and so is not sent")


def read_journal(descriptor: int) -> tuple[Asked, ...]:
    """Every request in the order in which they came; one without an end has the code `network.unfinished`."""
    data = os.pread(descriptor, MAX_BYTES, 0)
    found: dict[int, dict[str, int | str]] = {}
    for line in _lines(data):
        found.setdefault(int(line["number"]), {}).update(line)
    return tuple(_asked(found[number]) for number in sorted(found))


def _lines(data: bytes) -> Iterable[dict[str, int | str]]:
    for line in data.split(b"\n"):
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # the last one, half written
        if isinstance(entry, dict) and "number" in entry:
            yield entry


def _asked(entry: dict[str, int | str]) -> Asked:
    return Asked(
        method=str(entry.get("method", "")),
        host=str(entry.get("host", "")),
        port=int(entry.get("port", 0)),
        path=str(entry.get("path", "")),
        digest=str(entry.get("digest", "")),
        status=int(entry.get("status", 0)),
        sent=int(entry.get("sent", 0)),
        received=int(entry.get("received", 0)),
        reason_code=str(entry.get("code", "network.unfinished")),
    )
