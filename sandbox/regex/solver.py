r"""Patterns and string constants as Z3 terms. Importing this module imports z3; the package does so on first use.

Strings go in and out by code points: z3's own string literals and printed models interpret `\u{..}` escapes.
Every term is held in a variable while another is built from it: Z3 frees what no Python object holds.
"""

from __future__ import annotations

import ctypes
import sys
from itertools import groupby
from typing import Final, Literal, TypeAlias

import z3

from sandbox.regex.alphabet import MAX_CODE_POINT, SURROGATES, Ranges, complement, union
from sandbox.regex.atoms import Atom, pattern_tree
from sandbox.regex.parser import parse
from sandbox.regex.syntax import (
    ANYTHING,
    EMPTY,
    Begin,
    Chars,
    Choice,
    Concat,
    End,
    Mode,
    Node,
    Repeat,
    language,
    lowered,
)

LiteralWhere: TypeAlias = Literal["is", "starts", "ends", "contains"]

NOT_IN_PATHS: Final = union((0x00, 0x1F), (0x7F, 0x9F), (ord("\\"), ord("\\")), SURROGATES)
"""C0, DEL, C1, backslash, and what no string has."""

_CODE_POINTS: Final = f"utf-32-{sys.byteorder[0]}e"
"""Four bytes a code point, as this machine orders them."""

_BITS: Final = 63
"""Of an integer that Z3 takes as one."""

_SLASH: Final = (ord("/"), ord("/"))
_DOT: Final = (ord("."), ord("."))


def to_z3(text: str, *, mode: Mode, lower: bool = False, ctx: z3.Context) -> z3.ReRef:
    """The pattern's language: `InRe(s, it)` iff the matcher of this mode accepts s, for s up to U+2FFFF.

    With `lower`, iff the matcher accepts `lowerAscii(s)`. Raises PatternError for a text outside the dialect.
    """
    node = parse(text)
    return re_of(language(lowered(node) if lower else node, mode), ctx)


def atom_re(atom: Atom, ctx: z3.Context) -> z3.ReRef:
    """The atom's language: `InRe(s, it)` iff `atoms.accepts(atom)(s)`."""
    if atom.where == "matches":
        return re_of(pattern_tree(atom), ctx)
    return literal_re(atom.text, where=atom.where, lower=atom.lower, ctx=ctx)


def literal_re(part: str, *, where: LiteralWhere, lower: bool = False, ctx: z3.Context) -> z3.ReRef:
    """The strings that are, start with, end with or contain `part`; with `lower`, those whose `lowerAscii` does."""
    constant = Concat(tuple(Chars(((ord(char), ord(char)),)) for char in part))
    node = lowered(constant) if lower else constant
    match where:
        case "is":
            return re_of(node, ctx)
        case "starts":
            return re_of(Concat((node, ANYTHING)), ctx)
        case "ends":
            return re_of(Concat((ANYTHING, node)), ctx)
        case "contains":
            return re_of(Concat((ANYTHING, node, ANYTHING)), ctx)


def path_language(ctx: z3.Context, under: str | None = None) -> z3.ReRef:  # noqa: ARG001  # see the docstring
    """The canonical paths that `parse` produces: `/`, or `/` before each segment; none is `.` or `..`.

    A segment has no NUL, control character (C0, DEL, C1) or backslash. `under` changes nothing: it is where relative
    input is taken to, and absolute input may lie anywhere. The limits of 4,096 and 255 bytes are left out, so the
    language is larger than what `parse` lets through, never smaller.
    """
    return re_of(canonical_paths(), ctx)


def canonical_paths() -> Node:
    """`path_language` as a syntax tree."""
    allowed = Chars(complement(union(*NOT_IN_PATHS, _SLASH)))
    no_dot = Chars(complement(union(*NOT_IN_PATHS, _SLASH, _DOT)))
    slash, dot = Chars((_SLASH,)), Chars((_DOT,))
    beginning = Choice((no_dot, Concat((dot, no_dot)), Concat((dot, dot, allowed))))
    segment = Concat((slash, beginning, Repeat(allowed, 0, None)))
    return Choice((slash, Repeat(segment, 1, None)))


def z3_string(text: str, ctx: z3.Context) -> z3.SeqRef:
    """The constant of exactly these code points. Raises ValueError above U+2FFFF, where the theory ends."""
    size = len(text)
    if size and ord(max(text)) > MAX_CODE_POINT:
        message = f"U+{ord(max(text)):X} is outside of the solver's theory of strings"
        raise ValueError(message)
    contents = (ctypes.c_uint32 * size).from_buffer_copy(text.encode(_CODE_POINTS, "surrogatepass"))
    return z3.SeqRef(z3.Z3_mk_u32string(ctx.ref(), size, contents), ctx)


def z3_integer(value: int, ctx: z3.Context) -> z3.ArithRef:
    """The constant of this integer, by the shortest way for those of 64 bits."""
    if value.bit_length() > _BITS:
        return z3.IntVal(value, ctx)
    sort = z3.Z3_mk_int_sort(ctx.ref())
    return z3.IntNumRef(z3.Z3_mk_int64(ctx.ref(), value, sort), ctx)


def python_string(term: z3.SeqRef) -> str:
    """The code points of a string constant, such as a model's value. Raises ValueError for any other term."""
    if not z3.is_string_value(term):
        message = "the term is not a string constant; ask the model with `model_completion=True`"
        raise ValueError(message)
    size = z3.Z3_get_string_length(term.ctx_ref(), term.as_ast())
    contents = (ctypes.c_uint * size)()
    z3.Z3_get_string_contents(term.ctx_ref(), term.as_ast(), size, contents)
    return "".join(chr(point) for point in contents)


def re_of(node: Node, ctx: z3.Context) -> z3.ReRef:
    """The language of an anchor-free tree."""
    match node:
        case Chars(ranges=ranges):
            return _characters(ranges, ctx)
        case Begin() | End():
            message = "an anchor has no language of its own; take `language` first"
            raise ValueError(message)
        case Concat(items=items):
            return _concat(items, ctx)
        case Choice(options=options):
            return _union([re_of(option, ctx) for option in options], ctx)
        case Repeat() if node == ANYTHING:
            sort = _sort(ctx)
            return z3.ReRef(z3.Z3_mk_re_full(ctx.ref(), sort.ast), ctx)
        case Repeat(body=body, low=low, high=high):
            return _repeat(body, low, high, ctx)


def _characters(ranges: Ranges, ctx: z3.Context) -> z3.ReRef:
    if ranges == ((0, MAX_CODE_POINT),):
        sort = _sort(ctx)
        return z3.ReRef(z3.Z3_mk_re_allchar(ctx.ref(), sort.ast), ctx)
    return _union([_range(low, high, ctx) for low, high in ranges], ctx)


def _range(low: int, high: int, ctx: z3.Context) -> z3.ReRef:
    first = z3_string(chr(low), ctx)
    if low == high:
        return _constant(first, ctx)
    last = z3_string(chr(high), ctx)
    return z3.ReRef(z3.Z3_mk_re_range(ctx.ref(), first.ast, last.ast), ctx)


def _concat(items: tuple[Node, ...], ctx: z3.Context) -> z3.ReRef:
    """Neighbouring single characters become one constant, which Z3 follows faster."""
    parts = []
    for literal, group in groupby(items, key=_is_literal):
        if literal:
            text = "".join(chr(item.ranges[0][0]) for item in group if isinstance(item, Chars))
            parts.append(_constant(z3_string(text, ctx), ctx))
        else:
            parts.extend(re_of(item, ctx) for item in group)
    if not parts:
        return _constant(z3_string("", ctx), ctx)
    return parts[0] if len(parts) == 1 else z3.Concat(*parts)


def _is_literal(node: Node) -> bool:
    return isinstance(node, Chars) and len(node.ranges) == 1 and node.ranges[0][0] == node.ranges[0][1]


def _repeat(body: Node, low: int, high: int | None, ctx: z3.Context) -> z3.ReRef:
    """Z3's `loop` with an upper bound of 0 means no bound, so that no bound and a bound of 0 are written apart."""
    if high == 0:
        return re_of(EMPTY, ctx)
    inner = re_of(body, ctx)
    match low, high:
        case 0, None:
            return z3.Star(inner)
        case 1, None:
            return z3.Plus(inner)
        case _, None:
            exact = z3.ReRef(z3.Z3_mk_re_loop(ctx.ref(), inner.ast, low, low), ctx)
            return z3.Concat(exact, z3.Star(inner))
        case 0, 1:
            return z3.Option(inner)
        case _:
            return z3.ReRef(z3.Z3_mk_re_loop(ctx.ref(), inner.ast, low, high), ctx)


def _union(parts: list[z3.ReRef], ctx: z3.Context) -> z3.ReRef:
    if not parts:
        sort = _sort(ctx)
        return z3.ReRef(z3.Z3_mk_re_empty(ctx.ref(), sort.ast), ctx)
    return parts[0] if len(parts) == 1 else z3.Union(*parts)


def _constant(text: z3.SeqRef, ctx: z3.Context) -> z3.ReRef:
    return z3.ReRef(z3.Z3_mk_seq_to_re(ctx.ref(), text.ast), ctx)


def _sort(ctx: z3.Context) -> z3.ReSortRef:
    return z3.ReSort(z3.StringSort(ctx))
