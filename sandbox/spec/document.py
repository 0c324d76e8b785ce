"""YAML 1.2 read as nodes with places: nothing is resolved, constructed, aliased or tagged by the library.

Only the structure is taken from YAML. What a scalar means is decided by the key it stands under, from its source
text, so that `5000.00` keeps its digits and `no`, `0o17` and `1e3` mean nothing by themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from sandbox.errors import PropertyError, SpecError, UsageError
from sandbox.lang.source import Refused, SourceFile, SourceText, shown

MAX_BYTES: Final = 256 * 1024
"""Of a spec or property file: the reader takes about a second for it, and nobody reviews a longer one."""

MAX_NODES: Final = 20_000
"""Scalars, mappings and sequences of a file: each costs the reader some 50 microseconds."""

MAX_DEPTH: Final = 16
"""Nesting of mappings and sequences: the format needs 8."""

_FORBIDDEN: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\u202a-\u202e\u2066-\u2069\ud800-\udfff]|\r(?!\n)"
)
"""Control characters, and marks that make a reviewer see another text than the one that is read."""


_DIRECTIVE: Final = re.compile("^%", re.MULTILINE)

READER: Final[ContextVar[Callable[[Path, bytes], None] | None]] = ContextVar("reader", default=None)
"""Who hears of every spec and property file that is read, with its bytes."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """A scalar: its text, its style (None for plain, else the sign), and where each character stands."""

    source: SourceText
    style: str | None
    start: int

    @property
    def text(self) -> str:
        """The characters, after YAML's own quoting."""
        return self.source.text

    @property
    def plain(self) -> bool:
        """Whether it stands without quotes."""
        return self.style is None


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping, in the order of the file; keys are unique."""

    entries: tuple[tuple[Scalar, Node], ...]
    start: int

    def get(self, key: str) -> Node | None:
        """The value under a key."""
        return next((value for name, value in self.entries if name.text == key), None)


@dataclass(frozen=True, slots=True)
class Series:
    """A sequence."""

    items: tuple[Node, ...]
    start: int


Node: TypeAlias = Scalar | Mapping | Series

Plain: TypeAlias = "Scalar | Entries | list[Plain]"


class Entries(dict[str, "Plain"]):
    """A mapping as pydantic takes it, which remembers its keys' places."""

    def __init__(self, node: Mapping) -> None:
        super().__init__((key.text, plain(value)) for key, value in node.entries)
        self.keys_in_file = tuple(key for key, _ in node.entries)


def plain(node: Node) -> Plain:
    """A node as dicts, lists and scalars."""
    match node:
        case Scalar():
            return node
        case Mapping():
            return Entries(node)
        case Series(items=items):
            return [plain(item) for item in items]


def read_source(path: Path, name: str, error: type[SpecError | PropertyError]) -> SourceFile:
    """The text of a file, called `name` in messages. Raises UsageError where there is no file, `error` for no text."""
    try:
        if not path.is_file():
            message = f"`{name}` is no file; give the path of a YAML file"
            raise UsageError(message)
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as failure:
        message = f"`{name}` cannot be read ({failure}); give the path of a readable YAML file"
        raise UsageError(message) from failure
    if (heard := READER.get()) is not None:
        heard(path, raw)
    source = SourceFile(name, "")
    if len(raw) > MAX_BYTES:
        raise error((source.problem(0, f"the file is larger than {MAX_BYTES // 1024} KiB; split it"),))
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as failure:
        source = SourceFile(name, raw[: failure.start].decode("utf-8"))
        raise error((source.problem(len(source.text), "the file is not UTF-8 here; save it as UTF-8"),)) from None
    return SourceFile(name, text)


def parse(source: SourceFile) -> Node:
    """The one document of a file as nodes. Raises Refused, its offset counting in the file."""
    bad = _FORBIDDEN.search(source.text)
    if bad is not None:
        name = f"U+{ord(bad[0][0]):04X}"
        raise Refused(
            bad.start(), f"the character {name} may not stand in this file; write it as an escape in double quotes"
        )
    return _Composer(source).document()


class _Composer:
    """Events of the library -> our nodes, refusing whatever is more than plain structure."""

    def __init__(self, source: SourceFile) -> None:
        self._source = source
        self._events = self._read()
        self._nodes = 0

    def _read(self) -> Iterator[object]:
        from ruamel.yaml import YAML  # noqa: PLC0415 - loaded only where a file is read
        from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415 - as above

        reader = YAML(typ="safe", pure=True)
        reader.version = (1, 2)
        try:
            yield from reader.parse(self._source.text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            what = error.problem or error.context or "this is no YAML"
            raise Refused(mark.index if mark else 0, f"{what}; check indentation, quotes and colons") from None
        except (YAMLError, ValueError, OverflowError, IndexError, AttributeError, TypeError) as error:
            # the last ones are faults of the library on hostile input, and a refusal all the same
            raise Refused(0, f"this is no YAML ({type(error).__name__}); check quotes and escapes") from None

    def document(self) -> Node:
        """The root of the only document."""
        for event in self._events:
            match type(event).__name__:
                case "StreamStartEvent":
                    pass
                case "DocumentStartEvent":
                    self._refuse_directives(_start(event), event.end_mark.index)  # type: ignore[attr-defined]  # ruamel is untyped
                    root = self._node(next(self._events), 0)
                    self._end()
                    return root
                case _:
                    break
        raise Refused(0, "the file is empty; a spec begins with `sandbox: 1`, a property file with `proves:`")

    def _refuse_directives(self, start: int, end: int) -> None:
        """Also those that the library passes over. They stand between the beginning of the document and its `---`."""
        found = _DIRECTIVE.search(self._source.text, 0, max(start, end))
        if found is not None:
            raise Refused(found.start(), "directives such as `%YAML` are refused; take them out")

    def _end(self) -> None:
        for event in self._events:
            if type(event).__name__ == "DocumentStartEvent":
                raise Refused(_start(event), "a file holds one document; take out what follows `---`")

    def _node(self, event: object, depth: int) -> Node:
        start = _start(event)
        kind = type(event).__name__
        if kind == "AliasEvent" or getattr(event, "anchor", None) is not None:
            raise Refused(start, "anchors and aliases are refused; write the value out")
        if getattr(event, "tag", None) is not None:
            raise Refused(start, f"tags such as {shown(str(event.tag))} are refused; take it out")  # type: ignore[attr-defined]  # just asked
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise Refused(start, f"a file holds at most {MAX_NODES:,} values; split it")
        if depth > MAX_DEPTH:
            raise Refused(start, f"a file is nested at most {MAX_DEPTH} deep")
        match kind:
            case "ScalarEvent":
                return self._scalar(event)
            case "SequenceStartEvent":
                return Series(tuple(self._items(depth)), start)
            case _:
                return self._mapping(start, depth)

    def _items(self, depth: int) -> Iterator[Node]:
        while type(event := next(self._events)).__name__ != "SequenceEndEvent":
            yield self._node(event, depth + 1)

    def _mapping(self, start: int, depth: int) -> Mapping:
        entries: list[tuple[Scalar, Node]] = []
        seen: dict[str, Scalar] = {}
        while type(event := next(self._events)).__name__ != "MappingEndEvent":
            key = self._node(event, depth + 1)
            if not isinstance(key, Scalar):
                raise Refused(
                    key.start, "a key is a name, never a list or a mapping; quote text that begins with `[` or `{`"
                )
            if key.plain and key.text == "<<":
                raise Refused(key.start, "merge keys are refused; write the keys out")
            if key.text in seen:
                line = self._source.place(seen[key.text].start).line
                raise Refused(key.start, f"{shown(key.text)} stands here already, in line {line}; keep one of them")
            seen[key.text] = key
            entries.append((key, self._value(key, depth)))
        return Mapping(tuple(entries), start)

    def _value(self, key: Scalar, depth: int) -> Node:
        value = self._node(next(self._events), depth + 1)
        if isinstance(value, Scalar) and value.plain and not value.text:
            return Scalar(SourceText("", self._source, [key.start]), None, key.start)  # nothing stands at its key
        return value

    def _scalar(self, event: object) -> Scalar:
        start, end = _start(event), event.end_mark.index  # type: ignore[attr-defined]  # ruamel is untyped
        value, style = str(event.value), event.style or None  # type: ignore[attr-defined]  # as above
        return Scalar(
            SourceText(value, self._source, offsets_of(value, self._source.text, start, end, style)), style, start
        )


def _start(event: object) -> int:
    return int(event.start_mark.index)  # type: ignore[attr-defined]  # ruamel is untyped


def offsets_of(value: str, text: str, start: int, end: int, style: str | None) -> Sequence[int]:
    """Where each character of a scalar's value stands in the file, and the end; exact unless the text is a riddle.

    The value and the raw text are walked together: white space folds, all else stands for itself or is an escape.
    Where the two do not match, the answer is the scalar's first character for all.
    """
    if style is None and text[start : start + len(value)] == value:
        return range(start, start + len(value) + 1)
    found: list[int] = []
    at = _body(text, start, end, style)
    for char in value:
        at, width = _next(char, text, at, end, style)
        if width == 0 and not char.isspace():
            return [start] * (len(value) + 1)
        found.append(at)
        at += width
    return [*found, min(at, max(start, end - 1))]


def _body(text: str, start: int, end: int, style: str | None) -> int:
    if style in {"'", '"'}:
        return start + 1
    if style in {"|", ">"}:
        line = text.find("\n", start, end)
        return end if line < 0 else line + 1
    return start


def _next(char: str, text: str, at: int, end: int, style: str | None) -> tuple[int, int]:
    """The place of `char` at or after `at`, and how much of the raw text it takes (0: none, it was folded)."""
    if char.isspace() and at < end and text[at] == char:
        return at, 1
    if style == '"' and at < end and text[at] == "\\" and text[at + 1 : at + 2] not in {"\n", "\r", ""}:
        return at, _escape_width(text, at)
    if char.isspace():
        return at, 0
    while at < end and (text[at] in " \t\r\n" or (style == '"' and text[at] == "\\" and text[at + 1] in "\r\n")):
        at += 1
    if style == '"' and at < end and text[at] == "\\":
        return at, _escape_width(text, at)
    if at >= end or text[at] != char:
        return at, 0
    return at, 2 if style == "'" and char == "'" else 1


def _escape_width(text: str, at: int) -> int:
    return {"x": 4, "u": 6, "U": 10}.get(text[at + 1], 2)
