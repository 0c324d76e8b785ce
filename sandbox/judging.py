"""What a call changed, judged by the rules of every spec that judged the call; both engines must agree.

Each changed path is judged by itself, on the state and at the time of now. One that any of the specs does not commit
refuses all of them, and so does whatever goes wrong here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from sandbox.call import Call, Change, Decision
from sandbox.canonical import canonical_path
from sandbox.decide import Facts, decide
from sandbox.execute.changes import shown_path
from sandbox.execute.runner import Objection
from sandbox.ir import Contract, Rule
from sandbox.joint import Engines
from sandbox.machine import StateValue
from sandbox.stages import WORKSPACE, change_call

MAX_JUDGED: Final = 1_000
"""Changed paths of one call that rules are asked about: each is a decision of both engines, a millisecond or two."""

Moments: TypeAlias = Mapping[str, tuple[Mapping[str, StateValue], Facts]]
"""By the name of each spec: what its rules read as the state, and beside it."""

MomentSource: TypeAlias = Callable[[], Moments]


@dataclass(frozen=True, slots=True)
class ChangesJudge:
    """Judges the changes of one call. `moment` gives the state and the facts of the time of judging; it may raise."""

    contracts: tuple[Contract, ...]
    engines: Engines
    call: Call
    moment: MomentSource

    @property
    def grants_hand_over(self) -> bool:
        """Whether every spec has rules of its own about changes."""
        return all(self._rules(each) is not None for each in self.contracts)

    def objection(self, changes: Sequence[Change]) -> Objection | None:
        """Why not all of these may be committed, or None if they may; the first path and spec that object."""
        if len(changes) > MAX_JUDGED:
            return Objection(
                "changes.refused", f"{len(changes):,} paths were changed, and {MAX_JUDGED:,} can be judged"
            )
        try:
            return self._objection(changes)
        except Exception as error:  # noqa: BLE001  # what could not be judged is not committed
            return Objection("changes.fault", f"the changes could not be judged: {type(error).__name__}")

    def _objection(self, changes: Sequence[Change]) -> Objection | None:
        judging = [each for each in self.contracts if self._rules(each) is not None]
        moments = self.moment() if changes else {}
        for change in changes:
            path = f"{WORKSPACE}/{change.path}"
            if canonical_path(path, None) != path:
                reason = f"{shown_path(change.path)} has a name that rules cannot see: too long, or above U+2FFFF"
                return Objection("changes.refused", reason)
            for contract in judging:
                objection = self._by_one(contract, change, moments)
                if objection is not None:
                    return objection
        return None

    def _by_one(self, contract: Contract, change: Change, moments: Moments) -> Objection | None:
        state, facts = moments[contract.name]
        decision = decide(self.engines[contract.name], change_call(self.call, change), state, facts).decision
        if decision.verdict == "allow":
            return None
        spec = f"`{contract.name}`: " if len(self.contracts) > 1 else ""
        objection = _objection_of(decision, self._rules(contract) or (), shown_path(change.path))
        return replace(objection, reason=f"{spec}{objection.reason}")

    def _rules(self, contract: Contract) -> tuple[Rule, ...] | None:
        tool = contract.tool(self.call.tool)
        return None if tool is None else tool.changes


def _objection_of(decision: Decision, rules: Sequence[Rule], path: str) -> Objection:
    if decision.reason_code.startswith("fault."):
        return Objection("changes.fault", f"{path} could not be judged: {decision.reason} ({decision.reason_code})")
    rule = next((rule for rule in rules if rule.id == decision.rule), None)
    if rule is None and decision.reason_code != "default_deny":
        return Objection("changes.refused", f"{path} is refused: {decision.reason}")
    if rule is None:
        return Objection("changes.refused", f"no rule commits {path}")
    return Objection("changes.refused", f"{path} is refused by rule `{rule.id}`: {rule.reason or rule.text}")
