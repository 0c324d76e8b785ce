"""Executions that can be killed from another thread: by the nonce of their permit, whatever they are waiting for."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

from sandbox.call import Outcome
from sandbox.errors import SandboxFailure
from sandbox.execute.engine import Engine

REASON = "the kill switch was thrown while the call ran"


@runtime_checkable
class Stoppable(Protocol):
    """A runner whose executions can be killed. Both are safe from any thread, and do nothing where nothing is."""

    def kill(self, nonce: str) -> None:
        """Ends the execution of this permit: at once where its container runs, else before it would start."""
        ...

    def empty(self) -> None:
        """Throws away what waits for calls; nothing is kept ready until somebody asks again."""
        ...


@dataclass(slots=True)
class Execution:
    """One permitted call on its way through a runner. `container` is told when there is one to kill."""

    killed: bool = False
    _engine: Engine | None = None
    _container: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def occupy(self, engine: Engine, container: str) -> None:
        """The container that runs it, or is about to be made; raises SandboxFailure if it was killed already."""
        with self._lock:
            self._engine, self._container = engine, container
        self.check()

    def kill(self) -> None:
        """Ends it; what the engine fails to kill is killed again at the next time of asking."""
        with self._lock:
            self.killed = True
            engine, container = self._engine, self._container
        if engine is not None:
            with contextlib.suppress(SandboxFailure):
                engine.kill(container)

    def check(self) -> None:
        """Returns if it may go on; raises SandboxFailure, `sandbox_failure.stopped`, if it was killed."""
        if self.killed:
            raise SandboxFailure(REASON, "sandbox_failure.stopped")

    def judge(self, outcome: Outcome) -> Outcome:
        """The outcome, `killed` if it was: also of a call that had ended by itself, for nothing of it is to be kept."""
        if not self.killed:
            return outcome
        return replace(outcome, status="killed", reason_code="sandbox_failure.stopped", reason=REASON, result=None)


class Executions:
    """Those of one runner, by nonce. Thread-safe."""

    def __init__(self) -> None:
        self._running: dict[str, Execution] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def of(self, nonce: str) -> Iterator[Execution]:
        """An execution for as long as the context lasts."""
        execution = Execution()
        with self._lock:
            self._running[nonce] = execution
        try:
            yield execution
        finally:
            with self._lock:
                self._running.pop(nonce, None)

    def kill(self, nonce: str) -> None:
        """Kills the one of this nonce, if it is there."""
        with self._lock:
            execution = self._running.get(nonce)
        if execution is not None:
            execution.kill()
