"""Differential: what proofs assume of records, URLs, addresses, words and times is all that `parse` lets through.

The domain is built as the prover builds it, over free constants, and then asked about one parsed value.
"""

from __future__ import annotations

import json
import shlex
from datetime import UTC, timedelta, timezone
from functools import cache

import pytest
import z3
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.asked import constants_in
from sandbox.call import Call, Value
from sandbox.canonical import raw_value
from sandbox.encode import Environment, domain, symbols
from sandbox.engines import with_text_sizes
from sandbox.ground import Question, reduces_to_true, substitution
from sandbox.ir import (
    ArgType,
    Argument,
    ArgvType,
    Contract,
    DecimalType,
    DurationType,
    EmailType,
    EnumType,
    ListType,
    RecordType,
    ShellType,
    StringType,
    TextType,
    TimestampType,
    Tool,
    UrlType,
)
from sandbox.parse import parse_call

WEB = UrlType(("http", "https"))
ALL = UrlType(("http", "https", "ws", "wss", "ftp"))
INNER = RecordType((Argument("at", TimestampType()), Argument("to", EmailType(), optional=True)))
ORDER = RecordType(
    (
        Argument("code", StringType("[A-Z]{2}", 0, 9)),
        Argument("paid", DecimalType(2, 0, 1_000), default="1.50"),
        Argument("site", WEB, optional=True),
        Argument("note", TextType(3), optional=True),
        Argument("words", ArgvType(2), optional=True),
        Argument("colour", EnumType(("red", "green")), optional=True),
        Argument("inner", INNER, optional=True),
        Argument("many", ListType(INNER, 0, 2, unique=True), optional=True),
    )
)

hosts = st.one_of(
    st.from_regex(r"[a-zA-Z0-9_.-]{1,12}", fullmatch=True),
    st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){3}", fullmatch=True),
    st.from_regex(r"0x[0-9a-f]{1,8}|0[0-7]{1,11}|[0-9]{1,10}|[0-9]{1,3}\.[0-9]{1,6}", fullmatch=True),
    st.ip_addresses().map(lambda address: f"[{address}]" if address.version == 6 else str(address)),
    st.sampled_from(
        ["localhost", "a.local", "x.internal", "h.home.arpa", "intranet", "faß.de", "xn--a", "a%41", "\u2460.1"]
    ),
    st.text(max_size=6),
)
texts = st.text(st.characters(exclude_categories=[]), max_size=8) | st.text(
    "/.?#@:%\\ ;&='\"<>[]{}^`|~!$*+,é\t2eEfF5c", max_size=12
)
urls = st.builds(
    lambda scheme, host, port, path, query: f"{scheme}://{host}{port}{path}{query}",
    st.sampled_from(["http", "https", "HTTP", "ws", "wss", "ftp", "file", "x"]),
    hosts,
    st.sampled_from(["", "", ":", ":80", ":443", ":0", ":65535", ":65536", ":008"]),
    st.just("") | texts.map(lambda text: f"/{text}"),
    st.just("") | texts.map(lambda text: f"?{text}"),
)
emails = st.builds(
    "{}@{}".format,
    st.text("aZ09.!#$%&'*+-/=?^_`{|}~ \"", min_size=1, max_size=6) | st.text(max_size=3),
    st.from_regex(r"[a-zA-Z0-9.-]{1,9}(\.org)?", fullmatch=True)
    | st.sampled_from(["faß.de", "a@b", "[1.2.3.4]", "Ä.org"]),
)
words = st.text(st.characters(exclude_categories=[]), max_size=4) | st.text("ab '\"\\$\t\n|;&*~é", max_size=6)
lines = st.one_of(
    st.lists(words.map(shlex.quote) | st.sampled_from(["a", "if", "x=1", "&&", "||", ";", "|", "&"]), max_size=9).map(
        " ".join
    ),
    st.text("ab '\"\\$\t|;&-=", max_size=12),
)
instants = st.one_of(
    st.datetimes(
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5, minutes=-45)), timezone(timedelta(hours=14))])
    ).map(lambda at: at.isoformat(timespec="milliseconds")),
    st.datetimes().map(lambda at: at.isoformat(timespec="milliseconds") + "Z"),
    st.sampled_from(["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "0001-01-01T00:00:00+01:00"]),
)
lengths = st.from_regex(r"-?([0-9]{1,14}(\.[0-9]{1,4})?(ms|s|m|h)){1,3}", fullmatch=True)
inner = st.fixed_dictionaries({"at": instants}, optional={"to": emails})
orders = st.fixed_dictionaries(
    {"code": st.sampled_from(["AB", "ZZ", "ab"])},
    optional={
        "paid": st.sampled_from(["0", "10.00", 9.5, "10.01"]),
        "site": urls,
        "note": texts,
        "words": st.lists(words, max_size=3),
        "colour": st.sampled_from(["red", "green", "blue"]),
        "inner": inner,
        "many": st.lists(inner, max_size=3),
    },
)

RAW: dict[ArgType, st.SearchStrategy[object]] = {
    WEB: urls,
    ALL: urls,
    EmailType(): emails,
    ArgvType(3): st.lists(words, max_size=4),
    ShellType(80): lines,
    TimestampType(): instants,
    DurationType(): lengths,
    ORDER: orders,
    ListType(WEB, 0, 2, unique=True): st.lists(urls, max_size=2),
    ListType(ORDER, 1, 2, unique=True): st.lists(orders, max_size=2),
    ListType(INNER, 0, 3, unique=True): st.lists(inner, max_size=3),
}


@cache
def contract(type_: ArgType) -> Contract:
    return Contract("c", (Tool("t", (Argument("x", type_),), ()),))


@cache
def domain_of(type_: ArgType) -> tuple[Environment, tuple[z3.BoolRef, ...]]:
    (tool,) = contract(type_).tools
    env = symbols(contract(type_), tool, z3.Context())
    return env, domain(tool, env)


def inside(type_: ArgType, value: Value) -> bool:
    spec = contract(type_)
    env, facts = domain_of(type_)
    (tool,) = spec.tools
    question = Question("t", with_text_sizes(tool, {"x": value}), {}, "", {})
    pairs = substitution(spec, tool, env, frozenset(constants_in(facts)), question)
    return all(reduces_to_true(fact, pairs) for fact in facts)


def parsed(type_: ArgType, raw: object) -> Call | None:
    call = parse_call(json.dumps({"tool": "t", "args": {"x": raw}}).encode(), contract(type_))
    return call if isinstance(call, Call) else None


each_type = pytest.mark.parametrize("type_", RAW, ids=lambda type_: type(type_).__name__)


@each_type
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_parse_accepts_is_in_the_domain_and_canonical(type_: ArgType, data: st.DataObject) -> None:
    call = parsed(type_, data.draw(RAW[type_]))
    if call is None:
        return
    assert inside(type_, call.args["x"]), call.args
    again = parsed(type_, raw_value(call.args["x"], type_))
    assert again is not None
    assert (again.args, again.canonical) == (call.args, call.canonical)


@pytest.mark.parametrize(
    ("type_", "raw"),
    [
        *(
            (ALL, f"{scheme}://a.b:{port}/")
            for scheme in ("http", "https", "ws", "wss", "ftp")
            for port in ("", 1, 65_535)
        ),
        *(
            (WEB, f"http://{host}/")
            for host in ("a", "1.2.3.4", "10.0.0.1", "[::1]", "[2600::1]", "a.local", "x_y.z", "xn--a")
        ),
        *(
            (WEB, f"http://a/{part}")
            for part in ("!$&'()*+,;=:@-._~[]|^", '"<>`{}', "é?é", "?'\"<>`{}|^[]?", "%zz", "//", "...")
        ),
        *((EmailType(), f"{local}@b.org") for local in ("A", "#$&'*+/?=^_`{|}~-a", "1", "a" * 64)),
        *((ArgvType(3), list(each)) for each in (("",), ("\t\r\x01\x7f", "\u2028", "\U0002ffff"), ("a", "", ""))),
        *((ShellType(300), line) for line in ("a;" * 63 + "a", "a " * 64, "a '\t' 'é\U0002ffff' ''", "a|b&&c||d;e")),
        *((TimestampType(), each) for each in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z")),
        *((DurationType(), each) for each in ("9223372036854ms", "-9223372036854ms", "0s")),
        *(
            (ORDER, each)
            for each in ({"code": "AB"}, {"code": "AB", "note": "", "inner": {"at": "2026-01-01T00:00:00Z"}})
        ),
    ],
)
def test_edges_are_accepted_and_in_the_domain(type_: ArgType, raw: object) -> None:
    call = parsed(type_, raw)
    assert call is not None
    assert inside(type_, call.args["x"]), call.args


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (WEB, {**parsed(WEB, "http://a.b/").args["x"], **change})
        for change in (
            {"scheme": "ftp"},
            {"port": 0},
            {"port": 65_536},
            {"host": "A.b"},
            {"host": ""},
            {"path": "a"},
            {"path": ""},
        )
    ]
    + [
        (EmailType(), {"local": "", "domain": "b"}),
        (ListType(INNER, 0, 3, unique=True), ({"at": 1}, {"at": 1})),
        (EmailType(), {"local": "a", "domain": "B"}),
        (ArgvType(3), ()),
        (ArgvType(3), ("a\nb",)),
        (ShellType(80), ()),
        (ShellType(80), ((),)),
        (ShellType(80), (("a", "\n"),)),
        (ShellType(80), (("a",) * 40, ("b",) * 25)),
        (TimestampType(), 253_402_300_800_000),
        (DurationType(), -9_223_372_036_855),
        (ORDER, {"code": "ab", "paid": 150}),
        (ORDER, {"code": "AB", "paid": 1_001}),
        (ORDER, {"code": "AB", "paid": 0, "note": "four"}),
    ],
)
def test_the_domain_excludes_what_no_canonical_value_is(type_: ArgType, value: Value) -> None:
    assert not inside(type_, value)
