"""Unit: sets and maps in the store: what was kept is read again, and a spec that means something else does not open."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.errors import Fault, UsageError
from sandbox.ir import (
    Contract,
    DecimalSort,
    EnumSort,
    EnumType,
    IntSort,
    MapSort,
    Period,
    SetSort,
    StringSort,
    StringType,
    Variable,
)
from sandbox.machine import StoredState, apply_then, initial_state
from sandbox.state import Reservation, Store
from sandbox.state_document import check_keys, read_document, write_document

DAY = 86_400_000
NOW = 10 * DAY + 7
NAME, LEVEL = StringType("([a-z]|\u00e9)*", 0, 64), EnumType(("low", "high"))
STRING, LEVELS = StringSort(), EnumSort(LEVEL.values)
KNOWN = Variable("known", SetSort(STRING), ("ann",), key=NAME, max_size=9)
SEEN = Variable("seen", SetSort(LEVELS), (), key=LEVEL, max_size=9)
GIVEN = Variable("given", MapSort(STRING, DecimalSort(2)), 5, Period("reset", DAY), key=NAME, max_size=9)
SENT = Variable("sent", MapSort(STRING, IntSort()), 0, Period("window", DAY), key=NAME, max_size=9)
COUNT = Variable("count", MapSort(LEVELS, IntSort()), -1, key=LEVEL, max_size=9)
VARIABLES = (KNOWN, SEEN, GIVEN, SENT, COUNT)
CONTRACT = Contract("c", (), VARIABLES)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(f"sqlite:///{tmp_path}/state.db", "")


def moved() -> StoredState:
    first = apply_then(
        CONTRACT,
        initial_state(CONTRACT, NOW),
        {
            "known": (("\u00e9", True), ("ann", False), ("", True)),
            "seen": (("high", True),),
            "given": {"ann": 10**40, "bob": -7},
            "sent": {"ann": 3, "": 10**30},
            "count": {"low": 0},
        },
    )
    return apply_then(CONTRACT, replace(first, clock_ms=NOW + 1), {"sent": {"ann": 5}})


def test_what_was_kept_is_read_again(store: Store, tmp_path: Path) -> None:
    with store.transaction() as transaction:
        transaction.save(CONTRACT, moved())
    store.close()
    with Store.open(f"sqlite:///{tmp_path}/state.db", "").transaction() as transaction:
        loaded = transaction.load(CONTRACT, 0)
    assert loaded == moved()
    assert loaded.values["known"] == {"\u00e9", ""}
    assert loaded.key_events["sent"] == {"ann": ((NOW, 3), (NOW + 1, 2)), "": ((NOW, 10**30),)}


def test_a_new_set_or_map_stands_at_initial_and_the_others_keep_their_values(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.save(CONTRACT, moved())
        more = (
            *VARIABLES,
            replace(KNOWN, name="friends"),
            replace(GIVEN, name="left"),
            replace(SENT, name="lost"),
        )
        loaded = transaction.load(Contract("c", (), more), NOW)
    assert loaded.values == {**moved().values, "friends": {"ann"}, "left": {}}
    assert loaded.key_events == {**moved().key_events, "lost": {}}


def test_cancel_brings_back_what_was_kept(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.save(CONTRACT, moved())
    with store.transaction() as transaction:
        before = transaction.load(CONTRACT, NOW)
        transaction.save(CONTRACT, apply_then(CONTRACT, before, {"known": (("x", True),), "sent": {"x": 1}}))
        transaction.reserve(Reservation("n", "t", "digest", NOW))
    with store.transaction() as transaction:
        assert transaction.cancel((CONTRACT,), "n")
        assert transaction.load(CONTRACT, NOW) == moved()


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        (Variable("known", SetSort(LEVELS), (), key=LEVEL), "`known` was stored as `set string`"),
        (Variable("known", MapSort(STRING, IntSort()), 0, key=NAME), "the spec says `map string int 0`"),
        (Variable("given", MapSort(STRING, DecimalSort(3)), 5, GIVEN.period, key=NAME), "map string decimal 2 5 reset"),
        (replace(GIVEN, initial=6), "`map string decimal 2 6 reset 86400000`"),
        (replace(GIVEN, period=None), "the spec says `map string decimal 2 5`"),
        (Variable("given", MapSort(LEVELS, DecimalSort(2)), 5, GIVEN.period, key=LEVEL), "map enum decimal 2 5"),
        (replace(SENT, period=Period("window", 9)), "map string int 0 window 9"),
        (replace(SENT, period=Period("reset", DAY)), "map string int 0 reset"),
    ],
)
def test_what_means_something_else_does_not_load(store: Store, changed: Variable, word: str) -> None:
    others = [each for each in VARIABLES if each.name != changed.name]
    with store.transaction() as transaction:
        transaction.save(CONTRACT, moved())
        with pytest.raises(UsageError, match=word.replace("`", "`")) as caught:
            transaction.load(Contract("c", (), (*others, changed)), NOW)
    assert caught.value.reason_code == "state.misfit"


@pytest.mark.parametrize(
    "changed",
    [
        replace(KNOWN, initial=("bob",)),
        replace(KNOWN, max_size=1),
        replace(KNOWN, key=StringType(None, 0, 64)),
        replace(SEEN, sort=SetSort(EnumSort(("low", "high", "top"))), key=EnumType(("low", "high", "top"))),
    ],
)
def test_what_means_the_same_still_loads(store: Store, changed: Variable) -> None:
    contract = Contract("c", (), tuple(changed if each.name == changed.name else each for each in VARIABLES))
    with store.transaction() as transaction:
        transaction.save(CONTRACT, moved())
        loaded = transaction.load(contract, NOW)
    check_keys(contract, loaded)
    assert loaded == moved()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (replace(KNOWN, key=StringType("[a-z]*", 0, 64)), "`known` holds `\\u00e9`, which is outside of its type"),
        (replace(KNOWN, key=StringType(None, 1, 64)), "`known` holds ``, which is outside of its type"),
        (replace(GIVEN, key=StringType("[b-z]*", 0, 64)), "`given` holds `ann`, which is outside of its type"),
        (replace(SENT, key=StringType("[b-z]*", 0, 64)), "`sent` holds `ann`, which is outside of its type"),
        (replace(SEEN, key=EnumType(("low",))), "`seen` holds `high`, which is outside of its type"),
        (replace(COUNT, key=EnumType(("high",))), "`count` holds `low`, which is outside of its type"),
    ],
)
def test_a_kept_key_outside_of_its_present_type_is_a_misfit(changed: Variable, words: str) -> None:
    contract = Contract("c", (), tuple(changed if each.name == changed.name else each for each in VARIABLES))
    check_keys(CONTRACT, moved())
    with pytest.raises(UsageError) as caught:
        check_keys(contract, moved())
    assert caught.value.reason_code == "state.misfit"
    assert words in str(caught.value)


def test_a_document_is_text_that_holds_any_key_and_any_number() -> None:
    text = write_document({}, moved())
    assert text.isascii()
    assert read_document(text)[1] == moved()


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        ('{"set": ["high"]}', '{"set": "high"}'),
        ('{"map": {"low": "0"}}', '{"map": ["low"]}'),
        ('{"map": {"low": "0"}}', '{"map": {"low": "x"}}'),
        ('{"map": {"low": "0"}}', '{"list": []}'),
        ('{"map": {"low": "0"}}', "null"),
        ('"key_events": {"sent": {', '"key_events": {"sent": [{'),
    ],
)
def test_a_document_that_is_none_is_a_fault(there: str, instead: str) -> None:
    text = write_document({}, moved()).replace('":', '": ').replace('","', '", "')
    assert there in text
    with pytest.raises(Fault, match="cannot be read"):
        read_document(text.replace(there, instead))
