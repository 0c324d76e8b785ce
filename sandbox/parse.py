"""Untrusted bytes become one canonical `Call`, or are `Rejected` with a reason. Nothing here ever raises.

No second parser sees the original: rules, people, the record and the container get the canonical value.
Every reason is one printable ASCII line that names the place and says what is accepted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias

from sandbox import strict_json
from sandbox.call import Call, Rejected, Value
from sandbox.canonical import (
    canonical_json,
    canonical_path,
    is_string,
    is_text,
    quoted,
    show_decimal,
    show_value,
    text_digest,
)
from sandbox.emails import parse_email
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
    Json,
    ListType,
    PathType,
    RecordType,
    ShellType,
    StringType,
    TextType,
    TimestampType,
    Tool,
    UrlType,
)
from sandbox.seal import Seal, has_secrets
from sandbox.shell import parse_shell
from sandbox.strict_json import JsonNumber, Tree
from sandbox.times import parse_duration, parse_timestamp
from sandbox.urls import parse_url

__all__ = ["canonical_json", "canonical_path", "parse_call", "parse_value", "show_value"]

FEW_NAMES: Final = 16
"""Names that a reason lists; more would be no help to whoever reads it."""
SHOWN_DIGITS: Final = 40
"""Digits of a bound that a reason repeats."""
MAX_WORD: Final = 4_096
"""Characters of one word of an argv."""
MAX_ARGV: Final = 16_384
"""Characters of all the words of an argv: as much as any string that rules see."""

_FIELDS: Final = ("tool", "args")
_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]*)")
_DECIMAL: Final = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?")
_JSON_NAMES: Final = {bool: "a boolean", str: "a string", JsonNumber: "a number", list: "an array", dict: "an object"}

_WORD: Final = StringType(None, 0, MAX_WORD)

_Parsed: TypeAlias = Value | Rejected


class Toolbox(Protocol):
    """What has tools: a contract, or a policy of several."""

    @property
    def tools(self) -> tuple[Tool, ...]:
        """All of them."""
        ...

    def tool(self, name: str) -> Tool | None:
        """The tool of exactly this name, or None."""
        ...


def parse_call(raw: bytes | str | Mapping[str, object], toolbox: Toolbox, seal: Seal | None = None) -> Call | Rejected:
    """The call of one of these tools that `raw` is, with canonical arguments; else why it is none.

    `seal` has the key for digests of calls with secret arguments; without it each such call gets a key of its own.
    """
    try:
        tree = strict_json.read(raw)
        return tree if isinstance(tree, Rejected) else _call(tree, toolbox, seal)
    except Exception as error:  # noqa: BLE001  # the edge: whatever goes wrong inside is a refusal, never a pass
        return Rejected("fault.internal", f"internal error `{type(error).__name__}` while the call was parsed")


def _call(tree: Tree, toolbox: Toolbox, seal: Seal | None) -> Call | Rejected:
    if type(tree) is not dict:
        return Rejected("parse.shape", f"{_what(tree)} stands where an object with `tool` and `args` is accepted")
    for field in tree:
        if field not in _FIELDS:
            return Rejected(
                "parse.unknown_field", f"unknown field {quoted(field)}; only `tool` and `args` are accepted"
            )
    for field in _FIELDS:
        if field not in tree:
            return Rejected("parse.missing_field", f"the field `{field}` is missing")
    name, raw_args = tree["tool"], tree["args"]
    if type(name) is not str:
        return Rejected("parse.shape", f"`tool` is {_what(name)}; a string is accepted")
    if type(raw_args) is not dict:
        return Rejected("parse.shape", f"`args` is {_what(raw_args)}; an object is accepted")
    tool = toolbox.tool(name)
    if tool is None:
        return Rejected("unknown_tool", f"unknown tool {quoted(name)}; {_choices('the tools are', toolbox.tools)}")
    args = _arguments(raw_args, tool)
    return args if isinstance(args, Rejected) else _canonical_call(tool, args, seal)


def _arguments(raw: dict[str, Tree], tool: Tool) -> dict[str, Value] | Rejected:
    return _named(raw, tool.arguments, "argument")


def _named(raw: dict[str, Tree], declared: tuple[Argument, ...], what: str) -> dict[str, Value] | Rejected:
    """The values of the declared arguments, or of a record's fields: no other, and none missing."""
    names = {part.name for part in declared}
    for name in raw:
        if name not in names:
            choices = _choices(f"the {what}s are", declared)
            return Rejected("parse.unknown_argument", f"unknown {what} {quoted(name)}; {choices}")
    values: dict[str, Value] = {}
    for part in declared:
        if part.name in raw:
            value = parse_value(raw[part.name], part.type)
        elif part.default is not None:
            value = parse_value(_default(part.default), part.type)
        elif part.optional:
            continue
        else:
            return Rejected("parse.missing_argument", f"the {what} `{part.name}` is missing")
        if isinstance(value, Rejected):
            why = ": it is secret, and nothing of what was given is repeated" if part.secret else _joined(value.reason)
            return Rejected(value.reason_code, f"{what} `{part.name}`{why}")
        values[part.name] = value
    return values


def _default(text: str) -> Tree:
    tree = strict_json.read(text)
    return None if isinstance(tree, Rejected) else tree  # a refused default stays refused: null is no value


def default_value(argument: Argument) -> Value | None:
    """The canonical value of an argument's default; None where it has none, or one that its own type refuses."""
    value = None if argument.default is None else parse_value(_default(argument.default), argument.type)
    return None if isinstance(value, Rejected) else value


def _canonical_call(tool: Tool, args: dict[str, Value], seal: Seal | None) -> Call:
    types = {argument.name: argument.type for argument in tool.arguments}
    shown: dict[str, Json] = {name: show_value(value, types[name]) for name, value in args.items()}
    canonical = canonical_json({"args": shown, "tool": tool.name})
    if not has_secrets(tool):
        return Call(tool.name, MappingProxyType(args), canonical, text_digest(canonical))
    seal = seal or Seal.fresh()
    masked = canonical_json({"args": seal.masked(shown, tool), "tool": tool.name})
    return Call(
        tool.name, MappingProxyType(args), canonical, seal.digest("call", canonical), masked, text_digest(canonical)
    )


# --- one value, arm for arm over the types -----------------------------------------------------------


def parse_value(raw: Tree, type_: ArgType) -> Value | Rejected:
    """The canonical value of one argument, or `Rejected` with an argument-level code and no name in its reason."""
    if raw is None:
        return Rejected("parse.null", "null is no value; leave an optional argument out")
    match type_:
        case BoolType():
            return raw if type(raw) is bool else _wrong_type(raw, "true or false")
        case IntType():
            return _int(raw, type_)
        case DecimalType():
            return _decimal(raw, type_)
        case StringType():
            return _string(raw, type_)
        case TextType():
            return _text(raw, type_)
        case EnumType(values=values):
            return _enum(raw, values)
        case PathType(under=under):
            return canonical_path(raw, under) if type(raw) is str else _wrong_type(raw, "a path as a string")
        case TimestampType():
            return _timestamp(raw)
        case DurationType():
            return _duration(raw)
        case UrlType(schemes=schemes):
            return _seen(raw, "a URL as a string", lambda text: parse_url(text, schemes))
        case EmailType():
            return _seen(raw, "an e-mail address as a string", parse_email)
        case ShellType(max_size=size):
            return _shell(raw, size)
        case ArgvType(max_size=size):
            return _argv(raw, size)
        case RecordType(fields=parts):
            return _record(raw, parts)
        case ListType():
            return _list(raw, type_)


def _int(raw: Tree, type_: IntType) -> _Parsed:
    accepted = "an integer without fraction or exponent"
    if type(raw) is not JsonNumber:
        return _wrong_type(raw, accepted)
    if raw == "-0" or not _INTEGER.fullmatch(raw):
        return Rejected("parse.type", f"{quoted(raw)} is not accepted; {accepted} is")
    value = int(raw)
    if type_.minimum <= value <= type_.maximum:
        return value
    return Rejected("parse.range", f"{quoted(raw)} is out of range; {_range(str(type_.minimum), str(type_.maximum))}")


def _decimal(raw: Tree, type_: DecimalType) -> _Parsed:
    accepted = "a decimal number without exponent, such as 12.34 or '12.34',"
    if type(raw) is not JsonNumber and type(raw) is not str:
        return _wrong_type(raw, accepted)
    if len(raw) > strict_json.MAX_DIGITS + len("-."):
        return Rejected("parse.number", f"a number has more than {strict_json.MAX_DIGITS} digits")
    parts = _DECIMAL.fullmatch(raw)
    if parts is None:
        return Rejected("parse.type", f"{quoted(raw)} is not accepted; {accepted} is")
    sign, whole, fraction = parts[1], parts[2], parts[3] or ""
    if len(fraction) > type_.scale:
        return Rejected(
            "parse.scale", f"{quoted(raw)} has too many digits; {type_.scale} behind the point are accepted"
        )
    if len(whole) + type_.scale > strict_json.MAX_DIGITS:  # as it is written canonically
        return Rejected("parse.number", f"a number has more than {strict_json.MAX_DIGITS} digits")
    value = int(whole + fraction.ljust(type_.scale, "0"))
    if sign and value == 0:
        return Rejected("parse.type", f"{quoted(raw)} is not accepted; zero has no sign")
    value = -value if sign else value
    low = None if type_.minimum is None else show_decimal(type_.minimum, type_.scale)
    high = None if type_.maximum is None else show_decimal(type_.maximum, type_.scale)
    below = type_.minimum is not None and value < type_.minimum
    above = type_.maximum is not None and value > type_.maximum
    if below or above:
        return Rejected("parse.range", f"{quoted(raw)} is out of range; {_range(low, high)}")
    return value


def _string(raw: Tree, type_: StringType) -> _Parsed:
    if type(raw) is not str:
        return _wrong_type(raw, "a string")
    if not type_.min_size <= len(raw) <= type_.max_size:
        return _wrong_size(len(raw), type_.min_size, type_.max_size, "characters")
    if not is_string(raw):
        return Rejected("parse.unicode", "NUL, lone surrogates and characters above U+2FFFF are not accepted")
    if type_.pattern is not None and not _matches(type_.pattern, raw):
        return Rejected("parse.pattern", f"{quoted(raw)} does not match; the pattern is {quoted(type_.pattern)}")
    return raw


def _matches(pattern: str, text: str) -> bool:
    from sandbox.regex import full_matcher  # noqa: PLC0415  # RE2 loads only where a pattern is declared

    return full_matcher(pattern)(text)


def _text(raw: Tree, type_: TextType) -> _Parsed:
    if type(raw) is not str:
        return _wrong_type(raw, "a string")
    if len(raw) > type_.max_size:
        return _wrong_size(len(raw), 0, type_.max_size, "characters")
    if not is_text(raw):
        return Rejected("parse.unicode", "NUL and lone surrogates are not accepted")
    return raw


def _enum(raw: Tree, values: tuple[str, ...]) -> _Parsed:
    if type(raw) is not str:
        return _wrong_type(raw, "one of the declared strings")
    if raw in values:
        return raw
    names = ", ".join(quoted(value) for value in values) if len(values) <= FEW_NAMES else "one of the declared strings"
    return Rejected("parse.enum", f"{quoted(raw)} is none of the values; accepted: {names}")


def _list(raw: Tree, type_: ListType) -> _Parsed:
    if type(raw) is not list:
        return _wrong_type(raw, "an array")
    if not type_.min_size <= len(raw) <= type_.max_size:
        return _wrong_size(len(raw), type_.min_size, type_.max_size, "items")
    items: list[Value] = []
    for index, raw_item in enumerate(raw):
        item = parse_value(raw_item, type_.items)
        if isinstance(item, Rejected):
            return Rejected(item.reason_code, f", item {index}{_joined(item.reason)}")
        items.append(item)
    again = _first_repeated(items, type_.items) if type_.unique else None
    if again is not None:
        return Rejected("parse.unique", f", item {again}: the same value stands before it; each is accepted once")
    return tuple(items)


def _first_repeated(items: list[Value], type_: ItemType) -> int | None:
    seen: dict[str, int] = {}
    keys = (canonical_json(show_value(item, type_)) for item in items)
    return next((index for index, key in enumerate(keys) if seen.setdefault(key, index) != index), None)


def _timestamp(raw: Tree) -> _Parsed:
    accepted = "an RFC 3339 instant with offset, such as 2026-01-31T09:30:00Z,"
    if type(raw) is not str:
        return _wrong_type(raw, accepted)
    value = parse_timestamp(raw)
    return Rejected("parse.timestamp", f"{quoted(raw)} is not accepted; {accepted} is") if value is None else value


def _duration(raw: Tree) -> _Parsed:
    accepted = "a duration in whole milliseconds, such as 500ms, 10s or 1h30m,"
    if type(raw) is not str:
        return _wrong_type(raw, accepted)
    value = parse_duration(raw)
    return Rejected("parse.duration", f"{quoted(raw)} is not accepted; {accepted} is") if value is None else value


def _seen(raw: Tree, accepted: str, read: Callable[[str], _Parsed]) -> _Parsed:
    """A text that rules see, read by its own parser."""
    if type(raw) is not str:
        return _wrong_type(raw, accepted)
    if not is_string(raw):
        return Rejected("parse.unicode", "NUL, lone surrogates and characters above U+2FFFF are not accepted")
    return read(raw)


def _shell(raw: Tree, size: int) -> _Parsed:
    if type(raw) is str and len(raw) > size:
        return _wrong_size(len(raw), 1, size, "characters")
    return _seen(raw, "a command line as one string", parse_shell)


def _argv(raw: Tree, size: int) -> _Parsed:
    if type(raw) is not list:
        return _wrong_type(raw, "an array of words")
    if not 1 <= len(raw) <= size:
        return _wrong_size(len(raw), 1, size, "words")
    words: list[Value] = []
    for index, raw_word in enumerate(raw):
        word = parse_value(raw_word, _WORD)
        if isinstance(word, Rejected):
            return Rejected(word.reason_code, f", item {index}: {word.reason}")
        if "\n" in str(word):
            return Rejected("parse.argv", f", item {index}: a newline is not accepted; words of one line are")
        words.append(word)
    total = sum(len(str(word)) for word in words)
    return tuple(words) if total <= MAX_ARGV else _wrong_size(total, 1, MAX_ARGV, "characters of all words together")


def _record(raw: Tree, parts: tuple[Argument, ...]) -> _Parsed:
    if type(raw) is not dict:
        return _wrong_type(raw, "an object")
    values = _named(raw, parts, "field")
    if isinstance(values, Rejected):
        return Rejected(values.reason_code, f", {values.reason}")
    return MappingProxyType(values)


# --- reasons -----------------------------------------------------------------------------------------


def _joined(reason: str) -> str:
    return reason if reason.startswith(", ") else f": {reason}"


def _what(raw: Tree) -> str:
    return "null" if raw is None else _JSON_NAMES[type(raw)]


def _wrong_type(raw: Tree, accepted: str) -> Rejected:
    return Rejected("parse.type", f"{_what(raw)} is not accepted; {accepted} is")


def _wrong_size(size: int, low: int, high: int, unit: str) -> Rejected:
    return Rejected("parse.size", f"{size} {unit} are not accepted; {low} to {high} are")


def _range(low: str | None, high: str | None) -> str:
    match low, high:
        case None, str():
            return f"at most {_short(high)} is accepted"
        case str(), None:
            return f"at least {_short(low)} is accepted"
        case _:
            return f"{_short(low or '')} to {_short(high or '')} is accepted"


def _short(digits: str) -> str:
    return digits if len(digits) <= SHOWN_DIGITS else f"{digits[:SHOWN_DIGITS]}..."


def _choices(lead: str, named: tuple[Tool, ...] | tuple[Argument, ...]) -> str:
    if not named:
        return f"{lead} none"
    if len(named) > FEW_NAMES:
        return f"there are {len(named)}, see the tool's description"
    return f"{lead} {', '.join(f'`{each.name}`' for each in named)}"
