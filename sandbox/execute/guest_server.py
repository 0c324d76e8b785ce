"""The part of the first process in a container that passes bytes to and from a server, for as long as a session lasts.

As `guest`, it imports the standard library only, and the host reads it as text and never runs it. The server is
spawned, so it holds nothing of this process: no descriptor but its own three, and no key.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

STDOUT, STDERR = 2, 3
INPUT_HEADER = struct.Struct(">I")
INPUT_LIMIT = 64 * 1024  # bytes of one frame of input
PENDING_LIMIT = 1024 * 1024  # bytes that wait for a server which does not read; the host then waits as well
CHUNK = 64 * 1024
REAP_MS = 1_000  # how often orphans are collected
LOOK_MS = 50  # how often the program is looked at where nothing tells of its end
NO_PROGRAM = 127  # as a shell says it


def serve(words: list[str], send: Callable[[int, bytes], None], collect: Callable[[int], int | None]) -> int:
    """Runs the program until it ends; its exit code, negative for a signal. Ends this process if the host is gone."""
    child_in, stdin = os.pipe()
    stdout, child_out = os.pipe()
    stderr, child_err = os.pipe()
    actions = [
        (os.POSIX_SPAWN_DUP2, source, target) for source, target in ((child_in, 0), (child_out, 1), (child_err, 2))
    ]
    try:
        pid = os.posix_spawnp(
            words[0], words, os.environ, file_actions=actions, setsid=True, setsigdef=[signal.SIGPIPE, signal.SIGXFSZ]
        )
    except OSError as error:
        send(STDERR, f"{words[0]}: {error.strerror}".encode("utf-8", "backslashreplace"))
        return NO_PROGRAM
    for descriptor in (child_in, child_out, child_err):
        os.close(descriptor)
    return pump(pid, stdin, {stdout: STDOUT, stderr: STDERR}, send, collect)


def pump(
    pid: int,
    stdin: int,
    streams: dict[int, int],
    send: Callable[[int, bytes], None],
    collect: Callable[[int], int | None],
) -> int:
    """Passes input and output on until the program has ended and what it wrote has been read."""
    for descriptor in (0, stdin, *streams):
        os.set_blocking(descriptor, False)
    inlet = Inlet(stdin)
    ended = death_of(pid)
    poll = select.poll()
    for descriptor in (*ended, *streams):
        poll.register(descriptor, select.POLLIN)
    status: int | None = None
    while True:
        poll.register(0, 0 if inlet.is_full() else select.POLLIN)
        if inlet.pending and not inlet.closed:
            poll.register(stdin, select.POLLOUT)
        pause = REAP_MS if ended else LOOK_MS
        events = dict(poll.poll(0 if status is not None else pause))
        if 0 in events and not inlet.take():
            os._exit(1)  # the host is gone: with PID 1 everything here ends
        if stdin in events:
            poll.unregister(stdin)
            inlet.pour()
        for descriptor, kind in streams.items():
            if descriptor in events:
                data = os.read(descriptor, CHUNK)
                if data:
                    send(kind, data)
                else:
                    poll.unregister(descriptor)
        if status is not None and not set(events) & set(streams):
            return status
        if status is None:
            status = collect(pid)


def death_of(pid: int) -> tuple[int, ...]:
    """A descriptor that tells of the end of a child; none where the kernel has no such thing, as gVisor's may not."""
    try:
        return (os.pidfd_open(pid),)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        return ()


class Inlet:
    """What the host sends for the program's standard input, out of its frames, until the program reads it."""

    def __init__(self, stdin: int) -> None:
        self.stdin = stdin
        self.closed = False
        self.pending = bytearray()
        self._frames = bytearray()

    def is_full(self) -> bool:
        """Whether the host must wait."""
        return len(self.pending) > PENDING_LIMIT

    def take(self) -> bool:
        """Reads what has come; False at the end of the stream, or for what is no frame."""
        if self.is_full():
            return False  # nothing was awaited: the stream was hung up
        try:
            data = os.read(0, CHUNK)
        except BlockingIOError:
            return True
        self._frames += data
        while len(self._frames) >= INPUT_HEADER.size:
            (size,) = INPUT_HEADER.unpack_from(self._frames)
            if size > INPUT_LIMIT:
                return False
            end = INPUT_HEADER.size + size
            if len(self._frames) < end:
                break
            if not self.closed:
                self.pending += self._frames[INPUT_HEADER.size : end]
            del self._frames[:end]
        return bool(data)

    def pour(self) -> None:
        """Writes what the program takes; one that has closed its input gets no more."""
        try:
            del self.pending[: os.write(self.stdin, self.pending[:CHUNK])]
        except BlockingIOError:
            return
        except OSError:
            self.closed = True
            self.pending.clear()
