"""The transition relation that the gate runs and the prover reasons about: permit, succeed, and the passing of time.

`verdict_of`, `rule_of`, a tool's `then` and its `on_success` are IR, so that both engines read the very same terms. The
rest is the bookkeeping of periods: `StoredState` is what is kept between calls, `effective` what a rule reads as
`state.x`.

Times are Unix milliseconds. A `reset` period is numbered floor(time / length); a `window` variable is the sum of
the amounts of its events that are younger than its length.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from sandbox.errors import Fault
from sandbox.ir import (
    MAX_ENTRIES,
    VERDICTS,
    Const,
    Contract,
    EnumSort,
    Expr,
    Ite,
    MapSort,
    Or,
    Rule,
    RuleKind,
    Tool,
    Variable,
)

MAX_WINDOW_EVENTS: Final = 10_000
"""Events kept per window variable, over all keys of a map: bounds what is stored; beyond it calls are denied."""

MAX_CHARACTERS: Final = 1_000_000
"""Characters of a set's items or a map's keys, all together: 10,000 of 100 characters; beyond it calls are denied."""

MAX_NUMBER_BITS: Final = 13_000
"""Of a number of the state: 3,913 digits. Numbers are kept as decimal text, and Python reads no more than 4,300."""

RULE_KINDS: Final[tuple[RuleKind, ...]] = ("deny", "ask", "allow")
"""From the strictest."""

VERDICT_SORT: Final = EnumSort(VERDICTS)

SUCCEED: Final = "succeed"
"""What the engines are asked about a call that has ended `ok`, where they are asked for a verdict otherwise."""

Scalar: TypeAlias = bool | int | str
StateValue: TypeAlias = Scalar | AbstractSet[str] | Mapping[str, int]
"""What `state.x` is: of a set its items, of a map the keys whose value is not `initial`, with their values."""

Changes: TypeAlias = tuple[tuple[str, bool], ...]
"""Items of a set that come (true) or go, one after another."""

Update: TypeAlias = Scalar | Changes | Mapping[str, int]
"""What a permit does to a variable: a scalar's next value, what comes into a set and goes, or the entries of a map."""

Events: TypeAlias = tuple[tuple[int, int], ...]


class StateFullError(Exception):
    """A variable has no room for what a call would store, which is denied. The message is one line, for a reason."""


@dataclass(frozen=True, slots=True)
class StoredState:
    """What is kept between calls.

    `values` has every variable without a window, as last written; `epochs` maps the length of a reset period to
    the number of the period that its variables belong to; `events` maps a window variable to its (time, amount) pairs
    in order of time, and `key_events` a map with a window to such pairs of each of its keys; `clock_ms` is the
    greatest time ever seen. No key of a map is kept with the value `initial`, or without events.
    """

    values: Mapping[str, StateValue]
    epochs: Mapping[int, int]
    events: Mapping[str, Events]
    clock_ms: int
    key_events: Mapping[str, Mapping[str, Events]] = field(default_factory=dict)


class Sums(Mapping[str, int]):
    """A map with a window as rules read it: of each key the sum of its amounts, added up when it is asked for."""

    __slots__ = ("_events",)

    def __init__(self, events: Mapping[str, Events]) -> None:
        self._events = events

    def __getitem__(self, key: str) -> int:
        return _sum(self._events[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._events)

    def __len__(self) -> int:
        return len(self._events)


# --- in the language of the twins --------------------------------------------------------------------


def verdict_of(tool: Tool) -> Expr:
    """The verdict as a term: deny beats ask beats allow; nothing true is deny."""
    verdict: Expr = Const("deny", VERDICT_SORT)
    for kind in ("allow", "ask", "deny"):
        verdict = Ite(_any_of(rules_of_kind(tool, kind)), Const(kind, VERDICT_SORT), verdict)
    return verdict


def rule_of(tool: Tool) -> Expr:
    """The deciding rule as a term: the first in file order of the deciding kind, '' for the default."""
    sort = rule_sort(tool)
    deciding: Expr = Const("", sort)
    for kind in ("allow", "ask", "deny"):
        rules = rules_of_kind(tool, kind)
        if rules:
            deciding = Ite(_any_of(rules), _first_of(rules, sort), deciding)
    return deciding


def _first_of(rules: tuple[Rule, ...], sort: EnumSort) -> Expr:
    """The first of some rules that is true, where one is. By halves: a chain would be as deep as there are rules."""
    if len(rules) == 1:
        return Const(rules[0].id, sort)
    half = len(rules) // 2
    return Ite(_any_of(rules[:half]), _first_of(rules[:half], sort), _first_of(rules[half:], sort))


def _any_of(rules: tuple[Rule, ...]) -> Expr:
    return Or(tuple(rule.when for rule in rules))


def decided(fired: Sequence[Rule]) -> tuple[RuleKind, str]:
    """What `verdict_of` and `rule_of` come to, given the rules that are true, in file order."""
    if len(fired) == 1:
        return fired[0].kind, fired[0].id
    for kind in RULE_KINDS:
        for rule in fired:
            if rule.kind == kind:
                return kind, rule.id
    return "deny", ""


def rule_sort(tool: Tool) -> EnumSort:
    """The sort of `rule`: '' and the tool's rule ids in file order."""
    return EnumSort(("", *(rule.id for rule in tool.rules)))


def rules_of_kind(tool: Tool, kind: RuleKind) -> tuple[Rule, ...]:
    """The tool's rules of one kind, in file order."""
    return tuple(rule for rule in tool.rules if rule.kind == kind)


# --- time and writing --------------------------------------------------------------------------------


def initial_state(contract: Contract, now_ms: int) -> StoredState:
    """Every variable at `initial`, every period at the one that `now_ms` lies in."""
    plain = {variable.name: initial_value(variable) for variable in contract.variables if not is_window(variable)}
    windows = [variable for variable in contract.variables if is_window(variable)]
    events: dict[str, Events] = {variable.name: () for variable in windows if not is_map(variable)}
    keyed: dict[str, Mapping[str, Events]] = {variable.name: {} for variable in windows if is_map(variable)}
    return StoredState(plain, _epochs_at(contract, now_ms), events, now_ms, keyed)


def initial_value(variable: Variable) -> StateValue:
    """What the variable is before anything was assigned: an empty map has `initial` at every key."""
    if is_map(variable):
        return {}
    return frozenset(variable.initial) if isinstance(variable.initial, tuple) else variable.initial


def tick(contract: Contract, stored: StoredState, now_ms: int) -> StoredState:
    """Time passes to `now_ms`, or stands still if that lies in the past (a clock set back renews nothing)."""
    clock = max(stored.clock_ms, now_ms)
    epochs = _epochs_at(contract, clock)
    values = dict(stored.values)
    for variable in contract.variables:
        period = variable.period
        if period is not None and period.kind == "reset" and epochs[period.length_ms] > stored.epochs[period.length_ms]:
            values[variable.name] = initial_value(variable)
    events = {name: _young(pairs, _oldest(contract, name, clock)) for name, pairs in stored.events.items()}
    keyed = {name: _young_keys(each, _oldest(contract, name, clock)) for name, each in stored.key_events.items()}
    return StoredState(values, epochs, events, clock, keyed)


def effective(contract: Contract, stored: StoredState) -> dict[str, StateValue]:
    """What rules read as `state.x`; `stored` must have been ticked to the time of the call."""
    known = dict(stored.values)
    known |= {name: _sum(pairs) for name, pairs in stored.events.items()}
    known |= {name: Sums(keys) for name, keys in stored.key_events.items()}
    return {variable.name: known[variable.name] for variable in contract.variables}


def apply_then(contract: Contract, stored: StoredState, updates: Mapping[str, Update]) -> StoredState:
    """The state after a permit whose `then` evaluated to `updates` on `effective(stored)`.

    Raises StateFullError where a window, set or map is full or a number has too many digits, and Fault where a window
    would be given a negative amount, which `compile` has excluded.
    """
    values, events, keyed = dict(stored.values), dict(stored.events), dict(stored.key_events)
    for name, update in updates.items():
        variable = _declared(contract, name)
        match update:
            case Mapping() if name in keyed:
                keyed[name] = _with_key_events(variable, keyed[name], stored.clock_ms, update)
            case Mapping():
                values[name] = _with_entries(variable, values[name], update)
            case tuple():
                values[name] = _with_items(variable, values[name], update)
            case _ if name in events:
                amount = int(update) - _sum(events[name])
                events[name] = _with_event(variable, events[name], stored.clock_ms, amount, len(events[name]))
            case _:
                _check_number(variable, update)
                values[name] = update
    return replace(stored, values=values, events=events, key_events=keyed)


def succeed(contract: Contract, stored: StoredState, updates: Mapping[str, Update]) -> StoredState:
    """The state after a call ended `ok`, whose `on_success` evaluated to `updates` on `effective(stored)`.

    `stored` is the state as it is then, ticked: other calls have moved it since the permit. Raises StateFullError where
    a variable is full, and Fault where a window would be written, which `compile` has excluded.
    """
    windows = sorted(updates.keys() & (stored.events.keys() | stored.key_events.keys()))
    if windows:
        message = f"`on_success` would write the window variable `{windows[0]}`"
        raise Fault(message)
    return apply_then(contract, stored, updates)


def is_window(variable: Variable) -> bool:
    """Whether the variable is the sum over a sliding window, or a map of such sums."""
    return variable.period is not None and variable.period.kind == "window"


def is_map(variable: Variable) -> bool:
    """Whether the variable has a value for every key."""
    return isinstance(variable.sort, MapSort)


def _with_items(variable: Variable, before: StateValue, changes: Changes) -> StateValue:
    if not isinstance(before, AbstractSet):
        raise _no_such(variable)
    last = dict(changes)
    come = {item for item, inside in last.items() if inside and item not in before}
    gone = {item for item, inside in last.items() if not inside and item in before}
    after = (before | come) - gone if come or gone else before
    _check_room(variable, before, after)
    return after


def _with_entries(variable: Variable, before: StateValue, update: Mapping[str, int]) -> StateValue:
    if not isinstance(before, Mapping):
        raise _no_such(variable)
    after = dict(before)
    for key, value in update.items():
        _check_number(variable, value)
        if value == variable.initial:
            after.pop(key, None)
        else:
            after[key] = value
    _check_room(variable, before, after)
    return after


def _with_key_events(
    variable: Variable, before: Mapping[str, Events], now_ms: int, update: Mapping[str, int]
) -> Mapping[str, Events]:
    after = dict(before)
    count = sum(len(pairs) for pairs in before.values())
    for key, value in update.items():
        pairs = after.get(key, ())
        grown = _with_event(variable, pairs, now_ms, value - _sum(pairs), count)
        count += len(grown) - len(pairs)
        if grown:
            after[key] = grown
    _check_room(variable, before, after)
    return after


def _check_room(variable: Variable, before: Collection[str], after: Collection[str]) -> None:
    """A spec that allows less than is stored lets it shrink, and not grow."""
    most = MAX_ENTRIES if variable.max_size is None else variable.max_size
    if len(after) > max(len(before), most):
        message = f"`state.{variable.name}` holds {most:,} entries, as many as it may"
        raise StateFullError(message)
    size = sum(map(len, after))
    if size > MAX_CHARACTERS and size > sum(map(len, before)):
        message = f"`state.{variable.name}` holds {MAX_CHARACTERS:,} characters, as many as it may"
        raise StateFullError(message)


def _check_number(variable: Variable, value: Scalar) -> None:
    if isinstance(value, int) and value.bit_length() > MAX_NUMBER_BITS:
        message = f"`state.{variable.name}` would have more digits than the state keeps"
        raise StateFullError(message)


def _no_such(variable: Variable) -> Fault:
    message = f"`{variable.name}` is no set or map, as which it is assigned"
    return Fault(message)


def _sum(pairs: Events) -> int:
    return sum(amount for _, amount in pairs)


def _with_event(variable: Variable, pairs: Events, now_ms: int, amount: int, count: int) -> Events:
    """The pairs with one more; `count` are those that the variable has in all, over every key."""
    if amount < 0:
        message = "a window variable would be given a negative amount"
        raise Fault(message)
    if amount == 0:
        return pairs
    _check_number(variable, _sum(pairs) + amount)
    if count >= MAX_WINDOW_EVENTS:
        message = f"`state.{variable.name}` holds as many recent amounts as it can; wait until some leave its window"
        raise StateFullError(message)
    return (*pairs, (now_ms, amount))


def _declared(contract: Contract, name: str) -> Variable:
    variable = contract.variable(name)
    if variable is None:
        message = f"`{name}` is no state variable"
        raise Fault(message)
    return variable


def _oldest(contract: Contract, name: str, now_ms: int) -> int:
    variable = contract.variable(name)
    if variable is None or variable.period is None:
        message = f"`{name}` has events and no window"
        raise Fault(message)
    return now_ms - variable.period.length_ms


def _young(pairs: Events, oldest: int) -> Events:
    if not pairs or pairs[0][0] > oldest:
        return pairs
    return tuple(pair for pair in pairs if pair[0] > oldest)


def _young_keys(keys: Mapping[str, Events], oldest: int) -> Mapping[str, Events]:
    if all(pairs[0][0] > oldest for pairs in keys.values()):
        return keys  # as it nearly always is: a call leaves ten thousand keys as they are
    young = {key: _young(pairs, oldest) for key, pairs in keys.items()}
    return {key: pairs for key, pairs in young.items() if pairs}


def _epochs_at(contract: Contract, now_ms: int) -> dict[int, int]:
    lengths = {v.period.length_ms for v in contract.variables if v.period is not None and v.period.kind == "reset"}
    return {length: now_ms // length for length in sorted(lengths)}
