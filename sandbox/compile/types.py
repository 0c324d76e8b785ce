"""Argument types and state variables: what the author wrote -> the IR's, with every bound checked."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sandbox.call import Rejected
from sandbox.compile.defaults import json_text, tree_of
from sandbox.compile.measure import MAX_NESTING, MAX_PARTS, Measures
from sandbox.ir import (
    ArgType,
    Argument,
    ArgvType,
    BoolType,
    DecimalType,
    DurationType,
    EmailType,
    EnumType,
    IntType,
    ItemType,
    ListType,
    PathType,
    RecordType,
    ShellType,
    StringType,
    TextType,
    TimestampType,
    UrlType,
)
from sandbox.lang import later
from sandbox.lang.scope import Digits
from sandbox.lang.source import Problems, shown
from sandbox.lang.suggest import near_miss
from sandbox.parse import parse_value
from sandbox.spec import Written
from sandbox.spec.document import Scalar
from sandbox.spec.model import (
    COLLECTIONS,
    TYPE_NAMES,
    ArgumentSpec,
    ArgvSpec,
    BoolSpec,
    DecimalSpec,
    DurationSpec,
    EmailSpec,
    EnumSpec,
    IntSpec,
    ItemSpec,
    ListSpec,
    NamedSpec,
    PathSpec,
    RecordSpec,
    ShellSpec,
    Spec,
    StringSpec,
    TextSpec,
    TimestampSpec,
    UrlSpec,
)
from sandbox.urls import DEFAULT_PORTS

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

MAX_FIELDS: Final = 100
"""Fields of a record; an object in a raw call has at most 256 keys."""

DEFAULT_SCHEMES: Final = ("http", "https")
"""Schemes of a `url` that names none."""

MIN_INT: Final = -(2**63)
MAX_INT: Final = 2**63 - 1
"""Bounds of an int that declares none."""

MAX_PATH: Final = 4_096
"""Bytes of a path (LANGUAGE, section 3)."""

_Path = tuple[str | int, ...]
_TOO_DEEP: Final = f"types are nested at most {MAX_NESTING} deep; write a flatter one"
_MORE_CALLS: Final = "let the tool be called more often"


class Types:
    """Compiles the types of one spec, noting problems at their places."""

    def __init__(self, written: Written[Spec], problems: Problems) -> None:
        self._written = written
        self._problems = problems
        self._specs = written.model.types
        self._open: set[str] = set()
        self._done: dict[str, ArgType] = {}
        self._measures = Measures()

    def _wrong(self, path: _Path, message: str, offset: int = 0) -> None:
        self._note(message, *path, offset=offset)

    def _note(self, message: str, *path: str | int, key: bool = False, offset: int = 0) -> None:
        self._problems.add(self._written.problem(message, *path, key=key, offset=offset))

    def argument(self, name: str, spec: ArgumentSpec, path: _Path, depth: int = 0) -> Argument:
        """An argument, a record's field, or a fact."""
        type_ = self.type(spec, path, depth)
        if spec.default is not None and spec.optional:
            self._wrong((*path, "default"), "`default` and `optional` exclude each other; keep one of them")
        default = None if spec.default is None else self._default(spec.default, type_, (*path, "default"))
        return Argument(name, type_, spec.optional, spec.secret, default)

    def type(self, spec: ArgumentSpec, path: _Path, depth: int = 0) -> ArgType:
        """A type, by whatever name."""
        if depth > MAX_NESTING:
            return self._refused(path, _TOO_DEEP)
        type_ = self._any(spec, path, depth)
        measure = self._measures.of(type_)
        if measure.depth > MAX_NESTING:
            return self._refused(path, _TOO_DEEP)
        if measure.parts > MAX_PARTS:
            found = f"a value of this type is up to {measure.parts:,} single values"
            return self._refused(path, f"{found}, and {MAX_PARTS:,} are allowed; declare shorter lists")
        return type_

    def _refused(self, path: _Path, message: str) -> BoolType:
        self._wrong(path, message)
        return BoolType()

    def _any(self, spec: ArgumentSpec, path: _Path, depth: int) -> ArgType:
        match spec:
            case TextSpec(max_size=size):
                return TextType(self._at_most(size, MAX_TEXT, (*path, "max_size"), "let the tool take it in parts"))
            case ListSpec():
                return self._list(spec, path, depth)
            case ArgvSpec(max_size=size):
                return ArgvType(self._at_most(size, MAX_LIST, (*path, "max_size"), _MORE_CALLS))
            case ShellSpec(max_size=size):
                return ShellType(self._at_most(size, MAX_STRING, (*path, "max_size"), _MORE_CALLS))
            case NamedSpec(type=name):
                return self._named(name, path, depth)
            case _:
                return self._item(spec, path, depth)

    def _item(self, spec: ItemSpec, path: _Path, depth: int) -> ItemType:
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
            case TimestampSpec():
                return TimestampType()
            case DurationSpec():
                return DurationType()
            case UrlSpec(schemes=schemes):
                return UrlType(self._schemes(schemes, (*path, "schemes")))
            case EmailSpec():
                return EmailType()
            case RecordSpec():
                return self._record(spec, path, depth)
            case NamedSpec(type=name):
                return self._named_item(name, path, depth)

    # --- types that the spec names -------------------------------------------------------------------

    def check_names(self, taken: Collection[str]) -> None:
        """Compiles every named type, whether it is used or not; `taken` are names that mean something already."""
        for name, spec in self._specs.items():
            if name in TYPE_NAMES | COLLECTIONS or name in taken:
                self._note(f"`{name}` means something already; use another name", "types", name, key=True)
            for key in ("optional", "secret", "default"):
                if key in spec.model_fields_set:
                    message = f"`{key}` belongs to an argument, not to a type; write it where the type is used"
                    self._wrong(("types", name, key), message)
            self._named(name, ("types", name), 0)

    def _named(self, name: str, path: _Path, depth: int) -> ArgType:
        if name in self._open:
            return self._refused((*path, "type"), f"the type {shown(name)} contains itself; take it out of itself")
        if name not in self._done:
            self._open.add(name)
            self._done[name] = self.type(self._specs[name], ("types", name), depth + 1)
            self._open.remove(name)
        return self._done[name]

    def _named_item(self, name: str, path: _Path, depth: int) -> ItemType:
        type_ = self._named(name, path, depth)
        if isinstance(type_, TextType | ArgvType | ShellType | ListType):
            what = type(type_).__name__.removesuffix("Type").lower()
            return self._refused((*path, "type"), f"a list of `{what}` is {later.NOT_YET}")
        return type_

    # --- what each type needs ------------------------------------------------------------------------

    def _record(self, spec: RecordSpec, path: _Path, depth: int) -> RecordType:
        if not spec.fields:
            self._wrong((*path, "fields"), "a record needs at least one field; write `{name: {type: string}}`")
        if len(spec.fields) > MAX_FIELDS:
            self._wrong((*path, "fields"), f"a record has at most {MAX_FIELDS} fields; split it")
        return RecordType(
            tuple(self.argument(name, field, (*path, "fields", name), depth + 1) for name, field in spec.fields.items())
        )

    def _schemes(self, schemes: list[str] | None, path: _Path) -> tuple[str, ...]:
        if schemes is None:
            return DEFAULT_SCHEMES
        if not schemes:
            self._wrong(path, "a url needs at least one scheme; write `[https]`")
        for at, scheme in enumerate(schemes):
            if scheme not in DEFAULT_PORTS:
                self._wrong(
                    (*path, at), f"{shown(scheme)} is no scheme that is known{near_miss(scheme, DEFAULT_PORTS)}"
                )
            if scheme in schemes[:at]:
                self._wrong((*path, at), f"the scheme {shown(scheme)} stands here already; keep one of them")
        return tuple(schemes)

    def _default(self, written: object, type_: ArgType, path: _Path) -> str | None:
        if self._problems:
            return None  # a type that is wrong refuses more than is meant
        tree = tree_of(written)
        value = parse_value(tree, type_)
        if isinstance(value, Rejected):
            reason = value.reason if value.reason.startswith(", ") else f": {value.reason}"
            self._wrong(path, f"the default is no value of its type{reason}")
            return None
        return json_text(tree)

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

    def _list(self, spec: ListSpec, path: _Path, depth: int) -> ListType:
        for key in ("optional", "default"):
            if key in spec.items.model_fields_set:
                self._wrong((*path, "items", key), f"an item is never optional; take `{key}` out")
        if "secret" in spec.items.model_fields_set:
            self._wrong((*path, "items", "secret"), "`secret` belongs to the whole list, or to a field; write it there")
        size = self._at_most(spec.max_size, MAX_LIST, (*path, "max_size"), _MORE_CALLS)
        if spec.min_size > size:
            self._wrong((*path, "min_size"), "`min_size` is above `max_size`; no value would be accepted")
        return ListType(self._item(spec.items, (*path, "items"), depth + 1), spec.min_size, size, spec.unique)

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
