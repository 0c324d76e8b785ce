"""What must come before with equal values, against exhaustive search: for each choice of values, `Worlds` of its own.

In them no call that is to come before, and has these very values, ever ends `ok`. A call with these values is let
through too early exactly where it is in one of those; one without a value at some path, wherever it is. The prover's
constants, one for all choices, are held against a truth that goes through them one by one.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import pytest
from held_against import none_is_wrong, verdict_of_prover
from random_kept import NAME, a_contract, a_property
from test_prove_needs_brute_force import MOST_CALLS, earlier
from worlds import World, Worlds, values_of

from sandbox.evaluate import Env, truth
from sandbox.ir import (
    FALSE,
    And,
    Arg,
    Argument,
    Assignment,
    Const,
    Contract,
    EnumSort,
    Eq,
    Expr,
    Fact,
    Has,
    InSet,
    Not,
    Or,
    Property,
    Rule,
    SetAdd,
    SetSort,
    State,
    StringType,
    Tool,
    Variable,
)
from sandbox.prove import unroll
from sandbox.prove.verdicts import Proved, Refuted, Unknown, Vacuous, Verdict, replay_of

pytestmark = [
    pytest.mark.no_cover,  # a search goes the same ways many times; others cover them
    pytest.mark.deep_factor(50),  # 100,000 specs in `make deep`, with those of the other searches
]

CHUNKS, PER_CHUNK = 10, 10
MOST_WORLDS = 160
IDLE, AT_ONCE = 0.1, 0.2
"""How often a spec is taken in which no call is spoken of at all, or the first one comes too early."""

FIRST_VALUES = ("a", "red")

Chosen = tuple[object, ...] | None
"""A value for each path of `same`; None: of calls that lack one."""


def values_at(paths: tuple[str, ...], args: Mapping[str, object], facts: Mapping[str, object]) -> Chosen:
    """What a call has at the paths."""
    whole = {**{f"args.{name}": value for name, value in args.items()}, **facts}
    return tuple(whole[path] for path in paths) if all(path in whole for path in paths) else None


class Apart(Worlds):
    """The worlds that are reached while no call that has to come before ended `ok` with the chosen values."""

    def __init__(self, contract: Contract, subject: Property, chosen: Chosen) -> None:
        self.before, self.paths, self.chosen = truth(subject.before or FALSE), subject.same, chosen
        super().__init__(contract, MOST_WORLDS)

    def _permitted(self, world: World, tool: Tool, env: Env) -> Iterator[World]:
        mine = self.chosen is not None and values_at(self.paths, env.args, env.facts) == self.chosen
        if mine and self.before(env):
            after = self._assigned(world, tool.then, env)
            if after is not None:
                yield after
        else:
            yield from super()._permitted(world, tool, env)

    def _meets(self, subject: Property, condition: Callable[[Env], bool], tool: Tool, env: Env) -> bool:
        if self.verdicts[tool.name](env) == "deny" or values_at(self.paths, env.args, env.facts) != self.chosen:
            return False
        return super()._meets(subject, condition, tool, env)


@dataclass(frozen=True)
class Compared:
    """A spec, a property, the worlds for each choice of values, and what the prover said."""

    contract: Contract
    subject: Property
    apart: tuple[Apart, ...]
    verdict: Verdict

    def nearest(self, *, noted: bool = False) -> int | None:
        return nearest_of(self.apart, self.subject, noted=noted)

    def wrong(self) -> bool:
        """Whether a definite verdict is not the truth. Real clocks show more than two instants a period."""
        shown = self.nearest() is not None
        match self.verdict:
            case Proved():
                return shown
            case Refuted():
                return not shown and not self.apart[0].timed
            case Vacuous(reason=reason):
                return shown and "`before`" not in reason
            case _:
                return not isinstance(self.verdict, Unknown)

    def missed(self) -> bool:
        """Whether the prover gave up although some calls, no more than it looks at, show it."""
        nearest = self.nearest(noted=True)
        return isinstance(self.verdict, Unknown) and nearest is not None and nearest < MOST_CALLS

    def too_long(self) -> bool:
        """Whether the sequence that is shown is not a shortest one."""
        replayed, nearest = replay_of(self.verdict), self.nearest(noted=True)
        return replayed is not None and nearest is not None and len(replayed.moves.calls) > nearest + 1


def nearest_of(apart: tuple[Apart, ...], subject: Property, *, noted: bool = False) -> int | None:
    """The fewest permits before a call that comes too early."""
    found = [near for each in apart if (near := each.nearest(subject, noted=noted)) is not None]
    return min(found, default=None)


def a_need(dice: random.Random, share: float) -> tuple[Contract, Property] | None:
    """A spec, and something that must be done before another call, by values that both have; None if there are none."""
    contract = a_contract(dice)
    said = a_property(dice, contract)
    while said.kind == "always":
        said = a_property(dice, contract)
    chosen = dice.sample(contract.tools, dice.randint(1, len(contract.tools)))
    names = EnumSort(tuple(tool.name for tool in contract.tools))
    before = Or(tuple(And((Eq(Fact("tool", names), Const(t.name, names)), earlier(dice, contract, t))) for t in chosen))
    if dice.random() < 0.4:
        one = dice.choice((dice.choice(contract.tools).arguments[0].type, StringType("a", 0, 9)))
        optional = Argument("o", one, optional=True)
        tools = (replace(tool, arguments=(*tool.arguments, optional)) for tool in contract.tools)
        contract = replace(contract, tools=tuple(tools))
    meant = {tool.name for tool in chosen} | set(said.tools)
    paths = common(contract, tuple(tool for tool in contract.tools if tool.name in meant))
    if not paths:
        return None
    same = tuple(dice.sample(paths, 1 if len(paths) == 1 or dice.random() < 0.6 else 2))
    if dice.random() < share:
        contract = kept_apart(dice, contract, chosen[0], same)
    return contract, replace(said, kind="needs", before=before, same=same)


def common(contract: Contract, tools: tuple[Tool, ...]) -> list[str]:
    """The paths at which all of the tools have a value of one type."""
    every = [{(each.name, each.type) for each in tool.arguments} for tool in tools]
    shared = sorted(f"args.{name}" for name, _ in set.intersection(*every))
    return [*shared, *(f"session.{each.name}" for each in contract.session)]


def kept_apart(dice: random.Random, contract: Contract, first: Tool, same: tuple[str, ...]) -> Contract:
    """The spec as its author means it: what has ended `ok` is noted in the set, and other calls look there."""
    kept = next((v for v in contract.variables if isinstance(v.sort, SetSort)), None)
    if kept is None or not isinstance(kept.sort, SetSort):
        return contract
    whole, constant = State(kept.name, kept.sort), Const(dice.choice(FIRST_VALUES), kept.sort.item)
    keys = [path.removeprefix("args.") for path in same if path in {"args.k", "args.l"}]
    key: Expr = Arg(keys[0], kept.sort.item) if keys and dice.random() < 0.7 else constant
    if constant.value not in values_of(Argument("", kept.key or NAME)):
        return contract
    note, deny = (Assignment(kept.name, SetAdd(whole, key)),), (Rule("kept", "deny", Not(InSet(key, whole))),)
    tools = []
    for tool in contract.tools:
        names = {each.name for each in tool.arguments}
        plain = replace(tool, then=(), on_success=())
        if tool.name == first.name:
            done = replace(plain, on_success=note) if dice.random() < 0.8 else replace(plain, then=note)
            named = (Rule("named", "deny", Not(Has("o"))),) if "o" in names and dice.random() < 0.5 else ()
            tools.append(replace(done, rules=(*named, *tool.rules)))
        else:
            asked = not isinstance(key, Arg) or key.name in names
            tools.append(replace(plain, rules=(*(deny if asked and dice.random() < 0.9 else ()), *tool.rules)))
    return replace(contract, tools=tuple(tools), variables=tuple(emptied(v) for v in contract.variables))


def emptied(variable: Variable) -> Variable:
    """The variable without anything in it at first."""
    return replace(variable, initial=()) if isinstance(variable.sort, SetSort) else variable


def choices_of(contract: Contract, subject: Property) -> list[Chosen]:
    """Every choice of values at the paths, and none."""
    declared: dict[str, Argument] = {f"session.{each.name}": each for each in contract.session}
    declared |= {f"args.{each.name}": each for tool in contract.tools for each in tool.arguments}
    values = [[v for v in values_of(declared[path]) if v is not None] for path in subject.same]
    return [*itertools.product(*values), None]


def next_need(dice: random.Random, share: float = 0.6) -> tuple[Contract, Property, tuple[Apart, ...]]:
    """The next spec of few enough worlds; this share of them as an author would write it."""
    while True:
        found = a_need(dice, share)
        if found is None:
            continue
        contract, subject = found
        apart = tuple(Apart(contract, subject, chosen) for chosen in choices_of(contract, subject))
        if any(each.found is None for each in apart):
            continue
        nearest = nearest_of(apart, subject)
        if nearest is None and anything(contract, subject) is None and dice.random() > IDLE:
            continue
        if nearest != 0 or dice.random() < AT_ONCE:
            return contract, subject, apart


def anything(contract: Contract, subject: Property) -> int | None:
    """The fewest permits before a call that the property speaks of, whatever has come before it."""
    free = replace(subject, before=FALSE, same=())
    return nearest_of((Apart(contract, free, ()),), free)


def compared(dice: random.Random, share: float = 0.6) -> Compared:
    """The next spec, and what the prover says of it."""
    contract, subject, apart = next_need(dice, share)
    return Compared(contract, subject, apart, verdict_of_prover(contract, subject))


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_definite_verdict_on_what_must_come_before_with_equal_values_is_wrong(
    chunk: int, longer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unroll, "MAX_CALLS", MOST_CALLS)
    tally = none_is_wrong(f"same {chunk}", PER_CHUNK * longer, compared)
    assert tally["Unknown"] < PER_CHUNK * longer - 1, tally
    assert tally["Proved"] + tally["Refuted"] > 1, tally
