"""Bytes as a model may emit them: noise, broken JSON, and calls of the spec with everything wrong that can be wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Final

from hypothesis import strategies as st

from sandbox.ir import Json, Tool
from sandbox.testing.values import Raw, calls, raw_call

_TEXTS: Final = st.text(st.characters(exclude_categories=()), max_size=12)
_NUMBERS: Final = st.sampled_from(["1e3", "-0", "1.0", "NaN", "1e999", "0x10", "01", "9" * 401, "1_000", "+1"])
_TREES: Final[st.SearchStrategy[Json]] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=6,
)
_MARK: Final = "\ufeff".encode()
_SPELLINGS: Final[tuple[Callable[[str], str], ...]] = (
    str.upper,
    lambda name: f"{name} ",
    lambda name: f" {name}",
    lambda name: f"{name}\u200b",
    lambda name: f"{name}\x00",
    lambda name: name.replace("a", "\u0430"),
    lambda name: f"{name}_admin",
)


def hostile_bytes(tools: Sequence[Tool]) -> st.SearchStrategy[bytes]:
    """Anything at all, and calls of these tools that are wrong in one way or another."""
    right = calls(tools) if tools else st.just(raw_call("x", {}))
    wrong = right.flatmap(_wronged)
    return st.one_of(st.binary(max_size=64), _TREES.map(_written), wrong, wrong, right.map(_written))


def _wronged(call: Raw) -> st.SearchStrategy[bytes]:
    """One call, wrong: its name, its frame, what is around it, or one of its arguments."""
    names = sorted(_args(call))
    return st.one_of(_misnamed(call), _misframed(call), *(_misargued(call, name) for name in names))


def _misnamed(call: Raw) -> st.SearchStrategy[bytes]:
    return st.sampled_from(_SPELLINGS).map(lambda spell: _written({**call, "tool": spell(str(call["tool"]))}))


def _misframed(call: Raw) -> st.SearchStrategy[bytes]:
    text = _written(call)
    powers = st.dictionaries(st.sampled_from(["approved", "session", "policy", "state", "tool "]), _TREES, min_size=1)
    return st.one_of(
        powers.map(lambda more: _written({**more, **call})),
        (_TEXTS | st.just("approved")).flatmap(lambda name: _TREES.map(lambda value: _with(call, name, value))),
        st.integers(1, 8).map(lambda cut: text[:-cut]),
        st.sampled_from([b" {}", b"\n\n{}", b"\x00", b"]", _MARK]).map(lambda after: text + after),
        st.sampled_from([b"Sure! ", b"```json\n", b"\xff\xfe", _MARK]).map(lambda before: before + text),
        st.just(json.dumps(call).encode("utf-16")),
        st.just(text.replace(b'"args"', b'"args": {}, "args"', 1)),
        st.just(_written([call])),
    )


def _misargued(call: Raw, name: str) -> st.SearchStrategy[bytes]:
    without = {key: value for key, value in _args(call).items() if key != name}
    return st.one_of(
        (_TREES | _TEXTS).map(lambda value: _with(call, name, value)),
        _NUMBERS.map(lambda text: _with(call, name, "@").replace(b'"@"', text.encode())),
        st.just(_doubled(call, name)),
        st.just(_written({**call, "args": without})),
    )


def _args(call: Raw) -> Raw:
    args = call["args"]
    return args if isinstance(args, dict) else {}


def _with(call: Raw, name: str, value: Json) -> bytes:
    return _written({**call, "args": {**_args(call), name: value}})


def _doubled(call: Raw, name: str) -> bytes:
    """The call with one argument twice: the readers of this world disagree about which counts."""
    args = _args(call)
    doubled = f"{json.dumps(args)[:-1]}, {json.dumps(name)}: {json.dumps(args[name])}}}"
    return f'{{"tool": {json.dumps(call["tool"])}, "args": {doubled}}}'.encode()


def _written(value: object) -> bytes:
    return json.dumps(value).encode()
