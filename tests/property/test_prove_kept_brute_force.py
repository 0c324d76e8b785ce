"""The prover against exhaustive search where the state has sets and maps; see `worlds` for what is the truth."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from held_against import none_is_wrong, verdict_of_prover
from random_kept import a_contract, a_property
from worlds import Worlds

from sandbox.ir import Contract, Property
from sandbox.prove import unroll
from sandbox.prove.verdicts import Proved, Refuted, Unknown, Vacuous, Verdict, replay_of

pytestmark = [
    pytest.mark.no_cover,  # a search goes the same ways many times; others cover them
    pytest.mark.deep_factor(50),  # 100,000 specs in `make deep`, with those of the other searches
]


CHUNKS, PER_CHUNK = 21, 50
MOST_WORLDS, MOST_CALLS = 200, 3
TAKEN = {None: 0.25, 0: 0.1}


@dataclass(frozen=True)
class Compared:
    """A spec, a property, how near the search found what it speaks of, and what the prover said."""

    contract: Contract
    subject: Property
    worlds: Worlds
    verdict: Verdict

    def shown(self) -> bool:
        """Whether what the property speaks of can happen."""
        return self.worlds.nearest(self.subject) is not None

    def wrong(self) -> bool:
        """Whether a definite verdict is not the truth. Real clocks show more than two instants a period."""
        match self.verdict:
            case Vacuous():
                return self.shown()
            case Proved() | Refuted():
                says_shown = isinstance(self.verdict, Proved) == (self.subject.kind == "possible")
                return self.shown() if not says_shown else not self.worlds.timed and not self.shown()
            case _:
                return not isinstance(self.verdict, Unknown)

    def missed(self) -> bool:
        """Whether the prover gave up although some calls, no more than it looks at, show it."""
        nearest = self.worlds.nearest(self.subject, noted=True)
        return isinstance(self.verdict, Unknown) and nearest is not None and nearest < MOST_CALLS

    def too_long(self) -> bool:
        """Whether the sequence that is shown is not a shortest one."""
        replayed, nearest = replay_of(self.verdict), self.worlds.nearest(self.subject, noted=True)
        if replayed is None or nearest is None:
            return False
        return len(replayed.moves.calls) > nearest + (self.subject.kind != "always")


def next_spec(dice: random.Random) -> tuple[Contract, Property, Worlds]:
    """The next spec of few enough worlds. What never happens, or without any call, is taken less often."""
    while True:
        contract = a_contract(dice)
        subject = a_property(dice, contract)
        worlds = Worlds(contract, MOST_WORLDS)
        if worlds.found is None:
            continue
        nearest = worlds.nearest(subject)
        if dice.random() < TAKEN.get(nearest, 1.0):
            return contract, subject, worlds


def compared(dice: random.Random) -> Compared:
    """The next spec, and what the prover says of it."""
    contract, subject, worlds = next_spec(dice)
    return Compared(contract, subject, worlds, verdict_of_prover(contract, subject))


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_definite_verdict_on_sets_and_maps_is_wrong(
    chunk: int, longer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unroll, "MAX_CALLS", MOST_CALLS)
    count = PER_CHUNK * longer
    tally = none_is_wrong(f"kept {chunk}", count, compared)
    assert tally["Unknown"] <= count // 3, tally
    assert min(tally["Proved"], tally["Refuted"]) > count // 10, tally
