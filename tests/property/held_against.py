"""The prover's verdicts on random specs, held against an exhaustive search: what each comparison does alike."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from sandbox.decide import EnginePair, Evaluator
from sandbox.ir import Contract, Property
from sandbox.prove.attempt import attempt
from sandbox.prove.crew import Reply
from sandbox.prove.run import verdict_on
from sandbox.prove.solve import Desk
from sandbox.prove.verdicts import Verdict


class Held(Protocol):
    """A spec, a property and a verdict, beside what the search found."""

    contract: Contract
    subject: Property
    verdict: Verdict

    def wrong(self) -> bool:
        """Whether the verdict is definite, and not so."""
        ...

    def missed(self) -> bool:
        """Whether a sequence that is near was not found."""
        ...

    def too_long(self) -> bool:
        """Whether the sequence that was found is longer than the shortest."""
        ...


def verdict_of_prover(contract: Contract, subject: Property) -> Verdict:
    """What the prover says, its counterexample replayed; in this process."""
    reply = Reply(attempt(contract, subject, (), Desk("z3", time.monotonic() + 60)), 0, 0)
    return verdict_on(contract, EnginePair(Evaluator(contract), None), subject, reply)


def none_is_wrong(seed: str, count: int, compared: Callable[[random.Random], Held]) -> Counter[str]:
    """How often each verdict came among so many specs, of which none is wrong, missed or longer than it has to be."""
    dice = random.Random(seed)  # noqa: S311 - not a secret
    tally: Counter[str] = Counter()
    for _ in range(count):
        found = compared(dice)
        said = (found.contract, found.subject, found.verdict)
        assert not found.wrong(), said
        assert not found.missed(), said
        assert not found.too_long(), said
        tally[type(found.verdict).__name__] += 1
    return tally
