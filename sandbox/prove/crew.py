"""A property's attempt in a process of its own: the parent's side. Killed at its deadline, and then `gave up`."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from sandbox.engines import read_frame, write_frame
from sandbox.errors import Fault
from sandbox.prove.findings import Finding, GaveUp
from sandbox.prove.nursery import Child, Nursery
from sandbox.prove.record import NOTHING, Doubt, Obligation, RestsOn
from sandbox.prove.worker import Order, Work, order_to_json, work_from_json

if TYPE_CHECKING:
    from types import TracebackType

GRACE_S: Final = 5.0
"""Seconds beyond its time that a child may take to start, and to notice that its time is over."""

EMIT_S: Final = 120.0
"""Seconds beyond that for writing files, each of which is read again."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A finding, the solver's resource units and the milliseconds that it took, and what a proof rests on.

    `cached`: the finding was made before, and only read now.
    """

    finding: Finding
    spent: int
    duration_ms: int
    rests_on: RestsOn = NOTHING
    obligations: tuple[Obligation, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    cached: bool = False


class Crew:
    """Runs orders, each in a child of its own; thread-safe. Leaving it kills every child that still runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._nursery = Nursery()
        self._children: set[Child] = set()
        self._closed = False

    def carry_out(self, order: Order) -> Reply:
        """The child's reply; `gave up` if it was late, died, or spoke oddly."""
        started = time.monotonic()
        try:
            grace = GRACE_S if order.emit is None else GRACE_S + EMIT_S
            work = self._answered(order, started + order.seconds + grace)
        except TimeoutError:
            work = Work(GaveUp(f"timeout: not decided in {order.seconds:g} s"), 0)
        except (OSError, ValueError, EOFError, Fault) as error:
            work = Work(GaveUp(f"the prover's process failed: {type(error).__name__}"), 0)
        spent_ms = int((time.monotonic() - started) * 1000)
        return Reply(work.finding, work.spent, spent_ms, work.rests_on, work.obligations, work.doubts)

    def _answered(self, order: Order, deadline: float) -> Work:
        child = self._hire()
        try:
            return _asked(child, order, deadline)
        finally:
            self._dismiss(child)

    def _hire(self) -> Child:
        with self._lock:
            if self._closed:
                message = "the crew has left"
                raise Fault(message)
            child = self._nursery.child()
            self._children.add(child)
            return child

    def _dismiss(self, child: Child) -> None:
        with self._lock:
            self._children.discard(child)
            self._nursery.bury(child)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def leave(self) -> None:
        """Kill every child that still runs; no further order is taken."""
        with self._lock:
            self._closed = True
            for child in self._children:
                child.kill()
            self._nursery.close()


def _asked(child: Child, order: Order, deadline: float) -> Work:
    write_frame(child.stdin, order_to_json(order), deadline)
    return work_from_json(read_frame(child.stdout, deadline))
