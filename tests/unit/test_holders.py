"""Unit: state of the spec, of each principal and of each session: joined for a call, split again, kept in rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import state_parts
from sandbox.errors import Fault, UsageError
from sandbox.holders import Holders, Shelf, holders_of, join, scopes_in, share, split
from sandbox.ir import Argument, Contract, IntSort, MapSort, Period, SetSort, StringSort, StringType, Variable
from sandbox.machine import StateFullError, StoredState, Update, apply_then, effective, initial_state, tick
from sandbox.state import Reservation, Store

HOUR = 3_600_000
DAY = 24 * HOUR
NAME = StringType(None, 0, 64)
RESET, WINDOW = Period("reset", DAY), Period("window", HOUR)
VARIABLES = (
    Variable("total", IntSort(), 0),
    Variable("day", IntSort(), 5, RESET),
    Variable("own", IntSort(), 0, scope="principal"),
    Variable("own_day", IntSort(), 7, RESET, scope="principal"),
    Variable("own_hour", MapSort(StringSort(), IntSort()), 0, WINDOW, "principal", NAME, 10),
    Variable("seen", SetSort(StringSort()), (), None, "session", NAME, 10),
    Variable("hour", IntSort(), 0, WINDOW, "session"),
)
FACTS = (Argument("principal", NAME), Argument("id", NAME))
CONTRACT = Contract("c", (), VARIABLES, FACTS)
ANN: Holders = {"principal": "ann", "session": "s1"}
BOB: Holders = {"principal": "bob", "session": "s2"}
ANN_AGAIN: Holders = {"principal": "ann", "session": "s3"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(f"sqlite:///{tmp_path}/state.db", "")


def spend(
    store: Store, holders: Holders, now_ms: int = 0, nonce: str = "", contract: Contract = CONTRACT, **updates: Update
) -> None:
    """A permit that was given in one transaction."""
    with store.transaction() as transaction:
        before = tick(contract, transaction.load(contract, now_ms, holders), now_ms)
        transaction.save(contract, apply_then(contract, before, updates), holders)
        if nonce:
            transaction.reserve(Reservation(nonce, "t", "digest", now_ms))


def read(store: Store, holders: Holders, now_ms: int = 0, contract: Contract = CONTRACT) -> dict[str, object]:
    with store.transaction() as transaction:
        stored = transaction.load(contract, now_ms, holders)
    values = effective(contract, tick(contract, stored, now_ms))
    return {name: dict(value) if name == "own_hour" else value for name, value in values.items()}  # type: ignore[call-overload]  # a map


def cancelled(store: Store, nonce: str) -> bool:
    with store.transaction() as transaction:
        return transaction.cancel([CONTRACT], nonce)


# --- whose it is


def test_holders_are_the_facts_that_scopes_rest_on() -> None:
    facts = {"principal": "ann", "id": "s1", "other": "x"}
    assert holders_of(CONTRACT, facts) == ANN
    assert holders_of(CONTRACT, {"id": "s1"}) == {"session": "s1"}
    assert holders_of(Contract("c", (), VARIABLES[:3], FACTS), facts) == {"principal": "ann"}
    assert holders_of(Contract("c", (), VARIABLES[:2], FACTS), facts) == {}
    assert scopes_in(CONTRACT) == ("spec", "principal", "session")
    assert scopes_in(Contract("c", (), VARIABLES[5:], FACTS)) == ("spec", "session")


def test_a_state_is_split_and_joined_again() -> None:
    updates: dict[str, Update] = {"total": 1, "own": 2, "own_hour": {"x": 3}, "seen": (("y", True),), "hour": 4}
    whole = apply_then(CONTRACT, initial_state(CONTRACT, DAY), updates)
    parts = split(CONTRACT, whole)
    assert {scope: set(effective(share(CONTRACT, scope), part)) for scope, part in parts.items()} == {
        "spec": {"total", "day"},
        "principal": {"own", "own_day", "own_hour"},
        "session": {"seen", "hour"},
    }
    assert join(CONTRACT, parts) == whole


def test_a_part_that_was_left_alone_is_ticked_to_the_clock_of_the_spec() -> None:
    parts = split(CONTRACT, apply_then(CONTRACT, initial_state(CONTRACT, 0), {"own_day": 1, "hour": 2, "day": 3}))
    later = tick(share(CONTRACT, "spec"), parts["spec"], DAY)
    joined = effective(CONTRACT, join(CONTRACT, {**parts, "spec": later}))
    assert (joined["own_day"], joined["hour"], joined["day"]) == (7, 0, 5)


# --- rows


def test_each_principal_and_each_session_has_its_own_and_the_spec_has_one(store: Store) -> None:
    spend(store, ANN, total=1, own=10, seen=(("a", True),), own_hour={"x": 1})
    spend(store, BOB, total=2, own=20, seen=(("b", True),), own_hour={"x": 2})
    spend(store, ANN_AGAIN, total=3, own=11, own_hour={"y": 5})
    assert read(store, ANN)["total"] == read(store, BOB)["total"] == 3
    assert (read(store, ANN)["own"], read(store, BOB)["own"], read(store, ANN_AGAIN)["own"]) == (11, 20, 11)
    assert (read(store, ANN)["seen"], read(store, BOB)["seen"], read(store, ANN_AGAIN)["seen"]) == ({"a"}, {"b"}, set())
    assert (read(store, ANN)["own_hour"], read(store, BOB)["own_hour"]) == ({"x": 1, "y": 5}, {"x": 2})
    new = {"principal": "cid", "session": "s1"}
    assert (read(store, new)["own"], read(store, new)["seen"]) == (0, {"a"})


@pytest.mark.parametrize(
    "name", ["", " ann", "ann ", "Ann", "a\u0301nn", "ann\n", "' OR 1=1 --", "*", "spec", "x" * 64]
)
def test_other_spellings_are_other_principals(store: Store, name: str) -> None:
    spend(store, ANN, own=10)
    other: Holders = {"principal": name, "session": "s1"}
    assert read(store, other)["own"] == 0
    spend(store, other, own=1)
    assert (read(store, ANN)["own"], read(store, other)["own"]) == (10, 1)


def test_one_name_of_two_scopes_and_two_contracts_is_four_rows(store: Store) -> None:
    same: Holders = {"principal": "x", "session": "x"}
    other = replace(CONTRACT, name="d")
    spend(store, same, own=1, hour=2)
    spend(store, same, contract=other, own=3, hour=4)
    assert (read(store, same)["own"], read(store, same)["hour"]) == (1, 2)
    assert (read(store, same, contract=other)["own"], read(store, same, contract=other)["hour"]) == (3, 4)


def test_the_clock_belongs_to_all(store: Store) -> None:
    spend(store, ANN, own_day=1, own_hour={"x": 1})
    spend(store, BOB, now_ms=2 * DAY, total=1)
    found = read(store, ANN, now_ms=0)
    assert (found["own_day"], found["own_hour"], found["day"]) == (7, {}, 5)
    spend(store, ANN, now_ms=DAY, own_hour={"x": 5})
    with store.transaction() as transaction:
        stored = transaction.load(CONTRACT, 0, ANN)
    assert stored.clock_ms == 2 * DAY
    assert stored.key_events == {"own_hour": {"x": ((2 * DAY, 5),)}}


def test_what_is_not_known_is_new_and_is_not_written(store: Store) -> None:
    spend(store, {"principal": "ann"}, total=1, own=1, seen=(("a", True),))
    assert read(store, {"principal": "ann"})["seen"] == set()
    with store.transaction() as transaction:
        assert transaction.every(CONTRACT) == ({"principal": "ann"},)


def test_a_row_that_a_permit_leaves_alone_keeps_its_document(store: Store, tmp_path: Path) -> None:
    spend(store, ANN, total=1, own=1)
    spend(store, ANN, now_ms=5, total=2)
    rows = sqlite3.connect(tmp_path / "state.db").execute("SELECT scope, holder, version FROM state").fetchall()
    assert sorted(rows) == [("principal", "ann", 2), ("spec", "", 2)]
    with store.transaction() as transaction:
        assert transaction.version("c") == 2
        assert transaction.version("c", {"principal": "ann"}) == 2
        assert transaction.version("c", {"session": "s1"}) == 0
        assert transaction.load(CONTRACT, 0, ANN).clock_ms == 5


# --- cancel


def test_cancel_gives_back_what_the_call_changed_and_nothing_of_others(store: Store) -> None:
    spend(store, ANN, own=1, seen=(("a", True),), own_hour={"x": 1})
    spend(store, BOB, own=2)
    before = read(store, ANN)
    spend(store, ANN, nonce="n", own=5, seen=(("b", True), ("a", False)), own_hour={"x": 9})
    spend(store, BOB, own=3)
    assert cancelled(store, "n")
    assert read(store, ANN) == before
    assert read(store, BOB)["own"] == 3


@pytest.mark.parametrize(
    ("changed", "by", "restored"),
    [
        ({"own": 5}, BOB, True),
        ({"own": 5}, ANN, False),
        ({"own": 5}, ANN_AGAIN, False),
        ({"own": 5}, {"principal": "bob", "session": "s1"}, True),
        ({"hour": 5}, {"principal": "bob", "session": "s1"}, False),
        ({"hour": 5}, ANN_AGAIN, True),
        ({"total": 5}, BOB, False),
        ({"total": 5, "own": 5}, BOB, False),
        ({"own": 5, "hour": 5}, ANN_AGAIN, False),
        ({}, ANN, True),
    ],
)
@pytest.mark.parametrize("writes", [True, False])
def test_cancel_takes_nothing_back_that_another_permit_has_seen(
    store: Store, changed: dict[str, Update], by: Holders, restored: bool, writes: bool
) -> None:
    """A call that only read what is taken back may have been let through for it."""
    spend(store, ANN, total=1, own=1, hour=1)
    before = read(store, ANN)
    spend(store, ANN, nonce="n", **changed)
    after = read(store, ANN)
    spend(store, by, **({"own": 50} if writes else {}))
    if by["principal"] == "ann" and writes:
        before["own"] = after["own"] = 50
    assert cancelled(store, "n") is restored
    assert read(store, ANN) == (before if restored else after)


def test_cancel_brings_back_an_old_period_only_as_what_it_is_by_then(store: Store) -> None:
    spend(store, ANN, own_day=1, own_hour={"x": 1})
    spend(store, ANN, nonce="n", own_day=2, own_hour={"x": 2})
    spend(store, BOB, now_ms=DAY, own=1)
    assert cancelled(store, "n")
    assert (read(store, ANN, DAY)["own_day"], read(store, ANN, DAY)["own_hour"]) == (7, {})
    assert read(store, ANN, 0)["own_day"] == 7


def test_cancel_of_a_first_call_leaves_a_new_principal_at_initial(store: Store) -> None:
    spend(store, ANN, nonce="n", own=5, hour=5)
    assert cancelled(store, "n")
    assert (read(store, ANN)["own"], read(store, ANN)["hour"]) == (0, 0)
    spend(store, ANN, own=1)
    assert read(store, ANN)["own"] == 1


# --- limits and damage


def test_there_are_only_so_many_principals_and_those_that_are_there_go_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_parts, "MAX_HOLDERS", 2)
    spend(store, ANN, own=1, hour=1)
    spend(store, BOB, own=1)
    spend(store, ANN_AGAIN, hour=1)
    with pytest.raises(StateFullError, match="no room for a new one"):
        read(store, {"principal": "cid", "session": "s1"})
    with pytest.raises(StateFullError, match="sessions"):
        spend(store, {"principal": "ann", "session": "s9"}, own=1)
    spend(store, ANN, own=2)
    assert read(store, ANN)["own"] == 2


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM state WHERE scope = 'principal'",
        "UPDATE state SET holder = 'eve' WHERE holder = 'ann'",
        "UPDATE state SET scope = 'session' WHERE holder = 'ann'",
        "UPDATE state SET document = replace(document, '\"1\"', '\"0\"') WHERE holder = 'ann'",
        "UPDATE state SET document = (SELECT document FROM state WHERE holder = 'bob') WHERE holder = 'ann'",
    ],
)
def test_a_row_that_is_lost_or_another_is_a_fault_and_no_fresh_budget(
    store: Store, tmp_path: Path, statement: str
) -> None:
    spend(store, ANN, nonce="a", own=1)
    spend(store, BOB, nonce="b", own=2)
    store.close()
    damaging = sqlite3.connect(tmp_path / "state.db")
    damaging.execute(statement)
    damaging.commit()
    damaging.close()
    with pytest.raises(Fault) as caught:
        read(Store.open(f"sqlite:///{tmp_path}/state.db", ""), ANN)
    assert caught.value.reason_code == "state.corrupt"


def test_a_row_that_is_missing_is_noticed_when_all_are_looked_at(store: Store, tmp_path: Path) -> None:
    spend(store, ANN, own=1)
    spend(store, BOB, own=2)
    damaging = sqlite3.connect(tmp_path / "state.db")
    damaging.execute("DELETE FROM state WHERE holder = 'ann'")
    damaging.commit()
    damaging.close()
    with pytest.raises(Fault, match="some principals or sessions are missing"), store.transaction() as transaction:
        transaction.every(CONTRACT)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: replace(v, scope="spec") if v.name == "own" else v, "`own` was stored as `int for each principal`"),
        (lambda v: replace(v, scope="session") if v.name == "own" else v, "the spec says `int for each session`"),
        (lambda v: replace(v, scope="principal") if v.name == "total" else v, "`total` was stored as `int`"),
        (lambda v: replace(v, key=StringType("[b-z]*", 0, 9)) if v.name == "own_hour" else v, "holds `a`"),
        (lambda v: replace(v, scope="spec"), "for each principal`, and the spec says"),
    ],
)
def test_another_scope_is_a_misfit_in_whichever_row_it_shows(
    store: Store, change: Callable[[Variable], Variable], words: str
) -> None:
    spend(store, ANN, total=1, own=1, own_hour={"a": 1})
    contract = replace(CONTRACT, variables=tuple(change(variable) for variable in VARIABLES))
    with pytest.raises(UsageError) as caught, store.transaction() as transaction:
        transaction.check_fit(contract)
    assert caught.value.reason_code == "state.misfit"
    assert words in str(caught.value)
    with store.transaction() as transaction:
        transaction.check_fit(CONTRACT)


# --- in memory, and against a naive reading

NAMES = st.sampled_from(["a", "b"])
CALLS = st.tuples(NAMES, NAMES, st.integers(0, DAY), st.sampled_from(["total", "own", "hour", "day", "own_day"]))


@given(calls=st.lists(CALLS, max_size=12))
def test_a_shelf_a_store_and_a_naive_reading_agree(calls: list[tuple[str, str, int, str]]) -> None:
    shelf, clock = Shelf.fresh(CONTRACT, 0), 0
    store = Store.in_memory()
    naive: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for principal, session, wait, name in calls:
        clock += wait
        holders: Holders = {"principal": principal, "session": session}
        scope = {"own": principal, "own_day": principal, "hour": session}.get(name, "")
        view = tick(CONTRACT, shelf.view(holders), clock)
        with store.transaction() as transaction:
            assert tick(CONTRACT, transaction.load(CONTRACT, clock, holders), clock) == view
        value = effective(CONTRACT, view)[name]
        assert value == reading(naive.get((name, scope), []), name, clock)
        after = apply_then(CONTRACT, view, {name: int(value) + 1})  # type: ignore[arg-type]  # a number
        shelf.put(holders, after)
        with store.transaction() as transaction:
            transaction.load(CONTRACT, clock, holders)
            transaction.save(CONTRACT, after, holders)
        naive.setdefault((name, scope), []).append((clock, 1))
    store.close()


def reading(added: list[tuple[int, int]], name: str, now_ms: int) -> int:
    match name:
        case "hour":
            return sum(amount for when, amount in added if when > now_ms - HOUR)
        case "day" | "own_day":
            initial = 5 if name == "day" else 7
            return initial + sum(amount for when, amount in added if when // DAY == now_ms // DAY)
        case _:
            return sum(amount for _, amount in added)


def test_a_stored_state_has_no_room_for_what_is_not_its_own() -> None:
    part = split(CONTRACT, initial_state(CONTRACT, 0))["session"]
    assert part == StoredState({"seen": frozenset()}, {}, {"hour": ()}, 0, {})
