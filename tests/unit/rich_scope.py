"""Names for tests of expressions about times, records, URLs, command lines and the session."""

from __future__ import annotations

from sandbox.ir import (
    Argument,
    ArgvType,
    BoolType,
    DecimalType,
    DurationType,
    EmailType,
    EnumType,
    Expr,
    IntType,
    ListType,
    RecordType,
    ShellType,
    Sort,
    StringType,
    TextType,
    TimestampSort,
    TimestampType,
    UrlType,
    Variable,
)
from sandbox.lang import Digits, Items, Scope, SourceText, Word, compile_expression

INNER = RecordType((Argument("z", IntType(0, 9)), Argument("oz", IntType(0, 9), optional=True)))
LINE = RecordType(
    (
        Argument("sku", StringType(None, 0, 9)),
        Argument("price", DecimalType(2, 0, None)),
        Argument("note", StringType(None, 0, 9), optional=True),
        Argument("memo", TextType(99)),
        Argument("tags", ListType(StringType(None, 0, 9), 1, 3, unique=False)),
        Argument("inner", INNER, optional=True),
    )
)
ARGUMENTS = {
    argument.name: argument
    for argument in (
        Argument("when", TimestampType()),
        Argument("then", TimestampType(), optional=True),
        Argument("wait", DurationType()),
        Argument("n", IntType(-100, 100)),
        Argument("s", StringType(None, 0, 50)),
        Argument("b", BoolType()),
        Argument("r", LINE),
        Argument("o", LINE, optional=True),
        Argument("rs", ListType(LINE, 0, 3, unique=False)),
        Argument("u", UrlType(("https",))),
        Argument("us", ListType(UrlType(("https",)), 1, 3, unique=False)),
        Argument("m", EmailType()),
        Argument("ws", ListType(TimestampType(), 0, 3, unique=False)),
        Argument("argv", ArgvType(8)),
        Argument("cmd", ShellType(200)),
    )
}
SCOPE = Scope(
    tools=("t",),
    arguments={"t": ARGUMENTS},
    state={"last": Variable("last", TimestampSort(), 0)},
    constants={
        "start": Word("2026-01-01T00:00:00Z"),
        "programs": Items((Word("git"), Word("ls"))),
        "one": Digits(1, 0),
    },
    facts={"now": TimestampSort()},
    tool="t",
    session={
        "user": Argument("user", StringType(None, 0, 9)),
        "role": Argument("role", EnumType(("clerk", "boss"))),
        "limit": Argument("limit", DecimalType(2, None, None)),
        "since": Argument("since", TimestampType()),
    },
)


def lowered(text: str, expected: Sort | None = None, scope: Scope = SCOPE) -> Expr:
    """The IR of an expression."""
    return compile_expression(SourceText.of(text, "spec.yaml"), scope, expected)
