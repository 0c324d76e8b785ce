"""The search behind `sandbox test`: aimed sequences, hostile bytes, then any mixture of both with time passing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from sandbox.compile import PropertySet, load_policy
from sandbox.errors import UsageError
from sandbox.ir import Json
from sandbox.testing.aimed import Aim, aims
from sandbox.testing.hostile import hostile_bytes
from sandbox.testing.trial import START_MS, Trial
from sandbox.testing.values import calls

MAX_STEPS: Final = 8
"""Steps of one mixed sequence; longer ones are what proofs are for."""
BYTES_A_SEQUENCE: Final = 10
"""Hostile outputs for each mixed sequence: a sequence costs a state of its own."""
HOURS: Final = (0, 1, 23, 24, 25, 49)

Step: TypeAlias = bytes | int
Seen: TypeAlias = Counter[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Found:
    """What a search did: how often each (verdict, rule or reason code) was seen; what it found, '' for nothing.

    `aimed` are the aims that a sequence was found for, `aims` how many were tried for rules alone.
    """

    outputs: int
    sequences: int
    aimed: tuple[str, ...]
    seen: Mapping[tuple[str, str], int]
    finding: str = ""


@dataclass(slots=True)
class _Progress:
    outputs: int = 0
    sequences: int = 0
    aimed: list[str] = field(default_factory=list)
    seen: Seen = field(default_factory=Counter)


def search(
    spec: str | Path,
    properties: Sequence[PropertySet] = (),
    *,
    examples: int,
    seed: int = 0,
    session: Mapping[str, object] | None = None,
    on_stage: Callable[[str], None] = lambda _: None,
) -> Found:
    """Search until `examples` hostile outputs were tried, or something was found. The same seed, the same search."""
    policy = load_policy(spec)
    if not policy.tools:
        message = f"`{policy.first.name}` has no tool: it denies everything, and there is nothing to search"
        raise UsageError(message, "nothing_to_test")
    progress = _Progress()

    def trial(*, solver: bool) -> Trial:
        return Trial(spec, properties, session=session, solver=solver)

    try:
        on_stage("aiming at every rule and bound")
        for each in (found for contract in policy.contracts for found in aims(contract)):
            _play(trial(solver=True), each, progress)
        on_stage("hostile outputs")
        with trial(solver=True) as one:
            _bytes(one, hostile_bytes(policy.tools), examples, seed, progress)
        on_stage("sequences")
        raw = hostile_bytes(policy.tools) | calls(policy.tools).map(lambda call: json.dumps(call).encode())
        _sequences(lambda: trial(solver=False), raw, max(1, examples // BYTES_A_SEQUENCE), seed, progress)
    except AssertionError as error:
        return _found(progress, str(error))
    return _found(progress, "")


def _found(progress: _Progress, finding: str) -> Found:
    seen = dict(sorted(progress.seen.items()))
    return Found(progress.outputs, progress.sequences, tuple(progress.aimed), seen, finding)


def _play(trial: Trial, aim: Aim, progress: _Progress) -> None:
    """The calls of one aim, at their times, in this trial's own session."""
    with trial:
        for move in aim.moves:
            trial.wait(max(0, move.now_ms - aim.moves[0].now_ms + START_MS - trial.now_ms))
            origins = {name: frozenset(labels) for name, labels in move.origins.items()}
            trial.emit(json.dumps({"tool": move.tool, "args": dict(move.args)}).encode(), origins)
    progress.aimed.append(aim.what)
    progress.seen.update(trial.seen)


def _bytes(trial: Trial, raw: st.SearchStrategy[bytes], examples: int, seed: int, progress: _Progress) -> None:
    @seeded(seed)
    @_quietly(examples)
    @given(raw)
    def emit(output: bytes) -> None:
        progress.outputs += 1
        trial.emit(output)

    try:
        emit()
    finally:
        progress.seen.update(trial.seen)


def _sequences(
    opened: Callable[[], Trial], raw: st.SearchStrategy[bytes], examples: int, seed: int, progress: _Progress
) -> None:
    steps: st.SearchStrategy[Step] = raw | st.sampled_from(HOURS)

    @seeded(seed)
    @_quietly(examples)
    @given(st.lists(steps, min_size=1, max_size=MAX_STEPS))
    def play(sequence: list[Step]) -> None:
        progress.sequences += 1
        with opened() as trial:
            for step in sequence:
                if isinstance(step, int):
                    trial.wait(step * 3_600_000)
                else:
                    trial.emit(step)
            progress.seen.update(trial.seen)

    play()


def _quietly(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )


def seen_to_json(seen: Mapping[tuple[str, str], int]) -> list[Json]:
    """The counts, for JSON."""
    return [{"verdict": verdict, "by": by, "count": count} for (verdict, by), count in seen.items()]
