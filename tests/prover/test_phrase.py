"""An invariant's text, read back as an author's expression would be, means exactly what the solver's formula means."""

from __future__ import annotations

import random

import pytest
import z3
from prover_specs import BOOL, INT, Contract, DecimalSort, EnumSort, Variable, contract

from sandbox.encode import Environment, scalar, state_domain
from sandbox.ir import TimestampSort
from sandbox.prove.phrase import UnsayableError
from sandbox.prove.spoken import read_invariant
from sandbox.prove.wording import phrased

COLOURS = EnumSort(("red", "it's \\ new\n", "grün"))
VARIABLES = (
    Variable("n", INT, 0),
    Variable("m", INT, 0),
    Variable("b", BOOL, initial=False),
    Variable("c", COLOURS, "red"),
    Variable("d", DecimalSort(2), 0),
    Variable("e", DecimalSort(0), 0),
    Variable("f", DecimalSort(3), 0),
    Variable("s", TimestampSort(), 0),
    Variable("t", TimestampSort(), 0),
)
SPEC: Contract = contract((), *VARIABLES)
AT = {v.name: z3.Var(at, z3.BoolSort() if v.sort == BOOL else z3.IntSort()) for at, v in enumerate(VARIABLES)}
INTS, DECIMALS, TIMES = ("n", "m"), ("d", "e", "f"), ("s", "t")


def means(texts: tuple[str, ...]) -> z3.BoolRef:
    ctx = z3.main_ctx()
    state = {v.name: z3.Bool(v.name) if v.sort == BOOL else z3.Int(v.name) for v in VARIABLES}
    env = Environment(ctx, state=state)
    return z3.And([scalar(read_invariant(text, SPEC), env) for text in texts], ctx)


def same(formula: z3.BoolRef, texts: tuple[str, ...]) -> bool:
    """Whether the texts say what the formula says, of every value that the sorts have."""
    state = [z3.Bool(v.name) if v.sort == BOOL else z3.Int(v.name) for v in VARIABLES]
    env = Environment(z3.main_ctx(), state={v.name: term for v, term in zip(VARIABLES, state, strict=True)})
    solver = z3.Solver()
    solver.add(*state_domain(SPEC, env), z3.Not(z3.substitute_vars(formula, *state) == means(texts)))
    return bool(solver.check() == z3.unsat)


def summed(dice: random.Random) -> tuple[z3.ArithRef, z3.ArithRef]:
    """Both sides of a comparison that the language has words for."""
    match dice.choice(("ints", "decimals", "enum", "times")):
        case "times":
            one = AT[dice.choice(TIMES)]
            return (one, AT["s"] + dice.randint(-90_000, 90_000)) if dice.random() < 0.5 else (one, one - one + 86_400)
        case kind:
            names = {"ints": INTS, "decimals": DECIMALS, "enum": ("c", "n", "c")}[kind]
            parts = [dice.choice((-7, -2, -1, 1, 1, 3, 10)) * AT[name] for name in names if dice.random() < 0.7]
            return z3.Sum([z3.IntVal(0), *parts]), z3.IntVal(dice.choice((-350, -1, 0, 1, 20, 999)))


def random_formula(dice: random.Random, depth: int) -> z3.BoolRef:
    if depth == 0 or dice.random() < 0.3:
        if dice.random() < 0.15:
            return AT["b"]
        left, right = summed(dice)
        return dice.choice(
            (left <= right, left < right, left >= right, left > right, left == right, z3.Distinct(left, right))
        )
    one, other = random_formula(dice, depth - 1), random_formula(dice, depth - 1)
    return dice.choice(
        (
            z3.And(one, other),
            z3.Or(one, other),
            z3.Not(one),
            z3.Implies(one, other),
            one == other,
            z3.If(AT["b"], one, other),
        )
    )


@pytest.mark.parametrize("chunk", range(4))
def test_every_text_means_its_formula(chunk: int) -> None:
    dice = random.Random(f"phrases {chunk}")  # noqa: S311 - not a secret
    said = 0
    while said < 60:
        formula = random_formula(dice, 3)
        texts = phrased(formula, VARIABLES)
        assert same(formula, texts), (formula, texts)
        said += 1


@pytest.mark.parametrize(
    ("formula", "texts"),
    [
        (AT["n"] <= 10, ("state.n <= 10",)),
        (z3.Not(AT["n"] <= -1), ("state.n >= 0",)),
        (AT["n"] - 100 * AT["m"] <= 0, ("state.n <= 100 * state.m",)),
        (100 * AT["m"] - AT["n"] >= 3, ("state.n <= 100 * state.m - 3",)),
        (2 * AT["n"] + 4 * AT["m"] <= 7, ("state.n + 2 * state.m <= 3",)),
        (AT["d"] <= 500_000, ("state.d <= 5000.00",)),
        (-AT["d"] <= 5, ("state.d >= -0.05",)),
        (AT["d"] <= 10_000 * AT["e"], ("state.d <= 100 * state.e",)),
        (10 * AT["d"] + AT["f"] <= 1_500, ("state.d + state.f <= 1.500",)),
        (2 * AT["d"] == 3, ("false",)),
        (z3.Or(2 * AT["d"] != 3, AT["b"]), ()),
        (z3.And(AT["n"] <= 3, AT["n"] >= 3), ("state.n == 3",)),
        (z3.And(AT["n"] <= AT["m"], AT["b"], AT["m"] <= AT["n"]), ("state.b", "state.n == state.m")),
        (z3.And(AT["b"], AT["n"] >= 2), ("state.b", "state.n >= 2")),
        (z3.Or(z3.Not(AT["b"]), AT["n"] >= 2), ("!state.b || state.n >= 2",)),
        (AT["c"] == 0, ("state.c == 'red'",)),
        (AT["c"] >= 1, ("state.c != 'red'",)),
        (z3.Or(AT["c"] == 0, z3.And(AT["b"], AT["n"] == 1)), ("state.c == 'red' || (state.b && state.n == 1)",)),
        (AT["s"] <= 86_400_000, ("state.s <= timestamp('1970-01-02T00:00:00.000Z')",)),
        (AT["s"] - AT["t"] <= 1_500, ("state.s - state.t <= duration('1.500s')",)),
        (AT["t"] >= AT["s"], ("state.s <= state.t",)),
        (z3.And(AT["n"] <= 10, AT["n"] <= 10), ("state.n <= 10",)),
    ],
)
def test_texts_are_what_an_author_would_write(formula: z3.BoolRef, texts: tuple[str, ...]) -> None:
    assert phrased(formula, VARIABLES) == texts
    assert same(formula, texts)


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        (AT["n"] <= AT["d"], "declare it `type: decimal, scale: 0`"),
        (AT["n"] <= AT["s"], "whose types no expression compares"),
        (AT["s"] + AT["t"] <= 0, "about instants"),
        (2 * AT["s"] <= 5 * AT["t"], "about instants"),
        (AT["s"] <= 10**18, "about instants"),
        (AT["n"] % 2 == 0, "uses `mod`"),
        (AT["n"] * AT["m"] <= 0, "uses `*`"),
        (z3.If(AT["b"], AT["n"], AT["m"]) <= 0, "uses `if`"),
        (z3.Distinct(AT["n"], AT["m"], AT["e"]), "uses `distinct`"),
        (z3.Function("p", z3.IntSort(), z3.BoolSort())(AT["n"]), "uses `p`"),
    ],
)
def test_what_the_language_cannot_say_is_not_said(formula: z3.BoolRef, words: str) -> None:
    with pytest.raises(UnsayableError, match=words):
        phrased(formula, VARIABLES)


def test_too_many_enums_in_one_comparison_are_not_told_apart() -> None:
    wide = EnumSort(tuple(f"v{number}" for number in range(20)))
    variables = tuple(Variable(f"e{number}", wide, "v0") for number in range(2))
    formula = z3.Var(0, z3.IntSort()) <= z3.Var(1, z3.IntSort())
    with pytest.raises(UnsayableError, match="more than 256 combinations"):
        phrased(formula, variables)
