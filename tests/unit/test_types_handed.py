"""Unit: a function gets the same values in the container and in this process, whatever their types."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from sandbox.call import Call
from sandbox.execute import guest
from sandbox.execute.protocol import call_message
from sandbox.handed import python_arguments
from sandbox.ir import (
    ArgType,
    Argument,
    ArgvType,
    BoolType,
    Contract,
    DecimalType,
    DurationType,
    EmailType,
    EnumType,
    IntType,
    ListType,
    PathType,
    RecordType,
    Run,
    RunTool,
    ShellType,
    StringType,
    TextType,
    TimestampType,
    Tool,
    UrlType,
)
from sandbox.parse import parse_call

MONEY = DecimalType(2, None, None)
AT = TimestampType()
LASTS = DurationType()
URL = UrlType(("http", "https"))
SHELL = ShellType(4_096)
PERSON = RecordType(
    (
        Argument("name", StringType(None, 0, 80)),
        Argument("paid", MONEY, optional=True),
        Argument("seen", AT, optional=True),
        Argument("site", URL, optional=True),
    )
)
NESTED = RecordType((Argument("of", PERSON), Argument("for", ListType(LASTS, 0, 3, unique=False))))
NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)

HANDED: list[tuple[ArgType, object, object]] = [
    (BoolType(), True, True),
    (IntType(-5, 5), -5, -5),
    (IntType(0, 10**30), 10**29, 10**29),
    (MONEY, "1.5", Decimal("1.50")),
    (MONEY, "-0.01", Decimal("-0.01")),
    (DecimalType(0, None, None), "7", Decimal(7)),
    (DecimalType(40, None, None), "1", Decimal("1." + "0" * 40)),
    (StringType(None, 0, 9), "1.5", "1.5"),
    (StringType(None, 0, 40), "2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
    (TextType(9), "\U0010ffff", "\U0010ffff"),
    (EnumType(("red",)), "red", "red"),
    (PathType("/w"), "a/./b", "/w/a/b"),
    (AT, "2026-01-31T13:00:00+01:00", NOON),
    (AT, "2026-01-31T12:00:00.25Z", NOON + timedelta(milliseconds=250)),
    (AT, "0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    (AT, "9999-12-31T23:59:59.999Z", datetime(9999, 12, 31, 23, 59, 59, 999_000, UTC)),
    (LASTS, "1h30m", timedelta(minutes=90)),
    (LASTS, "0s", timedelta(0)),
    (LASTS, "-1.5s", timedelta(milliseconds=-1_500)),
    (LASTS, "-1ms", timedelta(milliseconds=-1)),
    (LASTS, "-500ms", timedelta(milliseconds=-500)),
    (LASTS, "2562047h47m16.854s", timedelta(milliseconds=9_223_372_036_854)),
    (LASTS, "-2562047h47m16.854s", timedelta(milliseconds=-9_223_372_036_854)),
    (URL, "HTTPS://EXAMPLE.org:443/a/../b", "https://example.org/b"),
    (EmailType(), "Ann@EXAMPLE.org", "Ann@example.org"),
    (ArgvType(64), ["git", "log", "$(x)"], ["git", "log", "$(x)"]),
    (SHELL, "git log | wc", [["git", "log"], "|", ["wc"]]),
    (SHELL, "a && 'b c' || d ; e", [["a"], "&&", ["b c"], "||", ["d"], ";", ["e"]]),
    (SHELL, "ls", [["ls"]]),
    (PERSON, {"name": "1.50"}, {"name": "1.50"}),
    (
        PERSON,
        {"seen": "2026-01-31T12:00:00Z", "paid": "2", "name": "Ann"},
        {"name": "Ann", "paid": Decimal("2.00"), "seen": NOON},
    ),
    (PERSON, {"name": "", "site": "http://a"}, {"name": "", "site": "http://a/"}),
    (ListType(PERSON, 0, 3, unique=True), [], []),
    (
        ListType(PERSON, 0, 3, unique=True),
        [{"name": "a", "paid": "1"}, {"name": "b"}],
        [{"name": "a", "paid": Decimal("1.00")}, {"name": "b"}],
    ),
    (ListType(AT, 0, 3, unique=True), ["2026-01-31T12:00:00Z"], [NOON]),
    (ListType(MONEY, 0, 3, unique=False), ["1", "1"], [Decimal("1.00"), Decimal("1.00")]),
    (
        NESTED,
        {"for": ["1s", "2s"], "of": {"name": "x", "seen": "2026-01-31T12:00:00Z"}},
        {"of": {"name": "x", "seen": NOON}, "for": [timedelta(seconds=1), timedelta(seconds=2)]},
    ),
]


def call_with(type_: ArgType, raw: object) -> tuple[Call, Tool]:
    tool = Tool("t", (Argument("x", type_),), (), run=Run(RunTool("module", "function")))
    call = parse_call(json.dumps({"tool": "t", "args": {"x": raw}}).encode(), Contract("c", (tool,)))
    assert isinstance(call, Call), call
    return call, tool


@pytest.mark.parametrize(("type_", "raw", "expected"), HANDED)
def test_a_value_is_handed_over_alike_in_the_container_and_in_this_process(
    type_: ArgType, raw: object, expected: object
) -> None:
    call, tool = call_with(type_, raw)
    here = python_arguments(call, tool)["x"]
    assert (here, written(here)) == (expected, written(expected))
    sent = json.loads(json.dumps(call_message(call, tool)))
    there = guest.convert(sent["args"]["x"], sent["kinds"]["x"])
    assert (there, written(there)) == (expected, written(expected))


def written(value: object) -> object:
    """A value with its types, its decimals' digits, its instants' offsets, and the declared order of its fields."""
    return repr(value)


def test_every_type_is_in_the_table() -> None:
    from typing import get_args

    assert {type(type_) for type_, _, _ in HANDED} == set(get_args(ArgType))


def test_what_a_function_receives_it_may_change() -> None:
    call, tool = call_with(PERSON, {"name": "Ann"})
    python_arguments(call, tool)["x"]["name"] = "changed"
    assert python_arguments(call, tool)["x"] == {"name": "Ann"}
