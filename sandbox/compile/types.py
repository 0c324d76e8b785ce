"""Argument types and state variables: what the author wrote -> the IR's, with every bound checked."""

from __future__ import annotations

from typing import Final

from sandbox.ir import (
    ArgType,
    BoolSort,
    BoolType,
    DecimalSort,
    DecimalType,
    EnumSort,
    EnumType,
    IntSort,
    IntType,
    ItemType,
    ListType,
    PathType,
    Period,
    StringType,
    TextType,
    Variable,
)
from sandbox.lang.scope import Digits
from sandbox.lang.source import Problems, Refused, shown
from sandbox.lang.suggest import near_miss
from sandbox.spec import Written
from sandbox.spec.document import Scalar
from sandbox.spec.fields import Wrong, boolean, is_string, number
from sandbox.spec.model import (
    ArgumentSpec,
    BoolSpec,
    DecimalSpec,
    EnumSpec,
    IntSpec,
    ItemSpec,
    ListSpec,
    PathSpec,
    Spec,
    StringSpec,
    TextSpec,
    VariableSpec,
)

MAX_SCALE: Final = 100
"""Digits behind the point of a declared decimal; money needs 2 to 18."""

MAX_STRING: Final = 16 * 1024
"""Characters of a string that rules see (LANGUAGE, section 5); longer must be `text`."""

MAX_TEXT: Final = 1024 * 1024
"""Characters of a `text` (LANGUAGE, section 3)."""

MAX_LIST: Final = 1_000
"""Items of a list: proofs unroll a list to its size, and every call pays for each."""

MAX_ENUM: Final = 1_000
"""Values of an enum."""

MIN_INT: Final = -(2**63)
MAX_INT: Final = 2**63 - 1
"""Bounds of an int that declares none."""

MAX_PATH: Final = 4_096
"""Bytes of a path (LANGUAGE, section 3)."""

_Path = tuple[str | int, ...]
_First = bool | int | str


class Compiled(Exception):
    """Raised where a part cannot be compiled; its problems are noted already."""


class Types:
    """Compiles the types of one spec, noting problems at their places."""

    def __init__(self, written: Written[Spec], problems: Problems) -> None:
        self._written = written
        self._problems = problems

    def _wrong(self, path: _Path, message: str, offset: int = 0) -> None:
        self._problems.add(self._written.problem(message, *path, offset=offset))

    def argument(self, spec: ArgumentSpec, path: _Path) -> ArgType:
        """The type of an argument."""
        match spec:
            case TextSpec(max_size=size):
                return TextType(self._at_most(size, MAX_TEXT, (*path, "max_size"), "let the tool take it in parts"))
            case ListSpec():
                return self._list(spec, path)
            case _:
                return self._item(spec, path)

    def _item(self, spec: ItemSpec, path: _Path) -> ItemType:
        match spec:
            case BoolSpec():
                return BoolType()
            case IntSpec():
                return self._int(spec, path)
            case DecimalSpec():
                return self._decimal(spec, path)
            case StringSpec():
                return self._string(spec, path)
            case EnumSpec(values=values):
                return EnumType(self.values(values, (*path, "values")))
            case PathSpec(under=under):
                return PathType(self._under(under, (*path, "under")))

    def _int(self, spec: IntSpec, path: _Path) -> IntType:
        low = MIN_INT if spec.min is None else self.scaled(spec.min, 0, (*path, "min"))
        high = MAX_INT if spec.max is None else self.scaled(spec.max, 0, (*path, "max"))
        self._in_order(low, high, path)
        return IntType(low, high)

    def _decimal(self, spec: DecimalSpec, path: _Path) -> DecimalType:
        scale = self.scale(spec.scale, (*path, "scale"))
        low = None if spec.min is None else self.scaled(spec.min, scale, (*path, "min"))
        high = None if spec.max is None else self.scaled(spec.max, scale, (*path, "max"))
        self._in_order(low, high, path)
        return DecimalType(scale, low, high)

    def _in_order(self, low: int | None, high: int | None, path: _Path) -> None:
        if low is not None and high is not None and low > high:
            self._wrong((*path, "min"), "`min` is above `max`; no value would be accepted")

    def _string(self, spec: StringSpec, path: _Path) -> StringType:
        size = self._at_most(spec.max_size, MAX_STRING, (*path, "max_size"), "declare it `text`")
        if spec.min_size > size:
            self._wrong((*path, "min_size"), "`min_size` is above `max_size`; no value would be accepted")
        if spec.pattern is not None:
            self._pattern(spec.pattern, (*path, "pattern"))
        return StringType(None if spec.pattern is None else spec.pattern.text, spec.min_size, size)

    def _pattern(self, pattern: Scalar, path: _Path) -> None:
        from sandbox.regex import PatternError, check_pattern  # noqa: PLC0415 - RE2 loads only where there are patterns

        try:
            check_pattern(pattern.text, mode="full")
        except PatternError as error:
            self._wrong(path, f"the pattern is refused: {error.message}", error.offset)

    def _list(self, spec: ListSpec, path: _Path) -> ListType:
        if "optional" in spec.items.model_fields_set:
            self._wrong((*path, "items", "optional"), "an item is never optional; take `optional` out")
        size = self._at_most(spec.max_size, MAX_LIST, (*path, "max_size"), "let the tool be called more often")
        if spec.min_size > size:
            self._wrong((*path, "min_size"), "`min_size` is above `max_size`; no value would be accepted")
        return ListType(self._item(spec.items, (*path, "items")), spec.min_size, size, spec.unique)

    def _under(self, under: str | None, path: _Path) -> str | None:
        if under is None:
            return None
        segments = under.split("/")[1:]
        bad = any(segment in {"", ".", ".."} or len(segment.encode()) > 255 for segment in segments)  # noqa: PLR2004 - bytes of a segment
        odd = any(ord(char) < 32 or ord(char) == 127 or char == "\\" for char in under)  # noqa: PLR2004 - control characters
        if not under.startswith("/") or odd or len(under.encode()) > MAX_PATH or (bad and under != "/"):
            self._wrong(path, f"{shown(under)} is no canonical absolute path; write one such as `/workspace`")
        return under

    def _at_most(self, size: int, most: int, path: _Path, remedy: str) -> int:
        if size > most:
            self._wrong(path, f"`max_size` is at most {most:,} here, found {size:,}; write less, or {remedy}")
        return size

    def values(self, values: list[str], path: _Path) -> tuple[str, ...]:
        """The values of an enum: some, and each once."""
        if not values:
            self._wrong(path, "an enum needs at least one value; write `[a, b]`")
        if len(values) > MAX_ENUM:
            self._wrong(path, f"an enum has at most {MAX_ENUM:,} values; declare a `string` with a pattern")
        for at, value in enumerate(values):
            if value in values[:at]:
                self._wrong((*path, at), f"the value {shown(value)} stands here already; keep one of them")
        return tuple(values)

    def scale(self, scale: int, path: _Path) -> int:
        """The digits behind the point of a decimal."""
        if scale > MAX_SCALE:
            self._wrong(path, f"a decimal has at most {MAX_SCALE} digits behind the point")
        return min(scale, MAX_SCALE)

    def scaled(self, number_: Digits, scale: int, path: _Path) -> int:
        """A number as a scaled integer, exactly."""
        if number_.digits > scale:
            what = "an int has none" if scale == 0 else f"the scale is {scale}"
            self._wrong(path, f"this number has {number_.digits} digits behind the point and {what}; write fewer")
            return 0
        return number_.value * int(10 ** (scale - number_.digits))

    # --- state ---------------------------------------------------------------------------------------

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

    def _sort(self, spec: VariableSpec, path: _Path) -> BoolSort | IntSort | DecimalSort | EnumSort:
        match spec.type:
            case "bool":
                return BoolSort()
            case "int":
                return IntSort()
            case "decimal":
                return DecimalSort(self.scale(spec.scale or 0, (*path, "scale")))
            case "enum":
                return EnumSort(self.values(spec.values, (*path, "values")) if spec.values is not None else ())

    def _initial(
        self, spec: VariableSpec, sort: BoolSort | IntSort | DecimalSort | EnumSort, path: _Path
    ) -> bool | int | str:
        try:
            match sort:
                case BoolSort():
                    return boolean(spec.initial)
                case IntSort():
                    return self.scaled(number(spec.initial), 0, path)
                case DecimalSort(scale=scale):
                    return self.scaled(number(spec.initial), scale, path)
                case EnumSort(values=values):
                    text = spec.initial.text
                    if spec.values is None:
                        return text
                    if not is_string(spec.initial) or text not in values:
                        raise Wrong(0, f"{shown(text)} is not one of the `values`{near_miss(text, values)}")
                    return text
        except Refused as refused:
            self._wrong(path, refused.message, refused.offset)
            return 0

    def _period(
        self,
        spec: VariableSpec,
        sort: BoolSort | IntSort | DecimalSort | EnumSort,
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
        if spec.reset is not None:
            return Period("reset", spec.reset)
        if first != 0:
            self._wrong((*path, "initial"), "a `window` variable is the sum of what was added; write `initial: 0`")
        return Period("window", spec.window or 1)
