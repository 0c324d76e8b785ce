"""Unit: sets and maps of the state in expressions and in `then`: what they become, and every refusal at its place."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandbox.errors import SpecError
from sandbox.ir import (
    AllKeys,
    Arg,
    Argument,
    BoolSort,
    BoolType,
    Bound,
    Const,
    DecimalSort,
    EnumSort,
    EnumType,
    Expr,
    InSet,
    IntSort,
    IntType,
    Ite,
    Le,
    ListType,
    Lt,
    MapGet,
    MapSort,
    SetAdd,
    SetRemove,
    SetSort,
    State,
    StringSort,
    StringType,
    TextType,
    Variable,
)
from sandbox.lang import (
    Items,
    Scope,
    SourceText,
    Word,
    compile_change,
    compile_expression,
    compile_target,
)

STRING, CENTS, LEVELS = StringSort(), DecimalSort(2), EnumSort(("low", "high"))
SHORT, LEVEL = StringType("[a-z]{1,8}", 0, 64), EnumType(("low", "high"))
ARGUMENTS = {
    argument.name: argument
    for argument in (
        Argument("s", StringType(None, 0, 50)),
        Argument("n", IntType(0, 9)),
        Argument("e", LEVEL),
        Argument("f", EnumType(("low", "mid"))),
        Argument("xs", ListType(StringType(None, 0, 9), 0, 4, unique=False)),
        Argument("os", StringType(None, 0, 5), optional=True),
        Argument("b", BoolType()),
        Argument("t", TextType(50)),
    )
}
VARIABLES = {
    variable.name: variable
    for variable in (
        Variable("known", SetSort(STRING), (), key=SHORT),
        Variable("other", SetSort(STRING), (), key=StringType(None, 2, 50)),
        Variable("seen", SetSort(LEVELS), (), key=LEVEL),
        Variable("given", MapSort(STRING, CENTS), 0, key=StringType(None, 0, 50)),
        Variable("level", MapSort(LEVELS, IntSort()), 7, key=LEVEL),
        Variable("total", IntSort(), 0),
    )
}
CONSTANTS = {"vip": Word("vip"), "names": Items((Word("a"),))}
RULE = Scope(("send",), {"send": ARGUMENTS}, VARIABLES, CONSTANTS, tool="send")
PROPERTY = Scope(("send",), {"send": ARGUMENTS}, VARIABLES, facts={"tool": EnumSort(("send",))})
ALWAYS = Scope(state=VARIABLES)

S, B, E = Arg("s", STRING), Arg("b", BoolSort()), Arg("e", LEVELS)
KNOWN, SEEN = State("known", SetSort(STRING)), State("seen", SetSort(LEVELS))
GIVEN, LEVEL_MAP = State("given", MapSort(STRING, CENTS)), State("level", MapSort(LEVELS, IntSort()))
K, TINT = Bound("k_1", STRING), Bound("k_1", LEVELS)


def rule(text: str) -> Expr:
    return compile_expression(SourceText.of(text), RULE, BoolSort())


def said(text: str) -> Expr:
    return compile_expression(SourceText.of(text), PROPERTY, BoolSort())


def change(text: str) -> Expr:
    return compile_change(SourceText.of(text), RULE, VARIABLES["known"])


def target(text: str) -> tuple[str, Expr | None]:
    return compile_target(SourceText.of(text), RULE)


def refused(read: Callable[[str], object], text: str) -> tuple[int, str]:
    with pytest.raises(SpecError) as error:
        read(text)
    (problem,) = error.value.problems
    return problem.place.column, problem.message


def const(text: str) -> Const:
    return Const(text, STRING)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("args.s in state.known", InSet(S, KNOWN)),
        ("'abc' in state.known", InSet(const("abc"), KNOWN)),
        ("vip in state.known", InSet(const("vip"), KNOWN)),
        ("(args.b ? args.s : 'b') in state.known", InSet(Ite(B, S, const("b")), KNOWN)),
        ("args.e in state.seen", InSet(E, SEEN)),
        ("'low' in state.seen", InSet(Const("low", LEVELS), SEEN)),
        ("state.given[args.s] < 3", Lt(MapGet(GIVEN, S, 0), Const(300, CENTS))),
        ("state.given[vip] < 3.5", Lt(MapGet(GIVEN, const("vip"), 0), Const(350, CENTS))),
        ("state.level[args.e] <= 3", Le(MapGet(LEVEL_MAP, E, 7), Const(3, IntSort()))),
        ("state.level['low'] <= 3", Le(MapGet(LEVEL_MAP, Const("low", LEVELS), 7), Const(3, IntSort()))),
    ],
)
def test_a_rule_asks_sets_and_maps(text: str, expected: Expr) -> None:
    assert rule(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("state.given.all(k, state.given[k] <= 3)", AllKeys(K, GIVEN, Le(MapGet(GIVEN, K, 0), Const(300, CENTS)))),
        ("state.given.all(k, k in state.known)", AllKeys(K, GIVEN, InSet(K, KNOWN))),
        (
            "state.level.all(k, state.level[k] < 3)",
            AllKeys(TINT, LEVEL_MAP, Lt(MapGet(LEVEL_MAP, TINT, 7), Const(3, IntSort()))),
        ),
    ],
)
def test_a_property_says_what_holds_of_all_keys(text: str, expected: Expr) -> None:
    assert said(text) == expected
    assert compile_expression(SourceText.of(text), ALWAYS, BoolSort()) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("state.known", KNOWN),
        ("state.known.add(args.s)", SetAdd(KNOWN, S)),
        ("state.known.remove(args.s)", SetRemove(KNOWN, S)),
        ("state.known.add(args.s).remove('abc')", SetRemove(SetAdd(KNOWN, S), const("abc"))),
        ("args.b ? state.known.add(args.s) : state.known", Ite(B, SetAdd(KNOWN, S), KNOWN)),
        (
            "(args.b ? state.known : state.known.add('a')).add(args.s)",
            SetAdd(Ite(B, KNOWN, SetAdd(KNOWN, const("a"))), S),
        ),
    ],
)
def test_then_changes_a_set_by_what_comes_and_goes(text: str, expected: Expr) -> None:
    assert change(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("total", ("total", None)),
        ("known", ("known", None)),
        ("given[args.s]", ("given", S)),
        ("given[ args.s ]", ("given", S)),
        ("given['x']", ("given", const("x"))),
        ("level[args.e]", ("level", E)),
        ("given[has(args.os) ? args.os : 'none']", None),
    ],
)
def test_then_names_a_variable_or_an_entry_of_a_map(text: str, expected: tuple[str, Expr | None] | None) -> None:
    found = target(text)
    assert found == (expected or ("given", found[1]))


OUTSIDE = "is outside of the declared type of `state.known`; nothing like it is ever kept there"
ASK, ONE_KEY = "ask `x in state.known`", "the value of one key is `state.given[KEY]`"
ONLY_THEN = "`add` and `remove` stand in `then` only"
NO_MIX = "int and decimal do not mix; declare both as one type"
TWO_ENUMS = "expected enum, found enum `args.f`; two enums compare only with equal values in equal order"
IN_MAP = "`in` asks a list or a set, and `state.given` is a map; a map has a value for every key, `state.given[KEY]`"


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("'UP' in state.known", 1, f"`UP` {OUTSIDE}"),
        ("'' in state.known", 1, f"`` {OUTSIDE}"),
        ("'abcdefghi' in state.known", 1, f"`abcdefghi` {OUTSIDE}"),
        ("(args.b ? 'a' : 'B') in state.known", 1, f"`B` {OUTSIDE}"),
        ("(args.b ? args.s : 'B') in state.known", 1, f"`B` {OUTSIDE}"),
        ("'x' in state.other", 1, f"`x` {OUTSIDE.replace('known', 'other')}"),
        ("args.n in state.known", 1, "expected string, found int `args.n`"),
        (
            "args.t in state.known",
            1,
            "expected string, found text `args.t`; rules see only `size` and `has` of it; declare it `string`",
        ),
        ("args.xs in state.known", 1, "expected string, found list of string `args.xs`"),
        ("names in state.known", 1, "expected string, found list of constants `names`"),
        (
            "args.s.lowerAscii() in state.known",
            1,
            "expected string, found lower-cased string `args.s.lowerAscii()`; compare it with a constant",
        ),
        ("args.os in state.known", 1, "`args.os` is optional; write `has(args.os) &&` before it"),
        ("args.f in state.seen", 1, TWO_ENUMS),
        ("'mid' in state.seen", 1, "`'mid'` is not a value of `state.seen`; known: `high`, `low`"),
        ("args.s in state.seen", 1, "expected enum, found string `args.s`"),
        ("args.s in state.given", 11, IN_MAP),
        ("args.s in state.total", 11, "expected a list or set, found int `state.total`"),
        ("args.s in state.know", 17, "the state has no variable `know`; did you mean `known`?"),
        (
            "args.s in state.known.add(args.s)",
            11,
            f"`in` asks the set as it is before the call, `state.known`; {ONLY_THEN}",
        ),
        (
            "args.s in (args.b ? state.known : state.other)",
            35,
            "`state.known` changes by its own `add` and `remove`; `state.other` is another variable",
        ),
        ("state.known", 1, f"expected bool, found set `state.known`; {ASK}"),
        ("state.known == state.known", 1, f"expected a single value, found set `state.known`; {ASK}"),
        ("state.known == ['a']", 1, f"expected a single value, found set `state.known`; {ASK}"),
        ("size(state.known) < 3", 6, f"expected string, text or list, found set `state.known`; {ASK}"),
        ("state.known.size() < 3", 1, f"expected string, text or list, found set `state.known`; {ASK}"),
        ("state.known.contains(args.s)", 1, f"expected string, found set `state.known`; {ASK}"),
        ("state.known.exists(x, x == 'a')", 1, f"expected a list argument, found set `state.known`; {ASK}"),
        ("state.known[args.s]", 1, f"expected a list argument, found set `state.known`; {ASK}"),
        ("state.known.add(args.s)", 1, f"expected bool, found set `state.known.add(args.s)`; {ONLY_THEN}"),
        ("state.known.remove(args.s)", 1, f"expected bool, found set `state.known.remove(args.s)`; {ONLY_THEN}"),
        ("state.known.add('a', 'b')", 13, "`add` takes 1 argument, found 2"),
        ("state.known.ad(args.s)", 13, "`ad` is no method of this language; did you mean `add`?"),
        ("add(state.known, 'x')", 1, "`add` is a method; write `x.add(...)`"),
        ("state.total.add(1)", 1, "expected a set of the state, found int `state.total`"),
        ("args.xs.add('x')", 1, "expected a set of the state, found list of string `args.xs`"),
        ("state.given.add('x')", 1, f"expected a set of the state, found map `state.given`; {ONE_KEY}"),
        ("state.given", 1, f"expected bool, found map `state.given`; {ONE_KEY}"),
        ("state.given > 3", 1, f"expected a single value, found map `state.given`; {ONE_KEY}"),
        ("-state.given > 1", 2, f"expected int, decimal or duration, found map `state.given`; {ONE_KEY}"),
        ("size(state.given) < 3", 6, f"expected string, text or list, found map `state.given`; {ONE_KEY}"),
        ("state.given.x > 3", 13, "map `state.given` has no fields; the value of one key is `state.given['x']`"),
        ("state.given.get(args.s) > 1", 13, "`get` is no method of this language; check its spelling"),
        ("state.given[args.n] > 3", 13, "expected string, found int `args.n`"),
        ("state.given[args.os] > 3", 13, "`args.os` is optional; write `has(args.os) &&` before it"),
        (
            "state.given[args.s] > 3.555",
            23,
            "`3.555` has 3 digits behind the point, more than the scale 2 of `state.given[args.s]`; write at most 2",
        ),
        (
            "state.given['x'] > state.level['low']",
            20,
            f"expected decimal with scale 2, found int `state.level['low']`; {NO_MIX}",
        ),
        (
            "state.given[args.s][args.s] > 1",
            1,
            "expected a list argument, found decimal with scale 2 `state.given[args.s]`",
        ),
        ("state.level['mid'] > 3", 13, "`'mid'` is not a value of `state.level`; known: `high`, `low`"),
        ("state.level[args.f] > 3", 13, TWO_ENUMS),
        (
            "(args.b ? state.given : state.level)['low'] > 1",
            11,
            f"expected a single value, found map `state.given`; {ONE_KEY}",
        ),
        (
            "has(state.given[args.s])",
            5,
            "`has` takes an argument of the call, or a field of a record; write `has(args.NAME)`",
        ),
        (
            "state.given.all(k, state.given[k] > 0)",
            13,
            "`all` over the keys of a map belongs to properties; a rule asks about one key",
        ),
        (
            "state.given.exists(k, state.given[k] > 0)",
            13,
            "`exists` over the keys of a map belongs to properties; a rule asks about one key",
        ),
    ],
)
def test_a_rule_that_asks_otherwise_is_refused_at_its_place(text: str, column: int, message: str) -> None:
    assert refused(rule, text) == (column, message)


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        (
            "state.given.exists(k, state.given[k] <= 3)",
            13,
            "of the keys of a map there is `all` only, no `exists`; say what holds of all of them",
        ),
        ("state.known.all(k, k == 'a')", 1, f"expected a list argument, found set `state.known`; {ASK}"),
        ("state.level.all(k, state.given[k] > 1)", 32, "expected string, found enum `k`"),
        ("state.given.all(args, true)", 17, "`args` means something already; use another name"),
        ("state.given.all(k, state.given.all(k, true))", 36, "`k` means something already; use another name"),
        ("state.given.all(1, true)", 17, "`all` takes a name first, as in `all(x, x != '')`"),
        ("state.given.all(k)", 13, "`all` takes 2 arguments, found 1"),
        ("state.given.all(k, k)", 20, "expected bool, found string `k`; compare it with something"),
    ],
)
def test_a_property_that_says_otherwise_is_refused_at_its_place(text: str, column: int, message: str) -> None:
    assert refused(said, text) == (column, message)


OTHERS = "`state.known` changes by its own `add` and `remove`; `state.{}` is another variable"


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("[]", 1, "expected a set such as `state.known.add(...)`, found list of constants `[]`"),
        ("args.s", 1, "expected a set such as `state.known.add(...)`, found string `args.s`"),
        ("state.other", 1, OTHERS.format("other")),
        ("state.other.add(args.s)", 1, OTHERS.format("other")),
        ("state.given", 1, OTHERS.format("given")),
        ("args.b ? state.known : state.other", 24, OTHERS.format("other")),
        ("args.b ? state.known : 'a'", 24, "expected a set such as `state.known.add(...)`, found string `'a'`"),
        ("args.b ? 'a' : state.known", 16, f"expected a single value, found set `state.known`; {ASK}"),
        ("state.known.add('UP')", 17, f"`UP` {OUTSIDE}"),
        ("args.b ? state.known.add('UP') : state.known", 26, f"`UP` {OUTSIDE}"),
        ("state.known.add(args.n)", 17, "expected string, found int `args.n`"),
        ("state.known.add(args.os)", 17, "`args.os` is optional; write `has(args.os) &&` before it"),
    ],
)
def test_a_change_of_a_set_is_refused_at_its_place(text: str, column: int, message: str) -> None:
    assert refused(change, text) == (column, message)


NO_VARIABLE = "is no variable of the state; write `NAME`, or `NAME[KEY]` of a map"


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("given", 1, "a map is assigned entry by entry; write `'given[KEY]': ...`"),
        ("known[args.s]", 1, "`known` is no map, and only a map has entries; write `known:`"),
        ("total[args.s]", 1, "`total` is no map, and only a map has entries; write `total:`"),
        ("givn[args.s]", 1, "the state has no variable `givn`; did you mean `given`?"),
        ("given[args.n]", 7, "expected string, found int `args.n`"),
        ("given[args.os]", 7, "`args.os` is optional; write `has(args.os) &&` before it"),
        ("level['mid']", 7, "`'mid'` is not a value of `state.level`; known: `high`, `low`"),
        ("given[args.s][args.s]", 1, f"`given[args.s][args.s]` {NO_VARIABLE}"),
        ("given.x", 1, f"`given.x` {NO_VARIABLE}"),
        ("state.given[args.s]", 1, f"`state.given[args.s]` {NO_VARIABLE}"),
        ("'given'[args.s]", 1, f"`'given'[args.s]` {NO_VARIABLE}"),
        ("given[", 7, "the expression ends too early; something is missing behind it"),
        ("given[]", 7, "`]` cannot stand here; check the operator or bracket before it"),
    ],
)
def test_a_key_of_then_is_refused_at_its_place(text: str, column: int, message: str) -> None:
    assert refused(target, text) == (column, message)
