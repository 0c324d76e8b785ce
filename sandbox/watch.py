"""The kill switch while calls run: a thread that reads it, and kills what runs on permits that it has made void.

It reads without a lock, so that no writer delays it. A switch that cannot be read is taken to have been thrown.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Final

from sandbox.errors import SandboxError
from sandbox.events import emit
from sandbox.execute.runner import Runner
from sandbox.execute.stopping import Stoppable
from sandbox.state import Switch

POLL_S: Final = 0.25
"""From the throw of the switch to its notice, at most; a kill takes some 40 ms more."""

MAX_UNREAD: Final = 8
"""Times in a row that the switch may be unreadable before everything that runs is killed: two seconds."""


class Watch:
    """Watches the switch of one state for one gate. `runners` are asked for anew each time."""

    def __init__(self, read: Callable[[], Switch], runners: Callable[[], tuple[Runner, ...]]) -> None:
        self._read = read
        self._runners = runners
        self._running: dict[str, tuple[int, Runner]] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._unread = 0

    @contextlib.contextmanager
    def running(self, nonce: str, epoch: int, runner: Runner) -> Iterator[None]:
        """Has the execution of this permit killed if the switch is thrown, or was since the permit's epoch."""
        with self._lock:
            self._running[nonce] = (epoch, runner)
        try:
            yield
        finally:
            with self._lock:
                self._running.pop(nonce, None)

    def start(self) -> None:
        """Begins to watch, on a thread of its own."""
        self._thread = threading.Thread(target=self._watch, name="sandbox-switch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the watch."""
        self._over.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def look(self) -> None:
        """Reads the switch once, and does what it demands."""
        with self._lock:
            running = dict(self._running)
        kept = [runner for runner in self._runners() if isinstance(runner, Stoppable)]
        if not running and not kept:
            return  # nothing that could be killed
        switch = self._switch()
        if switch is not None and not switch.thrown and all(epoch == switch.epoch for epoch, _ in running.values()):
            return
        for nonce, (epoch, runner) in running.items():
            if (switch is None or switch.thrown or epoch != switch.epoch) and isinstance(runner, Stoppable):
                emit("gate.stopping", nonce=nonce)
                runner.kill(nonce)
        if switch is None or switch.thrown:
            for runner in kept:
                runner.empty()

    def _watch(self) -> None:
        while not self._over.wait(POLL_S):
            try:
                self.look()
            except Exception as error:  # noqa: BLE001  # a watch that ends would let calls run on
                emit("gate.watch_failed", reason=f"{type(error).__name__}: {error}")

    def _switch(self) -> Switch | None:
        """The switch; None where it cannot be read for so long that it may have been thrown."""
        try:
            switch = self._read()
        except SandboxError:
            self._unread += 1
            if self._unread < MAX_UNREAD:
                raise
            return None
        self._unread = 0
        return switch
