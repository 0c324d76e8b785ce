"""Random specs about lists: quantifiers in quantifiers, indices, sizes, literals; small enough to try every call."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from sandbox.ir import (
    VERDICTS,
    All,
    And,
    Arg,
    Argument,
    Assignment,
    Bound,
    Const,
    Contract,
    Eq,
    Exists,
    ExistsOne,
    Expr,
    Field,
    Has,
    Index,
    IntSort,
    IntType,
    Ite,
    Le,
    ListType,
    Lt,
    Member,
    Not,
    Or,
    Property,
    RecordSort,
    RecordType,
    Rule,
    Size,
    State,
    Tool,
    Variable,
    sort_of,
)

INT = IntSort()
RECORD = RecordType((Argument("a", IntType(0, 1)), Argument("b", IntType(0, 1))))
MOST_CALLS = 2_000


@dataclass
class Phrases:
    """Makes conditions about the arguments of one tool; `deep` is how many quantifiers stand in one another at most."""

    dice: random.Random
    arguments: tuple[Argument, ...]
    deep: int = 2
    made: int = 0

    def condition(self, depth: int = 2, bound: tuple[Bound, ...] = ()) -> Expr:
        if depth and self.dice.random() < 0.55:
            one, other, third = (self.condition(depth - 1, bound) for _ in range(3))
            return self.dice.choice(
                (
                    And((one, other)),
                    And((one, other)),
                    Or((one, other)),
                    Or((one, other)),
                    Not(one),
                    Ite(one, other, third),
                    Eq(Ite(one, number(1), number(0)), Ite(other, number(1), self.integer(bound))),
                )
            )
        lists = [each for each in self.arguments if isinstance(each.type, ListType)]
        return self.about(self.dice.choice(lists), depth, bound)

    def about(self, declared: Argument, depth: int, bound: tuple[Bound, ...]) -> Expr:
        items = Arg(declared.name, sort_of(declared.type))
        kinds = ["size", "index", "literal", "numbers"] + ["quantifier"] * 6 * (len(bound) < self.deep)
        match self.dice.choice([*kinds, *(["in"] * 2 if items.sort.item == INT else [])]):
            case "size":
                said: Expr = self.dice.choice((Lt, Le, Eq))(*self.either(Size(items), number(self.dice.randint(0, 4))))
            case "in":
                said = Member(self.integer(bound), items)
            case "index":
                at = self.dice.randint(0, 3)
                test = self.dice.choice((Lt, Eq))(self.part(Index(items, at)), self.integer(bound))
                said = And((Lt(number(at), Size(items)), test))
            case "literal":
                values = [self.dice.randint(0, 1) for _ in range(self.dice.randint(0, 2))]
                places = (Eq(self.part(Index(items, at)), number(value)) for at, value in enumerate(values))
                said = Ite(Eq(Size(items), number(len(values))), And(tuple(places)), Eq(number(1), number(0)))
            case "numbers":
                said = self.dice.choice((Lt, Le, Eq))(self.integer(bound), self.integer(bound))
            case _:
                self.made += 1
                each = Bound(f"x{self.made}", items.sort.item)
                body = self.condition(max(0, depth - 1), (*bound, each))
                if self.dice.random() < 0.4:
                    body = self.dice.choice((Lt, Le, Eq))(*self.either(self.part(each), self.integer(bound)))
                said = self.dice.choice((All, All, Exists, Exists, ExistsOne))(each, items, body)
        return And((Has(declared.name), said)) if declared.optional else said

    def either(self, one: Expr, other: Expr) -> tuple[Expr, Expr]:
        return (one, other) if self.dice.random() < 0.5 else (other, one)

    def part(self, element: Expr) -> Expr:
        sort = element.sort if isinstance(element, Bound) else element.of.sort.item  # type: ignore[union-attr]  # an index
        return Field(element, self.dice.choice("ab"), INT) if isinstance(sort, RecordSort) else element

    def integer(self, bound: tuple[Bound, ...]) -> Expr:
        plain = [Arg(each.name, INT) for each in self.arguments if isinstance(each.type, IntType)]
        elements = [self.part(each) for each in (*bound, *bound)]
        return self.dice.choice([number(self.dice.randint(0, 2)), *plain, *elements])


def number(value: int) -> Const:
    return Const(value, INT)


def random_spec(dice: random.Random, deep: int = 2) -> tuple[Contract, Property]:
    """A tool with one to three lists, and a `never` about it."""
    names = "xyz"[: dice.choice((1, 1, 2, 2, 3))]
    arguments = tuple(random_list(dice, name) for name in names)
    if dice.random() < 0.3:
        arguments = (*arguments, Argument("i", IntType(0, 1)))
    arguments = smaller(arguments)
    phrases = Phrases(dice, arguments, deep)
    kinds = dice.choices(VERDICTS, (1, 1, 3), k=dice.randint(1, 2))
    rules = tuple(Rule(f"r{number}", kind, phrases.condition()) for number, kind in enumerate(kinds))
    written = Variable("n", INT, 0)
    then = (Assignment("n", Ite(phrases.condition(1), number(1), number(0))),)
    tool = Tool("t", arguments, rules, then if dice.random() < 0.2 else ())
    if tool.then and dice.random() < 0.7:
        always = Property("p", "always", Eq(State("n", INT), number(0)))
        return Contract("random", (tool,), (written,)), always
    return Contract("random", (tool,), (written,) if tool.then else ()), Property(
        "p", "never", phrases.condition(), ("t",)
    )


def tight_spec(dice: random.Random) -> tuple[Contract, Property]:
    """As `random_spec`, of what is near the limits of how many elements it takes: some in a list, and pairs of them."""
    most = dice.choice((1, 1, 2))
    sizes = [(dice.choice((0, 2, 2, 3)), dice.choice((3, 4) if most == 1 else (3,))) for _ in range(2)]
    lists = [ListType(IntType(0, most), *sorted(size), unique=dice.random() < 0.1) for size in sizes]
    arguments = tuple(Argument(name, type_) for name, type_ in zip("xy", lists, strict=True))
    clauses = tuple(clause(dice, arguments, most) for _ in range(dice.randint(2, 4)))
    tool = Tool("t", arguments, (Rule("r", "allow", And(clauses)),))
    return Contract("random", (tool,)), Property("p", "never", clause(dice, arguments, most), ("t",))


def clause(dice: random.Random, arguments: tuple[Argument, ...], most: int, deep: int = 1) -> Expr:
    one, other = (Arg(each.name, sort_of(each.type)) for each in dice.choices(arguments, k=2))
    value = number(dice.randint(0, most))
    x, y = Bound(f"x{deep}", INT), Bound(f"y{deep}", INT)
    quantifiers = (All, All, Exists, ExistsOne)
    match dice.choice(("in", "in", "pair", "pair", "pair", "some", "size", *(["sense"] * 2 * (deep > 0)))):
        case "in":
            said: Expr = Member(value, one)
        case "pair":
            inner: Expr = dice.choice(quantifiers)(y, other, compared(dice, x, y))
            inner = Or((inner, Eq(x, value))) if dice.random() < 0.2 else inner
            said = dice.choice(quantifiers)(x, one, inner)
        case "some":
            said = dice.choice(quantifiers)(x, one, compared(dice, x, value))
        case "size":
            said = Lt(number(dice.randint(0, 2)), Size(one))
        case _:
            parts = [clause(dice, arguments, most, deep - 1) for _ in range(2)]
            counted = [Ite(part, number(1), number(0)) for part in parts]
            said = dice.choice((Eq(*counted), Ite(parts[0], parts[1], Not(parts[1])), Eq(counted[0], value)))
    return Not(said) if dice.random() < 0.25 else said


def compared(dice: random.Random, one: Expr, other: Expr) -> Expr:
    return dice.choice((Eq(one, other), Not(Eq(one, other)), Lt(one, other), Le(other, one)))


def random_list(dice: random.Random, name: str) -> Argument:
    records = dice.random() < 0.25
    most = dice.randint(2, 3) if records else dice.randint(2, 6)
    least = dice.choice((0, 0, 0, 1, 2))
    items = RECORD if records else IntType(0, dice.choice((1, 1, 2)))
    type_ = ListType(items, min(least, most), most, unique=dice.random() < 0.2)
    return Argument(name, type_, optional=dice.random() < 0.15)


def smaller(arguments: tuple[Argument, ...]) -> tuple[Argument, ...]:
    """The arguments with lists so short that every call can be tried."""
    while True:
        total, sizes = 1, []
        for each in arguments:
            count = sum(1 for _ in values_of(each))
            sizes.append(count)
            total *= count
        if total <= MOST_CALLS:
            return arguments
        worst = max(range(len(arguments)), key=lambda at: sizes[at])
        type_ = arguments[worst].type
        shorter = replace(type_, max_size=type_.max_size - 1, min_size=min(type_.min_size, type_.max_size - 1))
        arguments = (*arguments[:worst], replace(arguments[worst], type=shorter), *arguments[worst + 1 :])


def values_of(argument: Argument) -> Iterator[object]:
    """Everything that an argument can be; None for absent."""
    if argument.optional:
        yield None
    match argument.type:
        case IntType(minimum=low, maximum=high):
            yield from range(low, high + 1)
        case ListType(items=items, min_size=low, max_size=high, unique=unique):
            each = [*range(items.minimum, items.maximum + 1)] if isinstance(items, IntType) else records()
            for size in range(low, high + 1):
                for values in itertools.product(each, repeat=size):
                    if not unique or all(values.count(value) == 1 for value in values):
                        yield values


def records() -> list[dict[str, int]]:
    return [{"a": one, "b": other} for one in (0, 1) for other in (0, 1)]


def calls_of(arguments: tuple[Argument, ...]) -> Iterator[dict[str, object]]:
    """Every call."""
    for values in itertools.product(*(values_of(each) for each in arguments)):
        yield {a.name: value for a, value in zip(arguments, values, strict=True) if value is not None}
