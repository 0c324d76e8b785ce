"""Unit: what one call looks up in sets and maps, what that denies, and what the solver is told of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spec_files import spec, write

from sandbox import ir
from sandbox.compile import load_contract
from sandbox.decide import NO_FACTS, Claim, EnginePair, Evaluator, Facts, decide
from sandbox.engines import SolverWorker
from sandbox.errors import SpecError
from sandbox.ground import GroundChecker, Question
from sandbox.ir import EnumType, StringType
from sandbox.lookups import Entries, Lookups, Members, Named, checks_of, fits_of, named_by, names_of, visible
from sandbox.machine import StateValue, initial_state
from sandbox.parse import parse_call
from sandbox.step import take_step

KEEPING = spec("""state:
  known: {type: set, items: {type: string, pattern: "[a-z]+", max_size: 8}, initial: [ann], max_size: 2}
  given: {type: map, key: {type: string, pattern: "[a-z]+", max_size: 8}, value: int, initial: 0}
tools:
  ask:
    args: {a: {type: string}, b: {type: string}, flag: {type: bool}}
    rules:
      - {id: ok, allow: "(args.flag || args.a in state.known) && (args.flag || state.given[args.b] < 9)"}
  add:
    args: {a: {type: string}, b: {type: string}}
    rules: [{id: ok, allow: true}]
    then:
      known: "state.known.add(args.a)"
      "given[args.b]": state.given[args.b] + 1
      "given['house']": state.given['house'] + 1
  no:
    args: {a: {type: string}, b: {type: string}}
    rules: [{id: never, deny: "args.a in state.known || args.a != ''"}]
    then: {"given[args.b]": "1"}
""")
LONG = "x" * 100
TWICE = "`then` assigns the entry at `house` of `state.given` twice"
OF = "the declared type of"


def decided(folder: Path, tool: str, **args: object) -> tuple[str, str]:
    contract = load_contract(write(folder, KEEPING))
    call = parse_call(json.dumps({"tool": tool, "args": args}), contract)
    step = take_step(EnginePair(Evaluator(contract), None), contract, initial_state(contract, 0), call, 0)
    assert (step.after is None) == (step.decision.verdict == "deny")
    return step.decision.reason_code, step.decision.reason


@pytest.mark.parametrize(
    ("tool", "args", "code", "reason"),
    [
        ("ask", {"a": "ann", "b": "x", "flag": False}, "rule.allow", "allowed by rule `ok`: "),
        ("ask", {"a": "UP", "b": "x", "flag": False}, "state.key", f"`UP` is outside of {OF} `state.known`"),
        ("ask", {"a": "ann", "b": "", "flag": False}, "state.key", f"`` is outside of {OF} `state.given`"),
        ("ask", {"a": "ann", "b": LONG, "flag": False}, "state.key", f"`{LONG[:80]}`... (100 characters) is outside"),
        ("ask", {"a": "a\u0301", "b": "x", "flag": False}, "state.key", "`a\\u0301` is outside of the declared type"),
        ("ask", {"a": "UP", "b": LONG, "flag": True}, "rule.allow", "allowed by rule `ok`: "),
        ("ask", {"a": "bob", "b": LONG, "flag": False}, "default_deny", "no rule of `ask` allows this call"),
        ("add", {"a": "bob", "b": "x"}, "rule.allow", "allowed by rule `ok`: "),
        ("add", {"a": "UP", "b": "x"}, "state.key", f"`UP` is outside of {OF} `state.known`"),
        ("add", {"a": "bob", "b": "x "}, "state.key", f"`x ` is outside of {OF} `state.given`"),
        ("add", {"a": "bob", "b": "house"}, "state.key_twice", TWICE),
        ("no", {"a": "ann", "b": "UP"}, "rule.deny", "denied by rule `never`: "),
        ("no", {"a": "UP", "b": "x"}, "state.key", f"`UP` is outside of {OF} `state.known`"),
    ],
)  # fmt: skip
def test_a_key_outside_of_its_type_denies_wherever_it_is_looked_up(
    tool: str, args: dict[str, object], code: str, reason: str, tmp_path: Path
) -> None:
    found = decided(tmp_path, tool, **args)
    assert found[0] == code
    assert found[1].startswith(reason)


def test_a_key_that_may_be_a_secret_is_not_repeated(tmp_path: Path) -> None:
    text = KEEPING.replace(
        "a: {type: string}, b: {type: string}, flag", "a: {type: string, secret: true}, b: {type: string}, flag"
    )
    contract = load_contract(write(tmp_path, text))
    call = parse_call('{"tool": "ask", "args": {"a": "hunter2!", "b": "x", "flag": false}}', contract)
    step = take_step(EnginePair(Evaluator(contract), None), contract, initial_state(contract, 0), call, 0)
    assert step.decision.reason_code == "state.key"
    expected = "a key, which is not repeated here, is outside of the declared type of `state.known`"
    assert step.decision.reason == expected


@pytest.mark.parametrize("then", ["{known: state.known.add(args.a)}", "{'given[args.a]': '1'}"])
def test_a_secret_is_no_item_and_no_key(then: str, tmp_path: Path) -> None:
    text = f"{KEEPING}  hide:\n    args: {{a: {{type: string, secret: true}}}}\n    rules: []\n    then: {then}\n"
    with pytest.raises(SpecError, match=r"`args\.a` is secret, and the state is stored and shown"):
        load_contract(write(tmp_path, text))


def test_a_full_set_denies_and_says_which(tmp_path: Path) -> None:
    contract = load_contract(write(tmp_path, KEEPING))
    engines = EnginePair(Evaluator(contract), None)
    call = parse_call('{"tool": "add", "args": {"a": "cid", "b": "x"}}', contract)
    stored = replace(initial_state(contract, 0), values={"known": frozenset({"ann", "bob"}), "given": {}})
    step = take_step(engines, contract, stored, call, 0)
    assert step.after is None
    assert (step.decision.reason_code, step.decision.reason) == (
        "state_full",
        "`state.known` holds 2 entries, as many as it may",
    )


@pytest.mark.parametrize("now", [ir.TIMESTAMP_RANGE[0] - 1, ir.TIMESTAMP_RANGE[1] + 1, 2**80, -(2**80)])
def test_an_instant_that_no_rule_may_read_denies(tmp_path: Path, now: int) -> None:
    """Proofs range over the instants that RFC 3339 can write; beyond, a rule about `now` could do what none says."""
    contract = load_contract(write(tmp_path, KEEPING))
    engines = EnginePair(Evaluator(contract), None)
    call = parse_call('{"tool": "add", "args": {"a": "cid", "b": "x"}}', contract)
    step = take_step(engines, contract, initial_state(contract, now), call, now)
    assert (step.after, step.decision.verdict, step.decision.reason_code) == (None, "deny", "fault.clock")
    early, late = ir.TIMESTAMP_RANGE
    assert (
        take_step(engines, contract, initial_state(contract, early), call, late).decision.reason_code != "fault.clock"
    )


ITEMS = st.sampled_from(["a", "b", "c", "d"])


@given(base=st.frozensets(ITEMS), changes=st.lists(st.tuples(ITEMS, st.booleans()), max_size=6))
def test_a_watched_set_is_what_the_plain_one_would_be(base: frozenset[str], changes: list[tuple[str, bool]]) -> None:
    watched, naive = Members(base, lambda _: None), set(base)
    for item, inside in changes:
        if inside:
            watched, naive = watched | {item}, naive | {item}
        else:
            watched, naive = watched - {item}, naive - {item}
    assert watched.changes == tuple(changes)
    assert set(watched) == naive
    assert len(watched) == len(naive)
    assert {item for item in "abcd" if item in watched} == naive


def test_a_watched_map_reads_what_is_kept_and_notes_the_rest() -> None:
    noted: list[str] = []
    entries = Entries({"a": 5}, noted.append)
    assert (entries.get("a", 0), entries.get("b", 7), list(entries), len(entries)) == (5, 7, ["a"], 1)
    assert noted == ["a", "b"]
    lookups = Lookups(checks_of(ir.Contract("c", ())))
    assert lookups.over({"n": 5}) == {"n": 5}


@pytest.mark.parametrize(
    ("type_", "text", "inside"),
    [
        (StringType("[a-z]+", 1, 3), "abc", True),
        (StringType("[a-z]+", 1, 3), "abcd", False),
        (StringType("[a-z]+", 1, 3), "abc\n", False),
        (StringType(None, 1, 3), "", False),
        (StringType(None, 0, 3), "\U00030000", False),
        (StringType(None, 0, 3), "\ud800", False),
        (StringType(None, 0, 3), "\0", False),
        (EnumType(("a", "b")), "a", True),
        (EnumType(("a", "b")), "A", False),
    ],
)
def test_a_key_is_of_its_type_as_an_argument_would_be(type_: StringType | EnumType, text: str, inside: bool) -> None:
    assert fits_of(type_)(text) is inside


def test_the_solver_is_told_of_what_the_call_can_name_and_no_more(tmp_path: Path) -> None:
    contract = load_contract(write(tmp_path, KEEPING))
    add, no = contract.tool("add"), contract.tool("no")
    assert add is not None
    assert no is not None
    assert named_by(add) == Named(
        frozenset({"house"}), frozenset({"a", "b"}), frozenset(), frozenset({"known", "given"})
    )
    assert named_by(no) == Named(frozenset(), frozenset({"a", "b"}), frozenset(), frozenset({"known"}))
    names = names_of(named_by(add), {"a": "x", "b": "y"}, {})
    assert names == {"x", "y", "house"}
    state: dict[str, StateValue] = {"known": frozenset({"x", "q"}), "given": {"house": 3, "q": 4}, "n": 7}
    assert visible(state, named_by(add), names) == {"known": ["x"], "given": {"house": 3}, "n": 7}
    assert visible(state, named_by(no), names) == {"known": ["x"], "given": {}, "n": 7}


QUANTIFIED = spec("""types:
  row: {type: record, fields: {a: {type: string, max_size: 40}, bs: {type: list, items: {type: string, max_size: 40}}}}
session: {who: {type: string}, role: {type: enum, values: [x]}}
state:
  s: {type: set, items: string, initial: []}
  t: {type: set, items: string, initial: []}
  m: {type: map, key: string, value: int, initial: 0}
tools:
  t:
    args:
      xs: {type: list, items: row, max_size: 8}
      ys: {type: list, items: string}
      zs: {type: list, items: string}
      u: {type: url}
      s: {type: string}
    rules:
      - {id: a, allow: "args.xs.all(x, x.bs.all(b, b in state.s)) && args.ys.size() > 0"}
      - {id: b, allow: "args.zs == ['z'] && session.who in state.s && args.u.host in state.s"}
      - {id: c, deny: "(args.s == 'a' ? 'b' : args.u.path) in state.s"}
    then: {"m[session.who]": "state.m['c'] + 1"}
  other:
    args: {s: {type: string}}
    rules: [{id: a, allow: "args.s != session.who"}]
""")


def test_what_a_tool_can_name_is_found_through_quantifiers_records_and_choices(tmp_path: Path) -> None:
    tool, other = load_contract(write(tmp_path, QUANTIFIED)).tools
    named = named_by(tool)
    assert named == Named(
        frozenset({"a", "b", "c"}),
        frozenset({"xs", "u", "s"}),
        frozenset({"session.who"}),
        frozenset({"s", "m"}),
    )
    args = {
        "xs": ({"a": "1", "bs": ("2", "3")}, {"a": "4", "bs": ()}),
        "ys": ("5",),
        "zs": ("6",),
        "u": {"host": "7", "path": "8", "port": 443, "is_ip": False},
        "s": "9",
    }
    facts = {"session.who": "10", "session.role": "x", "now": 0}
    assert names_of(named, args, facts) == {"a", "b", "c", "1", "2", "3", "4", "7", "8", "9", "10"}
    assert named_by(other) == Named(frozenset(), frozenset(), frozenset(), frozenset())


def test_a_key_is_looked_at_once_however_often_it_is_asked() -> None:
    looked: list[str] = []

    def fits(key: str) -> bool:
        looked.append(key)
        return False

    lookups = Lookups({"s": fits, "m": fits})
    state = lookups.over({"s": frozenset({"a"}), "m": {"a": 1}})
    for _ in range(3):
        assert "a" in state["s"]  # type: ignore[operator]  # a set
        assert state["m"]["a"] == 1  # type: ignore[index]  # a map
    assert looked == ["a", "a"]
    assert lookups.outside == [("s", "a"), ("m", "a")]


NEW_STRINGS = {"Const", "Arg", "Field", "Fact", "Bound", "Ite", "Index", "Lower"}
NO_STRINGS = {
    "Has", "HasField", "State", "Not", "And", "Or", "Eq", "Lt", "Le", "Add", "Sub", "Neg", "Mul", "Div", "Mod", "Size",
    "StartsWith", "EndsWith", "Contains", "Matches", "Member", "All", "Exists", "ExistsOne", "InSet", "SetAdd",
    "SetRemove", "MapGet", "AllKeys", "OriginHas",
}  # fmt: skip


def test_no_operator_makes_a_string_that_the_call_did_not_bring() -> None:
    """What `names_in` rests on: a string is a constant, an argument, a fact, or a part or choice of such.

    `Lower` stands under constant predicates only. A new operator goes into one of the sets above, after a thought.
    """
    assert {operator.__name__ for operator in get_args(ir.Expr)} == NEW_STRINGS | NO_STRINGS
    assert not NEW_STRINGS & NO_STRINGS


@pytest.mark.parametrize(
    ("updates", "objects"),
    [
        ({"known": (("bob", True),), "given": {"x": 1, "house": 1}}, False),
        ({"known": (), "given": {"x": 1, "house": 1}}, True),
        ({"known": (("bob", False),), "given": {"x": 1, "house": 1}}, True),
        ({"known": (("cid", True),), "given": {"x": 1, "house": 1}}, True),
        ({"known": (("bob", True), ("ann", False)), "given": {"x": 1, "house": 1}}, True),
        ({"known": (("bob", True),), "given": {"x": 2, "house": 1}}, True),
        ({"known": (("bob", True),), "given": {"x": 1}}, True),
        ({"known": (("bob", True),), "given": {"x": 1, "house": 1, "y": 1}}, True),
        ({"known": (("bob", True),)}, True),
        ({"known": (("bob", True),), "given": {}}, True),
    ],
)
def test_the_solver_objects_to_every_other_change_of_a_set_or_map(
    updates: Mapping[str, object], objects: bool, tmp_path: Path
) -> None:
    checker = GroundChecker(load_contract(write(tmp_path, KEEPING)))
    state = {"known": ("ann",), "given": {}}
    question = Question("add", {"a": "bob", "b": "x"}, state, "allow", updates)  # type: ignore[arg-type]  # as a child hears them
    assert bool(checker.answer(question).objection) is objects


class Slipping(Evaluator):
    """An evaluator that forgets one item of a set."""

    def claim(self, call: object, state: Mapping[str, StateValue], facts: Facts = NO_FACTS) -> Claim:  # type: ignore[override]  # as it is called
        return super().claim(call, {**state, "known": frozenset()}, facts)  # type: ignore[arg-type]  # as given


def test_an_evaluator_that_forgets_an_item_is_a_fault(tmp_path: Path) -> None:
    contract = load_contract(write(tmp_path, KEEPING))
    call = parse_call('{"tool": "ask", "args": {"a": "ann", "b": "x", "flag": false}}', contract)
    state: dict[str, StateValue] = {"known": frozenset({"ann"}), "given": {}}
    with SolverWorker(contract) as solver:
        right = decide(EnginePair(Evaluator(contract), solver, always_ask=True), call, state)  # type: ignore[arg-type]  # it parses
        slip = decide(EnginePair(Slipping(contract), solver, always_ask=True), call, state)  # type: ignore[arg-type]  # as above
    assert right.decision.reason_code == "rule.allow"
    assert slip.decision.reason_code == "fault.disagreement"
