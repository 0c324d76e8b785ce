"""`'LABEL' in origin(args.x)`: what it takes, and that the label is one that a value can have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sandbox.ir import Arg, Expr, OriginHas
from sandbox.lang.operands import Here, Typed, kind
from sandbox.lang.scope import Known, Scope, Word
from sandbox.lang.source import Refused, shown
from sandbox.lang.suggest import near_miss
from sandbox.lang.syntax import Apply, Name, Node, Select

ORIGIN_USE: Final = "write `'LABEL' in origin(args.NAME)`"


def origin_has(label: Here, of: Apply, lower: Callable[[Node, Known], Here], known: Known, scope: Scope) -> Expr:
    """Whether the argument in `of`, a call of `origin`, has the label. Raises Refused."""
    if len(of.arguments) != 1:
        count = len(of.arguments)
        raise Refused(of.function_span.start, f"`origin` takes 1 argument, found {count}; {ORIGIN_USE}")
    argument = _argument(of.arguments[0], lower, known)
    match label.operand:
        case Word(value=name):
            pass
        case _:
            message = f"a label is a constant string, found {kind(label.operand)} {label.source}; {ORIGIN_USE}"
            raise Refused(label.start, message)
    if name not in scope.labels:
        raise Refused(label.start, f"{shown(name)} is no origin of this spec{near_miss(name, scope.labels)}")
    return OriginHas(argument, name)


def _argument(node: Node, lower: Callable[[Node, Known], Here], known: Known) -> str:
    """The name of the argument; an optional one must be known to be there, as everywhere."""
    match node:
        case Select(operand=Name(text="args")):
            here = lower(node, known)
        case _:
            message = f"`origin` takes an argument of the call as a whole; {ORIGIN_USE}"
            raise Refused(node.span.start, message)
    match here.operand:
        case Typed(expr=Arg(name=name)):
            return name
        case _:
            raise Refused(node.span.start, f"{here.source} is no argument of the call; {ORIGIN_USE}")
