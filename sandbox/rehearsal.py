"""Judging raw calls one after another on a state of its own, as if every allowed call had succeeded.

Nothing runs and nothing is kept: this is what `sandbox decide` and `sandbox explain` use, by the gate's own step.
"""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.call import Call, Decision, Rejected
from sandbox.decide import NO_FACTS, EnginePair, Facts
from sandbox.ir import Contract
from sandbox.machine import StateValue, StoredState, effective, initial_state, tick
from sandbox.parse import parse_call
from sandbox.step import Landing, Step, denied, take_step, take_success


class Rehearsal:
    """A contract, both engines, and a throw-away state that allowed calls move. Not thread-safe.

    `stored` is where the state begins (None: as a new one does), `session` the facts that hold for every call.
    """

    def __init__(
        self,
        contract: Contract,
        engines: EnginePair,
        start_ms: int,
        stored: StoredState | None = None,
        *,
        session: Facts = NO_FACTS,
    ) -> None:
        self._contract = contract
        self._engines = engines
        self._stored = stored if stored is not None else initial_state(contract, start_ms)
        self._session = session

    def judge(self, raw: bytes | str | Mapping[str, object], now_ms: int) -> Decision:
        """The verdict on a raw call now; nothing moves. Never raises."""
        return self._step(raw, now_ms).decision

    def advance(self, raw: bytes | str | Mapping[str, object], now_ms: int) -> Decision:
        """As `judge`; an allowed call has moved the state when this returns, an asked or denied one has not.

        The call counts as one that ended `ok` at once: its `on_success` has been noted too.
        """
        step = self._step(raw, now_ms)
        if step.after is None or step.decision.verdict != "allow" or step.decision.call is None:
            return step.decision
        landing = self._landing(step.decision.call, step.after, now_ms)
        if landing.reason_code.startswith("fault."):
            return denied(step.decision.call, landing.reason_code, landing.reason)
        self._stored = landing.after if landing.after is not None else step.after
        return step.decision

    def state(self, now_ms: int) -> dict[str, StateValue]:
        """What rules read as `state.x` at this instant."""
        return effective(self._contract, self._ticked(now_ms))

    def clock(self, now_ms: int) -> int:
        """What rules read as `now`: the instant, or the latest ever seen if that is later."""
        return self._ticked(now_ms).clock_ms

    def _ticked(self, now_ms: int) -> StoredState:
        return tick(self._contract, self._stored, now_ms)

    def _landing(self, call: Call, stored: StoredState, now_ms: int) -> Landing:
        try:
            return take_success(self._engines, self._contract, stored, call, now_ms, session=self._session)
        except Exception as error:  # noqa: BLE001  # fail closed, as below
            return Landing(None, "fault.internal", f"the gate failed and so denies: {type(error).__name__}")

    def _step(self, raw: bytes | str | Mapping[str, object], now_ms: int) -> Step:
        call: Call | Rejected | None = None
        try:
            call = parse_call(raw, self._contract)
            return take_step(self._engines, self._contract, self._stored, call, now_ms, session=self._session)
        except Exception as error:  # noqa: BLE001  # fail closed, as the gate does
            known = call if isinstance(call, Call) else None
            return Step(denied(known, "fault.internal", f"the gate failed and so denies: {type(error).__name__}"))
