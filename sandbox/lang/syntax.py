"""Text of an expression -> syntax tree. What it means, and whether it means anything, is `check`'s part.

Every node has its span, offsets of characters in the text. No node is deeper than `MAX_DEPTH`, so everything
behind may recurse.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, replace
from importlib import resources
from typing import Final, TypeAlias

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedToken

from sandbox.lang import literals
from sandbox.lang.source import Refused, shown

MAX_LENGTH: Final = 16 * 1024
"""Characters of an expression: a rule that needs more is a list in `define`."""

MAX_DEPTH: Final = 64
"""Nesting of an expression: far from any recursion limit, in us and in the solver."""

RESERVED: Final = frozenset({
    "as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop",
    "namespace", "null", "package", "return", "true", "var", "void", "while",
})  # fmt: skip
"""CEL's reserved words: no name may be one of them."""


@dataclass(frozen=True, slots=True)
class Span:
    """From the first character to behind the last one."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Number:
    """A number literal: `value` without its point, `digits` behind the point."""

    value: int
    digits: int
    span: Span
    depth: int = 1


@dataclass(frozen=True, slots=True)
class String:
    """A string literal; `offsets[i]` is where character i stands in the expression."""

    value: str
    offsets: tuple[int, ...]
    span: Span
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Boolean:
    """`true` or `false`."""

    value: bool
    span: Span
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Listing:
    """`[a, b, c]`."""

    items: tuple[Node, ...]
    span: Span
    depth: int


@dataclass(frozen=True, slots=True)
class Name:
    """A name that stands alone."""

    text: str
    span: Span
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Select:
    """`operand.field`."""

    operand: Node
    field: str
    field_span: Span
    span: Span
    depth: int


@dataclass(frozen=True, slots=True)
class Item:
    """`operand[index]`."""

    operand: Node
    index: Node
    span: Span
    depth: int


@dataclass(frozen=True, slots=True)
class Apply:
    """`function(arguments)`, or `receiver.function(arguments)`."""

    receiver: Node | None
    function: str
    function_span: Span
    arguments: tuple[Node, ...]
    span: Span
    depth: int


@dataclass(frozen=True, slots=True)
class Unary:
    """`!operand` or `-operand`."""

    operator: str
    operand: Node
    span: Span
    depth: int


@dataclass(frozen=True, slots=True)
class Binary:
    """`left operator right`: relations, `in`, arithmetic."""

    operator: str
    operator_span: Span
    left: Node
    right: Node
    span: Span
    depth: int


@dataclass(frozen=True, slots=True)
class AllOf:
    """`a && b && ...`."""

    operands: tuple[Node, ...]
    span: Span
    depth: int


@dataclass(frozen=True, slots=True)
class AnyOf:
    """`a || b || ...`."""

    operands: tuple[Node, ...]
    span: Span
    depth: int


@dataclass(frozen=True, slots=True)
class Choice:
    """`condition ? then : otherwise`."""

    condition: Node
    then: Node
    otherwise: Node
    span: Span
    depth: int


Node: TypeAlias = (
    Number | String | Boolean | Listing | Name | Select | Item | Apply | Unary | Binary | AllOf | AnyOf | Choice
)


def parse(text: str) -> Node:
    """The syntax tree of `text`. Raises Refused at the offset of what is no syntax of this language."""
    if len(text) > MAX_LENGTH:
        raise Refused(MAX_LENGTH, f"an expression has at most {MAX_LENGTH} characters; move lists to `define`")
    if not text.strip():
        raise Refused(0, "an expression is missing here; write one, such as `true`")
    try:
        tree = _parser().parse(text)
    except UnexpectedCharacters as error:
        raise _unexpected(text, error.pos_in_stream or 0) from None
    except UnexpectedToken as error:
        token = error.token
        offset = len(text.rstrip()) if token.type == "$END" else token.start_pos
        raise _unexpected(text, offset or 0) from None
    return tree  # type: ignore[return-value]  # the transformer in the parser makes our nodes of lark's trees


_HINTS: Final = (
    ("&&", "something is missing before it"),
    ("||", "something is missing before it"),
    ("=", "equality is written `==`"),
    ("&", "`and` is written `&&`"),
    ("|", "`or` is written `||`"),
    ("and ", "`and` is written `&&`"),
    ("or ", "`or` is written `||`"),
    ("is ", "equality is written `==`"),
    ("{", "map and struct literals are not in the language"),
    ("'", "this string is not closed; end it with the same quote"),
    ('"', "this string is not closed; end it with the same quote"),
    ("(", "a function is called by its name alone"),
)
_HINTS_BEFORE: Final = (
    ("/", "/", "comments are not in the language; use a `#` comment of YAML"),
    ("*", "*", "there is no power; multiply by a constant"),
    ("not ", "", "`not` is written `!`"),
)


def _unexpected(text: str, offset: int) -> Refused:
    if offset >= len(text):
        return Refused(offset, "the expression ends too early; something is missing behind it")
    word = re.compile(r"\w+|&&|\|\||.", re.DOTALL).match(text, offset)
    return Refused(offset, f"{shown(word[0] if word else '')} cannot stand here; {_hint(text, offset)}")


def _hint(text: str, offset: int) -> str:
    for before, sign, remedy in _HINTS_BEFORE:
        if text.endswith(before, 0, offset) and text.startswith(sign, offset):
            return remedy
    found = (remedy for sign, remedy in _HINTS if text.startswith(sign, offset))
    return next(found, "check the operator or bracket before it")


@functools.cache
def _parser() -> Lark:
    grammar = resources.files("sandbox.lang").joinpath("grammar.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", lexer="basic", transformer=_Build(), maybe_placeholders=False)


def _deeper(span: Span, *nodes: Node) -> int:
    depth = 1 + max((node.depth for node in nodes), default=0)
    if depth > MAX_DEPTH:
        raise Refused(
            span.start, f"an expression is nested at most {MAX_DEPTH} deep; split it or move parts to `define`"
        )
    return depth


def _over(first: Node | Token, last: Node | Token) -> Span:
    return Span(_span(first).start, _span(last).end)


def _span(part: Node | Token) -> Span:
    if isinstance(part, Token):
        return Span(part.start_pos or 0, part.end_pos or 0)
    return part.span


class _Build(Transformer[Token, "Node"]):
    """One method for each alias of the grammar; called while parsing, innermost first, so nothing recurses."""

    def start(self, parts: list[Node]) -> Node:
        return parts[0]

    def ternary(self, parts: list[Node]) -> Node:
        condition, then, otherwise = parts
        span = _over(condition, otherwise)
        return Choice(condition, then, otherwise, span, _deeper(span, *parts))

    def any_of(self, parts: list[Node]) -> Node:
        span = _over(parts[0], parts[-1])
        return AnyOf(tuple(parts), span, _deeper(span, *parts))

    def all_of(self, parts: list[Node]) -> Node:
        span = _over(parts[0], parts[-1])
        return AllOf(tuple(parts), span, _deeper(span, *parts))

    def binary(self, parts: tuple[Node, Token, Node]) -> Node:
        left, operator, right = parts
        span = _over(left, right)
        return Binary(str(operator), _span(operator), left, right, span, _deeper(span, left, right))

    def unary(self, parts: list[Node | Token]) -> Node:
        *operators, operand = parts
        node: Node = operand  # type: ignore[assignment]  # the grammar: tokens, then one node
        for operator in reversed(operators):
            span = _over(operator, node)
            node = Unary(str(operator), node, span, _deeper(span, node))
        return node

    def select(self, parts: tuple[Node, Token]) -> Node:
        operand, field = parts
        span = _over(operand, field)
        return Select(operand, str(field), _span(field), span, _deeper(span, operand))

    def method(self, parts: list[Node | Token | list[Node]]) -> Node:
        return self._apply(parts[0], parts[1:])  # type: ignore[arg-type]  # the grammar: a node, then as in `call`

    def call(self, parts: list[Token | list[Node]]) -> Node:
        return self._apply(None, parts)

    def _apply(self, receiver: Node | None, parts: list[Token | list[Node]]) -> Node:
        name, close = parts[0], parts[-1]
        arguments: list[Node] = parts[1] if len(parts) == 3 else []  # type: ignore[assignment]  # noqa: PLR2004 - name, arguments, bracket
        span = _over(receiver or name, close)  # type: ignore[arg-type]  # the grammar: both ends are tokens
        inner = (*arguments, receiver) if receiver else tuple(arguments)
        return Apply(receiver, str(name), _span(name), tuple(arguments), span, _deeper(span, *inner))  # type: ignore[arg-type]  # as above

    def index(self, parts: tuple[Node, Node, Token]) -> Node:
        operand, index, end = parts
        span = _over(operand, end)
        return Item(operand, index, span, _deeper(span, operand, index))

    def parenthesis(self, parts: tuple[Token, Node, Token]) -> Node:
        return replace(parts[1], span=_over(parts[0], parts[2]))

    def listing(self, parts: list[Token | list[Node]]) -> Node:
        items: list[Node] = parts[1] if len(parts) == 3 else []  # type: ignore[assignment]  # noqa: PLR2004 - brackets and items
        span = _over(parts[0], parts[-1])  # type: ignore[arg-type]  # the grammar: both ends are tokens
        return Listing(tuple(items), span, _deeper(span, *items))

    def arguments(self, parts: list[Node]) -> list[Node]:
        return parts

    def name(self, parts: list[Token]) -> Node:
        token = parts[0]
        if token in RESERVED:
            raise Refused(_span(token).start, f"{shown(token)} is a reserved word of CEL; use another name")
        return Name(str(token), _span(token))

    def number(self, parts: list[Token]) -> Node:
        span = _span(parts[0])
        value, digits = literals.number(str(parts[0]), span.start)
        return Number(value, digits, span)

    def string(self, parts: list[Token]) -> Node:
        span = _span(parts[0])
        value, offsets = literals.string(str(parts[0]), span.start)
        return String(value, offsets, span)

    def boolean(self, parts: list[Token]) -> Node:
        return Boolean(parts[0] == "true", _span(parts[0]))

    def null(self, parts: list[Token]) -> Node:
        raise Refused(
            _span(parts[0]).start, "`null` is not in the language; ask `has(args.x)` about an optional argument"
        )
