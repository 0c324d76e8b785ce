"""A result, judged by the `after` rules of every spec that judged the call, before anybody sees it.

Both engines must agree. The strictest of the specs counts, and whatever goes wrong here withholds. What is withheld or
redacted is gone from all that leaves the gate: the result, what was printed, and the tool's own words of what failed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from sandbox import strict_json
from sandbox.call import Call, Decision, Outcome, Rejected, Ruling, RulingKind, Value
from sandbox.canonical import canonical_json
from sandbox.decide import decide
from sandbox.ir import Argument, Contract, Json, RecordType, Rule, Tool
from sandbox.joint import Engines
from sandbox.judging import Moments
from sandbox.parse import parse_value
from sandbox.stages import after_call

_KINDS: Final[Mapping[str, RulingKind]] = {"deny": "withhold", "ask": "redact", "allow": "pass"}
_STRICTNESS: Final[tuple[RulingKind, ...]] = ("withhold", "redact", "pass")


def has_rules(contracts: tuple[Contract, ...], tool: str) -> bool:
    """Whether any of these specs judges results of this tool."""
    return any(declared.after is not None for each in contracts if (declared := each.tool(tool)) is not None)


@dataclass(frozen=True, slots=True)
class ResultJudge:
    """Judges the result of one call. `moment` gives the state and the facts of the time of judging; it may raise."""

    contracts: tuple[Contract, ...]
    engines: Engines
    call: Call
    moment: Callable[[], Moments]

    def ruling(self, outcome: Outcome) -> Ruling:
        """What becomes of this result, by the strictest of the specs; the first of those. Never raises."""
        try:
            moments = self.moment()
            rulings = [
                self._by_one(contract, tool, outcome, moments)
                for contract in self.contracts
                if (tool := contract.tool(self.call.tool)) is not None and tool.after is not None
            ]
            return min(rulings, key=lambda each: _STRICTNESS.index(each.kind))
        except Exception as error:  # noqa: BLE001  # what could not be judged is not shown
            reason = f"the call ran; its result could not be judged ({type(error).__name__}) and is withheld"
            return Ruling("withhold", "", "", "after.fault", reason)

    def _by_one(self, contract: Contract, tool: Tool, outcome: Outcome, moments: Moments) -> Ruling:
        fields = _fields(tool, outcome)
        if isinstance(fields, Rejected):
            reason = f"the call ran; its result is not what `returns` declares ({fields.reason_code}) and is withheld"
            return Ruling("withhold", contract.name, "", "after.type", reason)
        state, facts = moments[contract.name]
        asked = after_call(self.call, outcome, canonical_json(outcome.result), fields)
        decision = decide(self.engines[contract.name], asked, state, facts).decision
        return _ruling_of(decision, tool.after or (), contract.name)


def _fields(tool: Tool, outcome: Outcome) -> Mapping[str, Value] | Rejected | None:
    """The declared fields of a result; of a call that failed, none of them. None where the spec declares none."""
    typed = [Argument(each.name, each.type, each.optional) for each in tool.returns if each.type is not None]
    if not typed:
        return None
    if outcome.status != "ok":
        return {}
    if type(outcome.result) is not dict:  # a string would be read as the JSON text that it might hold
        return Rejected("parse.type", "no record")
    untyped = {each.name for each in tool.returns if each.type is None}
    tree = strict_json.read({name: value for name, value in outcome.result.items() if name not in untyped})
    if isinstance(tree, Rejected):
        return tree
    fields = parse_value(tree, RecordType(tuple(typed)))
    if isinstance(fields, Rejected | Mapping):
        return fields
    return Rejected("parse.type", "no record")


def _ruling_of(decision: Decision, rules: tuple[Rule, ...], spec: str) -> Ruling:
    if decision.reason_code.startswith("fault."):
        reason = f"the call ran; its result could not be judged ({decision.reason_code}) and is withheld"
        return Ruling("withhold", spec, "", "after.fault", reason)
    kind = _KINDS[decision.verdict]
    rule = next((rule for rule in rules if rule.id == decision.rule), None)
    if rule is None:
        return Ruling(
            "withhold", spec, "", "after.withheld", "the call ran; its result is withheld, for no rule passes it"
        )
    done = {"withhold": "withheld", "redact": "redacted", "pass": "passed"}[kind]
    stated = f": {rule.reason}" if rule.reason else ""
    code = "after.withheld" if kind == "withhold" else ""
    return Ruling(kind, spec, rule.id, code, f"the call ran; its result is {done} by rule `{rule.id}`{stated}")


def shown(outcome: Outcome, ruling: Ruling) -> Outcome:
    """The outcome as it leaves the gate. How it ended, what it changed and what it asked of the network stay."""
    match ruling.kind:
        case "pass":
            return outcome
        case "redact":
            marker: Json = {"redacted": True}
            reason = ruling.reason if outcome.reason else ""
            return replace(outcome, result=marker, stdout="", stderr="", reason=reason)
        case "withhold":
            code, reason = ruling.reason_code, ruling.reason
            return replace(outcome, result=None, stdout="", stderr="", reason_code=code, reason=reason)


def without_output(outcome: Outcome) -> Outcome:
    """The outcome of a failure of the machinery, which no rule judges: nothing that a tool may have said stays."""
    return replace(outcome, result=None, stdout="", stderr="")
