"""Which conjuncts a contradiction rests on: the terms taken apart at their `and`s, and each one marked.

Taken apart they say what they said together. A core is what is left of them in one contradiction; a part that is not in
it is dead weight there, and changes no verdict.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import z3

from sandbox.prove.nodes import Raw, node_of, raw_of

MAX_PARTS: Final = 500
"""Conjuncts that are marked; of a query about a whole shell line there are thousands, and marking costs."""

FEW: Final = 3
"""A core of so many parts is looked at part by part, for what a solver calls a core is not always a smallest one."""

MOST: Final = 24
"""And one of more parts is taken as it is."""

PART_RLIMIT: Final = 200_000
"""Z3's resource units for trying to do without one part: some ten milliseconds."""

Core: TypeAlias = tuple[z3.BoolRef, ...]


@dataclass(frozen=True, slots=True)
class Marked:
    """What a solver says of marked parts: with `unsat` the parts of a core, as they were given."""

    answer: Literal["unsat", "sat", "unknown"]
    core: Core = ()


def conjuncts(terms: Iterable[z3.BoolRef]) -> Core:
    """The terms, taken apart at every conjunction and negated disjunction, each part once, in order."""
    found: dict[Raw | tuple[Raw], z3.BoolRef] = {}
    whole = list(terms)
    pending = [(raw_of(term), True) for term in reversed(whole)]
    while pending:
        raw, holds = pending.pop()
        node = node_of(raw, whole[0].ctx)
        if node.kind == z3.Z3_OP_NOT:
            pending.append((node.children[0], not holds))
        elif node.kind == (z3.Z3_OP_AND if holds else z3.Z3_OP_OR):
            pending += [(child, holds) for child in reversed(node.children)]
        elif not holds and (raw,) not in found:
            found[raw,] = z3.Not(node.term())
        elif holds and node.kind != z3.Z3_OP_TRUE and raw not in found:
            found[raw] = node.term()
    return tuple(found.values())


def decided(parts: Core, solver: z3.Solver) -> Marked:
    """Whether the parts contradict one another, and which of them do. `solver` is empty, with its limits set."""
    marks: dict[int, z3.BoolRef] = {}
    for number, part in enumerate(parts):
        mark = z3.Bool(f"part@{number}", solver.ctx)
        marks[mark.get_id()] = part
        solver.assert_and_track(part.translate(solver.ctx), mark)
    answer = solver.check()
    if answer == z3.unsat:
        core = {mark.get_id() for mark in solver.unsat_core()}
        return Marked("unsat", tuple(part for mark, part in marks.items() if mark in core))
    return Marked("sat" if answer == z3.sat else "unknown")


def shortened(core: Core, time_ms: int) -> tuple[Core | None, int]:
    """The core without what it can be seen to do without, and the units that it took; each part is tried once.

    None where it is seen to be no core: of words and lengths Z3 now and then leaves out what a contradiction rests on.
    """
    left, units, ctx = list(core), 0, z3.Context()
    for part in (None, *(core if FEW <= len(core) <= MOST else ())):
        without = [each for each in left if each is not part]
        solver = z3.Solver(ctx=ctx)
        solver.set("rlimit", PART_RLIMIT)
        solver.set("timeout", max(1, time_ms))
        solver.add([each.translate(ctx) for each in without])
        answer = solver.check()
        units += units_of(solver)
        if answer == z3.unsat:
            left = without
        elif answer != z3.sat:
            ctx = z3.Context()
        elif part is None:
            return None, units
    return tuple(left), units


def units_of(solver: z3.Solver) -> int:
    """Z3's resource units of one check."""
    statistics = solver.statistics()
    return int(statistics.get_key_value("rlimit count")) if "rlimit count" in statistics.keys() else 0  # noqa: SIM118 - no mapping
