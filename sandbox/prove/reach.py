"""What a property has to do with: the arguments, variables and facts that can make a difference to it.

Only a guide to where a search is worth its time; nothing is concluded from what is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from sandbox.ir import And, Arg, Expr, Fact, Has, Not, Or, Property, Size, State, Tool
from sandbox.lang.walk import within

_OF_JUDGING: Final = frozenset({"tool", "decision", "rule"})

Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Reach:
    """The names that matter to a property of a tool; None where all do. `sizes`: whether sizes of strings may."""

    names: frozenset[Name] | None
    sizes: bool

    def is_in(self, expr: Expr) -> bool:
        """Whether the expression reads anything that matters."""
        return self.names is None or bool(self.names & names_in(expr))

    def has_argument(self, name: str) -> bool:
        """Whether the argument matters."""
        return self.names is None or ("argument", name) in self.names


def reach(tools: Iterable[Tool], tool: Tool, subject: Property) -> Reach:
    """What the property reads, what is written to that, and what any of it is compared with in the tool's rules."""
    if subject.kind == "within":
        return Reach(None, sizes=True)
    asked = [subject.condition, *(() if subject.before is None else (subject.before,))]
    found = frozenset(name for each in asked for name in names_in(each)) | _compared_by(subject)
    steps = [each for every in tools for each in (*every.then, *every.on_success)]
    compared = [names_in(atom) for rule in tool.rules for atom in _atoms(rule.when)]
    while True:
        written = (s for s in steps if ("state", s.variable) in found)
        read = (name for s in written for e in (s.value, s.key) if e is not None for name in names_in(e))
        beside = (name for names in compared if names & found for name in names)
        more = found.union(read, beside)
        if more == found:
            return Reach(found, sizes=any(isinstance(part, Size) for each in asked for part in within(each)))
        found = more


def _compared_by(subject: Property) -> frozenset[Name]:
    """The values by which a `needs` tells one call from another."""
    roots = (path.split(".") for path in subject.same)
    return frozenset(("argument", name) if root == "args" else ("fact", f"session.{name}") for root, name, *_ in roots)


def names_in(expr: Expr) -> frozenset[Name]:
    """Everything that an expression reads by a name."""
    found: set[Name] = set()
    for part in within(expr):
        match part:
            case Arg(name=name) | Has(name=name):
                found.add(("argument", name))
            case State(name=name):
                found.add(("state", name))
            case Fact(name=name) if name not in _OF_JUDGING:
                found.add(("fact", name))
            case _:
                pass
    return frozenset(found)


def _atoms(expr: Expr) -> Iterator[Expr]:
    match expr:
        case And(operands=operands) | Or(operands=operands):
            for each in operands:
                yield from _atoms(each)
        case Not(operand=operand):
            yield from _atoms(operand)
        case _:
            yield expr
