"""What was found before of the very same question, taken from the cache; and what is found now, put there.

Only what was decided is kept. A sequence is replayed before it is believed again, by the evaluator alone.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from sandbox.cache import Cache, key_of
from sandbox.decide import EnginePair, Evaluator
from sandbox.errors import Fault, SandboxError
from sandbox.ir import Json
from sandbox.prove.crew import Crew, Reply
from sandbox.prove.findings import Empty, Holds, Shown, Unreachable
from sandbox.prove.replay_beside import played
from sandbox.prove.verdicts import Replayed
from sandbox.prove.worker import Order, Work, order_to_json, work_from_json, work_to_json


@dataclass(frozen=True, slots=True)
class Memory:
    """A crew that is not asked twice. Without a cache it is asked every time."""

    crew: Crew
    cache: Cache | None

    def carry_out(self, order: Order) -> Reply:
        """The reply that was given before, marked as such, or the crew's own."""
        if self.cache is None:
            return self.crew.carry_out(order)
        started = time.monotonic()
        key = key_of(order=order_to_json(replace(order, seconds=0, prefix="")))
        work = _work(self.cache.get(key))
        if work is not None and _still_shows(order, work):
            spent_ms = int((time.monotonic() - started) * 1000)
            return Reply(work.finding, work.spent, spent_ms, work.rests_on, cached=True)
        reply = self.crew.carry_out(order)
        if isinstance(reply.finding, Holds | Unreachable | Shown | Empty):
            self.cache.put(key, work_to_json(Work(reply.finding, reply.spent, reply.rests_on)))
        return reply


def _work(found: Json) -> Work | None:
    try:
        return None if found is None else work_from_json(found)
    except Fault:
        return None


def _still_shows(order: Order, work: Work) -> bool:
    """Whether a finding is one that may be kept, and its sequence, if it has one, shows what it did."""
    match work.finding:
        case Holds() | Unreachable() | Empty():
            return True
        case Shown(moves=moves):
            try:
                engines = EnginePair(Evaluator(order.contract), None)
                return isinstance(played(order.contract, engines, order.subject, moves), Replayed)
            except (SandboxError, KeyError, TypeError, ValueError):
                return False
        case _:
            return False
