"""What a condition establishes for everything that stands behind it.

Only what LANGUAGE names counts: `has(args.x) &&`, a comparison of a list's size with a constant, and `tool == 'x'` or
`tool in [...]`, alone or joined by `&&`. It is read off the syntax; nothing is lowered twice. Arguments, fields and
elements are told apart by their whole access path.
"""

from __future__ import annotations

from typing import Final

from sandbox.lang.paths import Path, path_of, plain_constant
from sandbox.lang.scope import Digits, Items, Known, Scope, Word
from sandbox.lang.syntax import AllOf, Apply, Binary, Name, Node

RELATIONS: Final = frozenset({"==", "!=", "<", "<=", ">", ">="})

_MIRRORED: Final = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def established(node: Node, scope: Scope) -> Known:
    """What holds wherever the condition `node` is true. Names are what `scope` says, for quantifiers shadow none."""
    nothing = Known(tuple(scope.arguments))
    match node:
        case AllOf(operands=operands):
            together = nothing
            for operand in operands:
                together = together.also(established(operand, scope))
            return together
        case Apply(receiver=None, function="has", arguments=(of,)):
            path = path_of(of, scope.constants)
            return nothing if path is None else Known(nothing.tools, present=frozenset({path}))
        case Binary(left=Name(text="tool")) | Binary(right=Name(text="tool")) if scope.tool is not None:
            return nothing  # in a rule, `tool` is a constant and all arguments are that tool's
        case Binary(operator="==" | "in", left=Name(text="tool"), right=right):
            return Known(_named_tools(right, scope) or nothing.tools)
        case Binary(operator="==", left=left, right=Name(text="tool")):
            return Known(_named_tools(left, scope) or nothing.tools)
        case Binary(operator=operator) if operator in RELATIONS:
            return Known(nothing.tools, sizes=frozenset(_least_sizes(node, scope)))
        case _:
            return nothing


def _named_tools(node: Node, scope: Scope) -> tuple[str, ...]:
    match plain_constant(node, scope.constants):
        case Word(value=name):
            return (name,)
        case Items(items=items):
            return tuple(item.value for item in items if isinstance(item, Word))
        case _:
            return ()


def _least_sizes(node: Binary, scope: Scope) -> list[tuple[Path, int]]:
    for measured, other, operator in (
        (node.left, node.right, node.operator),
        (node.right, node.left, _MIRRORED[node.operator]),
    ):
        path = _measured(measured, scope)
        bound = plain_constant(other, scope.constants)
        if path is not None and isinstance(bound, Digits) and bound.digits == 0:
            return [(path, size) for size in _least(operator, bound.value)]
    return []


def _measured(node: Node, scope: Scope) -> Path | None:
    match node:
        case Apply(receiver=None, function="size", arguments=(of,)):
            return path_of(of, scope.constants)
        case Apply(receiver=of, function="size", arguments=()) if of is not None:
            return path_of(of, scope.constants)
        case _:
            return None


def _least(operator: str, bound: int) -> list[int]:
    match operator:
        case "==" | ">=":
            return [bound]
        case ">":
            return [bound + 1]
        case "!=" if bound == 0:
            return [1]
        case _:
            return []
