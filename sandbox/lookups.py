"""What one call looks up in the sets and maps of the state.

A set may hold ten thousand items and a call names a few of them. `Lookups` lets the rules see the stored collections
without copying them, notes every item or key that is outside of its declared type, and gathers what `then` does to a
set. `names_of` are the items and keys that a call can name at all: the constants, and the strings of the
arguments and facts, that its rules use as keys. Nothing in the language makes a string out of others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from sandbox.call import Rejected
from sandbox.canonical import quoted
from sandbox.ir import (
    All,
    Arg,
    Bound,
    Const,
    Contract,
    EnumType,
    Exists,
    ExistsOne,
    Expr,
    Fact,
    InSet,
    MapGet,
    SetAdd,
    SetRemove,
    State,
    StringType,
    Tool,
)
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
    _checked: set[tuple[str, str]] = field(default_factory=set)

    def over(self, state: Mapping[str, StateValue]) -> Mapping[str, Value]:
        """The effective state, its sets and maps as `Members` and `Entries`."""
        if not self.checks:
            return cast("Mapping[str, Value]", state)
        return {name: self._watched(name, value) for name, value in state.items()}

    def check(self, name: str, key: str) -> None:
        """Note the key if it is outside of its type; each is looked at once, however often a quantifier asks."""
        if (name, key) in self._checked:
            return
        self._checked.add((name, key))
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
        if not self.changes:
            return item in self._base
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


@dataclass(frozen=True, slots=True)
class Named:
    """What the keys of one tool are made of: constants, arguments and facts; and the variables that are asked."""

    constants: frozenset[str]
    arguments: frozenset[str]
    facts: frozenset[str]
    variables: frozenset[str]


def named_by(tool: Tool) -> Named:
    """What the rules, the `then` and the `on_success` of a tool use as items and keys, and of which variables.

    The variable of a quantifier may stand for an element of any list that is ranged over.
    """
    steps = (*tool.then, *tool.on_success)
    roots = [*(rule.when for rule in tool.rules), *(step.value for step in steps)]
    roots += [step.key for step in steps if step.key is not None]
    every = [expr for root in roots for expr in within(root)]
    keys = [step.key for step in steps if step.key is not None] + [key for expr in every for key in _keys_of(expr)]
    leaves = [leaf for key in keys for leaf in within(key)]
    if any(isinstance(leaf, Bound) for leaf in leaves):
        ranged = [expr.over for expr in every if isinstance(expr, All | Exists | ExistsOne)]
        leaves += [leaf for over in ranged for leaf in within(over)]
    return Named(
        frozenset(leaf.value for leaf in leaves if isinstance(leaf, Const) and isinstance(leaf.value, str)),
        frozenset(leaf.name for leaf in leaves if isinstance(leaf, Arg)),
        frozenset(leaf.name for leaf in leaves if isinstance(leaf, Fact)),
        frozenset(expr.name for expr in every if isinstance(expr, State)),
    )


def _keys_of(expr: Expr) -> tuple[Expr, ...]:
    match expr:
        case InSet(item=key) | SetAdd(item=key) | SetRemove(item=key) | MapGet(key=key):
            return (key,)
        case _:
            return ()


def names_of(named: Named, args: Mapping[str, Value], facts: Mapping[str, Value]) -> frozenset[str]:
    """Every item and key that a call can name."""
    values = [args[name] for name in named.arguments if name in args]
    values += [facts[name] for name in named.facts if name in facts]
    return named.constants | frozenset(text for value in values for text in _texts(value))


def _texts(value: Value) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, tuple):
        for item in value:
            yield from _texts(item)


def visible(state: Mapping[str, StateValue], named: Named, names: frozenset[str]) -> dict[str, Json]:
    """The state as the solver is told of it: of sets and maps what the call can name, and of those that it asks."""
    return {name: _visible(value, names if name in named.variables else _NO_NAMES) for name, value in state.items()}


_NO_NAMES: Final[frozenset[str]] = frozenset()


def _visible(value: StateValue, names: frozenset[str]) -> Json:
    if isinstance(value, Mapping):
        return {key: value[key] for key in sorted(names & value.keys())}
    if isinstance(value, AbstractSet):
        return [*sorted(names & value)]
    return value
