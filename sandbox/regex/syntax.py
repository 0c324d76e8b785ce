"""The syntax tree of a pattern, and the rewritings that are the same for every engine.

A tree is checked once, by `parser`; what stands here may rely on anchors being first or last.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from sandbox.regex.alphabet import ANY, Ranges, lower_preimage

Mode: TypeAlias = Literal["full", "search"]
"""`full`: the whole string is in the language (argument `pattern`). `search`: a part of it (`matches`)."""


class PatternError(ValueError):
    """A pattern is outside the dialect, or too large. `offset` counts code points from 0."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(f"{message} (at offset {offset} of the pattern)")
        self.message = message
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Chars:
    """One character out of `ranges`; of the empty set, nothing."""

    ranges: Ranges
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Begin:
    """`^`: the beginning of the text."""

    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class End:
    """`$`: the end of the text, not before a last newline."""

    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Concat:
    """One after the other; of nothing, the empty string."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """Any one of at least two options."""

    options: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """From `low` to `high` times (None: any number), both inclusive."""

    body: Node
    low: int
    high: int | None
    offset: int = field(default=0, compare=False)


Node: TypeAlias = Chars | Begin | End | Concat | Choice | Repeat

EMPTY: Final = Concat(())
ANYTHING: Final = Repeat(Chars(ANY), 0, None)


def language(node: Node, mode: Mode) -> Node:
    """An anchor-free tree: the whole strings that `node` accepts in this mode."""
    anchored = node if mode == "full" else _open_end(_open_beginning(node))
    return _flat(_without_anchors(anchored))


def lowered(node: Node) -> Node:
    """The tree of the strings that `lowerAscii` maps into `node`'s language."""
    match node:
        case Chars(ranges=ranges, offset=offset):
            return Chars(lower_preimage(ranges), offset)
        case Begin() | End():
            return node
        case Concat(items=items):
            return Concat(tuple(lowered(item) for item in items))
        case Choice(options=options):
            return Choice(tuple(lowered(option) for option in options))
        case Repeat(body=body, low=low, high=high, offset=offset):
            return Repeat(lowered(body), low, high, offset)


def _without_anchors(node: Node) -> Node:
    match node:
        case Chars():
            return node
        case Begin() | End():
            return EMPTY
        case Concat(items=items):
            return Concat(tuple(_without_anchors(item) for item in items))
        case Choice(options=options):
            return Choice(tuple(_without_anchors(option) for option in options))
        case Repeat():
            return node


def _open_beginning(node: Node) -> Node:
    """Anything may come before, except where `^` stands. Leaves no `^`."""
    match node:
        case Begin():
            return EMPTY
        case Choice(options=options) if _mentions(node, Begin):
            return Choice(tuple(_open_beginning(option) for option in options))
        case Concat(items=(first, *rest)) if _mentions(first, Begin):
            return Concat((_open_beginning(first), *rest))
        case _:
            return Concat((ANYTHING, node))


def _open_end(node: Node) -> Node:
    """Anything may come after, except where `$` stands. Leaves no `$`."""
    match node:
        case End():
            return EMPTY
        case Choice(options=options) if _mentions(node, End):
            return Choice(tuple(_open_end(option) for option in options))
        case Concat(items=(*rest, last)) if _mentions(last, End):
            return Concat((*rest, _open_end(last)))
        case _:
            return Concat((node, ANYTHING))


def _flat(node: Node) -> Node:
    """No sequence directly within another, and no empty one in any: Z3 proves more about `a b c` than `a (b ()) c`."""
    match node:
        case Concat(items=items):
            flat = tuple(part for item in items for part in _parts(_flat(item)))
            return flat[0] if len(flat) == 1 else Concat(flat)
        case Choice(options=options):
            return Choice(tuple(_flat(option) for option in options))
        case Repeat(body=body, low=low, high=high, offset=offset):
            return Repeat(_flat(body), low, high, offset)
        case _:
            return node


def _parts(node: Node) -> tuple[Node, ...]:
    return node.items if isinstance(node, Concat) else (node,)


def _mentions(node: Node, anchor: type[Begin | End]) -> bool:
    match node:
        case Concat(items=parts) | Choice(options=parts):
            return any(_mentions(part, anchor) for part in parts)
        case _:
            return isinstance(node, anchor)
