"""What the prover has obligations for. A contract that says anything else is not proved, rather than proved in part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from typing import Final

from sandbox.errors import Fault
from sandbox.ir import Assignment, Contract, Period, Property, Rule, Tool, Variable

IN_PROOFS: Final[dict[type, frozenset[str]]] = {
    Contract: frozenset({"name", "tools", "variables", "session"}),
    Tool: frozenset({"name", "arguments", "rules", "then", "on_success"}),
    Rule: frozenset({"id", "kind", "when"}),
    Variable: frozenset({"name", "sort", "initial", "period", "scope", "key"}),
    Assignment: frozenset({"variable", "value", "key"}),
    Period: frozenset({"kind", "length_ms"}),
    Property: frozenset(
        {"id", "kind", "condition", "tools", "mentions_decision", "ceilings", "newly", "before", "same"}
    ),
}
"""The fields that obligations are made of."""

NO_MATTER: Final = frozenset(
    {
        "after",
        "approvers",
        "changes",
        "description",
        "effects",
        "expires_ms",
        "extends",
        "file",
        "max_size",
        "owner",
        "place",
        "reason",
        "require_proofs",
        "returns",
        "run",
        "server",
        "text",
        "why",
    }
)
"""Fields that change neither a verdict of this spec nor its state, or (`max_size`) only turn a verdict into deny.

What `extends` names judges for itself, and can only be stricter.
"""


def check_supported(contract: Contract, subject: Property) -> None:
    """Raise Fault where the contract or the property uses a field that no obligation is made of."""
    specs = (contract, *subject.ceilings)
    for node in (subject, *(node for each in specs for node in _nodes(each))):
        for each in fields(node):  # type: ignore[arg-type]  # every node is a dataclass
            known = each.name in IN_PROOFS[type(node)] or each.name in NO_MATTER
            if not known and getattr(node, each.name) != _default(each):
                message = f"`{each.name}` of a {type(node).__name__.lower()} is not in the prover's obligations"
                raise Fault(message, "fault.unsupported")


def _nodes(contract: Contract) -> Iterator[object]:
    yield contract
    yield from contract.variables
    yield from (variable.period for variable in contract.variables if variable.period is not None)
    for tool in contract.tools:
        yield tool
        yield from tool.rules
        yield from tool.then
        yield from tool.on_success


def _default(each: Field[object]) -> object:
    return each.default_factory() if each.default_factory is not MISSING else each.default
