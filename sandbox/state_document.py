"""A contract's state as one JSON document, and whether a stored one still fits the spec.

Integers are decimal text: SQLite's integers and many JSON readers have bounds, budgets have none.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from sandbox.canonical import quoted
from sandbox.errors import UsageError
from sandbox.ir import (
    BoolSort,
    Contract,
    DecimalSort,
    EnumSort,
    IntSort,
    Json,
    MapSort,
    SetSort,
    StringSort,
    TimestampSort,
    Variable,
)
from sandbox.lookups import checks_of
from sandbox.machine import Events, StateValue, StoredState, is_map, is_window
from sandbox.state_file import corrupt


def row_digest(where: tuple[str, str, str], version: int, clock_ms: int, document_digest: str) -> str:
    """SHA-256 (hex) of a stored row: SQLite does not notice a digit that rots. No name has a NUL in it."""
    row = (*where, str(version), str(clock_ms), document_digest)
    return hashlib.sha256("\0".join(row).encode()).hexdigest()


def shape_of(variable: Variable) -> str:
    """What a stored number or name of this variable means; an enum's values may change while the stored one stays."""
    each = "" if variable.scope == "spec" else f" for each {variable.scope}"
    return f"{_own_shape(variable)}{each}"


def _own_shape(variable: Variable) -> str:
    period = f" {variable.period.kind} {variable.period.length_ms}" if variable.period else ""
    match variable.sort:
        case BoolSort():
            return f"bool{period}"
        case IntSort():
            return f"int{period}"
        case DecimalSort(scale=scale):
            return f"decimal {scale}{period}"
        case EnumSort():
            return f"enum{period}"
        case TimestampSort():
            return f"timestamp{period}"
        case SetSort(item=item):
            return f"set {_key_shape(item)}"
        case MapSort(key=key, value=number):
            counted = f"decimal {number.scale}" if isinstance(number, DecimalSort) else "int"
            return f"map {_key_shape(key)} {counted} {variable.initial}{period}"


def _key_shape(sort: StringSort | EnumSort) -> str:
    return "string" if isinstance(sort, StringSort) else "enum"


def check_fit(contract: Contract, shapes: Mapping[str, str], stored: StoredState) -> None:
    """UsageError if a stored variable is gone from the spec (or renamed), or means something else there.

    Fault if what is stored of one is nothing that was ever written.
    """
    for name, shape in sorted(shapes.items()):
        variable = contract.variable(name)
        if variable is None:
            gone = f"the variable `{name}` is gone from the spec"
            raise _misfit(contract, gone)
        if shape_of(variable) != shape:
            changed = f"`{name}` was stored as `{shape}`, and the spec says `{shape_of(variable)}`"
            raise _misfit(contract, changed)
        if not _is_kept_as(variable, stored):
            what = f"what is stored of `{name}` is no `{shape}`"
            raise corrupt(what)
        foreign = sorted(_names_in(variable, stored) - _names_of(variable))
        if foreign:
            unknown = f"`{name}` holds {quoted(foreign[0])}, which is none of its values in the spec"
            raise _misfit(contract, unknown)
    kept = [*stored.values, *stored.events, *stored.key_events]
    if sorted(kept) != sorted(shapes):
        what = "of a stored state some variables have no value, two, or no declaration"
        raise corrupt(what)


def _is_kept_as(variable: Variable, stored: StoredState) -> bool:
    """Whether what is stored is what this program writes of such a variable, so that every engine reads it alike."""
    if is_window(variable):
        if is_map(variable):
            keys = stored.key_events.get(variable.name)
            return keys is not None and all(each and _are_events(each) for each in keys.values())
        events = stored.events.get(variable.name)
        return events is not None and _are_events(events)
    value = stored.values.get(variable.name)
    match variable.sort:
        case BoolSort():
            return type(value) is bool
        case IntSort() | DecimalSort() | TimestampSort():
            return type(value) is int
        case EnumSort():
            return type(value) is str
        case SetSort():
            return isinstance(value, AbstractSet)
        case MapSort():
            return isinstance(value, Mapping) and variable.initial not in value.values()


def _are_events(events: Events) -> bool:
    """Whether amounts are above 0, and stand in order of time."""
    times = [when for when, _ in events]
    return all(amount > 0 for _, amount in events) and times == sorted(times)


def _names_of(variable: Variable) -> frozenset[str]:
    """The names that an enum in the variable's sort has; empty where there is none."""
    match variable.sort:
        case EnumSort(values=values) | SetSort(item=EnumSort(values=values)) | MapSort(key=EnumSort(values=values)):
            return frozenset(values)
        case _:
            return frozenset()


def _names_in(variable: Variable, stored: StoredState) -> frozenset[str]:
    """Which of them are stored: the value, the items, or the keys."""
    value = stored.values.get(variable.name)
    match variable.sort, value:
        case EnumSort(), str():
            return frozenset({value})
        case SetSort(item=EnumSort()), AbstractSet():
            return frozenset(value)
        case MapSort(key=EnumSort()), Mapping():
            return frozenset(value)
        case MapSort(key=EnumSort()), _:
            return frozenset(stored.key_events.get(variable.name, {}))
        case _:
            return frozenset()


def check_keys(contract: Contract, stored: StoredState) -> None:
    """UsageError if a set holds an item, or a map a key, that is outside of the type that the spec gives it now."""
    kept: dict[str, Iterable[str]] = dict(stored.key_events)
    kept |= {name: value for name, value in stored.values.items() if isinstance(value, AbstractSet | Mapping)}
    for name, fits in checks_of(contract).items():
        outside = next((key for key in sorted(kept.get(name, ())) if not fits(key)), None)
        if outside is not None:
            raise _misfit(contract, f"`{name}` holds {quoted(outside)}, which is outside of its type in the spec")


def _misfit(contract: Contract, what: str) -> UsageError:
    remedy = "restore the declaration, or choose another state with --state to begin with all budgets at `initial`"
    message = f"the stored state of `{contract.name}` does not fit the spec: {what}; {remedy}"
    return UsageError(message, "state.misfit")


def write_document(shapes: Mapping[str, str], state: StoredState) -> str:
    """The document of a state whose variables mean what `shapes` says."""
    document: Json = {
        "shapes": dict(shapes),
        "values": {name: _write_value(value) for name, value in state.values.items()},
        "epochs": {str(length): str(number) for length, number in state.epochs.items()},
        "events": {name: _write_events(each) for name, each in state.events.items()},
        "key_events": {
            name: {key: _write_events(each) for key, each in keys.items()} for name, keys in state.key_events.items()
        },
        "clock_ms": str(state.clock_ms),
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def _write_value(value: StateValue) -> Json:
    match value:
        case bool() | str():
            return value
        case AbstractSet():
            return {"set": [*sorted(value)]}
        case Mapping():
            return {"map": {key: str(number) for key, number in value.items()}}
        case _:
            return {"int": str(value)}


def _write_events(each: Events) -> Json:
    return [[str(when), str(amount)] for when, amount in each]


def read_document(text: str) -> tuple[dict[str, str], StoredState]:
    """The inverse of `write_document`; Fault for anything else."""
    try:
        document = _DECODER.decode(text)
        shapes = {str(name): str(shape) for name, shape in document["shapes"].items()}
        return shapes, StoredState(
            {name: _read_value(value) for name, value in document["values"].items()},
            {_integer(length): _integer(number) for length, number in document["epochs"].items()},
            {name: _read_events(each) for name, each in document["events"].items()},
            _integer(document["clock_ms"]),
            {
                name: {key: _read_events(each) for key, each in keys.items()}
                for name, keys in document.get("key_events", {}).items()
            },
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        what = "a stored document cannot be read"
        raise corrupt(what) from error


def _read_value(value: object) -> StateValue:
    match value:
        case bool() | str():
            return value
        case {"int": number, **others} if not others:
            return _integer(number)
        case {"set": list(items), **others} if not others and all(type(item) is str for item in items):
            if sorted(set(items)) != items:
                message = "items out of order, or twice"
                raise ValueError(message)
            return frozenset(items)
        case {"map": dict(entries), **others} if not others:
            return {key: _integer(number) for key, number in entries.items()}
        case _:
            message = "a value of no kind"
            raise TypeError(message)


def _read_events(pairs: list[list[str]]) -> Events:
    return tuple((_integer(when), _integer(amount)) for when, amount in pairs)


def _integer(text: object) -> int:
    """The integer of a text that is written in the only way; TypeError or ValueError for any other, and none."""
    if not isinstance(text, str) or _INTEGER.fullmatch(text) is None:
        message = "a number of another spelling"
        raise ValueError(message)
    return int(text)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        message = "a key that stands twice"
        raise ValueError(message)
    return found


_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]*")
_DECODER: Final = json.JSONDecoder(object_pairs_hook=_object)
