"""Windows that are never given more than another one: proofs assume it, and a gate holds what is stored against it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from sandbox.ir import Add, Assignment, Contract, Expr, MapGet, State, Tool, Variable
from sandbox.machine import StoredState, is_window


def windows_in_order(contract: Contract, among: AbstractSet[str] | None = None) -> list[tuple[str, str]]:
    """Windows that are never given more than another one, which never looks back less far: what is in them is so too.

    It is seen from what is written: every permit gives both the same amount, or only the other one any. All are looked
    at, or those `among` the variables.
    """
    windows = [v for v in contract.variables if is_window(v) and (among is None or v.name in among)]
    return [
        (one.name, other.name)
        for one in windows
        for other in windows
        if one is not other and never_more(contract, one, other)
    ]


def never_more(contract: Contract, one: Variable, other: Variable) -> bool:
    """Whether the amounts of a window are among those of the other, and stay in it no longer."""
    if one.period is None or other.period is None or one.period.length_ms > other.period.length_ms:
        return False
    if (one.sort, one.scope, one.key) != (other.sort, other.scope, other.key):
        return False
    return all(
        added(tool, one) is not None and added(tool, one) == added(tool, other)
        for tool in contract.tools
        if any(each.variable == one.name for each in tool.then)
    )


def added(tool: Tool, variable: Variable) -> tuple[Expr, Expr | None] | None:
    """What the one assignment of a permit adds to the variable, and at which key; None where that is not seen."""
    steps = [each for each in tool.then if each.variable == variable.name]
    match steps:
        case [Assignment(value=Add(left=State(name=name), right=amount), key=None)] if name == variable.name:
            return amount, None
        case [Assignment(value=Add(left=MapGet(of=State(name=name), key=at), right=amount), key=key)]:
            return (amount, key) if name == variable.name and at == key else None
        case _:
            return None


def holds_more(stored: StoredState, one: str, other: str) -> bool:
    """Whether a window holds an amount that the other one has not: then its sum may come to be the greater one."""
    more = Counter(dict(_amounts(stored, one)))
    more.subtract(dict(_amounts(stored, other)))
    return any(amount > 0 for amount in more.values())


def _amounts(stored: StoredState, name: str) -> Iterator[tuple[tuple[str, int], int]]:
    """What a window was given in all, by key and time."""
    found: Counter[tuple[str, int]] = Counter()
    for key, events in (("", stored.events.get(name, ())), *stored.key_events.get(name, {}).items()):
        for when, amount in events:
            found[key, when] += amount
    yield from found.items()
