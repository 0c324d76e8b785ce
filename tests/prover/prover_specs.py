"""Contracts and properties built by hand, in few words; and the prover run on them within this process."""

from __future__ import annotations

import time

from sandbox.decide import EnginePair, Evaluator
from sandbox.ir import (
    VERDICTS,
    Add,
    All,
    And,
    Arg,
    Argument,
    Assignment,
    BoolSort,
    Bound,
    Const,
    Contains,
    Contract,
    DecimalSort,
    DecimalType,
    EndsWith,
    EnumSort,
    EnumType,
    Eq,
    Exists,
    ExistsOne,
    Expr,
    Fact,
    Has,
    IntSort,
    IntType,
    Ite,
    Le,
    ListSort,
    ListType,
    Lower,
    Lt,
    Matches,
    Member,
    Mod,
    Not,
    Or,
    PathType,
    Period,
    Property,
    Rule,
    Size,
    StartsWith,
    State,
    StringSort,
    StringType,
    TextSort,
    TextType,
    Tool,
    Variable,
    sort_of,
)
from sandbox.prove.attempt import attempt
from sandbox.prove.crew import Reply
from sandbox.prove.findings import SolverChoice
from sandbox.prove.run import verdict_on
from sandbox.prove.solve import Desk
from sandbox.prove.verdicts import Verdict

INT = IntSort()
BOOL = BoolSort()
STRING = StringSort()
DAY = 86_400_000
DECISION = Fact("decision", EnumSort(VERDICTS))
WORD = StringType(None, 0, 64)

__all__ = [
    "BOOL", "DAY", "DECISION", "INT", "STRING", "WORD", "Add", "All", "And", "Arg", "Argument", "Assignment", "Bound",
    "Const", "Contains", "Contract", "DecimalSort", "DecimalType", "EndsWith", "EnumSort", "EnumType", "Eq", "Exists",
    "ExistsOne", "Expr", "Fact", "Has", "IntType", "Ite", "Le", "ListSort", "ListType", "Lower", "Lt", "Matches",
    "Member", "Mod", "Not", "Or", "PathType", "Period", "Property", "Rule", "Size", "StartsWith", "State", "StringType",
    "TextSort", "TextType", "Tool", "Variable", "allow", "always", "arg", "argument", "ask", "boolean", "contract",
    "decided", "deny", "is_decided", "never", "number", "possible", "settled", "state", "then", "tool", "variable",
    "word",
]  # fmt: skip


def number(value: int) -> Const:
    return Const(value, INT)


def word(value: str) -> Const:
    return Const(value, STRING)


def boolean(value: bool) -> Const:
    return Const(value, BOOL)


def argument(name: str, type_: object = None, *, optional: bool = False) -> Argument:
    return Argument(name, type_ or IntType(0, 1_000), optional)


def arg(declared: Argument) -> Arg:
    return Arg(declared.name, sort_of(declared.type))


def variable(name: str, initial: bool | int | str = 0, sort: object = None, period: Period | None = None) -> Variable:
    chosen = sort or (BOOL if isinstance(initial, bool) else INT)
    return Variable(name, chosen, initial, period)


def state(declared: Variable) -> State:
    return State(declared.name, declared.sort)


def then(declared: Variable, value: Expr) -> Assignment:
    return Assignment(declared.name, value)


def allow(when: Expr, name: str = "allowed") -> Rule:
    return Rule(name, "allow", when)


def ask(when: Expr, name: str = "asked") -> Rule:
    return Rule(name, "ask", when)


def deny(when: Expr, name: str = "denied") -> Rule:
    return Rule(name, "deny", when)


def tool(name: str, args: tuple[Argument, ...], rules: tuple[Rule, ...], *writes: Assignment) -> Tool:
    return Tool(name, args, rules, writes)


def contract(tools: tuple[Tool, ...], *variables: Variable) -> Contract:
    return Contract("example", tools, variables)


def is_decided(verdict: str) -> Eq:
    return Eq(DECISION, Const(verdict, DECISION.sort))


def never(tools: str, *conditions: Expr, decision: str | None = None) -> Property:
    asked = () if decision is None else (is_decided(decision),)
    return Property("p", "never", And((*conditions, *asked)), tuple(tools.split()), bool(asked))


def possible(tools: str, *conditions: Expr, decision: str | None = "allow") -> Property:
    asked = () if decision is None else (is_decided(decision),)
    return Property("p", "possible", And((*conditions, *asked)), tuple(tools.split()), bool(asked))


def always(condition: Expr, name: str = "p") -> Property:
    return Property(name, "always", condition)


def decided(
    spec: Contract,
    subject: Property,
    *others: Expr,
    seconds: float = 60.0,
    choice: SolverChoice = "z3",
    rlimit: int | None = None,
) -> Verdict:
    """The verdict of an attempt in this process, its sequences replayed by the evaluator."""
    desk = Desk(choice, time.monotonic() + seconds)
    if rlimit is not None:
        desk.rlimit = rlimit
    return settled(spec, subject, Reply(attempt(spec, subject, others, desk), desk.spent, 0))


def settled(spec: Contract, subject: Property, reply: Reply) -> Verdict:
    return verdict_on(spec, EnginePair(Evaluator(spec), None), subject, reply)
