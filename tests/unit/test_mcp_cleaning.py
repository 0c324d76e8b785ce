"""Results are bounded, of granted kinds, and hide nothing from whoever reads them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.mcp.cleaning import MAX_ITEMS, Unfit, clean_result, clean_text, text_of
from sandbox.strict_json import JsonNumber


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("plain\n\ttext", "plain\n\ttext"),
        ("line\r\nline", "line\nline"),
        ("\x1b[31mred\x1b[0m", r"\u001b[31mred\u001b[0m"),
        ("\x9b2J", r"\u009b2J"),
        ("over\rwritten", r"over\u000dwritten"),
        ("a\u202eb\u2066c", r"a\u202eb\u2066c"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("tag\U000e0041", r"tag\udb40\udc41"),
        ("selector\U000e0100", r"selector\udb40\udd00"),
        ("lone\ud800", r"lone\ud800"),
        ("hangul\u3164", r"hangul\u3164"),
        ("नमस्ते, می‌خواهم, 👩‍💻, é", "नमस्ते, می‌خواهم, 👩‍💻, é"),
    ],
)
def test_letters_stay_and_what_hides_shows(raw: str, clean: str) -> None:
    assert clean_text(raw) == clean


@given(st.text(st.characters(), max_size=60))
def test_clean_text_holds_no_hidden_character_but_the_joiners(text: str) -> None:
    clean = clean_text(text)
    assert clean_text(clean) == clean
    allowed = set("\n\t\u200c\u200d")
    assert all(unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} for c in clean if c not in allowed)


def image(data: str, media: str) -> dict[str, object]:
    return {"content": [{"type": "image", "data": data, "mimeType": media}]}


def text_block(text: str) -> dict[str, object]:
    return {"type": "text", "text": text}


def test_text_is_passed_on_and_failure_is_told() -> None:
    passed, failed = clean_result({"content": [text_block("a\x07"), text_block("b")], "isError": True}, ("text",), 1000)
    assert passed == {"content": [text_block(r"a\u0007"), text_block("b")]}
    assert failed
    assert text_of(passed) == "a\\u0007\nb"


@pytest.mark.parametrize(
    ("block", "kind"),
    [
        ({"type": "image", "data": "AAAA", "mimeType": "image/png"}, "image"),
        ({"type": "resource_link", "uri": "file:///etc/passwd"}, "resource_link"),
        ({"type": "resource", "resource": {"uri": "x", "text": "hi"}}, "resource"),
        ({"type": "new\x1b"}, r"new\u001b"),
    ],
)
def test_a_kind_that_is_not_granted_is_left_out_and_named(block: dict[str, object], kind: str) -> None:
    passed, _ = clean_result({"content": [block]}, ("text",), 1000)
    words = f"[{kind} content was left out: the spec's `server` does not grant it]"
    assert passed == {"content": [text_block(words)]}


def test_granted_kinds_are_passed_on_without_what_else_stands_there() -> None:
    picture = {"type": "image", "data": "AAAA", "mimeType": "image/png"}
    result = {
        "content": [{**picture, "annotations": {"audience": []}}],
        "structuredContent": {"a\x00": [JsonNumber("1.50")]},
    }
    passed, _ = clean_result(result, ("image", "structured"), 1000)
    assert passed == {"content": [picture], "structuredContent": {r"a\u0000": [1.5]}}


def test_structured_content_is_dropped_unless_granted() -> None:
    assert clean_result({"content": [], "structuredContent": {"a": True}}, ("text",), 100) == ({"content": []}, False)


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (None, "the server's answer is no tool result"),
        ({"content": "text"}, "the server's answer is no tool result"),
        ({"content": [{}]}, "a content block of the result has no type"),
        ({"content": [], "isError": "no"}, "the server's answer does not say whether it is an error"),
        ({"content": [text_block("")] * (MAX_ITEMS + 1)}, "the result has more than 64 content blocks"),
        ({"content": [text_block("x" * 2000)]}, "the result is larger than 1000 bytes"),
        ({"content": [text_block("\x00" * 200)]}, "the result is larger than 1000 bytes"),
        ({"resultType": "input_required"}, "the server wants more input from the client, which is not granted"),
        (image("<svg>", "image/png"), "the image of the result is not base64"),
        (image("AAAA", "text/html"), "the image of the result has no media type of its kind"),
        ({"content": [], "structuredContent": JsonNumber("1e999")}, "a number of the result is out of range"),
    ],
)  # fmt: skip
def test_what_is_unfit_is_refused_with_a_reason(result: object, reason: str) -> None:
    with pytest.raises(Unfit) as refusal:
        clean_result(result, ("text", "image", "structured"), 1000)
    assert str(refusal.value) == reason
