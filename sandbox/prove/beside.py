"""One spec beside others, as one machine: calls that all of them permit, and what each says of the next one.

A history is a sequence of calls that every spec permits, each keeping its own state. State that a spec and another one
declare alike, and that every call moves alike, is one variable; any other has one for each. The last call is judged by
the first spec's rules, case by case; what the others say of the very same raw call is a condition on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from sandbox.ir import FALSE, And, Assignment, Contract, Expr, Not, Or, Property, Rule, Tool, Variable
from sandbox.prove.likeness import Unlike
from sandbox.prove.mentions import variables_in
from sandbox.prove.outside import looked_up_outside
from sandbox.prove.rewrite import Wider, wide_variable
from sandbox.prove.roomless import perhaps_not_stored
from sandbox.prove.sides import Side, every_fact, expressions, read_together, wider_enums

Names: TypeAlias = tuple[Mapping[str, str], ...]
"""For each spec, the machine's name of each of its variables."""


CEILING: Final = "ceiling"
OLD: Final = "old"
"""What the names of variables begin with that the other specs have for themselves."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One tool: the first spec's rules over arguments that stand for those of all, and what the others say.

    `permitted` is that none of the others denies, `allowed` that all of them allow; both are about raw calls, so that a
    spec denies what it does not parse. `left_out` tells which raw calls are not spoken of. `outside` are the sets and
    maps that the first spec may be asked for what is outside of their type, which denies whatever the rules say, and
    `others_outside` those of the others; none where all of that is the very same. `stored` are the sets and maps
    for which a permit of the first spec may want room, or write one key twice, which denies too, and not in all of the
    others alike; `others_stored` those of the others. `same` is that nothing has to be proved: the rules are the very
    same, and so is all that they read.
    """

    tool: Tool
    permitted: Expr
    allowed: Expr
    left_out: tuple[str, ...] = ()
    same: bool = False
    outside: frozenset[str] = frozenset()
    others_outside: frozenset[str] = frozenset()
    stored: frozenset[str] = frozenset()
    others_stored: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Beside:
    """All tools of the specs. `machine` permits what all permit; `unlike` are tools that cannot be looked at so.

    `doubtful` are tools that read what calls of such a tool may have written, which `machine` knows nothing of. `names`
    has, for each spec, the machine's name of each of its variables.
    """

    machine: Contract
    judged: Mapping[str, Judged]
    unlike: Mapping[str, str]
    doubtful: frozenset[str] = frozenset()
    names: Names = ()

    @property
    def told(self) -> Contract:
        """The machine with the first spec's own rules, whose words a proof is told in."""
        tools = (replace(each, rules=self.judged[each.name].tool.rules) for each in self.machine.tools)
        return replace(self.machine, tools=tuple(tools))


def prefix_of(subject: Property) -> str:
    """How variables are called that only a ceiling, or only the old version, has."""
    return OLD if subject.newly else CEILING


def beside(spec: Contract, others: Sequence[Contract], prefix: str) -> Beside:
    """The spec beside the others, whose own variables get names with this prefix."""
    specs = (spec, *others)
    wider = wider_enums(specs)
    names = list(dict.fromkeys(tool.name for each in specs for tool in each.tools))
    read: dict[str, tuple[Side, ...]] = {}
    unlike: dict[str, str] = {}
    left_out: dict[str, tuple[str, ...]] = {}
    for name in names:
        tools = [each.tool(name) for each in specs]
        met = read_together(specs, tools, wider)
        if isinstance(met, Unlike):
            unlike[name] = met.reason
        else:
            read[name], left_out[name] = met
    common = {name: sides for name, sides in read.items() if all(side.tool is not None for side in sides)}
    names_of = _names(specs, common, wider, prefix)
    tools_of = tuple(_moving(name, sides, names_of) for name, sides in common.items())
    machine = Contract(spec.name, tools_of, _variables(specs, names_of, wider), every_fact(specs, wider))
    tainted = _tainted(specs, machine, unlike, names_of)
    judged = {
        name: _with_outside(_judged(name, sides, names_of, tainted, left_out[name]), specs)
        for name, sides in read.items()
    }
    if prefix == OLD:  # beside a ceiling, which judges too, nothing is let through that it cannot store
        judged = {name: _with_stored(each, specs, names_of, tainted) for name, each in judged.items()}
    doubtful = frozenset(name for name, sides in read.items() if _reads(sides, names_of) & tainted)
    return Beside(machine, judged, unlike, doubtful, names_of)


# --- state -------------------------------------------------------------------------------------------


def _names(specs: Sequence[Contract], common: Mapping[str, tuple[Side, ...]], wider: Wider, prefix: str) -> Names:
    """The first spec's own names, which others share for what is declared alike and always moved alike."""
    first = {variable.name: wide_variable(variable, wider) for variable in specs[0].variables}
    own = {name: name for name in first}
    taken = set(own)
    found: list[Mapping[str, str]] = [own]
    for at, other in enumerate(specs[1:], 1):
        alike = {v.name for v in other.variables if first.get(v.name) == wide_variable(v, wider)}
        names = _apart(other, alike, prefix, taken)
        while moved := {name for name in alike if any(_moved_otherwise(s, at, name, names) for s in common.values())}:
            alike -= moved
            names = _apart(other, alike, prefix, taken)
        taken |= set(names.values())
        found.append(names)
    return tuple(found)


def _apart(contract: Contract, alike: set[str], prefix: str, taken: set[str]) -> dict[str, str]:
    names: dict[str, str] = {}
    for variable in contract.variables:
        name = variable.name if variable.name in alike else f"{prefix}_{variable.name}"
        while variable.name not in alike and name in taken | set(names.values()):
            name += "_"
        names[variable.name] = name
    return names


def _moved_otherwise(sides: tuple[Side, ...], at: int, variable: str, names: Mapping[str, str]) -> bool:
    """Whether a call moves a variable in another way in the spec at this place than in the first."""
    own: dict[str, str] = {}
    return any(
        _assigned(sides[0], kind, variable, own) != _assigned(sides[at], kind, variable, names)
        for kind in ("then", "on_success")
    )


def _assigned(side: Side, kind: str, variable: str, names: Mapping[str, str]) -> list[Assignment]:
    return [each for each in _steps(side, kind, names) if each.variable == names.get(variable, variable)]


def _steps(side: Side, kind: str, names: Mapping[str, str]) -> Iterator[Assignment]:
    """What a call assigns, over common arguments and the machine's variables."""
    if side.tool is None:
        return
    for each in side.tool.then if kind == "then" else side.tool.on_success:
        key = None if each.key is None else side.said(each.key, names)
        yield Assignment(names.get(each.variable, each.variable), side.said(each.value, names), key)


def _variables(specs: Sequence[Contract], names: Names, wider: Wider) -> tuple[Variable, ...]:
    every = {
        own[variable.name]: replace(wide_variable(variable, wider), name=own[variable.name])
        for spec, own in reversed(list(zip(specs, names, strict=True)))
        for variable in spec.variables
    }
    order = [own[variable.name] for spec, own in zip(specs, names, strict=True) for variable in spec.variables]
    return tuple(every[name] for name in dict.fromkeys(order))


# --- tools -------------------------------------------------------------------------------------------


def _moving(name: str, sides: tuple[Side, ...], names: Names) -> Tool:
    """The tool as all permit it: allowed where all allow, else asked."""
    each = list(zip(sides, names, strict=True))
    allowed = And(tuple(_allows(side, own) for side, own in each))
    permitted = And(tuple(_permits(side, own) for side, own in each))
    rules = (Rule("allowed", "allow", allowed), Rule("asked", "ask", And((permitted, Not(allowed)))))
    then, on_success = (
        tuple(dict.fromkeys(step for side, own in each for step in _steps(side, kind, own)))
        for kind in ("then", "on_success")
    )
    return Tool(name, sides[0].arguments, rules, then, on_success=on_success)


def _permits(side: Side, names: Mapping[str, str]) -> Expr:
    if side.tool is None:
        return FALSE
    fired = (*side.rules("ask", names), *side.rules("allow", names))
    return And((*side.parses, Not(Or(side.rules("deny", names))), Or(fired)))


def _allows(side: Side, names: Mapping[str, str]) -> Expr:
    if side.tool is None:
        return FALSE
    stricter = (*side.rules("deny", names), *side.rules("ask", names))
    return And((*side.parses, Not(Or(stricter)), Or(side.rules("allow", names))))


def _judged(
    name: str, sides: tuple[Side, ...], names: Names, tainted: frozenset[str], left_out: tuple[str, ...]
) -> Judged:
    first, own = sides[0], names[0]
    written = first.tool.rules if first.tool is not None else ()
    rules = tuple(replace(rule, when=_parsed(first, first.said(rule.when, own))) for rule in written)
    others = list(zip(sides[1:], names[1:], strict=True))
    return Judged(
        Tool(name, first.arguments, rules),
        And(tuple(_permits(side, each) for side, each in others)),
        And(tuple(_allows(side, each) for side, each in others)),
        left_out,
        same=not left_out
        and not _reads(sides, names) & tainted
        and all(_alike(first, own, side, each) for side, each in others),
    )


def _with_outside(judged: Judged, specs: Sequence[Contract]) -> Judged:
    """With what may be looked up outside of its type, unless each spec looks up the very same."""
    described = [(spec, tool) for spec in specs if (tool := spec.tool(judged.tool.name)) is not None]
    if len(described) < len(specs) or len({_lookups(*each) for each in described}) == 1:
        return judged
    own, *others = (looked_up_outside(*each) for each in described)
    every = frozenset().union(*others)
    return replace(judged, same=judged.same and not own and not every, outside=own, others_outside=every)


def _lookups(spec: Contract, tool: Tool) -> tuple[object, ...]:
    """All that decides which of a tool's lookups are outside of their types."""
    types = frozenset((variable.name, variable.key) for variable in spec.variables)
    rules = frozenset((rule.kind, rule.when) for rule in tool.rules)
    return rules, tool.then, tool.on_success, tool.arguments, spec.session, types


def _with_stored(judged: Judged, specs: Sequence[Contract], names: Names, tainted: frozenset[str]) -> Judged:
    """With what a permit may not come to be stored in, unless that is one variable to all, which all move alike."""
    described = [(spec, tool) for spec in specs if (tool := spec.tool(judged.tool.name)) is not None]
    if len(described) < len(specs):
        return judged
    every = [
        {own[each]: each for each in perhaps_not_stored(spec, tool)}
        for (spec, tool), own in zip(described, names, strict=True)
    ]
    common = set.intersection(*map(set, every)) - tainted
    own, *others = (frozenset(each for at, each in found.items() if at not in common) for found in every)
    theirs = frozenset().union(*others)
    return replace(judged, same=judged.same and not own and not theirs, stored=own, others_stored=theirs)


def _parsed(side: Side, condition: Expr) -> Expr:
    return And((*side.parses, condition)) if side.parses else condition


def _alike(one: Side, own: Mapping[str, str], other: Side, names: Mapping[str, str]) -> bool:
    """Whether two specs have the very same rules, in whatever order, about the very same raw calls and state."""
    return one.parses == other.parses and all(
        set(one.rules(kind, own)) == set(other.rules(kind, names)) for kind in ("deny", "ask", "allow")
    )


# --- what is not known -------------------------------------------------------------------------------


def _reads(sides: Iterable[Side], names: Names) -> frozenset[str]:
    """The machine's variables that the rules of a tool read."""
    return frozenset(
        own.get(name, name)
        for side, own in zip(sides, names, strict=True)
        for rule in (side.tool.rules if side.tool is not None else ())
        for name in variables_in(rule.when)
    )


def _tainted(specs: Sequence[Contract], machine: Contract, unlike: Mapping[str, str], names: Names) -> frozenset[str]:
    """Variables that calls of a tool may have written of which the machine knows nothing, and what is made of them."""
    tainted = {
        own[step.variable]
        for spec, own in zip(specs, names, strict=True)
        for tool in spec.tools
        if tool.name in unlike
        for step in (*tool.then, *tool.on_success)
    }
    while True:
        more = {
            step.variable
            for tool in machine.tools
            if any(variables_in(expr) & tainted for expr in expressions(tool))
            for step in (*tool.then, *tool.on_success)
        }
        if more <= tainted:
            return frozenset(tainted)
        tainted |= more
