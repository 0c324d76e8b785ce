"""Verdicts are values. Only `Proved` counts; whatever could not be decided is `Unknown`, with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, assert_never

from sandbox.call import Decision
from sandbox.ir import Json


@dataclass(frozen=True, slots=True)
class Ends:
    """A call ends `ok`: after so many further calls were permitted, at this time (None: that of the last of them)."""

    after: int
    at_ms: int | None = None


AT_ONCE: Final = Ends(0)


@dataclass(frozen=True, slots=True)
class Move:
    """One call of a sequence: raw JSON arguments in the form that `decide` accepts; its time in Unix milliseconds.

    `session` has the facts that the host supplies with the call, as raw JSON. `ends` is None where the call has not
    ended when the sequence has. `origins` has the labels of the arguments of which any is asked.
    """

    tool: str
    args: Mapping[str, Json]
    now_ms: int
    session: Mapping[str, Json] = field(default_factory=dict)
    ends: Ends | None = AT_ONCE
    origins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Moves:
    """Calls from the initial state, and the time at which the state after them is looked at.

    `session` has the facts that say for whom it is looked at, where that matters. With a `start` they begin in that
    state instead, which is not known to be reached: values by variable, as they are stored (decimals as scaled
    integers, the items of a set as a list).
    """

    calls: tuple[Move, ...]
    until_ms: int
    session: Mapping[str, Json] = field(default_factory=dict)
    start: Mapping[str, Json] | None = None


Changes: TypeAlias = Mapping[str, tuple[Json, Json]]


@dataclass(frozen=True, slots=True)
class Beside:
    """What another spec said of a call."""

    spec: str
    decision: Decision


@dataclass(frozen=True, slots=True)
class Replayed:
    """Moves that went through the real parse, decide and machine, and showed what the solver said they would.

    `decisions` are the gate's own, one a call, and `changes` what each did to the state, its old and new value by name;
    `state` is what the property was evaluated on, decimals as text; `words` tells the sequence to a person. `beside` is
    what other specs said of the last call, where the property is about several.
    """

    moves: Moves
    decisions: tuple[Decision, ...]
    state: Mapping[str, Json]
    words: tuple[str, ...]
    changes: tuple[Changes, ...] = ()
    beside: tuple[Beside, ...] = ()


@dataclass(frozen=True, slots=True)
class Proved:
    """It holds. `note` qualifies it (`by_type`, `rules_only`, or ''); a `possible` carries its witness.

    `invariant` are conditions on the state that nobody wrote and that the proof needed, as expressions: together with
    the property, where it is an `always`, and with the proved ones, every step keeps them.
    """

    note: str = ""
    witness: Replayed | None = None
    invariant: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refuted:
    """It does not hold. A `possible` is refuted by a proof, without a counterexample; `invariant` is as in `Proved`."""

    reason: str
    counterexample: Replayed | None = None
    invariant: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unknown:
    """It was not decided. Never a pass."""

    reason: str


@dataclass(frozen=True, slots=True)
class Vacuous:
    """It says nothing: its condition contradicts itself."""

    reason: str


@dataclass(frozen=True, slots=True)
class Bounded:
    """It was shown only up to a bound. Never a pass."""

    bound: int


Verdict: TypeAlias = Proved | Refuted | Unknown | Vacuous | Bounded
VerdictName: TypeAlias = Literal["proved", "refuted", "unknown", "vacuous", "bounded"]


def name_of(verdict: Verdict) -> VerdictName:
    """The verdict's name in reports and in the ledger."""
    match verdict:
        case Proved():
            return "proved"
        case Refuted():
            return "refuted"
        case Unknown():
            return "unknown"
        case Vacuous():
            return "vacuous"
        case Bounded():
            return "bounded"
        case _:
            assert_never(verdict)


def reason_of(verdict: Verdict) -> str:
    """One line of why, '' where there is nothing to say."""
    match verdict:
        case Proved(note=note):
            return note
        case Refuted(reason=reason) | Unknown(reason=reason) | Vacuous(reason=reason):
            return reason
        case Bounded(bound=bound):
            return f"shown for at most {bound}"
        case _:
            assert_never(verdict)


def invariant_of(verdict: Verdict) -> tuple[str, ...]:
    """The conditions that were found for a proof."""
    return verdict.invariant if isinstance(verdict, Proved | Refuted) else ()


def replay_of(verdict: Verdict) -> Replayed | None:
    """The sequence that goes with a verdict: a refutation's counterexample or a witness."""
    match verdict:
        case Proved(witness=replayed) | Refuted(counterexample=replayed):
            return replayed
        case Unknown() | Vacuous() | Bounded():
            return None
        case _:
            assert_never(verdict)
