"""The transition relation that the gate runs and the prover reasons about: permit, and the passing of time.

`verdict_of`, `rule_of` and a tool's `then` are IR, so that both engines read the very same terms. The rest is the
bookkeeping of periods: `StoredState` is what is kept between calls, `effective` what a rule reads as `state.x`.

Times are Unix milliseconds. A `reset` period is numbered floor(time / length); a `window` variable is the sum of
the amounts of its events that are younger than its length.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from sandbox.errors import Fault
from sandbox.ir import VERDICTS, Const, Contract, EnumSort, Expr, Ite, Or, Rule, RuleKind, Tool, Variable

MAX_WINDOW_EVENTS: Final = 10_000
"""Events kept per window variable: bounds the stored row; beyond it a call is denied (`state_full`)."""

VERDICT_SORT: Final = EnumSort(VERDICTS)

Scalar: TypeAlias = bool | int | str
Events: TypeAlias = tuple[tuple[int, int], ...]


class StateFullError(Exception):
    """A window variable holds `MAX_WINDOW_EVENTS` events; the call that would add one more is denied."""


@dataclass(frozen=True, slots=True)
class StoredState:
    """What is kept between calls.

    `values` has every variable without a window, as last written; `epochs` maps the length of a reset period to
    the number of the period that its variables belong to; `events` maps a window variable to its
    (time, amount) pairs in order of time; `clock_ms` is the greatest time ever seen.
    """

    values: Mapping[str, Scalar]
    epochs: Mapping[int, int]
    events: Mapping[str, Events]
    clock_ms: int


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


def rule_sort(tool: Tool) -> EnumSort:
    """The sort of `rule`: '' and the tool's rule ids in file order."""
    return EnumSort(("", *(rule.id for rule in tool.rules)))


def rules_of_kind(tool: Tool, kind: RuleKind) -> tuple[Rule, ...]:
    """The tool's rules of one kind, in file order."""
    return tuple(rule for rule in tool.rules if rule.kind == kind)


# --- time and writing --------------------------------------------------------------------------------


def initial_state(contract: Contract, now_ms: int) -> StoredState:
    """Every variable at `initial`, every period at the one that `now_ms` lies in."""
    values = {variable.name: variable.initial for variable in contract.variables if not is_window(variable)}
    events: dict[str, Events] = {variable.name: () for variable in contract.variables if is_window(variable)}
    return StoredState(values, _epochs_at(contract, now_ms), events, now_ms)


def tick(contract: Contract, stored: StoredState, now_ms: int) -> StoredState:
    """Time passes to `now_ms`, or stands still if that lies in the past (a clock set back renews nothing)."""
    clock = max(stored.clock_ms, now_ms)
    epochs = _epochs_at(contract, clock)
    values = dict(stored.values)
    for variable in contract.variables:
        period = variable.period
        if period is not None and period.kind == "reset" and epochs[period.length_ms] > stored.epochs[period.length_ms]:
            values[variable.name] = variable.initial
    events = {name: _young(contract, name, pairs, clock) for name, pairs in stored.events.items()}
    return StoredState(values, epochs, events, clock)


def effective(contract: Contract, stored: StoredState) -> dict[str, Scalar]:
    """What rules read as `state.x`; `stored` must have been ticked to the time of the call."""
    known = dict(stored.values) | {name: sum(amount for _, amount in pairs) for name, pairs in stored.events.items()}
    return {variable.name: known[variable.name] for variable in contract.variables}


def apply_then(contract: Contract, stored: StoredState, updates: Mapping[str, Scalar]) -> StoredState:
    """The state after a permit whose `then` evaluated to `updates` on `effective(stored)`.

    Raises StateFullError where a window is full, and Fault where it would be given a negative amount, which `compile`
    has excluded.
    """
    before = effective(contract, stored)
    values = dict(stored.values)
    events = dict(stored.events)
    for name, value in updates.items():
        if name in events:
            events[name] = _with_event(events[name], stored.clock_ms, int(value) - int(before[name]))
        else:
            values[name] = value
    return replace(stored, values=values, events=events)


def is_window(variable: Variable) -> bool:
    """Whether the variable is the sum over a sliding window."""
    return variable.period is not None and variable.period.kind == "window"


def _with_event(pairs: Events, now_ms: int, amount: int) -> Events:
    if amount < 0:
        message = "a window variable would be given a negative amount"
        raise Fault(message)
    if amount == 0:
        return pairs
    if len(pairs) >= MAX_WINDOW_EVENTS:
        raise StateFullError
    return (*pairs, (now_ms, amount))


def _young(contract: Contract, name: str, pairs: Events, now_ms: int) -> Events:
    variable = contract.variable(name)
    if variable is None or variable.period is None:
        message = f"`{name}` has events and no window"
        raise Fault(message)
    oldest = now_ms - variable.period.length_ms
    return tuple(pair for pair in pairs if pair[0] > oldest)


def _epochs_at(contract: Contract, now_ms: int) -> dict[int, int]:
    lengths = {v.period.length_ms for v in contract.variables if v.period is not None and v.period.kind == "reset"}
    return {length: now_ms // length for length in sorted(lengths)}
