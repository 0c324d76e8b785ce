"""What a condition establishes for everything that stands behind it.

Only what LANGUAGE names counts: `has(args.x) &&`, a comparison of a list's size with a constant, and `tool == 'x'` or
`tool in [...]`, alone or joined by `&&`. It is read off the syntax; nothing is lowered twice.
"""

from __future__ import annotations

from typing import Final

from sandbox.lang.scope import Constant, Digits, Items, Known, Scope, Truth, Word
from sandbox.lang.syntax import AllOf, Apply, Binary, Listing, Name, Node, Number, Select, String

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
        case Apply(receiver=None, function="has", arguments=(Select(operand=Name(text="args"), field=name),)):
            return Known(nothing.tools, present=frozenset({name}))
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


def _plain_constant(node: Node, scope: Scope) -> Constant | None:
    match node:
        case Number(value=value, digits=digits):
            return Digits(value, digits)
        case String(value=text):
            return Word(text)
        case Name(text=name):
            return scope.constants.get(name)
        case Listing(items=items):
            found = [_plain_constant(item, scope) for item in items]
            scalars = tuple(item for item in found if isinstance(item, Digits | Word | Truth))
            return Items(scalars) if len(scalars) == len(items) else None
        case _:
            return None


def _named_tools(node: Node, scope: Scope) -> tuple[str, ...]:
    match _plain_constant(node, scope):
        case Word(value=name):
            return (name,)
        case Items(items=items):
            return tuple(item.value for item in items if isinstance(item, Word))
        case _:
            return ()


def _least_sizes(node: Binary, scope: Scope) -> list[tuple[str, int]]:
    for measured, other, operator in (
        (node.left, node.right, node.operator),
        (node.right, node.left, _MIRRORED[node.operator]),
    ):
        name = _measured(measured)
        bound = _plain_constant(other, scope)
        if name is not None and isinstance(bound, Digits) and bound.digits == 0:
            return [(name, size) for size in _least(operator, bound.value)]
    return []


def _measured(node: Node) -> str | None:
    match node:
        case Apply(receiver=None, function="size", arguments=(Select(operand=Name(text="args"), field=name),)):
            return name
        case Apply(receiver=Select(operand=Name(text="args"), field=name), function="size", arguments=()):
            return name
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
