"""Whatever goes wrong on the way to a verdict, the verdict is `unknown` (or a fault), and never `proved`."""

from __future__ import annotations

import os
import select
from dataclasses import dataclass, fields, replace

import pytest
import z3
from prover_specs import (
    DAY,
    WORD,
    Add,
    Eq,
    Fact,
    IntType,
    Le,
    Lt,
    Matches,
    Not,
    Period,
    allow,
    always,
    arg,
    argument,
    boolean,
    contract,
    decided,
    never,
    number,
    possible,
    settled,
    state,
    then,
    tool,
    variable,
)

from sandbox.errors import EnginesDisagree, Fault
from sandbox.ir import (
    Contract,
    EnumSort,
    Property,
    Tool,
)
from sandbox.prove import attempt, crew, horn, induction, nursery, solve, strengthen, supported
from sandbox.prove.crew import Crew, Reply
from sandbox.prove.findings import (
    Disputed,
    Empty,
    Finding,
    GaveUp,
    Holds,
    Shown,
    Unreachable,
    finding_from_json,
    finding_to_json,
)
from sandbox.prove.obligations import Ground, Query
from sandbox.prove.second import second_opinion
from sandbox.prove.solve import Answer, Desk, Open, Sat, Unsat, agreed
from sandbox.prove.unroll import MAX_CALLS
from sandbox.prove.verdicts import Move, Moves, Proved, Refuted, Unknown, Vacuous
from sandbox.prove.worker import Order, carried_out, order_from_json, order_to_json

AMOUNT = argument("amount", IntType(1, 60))
SENT = variable("sent")


def paying(*, capped: bool = True) -> Contract:
    over = Lt(number(100), Add(state(SENT), arg(AMOUNT)))
    rule = allow(Not(over) if capped else boolean(value=True))
    return contract((tool("pay", (AMOUNT,), (rule,), then(SENT, Add(state(SENT), arg(AMOUNT)))),), SENT)


CAP = always(Le(state(SENT), number(100)))
NEVER = never("pay", Lt(number(50), arg(AMOUNT)), Lt(number(50), state(SENT)))


def order(subject: Property = CAP, seconds: float = 30.0) -> Order:
    return Order(paying(), subject, (), (), "z3", seconds, None, "test")


@dataclass(frozen=True)
class LaterTool(Tool):
    """As a tool, of a language that can say more."""

    on_holidays: tuple[str, ...] = ()


def finding_of(asked: Order) -> Finding:
    return carried_out(asked).finding


def test_what_no_obligation_is_made_of_is_not_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(supported.IN_PROOFS, LaterTool, supported.IN_PROOFS[Tool])
    (pay,) = paying().tools
    later = {name: getattr(pay, name) for name in ("name", "arguments", "rules", "then")}
    without = replace(paying(), tools=(LaterTool(**later),))
    assert isinstance(decided(without, CAP), Proved)
    finding = finding_of(replace(order(), contract=replace(paying(), tools=(LaterTool(**later, on_holidays=("x",)),))))
    assert finding == GaveUp(
        "the attempt failed: Fault: `on_holidays` of a latertool is not in the prover's obligations"
    )


def test_every_field_of_today_is_in_proofs_or_does_not_matter() -> None:
    for node, known in supported.IN_PROOFS.items():
        assert {each.name for each in fields(node)} <= known | supported.NO_MATTER


# --- limits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("subject", [CAP, NEVER, possible("pay")])
def test_no_time_is_unknown(subject: Property) -> None:
    assert isinstance(decided(paying(), subject, seconds=0.0), Unknown)


def test_no_resources_are_unknown() -> None:
    name = argument("name", WORD)
    spec = contract((tool("call", (name,), (allow(Matches(arg(name), "^a+b$")),)),))
    subject = never("call", Not(Matches(arg(name), "b$")), decision="allow")
    assert isinstance(decided(spec, subject), Proved)
    verdict = decided(spec, subject, rlimit=1)
    assert isinstance(verdict, Unknown)
    assert "gave up" in verdict.reason


def test_what_is_true_and_not_inductive_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(horn, "SPACER_RLIMIT", 20_000)
    count = variable("count")
    step = tool("step", (), (allow(boolean(value=True)),), then(count, Add(state(count), number(2))))
    verdict = decided(contract((step,), count), always(Not(Eq(state(count), number(1_001)))))
    assert isinstance(verdict, Unknown)
    assert verdict.reason.startswith(
        "the step `permit_step_allowed` is not inductive; no invariant was found: spacer gave up: "
    )
    assert verdict.reason.endswith(f"; no sequence of up to {MAX_CALLS} calls shows it")


def test_two_invariants_that_need_each_other_are_proved_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strengthen, "STRATEGIES", ())
    left, right = variable("left"), variable("right")
    swap = tool("swap", (), (allow(boolean(value=True)),), then(left, state(right)), then(right, state(left)))
    spec = contract((swap,), left, right)
    one, other = Le(state(left), number(0)), Le(state(right), number(0))
    assert isinstance(decided(spec, always(one)), Unknown)
    assert isinstance(decided(spec, always(one), other), Proved)
    assert isinstance(decided(spec, always(one), other, Le(number(1), state(left))), Proved)


def test_a_window_that_may_be_lowered_is_not_assumed_to_grow() -> None:
    amount = argument("amount", IntType(-60, 60))
    window = variable("sent", 0, period=Period("window", DAY))
    pay = tool("pay", (amount,), (allow(boolean(value=True)),), then(window, Add(state(window), arg(amount))))
    spec = contract((pay,), window)
    desk = Desk("z3", float("inf"), clock=lambda: 0.0)
    desk.deadline = 60.0
    assert (
        induction.growing_windows(Ground(spec, z3.Context()), desk, frozenset({v.name for v in spec.variables}))
        == frozenset()
    )
    assert not isinstance(decided(spec, always(Le(number(0), state(window)))), Proved)


# --- errors ------------------------------------------------------------------------------------------


def test_an_error_in_the_attempt_is_not_a_proof() -> None:
    for subject in (never("nowhere"), replace(CAP, condition=Eq(Fact("moon", EnumSort(("full",))), number(1)))):
        finding = finding_of(order(subject))
        assert isinstance(finding, GaveUp)
        assert "failed" in finding.reason


def test_a_solver_that_raises_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        message = "out of memory"
        raise z3.Z3Exception(message)

    monkeypatch.setattr(z3.Solver, "check", broken)
    verdict = decided(paying(), CAP)
    assert isinstance(verdict, Unknown)
    assert "z3 failed" in verdict.reason


def test_engines_that_disagree_are_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solve, "second_opinion", lambda *_: "sat")
    finding = finding_of(replace(order(), choice="both"))
    assert isinstance(finding, Disputed)
    with pytest.raises(EnginesDisagree, match="disagree"):
        settled(paying(), CAP, Reply(finding, 0, 0))


def test_a_second_opinion_that_is_none_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solve, "second_opinion", lambda *_: "unknown")
    for choice in ("both", "cvc5"):
        assert isinstance(decided(paying(), CAP, choice=choice), Unknown)


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        (Unsat(), Unsat(), Unsat()),
        (Sat(), Sat(), Sat()),
        (Open("a"), Unsat(), Open("a")),
        (Unsat(), Open("b"), Open("b")),
        (Sat(), Open("b"), Open("b")),
    ],
)
def test_both_solvers_must_say_it(first: object, second: object, both: object) -> None:
    assert agreed(Query("q", ()), first, second) == both


@pytest.mark.parametrize(("first", "second"), [(Unsat(), Sat()), (Sat(), Unsat())])
def test_definite_answers_that_differ_raise(first: object, second: object) -> None:
    with pytest.raises(EnginesDisagree):
        agreed(Query("q", ()), first, second)


@pytest.mark.parametrize(
    ("script", "opinion"),
    [
        ("(set-logic ALL)(assert false)(check-sat)", "unsat"),
        ("(set-logic ALL)(assert true)(check-sat)", "sat"),
        ("(set-logic ALL)(assert false)", "unknown"),
        ("(set-logic ALL)(assert true)(check-sat)(check-sat)", "unknown"),
        ("(set-logic ALL)(assert (= x 1))(check-sat)", "unknown"),
        ('(set-logic ALL)(echo "unsat")(check-sat)', "unknown"),
        ("what", "unknown"),
    ],
)
def test_only_one_clear_answer_is_an_opinion(script: str, opinion: str) -> None:
    assert second_opinion(script, 10_000) == opinion


# --- processes ---------------------------------------------------------------------------------------


def a_child_that(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Children run a program of ours instead of the prover."""
    monkeypatch.setattr(nursery, "PROGRAM", ("-c", FORKS.replace("WORK", repr(program))))


FORKS = """
from sandbox.prove import nursery, worker
worker.serve = lambda: exec(WORK)
nursery.serve()
"""


def test_a_child_that_hangs_is_killed_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "GRACE_S", 0.1)
    a_child_that(monkeypatch, "import sys; sys.stdin.buffer.read()")
    with Crew() as workers:
        reply = workers.carry_out(order(seconds=0.1))
    assert reply.finding == GaveUp("timeout: not decided in 0.1 s")


@pytest.mark.parametrize(
    "program",
    [
        "pass",
        "import os; os.kill(os.getpid(), 9)",
        "import sys; sys.stdout.write('proved')",
        "import sys; sys.stdout.buffer.write(b'\\0\\0\\0\\2{}')",
        "import sys; sys.stdout.buffer.write(b'\\0\\0\\0\\6proved')",
        "import sys; sys.stdout.buffer.write(b'\\xff\\xff\\xff\\xff')",
    ],
)
def test_a_child_that_dies_or_speaks_oddly_has_proved_nothing(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    a_child_that(monkeypatch, program)
    with Crew() as workers:
        reply = workers.carry_out(order())
    assert isinstance(reply.finding, GaveUp)
    assert isinstance(settled(paying(), CAP, reply), Unknown)


def test_no_child_is_hired_once_the_crew_has_left() -> None:
    with Crew() as workers:
        workers.leave()
        assert workers.carry_out(order()).finding == GaveUp("the prover's process failed: Fault")


def test_a_child_that_cannot_be_started_has_proved_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_processes(*_: object, **__: object) -> None:
        message = "no more processes"
        raise BlockingIOError(message)

    monkeypatch.setattr(nursery.subprocess, "Popen", no_processes)
    with Crew() as workers:
        assert isinstance(workers.carry_out(order()).finding, GaveUp)


def test_leaving_kills_those_that_still_run(monkeypatch: pytest.MonkeyPatch) -> None:
    a_child_that(monkeypatch, "import sys; sys.stdin.buffer.read()")
    with Crew() as workers:
        child = workers._hire()
        watched = os.pidfd_open(child.pid)
    assert select.select([watched], [], [], 10)[0] == [watched]  # it has ended
    os.close(watched)
    workers._dismiss(child)


def test_a_real_child_carries_out_an_order() -> None:
    with Crew() as workers:
        reply = workers.carry_out(order())
    assert reply.finding == Holds()
    assert reply.spent > 0


# --- messages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "finding",
    [
        Holds("by_type"),
        Holds("", ("state.n <= 1", "state.b")),
        Unreachable(),
        Unreachable(("state.n <= 1",)),
        Shown(Moves((Move("pay", {"amount": 3}, 5),), 7)),
        Empty("nothing"),
        GaveUp("tired"),
        Disputed("differs"),
    ],
)
def test_findings_survive_the_way(finding: Finding) -> None:
    assert finding_from_json(finding_to_json(finding)) == finding


@pytest.mark.parametrize(
    "message",
    [
        None,
        {},
        {"found": "proved"},
        {"found": "holds"},
        {"found": "holds", "note": ""},
        {"found": "unreachable"},
        {"found": "unreachable", "invariant": "x"},
        {"found": "shown", "calls": [{"tool": "pay"}], "until_ms": 1},
        {"found": "shown", "calls": [3], "until_ms": 1},
    ],
)
def test_what_is_no_finding_is_a_fault(message: object) -> None:
    with pytest.raises(Fault):
        finding_from_json(message)


def test_orders_survive_the_way() -> None:
    sent = replace(order(NEVER), others=(CAP.condition,), ids=("cap",), choice="both", emit="somewhere")
    assert order_from_json(order_to_json(sent)) == sent
    with pytest.raises(Fault):
        order_from_json({"contract": None})


# --- verdicts ----------------------------------------------------------------------------------------


def moves(*amounts: int) -> Moves:
    return Moves(tuple(Move("pay", {"amount": amount}, 0) for amount in amounts), 0)


@pytest.mark.parametrize(
    ("subject", "finding", "verdict"),
    [
        (CAP, Unreachable(), Unknown),
        (possible("pay"), Holds(), Unknown),
        (possible("pay"), Unreachable(), Refuted),
        (CAP, Shown(moves(60, 60)), Unknown),
        (CAP, Shown(moves(60)), Unknown),
        (CAP, Shown(moves(61)), Unknown),
        (NEVER, Shown(moves()), Unknown),
        (NEVER, Shown(moves(60, 60)), Unknown),
        (NEVER, Shown(moves(99)), Unknown),
        (NEVER, Shown(Moves((Move("pay", {"amount": "x"}, 0),), 0)), Unknown),
        (NEVER, Shown(Moves((Move("pay", {"amount": float("nan")}, 0),), 0)), Unknown),
        (NEVER, Shown(Moves((Move("nowhere", {}, 0),), 0)), Unknown),
        (NEVER, Empty("says nothing"), Vacuous),
        (NEVER, GaveUp("tired"), Unknown),
    ],
)
def test_a_finding_becomes_the_verdict_that_it_can_bear(subject: Property, finding: Finding, verdict: type) -> None:
    assert isinstance(settled(paying(), subject, Reply(finding, 0, 0)), verdict)


def test_a_sequence_that_shows_it_refutes() -> None:
    verdict = settled(paying(capped=False), CAP, Reply(Shown(moves(60, 60)), 0, 0))
    assert isinstance(verdict, Refuted)
    assert verdict.reason == "2 calls, the last with verdict `allow` by rule `allowed`"


def test_a_property_that_fails_in_replay_is_unknown() -> None:
    broken = replace(CAP, condition=Le(state(variable("elsewhere")), number(0)))
    verdict = settled(paying(), broken, Reply(Shown(moves(1)), 0, 0))
    assert verdict == Unknown("the sequence that was found could not be replayed: KeyError")


class Answering(Desk):
    """A desk with ready answers, of which it may leave some."""

    def __init__(self, *answers: Answer) -> None:
        super().__init__("z3", 0.0)
        self.answers = list(answers)

    def prove(self, query: Query) -> Answer:
        _ = query
        return self.answers.pop(0)


@pytest.mark.parametrize(
    ("answers", "answer", "left"),
    [
        ((Unsat(), Open("why"), Sat(), Unsat()), Sat(), 1),
        ((Open("why"), Unsat(), Open("not this")), Open("why"), 0),
        ((Unsat(), Unsat()), Unsat(), 0),
        ((), Unsat(), 0),
    ],
)
def test_one_tool_for_which_a_condition_can_be_true_is_enough_and_none_is_only_if_each_is_decided(
    answers: tuple[Answer, ...], answer: Answer, left: int
) -> None:
    desk = Answering(*answers)
    query = Query("consistent_t", (z3.BoolVal(val=True, ctx=z3.Context()),))
    assert attempt.somewhere(desk, [query] * len(answers)) == answer
    assert len(desk.answers) == left
