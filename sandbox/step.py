"""The steps of the machine: a parsed call judged at a state and an instant, and the state that a permit would leave.

And, later, the state that the success of a permitted call leaves.
Pure but for the engines that are asked. The gate takes a step inside its transaction; a rehearsal and a replay take it
on a state of their own. All therefore spend and enable in the same way, by the same lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sandbox import machine
from sandbox.call import Call, Decision, Rejected, Value
from sandbox.decide import NO_FACTS, EnginePair, decide, succeed
from sandbox.ir import TIMESTAMP_RANGE, Contract
from sandbox.machine import StateFullError, StoredState, apply_then, effective, tick

NO_TIME: Final = "the clock is outside of the years 1 to 9999"


@dataclass(frozen=True, slots=True)
class Step:
    """A decision, and the state after a permit: present exactly where the decision is not deny."""

    decision: Decision
    after: StoredState | None = None


def take_step(
    engines: EnginePair,
    contract: Contract,
    stored: StoredState,
    call: Call | Rejected,
    now_ms: int,
    *,
    session: Mapping[str, Value] = NO_FACTS,
) -> Step:
    """Judge `call` at `stored`, ticked to `now_ms`. What did not parse is denied with the parser's own reason.

    `session` has the declared facts of the session by name; one that is missing denies (`session.missing`).
    """
    if isinstance(call, Rejected):
        return Step(Decision("deny", call.reason_code, call.reason))
    now = tick(contract, stored, now_ms)
    if not is_known_time(now.clock_ms):
        return Step(denied(call, "fault.clock", NO_TIME))
    missing = [fact.name for fact in contract.session if fact.name not in session]
    if missing:
        return Step(denied(call, "session.missing", f"the host did not supply the session fact `{missing[0]}`"))
    judgement = decide(engines, call, effective(contract, now), facts_at(now.clock_ms, session))
    if judgement.decision.verdict == "deny":
        return Step(judgement.decision)
    try:
        return Step(judgement.decision, apply_then(contract, now, judgement.updates))
    except StateFullError as full:
        return Step(denied(call, "state_full", str(full)))


@dataclass(frozen=True, slots=True)
class Landing:
    """The state after a success, present exactly where it differs; and what is wrong, where nothing could be stored.

    `reason_code` is `state_full`, `state.key`, a `fault.*`, or '' for nothing wrong.
    """

    after: StoredState | None = None
    reason_code: str = ""
    reason: str = ""


def take_success(
    engines: EnginePair,
    contract: Contract,
    stored: StoredState,
    call: Call,
    now_ms: int,
    *,
    session: Mapping[str, Value] = NO_FACTS,
) -> Landing:
    """Note the success of a call that was permitted earlier, at `stored` as it is now, ticked to `now_ms`.

    All assignments of `on_success` are made, or none. `session` has the facts that the call was judged with.
    """
    tool = contract.tool(call.tool)
    if tool is None or not tool.on_success:
        return Landing()
    now = tick(contract, stored, now_ms)
    if not is_known_time(now.clock_ms):
        return Landing(None, "fault.clock", NO_TIME)
    success = succeed(engines, call, effective(contract, now), facts_at(now.clock_ms, session))
    if success.reason_code:
        return Landing(None, success.reason_code, success.reason)
    try:
        after = machine.succeed(contract, now, success.updates)
    except StateFullError as full:
        return Landing(None, "state_full", f"{full}; what the call enables was not noted")
    return Landing(after if after != now else None)


def is_known_time(clock_ms: int) -> bool:
    """Whether it is an instant that a rule may read as `now`, which is all that proofs range over."""
    return TIMESTAMP_RANGE[0] <= clock_ms <= TIMESTAMP_RANGE[1]


def facts_at(clock_ms: int, session: Mapping[str, Value]) -> dict[str, Value]:
    """What rules read beside the call and the state."""
    return {"now": clock_ms, **{f"session.{name}": value for name, value in session.items()}}


def denied(call: Call | None, reason_code: str, reason: str) -> Decision:
    """A denial that no rule made: by default, by a person, by the kill switch or by a fault."""
    return Decision("deny", reason_code, reason, call=call)


def replaced(call: Call | None, spec: str) -> Decision:
    """The denial by a gate whose state belongs to another version of its spec by now."""
    reason = f"another version of `{spec}` was opened on this state since; open this gate anew"
    return denied(call, "state.superseded", reason)


def stopped(call: Call | None) -> Decision:
    """The denial by the kill switch."""
    return denied(call, "stopped", "the kill switch is on")
