"""Unit: sets and maps in the transition relation: what is kept, what time does to it, and when it is full."""

from __future__ import annotations

import pytest

from sandbox.errors import Fault
from sandbox.ir import Contract, EnumSort, EnumType, IntSort, MapSort, Period, SetSort, StringSort, StringType, Variable
from sandbox.machine import (
    MAX_CHARACTERS,
    MAX_NUMBER_BITS,
    MAX_WINDOW_EVENTS,
    StateFullError,
    StoredState,
    Update,
    apply_then,
    effective,
    initial_state,
    tick,
)
from sandbox.state_document import read_document, write_document

DAY = 86_400_000
HOUR = 3_600_000
NAME = StringType(None, 0, 64)


def kept_set(*initial: str, max_size: int = 10) -> Variable:
    return Variable("known", SetSort(StringSort()), initial, key=NAME, max_size=max_size)


def kept_map(initial: int = 0, period: Period | None = None, max_size: int = 10) -> Variable:
    return Variable("given", MapSort(StringSort(), IntSort()), initial, period, key=NAME, max_size=max_size)


def window(max_size: int = 10) -> Variable:
    return kept_map(0, Period("window", DAY), max_size)


def only(contract: Contract, stored: StoredState) -> object:
    """The effective value of the one variable of a contract."""
    (value,) = effective(contract, stored).values()
    return value


def test_a_set_begins_with_its_items_and_takes_and_loses_others() -> None:
    contract = Contract("c", (), (kept_set("a", "b"),))
    start = initial_state(contract, 0)
    assert only(contract, start) == {"a", "b"}
    after = apply_then(contract, start, {"known": (("b", False), ("c", True), ("a", True), ("zz", False))})
    assert only(contract, after) == {"a", "c"}
    assert only(contract, start) == {"a", "b"}
    back = apply_then(contract, start, {"known": (("a", False), ("c", True), ("a", True), ("c", False))})
    assert only(contract, back) == {"a", "b"}


def numbers() -> Contract:
    alone = Variable("number", IntSort(), 0), Variable("sum", IntSort(), 0, Period("window", DAY))
    sent = Variable("sent", MapSort(StringSort(), IntSort()), 0, Period("window", DAY), key=NAME, max_size=10)
    return Contract("c", (), (*alone, kept_map(), sent))


@pytest.mark.parametrize(
    ("name", "most", "beyond"),
    [
        ("number", 2**MAX_NUMBER_BITS - 1, 2**MAX_NUMBER_BITS),
        ("number", 1 - 2**MAX_NUMBER_BITS, -(2**MAX_NUMBER_BITS)),
        ("sum", 2**MAX_NUMBER_BITS - 1, 2**MAX_NUMBER_BITS),
        ("given", {"a": 2**MAX_NUMBER_BITS - 1}, {"a": 2**MAX_NUMBER_BITS}),
        ("sent", {"a": 2**MAX_NUMBER_BITS - 1}, {"a": 2**MAX_NUMBER_BITS}),
    ],
)
def test_a_number_has_as_many_digits_as_the_state_can_write(name: str, most: Update, beyond: Update) -> None:
    start = initial_state(numbers(), 0)
    after = apply_then(numbers(), start, {name: most})
    assert effective(numbers(), after)[name] == most
    assert read_document(write_document({}, after))[1] == after
    for state in (start, after):
        with pytest.raises(StateFullError, match=f"`state.{name}` would have more digits than the state keeps"):
            apply_then(numbers(), state, {name: beyond})


def test_a_map_keeps_no_key_whose_value_is_the_initial_one() -> None:
    contract = Contract("c", (), (kept_map(7),))
    start = initial_state(contract, 0)
    assert only(contract, start) == {}
    after = apply_then(contract, start, {"given": {"a": 9, "b": 7, "c": 0}})
    assert only(contract, after) == {"a": 9, "c": 0}
    assert only(contract, apply_then(contract, after, {"given": {"a": 7}})) == {"c": 0}


def test_an_enum_keyed_map_keeps_names() -> None:
    sort = MapSort(EnumSort(("low", "high")), IntSort())
    contract = Contract("c", (), (Variable("given", sort, 0, key=EnumType(("low", "high")), max_size=2),))
    assert only(contract, apply_then(contract, initial_state(contract, 0), {"given": {"high": 1}})) == {"high": 1}


def test_a_reset_forgets_every_key_at_once() -> None:
    contract = Contract("c", (), (kept_map(7, Period("reset", DAY)),))
    after = apply_then(contract, initial_state(contract, DAY - HOUR), {"given": {"a": 1, "b": 2}})
    assert only(contract, tick(contract, after, DAY - 1)) == {"a": 1, "b": 2}
    assert only(contract, tick(contract, after, DAY)) == {}
    assert only(contract, tick(contract, tick(contract, after, DAY), DAY - HOUR)) == {}


def test_a_clock_that_is_set_back_brings_no_key_back_and_forgets_none() -> None:
    contract = Contract("c", (), (kept_map(0, Period("reset", DAY)),))
    after = apply_then(contract, initial_state(contract, 3 * DAY), {"given": {"a": 1}})
    assert only(contract, tick(contract, after, DAY)) == {"a": 1}


def test_each_key_of_a_window_has_its_own_sum_and_loses_its_own_amounts() -> None:
    contract = Contract("c", (), (window(),))
    first = apply_then(contract, initial_state(contract, 0), {"given": {"a": 10}})
    second = apply_then(contract, tick(contract, first, HOUR), {"given": {"a": 15, "b": 7}})
    assert only(contract, second) == {"a": 15, "b": 7}
    assert only(contract, tick(contract, second, DAY - 1)) == {"a": 15, "b": 7}
    assert only(contract, tick(contract, second, DAY)) == {"a": 5, "b": 7}
    assert only(contract, tick(contract, second, DAY + HOUR)) == {}


def test_a_key_of_a_window_that_is_given_nothing_is_not_kept() -> None:
    contract = Contract("c", (), (window(),))
    after = apply_then(contract, initial_state(contract, 0), {"given": {"a": 0}})
    assert only(contract, after) == {}
    assert after.key_events == {"given": {}}


def test_a_window_of_a_map_never_takes_a_negative_amount() -> None:
    contract = Contract("c", (), (window(),))
    with pytest.raises(Fault, match="negative"):
        apply_then(contract, initial_state(contract, 0), {"given": {"a": -1}})


@pytest.mark.parametrize("variable", [kept_set("a", max_size=2), kept_map(max_size=2), window(max_size=2)])
def test_what_is_full_takes_no_more_and_may_still_change(variable: Variable) -> None:
    contract = Contract("c", (), (variable,))
    add: Update = (("b", True),) if variable.name == "known" else {"a": 1, "b": 1}
    full = apply_then(contract, initial_state(contract, 0), {variable.name: add})
    assert len(effective(contract, full)[variable.name]) == 2  # type: ignore[arg-type]  # a set or a map
    more: Update = (("c", True),) if variable.name == "known" else {"c": 1}
    with pytest.raises(StateFullError, match=variable.name):
        apply_then(contract, full, {variable.name: more})
    same: Update = (("b", True),) if variable.name == "known" else {"b": 5}
    assert len(effective(contract, apply_then(contract, full, {variable.name: same}))[variable.name]) == 2  # type: ignore[arg-type]  # as above


def test_what_goes_makes_room_for_what_comes_in_the_same_step() -> None:
    contract = Contract("c", (), (kept_set("a", "b", max_size=2),))
    after = apply_then(contract, initial_state(contract, 0), {"known": (("a", False), ("c", True))})
    assert only(contract, after) == {"b", "c"}


def test_more_than_the_spec_now_allows_may_shrink_and_not_grow() -> None:
    contract = Contract("c", (), (kept_set(max_size=2),))
    stored = StoredState({"known": frozenset("abcd")}, {}, {}, 0)
    assert only(contract, apply_then(contract, stored, {"known": (("a", False),)})) == {"b", "c", "d"}
    with pytest.raises(StateFullError):
        apply_then(contract, stored, {"known": (("e", True),)})


def test_the_amounts_of_all_keys_of_a_window_are_bounded_together() -> None:
    contract = Contract("c", (), (window(),))
    half = tuple((at, 1) for at in range(MAX_WINDOW_EVENTS // 2))
    stored = StoredState({}, {}, {}, MAX_WINDOW_EVENTS, {"given": {"a": half, "b": half[1:]}})
    last = apply_then(contract, stored, {"given": {"c": 1}})
    with pytest.raises(StateFullError, match="given"):
        apply_then(contract, last, {"given": {"d": 1}})
    with pytest.raises(StateFullError, match="given"):
        apply_then(contract, stored, {"given": {"c": 1, "d": 1}})


@pytest.mark.parametrize("variable", [kept_set(max_size=10_000), kept_map(max_size=10_000), window(10_000)])
def test_the_characters_of_all_items_or_keys_are_bounded_together(variable: Variable) -> None:
    contract = Contract("c", (), (variable,))
    names = [f"{number:03}" + "x" * (MAX_CHARACTERS // 100 - 3) for number in range(100)]
    is_set = variable.name == "known"
    fill: Update = tuple((name, True) for name in names) if is_set else dict.fromkeys(names, 1)
    full = apply_then(contract, initial_state(contract, 0), {variable.name: fill})
    more: Update = (("y", True),) if is_set else {"y": 1}
    with pytest.raises(StateFullError, match="1,000,000 characters"):
        apply_then(contract, full, {variable.name: more})
    same: Update = ((names[0], True),) if is_set else {names[0]: 2}
    assert apply_then(contract, full, {variable.name: same}) is not None


def test_more_characters_than_may_be_may_shrink_and_not_grow() -> None:
    contract = Contract("c", (), (kept_set(max_size=10_000),))
    stored = StoredState({"known": frozenset({"x" * MAX_CHARACTERS, "yy", "z"})}, {}, {}, 0)
    assert only(contract, apply_then(contract, stored, {"known": (("yy", False), ("a", True))})) == {
        "x" * MAX_CHARACTERS, "z", "a",
    }  # fmt: skip
    with pytest.raises(StateFullError):
        apply_then(contract, stored, {"known": (("b", True),)})
