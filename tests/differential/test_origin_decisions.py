"""Random rules about origins: both engines on every set of labels, and the prover beside all of them tried out."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.call import Call
from sandbox.decide import Evaluator
from sandbox.evaluate import Env, truth
from sandbox.ground import GroundChecker, Question
from sandbox.ir import (
    VERDICTS,
    And,
    Arg,
    Argument,
    Assignment,
    BoolSort,
    BoolType,
    Const,
    Contract,
    EnumSort,
    Eq,
    Expr,
    Fact,
    Has,
    Ite,
    Not,
    Or,
    OriginHas,
    Property,
    Returned,
    Rule,
    State,
    Tool,
    Variable,
)
from sandbox.prove.run import Batch, ProveOptions, prove_batches
from sandbox.prove.verdicts import name_of, replay_of

pytestmark = pytest.mark.usefixtures("forked")

LABELS = ("web", "unknown", "user")
SETS = tuple(frozenset(each) for n in range(len(LABELS) + 1) for each in itertools.combinations(LABELS, n))
ARGUMENTS = (Argument("f", BoolType()), Argument("g", BoolType(), optional=True))
DIRTY = Variable("dirty", BoolSort(), initial=False)
DECISION = Fact("decision", EnumSort(VERDICTS))


def condition(dice: random.Random, depth: int = 3) -> Expr:
    """Over the labels of two arguments, one of them optional, the state, and a value."""
    if depth and dice.random() < 0.75:
        one, other = condition(dice, depth - 1), condition(dice, depth - 1)
        return dice.choice((And((one, other)), Or((one, other)), Not(one), Ite(one, other, condition(dice, depth - 1))))
    label = dice.choice(LABELS)
    leaf: tuple[Expr, ...] = (
        OriginHas("f", label),
        OriginHas("f", label),
        And((Has("g"), OriginHas("g", label))),
        Arg("f", BoolSort()),
        State("dirty", BoolSort()),
    )
    return dice.choice(leaf)


def contract(dice: random.Random) -> Contract:
    kinds = dice.choices(VERDICTS, (1, 1, 2), k=dice.randint(1, 3))
    rules = tuple(Rule(f"r{at}", kind, condition(dice)) for at, kind in enumerate(kinds))
    then = (Assignment("dirty", condition(dice)),)
    return Contract("random", (Tool("t", ARGUMENTS, rules, then, returns=(Returned("x", origin="web"),)),), (DIRTY,))


def calls() -> Iterator[Call]:
    for f, g, of_f, of_g in itertools.product((False, True), (None, False, True), SETS, SETS):
        if g is None and of_g:
            continue
        args = {"f": f} if g is None else {"f": f, "g": g}
        yield Call("t", args, "", "", origins={"f": of_f} if g is None else {"f": of_f, "g": of_g})


def question(call: Call, verdict: str, updates: dict[str, object], *, dirty: bool) -> Question:
    told = {name: sorted(labels) for name, labels in call.origins.items()}
    return Question("t", call.args, {"dirty": dirty}, verdict, updates, {"now": 0}, told)


@pytest.mark.parametrize("seed", range(8))
def test_both_engines_decide_alike_whatever_the_labels(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - reproducible cases
    spec = contract(dice)
    evaluator, checker = Evaluator(spec), GroundChecker(spec)
    checker.prepare()
    for call in dice.sample(list(calls()), 60):
        dirty = dice.random() < 0.5
        claim = evaluator.claim(call, {"dirty": dirty}, {"now": 0})
        answer = checker.answer(question(call, claim.verdict, dict(claim.updates), dirty=dirty))
        assert (answer.verdict, answer.objection) == (claim.verdict, ""), (spec.tools[0].rules, call.origins)
        other = next(each for each in ("deny", "ask") if each != claim.verdict)
        assert checker.answer(question(call, other, {"dirty": dirty}, dirty=dirty)).objection


def meets(spec: Contract, subject: Property, call: Call, *, dirty: bool) -> bool:
    """Whether the call, as the rules decide it, meets the property's condition."""
    claim = Evaluator(spec).claim(call, {"dirty": dirty}, {"now": 0})
    facts = {"now": 0, "tool": "t", "decision": claim.verdict, "rule": claim.rule}
    return truth(subject.condition)(Env(call.args, {"dirty": dirty}, facts, origins=call.origins))


def reachable(spec: Contract) -> set[bool]:
    """The states that permits lead to, from the initial one."""
    seen, evaluator = {False}, Evaluator(spec)
    for _ in range(2):
        for call, dirty in itertools.product(calls(), tuple(seen)):
            claim = evaluator.claim(call, {"dirty": dirty}, {"now": 0})
            if claim.verdict != "deny":
                seen.add(bool(claim.updates["dirty"]))
    return seen


@pytest.mark.parametrize("seed", range(4))
def test_the_prover_agrees_with_trying_every_set_of_labels(seed: int, tmp_path: Path) -> None:
    dice = random.Random(100 + seed)  # noqa: S311 - reproducible cases
    spec = contract(dice)
    allowed = Eq(DECISION, Const("allow", DECISION.sort))
    subjects = tuple(
        Property(f"p{at}", kind, And((condition(dice), allowed)), ("t",), mentions_decision=True)
        for at, kind in enumerate(("never", "never", "never", "possible", "possible"))
    )
    report = prove_batches([Batch(tmp_path / "x.yaml", spec, subjects)], ProveOptions(timeout_s=30))
    states = reachable(spec)
    for each in report.properties:
        shown = any(meets(spec, each.subject, call, dirty=dirty) for call in calls() for dirty in states)
        expected = {
            "never": {True: {"refuted"}, False: {"proved", "vacuous"}},
            "possible": {True: {"proved"}, False: {"refuted"}},
        }
        assert name_of(each.verdict) in expected[each.subject.kind][shown], (seed, each.subject.condition, each.verdict)
        if shown:
            assert replay_of(each.verdict) is not None
