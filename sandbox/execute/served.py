"""A container in which a server lives for one client session: verified like any other, then bytes go both ways.

The server reads and writes plain streams; the first process in the container wraps them in frames, as it does for
a call, and ends with everything in there when the host's end of the stream is gone.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from sandbox.errors import SandboxFailure
from sandbox.execute.config import ContainerConfig, Placement
from sandbox.execute.container import Ready, make_ready
from sandbox.execute.engine import Engine, new_name
from sandbox.execute.protocol import END, KEY_SIZE, STDERR, STDOUT, input_frames, one_line, read_ending, server_frame
from sandbox.execute.stopping import Execution

SEND_TIMEOUT_S: Final = 10
"""For the first frame, to a runner that reads it at once."""

STDERR_KEPT: Final = 4_000
"""Bytes of the server's latest stderr: what explains its end."""


@dataclass(slots=True)
class ServedContainer:
    """A started server. Not thread-safe: whoever uses it takes turns. `ended` says how the server ended, '' before."""

    _engine: Engine
    _name: str
    _ready: Ready
    ended: str = ""
    stderr: bytearray = field(default_factory=bytearray)

    @classmethod
    def start(
        cls, engine: Engine, config: ContainerConfig, placement: Placement, words: Sequence[str]
    ) -> ServedContainer:
        """A container that is as asked by both accounts, and in it the program, started.

        Raises:
            SandboxFailure: the engine failed, or the container is not as asked; nothing is left of it.
        """
        name = new_name()
        try:
            ready = make_ready(engine, config, placement, name)
            served = cls(engine, name, ready)
            key = secrets.token_bytes(KEY_SIZE)
            ready.stream.send(server_frame(list(words), key), time.monotonic() + SEND_TIMEOUT_S)
            ready.reader.key = key
        except BaseException:
            with contextlib.suppress(SandboxFailure):  # the failure that led here is the one to report
                engine.remove(name)
            raise
        return served

    def send(self, data: bytes, deadline: float) -> None:
        """All of the bytes to the server's standard input, by the deadline (`time.monotonic`).

        Raises:
            SandboxFailure: the server does not read, or is gone.
        """
        self._ready.stream.send(input_frames(data), deadline)

    def receive(self, deadline: float) -> bytes | Literal["late"] | None:
        """The next bytes of the server's standard output; `late` at the deadline, None once it has ended.

        Raises:
            SandboxFailure: the container sent what its first process does not send.
        """
        while not self.ended:
            data = self._ready.stream.receive(deadline)
            if data == "late":
                return "late"
            if data is None:
                self.ended = "the container ended"
                break
            said = bytearray()
            for frame in self._ready.reader.feed(data):
                if frame.kind == STDOUT:
                    said += frame.payload
                elif frame.kind == STDERR:
                    self._keep(frame.payload)
                elif frame.kind == END:
                    self.ended = _ending(frame.payload)
            if said:
                return bytes(said)
        return None

    def pause(self) -> None:
        """Freezes the server."""
        self._engine.pause(self._ready.container)

    def unpause(self) -> None:
        """Lets it go on."""
        self._engine.unpause(self._ready.container)

    def occupy(self, execution: Execution) -> None:
        """Lets the container be killed with this execution; SandboxFailure if that was killed already."""
        execution.occupy(self._engine, self._ready.container)

    def kill(self) -> None:
        """Ends everything in the container, from any thread; whoever listens to it hears its end."""
        with contextlib.suppress(SandboxFailure):  # it ends itself when its stream is closed
            self._engine.kill(self._ready.container)

    def close(self) -> None:
        """Kills the server and removes its container; a second time does nothing.

        Raises:
            SandboxFailure: the engine could not; the container ends itself all the same, for its stream is closed.
        """
        self._ready.stream.close()
        self.ended = self.ended or "the session is over"
        self._engine.remove(self._name)

    def last_words(self) -> str:
        """The end of the server's stderr, on one printable line."""
        return one_line(self.stderr.decode("utf-8", "backslashreplace").strip())

    def _keep(self, data: bytes) -> None:
        self.stderr += data
        del self.stderr[:-STDERR_KEPT]


def _ending(payload: bytes) -> str:
    ending, out_of_memory = read_ending(payload, 0)
    reason = getattr(ending, "reason", "the server ended")
    return f"{reason} (a process was killed for want of memory)" if out_of_memory > 0 else reason
