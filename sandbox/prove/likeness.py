"""One raw argument as two specs read it: a type that has both their values, and when each of them accepts it.

The same raw value must mean the same canonical value wherever both accept it; then one symbol stands for both. Where
that is so for a part of the raw values only, the rest is told, and never taken for compared.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sandbox.ir import (
    All,
    And,
    ArgType,
    Argument,
    ArgvType,
    Bound,
    Const,
    DecimalSort,
    DecimalType,
    EnumSort,
    EnumType,
    Eq,
    Expr,
    Field,
    HasField,
    IntSort,
    IntType,
    ItemType,
    Le,
    ListType,
    Matches,
    Not,
    Or,
    PathType,
    RecordType,
    ShellType,
    Size,
    StringSort,
    StringType,
    TextType,
    UrlType,
    item_sort_of,
    sort_of,
)
from sandbox.regex import PatternError, check_pattern


@dataclass(frozen=True, slots=True)
class Alike:
    """A type for both, and what of their raw values it leaves out."""

    type: ArgType
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unlike:
    """The two types cannot be looked at as one; `reason` is said after the argument's name."""

    reason: str


def together(one: ArgType, other: ArgType) -> Alike | Unlike:
    """A type that has the values of both, as far as one symbol can stand for both."""
    match one, other:
        case _ if one == other:
            return Alike(one)
        case IntType(), IntType():
            return Alike(IntType(min(one.minimum, other.minimum), max(one.maximum, other.maximum)))
        case DecimalType(), DecimalType() if one.scale == other.scale:
            return Alike(replace(one, minimum=_least(one, other), maximum=_most(one, other)))
        case StringType(), StringType():
            return _strings(one, other)
        case TextType(), TextType():
            return Alike(TextType(max(one.max_size, other.max_size)))
        case EnumType(), EnumType():
            return Alike(EnumType(tuple(dict.fromkeys((*one.values, *other.values)))))
        case PathType(), PathType():
            return Alike(PathType(None), ("relative paths, which begin in another folder",))
        case UrlType(), UrlType():
            return Alike(UrlType(tuple(dict.fromkeys((*one.schemes, *other.schemes)))))
        case ArgvType(), ArgvType():
            return Alike(ArgvType(max(one.max_size, other.max_size)))
        case ShellType(), ShellType():
            size = min(one.max_size, other.max_size)
            return Alike(ShellType(size), (f"lines of more than {size} characters",))
        case RecordType(), RecordType():
            return _records(one, other)
        case ListType(), ListType():
            return _lists(one, other)
        case _:
            return Unlike("is of another type")


def _least(one: DecimalType, other: DecimalType) -> int | None:
    return None if one.minimum is None or other.minimum is None else min(one.minimum, other.minimum)


def _most(one: DecimalType, other: DecimalType) -> int | None:
    return None if one.maximum is None or other.maximum is None else max(one.maximum, other.maximum)


def _strings(one: StringType, other: StringType) -> Alike | Unlike:
    pattern = one.pattern if one.pattern == other.pattern else None
    for each in (one.pattern, other.pattern):
        if pattern is None and each is not None and not _can_be_asked(each):
            return Unlike("has a pattern that no rule could ask for")
    return Alike(StringType(pattern, min(one.min_size, other.min_size), max(one.max_size, other.max_size)))


def _can_be_asked(pattern: str) -> bool:
    try:
        check_pattern(_whole(pattern))
    except PatternError:
        return False
    return True


def _whole(pattern: str) -> str:
    return f"^({pattern})$"


def _records(one: RecordType, other: RecordType) -> Alike | Unlike:
    if [part.name for part in one.fields] != [part.name for part in other.fields]:
        return Unlike("has other fields")
    merged: list[Argument] = []
    left_out: list[str] = []
    for part, theirs in zip(one.fields, other.fields, strict=True):
        if (part.optional, part.default) != (theirs.optional, theirs.default):
            return Unlike(f"may do without its field `{part.name}` in one of them only")
        both = together(part.type, theirs.type)
        if isinstance(both, Unlike):
            return Unlike(f"has a field `{part.name}` that {both.reason}")
        merged.append(replace(part, type=both.type))
        left_out += both.left_out
    return Alike(RecordType(tuple(merged)), tuple(left_out))


def _lists(one: ListType, other: ListType) -> Alike | Unlike:
    both = together(one.items, other.items)
    if isinstance(both, Unlike):
        return Unlike(f"has items each of which {both.reason}")
    if not isinstance(both.type, ItemType):
        return Unlike("has items that are no items")
    repeated = () if one.unique == other.unique else ("lists with repeated items",)
    unique = one.unique or other.unique
    sizes = min(one.min_size, other.min_size), max(one.max_size, other.max_size)
    return Alike(ListType(both.type, *sizes, unique), (*both.left_out, *repeated))


# --- when a spec accepts a value ---------------------------------------------------------------------


def accepts(value: Expr, own: ArgType, both: ArgType, depth: int = 0) -> tuple[Expr, ...]:
    """What a value of the type for both must be, to be one of a spec's own type; nothing where it always is."""
    match own, both:
        case _ if own == both:
            return ()
        case IntType(), IntType():
            return _between(value, own.minimum, own.maximum, IntSort())
        case DecimalType(scale=scale), DecimalType():
            return _between(value, own.minimum, own.maximum, DecimalSort(scale))
        case StringType(pattern=pattern, min_size=low, max_size=high), StringType():
            matched = () if pattern in {None, both.pattern} else (Matches(value, _whole(str(pattern))),)
            return (*matched, *_sized(value, low, high, (both.min_size, both.max_size)))
        case TextType(max_size=high), TextType():
            return _sized(value, 0, high, (0, both.max_size))
        case ArgvType(max_size=high), ArgvType():
            return _sized(value, 1, high, (1, both.max_size))
        case EnumType(values=values), EnumType(values=every):
            sort = EnumSort(every)
            return (Or(tuple(Eq(value, Const(each, sort)) for each in values)),)
        case UrlType(schemes=schemes), UrlType():
            scheme = Field(value, "scheme", StringSort())
            return (Or(tuple(Eq(scheme, Const(each, StringSort())) for each in schemes)),)
        case RecordType(), RecordType():
            return tuple(each for part in own.fields for each in _accepts_part(value, part, both, depth))
        case ListType(items=items, min_size=low, max_size=high), ListType(items=wide):
            bound = Bound(f"accepted{depth}", item_sort_of(wide))
            inside = accepts(bound, items, wide, depth + 1)
            each = (All(bound, value, And(inside)),) if inside else ()
            return (*_sized(value, low, high, (both.min_size, both.max_size)), *each)
        case _:
            return ()


def _accepts_part(value: Expr, part: Argument, both: RecordType, depth: int) -> tuple[Expr, ...]:
    wide = next(each.type for each in both.fields if each.name == part.name)
    inside = accepts(Field(value, part.name, sort_of(wide)), part.type, wide, depth)
    if not inside or not part.optional:
        return inside
    return (Or((Not(HasField(value, part.name)), And(inside))),)


def _between(value: Expr, low: int | None, high: int | None, sort: IntSort | DecimalSort) -> tuple[Expr, ...]:
    least = () if low is None else (Le(Const(low, sort), value),)
    most = () if high is None else (Le(value, Const(high, sort)),)
    return (*least, *most)


def _sized(value: Expr, low: int, high: int, wide: tuple[int, int]) -> tuple[Expr, ...]:
    """Sizes are said only where they are narrower: a solver of strings is slow with each."""
    least = () if low <= wide[0] else (Le(Const(low, IntSort()), Size(value)),)
    most = () if high >= wide[1] else (Le(Size(value), Const(high, IntSort())),)
    return (*least, *most)
