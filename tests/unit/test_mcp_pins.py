"""A pin file says what was reviewed, holds nothing that hides, and is refused when it was changed by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sandbox.errors import UsageError
from sandbox.mcp.pins import Listing, Pins, check_command, definition, pin_file, read_pins, write_pins
from sandbox.strict_json import JsonNumber, read

WORDS = ("python3", "server.py")


def tool(**more: object) -> object:
    return read(
        json.dumps({"name": "echo", "description": "Echo.", "inputSchema": {"type": "object"}, **more}).encode()
    )


def pins(*trees: object) -> Pins:
    found = [definition(tree) for tree in trees]
    return Pins(WORDS, "small 1", Listing({each.name: each for each in found}))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    place = pin_file(tmp_path / "files.yaml")
    assert place.name == "files.pins.json"
    written = pins(tool(), read(b'{"name": "add", "inputSchema": {"maximum": 1.0, "minimum": 1}}'))
    write_pins(place, written)
    assert read_pins(place) == written
    assert list(tmp_path.iterdir()) == [place]


@pytest.mark.parametrize(
    "changed",
    [
        tool(description="Echo!"),
        tool(description="Echo.\u200b"),
        tool(inputSchema={"type": "object", "properties": {}}),
        tool(annotations={"readOnlyHint": True}),
        tool(_meta={"a": 1}),
        tool(title=""),
    ],
)
def test_any_difference_is_another_digest(changed: object) -> None:
    assert definition(changed).digest != definition(tool()).digest


def test_a_number_is_another_when_it_is_written_in_another_way() -> None:
    one, point = (definition(read(b'{"name": "a", "x": %s}' % text)).digest for text in (b"1", b"1.0"))
    string = definition(read(b'{"name": "a", "x": "1"}')).digest
    assert len({one, point, string}) == 3


def test_the_order_of_keys_is_no_difference() -> None:
    assert definition({"name": "a", "b": True}).digest == definition({"b": True, "name": "a"}).digest


@pytest.mark.parametrize("tree", [None, [], {}, {"name": ""}, {"name": JsonNumber("1")}, {"name": None}])
def test_what_has_no_name_is_no_tool(tree: object) -> None:
    assert definition(tree) is None


def test_nothing_in_the_file_can_hide_from_a_reviewer(tmp_path: Path) -> None:
    place = tmp_path / "pins.json"
    write_pins(place, pins(tool(description="a\u202eb\x1b[2Jc\n\u200b")))
    text = place.read_text()
    assert text.isascii()
    assert all(character.isprintable() or character == "\n" for character in text)
    assert r"a\u202eb\u001b[2Jc\n\u200b" in text


def refused(place: Path) -> str:
    with pytest.raises(UsageError) as refusal:
        read_pins(place)
    return f"{refusal.value.reason_code}: {refusal.value}"


def test_a_file_that_is_not_there_says_how_to_get_one(tmp_path: Path) -> None:
    place = tmp_path / "files.pins.json"
    assert refused(place) == (
        "mcp.unpinned: no tool of this server was reviewed yet: "
        f"`sandbox mcp pin` writes `{place}`; read it, then commit it"
    )


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("Echo.", "Echo!", "the digest of `echo` is not that of its definition"),
        ('"name": "echo"', '"name": "other"', "the digest of `echo` is not that of its definition"),
        ('"schema_version": 1', '"schema_version": 2', "it is no pin file of format 1"),
        ('"command"', '"commend"', "it has other fields than a pin file"),
        ('"digest"', '"sum"', "`echo` has no `digest` and `definition`"),
        ('"server": "small 1"', '"server": "small 1", "server": "x"', "an object has the same key twice"),
        ('"python3"', "1", "it is no pin file of format 1"),
    ],
)
def test_a_file_that_was_changed_by_hand_is_refused(tmp_path: Path, old: str, new: str, reason: str) -> None:
    place = tmp_path / "files.pins.json"
    write_pins(place, pins(tool()))
    text = place.read_text()
    assert old in text
    place.write_text(text.replace(old, new))
    assert refused(place).startswith(f"mcp.pins: `{place}` was changed by hand or is damaged ({reason}")


def test_pins_are_about_one_command(tmp_path: Path) -> None:
    check_command(pins(tool()), WORDS, tmp_path)
    with pytest.raises(UsageError) as refusal:
        check_command(pins(tool()), ("python3", "server.py", "--more"), tmp_path)
    assert refusal.value.reason_code == "mcp.unpinned"


def offers() -> Listing:
    """One of each kind."""
    trees = ({"name": "t"}, {"name": "p", "description": "Do."}, {"uri": "memo://a"}, {"uriTemplate": "memo://{x}"})
    each = [definition(tree, key) for tree, key in zip(trees, ("name", "name", "uri", "uriTemplate"), strict=True)]
    return Listing(*({one.name: one} for one in each))


def test_prompts_and_resources_are_written_down_and_read_again(tmp_path: Path) -> None:
    place = tmp_path / "files.pins.json"
    written = Pins(WORDS, "small 1", offers())
    write_pins(place, written)
    assert read_pins(place) == written


def test_a_file_of_tools_alone_is_as_it_always_was(tmp_path: Path) -> None:
    place = tmp_path / "files.pins.json"
    write_pins(place, pins(tool()))
    assert read(place.read_bytes()).keys() == {"schema_version", "command", "server", "tools"}


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('"memo://a"', '"memo://b"', "the digest of `memo://b` is not that of its definition"),
        ("Do.", "Do more.", "the digest of `p` is not that of its definition"),
        ('"templates"', '"patterns"', "it has other fields than a pin file"),
    ],
)
def test_pinned_prompts_and_resources_that_were_changed_by_hand_are_refused(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    place = tmp_path / "files.pins.json"
    write_pins(place, Pins(WORDS, "small 1", offers()))
    text = place.read_text()
    assert old in text
    place.write_text(text.replace(old, new))
    assert reason in refused(place)
