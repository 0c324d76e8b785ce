"""The nodes of Z3 terms, read by the library's own functions: z3py makes several objects for each one that is passed.

A node is told by its address, which is its own as long as the term lives that it was found in.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from types import FunctionType
from typing import Final, NamedTuple, TypeAlias

import z3

Raw: TypeAlias = int
"""A node's address."""

_APPLIED: Final = (z3.Z3_APP_AST, z3.Z3_NUMERAL_AST)
_NUMBER: Final = ctypes.CFUNCTYPE(ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p)
_TRUTH: Final = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.c_void_p)
_NODE: Final = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
_CHILD: Final = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint)


def _address_of(function: FunctionType) -> int:
    """Where the library's own function is, which z3py's keeps as the default of its last argument."""
    (kept,) = function.__defaults__ or (None,)
    return int(ctypes.cast(kept.f, ctypes.c_void_p).value or 0)


_ast_kind: Final = _NUMBER(_address_of(z3.Z3_get_ast_kind))
_ast_id: Final = _NUMBER(_address_of(z3.Z3_get_ast_id))
_decl_kind: Final = _NUMBER(_address_of(z3.Z3_get_decl_kind))
_sort_kind: Final = _NUMBER(_address_of(z3.Z3_get_sort_kind))
_num_args: Final = _NUMBER(_address_of(z3.Z3_get_app_num_args))
_is_string: Final = _TRUTH(_address_of(z3.Z3_is_string))
_is_string_sort: Final = _TRUTH(_address_of(z3.Z3_is_string_sort))
_decl: Final = _NODE(_address_of(z3.Z3_get_app_decl))
_sort: Final = _NODE(_address_of(z3.Z3_get_sort))
_arg: Final = _CHILD(_address_of(z3.Z3_get_app_arg))


class Node(NamedTuple):
    """A node: its id, the kind of the function that it applies (None: it applies none), and what that is applied to."""

    ctx: z3.Context
    raw: Raw
    id: int
    kind: int | None
    children: tuple[Raw, ...]

    def child(self, position: int) -> Node:
        """What it is applied to at a position."""
        return node_of(self.children[position], self.ctx)

    def is_free(self) -> bool:
        """Whether it is a free constant."""
        return bool(self.kind == z3.Z3_OP_UNINTERPRETED and not self.children)

    def is_integer(self) -> bool:
        """Whether it is a literal integer."""
        return bool(self.kind == z3.Z3_OP_ANUM and self.sort_kind() == z3.Z3_INT_SORT)

    def is_text(self) -> bool:
        """Whether it is a literal string."""
        return not self.children and bool(_is_string(self.ctx.ref(), self.raw))

    def is_string(self) -> bool:
        """Whether it is a string of any kind."""
        at = self.ctx.ref()
        return bool(_is_string_sort(at, _sort(at, self.raw)))

    def sort_kind(self) -> int:
        """Of what kind its sort is."""
        return sort_kind_of(self.raw, self.ctx)

    def term(self) -> z3.ExprRef:
        """The term that it is, of the class of its sort."""
        node = z3.Ast(None)
        node.value = self.raw  # what z3py's constructor is given it does not keep
        return deepcopy(z3.ExprRef(node, self.ctx))


def raw_of(term: z3.ExprRef) -> Raw:
    """The node that a term is."""
    return int(term.as_ast().value or 0)


def sort_kind_of(raw: Raw, ctx: z3.Context) -> int:
    """Of what kind a node's sort is."""
    at = ctx.ref()
    return int(_sort_kind(at, _sort(at, raw)))


def node_of(raw: Raw, ctx: z3.Context) -> Node:
    """What is to be known of a node."""
    at = ctx.ref()
    if _ast_kind(at, raw) in _APPLIED:
        children = tuple([_arg(at, raw, position) for position in range(_num_args(at, raw))])
        return Node(ctx, raw, _ast_id(at, raw), _decl_kind(at, _decl(at, raw)), children)
    bound = Node(ctx, raw, _ast_id(at, raw), None, ())
    return bound._replace(children=tuple(raw_of(child) for child in bound.term().children()))


def _all(node: Node) -> Iterable[Raw]:
    return node.children


def nodes_in(terms: Iterable[z3.ExprRef], into: Callable[[Node], Iterable[Raw]] = _all) -> Iterator[Node]:
    """Each node of the terms, which are of one context, once: the last term first, each before what is in it.

    `into` is asked about each before it comes: it has the children that are gone into, the last of them first.
    """
    roots = list(terms)
    if not roots:
        return
    ctx = roots[0].ctx
    pending, seen = [raw_of(root) for root in roots], set[Raw]()
    while pending:
        raw = pending.pop()
        if raw not in seen:
            seen.add(raw)
            node = node_of(raw, ctx)
            pending += into(node)
            yield node
