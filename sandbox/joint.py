"""One call judged by every spec of a gate that describes its tool: the strictest verdict, and every next state.

And, later, what the success of a permitted call leaves in each of them. The gate takes these steps inside its
transaction, a rehearsal on a state of its own. For one spec they are that spec's own steps, word for word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, TypeAlias

from sandbox.call import Call, Decision, Rejected, Value
from sandbox.decide import NO_FACTS, EnginePair
from sandbox.ir import Contract
from sandbox.machine import StoredState
from sandbox.policy import Policy, SharedTool
from sandbox.step import Step, denied, take_step, take_success

Engines: TypeAlias = Mapping[str, EnginePair]
"""Both engines of every spec, by its name."""

States: TypeAlias = Mapping[str, StoredState]
"""The state of several specs, by name."""

_STRICTNESS: Final = {"deny": 1, "ask": 2, "allow": 3}
_FAULT: Final = 0


@dataclass(frozen=True, slots=True)
class JointStep:
    """A decision, and every judging spec's state after a permit: present exactly where the decision is not deny."""

    decision: Decision
    after: States | None = None


def judges_of(policy: Policy, call: Call | Rejected) -> tuple[Contract, ...]:
    """The specs that will judge this call: those whose state is needed."""
    shared = policy.shared(call.tool) if isinstance(call, Call) else None
    return () if shared is None or shared.lacking is not None else shared.judges


def take_joint_step(
    engines: Engines,
    policy: Policy,
    stored: States,
    call: Call | Rejected,
    now_ms: int,
    *,
    session: Mapping[str, Value] = NO_FACTS,
) -> JointStep:
    """Judge `call` by every spec that describes its tool, at `stored`, which has the state of each of `judges_of`.

    All judge at one instant, the latest that any of them has seen. One deny is enough; every spec's rules are read all
    the same, so that the reason can name them.
    """
    if isinstance(call, Rejected):
        return JointStep(Decision("deny", call.reason_code, call.reason))
    shared = policy.shared(call.tool)
    if shared is None:
        return JointStep(denied(call, "unknown_tool", f"no spec describes `{call.tool}`"))
    refused = _refused(policy, shared, call, session)
    if refused is not None:
        return JointStep(refused)
    clock = max((now_ms, *(stored[each.name].clock_ms for each in shared.judges)))
    steps = [
        (each.name, take_step(engines[each.name], each, stored[each.name], call, clock, session=session))
        for each in shared.judges
    ]
    decision = combined([(name, step.decision) for name, step in steps], several=policy.several)
    if decision.verdict == "deny":
        return JointStep(decision)
    return JointStep(decision, MappingProxyType(_after(steps)))


@dataclass(frozen=True, slots=True)
class JointLanding:
    """The states after a success, of the specs where they differ; and what is wrong, where nothing could be stored.

    `reason_code` is `state_full`, a `fault.*`, or '' for nothing wrong.
    """

    after: States
    reason_code: str = ""
    reason: str = ""


def take_joint_success(
    engines: Engines,
    policy: Policy,
    stored: States,
    call: Call,
    now_ms: int,
    *,
    session: Mapping[str, Value] = NO_FACTS,
) -> JointLanding:
    """Note the success of a call that was permitted earlier in every spec that judged it, or in none.

    `stored` has the state of each of `judges_of` as it is now.
    """
    judges = judges_of(policy, call)
    clock = max((now_ms, *(stored[each.name].clock_ms for each in judges)))
    landings = [
        (each.name, take_success(engines[each.name], each, stored[each.name], call, clock, session=session))
        for each in judges
    ]
    for name, landing in landings:
        if landing.reason_code:
            reason = f"`{name}`: {landing.reason}" if policy.several else landing.reason
            return JointLanding({}, landing.reason_code, reason)
    return JointLanding({name: landing.after for name, landing in landings if landing.after is not None})


def _refused(policy: Policy, shared: SharedTool, call: Call, session: Mapping[str, Value]) -> Decision | None:
    """The denial for what a ceiling does not describe, or for a fact of the session that is missing."""
    if shared.lacking is not None:
        name = shared.lacking.name
        reason = f"the ceiling `{name}` does not describe `{call.tool}`"
        return replace(denied(call, "ceiling.unknown_tool", reason), spec=name)
    missing = [fact.name for fact in policy.session if fact.name not in session]
    if missing:
        return denied(call, "session.missing", f"the host did not supply the session fact `{missing[0]}`")
    return None


def _after(steps: Sequence[tuple[str, Step]]) -> dict[str, StoredState]:
    return {name: step.after for name, step in steps if step.after is not None}


def combined(decisions: Sequence[tuple[str, Decision]], *, several: bool) -> Decision:
    """The strictest of some specs' decisions on one call; of equally strict ones the first decides.

    A fault is stricter than any rule. Where people are asked, as many as the most demanding rule wants, in the
    shortest of the times. `several` says that the gate has other specs, so that rules are named with their spec.
    """
    spec, deciding = min(decisions, key=lambda named: strictness(named[1]))
    if not several:
        return replace(deciding, spec=spec)
    asking = [each for _, each in decisions if each.verdict == "ask"] if deciding.verdict == "ask" else []
    rest = "".join(f"; `{name}`: {each.reason}" for name, each in decisions if name != spec)
    return replace(
        deciding,
        spec=spec,
        reason=f"`{spec}`: {deciding.reason}{rest}",
        fired=tuple(f"{name}/{rule}" for name, each in decisions for rule in each.fired),
        approvers=max((each.approvers for each in asking), default=0),
        expires_ms=min((each.expires_ms for each in asking), default=0),
    )


def strictness(decision: Decision) -> int:
    """The lower, the stricter."""
    return _FAULT if decision.reason_code.startswith("fault.") else _STRICTNESS[decision.verdict]
