"""Unit: state of principals and sessions through the whole gate, and what opens on it."""

from __future__ import annotations

from pathlib import Path

import pytest
from gatekit import OK, HandClock, SpyRunner, open_gate
from spec_files import spec, write

from sandbox import state_parts
from sandbox.call import Outcome, Permit
from sandbox.compile import load_contract
from sandbox.errors import Denied, EnvironmentLacking, SpecError, UsageError
from sandbox.gate import Gate

DESK = """\
sandbox: 1
name: payments
session:
  principal: {type: string, max_size: 40}
  id: {type: string, max_size: 40}
state:
  all_day: {type: int, initial: 0, window: 24h}
  own_day: {type: int, initial: 0, window: 24h, scope: principal}
  friends: {type: set, items: {type: string, max_size: 20}, initial: [house], scope: principal}
  tainted: {type: bool, initial: false, scope: session}
tools:
  read:
    args: {page: {type: string, max_size: 20}}
    rules: [{id: any, allow: true}]
    then: {tainted: "true"}
    run: {tool: "tools.payments:send_money"}
  befriend:
    args: {who: {type: string, max_size: 20}}
    rules: [{id: clean, allow: "!state.tainted"}]
    then: {friends: state.friends.add(args.who)}
    run: {tool: "tools.payments:send_money"}
  pay:
    args: {to: {type: string, max_size: 20}, n: {type: int, min: 0, max: 10}}
    rules:
      - {id: own, deny: state.own_day + args.n > 10}
      - {id: all, deny: state.all_day + args.n > 15}
      - {id: friends, allow: args.to in state.friends}
    then: {own_day: state.own_day + args.n, all_day: state.all_day + args.n}
    run: {tool: "tools.payments:send_money"}
"""
ANN = {"principal": "ann", "id": "s1"}
ANN_LATER = {"principal": "ann", "id": "s2"}
BOB = {"principal": "bob", "id": "s3"}


def pay(n: int, to: str = "house") -> dict[str, object]:
    return {"tool": "pay", "args": {"to": to, "n": n}}


def befriend(who: str) -> dict[str, object]:
    return {"tool": "befriend", "args": {"who": who}}


READ = {"tool": "read", "args": {"page": "x"}}


def code(gate: Gate, call: dict[str, object], session: dict[str, str] | None) -> str:
    """What came of a call: the decision's reason code."""
    try:
        return gate.call(call, session).decision.reason_code
    except Denied as denied:
        return denied.decision.reason_code


@pytest.mark.parametrize("solver", [False, True])
def test_budgets_and_sets_belong_to_the_principal_and_marks_to_the_session(tmp_path: Path, solver: bool) -> None:
    with open_gate(tmp_path, text=DESK, solver=solver) as gate:
        assert code(gate, pay(10), ANN) == "rule.allow"
        assert code(gate, pay(1), ANN) == "rule.deny"
        assert code(gate, pay(1), ANN_LATER) == "rule.deny"
        assert code(gate, pay(1, "bob"), BOB) == "default_deny"
        assert code(gate, befriend("bob"), BOB) == "rule.allow"
        assert code(gate, pay(5, "bob"), BOB) == "rule.allow"
        assert code(gate, pay(1, "bob"), BOB) == "rule.deny"
        assert code(gate, READ, ANN) == "rule.allow"
        assert code(gate, befriend("x"), ANN) == "default_deny"
        assert code(gate, befriend("x"), ANN_LATER) == "rule.allow"
        assert code(gate, pay(0, "x"), ANN) == "rule.allow"


@pytest.mark.parametrize("missing", ["principal", "id"])
def test_a_call_of_nobody_is_denied_and_leaves_no_trace(tmp_path: Path, missing: str) -> None:
    with open_gate(tmp_path, text=DESK) as gate:
        session = {name: value for name, value in ANN.items() if name != missing}
        assert gate.decide(pay(1), session).reason_code == "session.missing"
        assert code(gate, pay(1), session) == "session.missing"
        assert code(gate, pay(1), None) == "session.missing"
        with gate._store.transaction() as transaction:
            assert transaction.every(gate._policy.first) == ()


@pytest.mark.parametrize("wrong", ["", 5, None, ["ann"], {"name": "ann"}, "x" * 41, "\ud800", "a\0b", "\U00030000"])
def test_a_principal_of_a_wrong_type_is_nobody(tmp_path: Path, wrong: object) -> None:
    with open_gate(
        tmp_path, text=DESK.replace("{type: string, max_size: 40}", "{type: string, min_size: 1, max_size: 40}")
    ) as gate:
        assert gate.decide(pay(1), {**ANN, "principal": wrong}).verdict == "deny"


def test_the_state_outlives_the_gate(tmp_path: Path) -> None:
    with open_gate(tmp_path, text=DESK) as gate:
        code(gate, pay(10), ANN)
        code(gate, READ, ANN)
    with open_gate(tmp_path, text=DESK) as gate:
        assert code(gate, pay(1), ANN) == "rule.deny"
        assert code(gate, befriend("x"), ANN) == "default_deny"
        assert code(gate, pay(5), BOB) == "rule.allow"


def test_time_passes_for_all_alike(tmp_path: Path) -> None:
    clock = HandClock()
    with open_gate(tmp_path, text=DESK, clock=clock) as gate:
        code(gate, pay(10), ANN)
        clock.pass_hours(23)
        assert code(gate, pay(5), BOB) == "rule.allow"
        clock.pass_hours(-20)
        assert code(gate, pay(1), ANN) == "rule.deny"
        clock.pass_hours(21)
        assert code(gate, pay(10), ANN) == "rule.allow"


def test_a_container_that_never_started_gives_back_to_its_own_principal(tmp_path: Path) -> None:
    stuck = SpyRunner(lambda _: Outcome("sandbox_failure", "sandbox_failure.engine", "gone", started=False))
    with open_gate(tmp_path, text=DESK) as gate:
        code(gate, pay(4), ANN)
        code(gate, pay(1), BOB)
    with open_gate(tmp_path, text=DESK, runner=stuck) as gate:
        with pytest.raises(EnvironmentLacking):
            gate.call(befriend("x"), ANN)
        with pytest.raises(EnvironmentLacking):
            gate.call(pay(6), ANN)
    with open_gate(tmp_path, text=DESK) as gate:
        assert code(gate, pay(0, "x"), ANN) == "default_deny"
        assert code(gate, pay(6), ANN) == "rule.allow"
        assert code(gate, pay(4), BOB) == "rule.allow"


def test_what_another_principal_did_meanwhile_stays(tmp_path: Path) -> None:
    """Ann's call is on its way while Bob's is let through; then it turns out that hers never started."""
    gates: list[Gate] = []

    def behave(permit: Permit) -> Outcome:
        if "ann-friend" not in permit.call.canonical:
            return OK
        assert code(gates[0], befriend("bob-friend"), BOB) == "rule.allow"
        return Outcome("sandbox_failure", "sandbox_failure.engine", "gone", started=False)

    with open_gate(tmp_path, text=DESK, runner=SpyRunner(behave)) as gate:
        gates.append(gate)
        with pytest.raises(EnvironmentLacking):
            gate.call(befriend("ann-friend"), ANN)
        assert code(gate, pay(1, "ann-friend"), ANN) == "default_deny"
        assert code(gate, pay(1, "bob-friend"), BOB) == "rule.allow"


def test_one_principal_too_many_is_denied_with_its_own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_parts, "MAX_HOLDERS", 1)
    with open_gate(tmp_path, text=DESK) as gate:
        assert code(gate, pay(1), ANN) == "rule.allow"
        assert gate.decide(pay(1), BOB).reason_code == "state_full"
        assert code(gate, pay(1), BOB) == "state_full"
        assert code(gate, pay(1), ANN) == "rule.allow"


def test_a_spec_that_moves_a_variable_to_another_scope_does_not_open(tmp_path: Path) -> None:
    with open_gate(tmp_path, text=DESK) as gate:
        code(gate, pay(1), ANN)
    with pytest.raises(UsageError, match="`own_day` was stored as `int window 86400000 for each principal`"):
        open_gate(tmp_path, text=DESK.replace("window: 24h, scope: principal", "window: 24h"))


@pytest.mark.parametrize(
    ("session", "scope", "message"),
    [
        (
            "",
            "principal",
            (
                "`scope: principal` rests on the session fact `principal`, which is not declared; write "
                "`session: {principal: {type: string}}`"
            ),
        ),
        (
            "session: {principal: {type: string}}\n",
            "session",
            (
                "`scope: session` rests on the session fact `id`, which is not declared; write "
                "`session: {id: {type: string}}`"
            ),
        ),
        (
            "session: {id: {type: int}}\n",
            "session",
            (
                "`scope: session` rests on the session fact `id`, a `string` or `enum`; write "
                "`session: {id: {type: string}}`"
            ),
        ),
        (
            "session: {principal: {type: path}}\n",
            "principal",
            (
                "`scope: principal` rests on the session fact `principal`, a `string` or `enum`; write "
                "`session: {principal: {type: string}}`"
            ),
        ),
        ("", "sesion", "`sesion` is no scope; did you mean `session`?"),
        ("", "global", "`global` is no scope; known: `principal`, `session`, `spec`"),
    ],
)
def test_a_scope_without_its_fact_is_refused_at_its_place(
    session: str, scope: str, message: str, tmp_path: Path
) -> None:
    text = spec(f"{session}state:\n  n: {{type: int, initial: 0, scope: {scope}}}\n")
    with pytest.raises(SpecError) as error:
        load_contract(write(tmp_path, text))
    (problem,) = error.value.problems
    line = 4 if session == "" else 5
    assert (problem.place.line, problem.place.column, problem.message) == (line, 37, message)


def test_an_enum_may_be_a_principal(tmp_path: Path) -> None:
    text = spec(
        "session: {principal: {type: enum, values: [clerk, boss]}}\n"
        "state:\n  n: {type: int, initial: 0, scope: principal}\n  s: {type: int, initial: 0, scope: spec}\n"
    )
    assert [variable.scope for variable in load_contract(write(tmp_path, text)).variables] == ["principal", "spec"]
