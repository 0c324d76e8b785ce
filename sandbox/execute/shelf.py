"""Containers of one kind that wait for their call, and the callers that wait for one: bookkeeping, no threads."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from sandbox.errors import SandboxError
from sandbox.execute.cold import Job
from sandbox.execute.config import ContainerConfig
from sandbox.execute.container import Ready
from sandbox.execute.engine import Engine

LIFE_S: Final = 300
"""After which a container that waits is replaced: what was checked when it was made is this old, and no older."""

IDLE_S: Final = 900
"""After the last call of its kind none is kept ready any more: nobody asks for a source that was edited since."""

RETRY_S: Final = 1.0
"""From a failure of the engine to the next attempt: it may be restarting, and must not be hammered."""

REST_S: Final = 0.05
"""From a call to the making of the next container, and to the removal of its own, which would take the processors from
it and from its record; most are over by then."""

Kind: TypeAlias = tuple[str, ContainerConfig, str]
"""Image, configuration and digest of the source: containers that are equal in these can take each other's call."""


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """A container that waits, who made it, and when (`time.monotonic`)."""

    engine: Engine
    name: str
    ready: Ready
    made_at: float

    def is_alive(self) -> bool:
        """Whether its stream is open, and it has said nothing that it was not asked for."""
        return self.ready.stream.is_silent()

    def is_aged(self, now: float) -> bool:
        """Whether it has waited for too long."""
        return now >= self.made_at + LIFE_S


@dataclass(slots=True)
class Shelf:
    """One kind. `line` are the callers in the order in which they came; `failures` counts attempts that failed."""

    job: Job
    used_at: float
    waiting: deque[Waiting] = field(default_factory=deque)
    line: deque[object] = field(default_factory=deque)
    making: int = 0
    failures: int = 0
    failure: SandboxError | None = None
    retry_at: float = 0.0
    rest_until: float = 0.0

    def is_idle(self, now: float) -> bool:
        """Whether nobody has asked for this kind for long."""
        return not self.line and now >= self.used_at + IDLE_S

    def need(self) -> int:
        """How many more the callers in line want than are there or being made; negative where some are to spare."""
        return len(self.line) - len(self.waiting) - self.making

    def lacks(self, size: int, now: float) -> bool:
        """Whether another one should be made now: `size` are kept ready, beside one for each caller in line."""
        if self.is_idle(now) or now < self.retry_at or self.need() + size <= 0:
            return False
        return self.need() >= 0 or now >= self.rest_until

    def has_failed(self, since: int) -> bool:
        """Whether an attempt has failed since there were so many failures, and none is there or under way."""
        return self.failures > since and not self.waiting and not self.making

    def pop_aged(self, now: float) -> list[Waiting]:
        """Takes off those that have waited for too long; of an idle kind all."""
        aged = []
        while self.waiting and (self.is_idle(now) or self.waiting[0].is_aged(now)):
            aged.append(self.waiting.popleft())
        return aged

    def events(self) -> list[float]:
        """When something about this kind changes by itself."""
        return [
            self.retry_at,
            self.rest_until,
            self.used_at + IDLE_S,
            *(each.made_at + LIFE_S for each in self.waiting),
        ]


def kind_of(job: Job) -> Kind:
    """The kind of container that a job needs."""
    return job.image, job.config, job.source.digest
