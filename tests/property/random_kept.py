"""Random small specs with sets, maps, scopes, periods and successes, and properties of them: few values each."""

from __future__ import annotations

import random
from dataclasses import dataclass

from sandbox.ir import (
    VERDICTS,
    Add,
    AllKeys,
    And,
    Arg,
    Argument,
    Assignment,
    BoolSort,
    BoolType,
    Bound,
    Const,
    Contract,
    EnumSort,
    EnumType,
    Eq,
    Expr,
    Fact,
    InSet,
    IntSort,
    IntType,
    Ite,
    Le,
    Lt,
    MapGet,
    MapSort,
    Not,
    Or,
    Period,
    Property,
    Rule,
    SetAdd,
    SetRemove,
    SetSort,
    State,
    StringSort,
    StringType,
    Sub,
    Tool,
    Variable,
    sort_of,
)

PERIOD_MS = 1_000
INT, BOOL, STRING = IntSort(), BoolSort(), StringSort()
NAME = StringType("a|b", 0, 9)
COLOUR = EnumType(("red", "blue"))
PRINCIPAL = Argument("principal", StringType("p|q", 0, 9))
SESSION_ID = Argument("id", StringType("x|y", 0, 9))
PERIODS = (None, None, None, Period("reset", PERIOD_MS), Period("window", PERIOD_MS))
SCOPES = ("spec", "spec", "principal", "session")
DEPTH_SHARE, LIKELY_SHARE = 0.5, 0.6


@dataclass(frozen=True)
class Names:
    """What an expression may speak of. Keys are of one type; `bound` are keys that a quantifier gives."""

    dice: random.Random
    variables: tuple[Variable, ...]
    arguments: tuple[Argument, ...] = ()
    key: StringType | EnumType = NAME
    facts: tuple[Fact, ...] = ()
    bound: tuple[Bound, ...] = ()
    all_keys: bool = False

    def a_key(self) -> Expr:
        """An argument, a bound key, a fact where it is of the type, or a constant."""
        sort = sort_of(self.key)
        found: list[Expr] = [Arg(a.name, sort) for a in self.arguments if a.type == self.key and not a.optional]
        found += [*self.bound, *self.bound]
        values = self.key.values if isinstance(self.key, EnumType) else ("a", "b")
        return self.dice.choice([*found, *found, Const(self.dice.choice(values), sort)])

    def integer(self) -> Expr:
        literal = Const(self.dice.randint(-1, 2), INT)
        found: list[Expr] = [Arg(a.name, INT) for a in self.arguments if isinstance(a.type, IntType)]
        found += [State(v.name, v.sort) for v in self.variables if v.sort == INT]
        found += [read(v, self.a_key()) for v in self.variables if isinstance(v.sort, MapSort) for _ in range(2)]
        if not found or self.dice.random() < 0.3:
            return literal
        one = self.dice.choice(found)
        return self.dice.choice((one, one, Add(one, literal), Add(one, self.dice.choice(found)), Sub(one, literal)))

    def condition(self, depth: int = 2) -> Expr:
        if depth and self.dice.random() < DEPTH_SHARE:
            parts = tuple(self.condition(depth - 1) for _ in range(2))
            return self.dice.choice((And(parts), Or(parts), Not(parts[0]), Ite(self.condition(0), *parts)))
        found: list[Expr] = [self.dice.choice((Eq, Lt, Le))(self.integer(), self.integer())]
        found += [Arg(a.name, BOOL) for a in self.arguments if isinstance(a.type, BoolType)]
        found += [State(v.name, v.sort) for v in self.variables if v.sort == BOOL]
        sets = [v for v in self.variables if isinstance(v.sort, SetSort)]
        found += [InSet(self.a_key(), State(v.name, v.sort)) for v in sets for _ in range(2)]
        found += [Eq(f, Const(self.dice.choice(("p", "q", "x")), STRING)) for f in self.facts]
        if self.bound or self.dice.random() < 0.2:
            found.append(Eq(self.a_key(), self.a_key()))
        if self.all_keys:
            maps = [v for v in self.variables if isinstance(v.sort, MapSort)]
            found += [self.of_all_keys(v) for v in maps for _ in range(3)]
        return self.dice.choice(found)

    def of_all_keys(self, variable: Variable) -> Expr:
        """Something about all keys of a map; now and then about all keys of another one for each."""
        bound = Bound(f"k_{len(self.bound) + 1}", sort_of(self.key))
        nested = len(self.bound) == 0 and self.dice.random() < 0.04
        inner = Names(self.dice, self.variables, self.arguments, self.key, self.facts, (*self.bound, bound), nested)
        return AllKeys(bound, State(variable.name, variable.sort), inner.condition(1))


def read(variable: Variable, key: Expr) -> Expr:
    """A map at a key."""
    return MapGet(State(variable.name, variable.sort), key, int(variable.initial))


def a_contract(dice: random.Random) -> Contract:
    """One or two tools that keep sets and maps, and perhaps plain variables beside them."""
    key = dice.choice((NAME, NAME, COLOUR))
    keyed = [a_map(dice, "m", key), a_set(dice, key)]
    kept = dice.choice(([keyed[0]], [keyed[1]], keyed, keyed, [keyed[0], a_map(dice, "o", key)]))
    plain = [
        Variable("n", INT, 0, dice.choice(PERIODS), scope=dice.choice(SCOPES)),
        Variable("f", BOOL, initial=False, scope=dice.choice(SCOPES)),
    ]
    variables = (*kept, *dice.sample(plain, dice.choice((0, 1, 1))))
    scopes = {variable.scope for variable in variables}
    session = (*([PRINCIPAL] if "principal" in scopes else []), *([SESSION_ID] if "session" in scopes else []))
    tools = tuple(a_tool(dice, f"t{i}", variables, key, session) for i in range(dice.randint(1, 2)))
    return Contract("random", tools, variables, session)


def a_map(dice: random.Random, name: str, key: StringType | EnumType) -> Variable:
    period = dice.choice(PERIODS)
    initial = 0 if period is not None and period.kind == "window" else dice.choice((0, 0, 0, 1))
    most = dice.choice((None, None, None, 1))
    sort = MapSort(sort_of(key), INT)
    return Variable(name, sort, initial, period, dice.choice(SCOPES), key, 10_000 if most is None else most)


def a_set(dice: random.Random, key: StringType | EnumType) -> Variable:
    values = key.values if isinstance(key, EnumType) else ("a", "b")
    initial = dice.choice(((), (), (values[0],)))
    most = dice.choice((None, None, None, 1))
    return Variable(
        "s", SetSort(sort_of(key)), initial, None, dice.choice(SCOPES), key, 10_000 if most is None else most
    )


def a_tool(
    dice: random.Random,
    name: str,
    variables: tuple[Variable, ...],
    key: StringType | EnumType,
    session: tuple[Argument, ...],
) -> Tool:
    choices = (
        Argument("k", key),
        Argument("l", key),
        Argument("i", IntType(0, 1)),
        Argument("y", BoolType()),
    )
    arguments = tuple(dice.sample(choices, dice.randint(1, 2)))
    facts = tuple(Fact(f"session.{each.name}", STRING) for each in session)
    names = Names(dice, variables, arguments, key, facts)
    kinds = dice.choices(VERDICTS, (1, 1, 3), k=dice.randint(1, 2))
    rules = tuple(
        Rule(f"r{i}", kind, fact(names) if dice.random() < LIKELY_SHARE else names.condition(1))
        for i, kind in enumerate(kinds)
    )
    written = dice.sample(variables, dice.randint(1, len(variables)))
    steps = tuple(step for variable in written for step in next_steps(names, variable))
    return Tool(name, arguments, rules, steps, on_success=enabled(names) if dice.random() < 0.25 else ())


def next_steps(names: Names, variable: Variable) -> tuple[Assignment, ...]:
    """What a tool assigns to one variable: of a map, one entry or two, whose keys may be equal."""
    dice, old = names.dice, State(variable.name, variable.sort)
    match variable.sort:
        case SetSort():
            return (Assignment(variable.name, change(names, old)),)
        case MapSort():
            keys = [names.a_key() for _ in range(dice.choice((1, 1, 1, 2)))]
            steps = [Assignment(variable.name, number(names, variable, read(variable, key)), key) for key in keys]
            return tuple({step.key: step for step in steps}.values())
        case BoolSort():
            return (Assignment(variable.name, dice.choice((names.condition(1), Const(value=True, sort=BOOL)))),)
        case _:
            return (Assignment(variable.name, number(names, variable, old)),)


def change(names: Names, old: Expr) -> Expr:
    dice = names.dice
    one = dice.choice((SetAdd, SetAdd, SetRemove))(old, names.a_key())
    return dice.choice(
        (one, one, dice.choice((SetAdd, SetRemove))(one, names.a_key()), Ite(names.condition(1), one, old))
    )


def number(names: Names, variable: Variable, old: Expr) -> Expr:
    """Kept small, so that the search ends: what would leave -1..2 stays. Windows grow, by 0 or 1."""
    dice = names.dice
    if variable.period is not None and variable.period.kind == "window":
        one = Const(1, INT)
        return Add(old, dice.choice((one, one, Ite(names.condition(1), one, Const(0, INT)))))
    new = Add(old, names.integer()) if dice.random() < 0.7 else names.integer()
    return Ite(And((Le(Const(-1, INT), new), Le(new, Const(2, INT)))), new, old)


def enabled(names: Names) -> tuple[Assignment, ...]:
    """What a success may assign: something into a set, a truth, a maximum."""
    steps: list[Assignment] = []
    for variable in names.variables:
        old = State(variable.name, variable.sort)
        if isinstance(variable.sort, SetSort):
            steps.append(Assignment(variable.name, SetAdd(old, names.a_key())))
        elif variable.sort == BOOL:
            steps.append(Assignment(variable.name, Const(value=True, sort=BOOL)))
        elif variable.sort == INT and (variable.period is None or variable.period.kind == "reset"):
            limit = Const(names.dice.randint(0, 2), INT)
            steps.append(Assignment(variable.name, Ite(Lt(old, limit), limit, old)))
    return tuple(steps[:1])


def likely(names: Names) -> Expr:
    """What an author would write: a bound at every key, one number beside another, one thing that implies another."""
    dice = names.dice
    maps = [v for v in names.variables if isinstance(v.sort, MapSort)]
    kind = dice.choice(("implies", "implies", "orders", *(("bounds", "bounds") if maps else ())))
    if kind == "bounds":
        bounded, bound = dice.choice(maps), Bound("k_1", sort_of(names.key))
        limits = (Const(dice.randint(-1, 2), INT), read(dice.choice(maps), bound))
        sides = (read(bounded, bound), dice.choice(limits))
        return AllKeys(bound, State(bounded.name, bounded.sort), Le(*dice.choice((sides, sides[::-1]))))
    if kind == "orders":
        return Le(names.integer(), names.integer())
    return Or((Not(fact(names)), fact(names)))


def fact(names: Names) -> Expr:
    """Something simple about one variable, or its opposite."""
    variable, key = names.dice.choice(names.variables), names.a_key()
    whole = State(variable.name, variable.sort)
    match variable.sort:
        case SetSort():
            found: Expr = InSet(key, whole)
        case MapSort():
            found = Lt(Const(names.dice.randint(-1, 1), INT), read(variable, key))
        case BoolSort():
            found = whole
        case _:
            found = Lt(Const(names.dice.randint(-1, 1), INT), whole)
    return names.dice.choice((found, found, Not(found)))


def a_property(dice: random.Random, contract: Contract) -> Property:
    key = next((v.key for v in contract.variables if v.key is not None), NAME)
    kind = dice.choice(("never", "always", "always", "possible"))
    if kind == "always":
        names = Names(dice, contract.variables, key=key, all_keys=True)
        return Property("p", kind, likely(names) if dice.random() < LIKELY_SHARE else names.condition())
    tool = dice.choice(contract.tools)
    facts = tuple(Fact(f"session.{each.name}", STRING) for each in contract.session)
    condition = Names(dice, contract.variables, tool.arguments, key, facts, all_keys=True).condition()
    if dice.random() < 0.5:
        return Property("p", kind, condition, (tool.name,))
    sort = EnumSort(VERDICTS)
    decision = Eq(Fact("decision", sort), Const(dice.choice(VERDICTS), sort))
    decided = dice.choice((decision, decision, Not(decision)))
    return Property("p", kind, And((condition, decided)), (tool.name,), mentions_decision=True)
