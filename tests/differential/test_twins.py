"""Differential: each operator means the same to the evaluator and to the solver, exhaustively on small domains."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import pytest
from ground_values import encoded, evaluated

import sandbox
from sandbox import ir
from sandbox.call import Value
from sandbox.ir import (
    FALSE,
    TRUE,
    Add,
    All,
    And,
    Arg,
    BoolSort,
    Bound,
    Const,
    Contains,
    DecimalSort,
    Div,
    EndsWith,
    EnumSort,
    Eq,
    Exists,
    ExistsOne,
    Expr,
    Has,
    Index,
    IntSort,
    Ite,
    Le,
    ListSort,
    Lower,
    Lt,
    Matches,
    Member,
    Mod,
    Mul,
    Neg,
    Not,
    Or,
    Size,
    Sort,
    StartsWith,
    State,
    StringSort,
    Sub,
    TextSort,
)

BOOL, INT, STRING, TEXT = BoolSort(), IntSort(), StringSort(), TextSort()
COLOUR = EnumSort(("red", "green", "blue"))
INTS = (-7, -6, -5, -2, -1, 0, 1, 2, 3, 5, 6, 7, 10**30)
STRINGS = (
    "",
    "a",
    "A",
    "ab",
    "ba",
    "aB",
    "b",
    "/data/x",
    "/data",
    "/data/",
    "\\u{61}",
    "/d\\u{61}ta/x",
    "\n",
    "a\n",
    "\u00e9",
    "e\u0301",
    "K",
    "\u212a",
    "\U0001f600",
    "\U0002ffff",
    "\ufffd",
    "\u0131",
    "İ",
)
INT_LISTS = tuple(itertools.chain.from_iterable(itertools.product((0, 1, 2), repeat=n) for n in range(4)))
STRING_LISTS = ((), ("a",), ("b",), ("a", "b"), ("b", "b"), ("/data/x", "a"), ("", "", "a"))


def arg(name: str, sort: Sort) -> Arg:
    return Arg(name, sort)


def agree(expr: Expr, sorts: dict[str, Sort], domains: dict[str, Iterable[Value | None]]) -> None:
    for values in itertools.product(*domains.values()):
        args = {name: value for name, value in zip(domains, values, strict=True) if value is not None}
        assert encoded(expr, sorts, args) == evaluated(expr, args), (expr, args)


def const(value: bool | int | str, sort: ir.ScalarSort) -> Const:
    return Const(value, sort)


P, Q, R = arg("p", BOOL), arg("q", BOOL), arg("r", BOOL)
X, Y = arg("x", INT), arg("y", INT)
S, T = arg("s", STRING), arg("t", STRING)
C, D = arg("c", COLOUR), arg("d", COLOUR)
XS, SS = arg("xs", ListSort(INT, 3)), arg("ss", ListSort(STRING, 3))
V, W = Bound("v", INT), Bound("w", INT)
U = Bound("u", STRING)


@pytest.mark.parametrize(
    "expr",
    [Not(P), And((P, Q)), And(()), And((P,)), Or((P, Q)), Or(()), Or((P, Q, R)), Ite(P, Q, R), Eq(P, Q), TRUE, FALSE],
)
def test_booleans_agree(expr: Expr) -> None:
    agree(expr, {"p": BOOL, "q": BOOL, "r": BOOL}, dict.fromkeys("pqr", (False, True)))


@pytest.mark.parametrize(
    "expr",
    [
        Eq(X, Y),
        Lt(X, Y),
        Le(X, Y),
        Add(X, Y),
        Sub(X, Y),
        Neg(X),
        Mul(X, -3),
        Mul(X, 0),
        Div(X, 1),
        Div(X, 2),
        Div(X, 5),
        Mod(X, 1),
        Mod(X, 2),
        Mod(X, 5),
        Ite(Lt(X, Y), X, Y),
        Div(Sub(X, Y), 3),
        Mod(Neg(Add(X, Y)), 4),
    ],
)
def test_integers_agree_whatever_their_sign_and_size(expr: Expr) -> None:
    agree(expr, {"x": INT, "y": INT}, {"x": INTS, "y": INTS})


def test_decimals_are_scaled_integers_in_both() -> None:
    cents = DecimalSort(2)
    agree(Le(arg("x", cents), const(500_000, cents)), {"x": cents}, {"x": (499_999, 500_000, 500_001, -500_000)})


@pytest.mark.parametrize(
    "expr", [Eq(C, D), Eq(C, const("green", COLOUR)), Not(Eq(C, const("red", COLOUR))), Eq(Ite(Eq(C, D), C, D), C)]
)
def test_enums_agree(expr: Expr) -> None:
    agree(expr, {"c": COLOUR, "d": COLOUR}, {"c": COLOUR.values, "d": COLOUR.values})


@pytest.mark.parametrize(
    "expr",
    [Eq(S, T), Lt(S, T), Le(S, T), StartsWith(S, T), EndsWith(S, T), Contains(S, T), Size(S), Eq(Size(S), Size(T))],
)
def test_two_strings_agree_by_code_points(expr: Expr) -> None:
    agree(expr, {"s": STRING, "t": STRING}, {"s": STRINGS, "t": STRINGS})


@pytest.mark.parametrize("part", STRINGS)
@pytest.mark.parametrize("test", [StartsWith, EndsWith, Contains, Eq])
@pytest.mark.parametrize("lower", [False, True])
def test_constant_parts_agree_and_lower_ascii_touches_only_ascii(test: type, part: str, lower: bool) -> None:
    agree(test(Lower(S) if lower else S, const(part, STRING)), {"s": STRING}, {"s": STRINGS})


@pytest.mark.parametrize(
    "pattern",
    ["a", "^a", "a$", "^a$", "^/data(/|$)", "[^a]", "^.$", "^.*$", r"\d", r"^\w+$", r"\s", "^[a-b]{1,2}$", "k"],
)
@pytest.mark.parametrize("lower", [False, True])
def test_patterns_agree_with_newlines_look_alikes_and_case(pattern: str, lower: bool) -> None:
    agree(Matches(Lower(S) if lower else S, pattern), {"s": STRING}, {"s": (*STRINGS, "\uff11", "x\n", "1", "K\n")})


@pytest.mark.parametrize(
    "expr",
    [
        Size(XS),
        Member(X, XS),
        All(V, XS, Lt(V, X)),
        Exists(V, XS, Lt(V, X)),
        ExistsOne(V, XS, Lt(V, X)),
        All(V, XS, FALSE),
        Exists(V, XS, TRUE),
        ExistsOne(V, XS, TRUE),
        All(V, XS, Exists(W, XS, Lt(V, W))),
        Exists(V, XS, All(W, XS, Le(W, V))),
        And((Lt(const(0, INT), Size(XS)), Eq(Index(XS, 0), X))),
        And((Lt(const(2, INT), Size(XS)), Lt(Index(XS, 2), X))),
        And((Lt(const(9, INT), Size(XS)), Eq(Index(XS, 9), X))),
    ],
)
def test_lists_of_numbers_agree_at_every_length(expr: Expr) -> None:
    agree(expr, {"x": INT, "xs": ListSort(INT, 3)}, {"x": (0, 1, 2), "xs": INT_LISTS})


@pytest.mark.parametrize(
    "expr",
    [
        Member(S, SS),
        All(U, SS, StartsWith(U, const("/data/", STRING))),
        Exists(U, SS, Matches(U, "^a$")),
        ExistsOne(U, SS, Eq(Lower(U), const("b", STRING))),
        All(U, SS, Contains(S, U)),
    ],
)
def test_lists_of_strings_agree(expr: Expr) -> None:
    agree(expr, {"s": STRING, "ss": ListSort(STRING, 3)}, {"s": STRINGS[:9], "ss": STRING_LISTS})


@pytest.mark.parametrize(
    "expr", [Has("x"), And((Has("x"), Lt(X, Y))), Ite(Has("x"), Eq(X, Y), TRUE), Or((Not(Has("x")), Eq(X, Y)))]
)
def test_an_absent_optional_agrees_under_has(expr: Expr) -> None:
    agree(expr, {"x": INT, "y": INT}, {"x": (None, 0, 1), "y": (0, 1)})


def test_a_text_is_its_size_in_code_points() -> None:
    agree(Size(arg("t", TEXT)), {"t": TEXT}, {"t": ("", "a", "\U0001f600", "e\u0301", "\U0010ffff" * 3)})


def test_state_agrees() -> None:
    state = State("n", INT)
    for value in INTS:
        assert encoded(Add(state, X), {"x": INT}, {"x": 1}, {"n": value}, {"n": INT}) == value + 1
        assert evaluated(Add(state, X), {"x": 1}, {"n": value}) == value + 1


def arms(module: str, function: str) -> list[str]:
    """The operators of a twin's `match`, in order; `_` for the refusal."""
    tree = ast.parse((Path(sandbox.__file__).parent / f"{module}.py").read_text())
    body = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function)
    (match,) = (node for node in ast.walk(body) if isinstance(node, ast.Match))
    return [case.pattern.cls.id if isinstance(case.pattern, ast.MatchClass) else "_" for case in match.cases]


def test_the_twins_have_the_same_arms_in_the_order_of_the_language() -> None:
    operators = [operator.__name__ for operator in get_args(ir.Expr)]
    assert arms("evaluate", "evaluate") == [*operators, "_"]
    assert arms("encode", "encode") == [*operators, "_"]
