"""Hypothesis on the side of the model: strategies of calls for a spec, and searches for one that does what none should.

Needs Hypothesis (`pip install "sandbox[testing]"`). A proof covers every call and every history of the decision; what
is here runs the real gate, and so also covers what proofs do not: parsing, storing, recording.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeAlias

from hypothesis import HealthCheck, find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from sandbox.call import Call, Decision
from sandbox.compile import load_policy
from sandbox.decide import EnginePair, Evaluator
from sandbox.errors import UsageError
from sandbox.ir import Json
from sandbox.parse import parse_call
from sandbox.policy import Policy
from sandbox.rehearsal import Rehearsal
from sandbox.session import read_session
from sandbox.testing.aimed import Aim, aims
from sandbox.testing.hostile import hostile_bytes
from sandbox.testing.machine import gate_machine
from sandbox.testing.trial import START_MS, Trial
from sandbox.testing.values import Raw, arguments, calls, raw_call

__all__ = [
    "Aim",
    "Trial",
    "aimed_calls",
    "allowed_calls",
    "assert_never",
    "gate_machine",
    "hostile_calls",
    "valid_calls",
]

Predicate: TypeAlias = Callable[[Mapping[str, Json], Decision], bool]

DEFAULT_EXAMPLES: Final = 1_000
"""Calls that `assert_never` tries."""


def hostile_calls(spec: str | Path) -> st.SearchStrategy[bytes]:
    """Bytes as a model may emit them towards this spec: noise, and its tools' calls with something wrong."""
    return hostile_bytes(load_policy(spec).tools)


def valid_calls(spec: str | Path) -> st.SearchStrategy[Raw]:
    """Raw calls that parse, of every tool of the spec; what the rules say of them is open."""
    return _valid(load_policy(spec))


def allowed_calls(spec: str | Path, session: Mapping[str, object] | None = None) -> st.SearchStrategy[Raw]:
    """Raw calls that the rules allow from the initial state, with these facts of the session.

    Found by the solver, rule by rule, and by changing what it found. UsageError where nothing is allowed.
    """
    policy = load_policy(spec)
    judge = _judge(policy, session)
    seeds = [raw for raw in map(_last, _aims_of(policy)) if judge(raw).verdict == "allow"]
    if not seeds:
        message = f"no call is allowed by `{policy.first.name}` as it begins, as far as was found"
        raise UsageError(message, "nothing_allowed")
    fields = {tool.name: tool.arguments for tool in policy.tools}

    def near(seed: Raw) -> st.SearchStrategy[Raw]:
        name, args = str(seed["tool"]), seed["args"] if isinstance(seed["args"], dict) else {}
        others = arguments(fields[name])
        return st.one_of(
            st.just(seed),
            others.flatmap(
                lambda found: st.sampled_from([raw_call(name, {**args, k: v}) for k, v in found.items()] or [seed])
            ),
            others.map(lambda found: raw_call(name, {**args, **found})),
        )

    return st.sampled_from(seeds).flatmap(near).filter(lambda raw: judge(raw).verdict == "allow")


def aimed_calls(spec: str | Path) -> tuple[Aim, ...]:
    """For each rule, sequences from the initial state: to a call that it decides, and to the edges of its bounds."""
    return _aims_of(load_policy(spec))


def assert_never(
    spec: str | Path,
    predicate: Predicate,
    *,
    session: Mapping[str, object] | None = None,
    examples: int = DEFAULT_EXAMPLES,
) -> None:
    """Search for a call of which `predicate(call, decision)` is true, judged at the initial state.

    AssertionError with the smallest found. `call` is canonical, as the tool would get it. To find none is no proof:
    write a `never` property for that.
    """
    policy = load_policy(spec)
    judge = _judge(policy, session)

    def holds(raw: Raw) -> bool:
        call = parse_call(raw, policy)
        return isinstance(call, Call) and predicate(json.loads(call.canonical), judge(raw))

    tried = [_last(each) for each in _aims_of(policy)]
    found = next((raw for raw in tried if holds(raw)), None)
    if found is None:
        quiet = settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        try:
            found = find(_valid(policy), holds, settings=quiet)
        except NoSuchExample:
            return
    decision = judge(found)
    message = f"{json.dumps(found, ensure_ascii=False)}: {decision.verdict} ({decision.reason})"
    raise AssertionError(message)


def _valid(policy: Policy) -> st.SearchStrategy[Raw]:
    if not policy.tools:
        message = f"`{policy.first.name}` has no tool, and so no call that parses"
        raise UsageError(message, "nothing_allowed")
    return calls(policy.tools).filter(lambda raw: isinstance(parse_call(raw, policy), Call))


def _judge(policy: Policy, session: Mapping[str, object] | None) -> Callable[[Raw], Decision]:
    """The verdict at the initial state, by the evaluator."""
    facts = read_session(policy, dict(session or {}))
    engines = {each.name: EnginePair(Evaluator(each), None) for each in policy.contracts}
    rehearsal = Rehearsal(policy, engines, START_MS, session=facts)
    return lambda raw: rehearsal.judge(raw, START_MS)


def _last(aim: Aim) -> Raw:
    """The call at the end of an aim; what came before it is left out, and the judge has the last word."""
    return raw_call(aim.tool, aim.moves[-1].args)


def _aims_of(policy: Policy) -> tuple[Aim, ...]:
    return tuple(found for each in policy.contracts for found in aims(each))
