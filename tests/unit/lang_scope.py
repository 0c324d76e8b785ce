"""Names for tests of expressions: one argument of each type, a state, and constants."""

from __future__ import annotations

from sandbox.ir import (
    Argument,
    BoolType,
    DecimalSort,
    DecimalType,
    EnumSort,
    EnumType,
    Expr,
    IntSort,
    IntType,
    ListType,
    PathType,
    Sort,
    StringType,
    TextType,
    Variable,
)
from sandbox.lang import Digits, Items, Scope, SourceText, Word, compile_expression

ARGUMENTS = {
    argument.name: argument
    for argument in (
        Argument("n", IntType(-100, 100)),
        Argument("m", IntType(0, 9)),
        Argument("amount", DecimalType(2, 1, None)),
        Argument("fee", DecimalType(4, None, None)),
        Argument("s", StringType(None, 0, 50)),
        Argument("p", PathType(None)),
        Argument("e", EnumType(("low", "high"))),
        Argument("xs", ListType(StringType(None, 0, 9), 0, 4, unique=False)),
        Argument("ys", ListType(StringType(None, 0, 9), 2, 4, unique=False)),
        Argument("ks", ListType(IntType(0, 9), 0, 4, unique=False)),
        Argument("note", TextType(140)),
        Argument("os", StringType(None, 0, 5), optional=True),
        Argument("b", BoolType()),
    )
}

SCOPE = Scope(
    tools=("send", "other"),
    arguments={"send": ARGUMENTS},
    state={
        "sum": Variable("sum", DecimalSort(2), 0),
        "phase": Variable("phase", EnumSort(("open", "shut")), "open"),
        "count": Variable("count", IntSort(), 0),
    },
    constants={"trusted": Items((Word("a"), Word("b"))), "cap": Digits(500_000, 2), "host": Word("h")},
    tool="send",
)


def lowered(text: str, expected: Sort | None = None, scope: Scope = SCOPE) -> Expr:
    """The IR of an expression."""
    return compile_expression(SourceText.of(text, "spec.yaml"), scope, expected)
