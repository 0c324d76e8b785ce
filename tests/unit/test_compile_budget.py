"""A window is only added to, by amounts that are provably not negative."""

from __future__ import annotations

from pathlib import Path

import pytest
from spec_files import spec, write

from sandbox.compile import load_contract
from sandbox.compile.budget import interval
from sandbox.errors import SpecError
from sandbox.ir import (
    TRUE,
    Arg,
    BoolSort,
    BoolType,
    Const,
    DecimalSort,
    DecimalType,
    Div,
    Expr,
    Index,
    IntSort,
    IntType,
    Ite,
    ListSort,
    ListType,
    Mod,
    Mul,
    Neg,
    Size,
    State,
    StringSort,
    StringType,
    Sub,
    TextSort,
    TextType,
)

INT = IntSort()


@pytest.mark.parametrize(
    "amount",
    ["1", "args.u", "args.u + args.u", "args.u * 3", "args.u / 2", "args.u % 2", "args.n % 2 + 1", "size(args.s)",
     "size(args.us)", "args.us[0]", "args.b ? args.u : 0", "0 - args.z", "args.z * -2", "-args.z", "10 - args.u",
     "-(args.z - args.u)",
     "args.z / 3 + 3"],
)  # fmt: skip
def test_amounts_that_are_never_negative_may_be_added(tmp_path: Path, amount: str) -> None:
    sums = (f"state.v + ({amount})", f"({amount}) + state.v", f"args.b ? state.v : state.v + ({amount})")
    for sum_ in sums:
        contract = load_contract(write(tmp_path, window(sum_)))
        assert contract.tools[0].then[0].variable == "v"


@pytest.mark.parametrize(
    "amount",
    ["-1", "args.n", "args.u - 1", "args.u * -1", "args.n % 2", "args.z / 2", "args.b ? args.n : 0", "state.w",
     "-args.u", "args.ns[0]", "9 - args.u"],
)  # fmt: skip
def test_amounts_that_might_be_negative_are_refused(tmp_path: Path, amount: str) -> None:
    with pytest.raises(SpecError, match="might be negative; declare `min: 0`"):
        load_contract(write(tmp_path, window(f"state.v + ({amount})")))


def window(value: str) -> str:
    return spec(
        "state: {v: {type: int, initial: 0, window: 1h}, w: {type: int, initial: 0}}\n"
        "tools:\n  t:\n    args:\n      n: {type: int}\n      u: {type: int, min: 0, max: 10}\n      b: {type: bool}\n"
        "      z: {type: int, min: -9, max: 0}\n      s: {type: string}\n"
        "      us: {type: list, items: {type: int, min: 0}, min_size: 1}\n"
        "      ns: {type: list, items: {type: int}, min_size: 1}\n"
        f"    rules: []\n    then: {{v: '{value}'}}\n"
    )


TYPES = {
    "n": IntType(-7, 9),
    "d": DecimalType(2, None, 5),
    "x": TextType(7),
    "s": StringType(None, 2, 3),
    "l": ListType(IntType(1, 2), 1, 3, unique=False),
    "b": BoolType(),
}


@pytest.mark.parametrize(
    ("expr", "low", "high"),
    [
        (Const(4, INT), 4, 4),
        (Const("a", StringSort()), None, None),
        (Arg("n", INT), -7, 9),
        (Arg("d", DecimalSort(2)), None, 5),
        (Arg("b", BoolSort()), None, None),
        (Neg(Arg("d", DecimalSort(2))), -5, None),
        (Mul(Arg("d", DecimalSort(2)), 0), 0, 0),
        (Mul(Arg("d", DecimalSort(2)), -2), -10, None),
        (Sub(Arg("n", INT), Arg("n", INT)), -16, 16),
        (Div(Arg("n", INT), 2), -3, 4),
        (Div(Arg("d", DecimalSort(2)), 2), None, 2),
        (Mod(Arg("n", INT), 4), -3, 3),
        (Mod(Const(-5, INT), 4), -3, 0),
        (Size(Arg("x", TextSort())), 0, 7),
        (Size(Arg("s", StringSort())), 2, 3),
        (Size(Arg("b", BoolSort())), 0, None),
        (Size(Const("abc", StringSort())), 0, None),
        (Index(Arg("l", ListSort(INT, 3)), 0), 1, 2),
        (Index(Arg("b", ListSort(INT, 3)), 0), None, None),
        (Ite(TRUE, Arg("n", INT), Const(50, INT)), -7, 50),
        (Ite(TRUE, Arg("d", DecimalSort(2)), Const(50, INT)), None, 50),
        (State("v", INT), None, None),
    ],
)
def test_intervals(expr: Expr, low: int | None, high: int | None) -> None:
    found = interval(expr, TYPES)
    assert (found.low, found.high) == (low, high)
