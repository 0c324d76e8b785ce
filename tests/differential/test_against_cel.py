"""Differential, from the source text: our parser and checker with either meaning against Google's CEL engine."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import get_args

import cel_rich_sources
import cel_sources
import pytest
from cel_expr_python import cel
from cel_expr_python.ext import ext_strings
from cel_sources import CEL_CONSTANTS, SCOPE, SORTS, STATE, Source, boolean, of_any_depth
from ground_values import encoded, evaluated
from hypothesis import assume, given, settings

from sandbox import ir
from sandbox.errors import SpecError
from sandbox.ir import BoolSort, EnumSort, Expr
from sandbox.lang import SourceText, compile_expression

pytestmark = pytest.mark.no_cover  # a search goes the same ways many times; others cover them

ANY = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
ENGINE = cel.NewEnv(
    variables={
        "args": ANY,
        "state": ANY,
        "tool": cel.Type.STRING,
        "trusted": cel.Type.List(cel.Type.STRING),
        "three": cel.Type.INT,
        "half": cel.Type.INT,
    },
    extensions=[ext_strings.ExtStrings()],
)


def by_the_engine(text: str, args: dict[str, object], state: dict[str, object]) -> object:
    data = {"args": as_lists(args), "state": as_lists(state), "tool": "send", **CEL_CONSTANTS}
    return ENGINE.compile(text).eval(data=data).value()


def as_lists(values: dict[str, object]) -> dict[str, object]:
    """Lists and sets as the engine has them."""
    return {name: [*value] if isinstance(value, tuple | frozenset) else value for name, value in values.items()}


SOURCES = of_any_depth(lambda depth: boolean(cel_sources.Names(), depth))


@pytest.mark.deep_factor(40)
@settings(max_examples=3_500)
@given(source=SOURCES, values=cel_sources.values())
def test_both_meanings_are_what_the_cel_engine_says(source: Source, values: dict[str, dict[str, object]]) -> None:
    expr = compile_expression(SourceText.of(source.ours), SCOPE, BoolSort())
    args, state = values["args"], values["state"]
    expected = by_the_engine(source.cel, args, state)
    assert evaluated(expr, args, state) is expected
    assert encoded(expr, SORTS, args, state, STATE) is expected


@pytest.mark.deep_factor(40)
@settings(max_examples=300)
@given(source=cel_sources.of_all_keys(), values=cel_sources.values())
def test_what_is_said_of_all_keys_is_what_the_cel_engine_says_of_a_map(
    source: Source, values: dict[str, dict[str, object]]
) -> None:
    assume("tool " not in source.ours)  # in a property, what is said of the tool tells which arguments there are
    scope = replace(SCOPE, tool=None, facts={"tool": EnumSort(SCOPE.tools)})
    expr = compile_expression(SourceText.of(source.ours), scope, BoolSort())
    args, state = values["args"], values["state"]
    expected = by_the_engine(source.cel, args, state)
    facts = {"tool": "send"}
    assert evaluated(expr, args, state, facts) is expected
    assert encoded(expr, SORTS, args, state, STATE, facts, scope.facts) is expected


def test_the_sources_reach_every_operator_and_more_than_six_levels() -> None:
    seen: set[type] = set()
    deepest = 0

    @settings(max_examples=150)
    @given(source=SOURCES)
    def plain(source: Source) -> None:
        nonlocal deepest
        expr = compile_expression(SourceText.of(source.ours), SCOPE, BoolSort())
        seen.update(operators(expr))
        deepest = max(deepest, levels(expr))

    @settings(max_examples=120)
    @given(source=cel_rich_sources.SOURCES)
    def rich(source: Source) -> None:
        expr = compile_expression(SourceText.of(source.ours), cel_rich_sources.SCOPE, BoolSort())
        seen.update(operators(expr))

    plain()
    rich()
    assert deepest >= 6
    assert {each.__name__ for each in get_args(ir.Expr)} - {each.__name__ for each in seen} == {
        "AllKeys",  # in properties only: the test above
        "OriginHas",  # no CEL, but a question to the host
        "SetAdd",  # only in `then`, no CEL
        "SetRemove",
    }


def operands(expr: Expr) -> list[Expr]:
    parts = (getattr(expr, field.name) for field in fields(expr))
    inner = (each for part in parts for each in (part if isinstance(part, tuple) else (part,)))
    return [each for each in inner if isinstance(each, get_args(ir.Expr))]


def operators(expr: Expr) -> set[type]:
    return {type(expr)}.union(*map(operators, operands(expr)))


def levels(expr: Expr) -> int:
    """How deep an expression is nested: 1 for a name or constant."""
    return 1 + max(map(levels, operands(expr)), default=0)


@pytest.mark.parametrize(
    "text",
    ["1 < 2 < 3", "args.s + 1 == 'a'", "!'a'", "-true", "size(1) == 1", "'a' == 1", "5 && true",
     "true ? 1 : 'a'", "'a'.startsWith(1)", "args.s.matches(1)", "1u == 1", "b'a' == 'a'",
     "'\\q' == ''", "'abc", "a.b.c == 1", "null == 1", "true ||", "x ==== 1", "in == 1", "'a' ? true : false",
     "[1].all(1, true)"],
)  # fmt: skip
def test_what_the_engine_refuses_is_never_accepted(text: str) -> None:
    with pytest.raises(Exception, match=".+"):  # noqa: RUF043 - the oracle's own errors have no common type or text
        by_the_engine(text, {"s": "a"}, {})
    with pytest.raises(SpecError):
        compile_expression(SourceText.of(text), SCOPE, BoolSort())
