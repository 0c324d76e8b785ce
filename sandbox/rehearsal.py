"""Judging raw calls one after another on a state of its own, as if every allowed call had succeeded.

Nothing runs and nothing is kept: this is what `sandbox decide` and `sandbox explain` use, by the gate's own step.
"""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.call import Decision
from sandbox.decide import EnginePair
from sandbox.ir import Contract
from sandbox.machine import Scalar, StoredState, effective, initial_state, tick
from sandbox.parse import parse_call
from sandbox.step import denied, take_step


class Rehearsal:
    """A contract, both engines, and a throw-away state that allowed calls move. Not thread-safe."""

    def __init__(
        self, contract: Contract, engines: EnginePair, start_ms: int, stored: StoredState | None = None
    ) -> None:
        self._contract = contract
        self._engines = engines
        self._stored = stored if stored is not None else initial_state(contract, start_ms)

    def judge(self, raw: bytes | str | Mapping[str, object], now_ms: int) -> Decision:
        """The verdict on a raw call now; nothing moves. Never raises."""
        try:
            call = parse_call(raw, self._contract)
            return take_step(self._engines, self._contract, self._stored, call, now_ms).decision
        except Exception as error:  # noqa: BLE001  # fail closed, as the gate does
            return denied(None, "fault.internal", f"the gate failed and so denies: {type(error).__name__}")

    def advance(self, raw: bytes | str | Mapping[str, object], now_ms: int) -> Decision:
        """As `judge`; an allowed call has moved the state when this returns, an asked or denied one has not."""
        try:
            call = parse_call(raw, self._contract)
            step = take_step(self._engines, self._contract, self._stored, call, now_ms)
        except Exception as error:  # noqa: BLE001  # fail closed, as the gate does
            return denied(None, "fault.internal", f"the gate failed and so denies: {type(error).__name__}")
        if step.after is not None and step.decision.verdict == "allow":
            self._stored = step.after
        return step.decision

    def state(self, now_ms: int) -> dict[str, Scalar]:
        """What rules read as `state.x` at this instant."""
        return effective(self._contract, tick(self._contract, self._stored, now_ms))
