"""What every construct of the language becomes in the IR."""

from __future__ import annotations

import pytest
from lang_scope import ARGUMENTS, lowered

from sandbox.errors import SpecError
from sandbox.ir import (
    FALSE,
    TRUE,
    Add,
    All,
    And,
    Arg,
    Argument,
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
    Has,
    Index,
    IntSort,
    IntType,
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
    PathType,
    Size,
    StartsWith,
    State,
    StringSort,
    StringType,
    Sub,
    TextSort,
)
from sandbox.lang import Scope, Word

STRING, INT, BOOL, MONEY = StringSort(), IntSort(), BoolSort(), DecimalSort(2)
TOOLS = EnumSort(("send", "other"))
LEVELS = EnumSort(("low", "high"))
N, M, S, B, E = Arg("n", INT), Arg("m", INT), Arg("s", STRING), Arg("b", BOOL), Arg("e", LEVELS)
AMOUNT, FEE = Arg("amount", MONEY), Arg("fee", DecimalSort(4))
XS, KS, YS = Arg("xs", ListSort(STRING, 4)), Arg("ks", ListSort(INT, 4)), Arg("ys", ListSort(STRING, 4))
OS = Arg("os", STRING)


def i(value: int) -> Const:
    return Const(value, INT)


def s(value: str) -> Const:
    return Const(value, STRING)


def d(value: int, scale: int = 2) -> Const:
    return Const(value, DecimalSort(scale))


def is_(word: str) -> Eq:
    return Eq(S, s(word))


LOWERINGS: list[tuple[str, Expr]] = [
    ("true", TRUE),
    ("false", FALSE),
    ("args.b", B),
    ("((args.b))", B),
    ("!args.b", Not(B)),
    ("!!args.b", Not(Not(B))),
    ("args.b && true && !args.b", And((B, TRUE, Not(B)))),
    ("args.b || false || args.b", Or((B, FALSE, B))),
    ("args.b && false || true", Or((And((B, FALSE)), TRUE))),
    ("args.b ? false : true", Ite(B, FALSE, TRUE)),
    ("args.b ? true : args.b ? false : args.b", Ite(B, TRUE, Ite(B, FALSE, B))),
    ("args.b == true", Eq(B, TRUE)),
    # relations
    ("args.n == 1", Eq(N, i(1))),
    ("1 == args.n", Eq(i(1), N)),
    ("args.n != 1", Not(Eq(N, i(1)))),
    ("args.n < 1", Lt(N, i(1))),
    ("args.n <= 1", Le(N, i(1))),
    ("args.n > 1", Lt(i(1), N)),
    ("args.n >= 1", Le(i(1), N)),
    ("args.s < 'x'", Lt(S, s("x"))),
    ("args.e == 'low'", Eq(E, Const("low", LEVELS))),
    ("'high' != args.e", Not(Eq(Const("high", LEVELS), E))),
    ("args.p == '/x'", Eq(Arg("p", STRING), s("/x"))),
    (
        "state.phase == 'shut'",
        Eq(State("phase", EnumSort(("open", "shut"))), Const("shut", EnumSort(("open", "shut")))),
    ),
    # arithmetic
    ("args.n + 1 - args.m == 0", Eq(Sub(Add(N, i(1)), M), i(0))),
    ("-args.n == 1", Eq(Neg(N), i(1))),
    ("--args.n == 1", Eq(Neg(Neg(N)), i(1))),
    ("args.n == -1", Eq(N, i(-1))),
    ("args.n * 3 == 1", Eq(Mul(N, 3), i(1))),
    ("-3 * args.n == 1", Eq(Mul(N, -3), i(1))),
    ("args.n / 3 == 1", Eq(Div(N, 3), i(1))),
    ("args.n % 3 == 1", Eq(Mod(N, 3), i(1))),
    ("args.n + 2 * 3 == 1", Eq(Add(N, i(6)), i(1))),
    ("args.n == 7 / 2", Eq(N, i(3))),
    ("args.n == -7 / 2", Eq(N, i(-3))),
    ("args.n == -7 % 2", Eq(N, i(-1))),
    ("args.n == 1 + 2 - 4", Eq(N, i(-1))),
    # decimals
    ("args.amount <= 5000.00", Le(AMOUNT, d(500_000))),
    ("args.amount <= 5000.0", Le(AMOUNT, d(500_000))),
    ("args.amount <= 5000", Le(AMOUNT, d(500_000))),
    ("5 < args.amount", Lt(d(500), AMOUNT)),
    ("args.amount <= cap", Le(AMOUNT, d(500_000))),
    ("args.amount < 9007199254740993.01", Lt(AMOUNT, d(900719925474099301))),
    ("state.sum + args.amount > 5000", Lt(d(500_000), Add(State("sum", MONEY), AMOUNT))),
    ("args.amount < args.fee", Lt(Mul(AMOUNT, 100), FEE)),
    ("args.fee - args.amount == 0", Eq(Sub(FEE, Mul(AMOUNT, 100)), d(0, 4))),
    ("args.amount * 2 == 1", Eq(Mul(AMOUNT, 2), d(100))),
    ("args.amount * 1.5 == 1.125", Eq(Mul(AMOUNT, 15), d(1125, 3))),
    ("1.5 * 2 == 3.00", Eq(d(300), d(300))),
    ("0.5 + 1 < 2", Lt(d(15, 1), d(20, 1))),
    ("args.amount == (args.b ? 1 : 2.50)", Eq(AMOUNT, Ite(B, d(100), d(250)))),
    ("(args.b ? 1 : 2.5) < (args.b ? 1 : 2)", Lt(Ite(B, d(10, 1), d(25, 1)), Ite(B, d(10, 1), d(20, 1)))),
    ("-(args.b ? 1 : 2) == args.n", Eq(Neg(Ite(B, i(1), i(2))), N)),
    ("(args.b ? 1 : 2) * 3 + args.n == 0", Eq(Add(Mul(Ite(B, i(1), i(2)), 3), N), i(0))),
    ("(args.b ? args.amount : args.fee) > 0", Lt(d(0, 4), Ite(B, Mul(AMOUNT, 100), FEE))),
    # enums and strings that a choice decides
    ("args.e == (args.b ? 'low' : 'high')", Eq(E, Ite(B, Const("low", LEVELS), Const("high", LEVELS)))),
    ("args.s == (args.b ? 'x' : host)", Eq(S, Ite(B, s("x"), s("h")))),
    ("args.s == (args.b ? args.s : 'x')", Eq(S, Ite(B, S, s("x")))),
    ("(args.b ? 'x' : 'y') == (args.b ? 'x' : 'y')", Eq(Ite(B, s("x"), s("y")), Ite(B, s("x"), s("y")))),
    ("(args.b ? 'x' : 'y').startsWith('x')", StartsWith(Ite(B, s("x"), s("y")), s("x"))),
    # lists
    ("args.s in ['x', 'y']", Or((is_("x"), is_("y")))),
    ("args.s in trusted", Or((is_("a"), is_("b")))),
    ("args.s in []", Or(())),
    ("args.n in [1, -2, 1 + 2]", Or((Eq(N, i(1)), Eq(N, i(-2)), Eq(N, i(3))))),
    ("args.amount in [1, 2.5]", Or((Eq(AMOUNT, d(100)), Eq(AMOUNT, d(250))))),
    ("args.e in ['low']", Or((Eq(E, Const("low", LEVELS)),))),
    ("!(args.s in args.xs)", Not(Member(S, XS))),
    ("'x' in args.xs", Member(s("x"), XS)),
    ("1 in args.ks", Member(i(1), KS)),
    ("args.xs == ['a', 'b']", And((Eq(Size(XS), i(2)), Eq(Index(XS, 0), s("a")), Eq(Index(XS, 1), s("b"))))),
    ("[] == args.xs", And((Eq(Size(XS), i(0)),))),
    ("args.xs != ['a']", Not(And((Eq(Size(XS), i(1)), Eq(Index(XS, 0), s("a")))))),
    ("args.xs == ['1', '2', '3', '4', '5']", FALSE),
    ("args.ys[1] == 'a'", Eq(Index(YS, 1), s("a"))),
    ("size(args.xs) > 1 && args.xs[1] == 'a'", And((Lt(i(1), Size(XS)), Eq(Index(XS, 1), s("a"))))),
    ("2 <= args.xs.size() && args.xs[1] == 'a'", And((Le(i(2), Size(XS)), Eq(Index(XS, 1), s("a"))))),
    ("size(args.xs) == 1 ? args.xs[0] == 'a' : false", Ite(Eq(Size(XS), i(1)), Eq(Index(XS, 0), s("a")), FALSE)),
    ("size(args.xs) != 0 && args.xs[0] == 'a'", And((Not(Eq(Size(XS), i(0))), Eq(Index(XS, 0), s("a"))))),
    ("args.xs.all(x, x == 'a')", All(Bound("x_1", STRING), XS, Eq(Bound("x_1", STRING), s("a")))),
    ("args.ks.exists(k, k > 1)", Exists(Bound("k_1", INT), KS, Lt(i(1), Bound("k_1", INT)))),
    ("args.ks.exists_one(k, k in [1])", ExistsOne(Bound("k_1", INT), KS, Or((Eq(Bound("k_1", INT), i(1)),)))),
    (
        "args.xs.all(x, args.xs.exists(y, x == y)) && args.xs.all(x, true)",
        And(
            (
                All(
                    Bound("x_1", STRING),
                    XS,
                    Exists(Bound("y_2", STRING), XS, Eq(Bound("x_1", STRING), Bound("y_2", STRING))),
                ),
                All(Bound("x_3", STRING), XS, TRUE),
            )
        ),
    ),
    # strings
    ("size(args.s) < 3", Lt(Size(S), i(3))),
    ("size('abc') == size(trusted)", Eq(i(3), i(2))),
    ("size(args.note) < 3", Lt(Size(Arg("note", TextSort())), i(3))),
    ("args.s.startsWith('a')", StartsWith(S, s("a"))),
    ("args.s.endsWith(args.p)", EndsWith(S, Arg("p", STRING))),
    ("'abc'.contains(args.s)", Contains(s("abc"), S)),
    ("args.s.matches(r'^a\\d$')", Matches(S, r"^a\d$")),
    ("args.s.lowerAscii() == 'a'", Eq(Lower(S), s("a"))),
    ("'a' != args.s.lowerAscii()", Not(Eq(Lower(S), s("a")))),
    ("args.s.lowerAscii() in ['a', host]", Or((Eq(Lower(S), s("a")), Eq(Lower(S), s("h"))))),
    ("args.s.lowerAscii().contains('a')", Contains(Lower(S), s("a"))),
    ("args.s.lowerAscii().matches('a')", Matches(Lower(S), "a")),
    ("args.xs.all(x, x.lowerAscii() == 'a')", All(Bound("x_1", STRING), XS, Eq(Lower(Bound("x_1", STRING)), s("a")))),
    # literals
    (r"args.s == 'a\n\t\\\'\"\x41\u00e9\U0001F600\101'", is_("a\n\t\\'\"A\u00e9\U0001f600A")),
    (r"args.s == r'a\n'", is_(r"a\n")),
    (r'args.s == R"\\"', is_("\\\\")),
    ("args.s == '''it's'''", is_("it's")),
    ('args.s == """a "b"\nc"""', is_('a "b"\nc')),
    ("args.s == r'''\\d'''", is_("\\d")),
    ("args.s == ''", is_("")),
    # optionals and names
    ("has(args.os) && args.os == 'a'", And((Has("os"), Eq(OS, s("a"))))),
    ("has(args.os) && args.b && args.os == 'a'", And((Has("os"), B, Eq(OS, s("a"))))),
    ("(has(args.os) && args.b) && args.os == 'a'", And((And((Has("os"), B)), Eq(OS, s("a"))))),
    ("has(args.os) ? args.os == 'a' : true", Ite(Has("os"), Eq(OS, s("a")), TRUE)),
    (
        "has(args.os) && args.xs.all(x, x == args.os)",
        And((Has("os"), All(Bound("x_1", STRING), XS, Eq(Bound("x_1", STRING), OS)))),
    ),
    ("has(args.s)", TRUE),
    ("tool == 'send'", Eq(Const("send", TOOLS), Const("send", TOOLS))),
    ("tool == 'other' && args.b", And((Eq(Const("send", TOOLS), Const("other", TOOLS)), B))),
    ("\n args.b  \t\n&& true ", And((B, TRUE))),
]


@pytest.mark.parametrize(("text", "expr"), LOWERINGS)
def test_an_expression_becomes_exactly_this(text: str, expr: Expr) -> None:
    assert lowered(text, BOOL) == expr


@pytest.mark.parametrize(
    ("text", "expr"),
    [
        ("1", d(100)),
        ("1.5", d(150)),
        ("args.amount + 1", Add(AMOUNT, d(100))),
        ("args.b ? 1 : 0.01", Ite(B, d(100), d(1))),
        ("state.sum + args.amount * 2", Add(State("sum", MONEY), Mul(AMOUNT, 2))),
    ],
)
def test_an_assignment_is_at_the_variables_scale(text: str, expr: Expr) -> None:
    assert lowered(text, MONEY) == expr


def test_a_smaller_scale_is_widened_and_a_larger_one_refused() -> None:
    assert lowered("args.amount", DecimalSort(4)) == Mul(AMOUNT, 100)
    with pytest.raises(SpecError, match="nothing is rounded silently"):
        lowered("args.fee", MONEY)
    with pytest.raises(SpecError, match="3 digits behind the point, more than the scale 2"):
        lowered("0.001", MONEY)


def test_without_an_expected_sort_an_expression_has_its_own() -> None:
    assert lowered("1") == i(1)
    assert lowered("1.50") == d(150)
    assert lowered("'x'") == s("x")
    assert lowered("args.b ? 1 : 2") == Ite(B, i(1), i(2))


PROPERTY = Scope(
    tools=("read", "write", "ping"),
    arguments={
        "read": {"path": Argument("path", PathType(None)), "n": Argument("n", IntType(0, 9))},
        "write": {"path": Argument("path", PathType(None)), "n": Argument("n", IntType(0, 5)), "text": ARGUMENTS["s"]},
        "ping": {"text": Argument("text", StringType(None, 0, 9), optional=True)},
    },
    facts={"tool": EnumSort(("read", "write", "ping")), "decision": EnumSort(("deny", "ask", "allow"))},
)


@pytest.mark.parametrize(
    "text",
    [
        "tool == 'read' && args.path == '/x'",
        "'read' == tool && args.path == '/x'",
        "tool in ['read', 'write'] && args.path == '/x'",
        "tool == 'read' ? args.n == 1 : true",
        "tool == 'ping' && has(args.text) && args.text == 'x'",
        "tool == 'read' && args.n == 1 || tool == 'write' && args.n == 2",
        "decision == 'allow' && tool == 'write' && args.n == 2",
    ],
)
def test_an_argument_of_some_tools_is_there_behind_their_names(text: str) -> None:
    lowered(text, BOOL, PROPERTY)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("args.path == '/x'", "tool `ping` has no argument `path`; write `tool == 'read' &&` before it"),
        (
            "args.path == '/x' && tool == 'read'",
            "tool `ping` has no argument `path`; write `tool == 'read' &&` before it",
        ),
        (
            "tool != 'ping' && args.path == '/x'",
            "tool `ping` has no argument `path`; write `tool == 'read' &&` before it",
        ),
        (
            "tool in ['read', 'write'] && args.n == 1",
            "`args.n` differs in type among `read`, `write`; name one tool before it",
        ),
        ("tool == 'ping' && args.text == 'x'", "`args.text` is optional; write `has(args.text) &&` before it"),
        ("tool in [] && args.n == 1", "tool `ping` has no argument `n`; write `tool == 'read' &&` before it"),
        (
            "tool == 'read' && tool == 'write' && args.n == 1",
            "no tool is left here that has an argument `n`; check the conditions before it",
        ),
        ("tool == 'read' || args.n == 1", "tool `ping` has no argument `n`; write `tool == 'read' &&` before it"),
        ("tool == 'read' && args.pth == '/x'", "tool `read` has no argument `pth`; did you mean `path`?"),
    ],
)
def test_an_argument_that_a_tool_may_lack_is_refused(text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        lowered(text, BOOL, PROPERTY)
    assert caught.value.problems[0].message == message


def test_a_constant_among_the_names_of_tools_counts() -> None:
    scope = Scope(PROPERTY.tools, PROPERTY.arguments, {}, {"other": Word("ping")}, PROPERTY.facts)
    with pytest.raises(SpecError, match="tool `ping` has no argument `path`"):
        lowered("tool in ['read', other] && args.path == '/x'", BOOL, scope)


def test_where_no_call_is_looked_at_there_are_no_arguments() -> None:
    for text, message in (
        ("args.n == 1", "`args` has no meaning here"),
        ("state.x == 1", "the spec declares no `state`"),
    ):
        with pytest.raises(SpecError, match=message):
            lowered(text, BOOL, Scope())


def test_lists_that_multiply_are_refused() -> None:
    listing = "[" + ", ".join(str(n) for n in range(500)) + "]"
    with pytest.raises(SpecError, match="stands for more than 200,000 terms"):
        lowered(f"((args.n in {listing} ? 1 : 2) in {listing} ? 1 : 2) in {listing}", BOOL)


def test_a_tool_is_a_fact_in_a_property() -> None:
    tools = EnumSort(("read", "write", "ping"))
    assert lowered("tool == 'read'", BOOL, PROPERTY) == Eq(Fact("tool", tools), Const("read", tools))
