"""The check before the JSON reader is exact for every valid text, and no invalid one leads the reader deep."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from json.scanner import py_make_scanner  # type: ignore[attr-defined]  # the reader in Python, which can be watched
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sandbox import strict_json
from sandbox.call import Rejected

DEPTH = 3
VALUES = 12


class WatchedReader(json.JSONDecoder):
    """Python's own reader, which remembers how deep it went, also where it failed."""

    def __init__(self) -> None:
        super().__init__(strict=True)
        self.depth = self.deepest = 0
        self.parse_array = self.watched(self.parse_array)
        self.parse_object = self.watched(self.parse_object)
        self.scan_once = py_make_scanner(self)

    def watched(self, parse: Callable[..., object]) -> Callable[..., object]:
        def watching(*arguments: object) -> object:
            self.depth += 1
            self.deepest = max(self.deepest, self.depth)
            try:
                return parse(*arguments)
            finally:
                self.depth -= 1

        return watching


@pytest.fixture(autouse=True, scope="module")
def _small_limits() -> Iterator[None]:
    with patch.object(strict_json, "MAX_DEPTH", DEPTH), patch.object(strict_json, "MAX_VALUES", VALUES):
        yield


def refused(text: str) -> str | None:
    answer = strict_json.read(text)
    return answer.reason_code if isinstance(answer, Rejected) else None


STRINGS = st.text('[]{},"\\ab\u00e9', max_size=6)
VALID = st.recursive(
    st.one_of(st.sampled_from([0, True, None]), STRINGS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(STRINGS, inner, max_size=3)),
    max_leaves=10,
).map(json.dumps)
TOKENS = st.lists(
    st.sampled_from(["[", "]", "{", "}", '"', "\\", ",", ":", "0", '"a":', "[]", "{}", '""', '\\"', " "]), max_size=40
)


@settings(max_examples=500, deadline=None)
@given(VALID)
def test_a_valid_text_is_refused_exactly_for_its_depth(text: str) -> None:
    reader = WatchedReader()
    reader.decode(text)
    reason_code = refused(text)
    if reader.deepest > DEPTH:
        assert reason_code in {"parse.depth", "parse.too_large"}
    else:
        assert reason_code in {None, "parse.too_large"}
        if reason_code is not None:
            assert sum(map(text.count, ",[{")) >= VALUES


@settings(max_examples=500, deadline=None)
@given(
    st.one_of(
        TOKENS.map("".join),
        st.tuples(TOKENS, VALID, TOKENS).map(lambda parts: "".join(parts[0]) + parts[1] + "".join(parts[2])),
    )
)
@example("[" * 40)
@example('[[[["\\')
@example('["\\\\"[[[[[[[')
@example('["\\\\\\"[[[[[[["]')
@example('[[[]\\"[[[[[[[]]]]]]]')
def test_no_text_that_passes_leads_the_reader_deep(text: str) -> None:
    if refused(text) in {None, "parse.json", "parse.shape", "parse.duplicate_key"}:
        reader = WatchedReader()
        try:
            reader.decode(text)
        except json.JSONDecodeError:
            assert reader.deepest <= 2 * DEPTH
        else:
            assert reader.deepest <= DEPTH
