"""Canonical JSON as RFC 8785 says, decimals with all their digits, and text that shows what it is."""

from __future__ import annotations

import hashlib
import json
import struct
from types import MappingProxyType

import pytest

from sandbox.call import Rejected
from sandbox.canonical import (
    canonical_json,
    canonical_path,
    is_string,
    is_text,
    json_digest,
    printable,
    quoted,
    show_decimal,
    show_value,
    text_digest,
)
from sandbox.ir import BoolType, DecimalType, EnumType, IntType, ListType, PathType, StringType, TextType

RFC_8785_SECTION_3_2_2 = r"""
{
  "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
  "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
  "literals": [null, true, false]
}
"""
RFC_8785_SECTION_3_2_3 = r"""
{
  "\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",
  "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control", "\u00f6": "Latin Small Letter O With Diaeresis"
}
"""


def test_the_example_of_the_rfc_is_written_as_it_says() -> None:
    written = canonical_json(json.loads(RFC_8785_SECTION_3_2_2))
    assert written == (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


def test_keys_are_sorted_by_utf_16_code_units() -> None:
    values = list(json.loads(canonical_json(json.loads(RFC_8785_SECTION_3_2_3))).values())
    assert [value.split()[0] for value in values] == ["Carriage", "One", "Control", "Latin", "Euro", "Emoji:", "Hebrew"]


@pytest.mark.parametrize(
    ("bits", "text"),
    [  # RFC 8785 appendix B
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("8000000000000001", "-5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("ffefffffffffffff", "-1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"),
        ("c340000000000000", "-9007199254740992"),
        ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("44b52d02c7e14af7", "1.0000000000000001e+23"),
        ("444b1ae4d6e2ef4e", "999999999999999700000"),
        ("444b1ae4d6e2ef4f", "999999999999999900000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555553", "333333333.3333332"),
        ("41b3de4355555554", "333333333.33333325"),
        ("41b3de4355555555", "333333333.3333333"),
        ("41b3de4355555556", "333333333.3333334"),
        ("41b3de4355555557", "333333333.33333343"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
        ("43143ff3c1cb0959", "1424953923781206.2"),
    ],
)
def test_a_float_is_written_as_ecmascript_writes_it(bits: str, text: str) -> None:
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical_json(value) == text


def test_ints_are_exact_and_texts_escaped_no_more_than_needed() -> None:
    assert canonical_json([10**40, -1, True, None, '\x7f\u2028/\x00\b\f\n\r\t"\\']) == (
        '[10000000000000000000000000000000000000000,-1,true,null,"\x7f\u2028/\\u0000\\b\\f\\n\\r\\t\\"\\\\"]'
    )
    assert canonical_json(MappingProxyType({"b": {}, "a": []})) == '{"a":[],"b":{}}'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", {"\udc00": 1}, [object()], {1}, b""])
def test_what_has_no_canonical_json_raises(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical_json(value)  # type: ignore[arg-type]  # that is the mistake


def test_digests_are_sha_256() -> None:
    assert json_digest({"b": 1, "a": "\u00e9"}) == hashlib.sha256('{"a":"\u00e9","b":1}'.encode()).hexdigest()
    assert text_digest("") == hashlib.sha256().hexdigest()


@pytest.mark.parametrize(
    ("scaled", "scale", "text"),
    [
        (0, 0, "0"),
        (0, 2, "0.00"),
        (5, 2, "0.05"),
        (-5, 2, "-0.05"),
        (-1234, 2, "-12.34"),
        (7, 0, "7"),
        (100, 1, "10.0"),
    ],
)
def test_a_decimal_is_shown_with_exactly_its_digits(scaled: int, scale: int, text: str) -> None:
    assert show_decimal(scaled, scale) == text


def test_values_are_shown_by_their_types() -> None:
    money = DecimalType(2, None, None)
    assert show_value(150, money) == "1.50"
    assert show_value((150, -1), ListType(money, 0, 9, unique=False)) == ["1.50", "-0.01"]
    assert show_value(True, BoolType()) is True
    assert show_value(10**30, IntType(0, 10**31)) == 10**30
    for type_ in (StringType(None, 0, 9), TextType(9), EnumType(("a",)), PathType(None)):
        assert show_value("a", type_) == "a"


@pytest.mark.parametrize(
    ("value", "type_"),
    [("a", DecimalType(1, None, None)), ((1,), IntType(0, 9)), (1, ListType(IntType(0, 9), 0, 9, unique=False))],
)
def test_a_value_that_is_none_of_its_type_is_not_shown(value: object, type_: IntType) -> None:
    with pytest.raises(TypeError, match="no canonical value"):
        show_value(value, type_)  # type: ignore[arg-type]  # that is the mistake


def test_canonical_paths_stay_themselves() -> None:
    for text in ("/", "/a", "/a/b", "/workspace/...", "/ ", "/a/~b"):
        assert canonical_path(text, None) == canonical_path(text, "/workspace") == text


def test_a_path_is_no_longer_than_linux_opens_also_below_its_folder() -> None:
    under = "/" + "/".join(["u" * 200] * 15)
    text = "/".join(["a" * 200] * 6)
    assert isinstance(canonical_path(text, "/"), str)
    assert isinstance(canonical_path(text, under), Rejected)


@pytest.mark.parametrize(
    ("text", "as_text", "as_string"),
    [
        ("", True, True),
        ("a\x01\x7f", True, True),
        ("\0", False, False),
        ("\u00e9\0", False, False),
        ("\ud800", False, False),
        ("\U0002ffff", True, True),
        ("\U00030000", True, False),
    ],
)
def test_what_is_a_string_and_what_is_only_text(text: str, as_text: bool, as_string: bool) -> None:  # a table
    assert is_text(text) is as_text
    assert is_string(text) is as_string


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ASCII", "plain ASCII"),
        ("M\u00fcller \u4e2d\u6587 \u0411", "M\u00fcller \u4e2d\u6587 \u0411"),
        ("a\nb\x1b[31m\x7f\x9b", "a\\u000ab\\u001b[31m\\u007f\\u009b"),
        ("\u202ereversed\u2066\u200e", "\\u202ereversed\\u2066\\u200e"),
        ("zero\u200bwidth\u200d\ufeff", "zero\\u200bwidth\\u200d\\ufeff"),
        ("lines\u2028\u2029\x85", "lines\\u2028\\u2029\\u0085"),
        ("spaces\u00a0\u3000\u2003", "spaces\\u00a0\\u3000\\u2003"),
        ("e\u0301\u20dd\ufe0f", "e\\u0301\\u20dd\\ufe0f"),
        ("\u3164\u115f\u2800", "\\u3164\\u115f\\u2800"),
        ("\ue000\ufdd0\ud800", "\\ue000\\ufdd0\\ud800"),
        ("\U0001f600\U000e0041", "\U0001f600\\udb40\\udc41"),
    ],
)
def test_every_character_that_does_not_show_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
    if "\ud800" not in text:
        assert json.loads(f'"{shown}"') == text


def test_a_quoted_text_is_short_ascii_without_backticks() -> None:
    assert quoted("a`b\\\n\u00e9\U0001f600") == "`a\\u0060b\\u005c\\u000a\\u00e9\\ud83d\\ude00`"
    assert quoted("x" * 100) == f"`{'x' * 80}`... (100 characters)"
