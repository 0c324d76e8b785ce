"""`sandbox explain`: each rule with its value, and the nearest change that would be allowed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click

from sandbox.call import Call, Change, Decision
from sandbox.canonical import show_state
from sandbox.cli.afterwards import Consequences, Supposed, afterwards_options, consequences, document, lines, supposed
from sandbox.cli.decision import decision_document, exit_code_of
from sandbox.cli.output import json_option, print_document, show, state_option
from sandbox.cli.raw import args_option, raw_call, tool_option
from sandbox.cli.session import origins_option, session_option
from sandbox.cli.times import Instant
from sandbox.compile import load_policy
from sandbox.decide import EnginePair, Facts
from sandbox.engines import close_engines, engine_pairs
from sandbox.errors import UsageError
from sandbox.gate import wall_clock
from sandbox.holders import holders_of
from sandbox.ir import Json, Rule
from sandbox.joint import Engines, States
from sandbox.knowledge import Knowledge, Told, asks_origins
from sandbox.machine import StateFullError, StoredState
from sandbox.nearest import Allows, Suggestion, nearest_allowed
from sandbox.policy import Policy
from sandbox.rehearsal import Rehearsal
from sandbox.seal import Seal
from sandbox.seal_file import read_seal
from sandbox.session import read_session, session_name
from sandbox.state import DEFAULT_FILE, STATE_VARIABLE, Store
from sandbox.state_file import path_of

_BEFORE_ANY_RULE: Final = frozenset({"session.missing", "ceiling.unknown_tool"})
"""Denials of calls that no rule is asked about."""


MAX_ENTRIES_SHOWN: Final = 20
"""Entries of a set or map that are printed; `--json` has all of them."""


@click.command(
    name="explain",
    epilog="""Example: sandbox explain specs/files.yaml --tool read --args '{"path": "/workspace/.git/config"}'""",
)
@click.argument("spec")
@tool_option
@args_option
@session_option
@origins_option
@state_option
@click.option("--now", type=Instant(), help="The instant to judge at; default: now.")
@afterwards_options
@json_option
def command(
    spec: str,
    *,
    tool: str,
    args: str,
    session: dict[str, object],
    origins: dict[str, list[str]],
    state: str | None,
    now: int | None,
    changes: tuple[Change, ...],
    result: object,
    status: str,
    as_json: bool,
) -> int:
    """Why a call is denied: each rule with its value, and the nearest change that would be allowed.

    And what the rules after the call would make of a change to its workspace, or of a result. Judged on the stored
    state, which stays as it is; on `initial` where nothing is stored yet. Runs nothing.
    """
    policy = load_policy(spec)
    now_ms = wall_clock() if now is None else now
    facts = read_session(policy, session)
    both = engine_pairs(policy, always_ask=True)
    asked = supposed(changes, result, status)
    told = Knowledge(policy, Seal.fresh()).told(session_name(policy, session, facts), origins)
    try:
        with _stored(policy, state) as store:
            stored = {} if store is None else _stored_states(policy, store, now_ms, facts)
            place = _Place(stored, facts, now_ms, _known(policy, store, told))
            explanation = _explain(policy, both, place, raw_call(tool, args), asked)
    finally:
        close_engines(both)
    if as_json:
        print_document(_document(explanation, several=policy.several))
    else:
        _print(explanation)
    return exit_code_of(explanation.decision)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the call is judged: what is stored (where nothing is: as it begins), the session's facts, the instant.

    `known` gives a call its origins.
    """

    stored: States
    facts: Facts
    now_ms: int
    known: Callable[[Call], Call]


@dataclass(frozen=True, slots=True)
class _Explanation:
    decision: Decision
    state: dict[str, Json]
    rules: tuple[tuple[str, Rule, bool], ...] = ()
    nearest: tuple[Suggestion, ...] = ()
    after: Consequences = field(default_factory=Consequences)


def _explain(policy: Policy, both: Engines, place: _Place, raw: bytes, asked: Supposed) -> _Explanation:
    now_ms = place.now_ms
    evaluators = {name: EnginePair(pair.evaluator, None) for name, pair in both.items()}
    judge = Rehearsal(policy, both, now_ms, place.stored, session=place.facts, known=place.known)
    probe = Rehearsal(policy, evaluators, now_ms, place.stored, session=place.facts, known=place.known)
    decision = judge.judge(raw, now_ms)
    state = _shown(policy, judge, now_ms)
    call = decision.call
    shared = None if call is None else policy.shared(call.tool)
    if call is None or shared is None or decision.reason_code in _BEFORE_ANY_RULE:
        return _Explanation(decision, state)
    facts = {f"session.{name}": value for name, value in place.facts.items()}
    facts = {"now": judge.clock(shared.judges, now_ms), **facts}
    rules = tuple(
        (each.name, rule, holds)
        for each in shared.judges
        for rule, holds in both[each.name].evaluator.rules(call, judge.state(each, now_ms), facts)
    )
    moments = {each.name: (judge.state(each, now_ms), facts) for each in shared.judges}
    after = consequences(asked, shared.judges, both, call, moments)
    if decision.verdict == "allow":
        return _Explanation(decision, state, rules, after=after)

    def allows(rehearsal: Rehearsal) -> Allows:
        return lambda changed: rehearsal.judge(changed, now_ms).verdict == "allow"

    tool = policy.with_rules(call.tool)
    nearest = nearest_allowed(call, tool, probe=allows(probe), judge=allows(judge))
    return _Explanation(decision, state, rules, nearest, after)


def _shown(policy: Policy, judge: Rehearsal, now_ms: int) -> dict[str, Json]:
    """The state for people: decimals as text; named with its spec where there are several."""
    shown: dict[str, Json] = {}
    for contract in policy.contracts:
        values = judge.state(contract, now_ms)
        for variable in contract.variables:
            name = f"{contract.name}/{variable.name}" if policy.several else variable.name
            shown[name] = show_state(values[variable.name], variable.sort)
    return shown


@contextmanager
def _stored(policy: Policy, url: str | None) -> Iterator[Store | None]:
    """The state, if there is one; none is made."""
    named = url or os.environ.get(STATE_VARIABLE)
    place = path_of(named) if named else Path(policy.first.file).parent / DEFAULT_FILE
    if not place.exists():
        yield None
        return
    store = Store.open(url, policy.first.file)
    try:
        yield store
    finally:
        store.close()


def _known(policy: Policy, store: Store | None, told: Told) -> Callable[[Call], Call]:
    """What a gate on this state knows of a call's origins, beside what is told."""
    if store is None or not asks_origins(policy) or not _has_learned(store):
        knowledge = Knowledge(policy, Seal.fresh())
        return lambda call: knowledge.as_told(call, told)
    knowledge = Knowledge(policy, read_seal(store.key_path))

    def known(call: Call) -> Call:
        with store.transaction() as transaction:
            return knowledge.with_origins(transaction, call, told)

    return known


def _has_learned(store: Store) -> bool:
    with store.transaction() as transaction:
        return store.key_path.exists() and transaction.origins.is_there()


def _stored_states(policy: Policy, store: Store, now_ms: int, facts: Facts) -> dict[str, StoredState]:
    """What is stored of each spec, for whom the facts name."""
    try:
        with store.transaction() as transaction:
            return {each.name: transaction.load(each, now_ms, holders_of(each, facts)) for each in policy.contracts}
    except StateFullError as full:
        raise UsageError(str(full), "state_full") from full


def _print(explanation: _Explanation) -> None:
    decision = explanation.decision
    click.echo(f"{decision.verdict}: {show(decision.reason)} [{decision.reason_code}]")
    if decision.call is not None:
        click.echo(f"call: {show(decision.call.shown)}")
    for name, labels in _origins(explanation).items():
        click.echo(f"origin(args.{name}) = {', '.join(labels)}")
    for name, value in explanation.state.items():
        click.echo(f"state.{name} = {show(_brief(value))}")
    several = len({spec for spec, _, _ in explanation.rules}) > 1
    for spec, rule, holds in explanation.rules:
        name = f"{spec}/{rule.id}" if several else rule.id
        click.echo(f"  {'true ' if holds else 'false'}  {rule.kind:5} {name}: {show(rule.text)}")
    for line in lines(explanation.after):
        click.echo(show(line))
    if decision.verdict == "allow":
        return
    if not explanation.nearest:
        click.echo("no change of a single argument was found that would be allowed")
    for suggestion in explanation.nearest:
        click.echo(f"would be allowed: {show(_words(suggestion))}")


def _origins(explanation: _Explanation) -> dict[str, tuple[str, ...]]:
    """The labels of each argument of which a rule asks any."""
    return {} if explanation.decision.call is None else explanation.decision.call.told_origins()


def _brief(value: Json) -> str:
    """A value in words: of a large set or map its first entries, and how many there are."""
    if not isinstance(value, list | dict):
        return str(value)
    first = [str(each) for each in value] if isinstance(value, list) else [f"{key}: {value[key]}" for key in value]
    rest = len(first) - MAX_ENTRIES_SHOWN
    shown = ", ".join(first[:MAX_ENTRIES_SHOWN])
    return f"{{{shown}}}" if rest <= 0 else f"{{{shown}, and {rest:,} more}}"


def _words(suggestion: Suggestion) -> str:
    if not suggestion.present:
        return f"without `{suggestion.argument}`"
    return f"with `{suggestion.argument}` = {json.dumps(suggestion.value, ensure_ascii=False)}"


def _document(explanation: _Explanation, *, several: bool) -> dict[str, Json]:
    return {
        **decision_document(explanation.decision, several=several),
        "origins": {name: list(labels) for name, labels in _origins(explanation).items()},
        "state": dict(explanation.state),
        "rules": [
            {
                **({"spec": spec} if several else {}),
                "id": rule.id,
                "kind": rule.kind,
                "text": rule.text,
                "value": holds,
            }
            for spec, rule, holds in explanation.rules
        ],
        "nearest": [
            {"argument": each.argument, "value": each.value, "present": each.present, "call": each.call}
            for each in explanation.nearest
        ],
        **document(explanation.after),
    }
