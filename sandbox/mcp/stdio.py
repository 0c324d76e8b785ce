"""The gateway on standard input and output: one client, one message a line.

The reader never waits for a call: calls run in a few threads, in front of which only so many requests may queue. When
the client's end of the input is closed, or the reader is told to stop, what runs still ends and is recorded.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from sandbox.events import emit
from sandbox.mcp.lines import TOO_LONG, Lines
from sandbox.mcp.wire import (
    BUSY,
    INVALID_REQUEST,
    Answer,
    Malformed,
    Notification,
    Request,
    error_of,
    read_message,
)
from sandbox.strict_json import MAX_MESSAGE_BYTES

MAX_IN_FLIGHT: Final = 32
"""Requests of one client that are not answered yet; more are refused at once."""
WORKERS: Final = 4
"""Calls of one client at the same time; those of a real server take turns anyway."""
CHUNK: Final = 64 * 1024

_SLOW: Final = frozenset(
    {"tools/call", "tools/list", "resources/read", "resources/list", "resources/templates/list"}
    | {"prompts/get", "prompts/list"}
)
"""Requests for which the real server may have to be started, or asked."""


class StdioServer:
    """Serves one client until its input ends."""

    def __init__(
        self, answer: Callable[[Request], bytes], read: Callable[[], bytes], write: Callable[[bytes], None]
    ) -> None:
        """`answer` gives the line that answers a request, and is called from several threads."""
        self._answer = answer
        self._read = read
        self._write_bytes = write
        self._writing = threading.Lock()
        self._open: dict[str, Future[None] | None] = {}
        self._opening = threading.Lock()
        self._gone = False

    def serve(self) -> None:
        """Reads until the end of the input; when this returns every call has ended.

        What was asked before the end is still answered, unless nobody reads the answers any more.
        """
        lines = Lines()
        with ThreadPoolExecutor(WORKERS, "sandbox-mcp") as workers:
            while not self._gone and (data := self._read()):
                for line in lines.feed(data):
                    self._take(line, workers)

    def _take(self, line: bytes, workers: ThreadPoolExecutor) -> None:
        if line == TOO_LONG:
            self._write(error_of(None, INVALID_REQUEST, f"a message of at most {MAX_MESSAGE_BYTES} bytes is accepted"))
            return
        match read_message(line):
            case Request() as request:
                self._request(request, workers)
            case Notification(method="notifications/cancelled", params=params):
                self._cancel(params.get("requestId"))
            case Malformed(code=code, message=message):
                self._write(error_of(None, code, message))
            case Notification() | Answer():
                pass  # nothing was asked of the client, and nothing that it may tell changes anything

    def _request(self, request: Request, workers: ThreadPoolExecutor) -> None:
        key = _key(request.id)
        with self._opening:
            if key in self._open:
                problem = error_of(
                    None, INVALID_REQUEST, "the `id` of a request that is not answered yet was used again"
                )
            elif len(self._open) >= MAX_IN_FLIGHT:
                problem = error_of(request.id, BUSY, f"{MAX_IN_FLIGHT} requests are in flight; wait for an answer")
            else:
                problem = b""
                self._open[key] = None
        if problem:
            self._write(problem)
        elif request.method in _SLOW:
            future = workers.submit(self._run, key, request)
            with self._opening:
                if key in self._open:
                    self._open[key] = future
        else:
            self._run(key, request)

    def _run(self, key: str, request: Request) -> None:
        if self._gone:
            return
        answer = self._answer(request)
        with self._opening:
            cancelled = key not in self._open
            self._open.pop(key, None)
        if not cancelled:
            self._write(answer)

    def stop(self) -> None:
        """No request that waits is begun any more."""
        self._gone = True

    def _cancel(self, id_: object) -> None:
        """A request that waits is dropped; one that runs goes on to its end, and is not answered."""
        if not isinstance(id_, str):
            return
        with self._opening:
            future = self._open.pop(_key(id_), None)
        if future is not None and future.cancel():
            emit("gateway.cancelled")

    def _write(self, data: bytes) -> None:
        with self._writing:
            try:
                self._write_bytes(data)
            except OSError:
                self._gone = True


def read_descriptor(descriptor: int) -> Callable[[], bytes]:
    """What reads the next bytes of a descriptor, b'' at its end."""
    return lambda: os.read(descriptor, CHUNK)


def write_descriptor(descriptor: int) -> Callable[[bytes], None]:
    """What writes all bytes to a descriptor."""

    def write(data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]

    return write


def _key(id_: str) -> str:
    """Tells the number 1 from the string "1"."""
    return f"{type(id_).__name__} {id_}"
