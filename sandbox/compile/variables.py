"""State variables: what the author wrote -> the IR's, with every key checked."""

from __future__ import annotations

from typing import Final

from sandbox.call import Rejected
from sandbox.compile.types import MAX_INT, MIN_INT, Types
from sandbox.ir import (
    MAX_ENTRIES,
    BoolSort,
    DecimalSort,
    DecimalType,
    EnumSort,
    EnumType,
    IntSort,
    IntType,
    MapSort,
    Period,
    SetSort,
    StateSort,
    StringSort,
    StringType,
    TimestampSort,
    Variable,
    item_sort_of,
)
from sandbox.lang.source import Problems, Refused, shown
from sandbox.lang.suggest import near_miss
from sandbox.parse import parse_value
from sandbox.spec import Written
from sandbox.spec.document import Scalar
from sandbox.spec.fields import Wrong, boolean, is_string, number
from sandbox.spec.model import KeySpec, Spec, ValueSpec, VariableSpec
from sandbox.times import parse_timestamp

ANY_KEY: Final = StringType(None, 0, 4_096)
"""What stands in for a type that was refused."""

_BELONGS: Final = {
    "scale": frozenset({"decimal"}),
    "values": frozenset({"enum"}),
    "items": frozenset({"set"}),
    "key": frozenset({"map"}),
    "value": frozenset({"map"}),
    "max_size": frozenset({"set", "map"}),
}
"""Keys, and the types that they belong to. All but `max_size` are needed there."""

_Path = tuple[str | int, ...]
_First = bool | int | str | tuple[str, ...]


class Variables:
    """Compiles the state of one spec, noting problems at their places."""

    def __init__(self, written: Written[Spec], problems: Problems, types: Types) -> None:
        self._written = written
        self._problems = problems
        self._types = types

    def _wrong(self, path: _Path, message: str, offset: int = 0) -> None:
        self._problems.add(self._written.problem(message, *path, offset=offset))

    def variable(self, name: str, spec: VariableSpec, path: _Path) -> Variable:
        """A state variable."""
        self._check_keys(spec, path)
        key = self._key(spec, path)
        sort = self._sort(spec, key, path)
        first = self._first(spec, sort, key, (*path, "initial"))
        period = self._period(spec, sort, first, path)
        most = None if key is None else self._most(spec, path)
        place = self._written.place(*path, key=True)
        return Variable(name, sort, first, period, spec.scope, key, most, place)

    def _check_keys(self, spec: VariableSpec, path: _Path) -> None:
        for bound in ("min", "max"):
            if bound in spec.model_fields_set:
                message = (
                    f"`{bound}` on state is refused, for nothing enforces it; write a rule and an `always` property"
                )
                self._wrong((*path, bound), message)
        for key, types in _BELONGS.items():
            if key in spec.model_fields_set and spec.type not in types:
                named = " and ".join(f"`{type_}`" for type_ in sorted(types))
                self._wrong((*path, key), f"`{key}` belongs to {named}, not to `{spec.type}`; take it out")
            if key not in spec.model_fields_set and spec.type in types and key != "max_size":
                self._wrong(path, f"`{key}` is missing here, and `{spec.type}` needs it; add it")

    # --- sorts ---------------------------------------------------------------------------------------

    def _key(self, spec: VariableSpec, path: _Path) -> StringType | EnumType | None:
        """The type of a set's items or of a map's keys."""
        match spec.type:
            case "set":
                return self._key_type(spec.items, (*path, "items"))
            case "map":
                return self._key_type(spec.key, (*path, "key"))
            case _:
                return None

    def _key_type(self, spec: KeySpec | None, path: _Path) -> StringType | EnumType:
        if spec is None:
            return ANY_KEY
        self._check_plain(spec, path)
        type_ = self._types.type(spec, path)
        if isinstance(type_, StringType) and not _is_readable(type_):
            return ANY_KEY  # its pattern was refused, and nothing can be held against it
        if isinstance(type_, StringType | EnumType):
            return type_
        self._wrong(path, "items of a set and keys of a map are of type `string` or `enum`")
        return ANY_KEY

    def _value(self, spec: ValueSpec | None, path: _Path) -> IntSort | DecimalSort:
        if spec is None:
            return IntSort()
        self._check_plain(spec, path)
        match self._types.type(spec, path):
            case IntType(minimum=low, maximum=high):
                self._check_unbounded(bounded=(low, high) != (MIN_INT, MAX_INT), path=path)
                return IntSort()
            case DecimalType(scale=scale, minimum=low, maximum=high):
                self._check_unbounded(bounded=(low, high) != (None, None), path=path)
                return DecimalSort(scale)
            case _:
                self._wrong(path, "values of a map are of type `int` or `decimal`")
                return IntSort()

    def _check_plain(self, spec: KeySpec | ValueSpec, path: _Path) -> None:
        for key in ("optional", "default"):
            if key in spec.model_fields_set:
                self._wrong((*path, key), f"what the state holds is never optional; take `{key}` out")

    def _check_unbounded(self, *, bounded: bool, path: _Path) -> None:
        if bounded:
            message = "bounds on state are refused, for nothing enforces them; write a rule and an `always` property"
            self._wrong(path, message)

    def _sort(self, spec: VariableSpec, key: StringType | EnumType | None, path: _Path) -> StateSort:
        match spec.type:
            case "bool":
                return BoolSort()
            case "int":
                return IntSort()
            case "decimal":
                return DecimalSort(self._types.scale(spec.scale or 0, (*path, "scale")))
            case "enum":
                return EnumSort(self._types.values(spec.values, (*path, "values")) if spec.values is not None else ())
            case "timestamp":
                return TimestampSort()
            case "set":
                return SetSort(_key_sort(key))
            case "map":
                return MapSort(_key_sort(key), self._value(spec.value, (*path, "value")))

    def _most(self, spec: VariableSpec, path: _Path) -> int:
        if spec.max_size is not None and spec.max_size > MAX_ENTRIES:
            message = (
                f"`max_size` is at most {MAX_ENTRIES:,} here, found {spec.max_size:,}; what grows further is a job"
            )
            self._wrong((*path, "max_size"), f"{message} for the tool")
        return spec.max_size or MAX_ENTRIES

    # --- first values --------------------------------------------------------------------------------

    def _first(self, spec: VariableSpec, sort: StateSort, key: StringType | EnumType | None, path: _Path) -> _First:
        if isinstance(sort, SetSort):
            return self._items(spec, key or ANY_KEY, path)
        if isinstance(spec.initial, list):
            self._wrong(path, "expected one value, found a list; only a `set` begins with a list")
            return 0
        try:
            return self._scalar(spec, spec.initial, sort, path)
        except Refused as refused:
            self._wrong(path, refused.message, refused.offset)
            return 0

    def _scalar(self, spec: VariableSpec, initial: Scalar, sort: StateSort, path: _Path) -> _First:
        match sort:
            case BoolSort():
                return boolean(initial)
            case DecimalSort(scale=scale) | MapSort(value=DecimalSort(scale=scale)):
                return self._types.scaled(number(initial), scale, path)
            case EnumSort(values=values):
                if spec.values is not None and (not is_string(initial) or initial.text not in values):
                    message = f"{shown(initial.text)} is not one of the `values`{near_miss(initial.text, values)}"
                    raise Wrong(0, message)
                return initial.text
            case TimestampSort():
                found = parse_timestamp(initial.text)
                if found is None:
                    message = f"{shown(initial.text)} is no timestamp; write one such as 2026-01-31T08:00:00Z"
                    raise Wrong(0, message)
                return found
            case _:
                return self._types.scaled(number(initial), 0, path)

    def _items(self, spec: VariableSpec, key: StringType | EnumType, path: _Path) -> tuple[str, ...]:
        if not isinstance(spec.initial, list):
            self._wrong(path, f"expected a list, found {shown(spec.initial.text)}; a set begins with `[]` or items")
            return ()
        for at, item in enumerate(spec.initial):
            value = parse_value(item.text, key) if is_string(item) else item.text
            if not is_string(item):
                self._wrong((*path, at), f"expected text, found {shown(item.text)}; put it in quotes")
            elif isinstance(value, Rejected):
                reason = value.reason if value.reason.startswith(", ") else f": {value.reason}"
                self._wrong((*path, at), f"this is no item of the set{reason}")
            elif any(other.text == item.text for other in spec.initial[:at]):
                self._wrong((*path, at), f"{shown(item.text)} stands here already; keep one of them")
        if len(spec.initial) > (spec.max_size or MAX_ENTRIES):
            self._wrong(path, f"the set begins with {len(spec.initial):,} items, more than its `max_size`")
        return tuple(sorted(item.text for item in spec.initial))

    # --- periods -------------------------------------------------------------------------------------

    def _period(self, spec: VariableSpec, sort: StateSort, first: _First, path: _Path) -> Period | None:
        if spec.reset is None and spec.window is None:
            return None
        key = "window" if spec.reset is None else "reset"
        if spec.reset is not None and spec.window is not None:
            self._wrong((*path, "window"), "`reset` and `window` exclude each other; keep one of them")
        if not isinstance(sort, IntSort | DecimalSort | MapSort):
            self._wrong((*path, key), f"`{key}` belongs to a budget, an int, a decimal or a map of such; take it out")
            return None
        if spec.reset is not None:
            return Period("reset", spec.reset)
        if first != 0:
            self._wrong((*path, "initial"), "a `window` variable is the sum of what was added; write `initial: 0`")
        return Period("window", spec.window or 1)


def _is_readable(type_: StringType) -> bool:
    from sandbox.regex import PatternError, check_pattern  # noqa: PLC0415 - RE2 loads only where there are patterns

    try:
        check_pattern(type_.pattern or "", mode="full")
    except PatternError:
        return False
    return True


def _key_sort(key: StringType | EnumType | None) -> StringSort | EnumSort:
    sort = item_sort_of(key or ANY_KEY)
    return sort if isinstance(sort, EnumSort) else StringSort()
