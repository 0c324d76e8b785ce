"""The language of expressions: source text -> typed IR, every refusal with file, line and column.

A statically typed, total subset of CEL (https://cel.dev) with exact decimals. Whatever is outside of it is refused.
"""

from __future__ import annotations

from sandbox.errors import SpecError
from sandbox.ir import Expr, Sort, Variable
from sandbox.lang import check, syntax
from sandbox.lang.paths import Path, path_of
from sandbox.lang.scope import Constant, Digits, Items, Scope, Time, Truth, Word
from sandbox.lang.source import Refused, SourceFile, SourceText

__all__ = [
    "Constant",
    "Digits",
    "Items",
    "Scope",
    "SourceFile",
    "SourceText",
    "Time",
    "Truth",
    "Word",
    "compile_change",
    "compile_expression",
    "compile_target",
    "read_path",
]


def compile_change(source: SourceText, scope: Scope, variable: Variable) -> Expr:
    """The typed IR of what `then` makes of a set: itself, with items that come and go.

    Raises as `compile_expression`.
    """
    try:
        return check.lower_change(syntax.parse(source.text), source, scope, variable)
    except Refused as refused:
        raise SpecError((source.problem(refused.offset, refused.message),)) from None


def compile_target(source: SourceText, scope: Scope) -> tuple[str, Expr | None]:
    """The variable that a key of `then` names, and of an entry of a map its key. Raises as `compile_expression`."""
    try:
        return check.lower_target(syntax.parse(source.text), source, scope)
    except Refused as refused:
        raise SpecError((source.problem(refused.offset, refused.message),)) from None


def read_path(source: SourceText) -> Path | None:
    """The names of `a.b.c`, None where the text is another expression. Raises as `compile_expression`."""
    try:
        return path_of(syntax.parse(source.text), {})
    except Refused as refused:
        raise SpecError((source.problem(refused.offset, refused.message),)) from None


def compile_expression(source: SourceText, scope: Scope, expected: Sort | None) -> Expr:
    """The typed IR of an expression, at exactly the sort `expected` where one is given.

    Raises SpecError with one problem, at its place in the file, for everything that LANGUAGE does not allow.
    """
    try:
        return check.lower(syntax.parse(source.text), source, scope, expected)
    except Refused as refused:
        raise SpecError((source.problem(refused.offset, refused.message),)) from None
