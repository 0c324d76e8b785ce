"""A decision, by the evaluator alone and by both engines, beside pydantic and beside Google's CEL engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from cel_expr_python import cel
from figures import Figure, per_call, related
from pydantic import BaseModel, ConfigDict, Field

from sandbox.compile import load_contract
from sandbox.engines import close_engines, engine_pairs
from sandbox.ir import Contract
from sandbox.parse import parse_call
from sandbox.policy import Policy
from sandbox.rehearsal import Rehearsal

SPEC = Path(__file__).with_name("transfer.yaml")
NOW_MS = 1_750_000_000_000
TRUSTED = ["GB29NWBK60161331926819", "DE89370400440532013000", "FR1420041010050500013M02606"]
ARGUMENTS = {"recipient": TRUSTED[1], "amount": 250, "folder": "/data/out/2025", "note": "invoice 4711, thank you"}
RAW = json.dumps({"tool": "send", "args": ARGUMENTS}).encode()


class Arguments(BaseModel):
    """What pydantic can say of the arguments: types, sizes, the pattern."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    recipient: Annotated[str, Field(pattern=r"^[A-Z]{2}[0-9A-Z]{13,32}$")]
    amount: Annotated[int, Field(ge=1, le=1_000_000)]
    folder: Annotated[str, Field(max_length=200)]
    note: Annotated[str, Field(max_length=140)]


class Message(BaseModel):
    """The call's envelope."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    tool: Literal["send"]
    args: Arguments


def figures() -> list[Figure]:
    """Times of one call, parsed and judged; pydantic only validates, the CEL engine gets arguments that are parsed."""
    contract = load_contract(SPEC)
    policy = Policy.of(contract)
    alone = Rehearsal(policy, engine_pairs(policy, solver=False), NOW_MS)
    pairs = engine_pairs(policy)
    both = Rehearsal(policy, pairs, NOW_MS)
    rules = cel_rules(contract)
    if not alone.judge(RAW, NOW_MS).verdict == both.judge(RAW, NOW_MS).verdict == rules() == "allow":
        message = "the engines do not agree on what is measured"
        raise SystemExit(message)
    times = {
        "pydantic, strict": per_call(lambda: Message.model_validate_json(RAW, strict=True)),
        "a CEL engine, the same rules": per_call(rules),
        "parse alone": per_call(lambda: parse_call(RAW, contract)),
        "parse and evaluator": per_call(lambda: alone.judge(RAW, NOW_MS)),
        "parse, evaluator and solver": per_call(lambda: both.judge(RAW, NOW_MS)),
    }
    close_engines(pairs)
    return related("one decision", times, "pydantic, strict")


def cel_rules(contract: Contract) -> Callable[[], str]:
    """The same rules, from the same text, judged by Google's engine on arguments that are already parsed."""
    names = {
        "args": cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
        "state": cel.Type.Map(cel.Type.STRING, cel.Type.INT),
        "trusted": cel.Type.List(cel.Type.STRING),
    }
    environment = cel.NewEnv(variables=names)
    tool = next(tool for tool in contract.tools if tool.name == "send")
    programs = [(rule.kind, environment.compile(rule.text)) for rule in tool.rules]
    data = {"args": ARGUMENTS, "state": {"sent_today": 0}, "trusted": TRUSTED}

    def judge() -> str:
        fired = {kind for kind, program in programs if program.eval(data=data).value() is True}
        return next((kind for kind in ("deny", "ask", "allow") if kind in fired), "deny")

    return judge
