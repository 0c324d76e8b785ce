"""How a decision is printed and what it ends the command with."""

from __future__ import annotations

from sandbox.call import Decision
from sandbox.ir import Json


def decision_document(decision: Decision, *, several: bool = False) -> dict[str, Json]:
    """The decision as JSON. `call_digest` and the engines' verdicts are null for what did not parse.

    `several`: of a gate with several specs, so that `spec` says whose rule decided.
    """
    return {
        "verdict": decision.verdict,
        **({"spec": decision.spec} if several else {}),
        "rule": decision.rule,
        "reason_code": decision.reason_code,
        "reason": decision.reason,
        "call_digest": decision.call.digest if decision.call is not None else None,
        "engines": {"evaluator": decision.engines.evaluator, "solver": decision.engines.solver},
    }


def exit_code_of(decision: Decision) -> int:
    """5 if the gate itself failed, else 1 for deny, 3 for ask, 0 for allow."""
    if decision.reason_code.startswith("fault."):
        return 5
    return {"deny": 1, "ask": 3, "allow": 0}[decision.verdict]
