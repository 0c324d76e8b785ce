"""Unit: the bookkeeping of periods and the terms of the transition relation."""

from __future__ import annotations

import itertools

import pytest

from sandbox.errors import Fault
from sandbox.evaluate import Env, evaluate
from sandbox.ir import (
    FALSE,
    TRUE,
    Add,
    Arg,
    Argument,
    Assignment,
    BoolSort,
    BoolType,
    Contract,
    EnumSort,
    IntSort,
    IntType,
    Period,
    Rule,
    RuleKind,
    State,
    Tool,
    Variable,
)
from sandbox.machine import (
    MAX_WINDOW_EVENTS,
    StateFullError,
    StoredState,
    apply_then,
    decided,
    effective,
    initial_state,
    rule_of,
    tick,
    verdict_of,
)

DAY = 86_400_000
HOUR = 3_600_000


def contract(*variables: Variable) -> Contract:
    return Contract("c", (), variables)


def window(name: str = "sent", length: int = DAY) -> Variable:
    return Variable(name, IntSort(), 0, Period("window", length))


def reset(name: str = "count", length: int = DAY, initial: int = 7) -> Variable:
    return Variable(name, IntSort(), initial, Period("reset", length))


def flag(name: str) -> Arg:
    return Arg(name, BoolSort())


def three_rules() -> Tool:
    names = ("d", "a", "h")
    return Tool(
        "t",
        tuple(Argument(name, BoolType()) for name in names),
        (
            Rule("first-allow", "allow", flag("a")),
            Rule("first-ask", "ask", flag("h")),
            Rule("second-allow", "allow", TRUE),
            Rule("first-deny", "deny", flag("d")),
            Rule("second-deny", "deny", flag("d")),
        ),
    )


@pytest.mark.parametrize(
    ("deny", "allow", "ask", "verdict", "rule"),
    [
        (True, True, True, "deny", "first-deny"),
        (True, False, False, "deny", "first-deny"),
        (False, True, True, "ask", "first-ask"),
        (False, False, True, "ask", "first-ask"),
        (False, True, False, "allow", "first-allow"),
        (False, False, False, "allow", "second-allow"),
    ],
)
def test_deny_beats_ask_beats_allow_and_the_first_in_file_order_decides(
    deny: bool, allow: bool, ask: bool, verdict: str, rule: str
) -> None:
    env = Env({"d": deny, "a": allow, "h": ask}, {})
    assert evaluate(verdict_of(three_rules()))(env) == verdict
    assert evaluate(rule_of(three_rules()))(env) == rule
    assert decided([each for each in three_rules().rules if evaluate(each.when)(env)]) == (verdict, rule)


@pytest.mark.parametrize("kinds", list(itertools.product(("deny", "ask", "allow"), repeat=4)))
def test_what_is_decided_of_rules_that_fired_is_what_the_terms_say(kinds: tuple[RuleKind, ...]) -> None:
    for fired in itertools.product((False, True), repeat=len(kinds)):
        rules = tuple(
            Rule(f"r{at}", kind, TRUE if fires else FALSE)
            for at, (kind, fires) in enumerate(zip(kinds, fired, strict=True))
        )
        tool = Tool("t", (), rules)
        said = evaluate(verdict_of(tool))(Env({}, {})), evaluate(rule_of(tool))(Env({}, {}))
        assert decided([rule for rule, fires in zip(rules, fired, strict=True) if fires]) == said


@pytest.mark.parametrize("rules", [(), (Rule("never", "allow", FALSE),), (Rule("never", "deny", FALSE),)])
def test_nothing_true_is_a_denial_that_no_rule_made(rules: tuple[Rule, ...]) -> None:
    tool = Tool("t", (), rules)
    assert evaluate(verdict_of(tool))(Env({}, {})) == "deny"
    assert evaluate(rule_of(tool))(Env({}, {})) == ""


def test_a_window_is_the_sum_of_what_is_younger_than_its_length() -> None:
    spec = contract(window())
    state = initial_state(spec, 0)
    state = apply_then(spec, tick(spec, state, 1_000), {"sent": 40})
    state = apply_then(spec, tick(spec, state, 5_000), {"sent": 100})
    assert state.events["sent"] == ((1_000, 40), (5_000, 60))
    assert effective(spec, tick(spec, state, 1_000 + DAY - 1))["sent"] == 100
    assert effective(spec, tick(spec, state, 1_000 + DAY))["sent"] == 60
    assert effective(spec, tick(spec, state, 5_000 + DAY))["sent"] == 0


def test_a_reset_budget_is_initial_in_each_new_period_aligned_to_utc() -> None:
    spec = contract(reset())
    state = apply_then(spec, initial_state(spec, DAY - 1), {"count": 3})
    assert effective(spec, tick(spec, state, DAY - 1))["count"] == 3
    assert effective(spec, tick(spec, state, DAY))["count"] == 7


def test_periods_of_one_length_move_together_and_others_stay() -> None:
    spec = contract(reset("a"), reset("b", initial=9), reset("hourly", HOUR), Variable("kept", IntSort(), 1))
    state = apply_then(spec, initial_state(spec, 0), {"a": 1, "b": 1, "hourly": 1, "kept": 5})
    later = tick(spec, state, HOUR)
    assert effective(spec, later) == {"a": 1, "b": 1, "hourly": 7, "kept": 5}
    assert effective(spec, tick(spec, later, DAY)) == {"a": 7, "b": 9, "hourly": 7, "kept": 5}


def test_a_clock_that_is_set_back_renews_nothing() -> None:
    spec = contract(reset(), window())
    state = apply_then(spec, initial_state(spec, 3 * DAY), {"count": 1, "sent": 5})
    back = tick(spec, state, 0)
    assert back == state
    assert back.clock_ms == 3 * DAY


def test_what_then_does_not_name_stays_and_the_old_state_is_untouched() -> None:
    spec = contract(Variable("a", IntSort(), 1), Variable("b", EnumSort(("x", "y")), "x"))
    state = initial_state(spec, 0)
    after = apply_then(spec, state, {"a": 2})
    assert effective(spec, after) == {"a": 2, "b": "x"}
    assert effective(spec, state) == {"a": 1, "b": "x"}


def test_a_window_never_takes_a_negative_amount() -> None:
    spec = contract(window())
    with pytest.raises(Fault, match="negative"):
        apply_then(spec, initial_state(spec, 0), {"sent": -1})


def test_a_window_that_is_full_takes_no_more_and_nothing_added_needs_no_room() -> None:
    spec = contract(window())
    full = StoredState({}, {}, {"sent": ((1, 1),) * MAX_WINDOW_EVENTS}, 1)
    with pytest.raises(StateFullError):
        apply_then(spec, full, {"sent": MAX_WINDOW_EVENTS + 1})
    assert apply_then(spec, full, {"sent": MAX_WINDOW_EVENTS}) == full


def test_events_of_an_unknown_window_are_a_fault() -> None:
    with pytest.raises(Fault, match="no window"):
        tick(contract(), StoredState({}, {}, {"gone": ((1, 1),)}, 0), 5)


def test_then_reads_the_old_state_for_every_assignment_at_once() -> None:
    tool = Tool(
        "swap",
        (Argument("n", IntType(0, 9)),),
        (),
        (
            Assignment("a", Add(State("b", IntSort()), Arg("n", IntSort()))),
            Assignment("b", State("a", IntSort())),
        ),
    )
    env = Env({"n": 1}, {"a": 10, "b": 20})
    assert {each.variable: evaluate(each.value)(env) for each in tool.then} == {"a": 21, "b": 10}
