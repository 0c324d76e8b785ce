"""What the properties of a spec speak of, and what none of them does: a proof says nothing of what it leaves out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sandbox.ir import FALSE, Contract, Json, Property, Tool
from sandbox.prove.focus import for_tool
from sandbox.prove.mentions import arguments_in, variables_in


@dataclass(frozen=True, slots=True)
class Share:
    """Names that a proved property speaks of, those that only undecided or refuted ones do, and the rest."""

    proved: tuple[str, ...]
    open: tuple[str, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Coverage:
    """One spec's coverage. Arguments and rules are named `tool.name`."""

    spec: str
    tools: Share
    arguments: Share
    rules: Share
    state: Share


def coverage(contract: Contract, properties: Iterable[tuple[Property, bool]]) -> Coverage:
    """What of a contract the properties cover; each comes with whether it is proved."""
    judged = [(spoken_of(contract, subject), proved) for subject, proved in properties]
    named = every_name(contract)
    shares = {}
    for part, names in named.items():
        proved = {name for spoken, holds in judged if holds for name in spoken[part]}
        spoken_at_all = {name for spoken, _ in judged for name in spoken[part]}
        shares[part] = Share(
            tuple(name for name in names if name in proved),
            tuple(name for name in names if name in spoken_at_all - proved),
            tuple(name for name in names if name not in spoken_at_all),
        )
    return Coverage(contract.name, shares["tools"], shares["arguments"], shares["rules"], shares["state"])


def every_name(contract: Contract) -> dict[str, tuple[str, ...]]:
    """All that could be covered."""
    return {
        "tools": tuple(tool.name for tool in contract.tools),
        "arguments": tuple(f"{tool.name}.{each.name}" for tool in contract.tools for each in tool.arguments),
        "rules": tuple(f"{tool.name}.{rule.id}" for tool in contract.tools for rule in tool.rules),
        "state": tuple(variable.name for variable in contract.variables),
    }


def spoken_of(contract: Contract, subject: Property) -> Mapping[str, frozenset[str]]:
    """What one property covers.

    Of the tools it ranges over, every rule (each is a case of the proof) and the arguments that it reads. An
    `always` ranges over the tools that write what it reads, with the arguments that they write it from. A `needs` is
    also about the tools of which it asks that a call comes before.
    """
    variables = _variables(contract, subject)
    tools = tuple(tool for tool in contract.tools if _in_range(tool, subject, variables))
    read = {tool.name: _arguments(tool, subject, variables) for tool in tools}
    return {
        "tools": frozenset(tool.name for tool in tools),
        "arguments": frozenset(f"{tool.name}.{name}" for tool in tools for name in read[tool.name]),
        "rules": frozenset(f"{tool.name}.{rule.id}" for tool in tools for rule in tool.rules),
        "state": variables,
    }


def coverage_to_json(covered: Iterable[Coverage]) -> Json:
    """The coverage of each spec, by its name."""
    return {each.spec: {part: _share(getattr(each, part)) for part in every_part()} for each in covered}


def every_part() -> tuple[str, ...]:
    """The parts of a spec that coverage is stated for."""
    return ("tools", "arguments", "rules", "state")


def _variables(contract: Contract, subject: Property) -> frozenset[str]:
    if subject.kind != "within":
        return variables_in(subject.condition)  # the `before` of a `needs` reads none
    rules = (rule for tool in contract.tools if tool.name in subject.tools for rule in tool.rules)
    return frozenset().union(*(variables_in(rule.when) for rule in rules))


def _in_range(tool: Tool, subject: Property, variables: frozenset[str]) -> bool:
    if subject.kind == "always":
        return any(each.variable in variables for each in (*tool.then, *tool.on_success))
    return tool.name in subject.tools or _comes_before(tool, subject)


def _comes_before(tool: Tool, subject: Property) -> bool:
    """Whether a call of the tool can be one that a `needs` asks for."""
    return subject.before is not None and for_tool(subject.before, tool) != FALSE


def _arguments(tool: Tool, subject: Property, variables: frozenset[str]) -> frozenset[str]:
    declared = frozenset(each.name for each in tool.arguments)
    if subject.kind == "within":
        return frozenset().union(*(arguments_in(rule.when) for rule in tool.rules)) & declared
    if subject.kind != "always":
        return _asked(tool, subject) & declared
    assigned = (*tool.then, *tool.on_success)
    written = (arguments_in(each.value) for each in assigned if each.variable in variables)
    return frozenset().union(*written) & declared


def _asked(tool: Tool, subject: Property) -> frozenset[str]:
    """The arguments that a property about calls reads of a tool, whichever of its calls it is about."""
    found = arguments_in(subject.condition) if tool.name in subject.tools else frozenset()
    if subject.before is not None and _comes_before(tool, subject):
        found |= arguments_in(for_tool(subject.before, tool))
    return found | {path.split(".")[1] for path in subject.same if path.startswith("args.")}


def _share(share: Share) -> Json:
    return {"proved": list(share.proved), "open": list(share.open), "left_out": list(share.left_out)}
