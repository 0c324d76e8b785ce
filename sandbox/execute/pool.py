"""The runner whose containers wait for their call: made and checked beforehand, used once, removed afterwards.

::

    filler ─ make, inspect, start, hello ─▶ shelf ─ alive? ─▶ one call ─▶ heap ─▶ remover

A container that has got a call never comes back. A call on a workspace is started cold, for its view is made for it and
a container cannot get a mount later. One lock guards all that is counted here; nothing waits for the engine under it.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final, Literal, NoReturn, Self, TypeAlias

from sandbox.call import Outcome, Permit
from sandbox.errors import SandboxError, SandboxFailure, UsageError
from sandbox.events import emit
from sandbox.execute.cold import ColdRunner, Job, check_expiry, check_permit, not_started
from sandbox.execute.config import Isolation, Placement
from sandbox.execute.container import make_ready, run_ready
from sandbox.execute.engine import Engine, new_name
from sandbox.execute.meter import Meter, PoolStats, spread
from sandbox.execute.owner import Owner
from sandbox.execute.protocol import one_line
from sandbox.execute.runner import ChangeJudge, Prepared
from sandbox.execute.shelf import IDLE_S, LIFE_S, REST_S, RETRY_S, Kind, Shelf, Waiting, kind_of
from sandbox.execute.source import snapshot
from sandbox.execute.stopping import Execution, Executions
from sandbox.ir import Contract, RunHost, Tool

SIZE: Final = 4
"""Containers of one kind that are kept ready; each holds about 10 MB."""

FILLERS: Final = 2
"""Threads that make containers. Measured on 2 cores: two make 9 to 10 a second, one makes 6, four make no more."""

QUEUE: Final = 32
"""Callers that may stand in line for one kind: what two fillers make in a few seconds."""

WAIT_S: Final = 10.0
"""For a container; a third of the life of a permit, so that a caller learns of it while it can still act."""

WARM_TIMEOUT_S: Final = 120.0
"""For filling every shelf of a spec; a container takes a fifth of a second where nothing else runs."""

SPARE_S: Final = 60
"""By which a container outwaits its life on the shelf: it ends itself only where its owner is there and stuck."""

HEAP: Final = 32
"""Containers that wait for their removal; while there are more none are made, so that they cannot pile up."""

IMAGE_S: Final = 5.0
"""For how long an image's name is taken to stand for what it stood for: asking the engine costs a call 1 to 3 ms."""

LABEL: Final = "pool"
"""In the place of a call's digest: which call it will be is not known yet."""

WhenExhausted: TypeAlias = Literal["refuse", "cold"]


@dataclass(frozen=True, slots=True)
class _Doomed:
    """A container that is to be removed, by whom, and not before when (`time.monotonic`)."""

    engine: Engine
    name: str
    rest_until: float = 0.0


class PoolRunner:
    """One hardened container a call, started before the call came. Safe to share between threads; a context manager.

    `size` containers of each kind are kept ready, made by `fillers` threads. A call that finds none stands in line
    with at most `queue` others, for at most `wait_s` seconds; then it is refused with
    `sandbox_failure.pool_exhausted` and has spent nothing, or started cold if `when_exhausted` says so.
    `isolation` is the least that any tool gets; a tool that demands more has containers, and a shelf, of its own.
    Its containers end with its process, whatever ends that; `close` removes them.

    Raises:
        UsageError: a number is out of range.
    """

    def __init__(
        self,
        *,
        size: int = SIZE,
        fillers: int = FILLERS,
        queue: int = QUEUE,
        wait_s: float = WAIT_S,
        when_exhausted: WhenExhausted = "refuse",
        engine: Engine | None = None,
        isolation: Isolation = "container",
    ) -> None:
        for name, value in (("size", size), ("fillers", fillers), ("queue", queue)):
            if value < 1:
                message = f"`{name}` of a pool must be at least 1, and is {value}"
                raise UsageError(message, "run.pool_setting")
        self._size = size
        self._fillers = fillers
        self._queue = queue
        self._wait_s = wait_s
        self._when_exhausted = when_exhausted
        self._cold = ColdRunner(engine, isolation=isolation)
        self._executions = Executions()
        self._changed = threading.Condition()
        self._shelves: dict[Kind, Shelf] = {}
        self._held: set[Waiting] = set()
        self._heap: deque[_Doomed] = deque()
        self._left: list[str] = []
        self._images: dict[str | None, tuple[str, float]] = {}
        self._meter = Meter()
        self._calls = 0
        self._pid: int | None = None
        self._threads: list[threading.Thread] = []
        self._remover: threading.Thread | None = None
        self._ending = threading.Lock()
        self._closing = False
        self._drained = False

    # --- what users call -------------------------------------------------------------------------

    def prepare(self, contract: Contract, tool: Tool) -> Prepared:
        """What a permit for this tool must bind; starts nothing. Raises as `Runner.prepare` says."""
        with self._in_flight():
            asked_at, name = time.monotonic(), tool.run.image if tool.run is not None else None
            known = self._known_image(name)
            job = self._cold.job(contract, tool, known)
            if known is None:
                with self._changed:
                    self._images[name] = job.image, asked_at
            return job.prepared

    def run(
        self, permit: Permit, contract: Contract, tool: Tool, now_ms: int, judge: ChangeJudge | None = None
    ) -> Outcome:
        """Runs the permitted call once, in a container that has waited for it and is removed soon after."""
        begun = time.monotonic()
        with self._executions.of(permit.nonce) as execution, ExitStack() as stack:
            try:
                stack.enter_context(self._in_flight())
                waiting = self._obtain(permit, contract, tool, now_ms, execution)
            except SandboxError as error:  # and none that comes later, for then something may have started
                return execution.judge(not_started(error))
            if waiting is None:
                return self._run_cold(permit, contract, tool, _later(now_ms, begun), judge)
            return execution.judge(self._use(waiting, permit, tool, _later(now_ms, begun), execution))

    def kill(self, nonce: str) -> None:
        """Ends the execution of this permit, also one that stands in line."""
        self._executions.kill(nonce)
        self._cold.kill(nonce)
        with self._changed:
            self._changed.notify_all()

    def empty(self) -> None:
        """Throws away every container that waits; none is made until a call, or `warm`, asks for its kind again."""
        with self._changed:
            for kind, shelf in list(self._shelves.items()):
                while shelf.waiting:
                    self._discard(shelf.waiting.popleft())
                if not shelf.making and not shelf.line:
                    del self._shelves[kind]
                else:
                    shelf.used_at = -IDLE_S  # idle from now on: what is being made is thrown away when it comes
            self._changed.notify_all()

    def warm(self, contract: Contract, *, timeout_s: float = WARM_TIMEOUT_S) -> None:
        """Fills the pool for every tool of this contract that can use it; returns when it is full.

        Raises:
            EnvironmentLacking, UsageError: as `Runner.prepare` says, of any of these tools.
            SandboxFailure: a container could not be made, or not in time.
        """
        with self._in_flight():
            jobs = [self._cold.job(contract, tool) for tool in contract.tools if is_pooled(tool)]
            deadline = time.monotonic() + timeout_s
            with self._changed:
                shelves = [(shelf, shelf.failures) for shelf in (self._shelf_for(job) for job in jobs)]
                while not all(len(shelf.waiting) >= self._size for shelf, _ in shelves):
                    for shelf, failures in shelves:
                        _raise_failure(shelf, failures)
                    self._pause(deadline, f"the pool was not full after {timeout_s} s")

    def stats(self) -> PoolStats:
        """What the pool holds, has done, and how long that took."""
        with self._changed:
            meter, shelves = self._meter, self._shelves.values()
            return PoolStats(
                waiting=sum(len(shelf.waiting) for shelf in shelves),
                making=sum(shelf.making for shelf in shelves),
                running=len(self._held),
                queued=sum(len(shelf.line) for shelf in shelves),
                made=meter.made,
                destroyed=meter.destroyed,
                died=meter.died,
                aged=meter.aged,
                failed=meter.failed,
                exhausted=meter.exhausted,
                cold=meter.cold,
                wait=spread(meter.wait_ms),
                service=spread(meter.service_ms),
                make=spread(meter.make_ms),
                refill_per_second=meter.refill_per_second(self._fillers),
            )

    def close(self) -> None:
        """Refuses further calls, waits for those that run, and removes every container. In a forked child: nothing.

        Raises:
            SandboxFailure: the engine did not remove some of them; they have ended, and the next start removes them.
        """
        if self._pid not in {None, os.getpid()}:
            return
        with self._ending:
            self._drain()
        atexit.unregister(self.close)
        left, self._left = self._left, []
        if left:
            message = f"the engine did not remove {', '.join(left)}; the next start does"
            raise SandboxFailure(message, "sandbox_failure.engine")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- a call ----------------------------------------------------------------------------------

    @contextmanager
    def _in_flight(self) -> Iterator[None]:
        """Counts who is in here, so that `close` can wait for them; the threads start with the first."""
        if self._pid not in {None, os.getpid()}:  # before the lock, which a fork may have copied while it was held
            message = "the pool belongs to the process that first used it; open one of your own after a fork"
            raise UsageError(message, "run.pool_forked")
        with self._changed:
            self._refuse_if_closed()
            self._start_threads()
            self._calls += 1
        try:
            yield
        finally:
            with self._changed:
                self._calls -= 1
                self._changed.notify_all()

    def _refuse_if_closed(self) -> None:
        if self._closing:
            message = "the pool is closed"
            raise UsageError(message, "run.pool_closed")

    def _permitted_image(self, permit: Permit, tool: Tool) -> str | None:
        """The image that the permit binds, if containers of it wait under the tool's own name for it."""
        image = f"sha256:{permit.image_digest}"
        name = tool.run.image if tool.run is not None else None
        with self._changed:
            jobs = [shelf.job for shelf in self._shelves.values() if shelf.waiting]
        return image if any(job.image == image and job.run.image == name for job in jobs) else None

    def _known_image(self, name: str | None) -> str | None:
        """The image that this name stood for at most `IMAGE_S` ago; None where nobody has asked since."""
        with self._changed:
            image, asked_at = self._images.get(name, ("", -IMAGE_S))
        return image if image and time.monotonic() < asked_at + IMAGE_S else None

    def _look_up(self, name: str | None) -> None:
        """Asks what image the name stands for, so that no call has to."""
        asked_at = time.monotonic()
        try:
            image = self._cold.image(name)
        except SandboxError:  # then the next call asks itself
            image = ""
        with self._changed:
            self._images[name] = image, asked_at

    def _run_cold(
        self, permit: Permit, contract: Contract, tool: Tool, now_ms: int, judge: ChangeJudge | None
    ) -> Outcome:
        with self._changed:
            self._meter.cold += 1
        return self._cold.run(permit, contract, tool, now_ms, judge)

    def _obtain(
        self, permit: Permit, contract: Contract, tool: Tool, now_ms: int, execution: Execution
    ) -> Waiting | None:
        """A container for the permitted call; None to start cold. Raises as `_take` and `check_permit`."""
        if not is_pooled(tool):
            return None
        job = self._cold.job(contract, tool, self._permitted_image(permit, tool))
        check_permit(permit, job.prepared, contract, tool, now_ms)
        try:
            return self._take(job, min(self._wait_s, (permit.expires_at_ms - now_ms) / 1000), execution)
        except SandboxFailure as failure:
            if failure.reason_code == _EXHAUSTED and self._when_exhausted == "cold":
                return None
            raise

    def _take(self, job: Job, wait_s: float, execution: Execution) -> Waiting:
        """A container for one call, which is then held by its caller: first come, first served.

        Raises:
            SandboxFailure: none came in time, too many wait already, or none can be made.
            UsageError: the pool was closed meanwhile.
        """
        begun = time.monotonic()
        place = object()
        with self._changed:
            shelf = self._shelf_for(job)
            if len(shelf.line) >= self._queue:
                self._exhausted(f"{len(shelf.line)} callers wait for a container already")
            shelf.line.append(place)
            failures = shelf.failures
            self._changed.notify_all()
            try:
                while shelf.line[0] is not place or (found := self._pop_alive(shelf)) is None:
                    execution.check()
                    _raise_failure(shelf, failures)
                    self._pause(begun + wait_s, f"no container was ready within {wait_s:g} s")
            finally:
                shelf.line.remove(place)
                self._changed.notify_all()
            shelf.rest_until = time.monotonic() + REST_S
            self._held.add(found)
            self._meter.wait_ms.append((time.monotonic() - begun) * 1000)
            return found

    def _use(self, waiting: Waiting, permit: Permit, tool: Tool, now_ms: int, execution: Execution) -> Outcome:
        begun = time.monotonic()
        try:
            try:
                check_expiry(permit, now_ms)
                execution.occupy(waiting.engine, waiting.name)
            except SandboxFailure as error:
                return not_started(error)
            return run_ready(waiting.engine, waiting.ready, permit.call, tool)
        finally:
            with self._changed:
                self._held.discard(waiting)
                self._discard(waiting, REST_S)
                self._meter.service_ms.append((time.monotonic() - begun) * 1000)

    def _shelf_for(self, job: Job) -> Shelf:
        shelf = self._shelves.setdefault(kind_of(job), Shelf(job, 0.0))
        shelf.used_at = time.monotonic()
        self._changed.notify_all()
        return shelf

    def _pop_alive(self, shelf: Shelf) -> Waiting | None:
        """The one that has waited longest, if it still does; those that died are thrown away."""
        self._throw_aged(shelf, time.monotonic())
        while shelf.waiting:
            found = shelf.waiting.popleft()
            if found.is_alive():
                return found
            self._meter.died += 1
            self._discard(found)
        return None

    def _pause(self, deadline: float, message: str) -> None:
        """Waits for a change; raises at the deadline, and when the pool is being closed."""
        self._refuse_if_closed()
        if not self._changed.wait(deadline - time.monotonic()):
            self._exhausted(message)

    def _exhausted(self, what: str) -> NoReturn:
        self._meter.exhausted += 1
        message = f"{what}; try again, or open the pool with a larger `size`"
        raise SandboxFailure(message, _EXHAUSTED)

    # --- the fillers -----------------------------------------------------------------------------

    def _fill(self) -> None:
        while (shelf := self._next_to_fill()) is not None:
            begun = time.monotonic()
            try:
                made = self._make(shelf.job)
            except Exception as error:  # noqa: BLE001  # a filler that ends would leave callers in line for ever
                self._note_failure(shelf, error)
                continue
            with self._changed:
                self._meter.made += 1
                self._meter.make_ms.append((made.made_at - begun) * 1000)
                shelf.making -= 1
                shelf.waiting.append(made)
                self._changed.notify_all()

    def _next_to_fill(self) -> Shelf | None:
        """The shelf whose callers need it most; None when the pool is being closed."""
        with self._changed:
            while not self._closing:
                now = time.monotonic()
                self._tidy(now)
                lacking = [shelf for shelf in self._shelves.values() if shelf.lacks(self._size, now)]
                if lacking and len(self._heap) < HEAP:
                    shelf = max(lacking, key=Shelf.need)
                    shelf.making += 1
                    return shelf
                self._changed.wait(self._until_next_event(now))
            return None

    def _make(self, job: Job) -> Waiting:
        engine = self._cold.engine()
        self._look_up(job.run.image)
        labels = Owner.claiming().labels(LABEL)
        placement = Placement(job.image, snapshot(job.source), None, labels, wait_s=LIFE_S + SPARE_S)
        name = new_name()
        try:
            return Waiting(engine, name, make_ready(engine, job.config, placement, name), time.monotonic())
        except BaseException:
            with self._changed:
                self._doom(engine, name)
            raise

    def _note_failure(self, shelf: Shelf, error: Exception) -> None:
        failure = error if isinstance(error, SandboxError) else SandboxFailure(f"no container was made: {error}")
        with self._changed:
            self._meter.failed += 1
            shelf.making -= 1
            shelf.failures += 1
            shelf.failure = failure
            shelf.retry_at = time.monotonic() + RETRY_S
            self._changed.notify_all()
        emit("pool.not_filled", reason=one_line(str(failure)))

    def _tidy(self, now: float) -> None:
        """Throws away what has waited too long, and forgets kinds that nobody asks for."""
        for kind, shelf in list(self._shelves.items()):
            self._throw_aged(shelf, now)
            if shelf.is_idle(now) and not shelf.making:
                del self._shelves[kind]

    def _throw_aged(self, shelf: Shelf, now: float) -> None:
        for aged in shelf.pop_aged(now):
            self._meter.aged += 1
            self._discard(aged)

    def _until_next_event(self, now: float) -> float | None:
        """Seconds, or None where only others change anything."""
        ahead = [moment - now for shelf in self._shelves.values() for moment in shelf.events() if moment > now]
        return min(ahead, default=None)

    # --- the remover -----------------------------------------------------------------------------

    def _discard(self, waiting: Waiting, rest_s: float = 0.0) -> None:
        """Closes its stream, upon which it ends, and has it removed, after a while where a call is to be answered."""
        waiting.ready.stream.close()
        self._doom(waiting.engine, waiting.name, rest_s)

    def _doom(self, engine: Engine, name: str, rest_s: float = 0.0) -> None:
        self._heap.append(_Doomed(engine, name, time.monotonic() + rest_s))
        self._changed.notify_all()

    def _remove(self) -> None:
        while (doomed := self._next_doomed()) is not None:
            try:
                doomed.engine.remove(doomed.name)
            except Exception as error:  # noqa: BLE001  # a remover that ends would leave all others behind
                self._not_removed(doomed, error)
                continue
            with self._changed:
                self._meter.destroyed += 1
                self._changed.notify_all()

    def _next_doomed(self) -> _Doomed | None:
        with self._changed:
            while self._heap or not self._drained:
                now = time.monotonic()
                due = next((each for each in self._heap if self._closing or each.rest_until <= now), None)
                if due is not None:
                    self._heap.remove(due)
                    return due
                self._changed.wait(min((each.rest_until - now for each in self._heap), default=None))
            return None

    def _not_removed(self, doomed: _Doomed, error: Exception) -> None:
        """Tries again after a while; what fails when the pool is being drained is left, and told."""
        emit("pool.not_removed", container=doomed.name, reason=one_line(str(error)))
        with self._changed:
            if self._drained:
                self._left.append(doomed.name)
                return
            self._heap.append(doomed)
            self._changed.wait_for(lambda: self._drained, RETRY_S)

    # --- opening and closing ---------------------------------------------------------------------

    def _start_threads(self) -> None:
        if self._threads:
            return
        self._pid = os.getpid()
        fillers = [
            threading.Thread(target=self._fill, name=f"sandbox-fill-{n}", daemon=True) for n in range(self._fillers)
        ]
        self._remover = threading.Thread(target=self._remove, name="sandbox-remove", daemon=True)
        self._threads = [*fillers, self._remover]
        for thread in self._threads:
            thread.start()
        atexit.register(self.close)

    def _drain(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._calls == 0)
        for thread in self._threads:
            if thread is not self._remover:
                thread.join()
        with self._changed:
            for waiting in (*self._held, *(each for shelf in self._shelves.values() for each in shelf.waiting)):
                self._discard(waiting)
            self._held.clear()
            self._shelves.clear()
            self._drained = True
            self._changed.notify_all()
        if self._remover is not None:
            self._remover.join()
        self._cold.close()


_EXHAUSTED: Final = "sandbox_failure.pool_exhausted"


def is_pooled(tool: Tool) -> bool:
    """Whether calls of this tool can use a container that was started before them: none of a workspace or a broker."""
    run = tool.run
    return run is not None and not isinstance(run.what, RunHost) and run.workspace is None and not run.network


def _later(now_ms: int, begun: float) -> int:
    """The caller's time, after what has passed since `begun`."""
    return now_ms + round((time.monotonic() - begun) * 1000)


def _raise_failure(shelf: Shelf, since: int) -> None:
    if shelf.failure is not None and shelf.has_failed(since):
        raise SandboxFailure(str(shelf.failure), _code(shelf.failure)) from shelf.failure


def _code(error: SandboxError) -> str:
    code = error.reason_code
    return code if code.startswith("sandbox_failure") else f"sandbox_failure.{code}"
