"""Whatever a file holds, loading it ends in a contract or in a refusal with places; never in anything else."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.compile import load_contract, load_properties
from sandbox.errors import AuthorError, Problem, SpecError
from sandbox.ir import (
    Argument,
    BoolSort,
    Contract,
    EnumSort,
    IntSort,
    MapSort,
    SetSort,
    StringSort,
    StringType,
    Variable,
)
from sandbox.lang import Scope, SourceText, compile_change, compile_expression, compile_target

ROOT = Path(__file__).parents[2]
SHIPPED = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "specs").glob("*.yaml"))]
KEEPING = """\
sandbox: 1
name: keeping
session: {principal: {type: string}}
types: {who: {type: string, pattern: "[a-z]+", max_size: 9}, level: {type: enum, values: [low, high]}}
state:
  known: {type: set, items: who, initial: [ann], max_size: 5}
  given: {type: map, key: who, value: {type: decimal, scale: 2}, initial: 0, window: 24h}
  own: {type: map, key: level, value: int, initial: 3, reset: 1h, scope: principal}
tools:
  t:
    args: {who: {type: who}, level: {type: level}, n: {type: decimal, scale: 2, min: 0}}
    rules:
      - {id: a, allow: "args.who in state.known && state.given[args.who] + args.n < 5"}
      - {id: b, deny: "state.own[args.level] < 1"}
    then:
      known: "args.n > 1 ? state.known.add(args.who) : state.known.remove('bob')"
      "given[args.who]": state.given[args.who] + args.n
      "own['low']": state.own['low'] - 1
"""
PIECES = [
    *("sandbox: 1\n", "name: x\n", "tools:\n", "  t:\n", "    rules: []\n", "    args: {a: {type: int}}\n", "state:\n"),
    *(
        " ",
        "\n",
        "- ",
        ": ",
        "{",
        "}",
        "[",
        "]",
        ",",
        "'",
        '"',
        "|",
        ">",
        "#",
        "&a",
        "*a",
        "!t",
        "%",
        "---",
        "...",
        "?",
        "\\",
    ),
    *(
        "true",
        "null",
        "~",
        "1.50",
        "0x1",
        "args.a",
        "state.v",
        "allow",
        "deny",
        "id",
        "type",
        "decimal",
        "\t",
        "é",
        "\0",
    ),
]
TOKENS = [
    *("&&", "||", "!", "?", ":", "==", "!=", "<", ">=", "+", "-", "*", "/", "%", "(", ")", "[", "]", ",", ".", " "),
    *(
        "args",
        "args.b",
        "state",
        "tool",
        "in",
        "true",
        "null",
        "has",
        "size",
        "all",
        "exists",
        "matches",
        "x",
        "'a'",
        '"',
        "'",
        "state.s",
        "state.m",
        "state.m[",
        "m[",
        "add(",
        "remove(",
        "k, ",
        "args.w",
    ),
    *("1", "1.5", "0x", "9" * 50, "r'\\", "'''", "\\u00", "é", "\n", "startsWith", "lowerAscii", "[1, 2]", "decision"),
]
FACTS = {"decision": EnumSort(("deny", "ask", "allow"))}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


def load(folder: Path, data: bytes) -> Contract | None:
    path = folder / "spec.yaml"
    path.write_bytes(data)
    problems: tuple[Problem, ...] = ()
    contract = None
    try:
        contract = load_contract(path)
    except SpecError as error:
        problems = error.problems
    assert (contract is None) == bool(problems)
    lines = data.decode("utf-8", "replace").split("\n")
    for problem in problems:
        assert problem.place.file == str(path)
        assert 1 <= problem.place.line <= len(lines)
        assert 1 <= problem.place.column <= len(lines[problem.place.line - 1]) + 1
        assert problem.message.isprintable()
    with contextlib.suppress(AuthorError):
        load_properties(path)
    return contract


@settings(max_examples=200)
@given(data=st.binary(max_size=300))
def test_any_bytes(folder: Path, data: bytes) -> None:
    assert load(folder, data) is None


@settings(max_examples=400)
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=40))
def test_any_pieces_of_yaml(folder: Path, pieces: list[str]) -> None:
    load(folder, "".join(pieces).encode())


@settings(max_examples=200)
@given(data=st.data())
def test_any_edit_of_a_shipped_spec(folder: Path, data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([*SHIPPED, KEEPING, KEEPING]))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 12)))
        text = text[:start] + data.draw(st.sampled_from(PIECES + TOKENS) | st.text(max_size=3)) + text[end:]
    load(folder, text.encode("utf-8", "replace"))


@settings(max_examples=600)
@given(tokens=st.lists(st.sampled_from(TOKENS), max_size=30))
def test_any_tokens_of_an_expression(tokens: list[str]) -> None:
    refused_or_typed("".join(tokens))


@settings(max_examples=200)
@given(text=st.text(max_size=60))
def test_any_text_of_an_expression(text: str) -> None:
    refused_or_typed(text)


@pytest.mark.parametrize(
    "piece", ["(", "[", "!", "-", "a.", "a(", "a?", "1+", "true&&", "true?true:", "x.all(x,", "'", "\\", "{", "1", "a "]
)
def test_a_piece_repeated_to_the_limit(piece: str) -> None:
    for text in (piece * (16_384 // len(piece)), piece * 5_000 + "1"):
        refused_or_typed(text)


NAME = StringType(None, 0, 9)
VARIABLES = {
    "s": Variable("s", SetSort(StringSort()), (), key=NAME),
    "m": Variable("m", MapSort(StringSort(), IntSort()), 0, key=NAME),
}
PROPERTY = Scope(("t",), {"t": {"w": Argument("w", NAME)}}, VARIABLES, facts=FACTS)
RULE = replace(PROPERTY, facts={}, tool="t")
READERS: tuple[Callable[[SourceText], object], ...] = (
    lambda source: compile_expression(source, PROPERTY, BoolSort()),
    lambda source: compile_expression(source, RULE, IntSort()),
    lambda source: compile_change(source, RULE, VARIABLES["s"]),
    lambda source: compile_target(source, RULE),
)


def refused_or_typed(text: str) -> None:
    for read in READERS:
        problems: tuple[Problem, ...] = ()
        try:
            read(SourceText.of(text, "f"))
        except SpecError as error:
            problems = error.problems
        assert len(problems) <= 1
        assert all(problem.message.isprintable() for problem in problems)
