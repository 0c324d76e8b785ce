"""Access paths in source text: `args.r.x`, `x.host`, `args.xs[0].y`.

No name in an expression shadows another, and nothing changes while it is evaluated: what a condition establishes of a
path holds wherever the same path stands behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from sandbox.lang.scope import Constant, Digits, Items, Scalar, Time, Truth, Word
from sandbox.lang.syntax import Boolean, Item, Listing, Name, Node, Number, Select, String

Path: TypeAlias = tuple[str | int, ...]


def path_of(node: Node, constants: Mapping[str, Constant]) -> Path | None:
    """The path that a node is: a name, then fields and constant positions; None of anything else."""
    match node:
        case Name(text=name):
            return (name,)
        case Select(operand=operand, field=field):
            of = path_of(operand, constants)
            return None if of is None else (*of, field)
        case Item(operand=operand, index=index):
            of, position = path_of(operand, constants), plain_constant(index, constants)
            if of is None or not isinstance(position, Digits) or position.digits:
                return None
            return (*of, position.value)
        case _:
            return None


def plain_constant(node: Node, constants: Mapping[str, Constant]) -> Constant | None:
    """The constant that a node is on the face of it."""
    match node:
        case Number(value=value, digits=digits):
            return Digits(value, digits)
        case String(value=text):
            return Word(text)
        case Boolean(value=truth):
            return Truth(truth)
        case Name(text=name):
            return constants.get(name)
        case Listing(items=items):
            found = [plain_constant(item, constants) for item in items]
            scalars: tuple[Scalar, ...] = tuple(
                item for item in found if isinstance(item, Digits | Word | Truth | Time)
            )
            return Items(scalars) if len(scalars) == len(items) else None
        case _:
            return None
