"""What must come before: a `needs` as a `never` of a spec that keeps in mind whether it has come.

The spec is given one more state variable, which no rule of it reads: false at first, and true for ever once a call that
meets `before` has ended `ok`. It is one for everybody, whatever the principal and the session. A call that is still
running has not set it, nor has one that failed. As `before` reads nothing but the call's arguments, its tool and its
session, it is the same when the call ends as when it was judged.

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

HAS_COME: Final = "has_come"
"""The name of the variable, as invariants that are found tell it; longer where the spec has one of that name."""

_VERDICT: Final = EnumSort(VERDICTS)


def remembering(contract: Contract, subject: Property) -> tuple[Contract, Property]:
    """The spec that remembers, and what must never be of it; what is no `needs` stays as it is."""
    if subject.kind != "needs":
        return contract, subject
    name = _unused(contract)
    come = State(name, BoolSort())
    tools = tuple(_noting(tool, come, before_of(subject)) for tool in contract.tools)
    denied = Eq(Fact("decision", _VERDICT), Const("deny", _VERDICT))
    never = And((subject.condition, Not(denied), Not(come)))
    watched = replace(contract, tools=tools, variables=(*contract.variables, Variable(name, BoolSort(), initial=False)))
    return watched, replace(subject, kind="never", condition=never, mentions_decision=False, before=None)


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


def _noting(tool: Tool, come: State, before: Expr) -> Tool:
    """The tool whose success notes that the call was one to come before; the same, where none of its calls is."""
    condition = for_tool(before, tool)
    if condition == FALSE:
        return tool
    return replace(tool, on_success=(*tool.on_success, Assignment(come.name, Or((come, condition)))))


def _unused(contract: Contract) -> str:
    name = HAS_COME
    while contract.variable(name) is not None:
        name = f"{name}_"
    return name
