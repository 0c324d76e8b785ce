"""What an attempt at one property found: a claim of the solvers, which becomes a verdict once replayed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, assert_never

from sandbox.errors import Fault
from sandbox.ir import Json
from sandbox.prove.verdicts import Ends, Move, Moves

SolverChoice: TypeAlias = Literal["z3", "cvc5", "both"]

BY_TYPE: Final = "by_type"
"""The note of a `never` that the argument types alone exclude."""

RULES_ONLY: Final = "rules_only"
"""The note of a `never` that a denial makes easier to meet: limits and faults are not in the proof."""


@dataclass(frozen=True, slots=True)
class Holds:
    """No call, and no state, that is excluded can be reached: of an `always` or a `never`, a proof.

    `invariant` are the conditions that were found for the proof, as expressions; none where it needed none.
    """

    note: str = ""
    invariant: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No sequence of calls meets a `possible`, by proof; `invariant` as in `Holds`."""

    invariant: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """A sequence that breaks an `always` or a `never`, or that is what a `possible` asks for; to be replayed."""

    moves: Moves


@dataclass(frozen=True, slots=True)
class Empty:
    """The condition contradicts itself, or ranges over nothing."""

    reason: str


@dataclass(frozen=True, slots=True)
class GaveUp:
    """Not decided."""

    reason: str


@dataclass(frozen=True, slots=True)
class Disputed:
    """Two solvers gave two definite answers that differ: a fault."""

    reason: str


Finding: TypeAlias = Holds | Unreachable | Shown | Empty | GaveUp | Disputed


def finding_to_json(finding: Finding) -> Json:
    """The finding as a child replies it."""
    match finding:
        case Holds(note=note, invariant=invariant):
            return {"found": "holds", "note": note, "invariant": list(invariant)}
        case Unreachable(invariant=invariant):
            return {"found": "unreachable", "invariant": list(invariant)}
        case Shown(moves=moves):
            return {
                "found": "shown",
                "calls": [_call(move) for move in moves.calls],
                "until_ms": moves.until_ms,
                "session": dict(moves.session),
                "start": None if moves.start is None else dict(moves.start),
            }
        case Empty(reason=reason):
            return {"found": "empty", "reason": reason}
        case GaveUp(reason=reason):
            return {"found": "gave_up", "reason": reason}
        case Disputed(reason=reason):
            return {"found": "disputed", "reason": reason}
        case _:
            assert_never(finding)


def finding_from_json(message: Json) -> Finding:
    """The finding as a child replied it; raises Fault if it is none."""
    match message:
        case {"found": "holds", "note": str() as note, "invariant": list() as invariant}:
            return Holds(note, tuple(str(each) for each in invariant))
        case {"found": "unreachable", "invariant": list() as invariant}:
            return Unreachable(tuple(str(each) for each in invariant))
        case {
            "found": "shown",
            "calls": list() as calls,
            "until_ms": int() as until_ms,
            "session": dict() as session,
            "start": (dict() | None) as start,
        }:
            return Shown(Moves(tuple(_move(call) for call in calls), until_ms, session, start))
        case {"found": "empty", "reason": str() as reason}:
            return Empty(reason)
        case {"found": "gave_up", "reason": str() as reason}:
            return GaveUp(reason)
        case {"found": "disputed", "reason": str() as reason}:
            return Disputed(reason)
        case _:
            text = "a prover's child replied with what is no finding"
            raise Fault(text)


def _call(move: Move) -> Json:
    return {
        "tool": move.tool,
        "args": dict(move.args),
        "now_ms": move.now_ms,
        "session": dict(move.session),
        "ends": None if move.ends is None else [move.ends.after, move.ends.at_ms],
        "origins": origins_to_json(move.origins),
    }


def _move(message: Json) -> Move:
    match message:
        case {
            "tool": str() as tool,
            "args": dict() as args,
            "now_ms": int() as now_ms,
            "session": dict() as session,
            "ends": ends,
            "origins": origins,
        }:
            return Move(tool, args, now_ms, session, _ends(ends), origins_from_json(origins))
        case _:
            text = "a prover's child replied with what is no call"
            raise Fault(text)


def origins_to_json(origins: Mapping[str, tuple[str, ...]]) -> dict[str, Json]:
    """Labels by argument, as JSON."""
    return {name: list(labels) for name, labels in origins.items()}


def origins_from_json(message: Json) -> dict[str, tuple[str, ...]]:
    """The inverse of `origins_to_json`; raises Fault for anything else."""
    if not isinstance(message, dict):
        text = "origins are labels by the name of an argument"
        raise Fault(text)
    return {name: _labels(labels) for name, labels in message.items()}


def _labels(message: Json) -> tuple[str, ...]:
    if not isinstance(message, list) or not all(isinstance(label, str) for label in message):
        text = "origins are labels by the name of an argument"
        raise Fault(text)
    return tuple(str(label) for label in message)


def _ends(message: Json) -> Ends | None:
    match message:
        case None:
            return None
        case [int() as after, (int() | None) as at_ms]:
            return Ends(after, at_ms)
        case _:
            text = "a prover's child replied with what is no ending of a call"
            raise Fault(text)
