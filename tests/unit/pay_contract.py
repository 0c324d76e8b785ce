"""A small contract, built by hand: a budget, a quorum, a list, a text, and a tool without rules."""

from __future__ import annotations

from types import MappingProxyType

from sandbox.call import Call, Value
from sandbox.ir import (
    Add,
    And,
    Arg,
    Argument,
    Assignment,
    Bound,
    Const,
    Contains,
    Contract,
    DecimalSort,
    DecimalType,
    EnumSort,
    Eq,
    Exists,
    Fact,
    Has,
    IntSort,
    Le,
    ListSort,
    ListType,
    Lt,
    Rule,
    Size,
    State,
    StringSort,
    StringType,
    TextSort,
    TextType,
    Tool,
    Variable,
)

CENTS = DecimalSort(2)
AMOUNT, SENT = Arg("amount", CENTS), State("sent", CENTS)
NAME = StringType(None, 0, 4096)
PAY = Tool(
    "pay",
    (
        Argument("amount", DecimalType(2, 1, 100_000_000)),
        Argument("to", ListType(NAME, 0, 3, unique=False)),
        Argument("note", TextType(140), optional=True),
    ),
    (
        Rule("over", "deny", Lt(Const(500_000, CENTS), Add(SENT, AMOUNT)), text="state.sent + args.amount > 5000.00"),
        Rule("long", "deny", And((Has("note"), Lt(Const(5, IntSort()), Size(Arg("note", TextSort())))))),
        Rule(
            "odd",
            "deny",
            Exists(
                Bound("x", StringSort()),
                Arg("to", ListSort(StringSort(), 3)),
                Contains(Bound("x", StringSort()), Const("\\u{61}", StringSort())),
            ),
        ),
        Rule("small", "allow", Le(AMOUNT, Const(100_000, CENTS)), reason="small amounts go through"),
        Rule("person", "ask", Lt(Const(100_000, CENTS), AMOUNT), approvers=2, expires_ms=60_000),
    ),
    (Assignment("sent", Add(SENT, AMOUNT)),),
)
TOOLS = EnumSort(("pay", "other", "shut"))
OTHER = Tool("other", (), (Rule("me", "allow", Eq(Fact("tool", TOOLS), Const("other", TOOLS))),))
CONTRACT = Contract("c", (PAY, OTHER, Tool("shut", (), ())), (Variable("sent", CENTS, 0),))


def call(tool: str = "pay", **args: Value) -> Call:
    full = {"to": ("a",), **args} if tool == "pay" else args
    return Call(tool, MappingProxyType(full), "{}", "0" * 64)
