"""Unit: records, fields that may be absent or have a default, and lists of records."""

from __future__ import annotations

import json

import pytest
from typed_calls import call_of, canonical, code, misjudged, value_of

from sandbox.call import Call, Rejected
from sandbox.ir import (
    ArgType,
    Argument,
    Contract,
    DecimalType,
    DurationType,
    EmailType,
    IntType,
    ListType,
    RecordType,
    ShellType,
    StringType,
    TimestampType,
    Tool,
)
from sandbox.parse import parse_call

SMALL = IntType(0, 9)
PAIR = RecordType((Argument("b", SMALL), Argument("a", StringType(None, 0, 3), optional=True)))
PAIRS = ListType(PAIR, 0, 2, unique=True)
OUTER = RecordType((Argument("pair", PAIR), Argument("pairs", PAIRS, optional=True)))


@pytest.mark.parametrize(
    ("type_", "raw", "expected"),
    [
        (PAIR, {"b": 1}, {"b": 1}),
        (PAIR, {"a": "x", "b": 1}, {"a": "x", "b": 1}),
        (OUTER, {"pair": {"b": 1}}, {"pair": {"b": 1}}),
        (OUTER, {"pair": {"b": 1}, "pairs": [{"b": 1}, {"b": 2, "a": ""}]}, None),
        (PAIRS, [{"b": 1}, {"b": 1, "a": ""}], None),
        (RecordType((Argument("d", DecimalType(2, None, None)),)), {"d": 1}, {"d": "1.00"}),
    ],
)
def test_a_record_has_its_fields(type_: ArgType, raw: object, expected: object) -> None:
    assert canonical(type_, raw) == (raw if expected is None else expected)


def test_the_order_of_keys_means_nothing() -> None:
    one = parse_call('{"tool":"t","args":{"x":{"a":"x","b":1}}}', contract(Argument("x", PAIR)))
    other = parse_call('{"args":{"x":{"b":1,"a":"x"}},"tool":"t"}', contract(Argument("x", PAIR)))
    assert one == other
    assert isinstance(one, Call)
    assert list(one.args["x"]) == ["b", "a"]


HOSTILE: list[tuple[ArgType, object, str]] = [
    *((PAIR, raw, "parse.type") for raw in (1, True, "{}", [], [["b", 1]], [{"b": 1}])),
    (PAIR, None, "parse.null"),
    (PAIR, {}, "parse.missing_argument"),
    (PAIR, {"a": "x"}, "parse.missing_argument"),
    (PAIR, {"b": 1, "c": 1}, "parse.unknown_argument"),
    (PAIR, {"b": 1, "B": 1}, "parse.unknown_argument"),
    (PAIR, {"b": 1, "": 1}, "parse.unknown_argument"),
    (PAIR, {"b": 1, "__proto__": 1}, "parse.unknown_argument"),
    (PAIR, {"b": 1, "a": None}, "parse.null"),
    (PAIR, {"b": None}, "parse.null"),
    (PAIR, {"b": "1"}, "parse.type"),
    (PAIR, {"b": 10}, "parse.range"),
    (PAIR, {"b": 1, "a": "four"}, "parse.size"),
    (PAIR, {"b": 1, "a": "\ud800"}, "parse.unicode"),
    (PAIR, {f"k{number}": 1 for number in range(257)}, "parse.keys"),
    (PAIR, {f"k{number}": 1 for number in range(256)}, "parse.unknown_argument"),
    *((PAIR, {"b": number}, "parse.type") for number in (True, 1.0, [1], {"b": 1})),
    *((PAIR, {"b": 1, name: 1}, "parse.unknown_argument") for name in ("b ", "\u0432", "b\0", "\ud800", "0", "b.a")),
    (PAIR, {"b": 1, "a": "\0"}, "parse.unicode"),
    (PAIR, {"b": -1, "a": ""}, "parse.range"),
    (OUTER, {"pair": {"b": 1, "c": 1}}, "parse.unknown_argument"),
    (OUTER, {"pair": []}, "parse.type"),
    (OUTER, {"pair": None}, "parse.null"),
    (OUTER, {"b": 1}, "parse.unknown_argument"),
    (OUTER, {"pairs": [{"b": 1}]}, "parse.missing_argument"),
    (OUTER, {"pair": {"b": 1}, "pairs": [{"b": 1}, {"b": 1}]}, "parse.unique"),
    (PAIRS, [{"b": 1, "a": "x"}, {"a": "x", "b": 1}], "parse.unique"),
    (PAIRS, [{"b": 1}] * 3, "parse.size"),
    (PAIRS, [{"b": 1}, {}], "parse.missing_argument"),
    (PAIRS, {"0": {"b": 1}}, "parse.type"),
    (RecordType((Argument("m", EmailType()),)), {"m": "a"}, "parse.email"),
    (RecordType((Argument("m", ShellType(9)),)), {"m": "$x"}, "parse.shell"),
]


def test_what_is_no_such_record_is_refused() -> None:
    long = {"parse.keys"}  # said of the whole call, before any argument is looked at
    whole = [(raw, call_of(type_, raw), expected) for type_, raw, expected in HOSTILE if expected in long]
    assert [raw for raw, refused, expected in whole if refused.reason_code != expected] == []
    cases = [(type_, raw, expected) for type_, raw, expected in HOSTILE if expected not in long]
    assert [found for type_, raw, expected in cases for found in misjudged(type_, [(raw, expected)])] == []


def test_the_reason_names_the_place() -> None:
    raw = {"pair": {"b": 1}, "pairs": [{"b": 1}, {"b": "x"}]}
    assert call_of(OUTER, raw).reason.startswith(
        "argument `x`, field `pairs`, item 1, field `b`: a string is not accepted"
    )


def test_a_key_twice_is_refused_at_every_depth() -> None:
    refused = parse_call('{"tool":"t","args":{"x":{"b":1,"b":1}}}', contract(Argument("x", PAIR)))
    assert isinstance(refused, Rejected)
    assert refused.reason_code == "parse.duplicate_key"


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        value_of(PAIR, {"b": 1})["b"] = 2


# --- defaults ----------------------------------------------------------------------------------------


def contract(*arguments: Argument) -> Contract:
    return Contract("c", (Tool("t", arguments, ()),))


DEFAULTS: list[tuple[ArgType, str, object]] = [
    (SMALL, "7", 7),
    (StringType(None, 0, 9), '"x"', "x"),
    (StringType(None, 0, 9), '""', ""),
    (DecimalType(2, None, None), "1.5", 150),
    (DecimalType(2, None, None), '"1.5"', 150),
    (TimestampType(), '"1970-01-01T00:00:01Z"', 1_000),
    (DurationType(), '"1s"', 1_000),
    (ListType(SMALL, 0, 3, unique=False), "[1, 2]", (1, 2)),
    (PAIR, '{"b": 3}', {"b": 3}),
]


@pytest.mark.parametrize(("type_", "default", "value"), DEFAULTS)
def test_an_absent_argument_has_its_default_and_is_present(type_: ArgType, default: str, value: object) -> None:
    spec = contract(Argument("x", type_, default=default))
    absent = parse_call({"tool": "t", "args": {}}, spec)
    given = parse_call(f'{{"tool":"t","args":{{"x":{default}}}}}', spec)
    assert isinstance(absent, Call)
    assert absent.args == {"x": value}
    assert absent == given


@pytest.mark.parametrize(("type_", "default", "value"), DEFAULTS)
def test_null_is_not_the_default(type_: ArgType, default: str, value: object) -> None:
    refused = parse_call({"tool": "t", "args": {"x": None}}, contract(Argument("x", type_, default=default)))
    assert isinstance(refused, Rejected)
    assert refused.reason_code == "parse.null"


def test_what_is_given_beats_the_default_even_where_it_is_refused() -> None:
    spec = contract(Argument("x", SMALL, default="7"))
    assert parse_call({"tool": "t", "args": {"x": 0}}, spec).args == {"x": 0}
    refused = parse_call({"tool": "t", "args": {"x": 10}}, spec)
    assert isinstance(refused, Rejected)
    assert refused.reason_code == "parse.range"


@pytest.mark.parametrize("default", ["null", "10", '"x"', "", "{", "[", "1 2", "NaN", "\ud800"])
def test_a_default_that_is_no_value_is_a_refusal(default: str) -> None:
    refused = parse_call({"tool": "t", "args": {}}, contract(Argument("x", SMALL, default=default)))
    assert isinstance(refused, Rejected)


def test_a_field_may_have_a_default() -> None:
    type_ = RecordType((Argument("n", SMALL, default="7"), Argument("m", SMALL, optional=True)))
    assert value_of(type_, {}) == {"n": 7}
    assert canonical(type_, {"m": 1}) == {"n": 7, "m": 1}
    assert code(type_, {"n": None}) == "parse.null"
    assert json.loads(call_of(type_, {}).canonical) == {"tool": "t", "args": {"x": {"n": 7}}}
