"""An engine's socket between us and the real one, which does to one kind of request what the test wants done."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

REAL = "/var/run/docker.sock"
Kind = Literal["refused", "error", "slow", "lost", "half", "gone", "lying"]
Lie = Callable[[bytes], bytes]


@dataclass
class Fault:
    """What is done to a request whose first line matches; each time, or only so often."""

    kind: Kind
    pattern: str
    lie: Lie = lambda body: body
    times: int = 1_000
    hits: int = 0

    def takes(self, line: str) -> bool:
        if self.hits >= self.times or not re.search(self.pattern, line):
            return False
        self.hits += 1
        return True


@dataclass
class Between:
    """The socket, and what goes wrong on it. `asked` are the first lines of all requests."""

    path: Path
    far: str = REAL
    fault: Fault | None = None
    asked: list[str] = field(default_factory=list)
    _listener: socket.socket = field(default_factory=lambda: socket.socket(socket.AF_UNIX))
    _open: set[socket.socket] = field(default_factory=set)
    _over: threading.Event = field(default_factory=threading.Event)

    def listen(self) -> None:
        self._listener.bind(str(self.path))
        self._listener.listen(64)

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def vanish(self) -> None:
        """As an engine that ends: nothing listens, and what was open is not."""
        self._over.set()
        for connection in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self.path.unlink(missing_ok=True)

    def _converse(self, near: socket.socket) -> None:
        self._open.add(near)
        with contextlib.suppress(OSError), near:
            while True:
                head, body = read_message(near)
                if not head:
                    return
                line = head.split(b"\r\n")[0].decode()
                self.asked.append(line)
                fault = self.fault if self.fault is not None and self.fault.takes(line) else None
                if not self._answer(near, head, body, fault):
                    return

    def _answer(self, near: socket.socket, head: bytes, body: bytes, fault: Fault | None) -> bool:
        """Whether the connection is of use after it."""
        kind = fault.kind if fault is not None else None
        if kind == "gone":
            self.vanish()
            return False
        if kind == "refused":
            return False
        if kind == "error":
            near.sendall(message(b"HTTP/1.1 500 Internal Server Error", b'{"message": "the disk is full"}'))
            return False
        if kind == "slow":
            self._over.wait()
            return False
        with socket.socket(socket.AF_UNIX) as far:
            far.connect(self.far)
            if b"/attach?" in head:
                return self._join(near, far, head, kind)
            far.sendall(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + body)
            answer = b""
            while part := far.recv(65536):
                answer += part
        if kind == "lost":
            return False
        if kind == "half":
            near.sendall(halved(answer))
            return False
        if kind == "lying" and fault is not None:
            answer = relied(answer, fault.lie)
        near.sendall(answer)
        return False

    def _join(self, near: socket.socket, far: socket.socket, head: bytes, kind: Kind | None) -> bool:
        """The stream of a container, both ways."""
        far.sendall(head)
        answer = far.recv(65536)
        if kind == "lost":
            return False
        near.sendall(halved(answer) if kind == "half" else answer)
        if kind == "half":
            return False
        back = threading.Thread(target=pour, args=(far, near), daemon=True)
        back.start()
        pour(near, far)
        back.join()
        return False


def halved(answer: bytes) -> bytes:
    """The beginning of an answer: of one without a body, of its status line, for the rest of the head says nothing."""
    return answer[: len(answer) // 2] if answer.partition(b"\r\n\r\n")[2] else answer[:10]


def pour(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def read_message(near: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        part = near.recv(65536)
        if not part:
            return b"", b""
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    found = re.search(rb"(?i)content-length: (\d+)", head)
    while found is not None and len(body) < int(found[1]):
        body += near.recv(65536)
    return head + b"\r\n\r\n", body


def message(status: bytes, body: bytes) -> bytes:
    head = [status, b"Content-Type: application/json", b"Content-Length: %d" % len(body), b"Connection: close"]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def relied(answer: bytes, lie: Lie) -> bytes:
    """The answer with another body."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"chunked" in head.lower():
        body = dechunked(body)
    return message(head.split(b"\r\n")[0], lie(body))


def dechunked(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        count = int(size, 16)
        whole, body = whole + rest[:count], rest[count + 2 :]
        if count == 0:
            break
    return whole


def changed(**fields: object) -> Lie:
    """A lie that changes fields of an object, by dotted name."""

    def lie(body: bytes) -> bytes:
        document = json.loads(body)
        for name, value in fields.items():
            target = document
            *path, last = name.split("__")
            for step in path:
                target = target[step]
            target[last] = value
        return json.dumps(document).encode()

    return lie


@contextlib.contextmanager
def between(folder: Path, far: str = REAL) -> Iterator[Between]:
    """The socket for the duration of the block, before the engine that listens at `far`."""
    found = Between(folder / "engine.sock", far)
    found.listen()
    thread = threading.Thread(target=found.serve, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.vanish()
        thread.join()
