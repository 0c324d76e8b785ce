"""Two versions of random small specs against exhaustive search: every raw call after every history that both permit.

The search parses and judges raw bytes by the gate's own step, with both versions, and knows nothing of the prover.
"""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from dataclasses import replace

import pytest
from held_against import verdict_of_prover
from test_prove_brute_force import (
    COLOURS,
    MAX_STATES,
    PERIOD_MS,
    STEP_MS,
    names_in,
    next_value,
    random_contract,
)

from sandbox.decide import EnginePair, Evaluator
from sandbox.ir import (
    TRUE,
    VERDICTS,
    Argument,
    Assignment,
    BoolSort,
    BoolType,
    Contract,
    EnumType,
    IntSort,
    IntType,
    ListType,
    Newly,
    Property,
    Rule,
    Tool,
)
from sandbox.machine import StoredState, initial_state
from sandbox.parse import parse_call
from sandbox.prove import unroll
from sandbox.prove.beside import beside
from sandbox.prove.verdicts import Proved, Refuted, Unknown
from sandbox.step import take_step

CHUNKS, PER_CHUNK = 6, 15
TRACED = (2, 4, 5)
LAXNESS = {"deny": 0, "ask": 1, "allow": 2}
COLOURS_MORE = (*COLOURS, "blue")
ABSENT = object()


# --- another version ---------------------------------------------------------------------------------


def changed(dice: random.Random, contract: Contract) -> Contract:
    """The contract with one to three slips, or with nothing changed but its order."""
    for _ in range(dice.randint(0, 3)):
        contract = dice.choice(
            (changed_rule, changed_rule, changed_then, changed_argument, changed_argument, changed_order, changed_state)
        )(dice, contract)
    return contract


def with_tool(contract: Contract, tool: Tool) -> Contract:
    return replace(contract, tools=tuple(tool if each.name == tool.name else each for each in contract.tools))


def changed_rule(dice: random.Random, contract: Contract) -> Contract:
    tool = dice.choice(contract.tools)
    rules = list(tool.rules)
    if not rules:
        return contract
    at = dice.randrange(len(rules))
    names = names_in(dice, tool.arguments, contract.variables)
    match dice.choice(("condition", "kind", "more", "less")):
        case "condition":
            rules[at] = replace(rules[at], when=names.condition())
        case "kind":
            rules[at] = replace(rules[at], kind=dice.choice(VERDICTS))
        case "more":
            rules.append(Rule(f"more{len(rules)}", dice.choice(VERDICTS), names.condition()))
        case "less":
            del rules[at]
    return with_tool(contract, replace(tool, rules=tuple(rules)))


def changed_then(dice: random.Random, contract: Contract) -> Contract:
    tool = dice.choice(contract.tools)
    if tool.then and dice.random() < 0.5:
        return with_tool(contract, replace(tool, then=tool.then[1:]))
    variable = dice.choice(contract.variables)
    names = names_in(dice, tool.arguments, contract.variables)
    rest = tuple(each for each in tool.then if each.variable != variable.name)
    return with_tool(contract, replace(tool, then=(*rest, Assignment(variable.name, next_value(names, variable)))))


def changed_argument(dice: random.Random, contract: Contract) -> Contract:
    tool = dice.choice(contract.tools)
    if not tool.arguments or dice.random() < 0.2:
        extra = Argument("extra", IntType(0, 1), optional=dice.random() < 0.5)
        named = {each.name for each in tool.arguments}
        return with_tool(
            contract, replace(tool, arguments=(*tool.arguments, *([extra] if "extra" not in named else [])))
        )
    at = dice.randrange(len(tool.arguments))
    one = tool.arguments[at]
    match one.type:
        case IntType(minimum=low, maximum=high):
            type_ = IntType(low + dice.randint(-1, 0), high + dice.randint(0, 1))
        case EnumType(values=values):
            type_ = EnumType(dice.choice((COLOURS_MORE, tuple(reversed(values)), ("blue", *COLOURS))))
        case ListType() as many:
            type_ = replace(many, max_size=dice.randint(1, 3), items=IntType(0, dice.randint(0, 1)))
        case other:
            type_ = other
    if isinstance(one.type, EnumType) and type_ != one.type:
        return contract  # rules are written with the values of their own enum: see the tests by example
    default = one.default
    if not one.optional and dice.random() < 0.4:
        default = {IntType: "0", BoolType: "true", EnumType: '"red"', ListType: "[0]"}[type(one.type)]
    arguments = (*tool.arguments[:at], replace(one, type=type_, default=default), *tool.arguments[at + 1 :])
    return with_tool(contract, replace(tool, arguments=arguments))


def changed_order(dice: random.Random, contract: Contract) -> Contract:
    tool = dice.choice(contract.tools)
    return with_tool(contract, replace(tool, rules=tuple(reversed(tool.rules)), then=tuple(reversed(tool.then))))


def changed_state(dice: random.Random, contract: Contract) -> Contract:
    """Another `initial`, where there is no period."""
    variable = dice.choice(contract.variables)
    if variable.period is not None:
        return contract
    initial = {BoolSort: True, IntSort: 1}.get(type(variable.sort), "green")
    others = tuple(replace(each, initial=initial) if each is variable else each for each in contract.variables)
    return replace(contract, variables=others)


# --- exhaustive search -------------------------------------------------------------------------------


def raw_values(arguments: list[Argument]) -> list[object]:
    """Every raw value that one of some declarations accepts, and some that none does; and its absence."""
    values: dict[str, object] = {}
    for argument in arguments:
        match argument.type:
            case BoolType():
                found: list[object] = [False, True]
            case IntType(minimum=low, maximum=high):
                found = list(range(low - 1, high + 2))
            case EnumType():
                found = [*COLOURS_MORE]
            case ListType(max_size=most):
                found = [list(each) for n in range(most + 1) for each in itertools.product((0, 1), repeat=n)]
        values |= {json.dumps(each): each for each in found}
    return [*values.values(), ABSENT]


class Both:
    """Every pair of states that histories lead to which both versions permit; None of it where there are too many."""

    def __init__(self, old: Contract, new: Contract) -> None:
        self.versions = (new, old)
        self.engines = tuple(EnginePair(Evaluator(each), None) for each in self.versions)
        self.timed = any(v.period is not None for each in self.versions for v in each.variables)
        self.raws = [
            raw for name in dict.fromkeys(t.name for c in self.versions for t in c.tools) for raw in self._raws(name)
        ]
        self.calls = [(raw, tuple(parse_call(json.dumps(raw), each) for each in self.versions)) for raw in self.raws]
        self.found: Counter[tuple[str, str]] = Counter()
        self.complete = len(self.raws) < 200 and self._search()

    def _raws(self, name: str) -> list[dict[str, object]]:
        tools = [tool for each in self.versions if (tool := each.tool(name)) is not None]
        names = list(dict.fromkeys(argument.name for tool in tools for argument in tool.arguments))
        choices = [raw_values([a for tool in tools for a in tool.arguments if a.name == each]) for each in names]
        return [
            {"tool": name, "args": {n: value for n, value in zip(names, chosen, strict=True) if value is not ABSENT}}
            for chosen in itertools.product(*choices)
        ]

    def _search(self) -> bool:
        starts = (0, STEP_MS) if self.timed else (0,)
        waiting = [tuple(initial_state(each, now) for each in self.versions) for now in starts]
        seen = {self._key(pair) for pair in waiting}
        while waiting:
            pair = waiting.pop()
            for following in self._following(pair):
                key = self._key(following)
                if key not in seen:
                    if len(seen) > MAX_STATES // 10:
                        return False
                    seen.add(key)
                    waiting.append(following)
        return True

    def _following(self, pair: tuple[StoredState, ...]) -> list[tuple[StoredState, ...]]:
        later = []
        for at in (0, STEP_MS) if self.timed else (0,):
            now = pair[0].clock_ms + at
            for raw, calls in self.calls:
                steps = [
                    take_step(engines, contract, stored, call, now)
                    for engines, contract, stored, call in zip(self.engines, self.versions, pair, calls, strict=True)
                ]
                new, old = (step.decision.verdict for step in steps)
                self._note(raw["tool"], new, old)
                if "deny" not in {new, old}:
                    later.append(tuple(step.after for step in steps))
        return later

    def _note(self, tool: str, new: str, old: str) -> None:
        if new != old:
            self.found[tool, {"allow": "allowed", "ask": "asked", "deny": "denied"}[new]] += 1
        if LAXNESS[new] > LAXNESS[old]:
            self.found[tool, ""] += 1

    def _key(self, pair: tuple[StoredState, ...]) -> object:
        return tuple(self._key_of(stored) for stored in pair)

    def _key_of(self, stored: StoredState) -> object:
        clock = stored.clock_ms
        events = ((name, tuple((clock - at, x) for at, x in each)) for name, each in sorted(stored.events.items()))
        epochs = sorted((length, clock // length - number) for length, number in stored.epochs.items())
        return tuple(sorted(stored.values.items())), tuple(events), clock % PERIOD_MS, tuple(epochs)


# --- the comparison ----------------------------------------------------------------------------------


def traced_or_not(chunk: int) -> object:
    """These go nearly every way of the package that all of them go; the rest is of the evaluator, tested for itself."""
    return pytest.param(chunk, marks=() if chunk in TRACED else pytest.mark.no_cover)


@pytest.mark.parametrize("chunk", [traced_or_not(chunk) for chunk in range(CHUNKS)])
def test_no_difference_is_missed_or_made_up(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unroll, "MAX_CALLS", 5)
    dice = random.Random(f"two versions {chunk}")  # noqa: S311 - not a secret
    tally: Counter[str] = Counter()
    while tally["pairs"] < PER_CHUNK:
        old = random_contract(dice)
        new = changed(dice, old)
        both = Both(old, new)
        if not both.complete:
            continue
        tally["pairs"] += 1
        specs = beside(new, (old,), "old")
        for name in dict.fromkeys(tool.name for each in (new, old) for tool in each.tools):
            if name in specs.judged and specs.judged[name].same:
                assert not any(tool == name for tool, _ in both.found), (old, new, name)
                tally["same"] += 1
            newly: Newly
            for newly in ("", "allowed", "asked", "denied"):
                subject = Property("p", "within", TRUE, (name,), ceilings=(old,), newly=newly)
                verdict = verdict_of_prover(new, subject)
                there = both.found[name, newly] > 0
                match verdict:
                    case Proved():
                        assert not there, (old, new, name, newly)
                    case Refuted(counterexample=replayed):
                        assert replayed is not None
                        assert there or replayed.moves.start is not None, (old, new, name, newly, verdict)
                        tally["elsewhere"] += replayed.moves.start is not None
                    case Unknown():
                        compared = name in specs.judged and name not in specs.doubtful
                        tally["missed"] += there and compared
                        tally["unknown"] += compared
                        tally["not compared"] += not compared
                tally[type(verdict).__name__] += 1
    assert tally["missed"] == 0, tally
    assert min(tally["Proved"], tally["Refuted"]) > 0, tally
    assert tally["unknown"] <= 2, tally
