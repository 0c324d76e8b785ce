"""Frames: what the host believes, and what it refuses to."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json

import execkit
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import SandboxFailure
from sandbox.execute import guest, protocol
from sandbox.execute.protocol import Exceeded, FrameReader, Raised, Returned, call_frame, read_ending, read_result
from sandbox.ir import (
    Argument,
    ArgWord,
    BoolType,
    DecimalType,
    DurationType,
    IntType,
    ListType,
    RecordType,
    Run,
    RunArgv,
    RunHost,
    RunTool,
    TimestampType,
)

KEY = bytes(range(32))


def frame(kind: int, number: int, payload: bytes, key: bytes = KEY) -> bytes:
    signed = guest.SIGNED.pack(len(payload), kind, number)
    return signed + hmac.new(key, signed + payload, hashlib.sha256).digest() + payload


def test_guest_and_host_speak_one_protocol() -> None:
    for name in ("HELLO", "STDOUT", "STDERR", "END", "REASON_LIMIT"):
        assert getattr(guest, name) == getattr(protocol, name), name
    assert guest.HEADER.format == protocol._HEADER.format
    assert guest.SIGNED.format == protocol._SIGNED.format
    assert guest.CALL_HEADER.format == protocol._CALL_HEADER.format


@given(st.lists(st.binary(max_size=50), max_size=5), st.lists(st.integers(1, 40), max_size=200))
def test_frames_come_out_as_they_went_in_however_they_are_cut(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(frame(protocol.STDOUT, number, payload) for number, payload in enumerate(payloads))
    reader = FrameReader(1000, KEY)
    seen, rest = [], stream
    for cut in [*cuts, len(stream)]:
        seen += reader.feed(rest[:cut])
        rest = rest[cut:]
    assert [each.payload for each in seen] == payloads


@given(st.integers(0, 8 * (guest.HEADER.size + 5) - 1))
def test_a_frame_with_one_flipped_bit_is_never_believed(bit: int) -> None:
    whole = bytearray(frame(protocol.END, 0, b"hello"))
    whole[bit // 8] ^= 1 << bit % 8
    believed: list[object] = []
    with contextlib.suppress(SandboxFailure):
        believed = FrameReader(1000, KEY).feed(bytes(whole))
    assert believed == []


@pytest.mark.parametrize(
    "forged",
    [
        frame(protocol.END, 0, b"{}", key=b""),
        frame(protocol.END, 1, b"{}"),
        frame(9, 0, b"{}"),
        guest.SIGNED.pack(2**31, protocol.END, 0) + bytes(32),
    ],
)
def test_a_frame_that_is_unsigned_repeated_unknown_or_endless_is_a_failure(forged: bytes) -> None:
    with pytest.raises(SandboxFailure):
        FrameReader(1000, KEY).feed(forged)


def test_a_repeated_frame_is_a_failure() -> None:
    reader = FrameReader(1000, KEY)
    reader.feed(frame(protocol.STDOUT, 0, b"x"))
    with pytest.raises(SandboxFailure):
        reader.feed(frame(protocol.STDOUT, 0, b"x"))


def test_the_call_is_sent_as_it_was_digested() -> None:
    tool = execkit.tool_of(
        "pay",
        Run(RunTool("tools.payments", "send_money"), output=123, timeout_ms=456),
        Argument("amount", DecimalType(2, None, None)),
        Argument("shares", ListType(DecimalType(1, None, None), 0, 3, unique=False)),
        Argument("count", IntType(0, 9)),
        Argument("unit", RecordType((Argument("at", TimestampType()), Argument("lasts", DurationType())))),
    )
    at = {"at": "2026-01-31T09:30:00.000Z", "lasts": "1.500s"}
    sent = call_frame(execkit.call_of(tool, amount="1.50", shares=["2.0"], count=3, unit=at), tool, KEY)
    (size,) = guest.CALL_HEADER.unpack(sent[:4])
    assert json.loads(sent[4 : 4 + size]) == {
        "key": KEY.hex(),
        "kind": "tool",
        "module": "tools.payments",
        "function": "send_money",
        "args": {"amount": "1.50", "shares": ["2.0"], "count": 3, "unit": at},
        "kinds": {
            "amount": "decimal",
            "shares": ["list", "decimal"],
            "count": None,
            "unit": {"at": "timestamp", "lasts": "duration"},
        },
        "output": 123,
        "timeout_ms": 456,
    }


def test_words_are_whole_spliced_or_dropped_and_never_split() -> None:
    words = ("git", ArgWord("verb"), "--", ArgWord("files"), ArgWord("deep"), ArgWord("absent"))
    tool = execkit.tool_of("git", Run(RunArgv(words)), Argument("deep", BoolType()))
    call = execkit.call_of(tool, verb="log; rm -rf /", files=["a b", "$(c)"], deep=True)
    sent = json.loads(call_frame(call, tool, KEY)[4:])
    assert sent["argv"] == ["git", "log; rm -rf /", "--", "a b", "$(c)", "true"]
    assert sent["kind"] == "argv"


def test_a_call_without_a_program_or_for_the_host_is_never_sent() -> None:
    for run in (Run(RunArgv((ArgWord("absent"),))), Run(RunHost("why")), None):
        tool = execkit.tool_of("nothing", run)
        with pytest.raises(SandboxFailure):
            call_frame(execkit.call_of(tool), tool, KEY)


def ending(**end: object) -> tuple[object, int]:
    return read_ending(json.dumps({"oom_kills": 0, **end}).encode(), 100)


def test_endings_are_read() -> None:
    assert ending(end="returned", result="[1]") == (Returned([1]), 0)
    assert ending(end="raised", reason="a\nb", exit=1) == (Raised("a\\nb", 1), 0)
    assert ending(end="exited", exit=-9, oom_kills=2) == (Raised("the tool was ended by signal 9", -9), 2)
    assert ending(end="exited", exit=3)[0] == Raised("the tool ended with exit code 3 and returned nothing", 3)
    assert ending(end="output") == (Exceeded("output"), 0)
    assert ending(end="result") == (Exceeded("result"), 0)


@pytest.mark.parametrize(
    "text", ["", "[", "{}", "[]", '{"end": "won", "oom_kills": 0}', '{"end": "returned"}', "[" * 9999]
)
def test_an_ending_that_the_guest_never_sends_is_a_failure(text: str) -> None:
    with pytest.raises(SandboxFailure):
        read_ending(text.encode(), 100)


@pytest.mark.parametrize(
    "text",
    [
        *("NaN", "1e999", "-Infinity", '{"a": 1, "a": 2}', "[1] 2", "", '"\\ud800"', '{"\\udfff": 1}'),
        *("[" * 40 + "]" * 40, "[" * 90_000, "1" * 5_000, '"' + "x" * 100_000 + '"'),
    ],
)
def test_a_result_that_others_would_read_otherwise_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the text is for the tool's author
        read_result(text, 100_000)


def test_a_result_that_is_refused_is_the_tool_s_error_with_a_reason() -> None:
    assert ending(end="returned", result="NaN")[0] == Raised(
        "the result is not JSON as it should be: `NaN` is no number", 0
    )


def test_one_line_is_printable_and_short() -> None:
    assert protocol.one_line("a\x1b[31m\u202e\ud800ü\t") == "a\\x1b[31m\\u202e\\ud800ü\\t"
    assert len(protocol.one_line("\n" * 10_000)) == protocol.REASON_LIMIT
