"""What must come before: a `needs` as a `never` of a spec that keeps in mind whether it has come.

The spec is given one more state variable, which no rule of it reads: false at first, and true for ever once a call that
meets `before` has ended `ok`. It is one for everybody, whatever the principal and the session. A call that is still
running has not set it, nor has one that failed. As `before` reads nothing but the call's arguments, its tool and its
session, it is the same when the call ends as when it was judged.

With `same` only those calls count that have certain values, whatever these are: constants stand for them (`sameness`),
and the last call must have those values, too. One that lacks any of them is let through before everything.

A success that cannot be noted (its set is full) leaves the variable as it is here, and counts as having come in truth:
here fewer calls have come before, and what holds of every sequence here holds of those, too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sandbox import ir
from sandbox.errors import Fault
from sandbox.ir import (
    FALSE,
    VERDICTS,
    And,
    Assignment,
    BoolSort,
    Const,
    Contract,
    EnumSort,
    Eq,
    Expr,
    Fact,
    Not,
    Or,
    Property,
    State,
    Tool,
    Variable,
)
from sandbox.prove.focus import for_tool
from sandbox.prove.rewrite import rewritten
from sandbox.prove.sameness import equal, there

HAS_COME: Final = "has_come"
"""The name of the variable, as invariants that are found tell it; longer where the spec has one of that name."""

_VERDICT: Final = EnumSort(VERDICTS)


def remembering(contract: Contract, subject: Property) -> tuple[Contract, Property]:
    """The spec that remembers, and what must never be of it; what is no `needs` stays as it is."""
    if subject.kind != "needs":
        return contract, subject
    name = _unused(contract)
    come = State(name, BoolSort())
    tools = tuple(_noting(tool, come, earlier(contract, subject, tool)) for tool in contract.tools)
    denied = Eq(Fact("decision", _VERDICT), Const("deny", _VERDICT))
    never = And((subject.condition, Not(denied), _too_early(contract, subject, come)))
    watched = replace(contract, tools=tools, variables=(*contract.variables, Variable(name, BoolSort(), initial=False)))
    plain = replace(subject, kind="never", condition=never, mentions_decision=False, before=None, same=())
    return watched, plain


def before_of(subject: Property) -> Expr:
    """What must have come before. Raises Fault for a property that does not say it."""
    if subject.before is None:
        message = f"`{subject.id}` does not say what it needs"
        raise Fault(message)
    return subject.before


def name_of(before: Expr) -> str:
    """What the state keeps it under that a call has come: the same for an equal condition in another version of a spec.

    SHA-256 (hex) of the condition, whatever other values its enums have.
    """

    def change(part: Expr) -> Expr:
        sort = getattr(part, "sort", None)
        return replace(part, sort=EnumSort(())) if isinstance(sort, EnumSort) else part  # type: ignore[arg-type]  # as seen

    return ir.digest(rewritten(before, change))


def earlier(contract: Contract, subject: Property, tool: Tool) -> Expr:
    """Whether a call of the tool is one that must come before, with the values that the constants stand for."""
    condition = for_tool(before_of(subject), tool)
    if condition == FALSE or not subject.same:
        return condition
    values = (each for path in subject.same for each in (there(contract, tool, path), equal(contract, tool, path)))
    return And((condition, *values))


def _too_early(contract: Contract, subject: Property, come: State) -> Expr:
    """Whether no call has come that counts for this one, where the constants stand for its own values."""
    if not subject.same:
        return Not(come)
    names = EnumSort(tuple(tool.name for tool in contract.tools))
    ranged = [tool for tool in contract.tools if tool.name in subject.tools]
    meant = [tool for tool in ranged if for_tool(subject.condition, tool) != FALSE]
    return Or(
        tuple(
            And((Eq(Fact("tool", names), Const(tool.name, names)), _unready(contract, subject, tool, come)))
            for tool in meant
        )
    )


def _unready(contract: Contract, subject: Property, tool: Tool, come: State) -> Expr:
    whole = And(tuple(there(contract, tool, path) for path in subject.same))
    same = And(tuple(equal(contract, tool, path) for path in subject.same))
    return Or((Not(whole), And((whole, same, Not(come)))))


def _noting(tool: Tool, come: State, condition: Expr) -> Tool:
    """The tool whose success notes that the call was one to come before; the same, where none of its calls is."""
    if condition == FALSE:
        return tool
    return replace(tool, on_success=(*tool.on_success, Assignment(come.name, Or((come, condition)))))


def _unused(contract: Contract) -> str:
    name = HAS_COME
    while contract.variable(name) is not None:
        name = f"{name}_"
    return name
