"""Messages are read once and strictly; what has two readings is none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.mcp.lines import TOO_LONG, Lines
from sandbox.mcp.wire import (
    INVALID_REQUEST,
    PARSE_ERROR,
    Answer,
    ErrorObject,
    Malformed,
    Notification,
    Request,
    dumps,
    read_message,
    result_of,
    write_message,
)
from sandbox.strict_json import JsonNumber


def test_a_request_keeps_its_id_and_its_numbers_as_they_were_written() -> None:
    message = read_message(
        b'{"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"x": 1.10, "y": 900719925474099312345}}'
    )
    assert message == Request("7", "tools/call", {"x": "1.10", "y": "900719925474099312345"})
    assert isinstance(message.id, JsonNumber)
    assert result_of(message.id, {"echo": message.params["x"]}) == b'{"jsonrpc":"2.0","id":7,"result":{"echo":1.10}}\n'


def test_the_number_1_and_the_string_1_are_two_ids() -> None:
    number, string = (read_message(b'{"jsonrpc":"2.0","method":"a","id":%s}' % text) for text in (b"1", b'"1"'))
    assert type(number.id) is not type(string.id)


def test_the_four_shapes() -> None:
    assert read_message(b'{"jsonrpc":"2.0","method":"n"}') == Notification("n")
    assert read_message(b'{"jsonrpc":"2.0","id":"a","result":{"x":true}}') == Answer("a", result={"x": True})
    assert read_message(b'{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":"m","data":[1]}}') == Answer(
        None, error=ErrorObject(-1, "m")
    )


DEEP = b'{"jsonrpc":"2.0","method":"a","id":1,"params":' + b'{"a":' * 40 + b"1" + b"}" * 41


@pytest.mark.parametrize(
    ("raw", "code", "words"),
    [
        (b"", PARSE_ERROR, "parse.json"),
        (b"{", PARSE_ERROR, "parse.json"),
        (b'{"jsonrpc":"2.0","method":"a","id":1,"id":2}', PARSE_ERROR, "parse.duplicate_key"),
        (b'{"jsonrpc":"2.0","method":"a","id":1,"params":{"a":{"b":1,"b":2}}}', PARSE_ERROR, "parse.duplicate_key"),
        (b'{"jsonrpc":"2.0","method":"a","id":1,"params":{"a":NaN}}', PARSE_ERROR, "parse.number"),
        (b'\xef\xbb\xbf{"jsonrpc":"2.0","method":"a","id":1}', PARSE_ERROR, "parse.json"),
        (b'{"jsonrpc":"2.0","method":"a","id":1}{}', PARSE_ERROR, "parse.json"),
        (b'{"jsonrpc":"2.0","method":"\xff","id":1}', PARSE_ERROR, "parse.utf8"),
        (DEEP, PARSE_ERROR, "parse.depth"),
        (b'[{"jsonrpc":"2.0","method":"a","id":1}]', INVALID_REQUEST, "a batch is not accepted; send one"),
        (b"1", INVALID_REQUEST, "not a JSON-RPC message"),
        (b'{"method":"a","id":1}', INVALID_REQUEST, "not a JSON-RPC message"),
        (b'{"jsonrpc":2.0,"method":"a","id":1}', INVALID_REQUEST, "not a JSON-RPC message"),
        (b'{"jsonrpc":"2.0","method":1,"id":1}', INVALID_REQUEST, "`method` is a string of at most 128 characters"),
        (b'{"jsonrpc":"2.0","method":"a","id":1,"params":[1]}', INVALID_REQUEST, "`params` is an object"),
        (b'{"jsonrpc":"2.0","method":"a","id":1,"params":null}', INVALID_REQUEST, "`params` is an object"),
        (b'{"jsonrpc":"2.0","method":"a","id":1,"approved":true}', INVALID_REQUEST, "and nothing else"),
        (b'{"jsonrpc":"2.0","method":"a","id":1.5}', INVALID_REQUEST, "`id` is an integer"),
        (b'{"jsonrpc":"2.0","method":"a","id":1e3}', INVALID_REQUEST, "`id` is an integer"),
        (b'{"jsonrpc":"2.0","method":"a","id":null}', INVALID_REQUEST, "`id` is an integer"),
        (b'{"jsonrpc":"2.0","method":"a","id":true}', INVALID_REQUEST, "`id` is an integer"),
        (b'{"jsonrpc":"2.0","method":"a","id":"\\ud800"}', INVALID_REQUEST, "`id` is an integer"),
        (b'{"jsonrpc":"2.0","method":"a","id":"%s"}' % (b"x" * 257), INVALID_REQUEST, "`id` is an integer"),
        (b'{"jsonrpc":"2.0","id":1}', INVALID_REQUEST, "neither a request nor an answer"),
        (b'{"jsonrpc":"2.0","id":1,"result":1,"error":{}}', INVALID_REQUEST, "neither a request nor an answer"),
        (b'{"jsonrpc":"2.0","id":1,"error":{"code":"x","message":"m"}}', INVALID_REQUEST, "an error has an integer"),
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused_with_a_reason(raw: bytes, code: int, words: str) -> None:
    message = read_message(raw)
    assert isinstance(message, Malformed)
    assert message.code == code
    assert words in message.message


@given(st.binary(max_size=200) | st.builds(lambda tree: json.dumps(tree).encode(), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["jsonrpc", "id", "method", "params", "result", "error", "code"]) | st.text(max_size=3),
        inner, max_size=4),
    max_leaves=12)))  # fmt: skip
def test_reading_never_raises(raw: bytes) -> None:
    assert isinstance(read_message(raw), Request | Notification | Answer | Malformed)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=12,
    )
)
def test_what_is_written_is_one_line_that_means_the_same(tree: object) -> None:
    written = write_message({"id": "1", "result": tree})
    assert written.count(b"\n") == 1
    assert written.isascii()
    assert json.loads(written)["result"] == tree


def test_keys_are_sorted_for_a_digest_and_else_in_order() -> None:
    assert dumps({"b": 1, "a": [JsonNumber("1.0")]}) == '{"b":1,"a":[1.0]}'
    assert dumps({"b": 1, "a": {"d": 1, "c": 2}}, sort_keys=True) == '{"a":{"c":2,"d":1},"b":1}'


@given(st.lists(st.binary(max_size=12).filter(lambda part: b"\n" not in part), max_size=8), st.integers(1, 7))
def test_lines_are_the_same_however_the_bytes_come(parts: list[bytes], step: int) -> None:
    data = b"".join(part + b"\n" for part in parts)
    lines = Lines()
    found = [line for at in range(0, len(data), step) for line in lines.feed(data[at : at + step])]
    assert found == [part for part in parts if part.strip(b" \t\r")]


def test_a_line_that_is_too_long_is_dropped_and_told_and_the_next_one_is_read() -> None:
    lines = Lines(limit=10)
    assert lines.feed(b"x" * 8) == []
    assert lines.feed(b"x" * 8) == []
    assert sum(map(len, lines._parts)) <= 10
    assert lines.feed(b"x\nshort\n" + b"y" * 11 + b"\n") == [TOO_LONG, b"short", TOO_LONG]
