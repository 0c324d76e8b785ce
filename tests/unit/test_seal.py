"""Keyed digests, and the file that holds their key."""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.call import Call
from sandbox.errors import UsageError
from sandbox.ir import Argument, Contract, IntType, ListType, RecordType, StringType, TextType, Tool
from sandbox.parse import parse_call
from sandbox.seal import KEY_BYTES, Seal, has_secrets, holds_secret, needs_seal
from sandbox.seal_file import read_seal

PLAIN = Argument("user", StringType(None, 0, 20))
SECRET = Argument("pin", IntType(0, 9999), secret=True)
WITHIN = Argument("card", RecordType((PLAIN, SECRET)))
LISTED = Argument("cards", ListType(RecordType((PLAIN, SECRET)), 0, 3, unique=True))
NOTE = Argument("note", TextType(20), optional=True, secret=True)


def test_where_something_is_secret_is_known_however_deep() -> None:
    assert [holds_secret(each) for each in (PLAIN, SECRET, WITHIN, LISTED, NOTE)] == [False, True, True, True, True]
    plain, secret = Tool("t", (PLAIN,), ()), Tool("u", (PLAIN, LISTED), ())
    assert (has_secrets(plain), has_secrets(secret)) == (False, True)
    assert (needs_seal((plain,)), needs_seal((plain, secret))) == (False, True)


def test_what_is_digested_for_one_purpose_says_nothing_about_another() -> None:
    seal = Seal(b"k" * KEY_BYTES)
    assert seal.digest("call", "x") == seal.digest("call", "x")
    assert len({seal.digest("call", "x"), seal.digest("output", "x"), Seal(b"l" * KEY_BYTES).digest("call", "x")}) == 3


def test_a_seal_shows_no_key() -> None:
    assert "kkk" not in repr(Seal(b"k" * KEY_BYTES))


def call_of(tool: Tool, args: dict[str, object], seal: Seal | None = None) -> Call:
    call = parse_call({"tool": tool.name, "args": args}, Contract("c", (tool,)), seal)
    assert isinstance(call, Call)
    return call


def test_without_a_secret_a_call_is_what_it_was() -> None:
    call = call_of(Tool("t", (PLAIN,), ()), {"user": "ann"}, Seal(b"k" * KEY_BYTES))
    assert call.masked is None
    assert call.shown == call.canonical == '{"args":{"user":"ann"},"tool":"t"}'
    assert call.hidden() is call
    assert repr(call) == f"Call({call.canonical})"


def test_without_a_key_no_two_digests_are_alike() -> None:
    tool = Tool("t", (SECRET,), ())
    first, second = call_of(tool, {"pin": 1}), call_of(tool, {"pin": 1})
    assert first.canonical == second.canonical
    assert first.digest != second.digest
    assert first.shown != second.shown


def test_whoever_is_shown_a_call_gets_no_value_of_one_with_secrets() -> None:
    call = call_of(Tool("t", (PLAIN, WITHIN), ()), {"user": "ann", "card": {"user": "bob", "pin": 7}})
    hidden = call.hidden()
    assert (hidden.args, hidden.digest, hidden.canonical) == ({}, call.digest, call.shown)
    assert '"user":"bob"' in hidden.canonical
    assert hidden.hidden() == hidden


def test_an_absent_secret_stays_absent() -> None:
    assert call_of(Tool("t", (PLAIN, NOTE), ()), {"user": "ann"}).shown == '{"args":{"user":"ann"},"tool":"t"}'


def test_the_key_is_made_once_and_is_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.key"
    seal = read_seal(path)
    assert read_seal(path) == seal
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_bytes()) == KEY_BYTES
    assert [each.name for each in tmp_path.iterdir()] == ["state.key"]


def test_many_who_make_it_at_once_get_one_key(tmp_path: Path) -> None:
    path, found = tmp_path / "state.key", []
    threads = [threading.Thread(target=lambda: found.append(read_seal(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({seal.key for seal in found}) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "state.key"
    read_seal(path)
    path.chmod(mode)
    with pytest.raises(UsageError, match="is no file that you alone can read") as refused:
        read_seal(path)
    assert refused.value.reason_code == "secret.key"


@pytest.mark.parametrize("size", [0, KEY_BYTES - 1, KEY_BYTES + 1])
def test_what_is_no_key_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "state.key"
    path.write_bytes(b"k" * size)
    path.chmod(0o600)
    with pytest.raises(UsageError, match="does not hold a key of 32 bytes"):
        read_seal(path)


def test_links_folders_and_pipes_are_no_key(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"k" * KEY_BYTES)
    (tmp_path / "link").symlink_to(tmp_path / "other")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("link", "dangling", "folder", "pipe"):
        with pytest.raises(UsageError):
            read_seal(tmp_path / name)


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the key of secret values cannot be kept at"):
        read_seal(tmp_path / "gone" / "state.key")


def test_secret_is_part_of_what_a_contract_means() -> None:
    from sandbox import ir

    tool = Tool("t", (SECRET,), ())
    assert ir.digest(tool) != ir.digest(Tool("t", (replace(SECRET, secret=False),), ()))


def test_a_permit_is_held_against_the_exact_bytes() -> None:
    call = call_of(Tool("t", (SECRET,), ()), {"pin": 1})
    exact = hashlib.sha256(b'{"args":{"pin":1},"tool":"t"}').hexdigest()
    assert call.bound_digest == exact != call.digest
    assert exact not in repr(call)
    assert call.hidden().plain_digest == ""
    plain = call_of(Tool("t", (PLAIN,), ()), {"user": "ann"})
    assert plain.bound_digest == plain.digest
