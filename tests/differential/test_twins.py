"""Differential: each operator means the same to the evaluator and to the solver, exhaustively on small domains."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
from ground_values import CTX, encoded, evaluated

import sandbox
from sandbox import ir
from sandbox.call import Value
from sandbox.encode import Environment, encode, state_literal
from sandbox.errors import Fault
from sandbox.ir import (
    FALSE,
    TRUE,
    Add,
    All,
    AllKeys,
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
    Fact,
    Field,
    FieldSort,
    Has,
    HasField,
    Index,
    InSet,
    IntSort,
    Ite,
    Le,
    ListSort,
    Lower,
    Lt,
    MapGet,
    MapSort,
    Matches,
    Member,
    Mod,
    Mul,
    Neg,
    Not,
    Or,
    OriginHas,
    RecordSort,
    SetAdd,
    SetRemove,
    SetSort,
    Size,
    Sort,
    StartsWith,
    State,
    StringSort,
    Sub,
    TextSort,
    TimestampSort,
    Variable,
)

pytestmark = pytest.mark.no_cover  # a search goes the same ways many times; others cover them


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
        And((Lt(const(3, INT), Size(XS)), Eq(Index(XS, 3), X))),
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


PAIR = RecordSort((FieldSort("x", INT), FieldSort("s", STRING, optional=True)))
PAIRS = ({"x": 0}, {"x": 1, "s": ""}, {"x": 1, "s": "a"}, {"x": 2, "s": "a"})
NEST = RecordSort((FieldSort("p", PAIR, optional=True), FieldSort("xs", ListSort(INT, 2))))
NESTS = tuple({**({} if p is None else {"p": p}), "xs": xs} for p in (None, *PAIRS) for xs in ((), (0,), (1, 1)))
REC, RS, NE = arg("rec", PAIR), arg("rs", ListSort(PAIR, 3)), arg("ne", NEST)
PAIR_LISTS = ((), *((pair,) for pair in PAIRS), *itertools.product(PAIRS[1:], repeat=2), PAIRS[:3])
CS = arg("cs", ListSort(ListSort(STRING, 2), 2))
WORDS = (("a",), ("b",), ("a", "b"), ("b", "a"))
WORD_LISTS = ((), *((words,) for words in WORDS), *itertools.product(WORDS, repeat=2))
V_PAIR, V_WORDS = Bound("p", PAIR), Bound("c", ListSort(STRING, 2))


def named(of: Expr, field: str, value: str) -> Expr:
    """Whether an optional string field is there and has this value."""
    return And((HasField(of, field), Eq(Field(of, field, STRING), const(value, STRING))))


@pytest.mark.parametrize(
    "expr",
    [
        Eq(Field(REC, "x", INT), X),
        Lt(Add(Field(REC, "x", INT), X), const(2, INT)),
        HasField(REC, "s"),
        named(REC, "s", "a"),
        Ite(HasField(REC, "s"), Eq(Size(Field(REC, "s", STRING)), X), FALSE),
        Or((Not(HasField(REC, "s")), Contains(Field(REC, "s", STRING), const("a", STRING)))),
    ],
)
def test_fields_of_records_agree_present_or_not(expr: Expr) -> None:
    agree(expr, {"rec": PAIR, "x": INT}, {"rec": PAIRS, "x": (0, 1, 2)})


@pytest.mark.parametrize(
    "expr",
    [
        HasField(NE, "p"),
        And((HasField(NE, "p"), HasField(Field(NE, "p", PAIR), "s"))),
        And((HasField(NE, "p"), named(Field(NE, "p", PAIR), "s", "a"))),
        All(V, Field(NE, "xs", XS.sort), Eq(V, const(1, INT))),
        Member(const(0, INT), Field(NE, "xs", XS.sort)),
        And((Lt(const(1, INT), Size(Field(NE, "xs", XS.sort))), Eq(Index(Field(NE, "xs", XS.sort), 1), const(1, INT)))),
        Exists(V, Field(NE, "xs", XS.sort), And((HasField(NE, "p"), Eq(Field(Field(NE, "p", PAIR), "x", INT), V)))),
    ],
)
def test_records_within_records_and_lists_within_records_agree(expr: Expr) -> None:
    agree(expr, {"ne": NEST}, {"ne": NESTS})


@pytest.mark.parametrize("quantifier", [All, Exists, ExistsOne])
@pytest.mark.parametrize(
    "body",
    [
        HasField(V_PAIR, "s"),
        named(V_PAIR, "s", "a"),
        Eq(Field(V_PAIR, "x", INT), X),
        Or((Lt(X, Field(V_PAIR, "x", INT)), named(V_PAIR, "s", ""))),
        Exists(Bound("q", PAIR), RS, Lt(Field(V_PAIR, "x", INT), Field(Bound("q", PAIR), "x", INT))),
    ],
)
def test_lists_of_records_agree_at_every_length(quantifier: type, body: Expr) -> None:
    agree(quantifier(V_PAIR, RS, body), {"rs": RS.sort, "x": INT}, {"rs": PAIR_LISTS, "x": (0, 1)})


@pytest.mark.parametrize("position", [0, 1, 2, 5])
def test_elements_that_are_records_agree(position: int) -> None:
    there = Lt(const(position, INT), Size(RS))
    agree(And((there, named(Index(RS, position), "s", "a"))), {"rs": RS.sort}, {"rs": PAIR_LISTS})


@pytest.mark.parametrize("outer", [All, Exists, ExistsOne])
@pytest.mark.parametrize(
    "body",
    [
        Eq(Index(V_WORDS, 0), const("a", STRING)),
        Member(const("b", STRING), V_WORDS),
        And((Lt(const(1, INT), Size(V_WORDS)), Eq(Index(V_WORDS, 1), const("b", STRING)))),
        And((Eq(Size(V_WORDS), const(1, INT)), Eq(Index(V_WORDS, 0), const("b", STRING)))),
        *(inner(U, V_WORDS, Eq(U, const("a", STRING))) for inner in (All, Exists, ExistsOne)),
        All(U, V_WORDS, Exists(Bound("c2", V_WORDS.sort), CS, Member(U, Bound("c2", V_WORDS.sort)))),
    ],
)
def test_lists_of_lists_agree(outer: type, body: Expr) -> None:
    agree(outer(V_WORDS, CS, body), {"cs": CS.sort}, {"cs": WORD_LISTS})


def test_facts_agree() -> None:
    when = TimestampSort()
    now = Fact("now", when)
    for value in INTS:
        facts = {"now": value, "session.user": "ann"}
        sorts = {"now": when, "session.user": STRING}
        for expr in (Mod(Add(Mod(now, 7), const(7, when)), 7), Eq(Fact("session.user", STRING), S), Lt(now, X)):
            args = {"s": "ann", "x": 3}
            found = encoded(expr, {"s": STRING, "x": INT}, args, None, None, facts, sorts)
            assert found == evaluated(expr, args, None, facts)


def test_a_text_is_its_size_in_code_points() -> None:
    agree(Size(arg("t", TEXT)), {"t": TEXT}, {"t": ("", "a", "\U0001f600", "e\u0301", "\U0010ffff" * 3)})


def test_state_agrees() -> None:
    state = State("n", INT)
    for value in INTS:
        assert encoded(Add(state, X), {"x": INT}, {"x": 1}, {"n": value}, {"n": INT}) == value + 1
        assert evaluated(Add(state, X), {"x": 1}, {"n": value}) == value + 1


KNOWN, GIVEN, SPENT = SetSort(STRING), MapSort(STRING, INT), MapSort(STRING, INT)
SEEN, COUNTS = SetSort(COLOUR), MapSort(COLOUR, DecimalSort(2))
COLLECTIONS = {"known": KNOWN, "given": GIVEN, "spent": SPENT, "seen": SEEN, "counts": COUNTS}
KEPT, MAP, OTHER = State("known", KNOWN), State("given", GIVEN), State("spent", SPENT)
SEEN_COLOURS, COUNTED = State("seen", SEEN), State("counts", COUNTS)
KEY, TINT = Bound("k", STRING), Bound("h", COLOUR)
NAMES = ("", "a", "b", "\\u{61}", "\u00e9", "e\u0301")
SETS = (frozenset(), frozenset({"a"}), frozenset({"", "\\u{61}"}), frozenset({"a", "b", "\u00e9"}))
MAPS: tuple[dict[str, int], ...] = ({}, {"a": 5}, {"": -1, "\\u{61}": 3}, {"a": 5, "b": 10**30, "\u00e9": 1})


def names_in(expr: Expr) -> set[str]:
    """The arguments and variables that an expression reads: nothing else can change what it is."""
    parts = (getattr(expr, field.name) for field in fields(expr))
    inner = (each for part in parts for each in (part if isinstance(part, tuple) else (part,)))
    own = {expr.name} if isinstance(expr, Arg | State) else set()
    return own.union(*(names_in(each) for each in inner if isinstance(each, get_args(Expr))))


def agree_on_state(expr: Expr, held: Iterable[dict[str, Value]]) -> None:
    empty: dict[str, Value] = {"known": frozenset(), "given": {}, "spent": {}, "seen": frozenset(), "counts": {}}
    read = names_in(expr)
    states = [{**empty, **{name: value for name, value in some.items() if name in read}} for some in held]
    for state in [state for at, state in enumerate(states) if state not in states[:at]]:
        domains = {"s": NAMES, "t": NAMES[:4], "c": COLOUR.values}
        ranges = (values if name in read else values[:1] for name, values in domains.items())
        for one, other, tint in itertools.product(*ranges):
            args: dict[str, Value] = {"s": one, "t": other, "c": tint}
            found = encoded(expr, {"s": STRING, "t": STRING, "c": COLOUR}, args, state, COLLECTIONS)
            assert found == evaluated(expr, args, state), (expr, args, state)


@pytest.mark.parametrize(
    "expr",
    [
        InSet(S, KEPT),
        InSet(const("a", STRING), KEPT),
        InSet(Ite(InSet(S, KEPT), T, S), KEPT),
        InSet(S, SetAdd(KEPT, T)),
        InSet(S, SetRemove(KEPT, T)),
        InSet(S, SetRemove(SetAdd(KEPT, T), S)),
        InSet(S, SetAdd(SetRemove(KEPT, S), T)),
        InSet(S, Ite(InSet(T, KEPT), SetRemove(KEPT, T), SetAdd(KEPT, T))),
    ],
)
def test_sets_agree_before_and_after_a_change(expr: Expr) -> None:
    agree_on_state(expr, ({"known": each} for each in SETS))


@pytest.mark.parametrize("expr", [InSet(C, SEEN_COLOURS), InSet(C, SetAdd(SEEN_COLOURS, const("blue", COLOUR)))])
def test_sets_of_enums_agree(expr: Expr) -> None:
    agree_on_state(expr, ({"seen": frozenset(each)} for each in ((), ("red",), ("red", "blue"))))


@pytest.mark.parametrize(
    "expr",
    [
        MapGet(MAP, S, 0),
        MapGet(MAP, const("a", STRING), 0),
        Lt(Add(MapGet(MAP, S, 0), MapGet(MAP, T, 0)), const(8, INT)),
        Ite(Eq(S, T), FALSE, Eq(MapGet(MAP, S, 0), MapGet(MAP, T, 0))),
    ],
)
def test_maps_agree_where_a_key_is_kept_and_where_not(expr: Expr) -> None:
    agree_on_state(expr, ({"given": each} for each in MAPS))


@pytest.mark.parametrize("expr", [MapGet(COUNTED, C, 0), Le(MapGet(COUNTED, const("red", COLOUR), 0), const(5, INT))])
def test_maps_of_enums_agree(expr: Expr) -> None:
    agree_on_state(expr, ({"counts": each} for each in ({}, {"red": 5}, {"red": -5, "blue": 500})))


@pytest.mark.parametrize(
    "expr",
    [
        AllKeys(KEY, MAP, Lt(MapGet(MAP, KEY, 0), const(6, INT))),
        AllKeys(KEY, MAP, FALSE),
        AllKeys(KEY, MAP, InSet(KEY, KEPT)),
        AllKeys(KEY, MAP, Le(MapGet(MAP, KEY, 0), MapGet(OTHER, KEY, 0))),
        Not(AllKeys(KEY, MAP, Or((Eq(KEY, S), StartsWith(KEY, const("\\u", STRING)))))),
        AllKeys(KEY, MAP, AllKeys(Bound("k2", STRING), OTHER, Le(MapGet(MAP, KEY, 0), const(5, INT)))),
        AllKeys(TINT, COUNTED, Or((Eq(TINT, C), Lt(MapGet(COUNTED, TINT, 0), const(6, INT))))),
    ],
)
def test_what_is_said_of_all_keys_agrees_where_every_kept_key_is_given(expr: Expr) -> None:
    states = itertools.product(MAPS, MAPS[:3], SETS[1:3], ({}, {"red": 5, "green": 7}))
    agree_on_state(expr, ({"given": g, "spent": s, "known": k, "counts": c} for g, s, k, c in states))


def test_what_is_said_of_all_keys_is_no_term_where_no_key_is_given() -> None:
    env = Environment(CTX, state={"given": state_literal(Variable("given", GIVEN, 0), {"a": 1}, CTX)})
    with pytest.raises(Fault, match="no keys are given"):
        encode(AllKeys(KEY, MAP, TRUE), env)


ORIGINS = ({}, {"s": {"unknown"}}, {"s": {"web"}}, {"s": {"web", "unknown"}}, {"t": {"web"}}, {"s": set()})


@pytest.mark.parametrize(
    "expr",
    [
        OriginHas("s", "web"),
        OriginHas("s", "unknown"),
        OriginHas("s", "tool:read"),
        And((OriginHas("s", "web"), Not(OriginHas("t", "web")))),
        Ite(OriginHas("s", "web"), Eq(S, const("a", STRING)), OriginHas("t", "unknown")),
    ],
)
def test_origins_agree_and_of_what_nothing_is_said_nothing_is_known(expr: Expr) -> None:
    sorts = {"s": STRING, "t": STRING}
    for origins, text in itertools.product(ORIGINS, ("a", "b")):
        args = {"s": text, "t": "x"}
        assert encoded(expr, sorts, args, origins=origins) == evaluated(expr, args, origins=origins), (expr, origins)


def test_an_origin_is_no_term_where_none_are_given() -> None:
    with pytest.raises(Fault, match="no origins are given"):
        encode(OriginHas("s", "web"), Environment(CTX))


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
