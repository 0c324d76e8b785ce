"""What a pool counts and times, and the frozen value in which it tells."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

KEPT: Final = 1_000
"""Times of each kind that are kept: enough for a 99th percentile, and nothing to hold in memory."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Percentiles in milliseconds of the last `count` times, at most `KEPT`; all 0 where there is none."""

    count: int
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class PoolStats:
    """A pool at one moment.

    Now: containers that `waiting` for a call, are `making`, are `running` one; callers in line (`queued`).
    Since it was opened: containers `made` and `destroyed`; those that `died` or `aged` before their call; attempts to
    make one that `failed`; calls that got none in time (`exhausted`) or were started `cold`.
    Times: `wait` for a container, `service` from having it to the outcome, `make` of one, on the fillers' threads.
    `refill_per_second` is what all fillers together can make, by the last of these times.
    """

    waiting: int
    making: int
    running: int
    queued: int
    made: int
    destroyed: int
    died: int
    aged: int
    failed: int
    exhausted: int
    cold: int
    wait: Spread
    service: Spread
    make: Spread
    refill_per_second: float


def _kept() -> deque[float]:
    return deque(maxlen=KEPT)


@dataclass(slots=True)
class Meter:
    """The counters of a pool. Not thread-safe: whoever counts holds the pool's lock."""

    made: int = 0
    destroyed: int = 0
    died: int = 0
    aged: int = 0
    failed: int = 0
    exhausted: int = 0
    cold: int = 0
    wait_ms: deque[float] = field(default_factory=_kept)
    service_ms: deque[float] = field(default_factory=_kept)
    make_ms: deque[float] = field(default_factory=_kept)

    def refill_per_second(self, fillers: int) -> float:
        """What so many fillers make in a second, at the mean of the last times."""
        spent = sum(self.make_ms)
        return fillers * 1000 * len(self.make_ms) / spent if spent else 0.0


def spread(times: Sequence[float]) -> Spread:
    """The percentiles of these times: each is one of them, the nearest rank."""
    ordered = sorted(times)
    if not ordered:
        return Spread(0, 0.0, 0.0, 0.0)
    p50, p95, p99 = (ordered[-(-len(ordered) * percent // 100) - 1] for percent in (50, 95, 99))
    return Spread(len(ordered), p50, p95, p99)
