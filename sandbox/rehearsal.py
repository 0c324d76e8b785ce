"""Judging raw calls one after another on a state of its own, as if every allowed call had succeeded.

Nothing runs and nothing is kept: this is what `sandbox decide` and `sandbox explain` use, by the gate's own step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from sandbox.call import Call, Decision, Rejected
from sandbox.decide import NO_FACTS, Facts
from sandbox.ir import Contract
from sandbox.joint import Engines, JointLanding, JointStep, States, take_joint_step, take_joint_success
from sandbox.knowledge import OriginsRefusedError
from sandbox.machine import StateValue, effective, initial_state, tick
from sandbox.parse import parse_call
from sandbox.policy import Policy
from sandbox.seal import Seal
from sandbox.step import denied


class Rehearsal:
    """The specs of a gate, their engines, and a throw-away state that allowed calls move. Not thread-safe.

    `stored` is where the state of each spec begins (where it is missing: as a new one does), `session` the facts that
    hold for every call. `known` gives a call its origins; by default nothing is known of any value.
    """

    def __init__(
        self,
        policy: Policy,
        engines: Engines,
        start_ms: int,
        stored: States | None = None,
        *,
        session: Facts = NO_FACTS,
        known: Callable[[Call], Call] = lambda call: call,
    ) -> None:
        self._policy = policy
        self._engines = engines
        self._stored = {each.name: initial_state(each, start_ms) for each in policy.contracts} | dict(stored or {})
        self._session = session
        self._known = known
        self._seal = Seal.fresh()

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
        stored = {**self._stored, **step.after}
        landing = self._landing(step.decision.call, stored, now_ms)
        if landing.reason_code.startswith("fault."):
            return denied(step.decision.call, landing.reason_code, landing.reason)
        self._stored = {**stored, **landing.after}
        return step.decision

    def state(self, contract: Contract, now_ms: int) -> dict[str, StateValue]:
        """What the rules of one spec read as `state.x` at this instant."""
        return effective(contract, tick(contract, self._stored[contract.name], now_ms))

    def clock(self, contracts: Iterable[Contract], now_ms: int) -> int:
        """What the rules of these specs read as `now`: the instant, or the latest that one of them has seen."""
        return max((now_ms, *(self._stored[each.name].clock_ms for each in contracts)))

    def _landing(self, call: Call, stored: States, now_ms: int) -> JointLanding:
        try:
            return take_joint_success(self._engines, self._policy, stored, call, now_ms, session=self._session)
        except Exception as error:  # noqa: BLE001  # fail closed, as below
            return JointLanding({}, "fault.internal", f"the gate failed and so denies: {type(error).__name__}")

    def _step(self, raw: bytes | str | Mapping[str, object], now_ms: int) -> JointStep:
        call: Call | Rejected | None = None
        try:
            call = parse_call(raw, self._policy, self._seal)
            call = self._known(call) if isinstance(call, Call) else call
            return take_joint_step(self._engines, self._policy, self._stored, call, now_ms, session=self._session)
        except OriginsRefusedError as error:
            known = call if isinstance(call, Call) else None
            return JointStep(denied(known, error.reason_code, error.reason))
        except Exception as error:  # noqa: BLE001  # fail closed, as the gate does
            known = call if isinstance(call, Call) else None
            return JointStep(denied(known, "fault.internal", f"the gate failed and so denies: {type(error).__name__}"))
