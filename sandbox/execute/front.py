"""The program that ordinary programs in the container take for an HTTP proxy: it joins each to the broker's socket.

It imports the standard library only; the host reads it as text and never runs it. It understands nothing of what it
passes on, and gives no right that the tool has not: the tool can reach the socket itself.
Started by PID 1, with the listening socket as descriptor 3, before there is a call.
"""

from __future__ import annotations

import resource
import select
import socket

LISTENER = 3
BROKER = "/broker/socket"
CHUNK = 64 * 1024
MAX_ENDS = 128  # two for each program that is joined; others wait in the socket's own line
SPARE_FILES = 6  # the standard streams, the listener, and a connection that is being joined
BROKEN = select.POLLERR | select.POLLNVAL


class End:
    """One side of a joined pair: its socket, what is to be sent on it, and whether it still says something."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)  # noqa: FBT003  # the standard library's own signature
        self.connection = connection
        self.pending = b""
        self.speaks = True
        self.other = self

    def wants(self) -> int:
        """What to wait for: room for what is pending, and more of what it says once the other side has taken all."""
        listens = self.speaks and not self.other.pending
        return (select.POLLOUT if self.pending else 0) | (select.POLLIN if listens else 0)

    def move(self, event: int) -> None:
        """Moves what can be moved; OSError where the connection is broken."""
        if event & BROKEN:
            raise ConnectionError
        if event & select.POLLOUT:
            self.pending = self.pending[self.connection.send(self.pending) :]
        elif event & (select.POLLIN | select.POLLHUP):
            self.other.pending = self.connection.recv(CHUNK)
            self.speaks = bool(self.other.pending)
        for end in (self, self.other):
            if not end.pending and not end.other.speaks:
                end.connection.shutdown(socket.SHUT_WR)

    def is_over(self) -> bool:
        """Whether nothing can come any more, in either direction."""
        return not (self.speaks or self.other.speaks or self.pending or self.other.pending)


def main() -> None:
    """Joins programs to the broker until the container ends."""
    listener = socket.socket(fileno=LISTENER)
    most = min(MAX_ENDS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES)
    ends: dict[int, End] = {}
    while True:
        for number, event in waiting(listener, ends, most).poll():
            if number == LISTENER:
                ends |= join(listener)
            elif number in ends:
                serve(ends, number, event)


def waiting(listener: socket.socket, ends: dict[int, End], most: int) -> select.poll:
    """What to wait for now."""
    poll = select.poll()
    if len(ends) + 2 <= most:
        poll.register(listener, select.POLLIN)
    for number, end in ends.items():
        if wanted := end.wants():
            poll.register(number, wanted)
    return poll


def join(listener: socket.socket) -> dict[int, End]:
    """Both ends of a new pair by their descriptors; none where the broker takes no connection."""
    program, _ = listener.accept()
    broker = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        broker.connect(BROKER)
    except OSError:
        program.close()
        broker.close()
        return {}
    one, other = End(program), End(broker)
    one.other, other.other = other, one
    return {program.fileno(): one, broker.fileno(): other}


def serve(ends: dict[int, End], number: int, event: int) -> None:
    """One event of one end; a pair that is over, or broken, is closed."""
    end = ends[number]
    try:
        end.move(event)
        over = end.is_over()
    except OSError:
        over = True
    if over:
        for each in (end, end.other):
            ends.pop(each.connection.fileno(), None)
            each.connection.close()


if __name__ == "__main__":
    main()
