"""For any bytes and any tree: parse never raises, and agrees with a naive reader that shares no code with it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sandbox.call import Call, Rejected
from sandbox.ir import (
    ArgType,
    Argument,
    BoolType,
    Contract,
    DecimalType,
    EnumType,
    IntType,
    ListType,
    PathType,
    StringType,
    TextType,
    Tool,
)
from sandbox.parse import parse_call

TYPES: dict[str, ArgType] = {
    "flag": BoolType(),
    "count": IntType(-10, 10**20),
    "money": DecimalType(2, -1000, 10**20),
    "any_size": DecimalType(1, None, None),
    "name": StringType(None, 1, 6),
    "code": StringType("[a-c]+", 0, 6),
    "note": TextType(6),
    "colour": EnumType(("red", "gr\u00fcn")),
    "file": PathType("/w"),
    "absolute": PathType(None),
    "counts": ListType(IntType(0, 9), 1, 3, unique=True),
    "files": ListType(PathType("/w"), 0, 3, unique=True),
}
CONTRACT = Contract(
    "c",
    (
        Tool("t", tuple(Argument(name, type_, optional=True) for name, type_ in TYPES.items()), ()),
        Tool("must", (Argument("flag", BoolType()), Argument("count", IntType(0, 9))), ()),
    ),
)

NUMBERS = st.sampled_from(
    [
        *(
            "0",
            "-0",
            "1",
            "-1",
            "9",
            "10",
            "-10",
            "-11",
            "1.0",
            "1.5",
            "1.50",
            "1.500",
            "-0.00",
            "0.001",
            "1e3",
            "1E-2",
        ),
        *(
            "9" * 20,
            "9" * 30,
            "1" * 400,
            "1" * 401,
            "0." + "1" * 400,
            "-10.00",
            "-10.01",
            "NaN",
            "Infinity",
            "-Infinity",
        ),
    ]
)
TEXTS = st.one_of(
    st.sampled_from(
        ["red", "gr\u00fcn", "abc", "abcabca", "..", "a/../b", "/a//./b/", "~", "a\\b", "\0", "\ud800", "\U00030000"]
    ),
    st.sampled_from(["1", "1.50", "-0", "01", "1e3", "NaN", "9" * 401, "", ".", "/", "a\n", "\u0661"]),
    st.text(st.characters(exclude_categories=[]), max_size=8),
    st.text("ab./~\\1-", max_size=8),
)
SOURCES = st.recursive(
    st.one_of(st.sampled_from(["null", "true", "false"]), NUMBERS, TEXTS.map(json.dumps)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: f"[{','.join(items)}]"),
        st.lists(st.tuples(TEXTS.map(json.dumps), inner), max_size=3).map(
            lambda pairs: f"{{{', '.join(f'{key} :{value}' for key, value in pairs)}}}"
        ),
    ),
    max_leaves=6,
)
SOURCES_OF_A_TYPE: dict[type[ArgType], st.SearchStrategy[str]] = {
    BoolType: st.sampled_from(["true", "false"]),
    IntType: NUMBERS,
    DecimalType: st.one_of(NUMBERS, NUMBERS.map(json.dumps)),
    EnumType: st.sampled_from(["red", "gr\u00fcn", "Red"]).map(json.dumps),
    StringType: st.one_of(TEXTS, st.text("abcd", max_size=7)).map(json.dumps),
    ListType: st.lists(st.one_of(st.sampled_from("0129"), TEXTS.map(json.dumps)), max_size=3).map(
        lambda items: f"[{','.join(items)}]"
    ),
}


def pairs_of(name: str) -> st.SearchStrategy[tuple[str, str]]:
    """An argument with a source that is mostly of its type's kind."""
    fitting = SOURCES_OF_A_TYPE.get(type(TYPES[name]), TEXTS.map(json.dumps))
    return st.tuples(st.just(name), st.one_of(fitting, fitting, SOURCES))


PAIRS = st.sampled_from(sorted(TYPES)).flatmap(pairs_of)
ARGS = st.one_of(
    st.lists(PAIRS, max_size=1),
    st.lists(PAIRS, max_size=3, unique_by=lambda pair: pair[0]),
    st.lists(PAIRS, min_size=1, max_size=3, unique_by=lambda pair: pair[0]),
    st.lists(PAIRS, min_size=2, max_size=2),
    st.tuples(PAIRS, st.tuples(st.just("other"), SOURCES)),
).map(lambda pairs: f"{{{','.join(f'{json.dumps(key)}:{value}' for key, value in pairs)}}}")
CALLS = st.builds('{{"tool":"{}","args":{}}}'.format, st.sampled_from(["t", "t", "t", "must", "T"]), ARGS)


class _No(Exception):  # what the oracle answers
    pass


def oracle(text: str) -> dict[str, object] | None:
    """What a reader that is slow, plain and written from the tables alone makes of a call; None: refused."""
    try:
        call = json.loads(
            text, object_pairs_hook=_pairs, parse_int=_Number, parse_float=_Number, parse_constant=_refuse
        )
        if not isinstance(call, dict) or set(call) != {"tool", "args"} or not isinstance(call["args"], dict):
            return None
        args = call["args"]
        if call["tool"] == "must":
            if set(args) != {"flag", "count"} or not 0 <= int(_value(args["count"], TYPES["count"])) <= 9:  # type: ignore[call-overload]
                return None
        elif call["tool"] != "t" or not set(args) <= set(TYPES):
            return None
        return {name: _value(value, TYPES[name]) for name, value in args.items()}
    except (_No, json.JSONDecodeError):
        return None


class _Number:
    def __init__(self, text: str) -> None:
        self.text = text
        if sum(char.isdigit() for char in text) > 400:
            raise _No


def _refuse(_: object) -> object:
    raise _No


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise _No
    return dict(pairs)


def _value(raw: object, type_: ArgType) -> object:
    match type_:
        case BoolType() if raw is True or raw is False:
            return raw
        case IntType() if isinstance(raw, _Number) and re.fullmatch(r"-?[0-9]+", raw.text) and raw.text != "-0":
            return _within(Decimal(raw.text), Decimal(type_.minimum), Decimal(type_.maximum), 0)
        case DecimalType() if isinstance(raw, _Number | str):
            return _decimal(raw.text if isinstance(raw, _Number) else raw, type_)
        case StringType() if isinstance(raw, str) and type_.min_size <= len(raw) <= type_.max_size:
            if all(0 < ord(c) <= 0x2FFFF and not 0xD800 <= ord(c) <= 0xDFFF for c in raw) and (
                type_.pattern is None or re.fullmatch(type_.pattern, raw)
            ):
                return raw
        case TextType() if isinstance(raw, str) and len(raw) <= type_.max_size:
            if all(c != "\0" and not 0xD800 <= ord(c) <= 0xDFFF for c in raw):
                return raw
        case EnumType() if isinstance(raw, str) and raw in type_.values:
            return raw
        case PathType() if isinstance(raw, str):
            return _path(raw, type_.under)
        case ListType() if isinstance(raw, list) and type_.min_size <= len(raw) <= type_.max_size:
            items = [_value(item, type_.items) for item in raw]
            if len({str(item) for item in items}) == len(items):
                return items
    raise _No


def _decimal(text: str, type_: DecimalType) -> object:
    if not re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?", text, re.ASCII):
        raise _No
    number = Decimal(text)
    if number.is_zero() and text.startswith("-"):
        raise _No
    if "." in text and len(text.partition(".")[2]) > type_.scale:
        raise _No
    if sum(char.isdigit() for char in text.partition(".")[0]) + type_.scale > 400:  # as it is written canonically
        raise _No
    low = None if type_.minimum is None else Decimal(type_.minimum).scaleb(-type_.scale)
    high = None if type_.maximum is None else Decimal(type_.maximum).scaleb(-type_.scale)
    return _within(number, low, high, type_.scale)


def _within(number: Decimal, low: Decimal | None, high: Decimal | None, scale: int) -> object:
    if (low is not None and number < low) or (high is not None and number > high):
        raise _No
    sign, digits, exponent = number.as_tuple()
    scaled = int("".join(map(str, digits))) * 10 ** (int(exponent) + scale)
    return -scaled if sign else scaled


def _path(text: str, under: str | None) -> str:
    bad = any(
        ord(c) < 32 or 127 <= ord(c) < 160 or c == "\\" or 0xD800 <= ord(c) < 0xE000 or ord(c) > 0x2FFFF for c in text
    )
    if bad or text == "" or text[0] == "~" or ".." in text.split("/") or (text[0] != "/" and under is None):
        raise _No
    parts = [part for part in (text if text[0] == "/" else f"{under}/{text}").split("/") if part and part != "."]
    if len(text.encode()) > 4096 or any(len(part.encode()) > 255 for part in parts):
        raise _No
    return "/" + "/".join(parts)


def _listed(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def agree(text: str) -> bool:
    """Parse and the oracle give the same answer; whether it was a value."""
    answer = parse_call(text.encode(), CONTRACT)
    expected = oracle(text)
    if isinstance(answer, Rejected):
        assert expected is None, answer
        return False
    assert expected == {name: _listed(value) for name, value in answer.args.items()}
    return True


@pytest.mark.parametrize("name", TYPES)
def test_parse_reads_an_argument_as_a_naive_reader_does(name: str) -> None:
    accepted = []

    @settings(max_examples=150, deadline=None)
    @given(pairs_of(name))
    def search(pair: tuple[str, str]) -> None:
        accepted.append(agree(f'{{"tool":"t","args":{{"{name}":{pair[1]}}}}}'))

    search()
    assert 2 <= sum(accepted) < len(accepted), "the search saw too little of one side"


@settings(max_examples=200, deadline=None)
@given(CALLS)
@example('{"tool":"t","args":{"money":"1.50","money":2}}')
@example('{"tool":"t","args":{"files":["a","./a"]}}')
@example('{"tool":"must","args":{"flag":true,"count":3}}')
def test_parse_reads_a_call_as_a_naive_reader_does(text: str) -> None:
    agree(text)


@settings(max_examples=300, deadline=None)
@given(CALLS)
def test_what_is_accepted_is_a_fixed_point(text: str) -> None:
    answer = parse_call(text, CONTRACT)
    if isinstance(answer, Call):
        assert parse_call(answer.canonical, CONTRACT) == answer
        assert parse_call(json.loads(answer.canonical), CONTRACT) == answer


MUTATED = st.builds(
    lambda text, at, junk: text.encode()[: at % (len(text) + 1)] + junk + text.encode()[at % (len(text) + 1) :],
    CALLS,
    st.integers(0, 200),
    st.one_of(
        st.binary(max_size=3), st.sampled_from([b"\xef\xbb\xbf", b"\x00", b"[" * 40, b'"', b"\\", b"\x0c", b",", b"//"])
    ),
)


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.binary(max_size=200), MUTATED, st.text(st.characters(exclude_categories=[]))))
def test_parse_never_raises_and_every_reason_is_one_printable_line(raw: bytes | str) -> None:
    answer = parse_call(raw, CONTRACT)
    if isinstance(answer, Rejected):
        assert answer.reason_code == "unknown_tool" or answer.reason_code.startswith("parse.")
        assert answer.reason.isascii()
        assert answer.reason.isprintable()


HOST_VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.decimals(),
        TEXTS,
        st.binary(max_size=3),
        st.complex_numbers(),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner),
        st.dictionaries(st.one_of(TEXTS, st.integers(), st.none()), inner, max_size=3),
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.one_of(st.sampled_from([*TYPES, "other"]), st.integers()), HOST_VALUES, max_size=3))
def test_a_hosts_dict_never_raises_and_means_what_its_json_means(args: Mapping[object, object]) -> None:
    raw: Mapping[str, object] = {"tool": "t", "args": args}
    answer = parse_call(raw, CONTRACT)
    if isinstance(answer, Rejected):
        assert answer.reason_code.startswith("parse.")
    else:
        assert parse_call(json.dumps(raw, default=lambda number: format(number, "f")), CONTRACT) == answer
