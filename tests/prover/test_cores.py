"""What a proof rests on: told in the author's words, enough for the proof, and never in the way of a verdict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import z3
from hypothesis import given
from hypothesis import strategies as st
from prover_specs import (
    Add,
    And,
    Contract,
    IntType,
    Le,
    Lt,
    allow,
    always,
    arg,
    argument,
    contract,
    decided,
    deny,
    never,
    number,
    state,
    then,
    tool,
    variable,
)

from sandbox.compile import load_properties
from sandbox.ir import Arg, Argument, DecimalType, Expr, Matches, Period, Property, StringSort, StringType, TextType
from sandbox.prove import cores, solve
from sandbox.prove.cores import Marked, conjuncts
from sandbox.prove.record import Decided, RestsOn, Source, phrase, rests_on, rests_on_from_json
from sandbox.prove.sources import Naming
from sandbox.prove.verdicts import Proved
from sandbox.prove.worker import Order, carried_out

AMOUNT, COUNT = argument("amount", IntType(1, 60)), argument("count", IntType(0, 9))
NAME = Argument("name", StringType("[a-z]+", 1, 20))
SENT = variable("sent", period=Period("window", 86_400_000))
IDLE = variable("idle", 3)
OVER = Lt(number(100), Add(state(SENT), arg(AMOUNT)))


def paying() -> Contract:
    """Rules, bounds and variables, of which each proof below needs a few."""
    rules = (
        deny(OVER, "over"),
        deny(Lt(number(5), arg(COUNT)), "many"),
        allow(And((Le(arg(AMOUNT), number(40)), Le(number(1), arg(COUNT)))), "small"),
        allow(Matches(Arg("name", StringSort()), "^root$"), "root"),
    )
    writes = then(SENT, Add(state(SENT), arg(AMOUNT)))
    pay = tool("pay", (AMOUNT, COUNT, NAME), rules, writes)
    return replace(contract((pay, tool("see", (COUNT,), (allow(Le(arg(COUNT), number(3))),))), SENT, IDLE), name="pays")


def told(subject: Property, *others: Expr, spec: Contract | None = None) -> RestsOn:
    ids = tuple(f"other-{number}" for number in range(len(others)))
    return carried_out(Order(spec or paying(), subject, others, ids, "z3", 60.0, None, "t")).rests_on


def names(rests: RestsOn) -> list[str]:
    assert rests.untold == 0
    return [phrase(each) for each in rests.sources]


CAP = always(Le(state(SENT), number(100)))


def test_a_cap_rests_on_its_rule_and_on_amounts_that_are_not_negative() -> None:
    assert names(told(CAP)) == ["rule `pay.over`", "`pay.amount` (at least 1)", "`state.sent` only grows"]


def test_what_nothing_writes_is_told() -> None:
    assert names(told(never("see", Lt(number(3), state(IDLE))))) == ["nothing writes `state.idle`"]
    assert names(told(always(Le(state(IDLE), number(3))))) == []


def test_a_never_rests_on_the_rules_that_exclude_it() -> None:
    assert names(told(never("pay", Lt(number(5), arg(COUNT))))) == ["rule `pay.many`"]
    assert names(told(never("pay see", Lt(number(9), arg(COUNT))))) == [
        "`pay.count` (at most 9)",
        "`see.count` (at most 9)",
    ]


def test_a_never_rests_on_the_invariants_that_it_assumes() -> None:
    rests = told(never("see", Lt(number(100), state(SENT))), Le(state(IDLE), number(9)), CAP.condition)
    assert names(rests) == ["`other-1`"]


def test_bounds_and_patterns_are_told_as_their_author_wrote_them() -> None:
    price = Argument("price", DecimalType(2, 1, 1_000_000))
    note = Argument("note", TextType(140))
    spec = contract((tool("t", (price, note, NAME), (allow(Le(number(0), number(1))),)),))
    assert names(told(never("t", Lt(number(1_000_000), arg(price))), spec=spec)) == ["`t.price` (at most 10000.00)"]
    lettered = never("t", Matches(Arg("name", StringSort()), "[0-9]"))
    assert names(told(lettered, spec=spec)) == ["`t.name` (pattern [a-z]+)"]


# --- what is told is enough --------------------------------------------------------------------------


def without(spec: Contract, rule: str) -> Contract:
    tools = tuple(replace(t, rules=tuple(r for r in t.rules if f"{t.name}.{r.id}" != rule)) for t in spec.tools)
    return replace(spec, tools=tools)


@pytest.mark.parametrize("subject", [CAP, never("pay", Lt(number(5), arg(COUNT)))])
def test_deny_rules_that_a_proof_does_not_rest_on_can_go_and_the_others_cannot(subject: Property) -> None:
    spec = paying()
    needed = {source.name for source in told(subject).sources if source.kind == "rule"}
    denying = {f"{t.name}.{r.id}" for t in spec.tools for r in t.rules if r.kind == "deny"}
    for rule in sorted(denying):
        assert isinstance(decided(without(spec, rule), subject), Proved) == (rule not in needed)


def test_shipped_proofs_tell_all_that_they_rest_on() -> None:
    for each in load_properties(Path(__file__).parents[2] / "proofs" / "payments.yaml"):
        for subject in (one for one in each.properties if one.kind != "possible"):
            rests = told(subject, spec=each.contract)
            assert (rests.untold, bool(rests.sources)) == (0, True)


# --- dead weight never blocks a verdict --------------------------------------------------------------


def test_a_core_that_is_not_found_changes_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = never("pay", Lt(number(5), arg(COUNT)))
    before = carried_out(Order(paying(), subject, (), (), "z3", 60.0, None, "t"))
    for asked in ("decided", "marked_by_string"):
        monkeypatch.setattr(solve, asked, lambda *_: Marked("unknown"))
    after = carried_out(Order(paying(), subject, (), (), "z3", 60.0, None, "t"))
    assert after.finding == before.finding
    assert (after.rests_on.sources, after.rests_on.untold > 0) == ((), True)


def test_a_solver_that_fails_at_a_core_changes_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        message = "no more memory"
        raise z3.Z3Exception(message)

    monkeypatch.setattr(solve, "decided", failing)
    assert isinstance(decided(paying(), CAP), Proved)


def test_a_part_that_nobody_can_name_changes_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise KeyError

    monkeypatch.setattr(Naming, "source", failing)
    work = carried_out(Order(paying(), CAP, (), (), "z3", 60.0, None, "t"))
    assert (type(work.finding).__name__, work.rests_on.sources, work.rests_on.untold > 0) == ("Holds", (), True)


def test_more_parts_than_can_be_marked_change_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solve, "MAX_PARTS", 0)
    work = carried_out(Order(paying(), CAP, (), (), "z3", 60.0, None, "t"))
    assert (type(work.finding).__name__, work.rests_on.sources) == ("Holds", ())


def test_cores_cost_no_more_than_their_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solve, "CORE_RLIMIT", -1)
    monkeypatch.setattr(solve, "TASTE_RLIMIT", 1)
    monkeypatch.setattr(solve, "CORE_SHARE", 10**12)
    work = carried_out(Order(paying(), CAP, (), (), "z3", 60.0, None, "t"))
    assert type(work.finding).__name__ == "Holds"
    assert work.rests_on.untold > 0


# --- taking apart ------------------------------------------------------------------------------------

FREE = tuple(z3.Bool(name) for name in "abcd")


def terms() -> st.SearchStrategy[z3.BoolRef]:
    leaves = st.sampled_from([*FREE, z3.BoolVal(val=True), z3.BoolVal(val=False)])
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            inner.map(z3.Not),
            st.lists(inner, min_size=1, max_size=3).map(z3.And),
            st.lists(inner, min_size=1, max_size=3).map(z3.Or),
            st.tuples(inner, inner).map(lambda pair: z3.Implies(*pair)),
        ),
        max_leaves=12,
    )


def truths(whole: list[z3.BoolRef]) -> Iterator[bool]:
    for values in product((True, False), repeat=len(FREE)):
        pairs = [(name, z3.BoolVal(val=value)) for name, value in zip(FREE, values, strict=True)]
        yield all(z3.is_true(z3.simplify(z3.substitute(each, *pairs))) for each in whole)


@given(st.lists(terms(), max_size=3))
def test_parts_say_together_what_the_terms_said(whole: list[z3.BoolRef]) -> None:
    parts = conjuncts(whole)
    assert list(truths(list(parts))) == list(truths(whole))
    assert len({part.get_id() for part in parts}) == len(parts)


@given(st.lists(terms(), max_size=4))
def test_marked_parts_are_decided_as_the_terms_are_and_a_core_contradicts_itself(whole: list[z3.BoolRef]) -> None:
    found = cores.decided(conjuncts(whole), z3.Solver(ctx=z3.Context()))
    assert (found.answer == "unsat") == (not any(truths(whole)))
    assert found.answer == "sat" or not any(truths(list(found.core)))
    less, _ = cores.shortened(found.core, 1000)
    assert found.answer == "sat" or not any(truths(list(less or ())))


def test_what_is_called_a_core_and_is_none_is_not_told() -> None:
    """Z3 takes `s0 == "ab"` and `|s2| == 3` for one, where other parts say that both are one string."""
    one, other = z3.Bools("one other")
    assert cores.shortened((one, other), 1000)[0] is None
    assert cores.shortened((one, other, z3.Not(one)), 1000)[0] == (one, z3.Not(one))
    assert cores.shortened((one, z3.Not(one)), 1000)[0] == (one, z3.Not(one))


def test_a_lemma_counts_only_where_something_rests_on_what_it_gives() -> None:
    lemma = Decided("adds", "either", "unsat", "sent", (Source("argument", "pay.amount", "at least 1"),))
    plain = Decided("meets", "unsat", "unsat", core=(Source("rule", "pay.over"), Source("property", "")))
    using = replace(plain, core=(Source("window", "sent"),))
    assert rests_on([lemma, plain]).sources == (Source("rule", "pay.over"),)
    assert {source.kind for source in rests_on([lemma, using]).sources} == {"argument", "window"}
    assert rests_on([replace(plain, core=None), Decided("x", "sat", "sat")]) == RestsOn((), 1)


@pytest.mark.parametrize(
    "message", [None, {"sources": [], "untold": "0"}, {"sources": [["moon", "", ""]], "untold": 0}]
)
def test_what_a_child_says_of_reasons_is_checked(message: object) -> None:
    from sandbox.errors import Fault

    with pytest.raises(Fault):
        rests_on_from_json(message)
