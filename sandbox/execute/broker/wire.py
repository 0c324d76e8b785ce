"""A socket whose every wait ends: bytes in, bytes out, each by a deadline."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Final

from sandbox.execute.broker.refused import Refused, Why

CHUNK: Final = 64 * 1024
"""Bytes that are read and passed on at once; what one request holds in memory."""

IDLE_S: Final = 30.0
"""In which the other side must send or take something; the call's own deadline is above it."""

LINGER_S: Final = 2.0
"""For the container to read why its request was refused while it still sends."""


@dataclass(frozen=True, slots=True)
class Wire:
    """One connection; `who` is at the other end, for messages."""

    socket: socket.socket
    who: str

    def receive(self, deadline: float | None = None) -> bytes:
        """The next bytes; empty at the end of the stream.

        Raises:
            Refused: nothing came for `IDLE_S`, or by the deadline (`time.monotonic`); or the connection broke.
        """
        self._wait_at_most(deadline)
        try:
            return self.socket.recv(CHUNK)
        except TimeoutError as error:
            raise Refused(Why.LATE, f"{self.who} sent nothing more in time") from error
        except (OSError, ssl.SSLError) as error:
            message = f"{self.who} broke the connection off: {_words(error)}"
            raise Refused(Why.UNREACHABLE, message) from error

    def send(self, data: bytes) -> None:
        """All of the bytes, if there are any. Raises Refused as `receive`."""
        if not data:
            return
        self._wait_at_most(None)
        try:
            self.socket.sendall(data)
        except TimeoutError as error:
            raise Refused(Why.LATE, f"{self.who} took nothing more in time") from error
        except (OSError, ssl.SSLError) as error:
            message = f"{self.who} broke the connection off: {_words(error)}"
            raise Refused(Why.UNREACHABLE, message) from error

    def linger(self) -> None:
        """Says that nothing follows, and throws away what still comes, so that what was said is read."""
        with contextlib.suppress(OSError, Refused):
            self.socket.shutdown(socket.SHUT_WR)
            deadline = time.monotonic() + LINGER_S
            while time.monotonic() < deadline and self.receive(deadline):
                pass

    def _wait_at_most(self, deadline: float | None) -> None:
        left = IDLE_S if deadline is None else min(IDLE_S, deadline - time.monotonic())
        if left <= 0:
            raise Refused(Why.LATE, f"{self.who} was too slow")
        self.socket.settimeout(left)


def _words(error: OSError) -> str:
    return error.strerror or type(error).__name__
