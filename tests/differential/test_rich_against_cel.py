"""Differential, from the source text: times, records, URLs and command lines against Google's CEL engine."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cel_expr_python import cel
from cel_expr_python.ext import ext_strings
from cel_rich_sources import EPOCH, FACTS, SCOPE, SORTS, SOURCES, STATE, values
from cel_sources import Source
from ground_values import encoded, evaluated
from hypothesis import given, settings

from sandbox.ir import BoolSort, DurationSort, TimestampSort
from sandbox.lang import SourceText, compile_expression

pytestmark = pytest.mark.no_cover  # a search goes the same ways many times; others cover them

ANY = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
TIME, LENGTH = cel.Type.TIMESTAMP, cel.Type.DURATION
ENGINE = cel.NewEnv(
    variables={
        "args": ANY,
        "session": ANY,
        "programs": cel.Type.List(cel.Type.STRING),
        "args_when": TIME,
        "args_wait": LENGTH,
        "args_ws": cel.Type.List(TIME),
        "state_last": TIME,
        "session_since": TIME,
        "now": TIME,
    },
    extensions=[ext_strings.ExtStrings()],
)


def by_the_engine(text: str, given_values: dict[str, dict[str, object]]) -> object:
    args, facts = given_values["args"], given_values["facts"]
    times = {"args_when": args["when"], "state_last": given_values["state"]["last"], "now": facts["now"]}
    data = {
        "args": {name: plain(value) for name, value in args.items() if name not in {"when", "wait", "ws"}},
        "session": {"role": facts["session.role"]},
        "programs": ["git", "ls"],
        "args_wait": timedelta(milliseconds=args["wait"]),
        "args_ws": [moment(value) for value in args["ws"]],
        "session_since": moment(facts["session.since"]),
        **{name: moment(value) for name, value in times.items()},
    }
    return ENGINE.compile(text).eval(data=data).value()


def moment(ms: int) -> object:
    return EPOCH + timedelta(milliseconds=ms)


def plain(value: object) -> object:
    match value:
        case tuple():
            return [plain(item) for item in value]
        case dict():
            return {name: plain(item) for name, item in value.items()}
        case _:
            return value


@pytest.mark.deep_factor(40)
@settings(max_examples=1_200, deadline=None)
@given(source=SOURCES, each=values())
def test_both_meanings_are_what_the_cel_engine_says(source: Source, each: dict[str, dict[str, object]]) -> None:
    expr = compile_expression(SourceText.of(source.ours), SCOPE, BoolSort())
    expected = by_the_engine(source.cel, each)
    args, state, facts = each["args"], each["state"], each["facts"]
    assert evaluated(expr, args, state, facts) is expected
    assert encoded(expr, SORTS, args, state, STATE, facts, FACTS) is expected


def test_the_times_of_a_call_are_never_hidden_in_a_map_that_the_engine_would_refuse() -> None:
    timed = {name for name, sort in SORTS.items() if isinstance(sort, TimestampSort | DurationSort)}
    assert timed == {"when", "wait"}
