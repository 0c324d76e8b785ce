"""What the names of an expression mean, and what is known at a point inside of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from sandbox.ir import Argument, DurationSort, ScalarSort, Sort, TimestampSort, Variable
from sandbox.lang.reach import Reached


@dataclass(frozen=True, slots=True)
class Digits:
    """A constant number: `value` without its point, `digits` behind the point (0: an int)."""

    value: int
    digits: int


@dataclass(frozen=True, slots=True)
class Word:
    """A constant string. It may yet become a value of an enum."""

    value: str


@dataclass(frozen=True, slots=True)
class Truth:
    """A constant bool."""

    value: bool


@dataclass(frozen=True, slots=True)
class Time:
    """A constant timestamp or duration, in milliseconds."""

    value: int
    sort: TimestampSort | DurationSort


Scalar: TypeAlias = Digits | Word | Truth | Time


@dataclass(frozen=True, slots=True)
class Items:
    """A list of constants."""

    items: tuple[Scalar, ...]


Constant: TypeAlias = Scalar | Items


SUBJECTS: Final = {"change": "changes", "result": "after", "outcome": "after"}
"""Names of what is judged after a call, and the key of a tool whose rules know them."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What names mean. `arguments` has, for each tool that the expression ranges over, its arguments by name.

    `tool` is set in a rule, where it is a constant; in a property it is None and `tool` is one of `facts`.
    `tools` are all tools of the contract, in its order. `state` and `session` have its variables and facts by name.
    `subjects` are what a judgement after the call is about, by the author's name for it: an argument more, in the IR.
    `wholes` are what such a name means where no field of it is selected, if that is something else.
    `labels` are the origins that a value can have. `commons` are names with points in them, which stand for single
    values; only invariants that the prover finds have any.
    """

    tools: tuple[str, ...] = ()
    arguments: Mapping[str, Mapping[str, Argument]] = field(default_factory=dict)
    state: Mapping[str, Variable] = field(default_factory=dict)
    constants: Mapping[str, Constant] = field(default_factory=dict)
    facts: Mapping[str, ScalarSort] = field(default_factory=dict)
    tool: str | None = None
    session: Mapping[str, Argument] = field(default_factory=dict)
    subjects: Mapping[str, Argument] = field(default_factory=dict)
    wholes: Mapping[str, Argument] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    commons: Mapping[str, ScalarSort] = field(default_factory=dict)

    def names(self) -> tuple[str, ...]:
        """Every name that may stand alone or before a point."""
        roots = ("args",) if self.arguments else ()
        states = ("state",) if self.state else ()
        sessions = ("session",) if self.session else ()
        tool = ("tool",) if self.tool is not None else ()
        subjects = dict.fromkeys((*self.subjects, *self.wholes))
        return (*roots, *states, *sessions, *tool, *self.facts, *subjects, *self.constants)


@dataclass(frozen=True, slots=True)
class Element:
    """The variable of a quantifier: its name in the IR, its sort, and the declared type of what it stands for."""

    fresh: str
    sort: Sort
    type: Reached | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What holds wherever a sub-expression is evaluated, because of what stands before it.

    `tools` are those that the call can be for, `present` the access paths of optional arguments and fields that are
    there, `sizes` access paths of lists and sizes that they have at least, `bound` the variables of the quantifiers
    around.
    """

    tools: tuple[str, ...]
    present: frozenset[tuple[str | int, ...]] = frozenset()
    sizes: frozenset[tuple[tuple[str | int, ...], int]] = frozenset()
    bound: Mapping[str, Element] = field(default_factory=dict)

    def also(self, other: Known) -> Known:
        """Both together."""
        tools = tuple(tool for tool in self.tools if tool in other.tools)
        return replace(self, tools=tools, present=self.present | other.present, sizes=self.sizes | other.sizes)

    def with_bound(self, name: str, element: Element) -> Known:
        """Inside of a quantifier over `name`."""
        return replace(self, bound={**self.bound, name: element})
