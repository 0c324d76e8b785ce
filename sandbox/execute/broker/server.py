"""The broker's process: takes its policy, lets go of its rights, and converses until its parent or its input ends.

Started as `python -P -m sandbox.execute.broker.server LISTENER JOURNAL`, the numbers of two inherited descriptors.
Standard input brings the policy, one line of JSON, and then stays open for as long as the call lives.
"""

from __future__ import annotations

import ctypes
import encodings.idna  # noqa: F401  # what the resolver loads late, when the package may be out of reach
import json
import os
import resource
import select
import socket
import sys
import threading
import time
from typing import Final, NoReturn, cast

from sandbox.execute.broker.conversation import Broker
from sandbox.execute.broker.journal import MAX_BYTES, Journal
from sandbox.execute.broker.reaching import client_context
from sandbox.ir import NetworkGrant, from_json

USER: Final = 61_001
"""No one's on the host, and not the containers'."""

MAX_AT_ONCE: Final = 16
"""Requests under way; what comes meanwhile waits in the socket's own line."""

MAX_REQUESTS: Final = 400
"""Of one call: all of them fit into its record. Then the socket is closed, so that a flood costs the host no more."""

MAX_MEMORY: Final = 1024 * 1024 * 1024
"""Bytes of address space, most of it stacks that are never touched."""

MAX_FILES: Final = 128
STACK: Final = 512 * 1024
WATCH_S: Final = 0.25
"""How often a thread that ended, or a parent that is gone, is noticed at the latest."""

FINISH_S: Final = 0.5
"""For requests under way when the call is over; one that still waits for its server is cut off: `unfinished`."""

NICENESS: Final = 5
"""Behind the gate itself, whatever containers ask for."""

_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38


def main() -> NoReturn:
    """One call's broker."""
    parent = os.getppid()
    listener = socket.socket(fileno=int(sys.argv[1]))
    broker = _broker(Journal(int(sys.argv[2])))
    _let_go()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    free = threading.Semaphore(MAX_AT_ONCE)
    threading.stack_size(STACK)
    _serve(broker, listener, free, parent)
    listener.close()
    _finish(free)
    os._exit(0)


def _broker(journal: Journal) -> Broker:
    policy = json.loads(sys.stdin.buffer.readline())
    grants = cast("tuple[NetworkGrant, ...]", from_json(policy["grants"]))
    secrets = {grant: secret for grant, secret in zip(grants, policy["secrets"], strict=True) if secret is not None}
    return Broker(grants, journal, client_context(), secrets)


def _let_go() -> None:
    """No memory that others may read, no more than it needs, and, where it was root, the rights of nobody."""
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in ((_PR_SET_DUMPABLE, 0), (_PR_SET_NO_NEW_PRIVS, 1)):
        if libc.prctl(option, value, 0, 0, 0) != 0:
            sys.exit("the broker cannot be confined")
    for kind, limit in (
        (resource.RLIMIT_AS, MAX_MEMORY),
        (resource.RLIMIT_NOFILE, MAX_FILES),
        (resource.RLIMIT_FSIZE, MAX_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (limit, limit))
    os.nice(NICENESS)
    os.chdir("/")
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # a change of the user may set it again


def _serve(broker: Broker, listener: socket.socket, free: threading.Semaphore, parent: int) -> None:
    """Converses with whoever connects, so many at once and so many in all; returns when the call is over."""
    taken = 0
    poll = select.poll()
    poll.register(0, select.POLLIN)
    while os.getppid() == parent:
        may_take = taken < MAX_REQUESTS and free.acquire(blocking=False)
        if may_take:
            poll.register(listener, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll(WATCH_S * 1000)}
        if may_take:
            poll.unregister(listener)
        if 0 in ready:
            return  # nothing is ever said after the policy: this is its end
        if not may_take or listener.fileno() not in ready:
            if may_take:
                free.release()
            continue
        connection, _ = listener.accept()
        taken += 1
        if taken == MAX_REQUESTS:
            listener.close()
        threading.Thread(target=_converse, args=(broker, connection, free), daemon=True).start()


def _finish(free: threading.Semaphore) -> None:
    """Waits for what is under way to be put on record: the container is gone, so most of it ends at once."""
    deadline = time.monotonic() + FINISH_S
    for _ in range(MAX_AT_ONCE):
        if not free.acquire(timeout=max(0.0, deadline - time.monotonic())):
            return


def _converse(broker: Broker, connection: socket.socket, free: threading.Semaphore) -> None:
    try:
        with connection:
            broker.converse(connection)
    finally:
        free.release()


if __name__ == "__main__":
    main()
