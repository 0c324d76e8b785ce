"""`secret` in a spec: where it may stand, and where what it hides may not go. Every refusal word for word."""

from __future__ import annotations

from pathlib import Path

import pytest
from spec_files import spec, write

from sandbox.compile import load_contract, load_policy
from sandbox.errors import SpecError
from sandbox.ir import ListType, RecordType

ARGS = (
    "    args:\n      pin: {type: int, secret: true}\n      who: {type: string}\n"
    "      key: {type: string, optional: true, secret: true}\n"
    "      card: {type: record, fields: {n: {type: int}, cvc: {type: int, secret: true}}}\n"
    "      cards: {type: list, items: {type: record, fields: {n: {type: int}, cvc: {type: int, secret: true}}}}\n"
)


def refused(folder: Path, text: str) -> list[tuple[int, int, str]]:
    with pytest.raises(SpecError) as caught:
        load_contract(write(folder, text))
    return [(each.place.line, each.place.column, each.message) for each in caught.value.problems]


def with_then(key: str, value: str) -> str:
    return spec(
        f"state: {{v: {{type: int, initial: 0}}, b: {{type: bool, initial: false}}}}\ntools:\n  t:\n{ARGS}"
        f"    rules: []\n    {key}: {{{value}}}\n"
    )


STORED = "is secret, and the state is stored and shown; assign what reads no secret"


@pytest.mark.parametrize(
    ("key", "value", "column", "found"),
    [
        ("then", "v: args.pin", 15, "args.pin"),
        ("then", "v: state.v + args.pin", 15, "args.pin"),
        ("then", "v: 'args.pin == 4711 ? 1 : 0'", 16, "args.pin"),
        ("then", "v: 'has(args.key) ? size(args.key) : 0'", 16, "args.key"),
        ("then", "v: args.card.cvc", 15, "args.card.cvc"),
        ("then", "b: 'args.cards.exists(x, x.cvc == 7)'", 16, "cvc"),
        ("on_success", "v: 'state.v > args.pin ? state.v : args.pin'", 22, "args.pin"),
    ],
)
def test_a_secret_is_never_stored(tmp_path: Path, key: str, value: str, column: int, found: str) -> None:
    assert refused(tmp_path, with_then(key, value)) == [(13, column, f"`{found}` {STORED}")]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("then", "v: args.card.n"),
        ("then", "v: 'has(args.key) ? 1 : 0'"),
        ("then", "v: size(args.who)"),
        ("then", "b: 'args.cards.exists(x, x.n == 7)'"),
        ("on_success", "v: 'state.v > args.card.n ? state.v : args.card.n'"),
    ],
)
def test_what_is_no_secret_may_be_stored(tmp_path: Path, key: str, value: str) -> None:
    assert load_contract(write(tmp_path, with_then(key, value))).tools


@pytest.mark.parametrize("name", ["pin", "key"])
def test_a_secret_is_no_word_of_a_command_line(tmp_path: Path, name: str) -> None:
    text = spec(f"tools:\n  t:\n{ARGS}    rules: []\n    run: {{argv: [login, '{{args.{name}}}']}}\n")
    message = f"`args.{name}` is secret, and others can read a program's words; let a `tool` take it"
    assert refused(tmp_path, text) == [(12, 26, message)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "tools: {t: {rules: [], args: {x: {type: list, items: {type: string, secret: true}}}}}\n",
            (3, 77, "`secret` belongs to the whole list, or to a field; write it there"),
        ),
        (
            "types: {pin: {type: int, secret: true}}\n",
            (3, 34, "`secret` belongs to an argument, not to a type; write it where the type is used"),
        ),
        (
            "session: {who: {type: string, secret: true}}\n",
            (3, 39, "a fact of the session is no secret, for its digest is on record; take `secret` out"),
        ),
        (
            "tools: {t: {rules: [], args: {x: {type: string, secret: maybe}}}}\n",
            (3, 57, "expected `true` or `false`, found `maybe`"),
        ),
    ],
)  # fmt: skip
def test_secret_has_its_places(tmp_path: Path, text: str, expected: tuple[int, int, str]) -> None:
    assert refused(tmp_path, spec(text)) == [expected]


def test_arguments_and_fields_can_be_secret(tmp_path: Path) -> None:
    text = spec(
        f"types: {{money: {{type: int}}}}\ntools:\n  t:\n{ARGS}      m: {{type: money, secret: true}}\n    rules: []\n"
    )
    (tool,) = load_contract(write(tmp_path, text)).tools
    by_name = {each.name: each for each in tool.arguments}
    assert {name for name, each in by_name.items() if each.secret} == {"pin", "key", "m"}
    card, cards = by_name["card"].type, by_name["cards"].type
    assert isinstance(card, RecordType)
    assert [field.secret for field in card.fields] == [False, True]
    assert isinstance(cards, ListType)
    assert cards.items == card


def test_of_two_specs_both_say_what_is_secret(tmp_path: Path) -> None:
    """The one that is not told could store it."""
    one = write(tmp_path, spec("tools:\n  t:\n    args: {pin: {type: int, secret: true}}\n    rules: []\n"), "one.yaml")
    other = write(
        tmp_path, "sandbox: 1\nname: y\ntools:\n  t:\n    args: {pin: {type: int}}\n    rules: []\n", "two.yaml"
    )
    with pytest.raises(SpecError) as caught:
        load_policy([one, other])
    (problem,) = caught.value.problems
    assert (problem.place.file, problem.place.line, problem.place.column) == (str(other), 5, 12)
    assert problem.message == (f"`pin` is a secret in one spec alone, see {one}:5:12; write `secret: true` in both")
