"""Unit: the solver's answer about one ground call, in this process."""

from __future__ import annotations

import json

import pytest
import z3
from pay_contract import CONTRACT

from sandbox import engines, ground
from sandbox.encode import Environment, ListTerm, encode, literal, plain, read
from sandbox.errors import Fault
from sandbox.ground import GroundChecker, Question, is_literally_true
from sandbox.ir import (
    TRUE,
    All,
    Arg,
    Argument,
    Assignment,
    BoolSort,
    Bound,
    Const,
    Contract,
    DecimalSort,
    EnumSort,
    Eq,
    Index,
    IntSort,
    Lower,
    Matches,
    Rule,
    StartsWith,
    StringSort,
    StringType,
    TextSort,
    Tool,
)
from sandbox.regex import atoms
from sandbox.regex.dfa import Dfa, dfa_of
from sandbox.regex.syntax import Node

CTX = z3.Context()
STRING = StringSort()


def question(verdict: str, sent: int = 0, tool: str = "pay") -> Question:
    args = {"amount": 100, "to": ("a",)} if tool == "pay" else {}
    return Question(tool, args, {"sent": sent}, verdict, {})


@pytest.mark.parametrize(
    ("asked", "verdict", "objects"),
    [
        (Question("pay", {"amount": 100, "to": ()}, {"sent": 5}, "allow", {"sent": 105}), "allow", False),
        (question("allow"), "allow", True),
        (question("ask"), "allow", True),
        (question("nonsense"), "allow", True),
        (question("deny", sent=500_000), "deny", False),
        (question("deny", tool="shut"), "deny", False),
        (question("allow", tool="other"), "allow", False),
        (question("allow", tool="gone"), "fault", True),
    ],
)
def test_the_answer_is_the_solvers_own_verdict_and_its_objection(asked: Question, verdict: str, objects: bool) -> None:
    answer = GroundChecker(CONTRACT).answer(asked)
    assert (answer.verdict, bool(answer.objection)) == (verdict, objects)


def test_the_context_is_renewed_and_answers_stay_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ground, "MAX_CHECKS_PER_CONTEXT", 2)
    checker = GroundChecker(CONTRACT)
    for _ in range(5):
        assert checker.answer(question("deny", sent=500_000)).objection == ""
    assert checker._checks == 1


def test_the_automaton_of_a_pattern_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    patterns = [f"[ab]{{1,{at}}}c" for at in range(70, 80)]
    rules = tuple(Rule(f"r{at}", "deny", Matches(Arg("s", STRING), text)) for at, text in enumerate(patterns))
    contract = Contract("c", (Tool("t", (Argument("s", StringType(None, 0, 99)),), rules),))
    made = []

    def counted(node: Node) -> Dfa:
        made.append(node)
        return dfa_of(node)

    monkeypatch.setattr(atoms, "dfa_of", counted)
    GroundChecker(contract).prepare()
    assert len(made) == len(patterns)


def test_only_the_literal_true_counts() -> None:
    x = z3.Int("x", CTX)
    assert is_literally_true(z3.BoolVal(True, CTX))
    assert not is_literally_true(z3.BoolVal(False, CTX))
    assert not is_literally_true(x == 1)
    assert not is_literally_true(x / 0 == 5)


def test_a_list_that_is_too_long_is_a_fault() -> None:
    with pytest.raises(Fault, match="longer"):
        GroundChecker(CONTRACT).answer(Question("pay", {"amount": 1, "to": ("a",) * 4}, {"sent": 0}, "allow", {}))


def test_an_assignment_to_nothing_is_a_fault() -> None:
    tool = Tool("t", (), (Rule("r", "allow", TRUE),), (Assignment("gone", Const(1, IntSort())),))
    with pytest.raises(Fault, match="no state variable"):
        GroundChecker(Contract("c", (tool,))).answer(Question("t", {}, {}, "allow", {"gone": 1}))


@pytest.mark.parametrize(
    "expr",
    [
        Lower(Const("A", STRING)),
        Eq(Lower(Const("A", STRING)), Arg("s", STRING)),
        StartsWith(Lower(Arg("s", STRING)), Arg("s", STRING)),
        All(Bound("x", STRING), Arg("s", STRING), TRUE),
        Eq(Arg("xs", STRING), Arg("s", STRING)),
        Index(Arg("xs", STRING), 7),
    ],
)
def test_what_lang_never_makes_is_a_fault_and_not_a_term(expr: object) -> None:
    s = z3.String("s", CTX)
    env = Environment(CTX, {"s": s, "xs": ListTerm(z3.Int("n", CTX), (s,))})
    with pytest.raises(Fault):
        encode(expr, env)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "sort"),
    [(1, BoolSort()), (True, IntSort()), (True, DecimalSort(2)), ("1", IntSort()), (1, STRING), (1, TextSort())],
)
def test_a_value_of_another_sort_has_no_literal(value: object, sort: object) -> None:
    with pytest.raises(Fault, match="is no value of"):
        literal(value, sort, CTX)  # type: ignore[arg-type]


def test_a_model_is_read_back_exactly() -> None:
    solver = z3.Solver(ctx=CTX)
    s, n, b, e = z3.String("s", CTX), z3.Int("n", CTX), z3.Bool("b", CTX), z3.Int("e", CTX)
    text = "\\u{61}\u0001\U0002ffff"
    solver.add(s == literal(text, STRING, CTX), n == -(10**30), b, e == 1)
    assert solver.check() == z3.sat
    model = solver.model()
    assert read(model, s, STRING) == text
    assert read(model, n, DecimalSort(2)) == -(10**30)
    assert read(model, b, BoolSort()) is True
    assert read(model, e, EnumSort(("x", "y"))) == "y"
    assert z3.is_false(plain(BoolSort(), CTX))


def test_the_childs_answers_are_frames_whatever_it_is_asked() -> None:
    checker = GroundChecker(CONTRACT)
    good = {"tool": "shut", "args": {}, "state": {"sent": 0}, "verdict": "deny", "updates": {}}
    assert engines._answer(checker, good) == {"verdict": "deny", "objection": ""}
    for odd in ([], {"tool": "pay"}, {**good, "state": {}}, {**good, "more": 1}):
        answer = engines._answer(checker, odd)  # type: ignore[arg-type]
        assert isinstance(answer, dict)
        assert answer["verdict"] == "fault"
        json.dumps(answer)
