"""The prover against exhaustive search: random small specs whose every sequence of calls can be tried.

The search uses the machine and the evaluator, and nothing of the prover: time moves in steps of half a period.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import dataclass, replace

import pytest
from held_against import verdict_of_prover

from sandbox.compile.enabling import effective as effective_value
from sandbox.evaluate import Env, Test, evaluate, truth
from sandbox.ir import (
    VERDICTS,
    Add,
    All,
    And,
    Arg,
    Argument,
    Assignment,
    BoolSort,
    BoolType,
    Bound,
    Const,
    Contract,
    DurationSort,
    EnumSort,
    EnumType,
    Eq,
    Exists,
    ExistsOne,
    Expr,
    Fact,
    Field,
    Has,
    HasField,
    IntSort,
    IntType,
    Ite,
    Le,
    ListSort,
    ListType,
    Lt,
    Member,
    Mod,
    Not,
    Or,
    Period,
    Property,
    RecordType,
    Rule,
    Size,
    State,
    Sub,
    TimestampSort,
    Tool,
    Variable,
    sort_of,
)
from sandbox.machine import StoredState, apply_then, effective, initial_state, rule_of, succeed, tick, verdict_of
from sandbox.prove import unroll
from sandbox.prove.spoken import read_invariant
from sandbox.prove.verdicts import Proved, Refuted, Unknown, Vacuous, Verdict, invariant_of

pytestmark = [
    pytest.mark.no_cover,  # a search goes the same ways many times; others cover them
    pytest.mark.deep_factor(50),  # 100,000 specs in `make deep`, with those of the other searches
]

PERIOD_MS = 1_000
STEP_MS = PERIOD_MS // 2
MAX_STATES, MAX_RICH_STATES = 1_500, 200
COLOURS = ("red", "green")
CHUNKS, RICH_CHUNKS, SUCCESS_CHUNKS, PER_CHUNK = 10, 8, 8, 25
RECORD = RecordType((Argument("a", IntType(0, 1)), Argument("b", IntType(0, 1), optional=True)))
RECORD_SORT = sort_of(RECORD)
SESSION = (Argument("k", IntType(0, 1)), Argument("s", BoolType()))
NOW = Fact("now", TimestampSort())
LENGTH = Const(PERIOD_MS, DurationSort())
FIRST_HALF = Lt(Mod(Add(Mod(NOW, PERIOD_MS), LENGTH), PERIOD_MS), Const(STEP_MS, DurationSort()))


@dataclass(frozen=True)
class Random:
    """Makes expressions over the names that are given to it."""

    dice: random.Random
    ints: tuple[Expr, ...]
    bools: tuple[Expr, ...]
    enums: tuple[Expr, ...]
    lists: tuple[Arg, ...] = ()
    optional: tuple[tuple[Expr, Expr], ...] = ()

    def condition(self, depth: int = 2) -> Expr:
        kinds = (
            ["compare"] * 3 + ["bool"] * bool(self.bools) + ["enum"] * bool(self.enums) + ["list"] * bool(self.lists)
        )
        kinds += ["optional"] * bool(self.optional)
        if depth and self.dice.random() < 0.6:
            parts = tuple(self.condition(depth - 1) for _ in range(2))
            return self.dice.choice((And(parts), Or(parts), Not(parts[0])))
        match self.dice.choice(kinds):
            case "bool":
                return self.dice.choice(self.bools)
            case "enum":
                return Eq(self.dice.choice(self.enums), Const(self.dice.choice(COLOURS), EnumSort(COLOURS)))
            case "list":
                return self.about_list()
            case "optional":
                there, absent = self.dice.choice(self.optional)
                return And((there, Le(absent, self.integer())))
            case _:
                compare = self.dice.choice((Eq, Lt, Le))
                return compare(self.integer(), self.integer())

    def about_list(self) -> Expr:
        items = self.dice.choice(self.lists)
        if items.sort == ListSort(RECORD_SORT, 2):
            each = Bound("x", RECORD_SORT)
            less = self.dice.choice((Lt, Eq))(Field(each, "a", IntSort()), self.integer())
            known = And((HasField(each, "b"), Eq(Field(each, "b", IntSort()), self.integer())))
            body = self.dice.choice((less, known, Or((less, known))))
            return self.dice.choice((All, Exists, ExistsOne))(each, items, body)
        each = Bound("x", IntSort())
        body = self.dice.choice((Lt, Eq))(each, self.integer())
        return self.dice.choice(
            (
                All(each, items, body),
                Exists(each, items, body),
                Member(self.integer(), items),
                Lt(Size(items), self.integer()),
            )
        )

    def integer(self) -> Expr:
        literal = Const(self.dice.randint(-1, 3), IntSort())
        if not self.ints or self.dice.random() < 0.3:
            return literal
        one = self.dice.choice(self.ints)
        return self.dice.choice((one, one, Add(one, literal), Add(one, self.dice.choice(self.ints)), Sub(one, literal)))


def enabling_value(names: Random, variable: Variable) -> Expr:
    """What `on_success` may assign."""
    state = State(variable.name, variable.sort)
    match variable.sort:
        case BoolSort():
            return Const(value=True, sort=BoolSort())
        case EnumSort():
            return effective_value(variable, Const(names.dice.choice(COLOURS), variable.sort))
    chosen = names.dice.choice(
        [Const(names.dice.randint(0, 3), IntSort()), *(each for each in names.ints if isinstance(each, Arg))]
    )
    return Ite(Lt(chosen, state), state, chosen)


def random_succeeding_contract(dice: random.Random) -> Contract:
    """Some tools write when they have succeeded: what has no period, so that a second time is like the first."""
    spec = random_contract(dice)
    written = [variable for variable in spec.variables if variable.period is None]
    tools = []
    for tool in spec.tools:
        names = names_in(dice, tool.arguments, spec.variables)
        chosen = dice.sample(written, dice.randint(0, len(written)))
        assignments = tuple(Assignment(each.name, enabling_value(names, each)) for each in chosen)
        then = tool.then if dice.random() < 0.4 else ()  # what only a success writes shows most
        tools.append(replace(tool, then=then, on_success=assignments))
    return replace(spec, tools=tuple(tools))


def random_contract(dice: random.Random, *, rich: bool = False) -> Contract:
    periods = [None, None, None, Period("reset", PERIOD_MS), Period("window", PERIOD_MS)]
    count = Variable("n", IntSort(), 0, dice.choice(periods))
    flag = Variable("b", BoolSort(), initial=False, period=dice.choice((None, None, None, Period("reset", PERIOD_MS))))
    colour = Variable("c", EnumSort(COLOURS), "red")
    variables = tuple(dice.sample((count, flag, colour), dice.randint(1, 3)))
    tools = tuple(random_tool(dice, f"t{i}", variables, rich=rich) for i in range(dice.randint(1, 2)))
    return Contract("random", tools, variables, session=SESSION if rich else ())


def random_tool(dice: random.Random, name: str, variables: tuple[Variable, ...], *, rich: bool = False) -> Tool:
    choices = (
        Argument("i", IntType(0, 2)),
        Argument("j", IntType(-1, 1), optional=True),
        Argument("f", BoolType()),
        Argument("e", EnumType(COLOURS)),
        Argument("l", ListType(IntType(0, 1), 0, 2, unique=dice.random() < 0.5)),
    )
    richer = (
        Argument("r", RECORD),
        Argument("o", RECORD, optional=True),
        Argument("q", ListType(RECORD, 0, 2, unique=dice.random() < 0.5)),
        Argument("d", IntType(0, 1), default="1"),
    )
    arguments = tuple(dice.sample((*choices, *richer, *richer) if rich else choices, dice.randint(0, 2)))
    arguments = tuple({each.name: each for each in arguments}.values())
    names = names_in(dice, arguments, variables, rich=rich)
    kinds = dice.choices(VERDICTS, (1, 1, 3), k=dice.randint(1, 3))
    rules = tuple(Rule(f"r{i}", kind, names.condition()) for i, kind in enumerate(kinds))
    written = dice.sample(variables, dice.randint(0, len(variables)))
    return Tool(name, arguments, rules, tuple(Assignment(v.name, next_value(names, v)) for v in written))


def names_in(
    dice: random.Random, arguments: tuple[Argument, ...], variables: tuple[Variable, ...], *, rich: bool = False
) -> Random:
    plain: list[Expr] = [Arg(a.name, sort_of(a.type)) for a in arguments if not a.optional]
    states = [State(v.name, v.sort) for v in variables]
    records = [each for each in plain if each.sort == RECORD_SORT]
    parts = [Field(each, "a", IntSort()) for each in records]
    every = [*plain, *states, *parts, *([Fact(f"session.{a.name}", sort_of(a.type)) for a in SESSION] if rich else [])]
    optional = [(Has(a.name), Arg(a.name, sort_of(a.type))) for a in arguments if a.optional]
    within = [(HasField(each, "b"), Field(each, "b", IntSort())) for each in records]
    within += [(there, Field(each, "a", IntSort())) for there, each in optional if each.sort == RECORD_SORT]
    return Random(
        dice,
        tuple(each for each in every if isinstance(each.sort, IntSort)),
        (*(each for each in every if isinstance(each.sort, BoolSort)), *([FIRST_HALF] if rich else [])),
        tuple(each for each in every if isinstance(each.sort, EnumSort)),
        tuple(Arg(a.name, sort_of(a.type)) for a in arguments if isinstance(a.type, ListType)),
        (*within, *((there, each) for there, each in optional if each.sort != RECORD_SORT)),
    )


def next_value(names: Random, variable: Variable) -> Expr:
    dice, old = names.dice, State(variable.name, variable.sort)
    match variable.sort:
        case BoolSort():
            return dice.choice((names.condition(1), Const(value=True, sort=BoolSort())))
        case EnumSort() as sort:
            return Ite(names.condition(1), Const(dice.choice(COLOURS), sort), old)
    if variable.period is not None and variable.period.kind == "window":
        return Add(old, Const(1, IntSort()))
    # Kept small, so that the search ends: what would leave -3..3 stays.
    new = Add(old, names.integer()) if dice.random() < 0.7 else names.integer()
    return Ite(And((Le(Const(-3, IntSort()), new), Le(new, Const(3, IntSort())))), new, old)


def random_property(dice: random.Random, contract: Contract) -> Property:
    rich = bool(contract.session)
    kind = dice.choice(("never", "always", "possible"))
    if kind == "always":
        return Property("p", kind, names_in(dice, (), contract.variables).condition())
    tool = dice.choice(contract.tools)
    condition = names_in(dice, tool.arguments, contract.variables, rich=rich).condition()
    if dice.random() < 0.3:
        return over_every_tool(dice, kind, contract)
    if dice.random() < 0.5:
        return Property("p", kind, condition, (tool.name,))
    decision = Eq(Fact("decision", EnumSort(VERDICTS)), Const(dice.choice(VERDICTS), EnumSort(VERDICTS)))
    decided = dice.choice((decision, decision, Not(decision)))
    return Property("p", kind, And((condition, decided)), (tool.name,), mentions_decision=True)


def property_of_successes(dice: random.Random, contract: Contract) -> Property:
    """Mostly an `always` that holds at first, so that it is steps which keep or break it."""
    start = Env({}, effective(contract, initial_state(contract, 0)))
    for _ in range(20):
        subject = Property("p", "always", names_in(dice, (), contract.variables).condition())
        if truth(subject.condition)(start) and dice.random() < 0.3:
            return subject
    return random_property(dice, contract)


def over_every_tool(dice: random.Random, kind: str, contract: Contract) -> Property:
    """A property that says something else of each tool, under `tool == ...`."""
    names = EnumSort(tuple(tool.name for tool in contract.tools))
    fact = Fact("tool", names)
    parts = []
    for tool in contract.tools:
        condition = names_in(dice, tool.arguments, contract.variables, rich=bool(contract.session)).condition()
        rules = EnumSort(("", *dict.fromkeys(rule.id for each in contract.tools for rule in each.rules)))
        rule = Eq(Fact("rule", rules), Const(dice.choice(rules.values), rules))
        chosen = dice.choice((condition, And((condition, rule)), And((condition, Not(rule)))))
        parts.append(And((Eq(fact, Const(tool.name, names)), chosen)))
    return Property("p", kind, Or(tuple(parts)), names.values)


# --- exhaustive search -------------------------------------------------------------------------------


def values_of(argument: Argument) -> list[object]:
    match argument.type:
        case RecordType(fields=fields):
            values = records_of(fields)
        case ListType(items=RecordType(fields=fields), max_size=size, unique=unique):
            each = records_of(fields)
            every = [items for n in range(size + 1) for items in itertools.product(each, repeat=n)]
            values = [items for items in every if not unique or all(items.count(item) == 1 for item in items)]
        case BoolType():
            values = [False, True]
        case IntType(minimum=low, maximum=high):
            values = list(range(low, high + 1))
        case EnumType(values=names):
            values = list(names)
        case ListType(max_size=size, unique=unique):
            every = [items for n in range(size + 1) for items in itertools.product((0, 1), repeat=n)]
            values = [items for items in every if not unique or len(set(items)) == len(items)]
    return [*values, None] if argument.optional else values


def records_of(fields: tuple[Argument, ...]) -> list[object]:
    products = itertools.product(*(values_of(field) for field in fields))
    return [
        {field.name: value for field, value in zip(fields, chosen, strict=True) if value is not None}
        for chosen in products
    ]


Success = tuple[str, int]
"""A call that was permitted, by its tool and its place among the tool's calls."""


class Search:
    """Every reachable state, up to the passing of whole periods; None of it where there are too many."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.timed = any(v.period is not None for v in contract.variables)
        self.sessions = [
            {f"session.{a.name}": value for a, value in zip(contract.session, chosen, strict=True)}
            for chosen in itertools.product(*(values_of(a) for a in contract.session))
        ]
        self.tools = {
            tool.name: (
                [
                    {a.name: value for a, value in zip(tool.arguments, chosen, strict=True) if value is not None}
                    for chosen in itertools.product(*(values_of(a) for a in tool.arguments))
                ],
                evaluate(verdict_of(tool)),
                evaluate(rule_of(tool)),
                [(a.variable, evaluate(a.value)) for a in tool.then],
                [(a.variable, evaluate(a.value)) for a in tool.on_success],
            )
            for tool in contract.tools
        }
        self.states = self._reachable()

    def facts(self, clock_ms: int) -> list[dict[str, object]]:
        """Every session, at this time; where no time matters to the state, at one of either half of a period."""
        if not self.contract.session:
            return [{}]
        times = (clock_ms,) if self.timed else (0, STEP_MS)
        return [{"now": now, **session} for now in times for session in self.sessions]

    def _reachable(self) -> list[tuple[dict[str, object], int]] | None:
        first = [(initial_state(self.contract, now), frozenset()) for now in ((0, STEP_MS) if self.timed else (0,))]
        waiting, seen = list(first), {self._key(*each) for each in first}
        found = []
        while waiting:
            stored, permitted = waiting.pop()
            found.append((effective(self.contract, stored), stored.clock_ms))
            for following in self._following(stored, permitted):
                key = self._key(*following)
                if key not in seen:
                    if len(seen) >= (MAX_RICH_STATES if self.contract.session else MAX_STATES):
                        return None
                    seen.add(key)
                    waiting.append(following)
        return found

    def _following(
        self, stored: StoredState, permitted: frozenset[Success]
    ) -> list[tuple[StoredState, frozenset[Success]]]:
        """By time, by every permit, and by the success of every call that was ever permitted."""
        later = [(tick(self.contract, stored, stored.clock_ms + STEP_MS), permitted)] if self.timed else []
        state = effective(self.contract, stored)
        for tool, (calls, verdict, _, then, on_success) in self.tools.items():
            for at, facts in itertools.product(range(len(calls)), self.facts(stored.clock_ms)):
                env = Env(calls[at], state, facts)
                if verdict(env) != "deny":
                    after = apply_then(self.contract, stored, {name: value(env) for name, value in then})
                    later.append((after, permitted | {(tool, at)} if on_success else permitted))
        for tool, at in permitted:
            calls, *_, on_success = self.tools[tool]
            env = Env(calls[at], state, {})
            noted = succeed(self.contract, stored, {name: value(env) for name, value in on_success})
            later.append((noted, permitted))
        return later

    def _key(self, stored: StoredState, permitted: frozenset[Success]) -> object:
        values = tuple(sorted(stored.values.items()))
        events = tuple(
            (name, tuple((stored.clock_ms - at, n) for at, n in pairs)) for name, pairs in sorted(stored.events.items())
        )
        return values, events, stored.clock_ms % PERIOD_MS, permitted

    def breaks(self, subject: Property) -> bool:
        """Whether some reachable state (and call) shows it: against an `always`, and what the others speak of."""
        condition = truth(subject.condition)
        if subject.kind == "always":
            return any(not condition(Env({}, state)) for state, _ in self.states or ())
        return any(
            self._meets(subject, condition, tool, Env(args, state, facts))
            for state, clock_ms in self.states or ()
            for facts in self.facts(clock_ms)
            for tool, (calls, *_) in self.tools.items()
            if tool in subject.tools
            for args in calls
        )

    def _meets(self, subject: Property, condition: Test, tool: str, env: Env) -> bool:
        _, verdict, rule, *_ = self.tools[tool]
        decided = {"tool": tool, "decision": verdict(env), "rule": rule(env)}
        if subject.kind == "never" and not subject.mentions_decision and decided["decision"] == "deny":
            return False
        return condition(Env(env.args, env.state, {**env.facts, **decided}))


def agrees(verdict: Verdict, subject: Property, *, shown: bool) -> bool:
    """Whether a definite verdict is the truth. A refutation of what the search did not show stands on its replay."""
    match verdict:
        case Proved() if subject.kind == "possible":
            return verdict.witness is not None
        case Proved():
            return not shown
        case Refuted() if subject.kind == "possible":
            return not shown
        case Refuted():
            return verdict.counterexample is not None
        case Vacuous():
            return not shown
        case _:
            return isinstance(verdict, Unknown)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_definite_verdict_is_wrong(chunk: int, longer: int, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(f"brute force {chunk}")  # noqa: S311 - not a secret
    compare(dice, PER_CHUNK * longer, monkeypatch, rich=False)


@pytest.mark.parametrize("chunk", range(RICH_CHUNKS))
def test_none_is_wrong_about_records_sessions_defaults_and_the_time(
    chunk: int, longer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(f"rich brute force {chunk}")  # noqa: S311 - not a secret
    compare(dice, PER_CHUNK * longer, monkeypatch, rich=True)


@pytest.mark.parametrize("chunk", range(SUCCESS_CHUNKS))
def test_none_is_wrong_about_what_a_success_enables(chunk: int, longer: int, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(f"brute force of successes {chunk}")  # noqa: S311 - not a secret
    compare(dice, PER_CHUNK * longer, monkeypatch, rich=False, successes=True)


def compare(
    dice: random.Random,
    specs: int,
    monkeypatch: pytest.MonkeyPatch,
    *,
    rich: bool,
    successes: bool = False,
) -> None:
    monkeypatch.setattr(unroll, "MAX_CALLS", 5 if rich else 7)  # what is true and not inductive is searched for in vain
    tally: Counter[str] = Counter()
    while tally["specs"] < specs:
        contract = random_succeeding_contract(dice) if successes else random_contract(dice, rich=rich)
        subject = (property_of_successes if successes else random_property)(dice, contract)
        search = Search(contract)
        if search.states is None:
            continue
        tally["specs"] += 1
        shown = search.breaks(subject)
        verdict = verdict_of_prover(contract, subject)
        assert agrees(verdict, subject, shown=shown), (contract, subject, verdict)
        for text in invariant_of(verdict):
            holds = truth(read_invariant(text, contract))
            assert all(holds(Env({}, state)) for state, _ in search.states), (contract, subject, text)
        untimed = not search.timed
        if untimed and not isinstance(verdict, Unknown | Vacuous):
            found = isinstance(verdict, Proved) == (subject.kind == "possible")
            assert found == shown, (contract, subject, verdict)
        tally[type(verdict).__name__] += 1
        tally["missed"] += shown and isinstance(verdict, Unknown)
    assert tally["missed"] == 0, tally
    assert tally["Unknown"] <= specs // 3, tally
    assert min(tally["Proved"], tally["Refuted"]) > 0, tally
