"""What must come before, against exhaustive search: `Worlds` in which no call that is to come before ever ends `ok`.

A call is let through too early exactly where it is in one of those, so that nothing has to be remembered here: the
prover's hidden variable is held against a truth that has none.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest
from held_against import none_is_wrong, verdict_of_prover
from random_kept import NAME, Names, a_contract, a_property
from worlds import World, Worlds

from sandbox.evaluate import Env, truth
from sandbox.ir import (
    FALSE,
    TRUE,
    And,
    Assignment,
    Const,
    Contract,
    EnumSort,
    Eq,
    Expr,
    Fact,
    Or,
    Property,
    State,
    StringSort,
    Tool,
)
from sandbox.prove import needing, unroll
from sandbox.prove.focus import for_tool
from sandbox.prove.verdicts import Proved, Refuted, Unknown, Vacuous, Verdict, replay_of

pytestmark = [
    pytest.mark.no_cover,  # a search goes the same ways many times; others cover them
    pytest.mark.deep_factor(50),  # 100,000 specs in `make deep`, with those of the other searches
]


CHUNKS, PER_CHUNK = 6, 40
MOST_WORLDS, MOST_CALLS = 200, 3
TAKEN = {None: 0.4, 0: 0.15}


class Unready(Worlds):
    """The worlds that are reached while nothing that has to come before has ended `ok`."""

    def __init__(self, contract: Contract, subject: Property) -> None:
        self.before = truth(subject.before or FALSE)
        super().__init__(contract, MOST_WORLDS)

    def _permitted(self, world: World, tool: Tool, env: Env) -> Iterator[World]:
        if self.before(env):
            after = self._assigned(world, tool.then, env)
            if after is not None:
                yield after
        else:
            yield from super()._permitted(world, tool, env)

    def _meets(self, subject: Property, condition: Callable[[Env], bool], tool: Tool, env: Env) -> bool:
        return self.verdicts[tool.name](env) != "deny" and super()._meets(subject, condition, tool, env)


@dataclass(frozen=True)
class Compared:
    """A spec, a property, where it is violated, and what the prover said."""

    contract: Contract
    subject: Property
    worlds: Worlds
    verdict: Verdict

    def wrong(self) -> bool:
        """Whether a definite verdict is not the truth. Real clocks show more than two instants a period."""
        shown = self.worlds.nearest(self.subject) is not None
        match self.verdict:
            case Proved():
                return shown
            case Refuted():
                return not shown and not self.worlds.timed
            case Vacuous(reason=reason):
                return shown and "`before`" not in reason
            case _:
                return not isinstance(self.verdict, Unknown)

    def missed(self) -> bool:
        """Whether the prover gave up although some calls, no more than it looks at, show it."""
        nearest = self.worlds.nearest(self.subject, noted=True)
        return isinstance(self.verdict, Unknown) and nearest is not None and nearest < MOST_CALLS

    def too_long(self) -> bool:
        """Whether the sequence that is shown is not a shortest one."""
        replayed, nearest = replay_of(self.verdict), self.worlds.nearest(self.subject, noted=True)
        return replayed is not None and nearest is not None and len(replayed.moves.calls) > nearest + 1


def a_need(dice: random.Random) -> tuple[Contract, Property]:
    """A spec, and something that one or two of its tools have to do before another call."""
    contract = a_contract(dice)
    said = a_property(dice, contract)
    while said.kind == "always":
        said = a_property(dice, contract)
    names = EnumSort(tuple(tool.name for tool in contract.tools))
    chosen = dice.sample(contract.tools, dice.randint(1, len(contract.tools)))
    before = Or(tuple(And((Eq(Fact("tool", names), Const(t.name, names)), earlier(dice, contract, t))) for t in chosen))
    return contract, replace(said, kind="needs", before=before)


def earlier(dice: random.Random, contract: Contract, tool: Tool) -> Expr:
    """What a call of the tool has to be."""
    if dice.random() < 0.5:
        return TRUE
    facts = tuple(Fact(f"session.{each.name}", StringSort()) for each in contract.session)
    key = next((v.key for v in contract.variables if v.key is not None), NAME)
    return Names(dice, (), tool.arguments, key, facts).condition(1)


def next_need(dice: random.Random) -> tuple[Contract, Property, Worlds]:
    """The next spec of few enough worlds. What never happens, or without any call, is taken less often."""
    while True:
        contract, subject = a_need(dice)
        worlds = Unready(contract, subject)
        if worlds.found is None:
            continue
        if dice.random() < TAKEN.get(worlds.nearest(subject), 1.0):
            return contract, subject, worlds


def compared(dice: random.Random) -> Compared:
    """The next spec, and what the prover says of it."""
    contract, subject, worlds = next_need(dice)
    return Compared(contract, subject, worlds, verdict_of_prover(contract, subject))


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_definite_verdict_on_what_must_come_before_is_wrong(
    chunk: int, longer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unroll, "MAX_CALLS", MOST_CALLS)
    count = PER_CHUNK * longer
    tally = none_is_wrong(f"needs {chunk}", count, compared)
    assert tally["Unknown"] <= count // 2, tally
    assert min(tally["Proved"], tally["Refuted"]) > count // 20, tally


def _when_permitted(tool: Tool, come: State, before: Expr) -> Tool:
    condition = for_tool(before, tool)
    return replace(tool, then=(*tool.then, Assignment(come.name, Or((come, condition)))))


def _never(tool: Tool, _: State, __: Expr) -> Tool:
    return tool


SLIPS = (_when_permitted, _never)


@pytest.mark.parametrize("slip", SLIPS, ids=[slip.__name__.strip("_") for slip in SLIPS])
def test_a_slip_in_what_is_remembered_is_noticed(
    slip: Callable[[Tool, State, Expr], Tool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A verdict becomes wrong; or a sequence that is claimed does not replay, and is `unknown` where one is near."""
    monkeypatch.setattr(unroll, "MAX_CALLS", MOST_CALLS)
    monkeypatch.setattr(needing, "_noting", slip)
    dice = random.Random("slips")  # noqa: S311 - not a secret
    for _ in range(60):
        found = compared(dice)
        claimed = isinstance(found.verdict, Unknown) and "does not replay" in found.verdict.reason
        if found.wrong() or claimed:
            return
    pytest.fail("nothing noticed it")
