"""`flow`: which values must not come to which argument, as a `never` about the origins of a call."""

from __future__ import annotations

from typing import Final

from sandbox.errors import SpecError
from sandbox.ir import VERDICTS, And, Const, Contract, EnumSort, Eq, Expr, Fact, Has, Or, OriginHas, Tool
from sandbox.lang import SourceText, read_path
from sandbox.lang.source import Problems, shown
from sandbox.lang.suggest import near_miss
from sandbox.origins import labels_of
from sandbox.spec.model import FlowSpec

TO: Final = "`to` is an argument of the call as a whole; write `args.NAME`"


def argument_in(source: SourceText, problems: Problems) -> str | None:
    """The name of the argument that `to` says, None where it says none; what is wrong is noted."""
    try:
        path = read_path(source)
    except SpecError as error:
        for problem in error.problems:
            problems.add(problem)
        return None
    match path:
        case ("args", str() as name):
            return name
        case _:
            problems.add(source.problem(0, TO))
            return None


def unknown_label(contract: Contract, label: str) -> str:
    """What is wrong with the label of `from`; '' if nothing is."""
    labels = labels_of(contract)
    return "" if label in labels else f"{shown(label)} is no origin of this spec{near_miss(label, labels)}"


def flows_to(contract: Contract, name: str, chosen: tuple[str, ...] | None) -> tuple[Tool, ...] | str:
    """The tools that a flow to this argument is about: the chosen ones, else all that have it; or what is wrong.

    Each of those that are chosen must have it: what was meant of one that has not is not known.
    """
    having = {tool.name for tool in contract.tools if any(each.name == name for each in tool.arguments)}
    if not having:
        every = {each.name for tool in contract.tools for each in tool.arguments}
        return f"no tool has an argument {shown(name)}{near_miss(name, every)}"
    for tool in chosen or ():
        if tool not in having:
            return f"tool `{tool}` has no argument {shown(name)}; name in `tools` those that have"
    ranged = having if chosen is None else chosen
    return tuple(tool for tool in contract.tools if tool.name in ranged)


def flow_condition(contract: Contract, flow: FlowSpec, name: str, tools: tuple[Tool, ...]) -> Expr:
    """The condition of the `never`: to an argument that is not there nothing comes."""
    comes = Or(tuple(_comes(contract, tool, name, flow.from_) for tool in tools))
    if flow.unless is None:
        return comes
    verdict = EnumSort(VERDICTS)
    return And((comes, Eq(Fact("decision", verdict), Const("allow", verdict))))


def _comes(contract: Contract, tool: Tool, name: str, label: str) -> Expr:
    names = EnumSort(tuple(each.name for each in contract.tools))
    there = (Has(name),) if any(each.name == name and each.optional for each in tool.arguments) else ()
    return And((Eq(Fact("tool", names), Const(tool.name, names)), *there, OriginHas(name, label)))
