"""State variables: what the author wrote -> the IR's, with every key checked."""

from __future__ import annotations

from typing import TypeAlias

from sandbox.compile.types import Types
from sandbox.ir import BoolSort, DecimalSort, EnumSort, IntSort, Period, TimestampSort, Variable
from sandbox.lang.source import Problems, Refused, shown
from sandbox.lang.suggest import near_miss
from sandbox.spec import Written
from sandbox.spec.fields import Wrong, boolean, is_string, number
from sandbox.spec.model import Spec, VariableSpec
from sandbox.times import parse_timestamp

_Path = tuple[str | int, ...]
_Sort: TypeAlias = BoolSort | IntSort | DecimalSort | EnumSort | TimestampSort
_First: TypeAlias = bool | int | str


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
        sort = self._sort(spec, path)
        first = self._initial(spec, sort, (*path, "initial"))
        return Variable(name, sort, first, self._period(spec, sort, first, path))

    def _check_keys(self, spec: VariableSpec, path: _Path) -> None:
        for bound in ("min", "max"):
            if bound in spec.model_fields_set:
                message = (
                    f"`{bound}` on state is refused, for nothing enforces it; write a rule and an `always` property"
                )
                self._wrong((*path, bound), message)
        for key, type_ in (("scale", "decimal"), ("values", "enum")):
            if key in spec.model_fields_set and spec.type != type_:
                self._wrong((*path, key), f"`{key}` belongs to `{type_}`, not to `{spec.type}`; take it out")
            if key not in spec.model_fields_set and spec.type == type_:
                self._wrong(path, f"`{key}` is missing here, and `{type_}` needs it; add it")

    def _sort(self, spec: VariableSpec, path: _Path) -> _Sort:
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

    def _initial(self, spec: VariableSpec, sort: _Sort, path: _Path) -> _First:
        try:
            match sort:
                case BoolSort():
                    return boolean(spec.initial)
                case IntSort():
                    return self._types.scaled(number(spec.initial), 0, path)
                case DecimalSort(scale=scale):
                    return self._types.scaled(number(spec.initial), scale, path)
                case EnumSort(values=values):
                    text = spec.initial.text
                    if spec.values is None:
                        return text
                    if not is_string(spec.initial) or text not in values:
                        raise Wrong(0, f"{shown(text)} is not one of the `values`{near_miss(text, values)}")
                    return text
                case TimestampSort():
                    found = parse_timestamp(spec.initial.text)
                    if found is None:
                        message = f"{shown(spec.initial.text)} is no timestamp; write one such as 2026-01-31T08:00:00Z"
                        raise Wrong(0, message)
                    return found
        except Refused as refused:
            self._wrong(path, refused.message, refused.offset)
            return 0

    def _period(
        self,
        spec: VariableSpec,
        sort: _Sort,
        first: _First,
        path: _Path,
    ) -> Period | None:
        if spec.reset is None and spec.window is None:
            return None
        key = "window" if spec.reset is None else "reset"
        if spec.reset is not None and spec.window is not None:
            self._wrong((*path, "window"), "`reset` and `window` exclude each other; keep one of them")
        if not isinstance(sort, IntSort | DecimalSort):
            self._wrong((*path, key), f"`{key}` belongs to a budget, an int or a decimal; take it out")
            return None
        if spec.reset is not None:
            return Period("reset", spec.reset)
        if first != 0:
            self._wrong((*path, "initial"), "a `window` variable is the sum of what was added; write `initial: 0`")
        return Period("window", spec.window or 1)
