"""Where the prover's children come from: one process that has loaded the solvers, and forks for every order.

Each child begins in the very same state, so that what it finds does not depend on what was asked before it; and it
begins at once, for loading takes longer than most proofs. The process that forks has one thread, and no context of Z3.

The parent asks for a child over a socket, with the ends of two pipes, and gets a descriptor that stands for the child
and for nobody else, by which it kills it. When the socket ends, the process kills every child, reaps them and ends; a
child of which both are gone is ended by the limit on its own time.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final, NoReturn

from sandbox.errors import Fault

START_S: Final = 60.0
"""Seconds for the process to load, and to fork: a loaded machine may take long, but not for ever."""

PROGRAM: Final = ("-m", "sandbox.prove.nursery")
"""What Python runs; `-P` keeps the current directory, which may be a model's workspace, out of its import path."""

END_S: Final = 5.0
"""Seconds for the process to reap its children; then it is killed."""

_FORK: Final = b"f"
_BORN: Final = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Child:
    """A process that waits for one order on `stdin`, replies on `stdout`, and ends."""

    pid: int
    handle: int
    stdin: FileIO
    stdout: FileIO

    def kill(self) -> None:
        """End it, if it has not ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.handle, signal.SIGKILL)


class Nursery:
    """The parent's side; thread-safe. The process starts with the first child, and anew when it is gone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def child(self) -> Child:
        """A child that waits for its order. Raises OSError, EOFError or Fault if there is none to be had."""
        order, reply = os.pipe(), os.pipe()
        try:
            with self._lock:
                pid, handle = self._forked(order[0], reply[1])
        except BaseException:
            for end in (order[1], reply[0]):
                os.close(end)
            raise
        finally:
            for end in (order[0], reply[1]):
                os.close(end)
        return Child(pid, handle, FileIO(order[1], "wb"), FileIO(reply[0], "rb"))

    def bury(self, child: Child) -> None:
        """Kill a child and close what led to it; it is reaped before the next one is born, or at the end."""
        child.kill()
        for pipe in (child.stdin, child.stdout):
            pipe.close()
        os.close(child.handle)

    def close(self) -> None:
        """End the process, and with it every child that still runs."""
        with self._lock:
            self._end()

    def _forked(self, order: int, reply: int) -> tuple[int, int]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            try:
                self._start()
            except OSError:
                self._end()
                raise
        if self._socket is None:
            message = "there is no process to fork"
            raise Fault(message)
        try:
            socket.send_fds(self._socket, [_FORK], [order, reply])
            return _born(self._socket)
        except BaseException:
            self._end()  # whatever comes late is the answer to nothing that is asked again
            raise

    def _start(self) -> None:
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        ours, theirs = socket.socketpair()
        self._socket = ours
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, a module of this package
                [sys.executable, "-P", *PROGRAM],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0"},
                start_new_session=True,
            )
        ours.settimeout(START_S)

    def _end(self) -> None:
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            try:
                self._process.wait(END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._socket, self._process = None, None


def _born(peer: socket.socket) -> tuple[int, int]:
    """The number of a new child, and the descriptor that stands for it."""
    message, handles, _, _ = socket.recv_fds(peer, _BORN.size, 1)
    if not message:
        raise EOFError
    if len(message) == _BORN.size and len(handles) == 1:
        return int(_BORN.unpack(message)[0]), handles[0]
    for handle in handles:
        os.close(handle)
    fault = "the process that forks answers oddly"
    raise Fault(fault)


# --- the process that forks --------------------------------------------------------------------------


def serve() -> None:
    """Fork a child for every request, until the socket ends."""
    from sandbox.prove import attempt, recheck, worker  # noqa: PLC0415 - loaded once, for every child

    _ = attempt, recheck
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # were it ignored, as it is inherited, nothing could be reaped
    born: set[int] = set()
    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as parent:
        try:
            while pipes := _requested(parent):
                born -= {pid for pid in born if os.waitpid(pid, os.WNOHANG)[0]}
                pid = os.fork()
                if not pid:
                    parent.close()
                    _become(worker.serve, pipes)
                born.add(pid)
                for pipe in pipes:
                    os.close(pipe)
                handle = os.pidfd_open(pid)  # it is not reaped yet, so the number is still its own
                socket.send_fds(parent, [_BORN.pack(pid)], [handle])
                os.close(handle)
        finally:
            for pid in born:
                os.kill(pid, signal.SIGKILL)
            for pid in born:
                os.waitpid(pid, 0)


def _requested(parent: socket.socket) -> list[int]:
    """The two pipes of a child that is asked for; none at the parent's end."""
    message, pipes, _, _ = socket.recv_fds(parent, len(_FORK), 2)
    if not message:
        return []
    if message == _FORK and len(pipes) == 2:  # noqa: PLR2004 - its stdin and its stdout
        return pipes
    fault = "what is asked for is no child"  # with its own socket for a pipe, a child would take others' requests
    raise Fault(fault)


def _become(work: Callable[[], None], pipes: list[int]) -> NoReturn:
    """The child: its pipes are its stdin and stdout; whatever happens, it does not go back to forking."""
    try:
        for standard, pipe in enumerate(pipes):
            os.dup2(pipe, standard)
            os.close(pipe)
        work()
    finally:
        os._exit(0)


if __name__ == "__main__":
    serve()
