"""For any value: the readers of these types never raise, refuse in one line, and read their own text again."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sandbox.call import Call, Rejected
from sandbox.canonical import raw_value
from sandbox.ir import (
    ArgType,
    Argument,
    ArgvType,
    Contract,
    DurationType,
    EmailType,
    ListType,
    RecordType,
    ShellType,
    StringType,
    TimestampType,
    Tool,
    UrlType,
)
from sandbox.parse import parse_call

WEB = UrlType(("http", "https"))
RECORD = RecordType(
    (
        Argument("a", StringType(None, 0, 3)),
        Argument("b", WEB, optional=True),
        Argument("c", TimestampType(), default='"2026-01-01T00:00:00Z"'),
        Argument("d", ShellType(20), optional=True),
    )
)
CODES = {
    UrlType: "parse.url",
    EmailType: "parse.email",
    ArgvType: "parse.argv",
    ShellType: "parse.shell",
    TimestampType: "parse.timestamp",
    DurationType: "parse.duration",
}
TYPES: tuple[ArgType, ...] = (
    *(WEB, EmailType(), ArgvType(3), ShellType(40), TimestampType(), DurationType(), RECORD),
    ListType(RECORD, 0, 2, unique=True),
)

texts = st.one_of(
    st.text(st.characters(exclude_categories=[]), max_size=12),
    st.text("http://a.b:@?#[]%\\2e", max_size=16).map(lambda text: f"http://{text}"),
    st.text("ab@.'\"()<>,;:\\=?%!-", max_size=12),
    st.text("ab '\"\\$`|&;<>(){}[]*?~#!=\t\n", max_size=16),
    st.text("0123456789-:.TZ+", max_size=26),
    st.text("0123456789.hmsnuµ-+", max_size=10),
    st.sampled_from(["2026-01-31T09:30:00Z", "1h30m", "a | b", "a@b.org", "http://a.b/"]),
)
trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from("abcd") | texts, inner, max_size=4)
        | st.fixed_dictionaries({"a": inner}, optional={"b": inner, "c": inner, "d": inner})
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("type_", TYPES, ids=lambda type_: type(type_).__name__)
@settings(max_examples=120, deadline=None)
@example(raw="1\\%")
@given(raw=texts | trees)
def test_any_value_is_read_or_refused_in_one_line(type_: ArgType, raw: object) -> None:
    contract = Contract("c", (Tool("t", (Argument("x", type_),), ()),))
    answer = parse_call(json.dumps({"tool": "t", "args": {"x": raw}}).encode(), contract)
    if isinstance(answer, Rejected):
        assert answer.reason_code.startswith("parse.")
        assert answer.reason.isascii()
        assert answer.reason.isprintable()
        assert len(answer.reason) < 1_000
        if type(type_) in CODES:
            shared = {"parse.type", "parse.null", "parse.unicode", "parse.size"}
            shared |= {"parse.depth", "parse.number"}  # of the whole message
            assert answer.reason_code in shared | {CODES[type(type_)]}
        return
    again = parse_call({"tool": "t", "args": {"x": raw_value(answer.args["x"], type_)}}, contract)
    assert isinstance(again, Call)
    assert again == answer
