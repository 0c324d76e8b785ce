"""The seam between the gate and whatever executes a permitted call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sandbox.call import Change, Outcome, Permit
from sandbox.ir import Contract, Tool


@dataclass(frozen=True, slots=True)
class Prepared:
    """What would run, as it is now; a permit binds these digests (SHA-256, hex). `runtime` is for the receipt."""

    run_digest: str
    image_digest: str
    source_digest: str
    runtime: str


@dataclass(frozen=True, slots=True)
class Objection:
    """Why what a call changed is not committed; `reason_code` is `changes.refused` or `changes.fault`."""

    reason_code: str
    reason: str


class ChangeJudge(Protocol):
    """Judges what one call changed in its workspace, by the `changes` rules of every spec that judged the call."""

    @property
    def grants_hand_over(self) -> bool:
        """Whether each of these specs has such rules: they alone may let files through that the host acts upon."""
        ...

    def objection(self, changes: Sequence[Change]) -> Objection | None:
        """Why not all of these changes may be committed, or None if they may. Never raises."""
        ...


class Runner(Protocol):
    """Executes permitted calls, each in a place of its own that no other call ever sees."""

    def prepare(self, contract: Contract, tool: Tool) -> Prepared:
        """What a permit for this tool must bind; starts nothing.

        Raises:
            EnvironmentLacking: no engine, no image, no broker, no such isolation; the message says how to get it.
            UsageError: the tool has no `run`, runs on the host, or its module or workspace is not fit to run.
        """
        ...

    def run(
        self, permit: Permit, contract: Contract, tool: Tool, now_ms: int, judge: ChangeJudge | None = None
    ) -> Outcome:
        """Runs the permitted call once and tells what came of it.

        Nothing that it changed in its workspace is committed but by `judge`, where the tool has `changes` rules.
        The permit is checked again first: `permit.*` reason codes and `started=False` say that nothing ran.
        Failures of the machinery are the outcome `sandbox_failure`; the only exception is an interruption
        (KeyboardInterrupt), and even then no container is left.
        """
        ...
