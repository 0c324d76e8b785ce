"""A sequence under what its spec extends: every ceiling judges every call too, and one that it denies does not run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.call import Call, Rejected
from sandbox.decide import EnginePair, Evaluator
from sandbox.holders import Shelf, holders_of
from sandbox.ir import Contract, Property
from sandbox.joint import Engines, States, judges_of, take_joint_step, take_joint_success
from sandbox.policy import Member, Policy
from sandbox.prove.replay import Differs, call_of
from sandbox.prove.verdicts import Move, Replayed
from sandbox.session import read_session

if TYPE_CHECKING:
    from sandbox.call import Value


def hindered_by(
    contract: Contract, ceilings: tuple[Contract, ...], subject: Property, played: Replayed | Differs
) -> str:
    """Why a sequence that runs under the spec alone does not under these as well, in one line; '' where it does.

    It does where every call that was permitted is, and the last has the verdict that it had, if the property asks.
    """
    if not ceilings or not isinstance(played, Replayed) or not played.moves.calls:
        return ""
    members = (Member(contract), *(Member(each, given=False, ceiling=True) for each in ceilings))
    return _Joint(Policy(members), played.moves.calls[0].now_ms).hindered(subject, played)


@dataclass(frozen=True, slots=True)
class _Running:
    """A permitted call; after which number, and when (None: at once), it ends `ok`; the session of its judgement."""

    after: int
    at_ms: int | None
    call: Call
    facts: Mapping[str, Value]


class _Joint:
    """Several specs on a throw-away state, by the step that the gate takes."""

    def __init__(self, policy: Policy, start_ms: int) -> None:
        self._policy = policy
        self._engines: Engines = {each.name: EnginePair(Evaluator(each), None) for each in policy.contracts}
        self._shelves = {each.name: Shelf.fresh(each, start_ms) for each in policy.contracts}
        self._running: list[_Running] = []

    def hindered(self, subject: Property, played: Replayed) -> str:
        """The first call that goes otherwise, in words."""
        for number, (move, alone) in enumerate(zip(played.moves.calls, played.decisions, strict=True), 1):
            verdict, reason = self._judged(number, move)
            same = subject.mentions_decision and number == len(played.decisions)
            if verdict != alone.verdict and (same or verdict == "deny"):
                return f"call {number} is {verdict}: {reason}"
            wrong = self._ended(number, move.now_ms)
            if wrong:
                return wrong
        return ""

    def _judged(self, number: int, move: Move) -> tuple[str, str]:
        """The verdict of all specs and its reason; what a permit leaves is stored."""
        call = call_of(move, self._policy.first)
        if isinstance(call, Rejected):
            return "deny", call.reason
        facts = read_session(self._policy, move.session)
        states = self._states(call, facts)
        step = take_joint_step(self._engines, self._policy, states, call, move.now_ms, session=facts)
        self._put(step.after or {}, facts)
        if step.after is not None and move.ends is not None:
            self._running.append(_Running(number + move.ends.after, move.ends.at_ms, call, facts))
        return step.decision.verdict, step.decision.reason

    def _ended(self, number: int, now_ms: int) -> str:
        """Note the success of every call that ends after this many; why one cannot be noted, or ''."""
        for each in (each for each in self._running if each.after == number):
            states = self._states(each.call, each.facts)
            at_ms = now_ms if each.at_ms is None else each.at_ms
            landing = take_joint_success(self._engines, self._policy, states, each.call, at_ms, session=each.facts)
            if landing.reason_code:
                return f"the success of `{each.call.tool}` is not noted: {landing.reason}"
            self._put(landing.after, each.facts)
        return ""

    def _states(self, call: Call, facts: Mapping[str, Value]) -> States:
        judging = judges_of(self._policy, call)
        return {each.name: self._shelves[each.name].view(holders_of(each, facts)) for each in judging}

    def _put(self, after: States, facts: Mapping[str, Value]) -> None:
        for name, state in after.items():
            shelf = self._shelves[name]
            shelf.put(holders_of(shelf.contract, facts), state)
