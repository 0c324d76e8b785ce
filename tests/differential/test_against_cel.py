"""Differential, from the source text: our parser and checker with either meaning against Google's CEL engine."""

from __future__ import annotations

from dataclasses import replace

import cel_sources
import pytest
from cel_expr_python import cel
from cel_expr_python.ext import ext_strings
from cel_sources import CEL_CONSTANTS, SCOPE, SORTS, STATE, Source, boolean
from ground_values import encoded, evaluated
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sandbox.errors import SpecError
from sandbox.ir import BoolSort, EnumSort
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


@settings(max_examples=1_500)
@given(source=boolean(cel_sources.Names()), environments=st.lists(cel_sources.values(), min_size=2, max_size=2))
def test_both_meanings_are_what_the_cel_engine_says(source: Source, environments: list[dict[str, object]]) -> None:
    expr = compile_expression(SourceText.of(source.ours), SCOPE, BoolSort())
    for values in environments:
        args, state = values["args"], values["state"]
        expected = by_the_engine(source.cel, args, state)
        assert evaluated(expr, args, state) is expected, (source, values)
        assert encoded(expr, SORTS, args, state, STATE) is expected, (source, values)


@settings(max_examples=300)
@given(source=cel_sources.of_all_keys(), environments=st.lists(cel_sources.values(), min_size=2, max_size=2))
def test_what_is_said_of_all_keys_is_what_the_cel_engine_says_of_a_map(
    source: Source, environments: list[dict[str, object]]
) -> None:
    assume("tool " not in source.ours)  # in a property, what is said of the tool tells which arguments there are
    scope = replace(SCOPE, tool=None, facts={"tool": EnumSort(SCOPE.tools)})
    expr = compile_expression(SourceText.of(source.ours), scope, BoolSort())
    for values in environments:
        args, state = values["args"], values["state"]
        expected = by_the_engine(source.cel, args, state)
        facts = {"tool": "send"}
        assert evaluated(expr, args, state, facts) is expected, (source, values)
        assert encoded(expr, SORTS, args, state, STATE, facts, scope.facts) is expected, (source, values)


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
