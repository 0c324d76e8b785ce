"""A proof that every container that can be compiled satisfies the decidable part of the benchmark.

The code that runs is executed on terms: `ContainerConfig` is made with a Z3 integer in the place of every number, each
comparison in its checks is tried both ways, and the ways on which it is not refused are its ways. On every way, for
every workspace mode and with and without a network, `render` is executed on those terms, and each condition of each
recommendation is shown to follow. Were `render` to look at a number, the proof would fail, not pass.
What is not a number is covered by going through all of it: three modes, two kinds of network, two runtimes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, get_args

import z3

from sandbox.execute.benchmark import ITEMS, Account, Item
from sandbox.execute.config import ContainerConfig, Isolation, Placement, WorkspaceMode, render

PRIVATE: Final = "/private"
"""In the place of our own folder, in which all that is mounted lies: `sandbox.execute.folders` makes it."""

TIMEOUT_MS: Final = 10_000
"""For one question; they are about linear inequalities of two numbers, and take none."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a configuration is no number."""

    workspace: WorkspaceMode
    network: bool
    isolation: Isolation = "container"

    def words(self) -> str:
        """As people say it."""
        kernel = ", gVisor" if self.isolation == "gvisor" else ""
        return f"workspace {self.workspace}, {'a' if self.network else 'no'} network{kernel}"


@dataclass(frozen=True, slots=True)
class Proved:
    """One recommendation on one shape, for all numbers. `counterexample` is empty where it is proved."""

    title: str
    shape: Shape
    proved: bool
    counterexample: str = ""


def prove_configurations() -> tuple[Proved, ...]:
    """Every decidable recommendation on every shape."""
    return tuple(
        _prove(item, shape, ways if made else ())
        for shape in SHAPES
        for ways in (tuple(ways_of(shape)),)
        for made in (any(_solver(way).check() == z3.sat for way in ways),)
        for item in ITEMS
        if item.decide is not None
    )


SHAPES: Final = tuple(
    Shape(mode, network, isolation)
    for mode in get_args(WorkspaceMode)
    for network in (False, True)
    for isolation in get_args(Isolation)
)


@dataclass(frozen=True, slots=True)
class Way:
    """A way through the checks of a configuration that is not refused, and the configuration."""

    taken: tuple[z3.BoolRef, ...]
    config: ContainerConfig


class _Number:
    """A term that compares like an integer; its comparisons are decided by the explorer."""

    def __init__(self, term: z3.ArithRef, explorer: _Explorer) -> None:
        self.term = term
        self._explorer = explorer

    def __lt__(self, other: int) -> bool:
        return self._explorer.decide(self.term < other)

    def __le__(self, other: int) -> bool:
        return self._explorer.decide(self.term <= other)

    def __gt__(self, other: int) -> bool:
        return self._explorer.decide(self.term > other)

    def __ge__(self, other: int) -> bool:
        return self._explorer.decide(self.term >= other)


class _Explorer:
    """Answers comparisons along a list of answers, with `True` where it ends, and remembers what was taken."""

    def __init__(self, answers: tuple[bool, ...]) -> None:
        self._answers = answers
        self.taken: list[tuple[z3.BoolRef, bool]] = []

    def decide(self, condition: z3.BoolRef) -> bool:
        at = len(self.taken)
        answer = self._answers[at] if at < len(self._answers) else True
        self.taken.append((condition, answer))
        return answer


def ways_of(shape: Shape) -> Iterator[Way]:
    """Every way on which a configuration of this shape is made; together they are all that there are."""
    pending: list[tuple[bool, ...]] = [()]
    while pending:
        answers = pending.pop()
        explorer = _Explorer(answers)
        numbers = {name: _Number(z3.Int(name), explorer) for name in NUMBERS}
        try:
            ContainerConfig(shape.workspace, network=shape.network, isolation=shape.isolation, **numbers)  # type: ignore[arg-type]  # terms in the place of numbers
            refused = False
        except ValueError:
            refused = True
        # whatever was decided freely on this run is to be tried the other way too
        answered = tuple(answer for _, answer in explorer.taken)
        pending.extend((*answered[:at], False) for at in range(len(answers), len(answered)))
        if not refused:
            taken = tuple(condition if answer else z3.Not(condition) for condition, answer in explorer.taken)
            yield Way(taken, _config(shape))


def _config(shape: Shape) -> ContainerConfig:
    """A configuration of terms, which its own checks have not seen: the way says what they would have."""
    config = object.__new__(ContainerConfig)
    for name in NUMBERS:
        object.__setattr__(config, name, z3.Int(name))
    object.__setattr__(config, "workspace", shape.workspace)
    object.__setattr__(config, "network", shape.network)
    object.__setattr__(config, "isolation", shape.isolation)
    return config


_SHAPED: Final = {field.name for field in fields(Shape)}
NUMBERS: Final = tuple(field.name for field in fields(ContainerConfig) if field.name not in _SHAPED)


def _prove(item: Item, shape: Shape, ways: tuple[Way, ...]) -> Proved:
    """Without ways there is nothing of which anything could be proved, which proves nothing."""
    if item.decide is None or not ways:
        return Proved(item.title, shape, proved=False, counterexample="no configuration of this shape can be made")
    for way in ways:
        account = Account.of_request(render(way.config, PLACEMENT), PRIVATE)
        wrong = _counterexample(way, z3.And(*map(_term, item.decide(account))))
        if wrong:
            return Proved(item.title, shape, proved=False, counterexample=wrong)
    return Proved(item.title, shape, proved=True)


def _term(condition: object) -> z3.BoolRef:
    """A condition as a term; what is neither a truth value nor a term is false."""
    return condition if isinstance(condition, z3.BoolRef) else z3.BoolVal(condition is True)


def _counterexample(way: Way, goal: z3.BoolRef) -> str:
    """Numbers on this way for which the goal is false; empty where there provably are none."""
    solver = _solver(way)
    solver.add(z3.Not(goal))
    match str(solver.check()):
        case "unsat":
            return ""
        case "sat":
            return str(solver.model())
        case _:
            return f"not decided: {solver.reason_unknown()}"


def _solver(way: Way) -> z3.Solver:
    solver = z3.Solver()
    solver.set("timeout", TIMEOUT_MS)
    solver.add(*way.taken)
    return solver


PLACEMENT: Final = Placement(
    "sha256:0", Path(f"{PRIVATE}/source"), Path(f"{PRIVATE}/view"), (), broker=Path(f"{PRIVATE}/broker")
)
