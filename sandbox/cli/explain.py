"""`sandbox explain`: each rule with its value, and the nearest change that would be allowed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from sandbox.call import Decision, Rejected
from sandbox.canonical import show_state
from sandbox.cli.decision import decision_document, exit_code_of
from sandbox.cli.output import json_option, print_document, show, state_option
from sandbox.cli.raw import args_option, raw_call, tool_option
from sandbox.cli.session import session_option
from sandbox.cli.times import Instant
from sandbox.compile import load_contract
from sandbox.decide import EnginePair, Facts
from sandbox.engines import SolverWorker, engine_pair
from sandbox.gate import wall_clock
from sandbox.ir import Contract, Json, Rule
from sandbox.machine import StateValue, StoredState
from sandbox.nearest import Allows, Suggestion, nearest_allowed
from sandbox.parse import parse_call
from sandbox.rehearsal import Rehearsal
from sandbox.session import read_session
from sandbox.state import DEFAULT_FILE, STATE_VARIABLE, Store
from sandbox.state_file import path_of


@click.command(
    name="explain",
    epilog="""Example: sandbox explain specs/files.yaml --tool read --args '{"path": "/workspace/.git/config"}'""",
)
@click.argument("spec")
@tool_option
@args_option
@session_option
@state_option
@click.option("--now", type=Instant(), help="The instant to judge at; default: now.")
@json_option
def command(
    spec: str,
    *,
    tool: str,
    args: str,
    session: dict[str, object],
    state: str | None,
    now: int | None,
    as_json: bool,
) -> int:
    """Why a call is denied: each rule with its value, and the nearest change that would be allowed.

    Judged on the stored state, which stays as it is; on `initial` where nothing is stored yet. Runs nothing.
    """
    contract = load_contract(spec)
    now_ms = wall_clock() if now is None else now
    facts = read_session(contract, session)
    both = engine_pair(contract, always_ask=True)
    try:
        place = _Place(_stored_state(contract, state, now_ms), facts, now_ms)
        explanation = _explain(contract, both, place, raw_call(tool, args))
    finally:
        if isinstance(both.solver, SolverWorker):
            both.solver.close()
    if as_json:
        print_document(_document(explanation))
    else:
        _print(explanation)
    return exit_code_of(explanation.decision)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the call is judged: the stored state (None: as it begins), the session's facts, and the instant."""

    stored: StoredState | None
    facts: Facts
    now_ms: int


@dataclass(frozen=True, slots=True)
class _Explanation:
    decision: Decision
    state: dict[str, Json]
    rules: tuple[tuple[Rule, bool], ...] = ()
    nearest: tuple[Suggestion, ...] = ()


def _explain(contract: Contract, both: EnginePair, place: _Place, raw: bytes) -> _Explanation:
    now_ms = place.now_ms
    judge = Rehearsal(contract, both, now_ms, place.stored, session=place.facts)
    probe = Rehearsal(contract, EnginePair(both.evaluator, None), now_ms, place.stored, session=place.facts)
    decision, values = judge.judge(raw, now_ms), judge.state(now_ms)
    state = _shown(contract, values)
    call = parse_call(raw, contract)
    if isinstance(call, Rejected) or decision.reason_code == "session.missing":
        return _Explanation(decision, state)
    facts = {f"session.{name}": value for name, value in place.facts.items()}
    rules = both.evaluator.rules(call, values, {"now": judge.clock(now_ms), **facts})
    if decision.verdict == "allow":
        return _Explanation(decision, state, rules)

    def allows(rehearsal: Rehearsal) -> Allows:
        return lambda changed: rehearsal.judge(changed, now_ms).verdict == "allow"

    tool = both.evaluator.tool(call.tool)
    return _Explanation(decision, state, rules, nearest_allowed(call, tool, probe=allows(probe), judge=allows(judge)))


def _shown(contract: Contract, values: Mapping[str, StateValue]) -> dict[str, Json]:
    """The state for people: decimals as text."""
    return {variable.name: show_state(values[variable.name], variable.sort) for variable in contract.variables}


def _stored_state(contract: Contract, url: str | None, now_ms: int) -> StoredState | None:
    """What is stored, if there is a state at all; none is made."""
    named = url or os.environ.get(STATE_VARIABLE)
    place = path_of(named) if named else Path(contract.file).parent / DEFAULT_FILE
    if not place.exists():
        return None
    store = Store.open(url, contract.file)
    try:
        with store.transaction() as transaction:
            return transaction.load(contract, now_ms)
    finally:
        store.close()


def _print(explanation: _Explanation) -> None:
    decision = explanation.decision
    click.echo(f"{decision.verdict}: {show(decision.reason)} [{decision.reason_code}]")
    if decision.call is not None:
        click.echo(f"call: {show(decision.call.canonical)}")
    for name, value in explanation.state.items():
        click.echo(f"state.{name} = {show(str(value))}")
    for rule, holds in explanation.rules:
        click.echo(f"  {'true ' if holds else 'false'}  {rule.kind:5} {rule.id}: {show(rule.text)}")
    if decision.verdict == "allow":
        return
    if not explanation.nearest:
        click.echo("no change of a single argument was found that would be allowed")
    for suggestion in explanation.nearest:
        click.echo(f"would be allowed: {show(_words(suggestion))}")


def _words(suggestion: Suggestion) -> str:
    if not suggestion.present:
        return f"without `{suggestion.argument}`"
    return f"with `{suggestion.argument}` = {json.dumps(suggestion.value, ensure_ascii=False)}"


def _document(explanation: _Explanation) -> dict[str, Json]:
    return {
        **decision_document(explanation.decision),
        "state": dict(explanation.state),
        "rules": [
            {"id": rule.id, "kind": rule.kind, "text": rule.text, "value": holds} for rule, holds in explanation.rules
        ],
        "nearest": [
            {"argument": each.argument, "value": each.value, "present": each.present, "call": each.call}
            for each in explanation.nearest
        ],
    }
