"""The specs of one gate: a call is judged by every one that describes its tool, and gets the strictest verdict.

A gate on one spec is the case n = 1. A *given* spec is one that the gate was opened on; its tools are the gate's. A
*ceiling* is one that another spec extends: it adds no tool, and denies each that it does not describe.

`compile.load_policy` makes policies from files, and has then shown that their specs fit together: one type for each
argument and each fact of the session, one `run` for each tool.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from sandbox import ir
from sandbox.ir import Argument, Contract, Tool


@dataclass(frozen=True, slots=True)
class Member:
    """One spec of a gate. It is given, or a ceiling, or both."""

    contract: Contract
    given: bool = True
    ceiling: bool = False


@dataclass(frozen=True, slots=True)
class SharedTool:
    """One tool of a gate, as all of its specs have it.

    `tool` is what is parsed, shown and run: it has no rules where several specs judge it, for each has its own.
    `judges` are the specs that describe it, in the policy's order; `lacking` is the first ceiling that does not.
    `owner` is the spec whose `run` it has; relative names in that are resolved from the owner's folder.
    """

    tool: Tool
    judges: tuple[Contract, ...]
    owner: Contract | None
    lacking: Contract | None

    @property
    def enabling(self) -> bool:
        """Whether some spec has an `on_success` for it."""
        return any(tool.on_success for each in self.judges if (tool := each.tool(self.tool.name)) is not None)


@dataclass(frozen=True, slots=True)
class Policy:
    """The specs of one gate, in the order in which they judge: each given one, followed by what it extends."""

    members: tuple[Member, ...]
    _shared: Mapping[str, SharedTool] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = dict.fromkeys(tool.name for each in self.members if each.given for tool in each.contract.tools)
        object.__setattr__(self, "_shared", MappingProxyType({name: _share(self.members, name) for name in names}))

    @classmethod
    def of(cls, contract: Contract) -> Policy:
        """The policy of one spec that extends none."""
        return cls((Member(contract),))

    @property
    def contracts(self) -> tuple[Contract, ...]:
        """Every spec, in order."""
        return tuple(each.contract for each in self.members)

    @property
    def first(self) -> Contract:
        """The spec that was named first: state lives beside it where nothing else is said."""
        return self.members[0].contract

    @property
    def several(self) -> bool:
        """Whether there is more than one spec, so that a decision has to say whose it is."""
        return len(self.members) > 1

    @property
    def tools(self) -> tuple[Tool, ...]:
        """What the agent may ask for: the tools of the given specs."""
        return tuple(shared.tool for shared in self._shared.values())

    def tool(self, name: str) -> Tool | None:
        """The gate's tool of exactly this name, or None."""
        shared = self._shared.get(name)
        return None if shared is None else shared.tool

    def shared(self, name: str) -> SharedTool | None:
        """The gate's tool of exactly this name with the specs that judge it, or None."""
        return self._shared.get(name)

    def with_rules(self, name: str) -> Tool:
        """A tool of the gate with the rules of all its specs, for whoever looks for constants in them.

        Nothing judges by it: each spec judges by its own rules.
        """
        shared = self._shared[name]
        described = [tool for each in shared.judges if (tool := each.tool(name)) is not None]
        return replace(shared.tool, rules=tuple(rule for tool in described for rule in tool.rules))

    @property
    def session(self) -> tuple[Argument, ...]:
        """Every fact of the session that some spec declares."""
        return tuple({fact.name: fact for each in self.contracts for fact in each.session}.values())

    def digests(self) -> tuple[tuple[str, str], ...]:
        """Name and digest (SHA-256, hex) of every spec, in order: what a permit binds."""
        return tuple((each.name, ir.digest(each)) for each in self.contracts)

    def asking(self, tool: str, fired: Collection[str]) -> tuple[str, ...]:
        """Of the rules of a tool that fired, named as a decision names them, those that ask people; in order."""
        described = ((each, each.tool(tool)) for each in self.contracts)
        asking = ((each.name, rule.id) for each, own in described if own for rule in own.rules if rule.kind == "ask")
        named = (f"{spec}/{rule}" if self.several else rule for spec, rule in asking)
        return tuple(each for each in named if each in fired)

    def named(self) -> str:
        """The names of the given specs, for messages."""
        return ", ".join(f"`{each.contract.name}`" for each in self.members if each.given)


def _share(members: tuple[Member, ...], name: str) -> SharedTool:
    described = [(each.contract, tool) for each in members if (tool := each.contract.tool(name)) is not None]
    owner, tool = next(((c, t) for c, t in described if t.run is not None), (None, described[0][1]))
    lacking = next((each.contract for each in members if each.ceiling and each.contract.tool(name) is None), None)
    if len(members) > 1:
        tool = _merged(described[0][1], [t for _, t in described], tool)
    return SharedTool(tool, tuple(contract for contract, _ in described), owner, lacking)


def _merged(first: Tool, all_: list[Tool], running: Tool) -> Tool:
    """One tool of several specs: arguments in the first one's order, a secret where any of them keeps it one."""
    secret = {argument.name for tool in all_ for argument in tool.arguments if argument.secret}
    return Tool(
        name=first.name,
        arguments=tuple(replace(each, secret=each.name in secret) for each in first.arguments),
        rules=(),
        run=running.run,
        description=next((tool.description for tool in all_ if tool.description), ""),
        effects=tuple(dict.fromkeys(effect for tool in all_ for effect in tool.effects)),
        place=first.place,
    )
