"""What is true and not inductive is proved by an invariant that nobody wrote; and never on Spacer's word alone."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import z3
from prover_specs import (
    DAY,
    WORD,
    Add,
    And,
    Const,
    Contract,
    DecimalSort,
    DecimalType,
    EnumSort,
    Eq,
    Expr,
    Fact,
    IntType,
    Ite,
    Le,
    ListType,
    Lt,
    Member,
    Not,
    Or,
    Period,
    Property,
    StartsWith,
    Variable,
    allow,
    always,
    arg,
    argument,
    ask,
    boolean,
    contract,
    decided,
    deny,
    never,
    number,
    possible,
    state,
    then,
    tool,
    variable,
    word,
)

from sandbox.errors import EnginesDisagree
from sandbox.ir import InSet, SetAdd, SetSort, State, StringSort, Sub, TimestampSort
from sandbox.prove import ProveOptions, horn, prove_paths, report_to_json, solve, strengthen, unroll, words
from sandbox.prove.certificate import rendered
from sandbox.prove.horn import Clause, Guess, NoGuess, guess, moving
from sandbox.prove.induction import grounded
from sandbox.prove.obligations import Ground
from sandbox.prove.record import Source, phrase
from sandbox.prove.solve import Desk
from sandbox.prove.spoken import read_invariant
from sandbox.prove.verdicts import Proved, Refuted, Unknown
from sandbox.prove.verify import verify
from sandbox.prove.worker import Order, carried_out

pytestmark = pytest.mark.no_cover  # it goes the prover's ways once more for each example; others cover them


INT, MONEY, PHASES = IntType(1, 100), DecimalSort(2), EnumSort(("open", "paid", "closed"))
AMOUNT, NAME = argument("amount", INT), argument("name", WORD)
TOTAL, CALLS = variable("total"), variable("calls")
PHASE = Variable("phase", PHASES, "open")
YES = boolean(value=True)
NOTHING = tool("nothing", (), (allow(YES),))


def phase(value: str) -> Const:
    return Const(value, PHASES)


def plus(one: Variable, value: Expr) -> Expr:
    return Add(state(one), value)


def spending(*more: object) -> Contract:
    """Ten calls of up to 100, under a name that begins with `a`, and a tool that does nothing."""
    few = And((Lt(state(CALLS), number(10)), StartsWith(arg(NAME), word("a"))))
    writes = (then(TOTAL, plus(TOTAL, arg(AMOUNT))), then(CALLS, plus(CALLS, number(1))))
    return contract((tool("spend", (AMOUNT, NAME), (allow(few),), *writes), NOTHING), TOTAL, CALLS)


def reserving() -> Contract:
    """Reserve, settle and refund: what is reserved and spent together stays within the cap."""
    held, spent = variable("held"), variable("spent")
    room = Le(Add(Add(state(held), state(spent)), arg(AMOUNT)), number(500))
    tools = (
        tool("reserve", (AMOUNT,), (allow(room),), then(held, plus(held, arg(AMOUNT)))),
        tool(
            "settle",
            (AMOUNT,),
            (allow(Le(arg(AMOUNT), state(held))),),
            then(held, Sub(state(held), arg(AMOUNT))),
            then(spent, plus(spent, arg(AMOUNT))),
        ),
        tool("refund", (AMOUNT,), (ask(Le(arg(AMOUNT), state(spent))),), then(spent, Sub(state(spent), arg(AMOUNT)))),
    )
    return contract(tools, held, spent)


def order() -> Contract:
    """Open, paid, closed, in this order; what is paid has an amount, and it is counted in decimals."""
    paid = Variable("paid", MONEY, 0)
    amount = argument("amount", DecimalType(2, 1, 100_000))
    tools = (
        tool(
            "pay",
            (amount,),
            (allow(Eq(state(PHASE), phase("open"))),),
            then(PHASE, phase("paid")),
            then(paid, arg(amount)),
        ),
        tool("close", (), (allow(Eq(state(PHASE), phase("paid"))),), then(PHASE, phase("closed"))),
        tool("ship", (), (allow(Eq(state(PHASE), phase("closed"))),)),
    )
    return contract(tools, PHASE, paid)


PAID = State("paid", MONEY)


def approving() -> Contract:
    """Approved by a person, then used up; `count` tells how often it was used."""
    approved, count = variable("approved", initial=False), variable("count")
    tools = (
        tool("approve", (), (ask(Eq(state(count), number(0))),), then(approved, YES)),
        tool(
            "use",
            (),
            (allow(state(approved)),),
            then(approved, boolean(value=False)),
            then(count, plus(count, number(1))),
        ),
    )
    return contract(tools, approved, count)


def renewing(period: Period) -> Contract:
    """Both are renewed together, or decay on their own."""
    total, calls = variable("total", 0, period=period), variable("calls", 0, period=period)
    writes = (then(total, plus(total, arg(AMOUNT))), then(calls, plus(calls, number(1))))
    return contract((tool("spend", (AMOUNT,), (allow(Lt(state(calls), number(5))),), *writes), NOTHING), total, calls)


def stepping(bound: int) -> tuple[Contract, Property]:
    count = variable("count")
    step = tool("step", (), (allow(YES),), then(count, plus(count, number(2))))
    return contract((step,), count), always(Not(Eq(state(count), number(bound))))


def timing() -> Contract:
    """The second instant is taken after the first one, and both move on."""
    first, second = Variable("first", TimestampSort(), 0), Variable("second", TimestampSort(), 0)
    now = Fact("now", TimestampSort())
    mark = tool(
        "mark", (), (allow(Le(State("second", TimestampSort()), now)),), then(first, state(second)), then(second, now)
    )
    return contract((mark,), first, second)


def raising() -> Contract:
    """A level that a success raises, to what the permit's state allowed; what it allows is swapped with a spare one."""
    top, spare, level = variable("top", 10), variable("spare", 10), variable("level", 0)
    asked = argument("asked", IntType(0, 100))
    higher = Ite(Lt(state(level), arg(asked)), arg(asked), state(level))
    climb = replace(tool("climb", (asked,), (allow(Le(arg(asked), state(top))),)), on_success=(then(level, higher),))
    swap = tool("swap", (), (allow(YES),), then(top, state(spare)), then(spare, state(top)))
    return contract((climb, swap), top, spare, level)


MINE, TIMES, ALL = (
    variable("mine"),
    variable("times"),
    variable("all"),
)
SEEN = Variable("seen", SetSort(StringSort()), (), key=WORD)


def sharing(*, most: Expr) -> Contract:
    """Three calls of up to 100, under names that were seen; `all` has no cap of its own."""
    few = And((Lt(state(TIMES), number(3)), InSet(arg(NAME), state(SEEN)), most))
    writes = (
        then(MINE, plus(MINE, arg(AMOUNT))),
        then(TIMES, plus(TIMES, number(1))),
        then(ALL, plus(ALL, arg(AMOUNT))),
    )
    see = tool("see", (NAME,), (ask(YES),), then(SEEN, SetAdd(state(SEEN), arg(NAME))))
    return contract((tool("spend", (AMOUNT, NAME), (allow(few),), *writes), see), MINE, TIMES, ALL, SEEN)


FIRST, SECOND = State("first", TimestampSort()), State("second", TimestampSort())


def mixed_scales() -> Contract:
    """A sum in hundredths, counted in whole ones."""
    cents, units = Variable("cents", MONEY, 0), Variable("units", DecimalSort(0), 0)
    writes = (
        then(cents, Add(State("cents", MONEY), Const(250, MONEY))),
        then(units, Add(State("units", DecimalSort(0)), Const(1, DecimalSort(0)))),
    )
    room = Lt(State("units", DecimalSort(0)), Const(8, DecimalSort(0)))
    return contract((tool("buy", (), (allow(room),), *writes), NOTHING), cents, units)


def mixed_sorts() -> Contract:
    """The same, counted by an int: no expression compares it with a decimal, so each count stands for itself."""
    cents, units = Variable("cents", MONEY, 0), variable("units")
    writes = (then(cents, Add(State("cents", MONEY), Const(250, MONEY))), then(units, plus(units, number(1))))
    return contract((tool("buy", (), (allow(Lt(state(units), number(3))),), *writes), NOTHING), cents, units)


CENTS = State("cents", MONEY)


@dataclass(frozen=True)
class Needy:
    """A property that needs an invariant; `says` are parts that it has, where they are known."""

    name: str
    spec: Contract
    subject: Property
    says: tuple[str, ...] = ()


def total(bound: int) -> Expr:
    return Le(state(TOTAL), number(bound))


NEEDY = (
    Needy("ten calls of a hundred", spending(), always(total(1000)), ("state.total <= 100 * state.calls",)),
    Needy(
        "a never about the sum", spending(), never("nothing", Lt(number(1000), state(TOTAL))), ("state.total <= 1000",)
    ),
    Needy("reserved, settled, refunded", reserving(), always(Le(State("spent", TOTAL.sort), number(500)))),
    Needy(
        "what is shipped was paid",
        order(),
        never("ship", Le(PAID, Const(0, MONEY))),
        ("state.phase == 'open' || state.paid >= 0.01",),
    ),
    Needy(
        "what is closed was paid",
        order(),
        always(Or((Not(Eq(state(PHASE), phase("closed"))), Lt(Const(0, MONEY), PAID)))),
    ),
    Needy("an approval is used once", approving(), always(Le(State("count", TOTAL.sort), number(1)))),
    Needy("a reset renews both", renewing(Period("reset", DAY)), always(total(500))),
    Needy("a step of two", *stepping(5), ("state.count != 3",)),
    Needy(
        "instants in their order",
        timing(),
        always(Le(State("first", TimestampSort()), State("second", TimestampSort()))),
    ),
    Needy(
        "what a success raises",
        raising(),
        always(Le(State("level", TOTAL.sort), number(10))),
        ("state.top <= 10", "state.spare <= 10"),
    ),
    Needy("beside a set", sharing(most=YES), always(Le(state(MINE), number(300)))),
    Needy(
        "beside a set and a sum",
        sharing(most=Le(state(ALL), number(1_000))),
        always(And((Le(state(MINE), number(300)), Le(state(MINE), state(ALL))))),
    ),
    Needy("decimals of two scales", mixed_scales(), always(Le(CENTS, Const(2_000, MONEY)))),
    Needy("a decimal and an int", mixed_sorts(), always(Le(CENTS, Const(750, MONEY)))),
)


@pytest.mark.parametrize("needy", NEEDY, ids=[needy.name.replace(" ", "-") for needy in NEEDY])
def test_it_is_proved_by_an_invariant_that_is_proved_by_itself(needy: Needy) -> None:
    verdict = decided(needy.spec, needy.subject)
    assert isinstance(verdict, Proved), verdict
    assert set(needy.says) <= set(verdict.invariant)
    conditions = [read_invariant(text, needy.spec) for text in verdict.invariant]
    fixed = [needy.subject.condition] if needy.subject.kind == "always" else []
    whole = And((*conditions, *fixed))
    desk = Desk("both", float("inf"), clock=lambda: 0.0)
    desk.deadline = 60.0
    for condition in conditions:  # together they are kept by every step, on the word of both solvers
        assert isinstance(decided(needy.spec, always(condition), *conditions, *fixed, choice="both"), Proved)
    assert isinstance(decided(needy.spec, always(whole), choice="both"), Proved)
    assert decided(needy.spec, always(whole)).invariant == ()


def test_a_window_that_decays_on_its_own_bounds_nothing_else() -> None:
    """Five calls in a day do not bound the sum of a day, for both sums decay on their own in a proof."""
    assert isinstance(decided(renewing(Period("window", DAY)), always(total(400))), Refuted)


def test_an_impossible_call_is_refuted_by_an_invariant() -> None:
    verdict = decided(order(), possible("ship", Le(PAID, Const(0, MONEY))))
    assert isinstance(verdict, Refuted)
    assert verdict.counterexample is None
    assert verdict.reason == "no sequence of calls leads to a call that meets it"
    assert verdict.invariant == ("state.phase == 'open' || state.paid >= 0.01",)


def test_lists_and_strings_are_abstracted_and_the_rest_is_kept() -> None:
    tags = argument("tags", ListType(WORD, 0, 2, unique=False))
    few = And((Member(word("a"), arg(tags)), Lt(state(CALLS), number(3)), Not(Eq(arg(NAME), word("x")))))
    writes = (then(TOTAL, plus(TOTAL, arg(AMOUNT))), then(CALLS, plus(CALLS, number(1))))
    spec = contract((tool("spend", (AMOUNT, NAME, tags), (allow(few),), *writes),), TOTAL, CALLS)
    assert isinstance(decided(spec, always(total(300))), Proved)
    assert isinstance(decided(spec, always(total(299))), Refuted)


def test_what_strings_decide_is_not_proved_from_numbers() -> None:
    """The two tools exclude each other by their names only, which the projection does not know: a search refutes."""
    one, other = Eq(arg(NAME), word("a")), Not(Eq(arg(NAME), word("a")))
    spec = contract((tool("add", (NAME,), (deny(other), allow(one)), then(CALLS, plus(CALLS, number(1)))),), CALLS)
    assert isinstance(decided(spec, always(Le(state(CALLS), number(2)))), Refuted)


# --- what is said of it ------------------------------------------------------------------------------


def test_an_int_beside_a_decimal_is_told_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strengthen, "STRATEGIES", horn.STRATEGIES[:1])
    monkeypatch.setattr(unroll, "MAX_CALLS", 2)
    verdict = decided(mixed_sorts(), always(Le(CENTS, Const(750, MONEY))))
    assert isinstance(verdict, Unknown)
    assert (
        "no invariant was found: an invariant compares the int `state.units` with a decimal, which no expression can "
        "say; declare it `type: decimal, scale: 0`"
    ) in verdict.reason


def test_the_same_invariant_is_found_every_time() -> None:
    program = (
        "import json, sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_strengthen import NEEDY, decided\n"
        "print(json.dumps([decided(each.spec, each.subject).invariant for each in NEEDY[:4]]))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program, str(Path(__file__).parent)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "7")
    }
    assert len(found) == 1
    assert all(json.loads(found.pop()))


# --- what is never believed --------------------------------------------------------------------------


def lying(formula: z3.BoolRef, *names: str) -> object:
    def told(ground: Ground, *_: object) -> Guess:
        return Guess(formula.translate(ground.ctx), names)

    return told


def test_a_guess_that_is_no_invariant_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unroll, "MAX_CALLS", 2)
    at = z3.Var(0, z3.IntSort())
    for formula in (at <= 5, at >= 1, z3.BoolVal(val=False), at <= 5_000, z3.BoolVal(val=True)):
        monkeypatch.setattr(strengthen, "guess", lying(formula, "total"))
        verdict = decided(spending(), always(total(1000)))
        assert isinstance(verdict, Unknown), (formula, verdict)
        assert "the invariant that was found is not one by z3's own proof" in verdict.reason


def test_a_guess_that_excludes_nothing_proves_no_never(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unroll, "MAX_CALLS", 2)
    monkeypatch.setattr(strengthen, "guess", lying(z3.Var(0, z3.IntSort()) >= 0, "total"))
    verdict = decided(spending(), never("nothing", Lt(number(1000), state(TOTAL))))
    assert isinstance(verdict, Unknown)


def forgetful(ground: Ground) -> list[Clause]:
    return list(moving(ground))[:1]


def test_a_projection_that_drops_transitions_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the permits every state is the initial one, says Spacer; the machine says otherwise."""
    monkeypatch.setattr(horn, "moving", forgetful)
    monkeypatch.setattr(unroll, "MAX_CALLS", 3)
    assert isinstance(decided(spending(), always(total(1000))), Unknown)
    assert isinstance(decided(spending(), always(total(150))), Refuted)


def test_a_projection_without_successes_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(horn, "succeeding", lambda ground, *_: horn.passing(ground))
    assert isinstance(decided(raising(), always(Le(State("level", TOTAL.sort), number(9)))), Refuted)


def test_a_state_without_numbers_has_no_projection() -> None:
    spec = contract((NOTHING,))
    assert guess(Ground(spec, z3.Context()), Desk("z3", 60.0, clock=lambda: 0.0), (), {}) == NoGuess(
        "the state has neither numbers nor truth values"
    )


def test_what_a_proof_rests_on_names_the_invariant() -> None:
    work = carried_out(Order(spending(), always(total(1000)), (), (), "z3", 60.0, None, "test"))
    assert Source("found", "state.total <= 100 * state.calls") in work.rests_on.sources
    assert phrase(Source("found", "state.b")) == "the invariant `state.b`"


@pytest.mark.parametrize("opinion", ["unknown", "sat"])
def test_without_cvc5_there_is_no_proof(monkeypatch: pytest.MonkeyPatch, opinion: str) -> None:
    monkeypatch.setattr(unroll, "MAX_CALLS", 2)
    monkeypatch.setattr(strengthen, "STRATEGIES", horn.STRATEGIES[:1])
    monkeypatch.setattr(solve, "second_opinion", lambda *_: opinion)
    if opinion == "sat":
        with pytest.raises(EnginesDisagree):
            decided(spending(), always(total(1000)))
        return
    verdict = decided(spending(), always(total(1000)))
    assert isinstance(verdict, Unknown)
    assert "the invariant that was found is not proved by z3 and cvc5 both" in verdict.reason


def test_a_spacer_that_is_canceled_late_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def canceled(*_: object) -> None:
        message = "canceled"
        raise z3.Z3Exception(message)

    monkeypatch.setattr(unroll, "MAX_CALLS", 2)
    monkeypatch.setattr(z3.Fixedpoint, "query", canceled)
    verdict = decided(spending(), always(total(1000)))
    assert isinstance(verdict, Unknown)
    assert "spacer gave up: canceled" in verdict.reason


def test_a_spacer_out_of_its_resources_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unroll, "MAX_CALLS", 2)
    monkeypatch.setattr(horn, "SPACER_RLIMIT", 20_000)
    spec, subject = stepping(1_001)
    verdict = decided(spec, subject)
    assert isinstance(verdict, Unknown)
    assert "no invariant was found: spacer gave up" in verdict.reason


def test_a_spacer_without_time_is_not_asked() -> None:
    spec = spending()
    desk = Desk("z3", 0.0, clock=lambda: 0.0)
    assert guess(Ground(spec, z3.Context()), desk, (), {}) == NoGuess("out of time")


# --- in files ----------------------------------------------------------------------------------------

WRITTEN = """\
sandbox: 1
name: allowance
state:
  spent: {type: decimal, scale: 2, initial: 0}
  calls: {type: decimal, scale: 0, initial: 0}
tools:
  spend:
    args: {amount: {type: decimal, scale: 2, min: 0.01, max: 100}, to: {type: string}}
    rules:
      - {id: few, allow: state.calls < 10 && args.to != ''}
    then: {spent: state.spent + args.amount, calls: state.calls + 1}
"""
PROPERTIES = """\
proves: allowance.yaml
properties:
  - {id: in-all, always: state.spent <= 1000.00}
  - {id: no-more, never: state.spent > 1000.00}
  - {id: too-much, possible: state.spent > 1000.00}
"""


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certified")
    (folder / "allowance.yaml").write_text(WRITTEN)
    (folder / "proofs.yaml").write_text(PROPERTIES)
    prove_paths([folder / "proofs.yaml"], ProveOptions(update=True, emit_dir=folder / "cert"))
    return folder


SPENT = ["state.spent <= 100 * state.calls"]


def test_reports_ledgers_and_certificates_have_the_invariant(certified: Path) -> None:
    report = prove_paths([certified / "proofs.yaml"])
    assert report.ledgers[0][1] == "current"
    in_all, no_more, too_much = report_to_json(report)["properties"]
    assert (in_all["verdict"], in_all["invariant"], in_all["solvers"]) == ("proved", SPENT, ["z3", "cvc5"])
    assert (no_more["verdict"], no_more["invariant"], no_more["solvers"]) == ("proved", [], ["z3"])  # by `in-all`
    assert (too_much["verdict"], too_much["invariant"]) == ("refuted", [])
    assert "  by the invariant: state.spent <= 100 * state.calls" in words(report)
    entries = json.loads((certified / "ledger.json").read_text())["entries"]
    assert entries["proofs.yaml/allowance/in-all"]["invariant"] == SPENT
    verified = verify(certified / "cert", [certified / "allowance.yaml"])
    assert [each.status for each in verified.properties] == ["verified"] * 3


@pytest.mark.parametrize("claimed", [[], ["state.spent <= 2000.00"], ["state.moon"], ["state.calls <= 10"], "x"])
def test_a_certificate_with_another_invariant_shows_nothing(certified: Path, claimed: object) -> None:
    folder = certified / "cert"
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["properties"][0]["invariant"] = claimed
    (folder / "manifest.json").write_text(rendered({key: each for key, each in manifest.items() if key != "digest"}))
    verified = verify(folder, [certified / "allowance.yaml"])
    first, *_ = verified.properties
    assert first.status == "mismatch"
    assert first.verdict != "proved"


# --- the projection ----------------------------------------------------------------------------------


def test_every_step_of_the_machine_is_one_of_the_projection() -> None:
    """What Spacer says of reachable states holds of every state that random calls lead to."""
    desk = Desk("z3", 60.0, clock=lambda: 0.0)
    ground = grounded(Ground(reserving(), z3.Context()), desk)
    goal = Le(State("spent", TOTAL.sort), number(500))
    for strategy in horn.STRATEGIES:
        found = guess(ground, desk, (horn.beyond_goal(ground, goal),), strategy)
        assert isinstance(found, Guess)
        assert found.names == ("held", "spent")
        dice = random.Random("reserve, settle, refund")  # noqa: S311 - not a secret
        for _ in range(20):
            held = spent = 0
            for _ in range(50):
                amount = dice.randint(1, 100)
                match dice.choice("rsf"):
                    case "r" if held + spent + amount <= 500:
                        held += amount
                    case "s" if amount <= held:
                        held, spent = held - amount, spent + amount
                    case "f" if amount <= spent:
                        spent -= amount
                at = z3.substitute_vars(found.formula, z3.IntVal(held, ground.ctx), z3.IntVal(spent, ground.ctx))
                assert z3.is_true(z3.simplify(at)), (held, spent)
