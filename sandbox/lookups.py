"""What one call looks up in the sets and maps of the state.

A set may hold ten thousand items and a call names a few of them. `Lookups` lets the rules see the stored collections
without copying them, notes every item or key that is outside of its declared type, and gathers what `then` does to a
set. `names_in` are the items and keys that a call can name at all: the strings of its arguments and facts, and the
constants that its rules use as keys. Nothing in the language makes a string out of others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from sandbox.call import Rejected
from sandbox.canonical import quoted
from sandbox.ir import Const, Contract, EnumType, Expr, InSet, MapGet, SetAdd, SetRemove, StringType, Tool
from sandbox.lang.walk import within
from sandbox.parse import parse_value

if TYPE_CHECKING:
    from sandbox.call import Value
    from sandbox.ir import Json
    from sandbox.machine import Changes, StateValue

Fits: TypeAlias = Callable[[str], bool]

OUTSIDE: Final = "state.key"
TWICE: Final = "state.key_twice"


class KeyRefusedError(Exception):
    """A call names a key that denies it. `reason` is one printable line."""

    def __init__(self, reason_code: str, reason: str) -> None:
        super().__init__(reason)
        self.reason_code = reason_code
        self.reason = reason


def fits_of(type_: StringType | EnumType) -> Fits:
    """Whether a text is of the type of a set's items or a map's keys: by the parser that arguments have."""
    return lambda text: not isinstance(parse_value(text, type_), Rejected)


def checks_of(contract: Contract) -> dict[str, Fits]:
    """For each set and map of a contract, whether a text may be an item or key of it."""
    return {variable.name: fits_of(variable.key) for variable in contract.variables if variable.key is not None}


@dataclass(slots=True)
class Lookups:
    """The lookups of one call. `outside` has the variable and the key of each that is of no such type.

    `repeats`: whether a reason may repeat a key, which it may not where it may be a secret.
    """

    checks: Mapping[str, Fits]
    repeats: bool = True
    outside: list[tuple[str, str]] = field(default_factory=list)

    def over(self, state: Mapping[str, StateValue]) -> dict[str, Value]:
        """The effective state, its sets and maps as `Members` and `Entries`."""
        return {name: self._watched(name, value) for name, value in state.items()}

    def check(self, name: str, key: str) -> None:
        """Note the key if it is outside of its type."""
        if not self.checks[name](key):
            self.outside.append((name, key))

    def settle(self) -> None:
        """Raise KeyRefusedError if anything outside of its type was looked up."""
        if self.outside:
            name, key = self.outside[0]
            raise KeyRefusedError(OUTSIDE, f"{self._shown(key)} is outside of the declared type of `state.{name}`")

    def twice(self, name: str, key: str) -> KeyRefusedError:
        """The refusal of a `then` that assigns one entry of a map twice."""
        return KeyRefusedError(TWICE, f"`then` assigns the entry at {self._shown(key)} of `state.{name}` twice")

    def _shown(self, key: str) -> str:
        return quoted(key) if self.repeats else "a key, which is not repeated here,"

    def _watched(self, name: str, value: StateValue) -> Value:
        if name not in self.checks:
            return value
        if isinstance(value, Mapping):
            return Entries(value, lambda key: self.check(name, key))
        if isinstance(value, AbstractSet):
            return Members(value, lambda key: self.check(name, key))
        return value


class Members(AbstractSet[str]):
    """A stored set, and what an expression has put into it and taken out of it, in order."""

    __slots__ = ("_base", "_check", "changes")

    def __init__(self, base: AbstractSet[str], check: Callable[[str], None], changes: Changes = ()) -> None:
        self._base = base
        self._check = check
        self.changes = changes

    def __contains__(self, item: object) -> bool:
        if isinstance(item, str):
            self._check(item)
        return next((inside for name, inside in reversed(self.changes) if name == item), item in self._base)

    def __iter__(self) -> Iterator[str]:
        changed = dict(self.changes)
        yield from (item for item in self._base if item not in changed)
        yield from (item for item, inside in changed.items() if inside)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __or__(self, other: Iterable[str]) -> Members:  # type: ignore[override]  # of strings, as every set of the state
        return self._changed(other, inside=True)

    def __sub__(self, other: Iterable[str]) -> Members:
        return self._changed(other, inside=False)

    def _changed(self, items: Iterable[str], *, inside: bool) -> Members:
        changes = tuple((item, inside) for item in sorted(items))
        for item, _ in changes:
            self._check(item)
        return Members(self._base, self._check, (*self.changes, *changes))


class Entries(Mapping[str, int]):
    """A stored map: the keys whose value is not `initial`, with their values."""

    __slots__ = ("_base", "_check")

    def __init__(self, base: Mapping[str, int], check: Callable[[str], None]) -> None:
        self._base = base
        self._check = check

    def __getitem__(self, key: str) -> int:
        self._check(key)
        return self._base[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._base)

    def __len__(self) -> int:
        return len(self._base)


# --- what a call can name ----------------------------------------------------------------------------


def key_constants(tool: Tool) -> frozenset[str]:
    """The constants that the rules and the `then` of a tool use as items and keys."""
    roots = [*(rule.when for rule in tool.rules), *(step.value for step in tool.then)]
    keys = [step.key for step in tool.then if step.key is not None]
    keys += [key for root in (*roots, *keys) for expr in within(root) for key in _keys_of(expr)]
    return frozenset(
        node.value for key in keys for node in within(key) if isinstance(node, Const) and isinstance(node.value, str)
    )


def _keys_of(expr: Expr) -> tuple[Expr, ...]:
    match expr:
        case InSet(item=key) | SetAdd(item=key) | SetRemove(item=key) | MapGet(key=key):
            return (key,)
        case _:
            return ()


def names_in(values: Iterable[Value], constants: frozenset[str]) -> frozenset[str]:
    """Every string among the values, at whatever depth, and the constants."""
    return constants | frozenset(text for value in values for text in _texts(value))


def _texts(value: Value) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, tuple):
        for item in value:
            yield from _texts(item)


def visible(state: Mapping[str, StateValue], names: frozenset[str]) -> dict[str, Json]:
    """The state as the solver is told of it: of a set the items, of a map the entries, that the call can name."""
    return {name: _visible(value, names) for name, value in state.items()}


def _visible(value: StateValue, names: frozenset[str]) -> Json:
    if isinstance(value, Mapping):
        return {key: value[key] for key in sorted(names) if key in value}
    if isinstance(value, AbstractSet):
        return [*sorted(names & value)]
    return value
