"""Several clients of one gateway, each with a real server of its own; one gate, one state and one record for all.

A client that begins with `initialize` has a session, which its answers name by an id that nobody can guess. In the
version without sessions each request stands alone, and so does the server behind it: it is started for that request.
It has no `session.id` but the one that the host gives to all: with a new one each would have budgets of its own.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final, Protocol

from sandbox.call import Outcome, Permit
from sandbox.errors import EnvironmentLacking
from sandbox.events import emit
from sandbox.execute.runner import ChangeJudge, Prepared
from sandbox.gate import Gate
from sandbox.ir import Contract, Tool
from sandbox.mcp.beginning import Client
from sandbox.mcp.gateway import Gateway
from sandbox.mcp.session import ServerSession
from sandbox.mcp.wire import Request
from sandbox.session import Session

MAX_SESSIONS: Final = 8
"""Clients at the same time: each has a container, and a person rarely has more editors open."""
IDLE_S: Final = 1_800
"""A session of which nothing was heard for so long is over; a client then begins anew."""

StartServer = Callable[[], ServerSession | None]


class Facts(Protocol):
    """What the host says of a client. A request that stands `alone` is of no session, and none is made up for it."""

    def __call__(self, *, alone: bool) -> Session:
        """The facts of one more session, or of one request."""
        ...


_CURRENT: ContextVar[ServerSession | None] = ContextVar("server", default=None)


class CurrentServer:
    """The runner that a shared gate forwards to: the server of the session in whose name this thread is at work.

    The kill switch is thrown from another thread, and for all sessions.
    """

    def __init__(self) -> None:
        self._open: set[ServerSession] = set()
        self._lock = threading.Lock()

    def add(self, server: ServerSession) -> None:
        """One more session has a server."""
        with self._lock:
            self._open.add(server)

    def discard(self, server: ServerSession) -> None:
        """The session of this server is over."""
        with self._lock:
            self._open.discard(server)

    def kill(self, nonce: str) -> None:
        """Ends the call with this permit, in whichever session it runs."""
        for server in self._all():
            server.kill(nonce)

    def empty(self) -> None:
        """Ends every server that waits for calls."""
        for server in self._all():
            server.empty()

    def _all(self) -> tuple[ServerSession, ...]:
        with self._lock:
            return tuple(self._open)

    def prepare(self, contract: Contract, tool: Tool) -> Prepared:
        """As the session's own server."""
        return _current().prepare(contract, tool)

    def run(
        self, permit: Permit, contract: Contract, tool: Tool, now_ms: int, judge: ChangeJudge | None = None
    ) -> Outcome:
        """As the session's own server."""
        return _current().run(permit, contract, tool, now_ms, judge)


class _Session:
    """One client, its gateway, its server."""

    def __init__(self, sessions: Sessions, server: ServerSession | None, *, alone: bool = False) -> None:
        self.client = Client()
        self.server = server
        self.heard = time.monotonic()
        self._forward = sessions.forward
        if server is not None:
            self._forward.add(server)
        self._gateway = Gateway(sessions.gate, server, sessions.facts(alone=alone), people=sessions.people)

    def answer(self, request: Request) -> bytes:
        self.heard = time.monotonic()
        token = _CURRENT.set(self.server)
        try:
            return self._gateway.answer(self.client, request)
        finally:
            _CURRENT.reset(token)
            self.heard = time.monotonic()

    def close(self) -> None:
        if self.server is not None:
            self._forward.discard(self.server)
            self.server.close()

    def abort(self) -> None:
        if self.server is not None:
            self.server.abort()


@dataclass(slots=True)
class Sessions:
    """All clients of one gateway. `people` says that the gate has somebody to ask. Thread-safe."""

    gate: Gate
    forward: CurrentServer
    start: StartServer
    facts: Facts
    people: bool = False
    _open: dict[str, _Session] = field(default_factory=dict)
    _brief: set[_Session] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, request: Request) -> tuple[str | None, bytes] | None:
        """A session that begins with this `initialize`: its id, if it has begun, and the answer; None: too many."""
        session = _Session(self, self.start())
        answer = session.answer(request)
        if session.client.era != "handshake":
            session.close()
            return None, answer
        name = secrets.token_urlsafe(32)
        with self._lock:
            if len(self._open) < MAX_SESSIONS:
                self._open[name] = session
                return name, answer
        session.close()
        return None

    def answer(self, name: str, request: Request) -> bytes | None:
        """The answer within a session, or None where there is none of this id."""
        with self._lock:
            session = self._open.get(name)
        return None if session is None else session.answer(request)

    def alone(self, request: Request) -> bytes | None:
        """The answer to a request that stands alone, from a server that was started for it; None: too many at once."""
        session = _Session(self, self.start(), alone=True)
        try:
            with self._lock:
                if len(self._brief) >= MAX_SESSIONS:
                    return None
                self._brief.add(session)
            return session.answer(request)
        finally:
            with self._lock:
                self._brief.discard(session)
            session.close()

    @contextmanager
    def only(self, server: ServerSession | None) -> Iterator[tuple[Callable[[Request], bytes], Callable[[], None]]]:
        """The one session of a client that has the gateway for itself: what answers it, and what kills its server."""
        session = _Session(self, server)
        try:
            yield session.answer, session.abort
        finally:
            session.close()

    def end(self, name: str) -> bool:
        """Ends a session; whether there was one."""
        with self._lock:
            session = self._open.pop(name, None)
        if session is not None:
            session.close()
        return session is not None

    def end_idle(self) -> None:
        """Ends the sessions of which nothing was heard for long."""
        late = time.monotonic() - IDLE_S
        with self._lock:
            idle = [name for name, session in self._open.items() if session.heard < late]
        for name in idle:
            emit("gateway.idle")
            self.end(name)

    def abort(self) -> None:
        """Kills every server, whatever call it is in."""
        with self._lock:
            sessions = [*self._open.values(), *self._brief]
        for session in sessions:
            session.abort()

    def close(self) -> None:
        """Ends every session; their containers are gone when this returns."""
        with self._lock:
            names = list(self._open)
        for name in names:
            self.end(name)


def _current() -> ServerSession:
    server = _CURRENT.get()
    if server is None:
        message = "there is no real server behind this gateway"
        raise EnvironmentLacking(message, "mcp.closed")
    return server
