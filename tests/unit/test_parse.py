"""Every type's accepted and refused forms, with the exact reason code, and the shape of a call."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType

import pytest

from sandbox import parse as parse_module
from sandbox.call import Call, Rejected, Value
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

BOOL = BoolType()
INT = IntType(-(2**63), 2**63 - 1)
SMALL = IntType(1, 10)
MONEY = DecimalType(2, -100_000, 100_000)
WHOLE = DecimalType(0, None, None)
STRING = StringType(None, 1, 8)
IBAN = StringType("[A-Z]{2}[0-9]+", 0, 4096)
TEXT = TextType(8)
COLOUR = EnumType(("red", "green", "two words"))
PATH = PathType("/workspace")
ABSOLUTE = PathType(None)
INTS = ListType(SMALL, 1, 3, unique=False)
NAMES = ListType(STRING, 0, 4, unique=True)
MONIES = ListType(MONEY, 0, 4, unique=True)
PATHS = ListType(PATH, 0, 4, unique=True)


def parsed(raw_value: str, type_: ArgType) -> Value | Rejected:
    """The value of the one argument `x`, written as raw JSON."""
    contract = Contract("c", (Tool("t", (Argument("x", type_),), ()),))
    answer = parse_call(f'{{"tool":"t","args":{{"x":{raw_value}}}}}'.encode("utf-8", "surrogatepass"), contract)
    return answer.args["x"] if isinstance(answer, Call) else answer


def given(value: object, type_: ArgType) -> Value | Rejected:
    """The value of the one argument `x`, handed over by a host as a dict."""
    contract = Contract("c", (Tool("t", (Argument("x", type_),), ()),))
    answer = parse_call({"tool": "t", "args": {"x": value}}, contract)
    return answer.args["x"] if isinstance(answer, Call) else answer


def code(answer: object) -> str:
    assert isinstance(answer, Rejected), answer
    assert answer.reason.isprintable()
    assert answer.reason.isascii()
    assert len(answer.reason) < 1_000
    return answer.reason_code


ACCEPTED: list[tuple[ArgType, str, Value]] = [
    (BOOL, "true", True),
    (BOOL, "false", False),
    (INT, "0", 0),
    (INT, "-1", -1),
    (INT, "9223372036854775807", 2**63 - 1),
    (INT, "-9223372036854775808", -(2**63)),
    (SMALL, "1", 1),
    (SMALL, "10", 10),
    (IntType(0, 10**399), "9" * 399, int("9" * 399)),
    (MONEY, "0", 0),
    (MONEY, "1", 100),
    (MONEY, "1.5", 150),
    (MONEY, "1.50", 150),
    (MONEY, '"1.50"', 150),
    (MONEY, '"-0.01"', -1),
    (MONEY, "-0.01", -1),
    (MONEY, "1000.00", 100_000),
    (MONEY, "-1000.00", -100_000),
    (MONEY, "0.10", 10),
    (WHOLE, "9" * 400, int("9" * 400)),
    (WHOLE, '"' + "9" * 400 + '"', int("9" * 400)),
    (STRING, '"a"', "a"),
    (STRING, '"\\u0061\\n"', "a\n"),
    (STRING, '"\U0002ffff"', "\U0002ffff"),
    (STRING, '"\\ud83d\\ude00"', "\U0001f600"),
    (STRING, '"12345678"', "12345678"),
    (STRING, '"\U0001f600\U0001f600\U0001f600\U0001f600\U0001f600\U0001f600\U0001f600\U0001f600"', "\U0001f600" * 8),
    (IBAN, '"GB29"', "GB29"),
    (TEXT, '""', ""),
    (TEXT, '"\U0010ffff"', "\U0010ffff"),
    (TEXT, '"\\u0001\\u202e"', "\x01\u202e"),
    (COLOUR, '"red"', "red"),
    (COLOUR, '"two words"', "two words"),
    (COLOUR, '"\\u0072ed"', "red"),
    (PATH, '"a"', "/workspace/a"),
    (PATH, '"./a//b/./c/"', "/workspace/a/b/c"),
    (PATH, '"/etc/passwd"', "/etc/passwd"),
    (PATH, '"."', "/workspace"),
    (PATH, '"/"', "/"),
    (PATH, '"///"', "/"),
    (PATH, '"/./"', "/"),
    (PATH, '"..."', "/workspace/..."),
    (PATH, '"..a/a.."', "/workspace/..a/a.."),
    (PATH, '"a~"', "/workspace/a~"),
    (PATH, '"./~"', "/workspace/~"),
    (PATH, '" "', "/workspace/ "),
    (PathType("/"), '"a"', "/a"),
    (PathType("/w/"), '"a"', "/w/a"),
    (ABSOLUTE, '"/a/b"', "/a/b"),
    (ABSOLUTE, '"//a"', "/a"),
    (INTS, "[1]", (1,)),
    (INTS, "[1,1,1]", (1, 1, 1)),
    (NAMES, "[]", ()),
    (NAMES, '["a","b"]', ("a", "b")),
    (MONIES, '[1,"2.5"]', (100, 250)),
    (PATHS, '["a","/b"]', ("/workspace/a", "/b")),
]

LONE = "\\ud800"
REFUSED: list[tuple[ArgType, str, str]] = [
    # --- bool
    *[
        (BOOL, raw, "parse.type")
        for raw in (
            "0", "1", "-1", "1.0", "1e0", '"true"', '"false"', '"True"', '"yes"', '"no"', '"on"', '"1"', '""', "[]",
            "[true]", "{}", '{"true":true}', '"t"', '"\\u0000"', "9" * 400, "0.0", "-0", '"null"', "[[]]", '" true"',
        )
    ],
    (BOOL, "null", "parse.null"),
    (BOOL, "True", "parse.json"),
    (BOOL, "TRUE", "parse.json"),
    (BOOL, "tru", "parse.json"),
    (BOOL, "truefalse", "parse.json"),
    (BOOL, "", "parse.json"),
    # --- int
    *[
        (INT, raw, "parse.type")
        for raw in (
            "true", "false", "1.0", "1.5", "1e3", "1E3", "1e+3", "1e-3", "0e0", "-0", "-0.0", '"1"', '"0x10"', '""',
            "[]", "[1]", "{}", "1.0e1", "10000000000000000000000.0", '"\uff11"', '"1 "', '"-"', '"1_000"',
        )
    ],
    (INT, "null", "parse.null"),
    (INT, "9223372036854775808", "parse.range"),
    (INT, "-9223372036854775809", "parse.range"),
    (INT, "9" * 400, "parse.range"),
    (SMALL, "0", "parse.range"),
    (SMALL, "11", "parse.range"),
    (SMALL, "-5", "parse.range"),
    (INT, "9" * 401, "parse.number"),
    (INT, "-" + "9" * 401, "parse.number"),
    (INT, "9" * 100_000, "parse.number"),
    (INT, "0." + "0" * 400, "parse.number"),
    (INT, "NaN", "parse.number"),
    (INT, "Infinity", "parse.number"),
    (INT, "-Infinity", "parse.number"),
    (INT, "01", "parse.json"),
    (INT, "+1", "parse.json"),
    (INT, "0x10", "parse.json"),
    (INT, "1_000", "parse.json"),
    (INT, "1.", "parse.json"),
    (INT, ".5", "parse.json"),
    (INT, "--1", "parse.json"),
    (INT, "\uff11", "parse.json"),
    (INT, "1 000", "parse.json"),
    (INT, "-", "parse.json"),
    # --- decimal
    *[
        (MONEY, raw, "parse.type")
        for raw in (
            "true", "[]", "{}", "1e3", "1E3", "1e-2", "-0", "-0.00", '"-0"', '"-0.0"', '""', '"1e3"', '"+1"', '" 1"',
            '"1 "', '"1,00"', '"1_0"', '"01"', '"1."', '".5"', '"-"', '"NaN"', '"Infinity"', '"-Infinity"', '"0x1"',
            '"\uff11"', '"\u0661"', '"1\\n"', '"1\\u0000"', f'"{LONE}"', '"--1"', '"1.0.0"', '"\u22121"', '"1e"', "[1]",
        )
    ],
    (MONEY, "null", "parse.null"),
    (MONEY, "1.234", "parse.scale"),
    (MONEY, "1.500", "parse.scale"),
    (MONEY, '"0.001"', "parse.scale"),
    (MONEY, "0.000", "parse.scale"),
    (MONEY, "-0.000", "parse.scale"),
    (WHOLE, "1.0", "parse.scale"),
    (WHOLE, '"1.0"', "parse.scale"),
    (MONEY, "1000.01", "parse.range"),
    (MONEY, "-1000.01", "parse.range"),
    (MONEY, '"99999999999999999999"', "parse.range"),
    (DecimalType(2, 1, None), "0", "parse.range"),
    (DecimalType(2, None, 1), "0.02", "parse.range"),
    (MONEY, "1" * 401, "parse.number"),
    (WHOLE, '"' + "1" * 401 + '"', "parse.number"),
    (WHOLE, '"' + "1" * 100_000 + '"', "parse.number"),
    (WHOLE, '"' + "1" * 402 + '"', "parse.number"),
    (MONEY, "NaN", "parse.number"),
    (MONEY, "-Infinity", "parse.number"),
    (MONEY, "1.", "parse.json"),
    # --- string
    *[(STRING, raw, "parse.type") for raw in ("0", "1.5", "true", "false", "[]", '["a"]', "{}", '{"a":""}', "-0")],
    (STRING, "null", "parse.null"),
    (STRING, '""', "parse.size"),
    (STRING, '"123456789"', "parse.size"),
    (STRING, '"' + "a" * 100_000 + '"', "parse.size"),
    (STRING, '"' + "\\u0061" * 9 + '"', "parse.size"),
    (StringType("a*", 0, 3), '"aaaa"', "parse.size"),
    *[
        (STRING, raw, "parse.unicode")
        for raw in (
            '"\\u0000"', '"a\\u0000b"', f'"{LONE}"', '"\\udc00"', '"\\udc00\\ud800"', '"\\ud800a"', '"\U00030000"',
            '"\U0010ffff"', '"\\udbff\\udfff"', '"\\ud880\\udc00"',
        )
    ],
    (IBAN, '"gb29"', "parse.pattern"),
    (IBAN, '"GB"', "parse.pattern"),
    (IBAN, '""', "parse.pattern"),
    (IBAN, '"GB29\\n"', "parse.pattern"),
    (IBAN, '"\\nGB29"', "parse.pattern"),
    (IBAN, '" GB29"', "parse.pattern"),
    (IBAN, '"GB29x"', "parse.pattern"),
    (IBAN, '"xGB29"', "parse.pattern"),
    (IBAN, '"GB\uff12\uff19"', "parse.pattern"),
    (IBAN, '"\u0411B29"', "parse.pattern"),
    (IBAN, '"GB29\\u0000"', "parse.unicode"),
    (STRING, "'a'", "parse.json"),
    (STRING, '"a\nb"', "parse.json"),
    (STRING, '"a\tb"', "parse.json"),
    (STRING, '"\\x41"', "parse.json"),
    (STRING, '"\\u00g0"', "parse.json"),
    (STRING, '"\\u{61}"', "parse.json"),
    (STRING, '"a', "parse.json"),
    (STRING, '"a\\"', "parse.json"),
    (STRING, "a", "parse.json"),
    (STRING, "`a`", "parse.json"),
    (STRING, '"\ud800"', "parse.utf8"),
    # --- text
    *[(TEXT, raw, "parse.type") for raw in ("0", "1.5", "true", "false", "[]", '["a"]', "{}", '{"a":1}', "-0", "1e3")],
    (TEXT, "null", "parse.null"),
    (TEXT, '"123456789"', "parse.size"),
    (TEXT, '"' + "\\u0061" * 9 + '"', "parse.size"),
    (TEXT, '"' + "\\ud83d\\ude00" * 9 + '"', "parse.size"),
    (TEXT, '"' + "a" * 1_000_000 + '"', "parse.size"),
    *[
        (TEXT, raw, "parse.unicode")
        for raw in (
            '"\\u0000"', '"a\\u0000"', f'"{LONE}"', '"\\udfff"', '"\\udc00\\ud800"', '"\\ud800\\u0061"',
            '"\\u0000\\ud800"',            '"\\ud800\\ud800"', '"\\udbffa"', '"x\\udc80"',
        )
    ],
    (TEXT, '"a\nb"', "parse.json"),
    (TEXT, '"\x01"', "parse.json"),
    (TEXT, '"\\a"', "parse.json"),
    (TEXT, '"a" "b"', "parse.json"),
    (TEXT, '"', "parse.json"),
    (TEXT, '"\udfff"', "parse.utf8"),
    # --- enum
    *[(COLOUR, raw, "parse.type") for raw in ("0", "1", "true", "[]", '["red"]', "{}", '{"red":1}', "1.5", "-0")],
    (COLOUR, "null", "parse.null"),
    *[
        (COLOUR, raw, "parse.enum")
        for raw in (
            '""', '"Red"', '"RED"', '" red"', '"red "', '"red\\u0000"', '"red\\n"', '"r"', '"redgreen"', '"red,green"',
            '"0"', '"null"', '"blue"', f'"red{LONE}"', '"r\u0435d"', '"\uff52ed"', '"red\\u200b"', '"two  words"',
            '"two\u00a0words"', '"re\\u0064 "', '"' + "red" * 10_000 + '"', '"[\\"red\\"]"',
        )
    ],
    (COLOUR, "red", "parse.json"),
    (COLOUR, "'red'", "parse.json"),
    # --- path
    *[(PATH, raw, "parse.type") for raw in ("0", "true", "[]", '["a"]', "{}", "1.5", '{"path":"a"}')],
    (PATH, "null", "parse.null"),
    *[
        (PATH, raw, "parse.path")
        for raw in (
            '""', '".."', '"../a"', '"a/.."', '"a/../b"', '"/.."', '"/workspace/../etc"', '"./.."', '"a/./../b"',
            '"..//"', '"~"', '"~/a"', '"~root"', '"a\\\\b"', '"..\\\\a"', '"C:\\\\x"', '"a\\u0000"', '"/a\\u0000/b"',
            '"\\u0001"', '"a\\nb"', '"a\\rb"', '"a\\tb"', '"a\\u001b[0m"', '"a\\u007f"', '"a\\u0080"', '"a\\u0085"',
            '"a\\u009f"', '"' + "a" * 256 + '"', '"' + "\u00e9" * 128 + '"', '"' + "a/" * 2_049 + '"',
            '"' + "/" * 4_097 + '"', '"' + "\u00e9/" * 1_366 + '"', '"' + "a" * 1_000_000 + '"',
        )
    ],
    (PATH, f'"a{LONE}"', "parse.unicode"),
    (PATH, '"\\udc00"', "parse.unicode"),
    (PATH, '"\U00030000"', "parse.unicode"),
    (ABSOLUTE, '"a"', "parse.path"),
    (ABSOLUTE, '"."', "parse.path"),
    (ABSOLUTE, '"./a"', "parse.path"),
    (ABSOLUTE, '" /a"', "parse.path"),
    (ABSOLUTE, '"\u2215a"', "parse.path"),
    (ABSOLUTE, '"file:///a"', "parse.path"),
    # --- list
    *[(INTS, raw, "parse.type") for raw in ("0", "1", "true", '"1"', '"[1]"', "{}", '{"0":1}', '""', "1.5")],
    (INTS, "null", "parse.null"),
    (INTS, "[]", "parse.size"),
    (INTS, "[1,2,3,4]", "parse.size"),
    (INTS, "[" + "1," * 5_000 + "1]", "parse.size"),
    (INTS, "[null]", "parse.null"),
    (INTS, "[1,null]", "parse.null"),
    (INTS, "[[1]]", "parse.type"),
    (INTS, "[1,true]", "parse.type"),
    (INTS, '["1"]', "parse.type"),
    (INTS, "[1.0]", "parse.type"),
    (INTS, "[{}]", "parse.type"),
    (INTS, "[11]", "parse.range"),
    (INTS, "[1,]", "parse.json"),
    (INTS, "[,1]", "parse.json"),
    (INTS, "[1 2]", "parse.json"),
    (INTS, "[1", "parse.json"),
    (INTS, "(1)", "parse.json"),
    (INTS, "[1]]", "parse.json"),
    (INTS, "[" * 31 + "]" * 31, "parse.depth"),
    (INTS, "[" * 10_000 + "]" * 10_000, "parse.depth"),
    (INTS, "[" * 30 + "]" * 30, "parse.type"),
    (NAMES, '["a","a"]', "parse.unique"),
    (NAMES, '["a","b","\\u0061"]', "parse.unique"),
    (NAMES, '["a",""]', "parse.size"),
    (NAMES, '["\\u0000"]', "parse.unicode"),
    (NAMES, '["a","b","c","d","e"]', "parse.size"),
    (MONIES, '[1,"1.00"]', "parse.unique"),
    (MONIES, "[1,1.0]", "parse.unique"),
    (MONIES, "[1.001]", "parse.scale"),
    (PATHS, '["a","./a"]', "parse.unique"),
    (PATHS, '["a","/workspace//a/"]', "parse.unique"),
    (PATHS, '["a","../b"]', "parse.path"),
]  # fmt: skip


@pytest.mark.parametrize(("type_", "raw", "value"), ACCEPTED, ids=lambda each: repr(each)[:40])
def test_a_value_of_the_type_becomes_its_canonical_value(type_: ArgType, raw: str, value: Value) -> None:
    answer = parsed(raw, type_)
    assert answer == value
    assert type(answer) is type(value)


@pytest.mark.parametrize("kind", [BoolType, IntType, DecimalType, StringType, TextType, EnumType, PathType, ListType])
def test_anything_else_is_refused_with_its_reason_code(kind: type[ArgType]) -> None:
    cases = [(type_, raw, expected) for type_, raw, expected in REFUSED if isinstance(type_, kind)]
    wrong = [(raw, found) for type_, raw, expected in cases if (found := judged(parsed(raw, type_))) != expected]
    assert wrong == []


def judged(answer: object) -> str:
    """The reason code of a refusal whose reason is one short line; else what is wrong."""
    if not isinstance(answer, Rejected):
        return f"accepted: {answer!r}"
    fit = answer.reason.isprintable() and answer.reason.isascii() and len(answer.reason) < 1_000
    return answer.reason_code if fit else f"reason: {answer.reason!r}"


# --- the shape of a call

TWO = Contract(
    "c",
    (
        Tool("pay", (Argument("amount", MONEY), Argument("note", TEXT, optional=True), Argument("to", STRING)), ()),
        Tool("stop", (), ()),
    ),
)


def test_a_call_has_its_canonical_json_and_digest() -> None:
    call = parse_call(b' {"args": {"to": "\\u00e9\\"", "amount": 1.5}, "tool": "pay"}\r\n\t', TWO)
    assert isinstance(call, Call)
    assert call.canonical == '{"args":{"amount":"1.50","to":"\u00e9\\""},"tool":"pay"}'
    assert call.digest == hashlib.sha256(call.canonical.encode()).hexdigest()
    assert dict(call.args) == {"amount": 150, "to": '\u00e9"'}
    assert type(call.args) is MappingProxyType


def test_equal_values_have_equal_digests_however_they_are_written() -> None:
    one = parse_call('{"tool":"pay","args":{"amount":"1.5","to":"a"}}', TWO)
    two = parse_call({"args": {"to": "a", "amount": Decimal("1.50")}, "tool": "pay"}, TWO)
    assert one == two
    assert isinstance(one, Call)


@pytest.mark.parametrize(
    ("raw", "reason_code"),
    [
        (b"", "parse.json"),
        (b" ", "parse.json"),
        (b"null", "parse.shape"),
        (b"1", "parse.shape"),
        (b'"a"', "parse.shape"),
        (b"[]", "parse.shape"),
        (b'[{"tool":"stop","args":{}}]', "parse.shape"),
        (b"{}", "parse.missing_field"),
        (b'{"tool":"stop"}', "parse.missing_field"),
        (b'{"args":{}}', "parse.missing_field"),
        (b'{"tool":"stop","args":{},"approved":true}', "parse.unknown_field"),
        (b'{"tool":"stop","args":{},"session":{}}', "parse.unknown_field"),
        (b'{"tool":"stop","args":{},"policy":"allow"}', "parse.unknown_field"),
        (b'{"tool":"stop","args":{},"":0}', "parse.unknown_field"),
        (b'{"tool":"stop","Args":{}}', "parse.unknown_field"),
        (b'{"tool":null,"args":{}}', "parse.shape"),
        (b'{"tool":1,"args":{}}', "parse.shape"),
        (b'{"tool":["stop"],"args":{}}', "parse.shape"),
        (b'{"tool":"stop","args":null}', "parse.shape"),
        (b'{"tool":"stop","args":[]}', "parse.shape"),
        (b'{"tool":"stop","args":"{}"}', "parse.shape"),
        (b'{"tool":"stop","tool":"pay","args":{}}', "parse.duplicate_key"),
        (b'{"tool":"stop","\\u0074ool":"pay","args":{}}', "parse.duplicate_key"),
        (b'{"tool":"stop","args":{"a":1,"a":1}}', "parse.duplicate_key"),
        (b'{"tool":"Stop","args":{}}', "unknown_tool"),
        (b'{"tool":"stop ","args":{}}', "unknown_tool"),
        (b'{"tool":"st\xd0\xbep","args":{}}', "unknown_tool"),
        (b'{"tool":"","args":{}}', "unknown_tool"),
        (b'{"tool":"stop\\u0000","args":{}}', "unknown_tool"),
        (b'{"tool":"\\ud800","args":{}}', "unknown_tool"),
        (b'{"tool":"stop","args":{"x":1}}', "parse.unknown_argument"),
        (b'{"tool":"stop","args":{"\\ud800\\n`":1}}', "parse.unknown_argument"),
        (b'{"tool":"pay","args":{"to":"a"}}', "parse.missing_argument"),
        (b'{"tool":"pay","args":{"amount":1,"to":"a","note":null}}', "parse.null"),
        (b'{"tool":"pay","args":{"amount":1,"to":"a","Note":"x"}}', "parse.unknown_argument"),
        (b'\xef\xbb\xbf{"tool":"stop","args":{}}', "parse.json"),
        (b'{"tool":"stop","args":{}}{"tool":"stop","args":{}}', "parse.json"),
        (b'{"tool":"stop","args":{}} x', "parse.json"),
        (b'{"tool":"stop","args":{}}\x00', "parse.json"),
        (b'{"tool":"stop","args":{}}\x0c', "parse.json"),
        (b'\xc2\xa0{"tool":"stop","args":{}}', "parse.json"),
        (b'{"tool":"stop","args":{},}', "parse.json"),
        (b'{tool:"stop","args":{}}', "parse.json"),
        (b'{"tool":"stop","args":{}} // no', "parse.json"),
        (b'/**/{"tool":"stop","args":{}}', "parse.json"),
        (b'{"tool":"stop","args":{}', "parse.json"),
        (b'\xff{"tool":"stop","args":{}}', "parse.utf8"),
        (b'{"tool":"st\xc0\xaf","args":{}}', "parse.utf8"),
        (b'{"tool":"\xed\xa0\x80","args":{}}', "parse.utf8"),
        ('{"tool":"stop","args":{}}'.encode("utf-16"), "parse.utf8"),
        ('{"tool":"stop","args":{}}'.encode("utf-16-le"), "parse.json"),
        ('{"tool":"\ud800","args":{}}', "parse.utf8"),
        ("\ufeff{}", "parse.json"),
        (b'{"tool":"stop","args":{%s}}' % b",".join(b'"%d":0' % each for each in range(257)), "parse.keys"),
        (b'{"tool":"stop","args":{%s}}' % b",".join(b'"%d":0' % each for each in range(256)), "parse.unknown_argument"),
        (b" " * (4 * 1024 * 1024 + 1), "parse.too_large"),
        (" " * (4 * 1024 * 1024 + 1), "parse.too_large"),
        ("\u00e9" * (3 * 1024 * 1024), "parse.too_large"),
        (b" " * (4 * 1024 * 1024), "parse.json"),
        (b"[" * 100_000, "parse.depth"),
        (b'{"a":' * 33, "parse.depth"),
        (b"[" * 32, "parse.json"),
        (b"[" + b"0," * 65_536 + b"0]", "parse.too_large"),
        (b"[" + b'"",' * 65_536 + b'""]', "parse.too_large"),
        (b"[" + b"{}," * 65_536 + b"{}]", "parse.too_large"),
        (b'["' + b'[,\\\\\\"{' * 65_536 + b'"]', "parse.shape"),
    ],
    ids=lambda each: repr(each)[:60],
)
def test_what_is_no_call_is_refused_with_its_reason_code(raw: bytes | str, reason_code: str) -> None:
    assert code(parse_call(raw, TWO)) == reason_code


@pytest.mark.parametrize(
    "raw",
    [None, 0, 1.5, True, [], (), set(), object(), bytearray(b"{}"), memoryview(b"{}"), type, Ellipsis, iter(())],
)
def test_what_is_neither_bytes_nor_text_nor_a_dict_is_refused(raw: object) -> None:
    assert code(parse_call(raw, TWO)) == "parse.shape"  # type: ignore[arg-type]  # what a careless host may pass


def test_a_contract_without_tools_knows_none() -> None:
    refused = parse_call(b'{"tool":"stop","args":{}}', Contract("c", ()))
    assert refused == Rejected("unknown_tool", "unknown tool `stop`; the tools are none")


def test_a_reason_names_the_argument_and_what_is_accepted() -> None:
    many = Contract("c", tuple(Tool(f"t{number}", (), ()) for number in range(17)))
    reasons = {
        parse_call(b'{"tool":"nope","args":{}}', TWO): "unknown tool `nope`; the tools are `pay`, `stop`",
        parse_call(b'{"tool":"nope","args":{}}', many): "unknown tool `nope`; there are 17, see the tool's description",
        parsed("11", SMALL): "argument `x`: `11` is out of range; 1 to 10 is accepted",
        parsed("1.005", MONEY): "argument `x`: `1.005` has too many digits; 2 behind the point are accepted",
        parsed('"0"', DecimalType(1, 5, None)): "argument `x`: `0` is out of range; at least 0.5 is accepted",
        parsed('"9"', DecimalType(1, None, 5)): "argument `x`: `9` is out of range; at most 0.5 is accepted",
        parsed("true", INT): "argument `x`: a boolean is not accepted; an integer without fraction or exponent is",
        parsed("[1,99]", INTS): "argument `x`, item 1: `99` is out of range; 1 to 10 is accepted",
        parsed('["a","b","a"]', NAMES): "argument `x`, item 2: the same value stands before it; each is accepted once",
        parsed('"\\u202e\\n`\\\\"', COLOUR): (
            "argument `x`: `\\u202e\\u000a\\u0060\\u005c` is none of the values; accepted: `red`, `green`, `two words`"
        ),
    }
    for answer, reason in reasons.items():
        assert isinstance(answer, Rejected)
        assert answer.reason == reason


def test_long_values_and_bounds_are_cut_in_reasons() -> None:
    refused = parsed('"' + "9" * 300 + '"', DecimalType(0, None, 10**300 - 2))
    assert isinstance(refused, Rejected)
    assert len(refused.reason) < 250
    refused = parsed('"zz"', EnumType(tuple(f"v{number}" for number in range(100))))
    assert isinstance(refused, Rejected)
    assert refused.reason.endswith("accepted: one of the declared strings")


# --- what a host hands over


class LoudError(Exception):
    pass


class HostileStr(str):
    __slots__ = ()

    def __getattribute__(self, name: str) -> object:
        raise LoudError(name)


class HostileDict(dict[str, object]):
    def __getattribute__(self, name: str) -> object:
        raise LoudError(name)


class HostileInt(int):
    def __getattribute__(self, name: str) -> object:
        raise LoudError(name)

    def __str__(self) -> str:
        raise LoudError


class HostileList(list[object]):
    def __iter__(self) -> object:  # type: ignore[override]  # that is the attack
        raise LoudError

    def __len__(self) -> int:
        raise LoudError


class HostileMapping(Mapping[str, object]):
    def __getitem__(self, key: str) -> object:
        raise LoudError

    def __iter__(self) -> object:  # type: ignore[override]  # that is the attack
        raise LoudError

    def __len__(self) -> int:
        raise LoudError


HOSTILE: dict[str, Callable[[], object]] = {
    "str": lambda: HostileStr("a"),
    "dict": lambda: HostileDict(a=1),
    "int": lambda: HostileInt(1),
    "list": lambda: HostileList([1]),
    "mapping": HostileMapping,
    "ordered dict": OrderedDict,
    "read-only dict": lambda: MappingProxyType({}),
}
FOREIGN: dict[str, Callable[[], object]] = HOSTILE | {
    "tuple": lambda: ("a",),
    "set": lambda: {"a"},
    "bytes": lambda: b"a",
    "complex": lambda: 1j,
    "class": lambda: object,
    "hostile key": lambda: {HostileStr("k"): 1},
    "int key": lambda: {1: 2},
    "None key": lambda: {None: 1},
    "hostile item": lambda: [HostileInt(3)],
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_no_method_of_a_foreign_object_runs(make: Callable[[], object]) -> None:
    assert code(parse_call(make(), TWO)) == "parse.shape"  # type: ignore[arg-type]  # what a hostile host may pass


@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_object_within_a_dict_is_refused(make: Callable[[], object]) -> None:
    for type_ in (BOOL, INT, MONEY, STRING, TEXT, COLOUR, PATH, INTS):
        assert code(given(make(), type_)) == "parse.type"


@pytest.mark.parametrize(
    ("type_", "value", "expected"),
    [
        (BOOL, True, True),
        (INT, 5, 5),
        (INT, -5, -5),
        (MONEY, 5, 500),
        (MONEY, "5.25", 525),
        (MONEY, 5.25, 525),
        (MONEY, 0.1, 10),
        (MONEY, 5.0, 500),
        (MONEY, Decimal("5.25"), 525),
        (MONEY, Decimal("5E+1"), 5000),
        (STRING, "a", "a"),
        (COLOUR, "red", "red"),
        (PATH, "a", "/workspace/a"),
        (INTS, [1, 2], (1, 2)),
    ],
)
def test_plain_values_of_a_host_are_taken(type_: ArgType, value: object, expected: Value) -> None:
    assert given(value, type_) == expected


@pytest.mark.parametrize(
    ("type_", "value", "reason_code"),
    [
        (BOOL, 1, "parse.type"),
        (INT, True, "parse.type"),
        (INT, 1.0, "parse.type"),
        (INT, 1e22, "parse.type"),
        (INT, Decimal("1.0"), "parse.type"),
        (INT, "1", "parse.type"),
        (INT, None, "parse.null"),
        (INT, 10**400, "parse.number"),
        (INT, -(10**5000), "parse.number"),
        (INT, 1 << 10_000_000, "parse.number"),
        (MONEY, 1e22, "parse.type"),
        (MONEY, 1e-7, "parse.type"),
        (MONEY, -0.0, "parse.type"),
        (MONEY, Decimal("-0.0"), "parse.type"),
        (MONEY, float("nan"), "parse.number"),
        (MONEY, float("inf"), "parse.number"),
        (MONEY, float("-inf"), "parse.number"),
        (MONEY, Decimal("NaN"), "parse.number"),
        (MONEY, Decimal("sNaN"), "parse.number"),
        (MONEY, Decimal("-Infinity"), "parse.number"),
        (MONEY, Decimal("1E+999999"), "parse.number"),
        (MONEY, Decimal("1E-999999"), "parse.number"),
        (MONEY, 0.1 + 0.2, "parse.scale"),
        (MONEY, Decimal("1.234"), "parse.scale"),
        (STRING, "\ud800", "parse.unicode"),
        (STRING, "\0", "parse.unicode"),
        (STRING, "a" * (4 * 1024 * 1024 + 1), "parse.too_large"),
        (INTS, [0] * 65_537, "parse.too_large"),
        (INTS, {str(number): 0 for number in range(257)}, "parse.keys"),
    ],
    ids=lambda each: repr(each)[:40] if not isinstance(each, int) else type(each).__name__,
)
def test_values_of_a_host_are_judged_like_a_models(type_: ArgType, value: object, reason_code: str) -> None:
    assert code(given(value, type_)) == reason_code


def test_a_value_that_holds_itself_is_too_deep() -> None:
    ring: list[object] = []
    ring.append(ring)
    assert code(given(ring, INTS)) == "parse.depth"
    loop: dict[str, object] = {}
    loop["a"] = loop
    assert code(given(loop, INTS)) == "parse.depth"


def test_a_value_that_is_shared_counts_every_time() -> None:
    layer: list[object] = []
    for _ in range(28):
        layer = [layer, layer]
    assert code(given(layer, INTS)) == "parse.too_large"


def test_depth_is_counted_alike_in_bytes_and_in_a_dict() -> None:
    nested: list[object] = []
    for _ in range(29):
        nested = [nested]
    assert code(given(nested, INTS)) == code(parsed(json.dumps(nested), INTS)) == "parse.type"
    assert code(given([nested], INTS)) == code(parsed(json.dumps([nested]), INTS)) == "parse.depth"


def test_an_error_of_our_own_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Call:
        raise RuntimeError

    monkeypatch.setattr(parse_module, "_call", broken)
    answer = parse_call(b"{}", TWO)
    assert answer == Rejected("fault.internal", "internal error `RuntimeError` while the call was parsed")
