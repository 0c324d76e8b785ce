# ruff: noqa: E501 - a table is read line by line
"""What would mend a refuted property: found where the answer is known, as weak as it can be, and shown everywhere."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from prover_specs import (
    And,
    Contract,
    Expr,
    IntType,
    Le,
    Lt,
    Not,
    Or,
    Property,
    Rule,
    allow,
    arg,
    argument,
    ask,
    contract,
    deny,
    never,
    number,
    tool,
)

from sandbox.cli.program import PROGRAM
from sandbox.evaluate import Env, evaluate, truth
from sandbox.machine import verdict_of
from sandbox.prove import PropertyReport, Proved, ProveOptions, Refuted, mending, prove_paths, report_to_json, words
from sandbox.prove.crew import Crew, Reply
from sandbox.prove.findings import GaveUp, Holds, Shown
from sandbox.prove.mends import Mend
from sandbox.prove.page import page
from sandbox.prove.sarif import sarif_text
from sandbox.prove.tighten import Bound, Setting, candidates
from sandbox.prove.verdicts import Replayed
from sandbox.prove.worker import Order, carried_out, order_from_json, order_to_json

MEND = ProveOptions(mend=True)

BANK = """\
sandbox: 1
name: bank
define:
  trusted: ["ann", "bob", "eve"]
state:
  spent: {type: decimal, scale: 2, initial: 0, reset: 24h}
tools:
  pay:
    args:
      amount: {type: decimal, scale: 2, min: 0.01, max: 9000}
      to: {type: string, max_size: 12}
      parts: {type: list, items: {type: int, min: 0, max: 50}, max_size: 6}
      note: {type: text, max_size: 90, optional: true}
    rules:
      - {id: cap, deny: state.spent + args.amount > 6000.00}
      - {id: small, allow: args.to in trusted && args.amount <= 500.00}
      - {id: person, ask: "args.amount <= 3000 && !(args.amount <= 500.00 && args.to in trusted)"}
    then: {spent: state.spent + args.amount}
  give:
    args: {amount: {type: int, min: 1, max: 100}}
    rules:
      - {id: late, deny: now.getHours() >= 20}
      - {id: rest, allow: args.amount > 2}
"""


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Solving in a child is tested elsewhere; here it would only take time."""
    monkeypatch.setattr(Crew, "carry_out", lambda _, order: carry_out(order))


def carry_out(order: Order) -> Reply:
    work = carried_out(order_from_json_of(order))
    return Reply(work.finding, work.spent, 0, work.rests_on, work.obligations, work.doubts)


def order_from_json_of(order: Order) -> Order:
    """The order as a child gets it."""
    return order_from_json(json.loads(json.dumps(order_to_json(order))))


def file_of(folder: Path, properties: str, spec: str = BANK) -> Path:
    (folder / "bank.yaml").write_text(spec)
    file = folder / "properties.yaml"
    file.write_text(f"proves: bank.yaml\nproperties:\n{properties}\n")
    return file


def first(folder: Path, properties: str, spec: str = BANK, options: ProveOptions = MEND) -> PropertyReport:
    return prove_paths([file_of(folder, properties, spec)], options).properties[0]


@dataclass(frozen=True)
class Known:
    """A refuted property; of the first mend the words, and what in the spec's text they are about: old, new, too lax."""

    name: str
    properties: str
    words: str
    edit: tuple[str, str, str]


KNOWN = (
    Known(
        "a bound of the rule that decided",
        "  - {id: p, never: \"tool == 'pay' && args.amount > 400.00 && decision == 'allow'\"}",
        "with `args.amount <= 400.00` (now `500.00`; rule `small` of `pay`, line 16:28) it would hold; with `400.01` it would not",
        ("trusted && args.amount <= 500.00}", "trusted && args.amount <= 400.00}", "trusted && args.amount <= 400.01}"),
    ),
    Known(
        "a bound that an ask has",
        "  - {id: p, never: \"tool == 'pay' && args.amount >= 1234.5\"}",
        "with `args.amount <= 1234.49` (now `3000.00`; rule `person` of `pay`, line 17:28) it would hold; with `1234.50` it would not",
        ("args.amount <= 3000 ", "args.amount <= 1234.49 ", "args.amount <= 1234.50 "),
    ),
    Known(
        "a value that must go",
        "  - {id: p, never: \"tool == 'pay' && args.to == 'eve' && decision == 'allow'\"}",
        'without `"eve"` for `args.to` (rule `small` of `pay`, line 16:28) it would hold',
        ('["ann", "bob", "eve"]', '["ann", "bob"]', '["ann", "eve"]'),
    ),
    Known(
        "the cap of a budget, which is a denial",
        "  - {id: p, always: state.spent <= 5000.00}",
        "with `state.spent + args.amount > 5000.00` (now `6000.00`; rule `cap` of `pay`, line 15:25) it would hold; with `5000.01` it would not",
        ("> 6000.00", "> 5000.00", "> 5000.01"),
    ),
    Known(
        "a cap, with another property that has to be proved anew",
        "  - {id: p, never: \"tool == 'pay' && state.spent + args.amount > 5500.00\"}\n  - {id: q, always: state.spent <= 6000.00}",
        "with `state.spent + args.amount > 5500.00` (now `6000.00`; rule `cap` of `pay`, line 15:25) it would hold; with `5500.01` it would not",
        ("> 6000.00", "> 5500.00", "> 5500.01"),
    ),
    Known(
        "the size of a list",
        "  - {id: p, never: \"tool == 'pay' && size(args.parts) > 4\"}",
        "with `max_size: 4` (now `6`; argument `args.parts` of `pay`, line 8:3) it would hold; with `5` it would not",
        ("max_size: 6", "max_size: 4", "max_size: 5"),
    ),
    Known(
        "the items of a list",
        "  - {id: p, never: \"tool == 'pay' && args.parts.exists(x, x == 30)\"}",
        "with `max: 29` (now `50`; argument `args.parts[]` of `pay`, line 8:3) it would hold; with `30` it would not",
        ("max: 50", "max: 29", "max: 30"),
    ),
    Known(
        "a text that is too long",
        "  - {id: p, never: \"tool == 'pay' && has(args.note) && size(args.note) > 80\"}",
        "with `max_size: 80` (now `90`; argument `args.note` of `pay`, line 8:3) it would hold; with `81` it would not",
        ("max_size: 90", "max_size: 80", "max_size: 81"),
    ),
    Known(
        "a bound from below, as its author wrote it",
        "  - {id: p, never: \"tool == 'give' && args.amount < 10\"}",
        "with `args.amount > 9` (now `2`; rule `rest` of `give`, line 23:27) it would hold; with `8` it would not",
        ("args.amount > 2", "args.amount > 9", "args.amount > 8"),
    ),
    Known(
        "the time of the day",
        "  - {id: p, never: \"tool == 'give' && now.getHours() >= 18\"}",
        "it would hold; with `19` it would not",
        (">= 20", ">= 18", ">= 19"),
    ),
)


@pytest.mark.parametrize("known", KNOWN, ids=[known.name for known in KNOWN])
def test_the_mend_is_found_and_is_one(tmp_path: Path, known: Known) -> None:
    report = first(tmp_path, known.properties)
    assert isinstance(report.verdict, Refuted)
    assert report.mends
    assert known.words in report.mends[0].words
    old, new, too_lax = known.edit
    assert BANK.count(old) == 1
    plain = ProveOptions()
    assert isinstance(first(tmp_path, known.properties, BANK.replace(old, new), plain).verdict, Proved)
    assert isinstance(first(tmp_path, known.properties, BANK.replace(old, too_lax), plain).verdict, Refuted)


def test_the_rule_that_decided_comes_before_the_argument(tmp_path: Path) -> None:
    report = first(tmp_path, "  - {id: p, never: \"tool == 'pay' && args.amount > 400 && decision == 'allow'\"}")
    assert [(each.where, each.becomes) for each in report.mends] == [
        ("rule", "args.amount <= 400.00"),
        ("argument", "max: 400.00"),
    ]


@pytest.mark.parametrize(
    "condition",
    [
        "tool == 'pay' && args.to == 'zed'",  # a rule is missing, no bound
        "tool == 'give'",  # only a rule that never holds would do
        "tool == 'give' && args.amount > 2",  # likewise: of no call anything would be left
        "tool == 'give' && args.amount % 7 == 0 && decision == 'deny'",  # stricter is worse
    ],
)
def test_where_no_bound_would_do_nothing_is_said(tmp_path: Path, condition: str) -> None:
    report = first(tmp_path, f'  - {{id: p, never: "{condition}"}}')
    assert isinstance(report.verdict, Refuted)
    assert report.mends == ()


def test_an_ask_is_not_made_stricter_where_an_allow_would_take_its_place(tmp_path: Path) -> None:
    spec = """\
sandbox: 1
name: bank
tools:
  pay:
    args: {amount: {type: int, min: 1, max: 1000}}
    rules:
      - {id: person, ask: args.amount > 100}
      - {id: rest, allow: args.amount <= 500}
"""
    report = first(tmp_path, "  - {id: p, never: \"tool == 'pay' && args.amount <= 200 && decision == 'ask'\"}", spec)
    assert isinstance(report.verdict, Refuted)
    assert [(each.where, each.becomes) for each in report.mends] == [("argument", "min: 201")]


def test_what_holds_or_is_possible_has_no_mend(tmp_path: Path) -> None:
    report = first(tmp_path, "  - {id: p, never: \"tool == 'pay' && args.amount > 3000\"}")
    assert (type(report.verdict), report.mends) == (Proved, ())
    report = first(tmp_path, "  - {id: p, possible: \"tool == 'pay' && args.amount > 3000 && decision != 'deny'\"}")
    assert (type(report.verdict), report.mends) == (Refuted, ())


AMOUNT = "  - {id: p, never: \"tool == 'pay' && args.amount > 400 && decision == 'allow'\"}"


def test_it_is_in_every_form_of_the_report(tmp_path: Path) -> None:
    report = prove_paths([file_of(tmp_path, AMOUNT)], MEND)
    told = "with `args.amount <= 400.00` (now `500.00`; rule `small` of `pay`, line 16:28) it would hold; with `400.01` it would not"
    assert f"  {told}" in list(words(report))
    (found,) = report_to_json(report)["properties"]  # type: ignore[misc]  # a list of one
    assert found["mends"][0] == {  # type: ignore[index, call-overload]  # as was written
        "where": "rule",
        "tool": "pay",
        "of": "small",
        "becomes": "args.amount <= 400.00",
        "now": "500.00",
        "beyond": "400.01",
        "left_out": [],
        "line": 16,
        "column": 28,
        "words": told,
    }
    assert "<code>args.amount &lt;= 400.00</code>" in page(report)
    assert told in json.loads(sarif_text(report, tmp_path))["runs"][0]["results"][0]["message"]["text"]


def test_it_is_not_looked_for_where_that_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = str(file_of(tmp_path, AMOUNT))
    monkeypatch.setenv("SANDBOX_CACHE", str(tmp_path / "cache"))
    for _ in range(2):  # also of what is kept
        for words_, said in ((), True), (("--no-mend",), False):
            done = CliRunner().invoke(PROGRAM, ["prove", file, *words_])
            assert (done.exit_code, "it would hold" in done.stdout) == (1, said)


@pytest.mark.parametrize("name", ["MAX_STEPS", "MAX_RLIMIT", "SHARE"])
def test_a_search_that_has_had_its_share_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(mending, name, 0)
    report = first(tmp_path, AMOUNT)
    assert (type(report.verdict), report.mends) == (Refuted, ())


def setting_of(spec: Contract, subject: Property) -> tuple[Setting, Refuted]:
    """The property, refuted by whatever the prover finds."""
    from prover_specs import decided

    verdict = decided(spec, subject)
    assert isinstance(verdict, Refuted)
    return Setting(spec, subject), verdict


SMALL = contract(
    (
        tool(
            "pay", (argument("amount", IntType(0, 9)),), (allow(Le(arg(argument("amount", IntType(0, 9))), number(7))),)
        ),
    )
)
TOO_MUCH = never("pay", Lt(number(4), arg(argument("amount", IntType(0, 9)))))


@pytest.mark.parametrize("undecided", ["proofs", "searches", "one proof"])
def test_what_is_not_decided_is_no_mend(undecided: str) -> None:
    setting, verdict = setting_of(SMALL, TOO_MUCH)
    proofs = itertools.count()

    def ask_of(order: Order) -> Reply:
        reply = carry_out(order)
        if isinstance(reply.finding, Holds) and (
            undecided == "proofs" or (undecided == "one proof" and next(proofs) == 1)
        ):
            return replace(reply, finding=GaveUp("no"))
        if isinstance(reply.finding, Shown) and undecided == "searches":
            return replace(reply, finding=GaveUp("no"))
        return reply

    found = mending.mends(setting, verdict, mending.Means(ask_of, "z3", 60))
    if (
        undecided == "one proof"
    ):  # a bound that is stricter than it need be is one still, and it is not said that it need be
        assert all(each.beyond in {"", "5"} for each in found)
    else:
        assert found == ()


def test_a_child_that_fails_leaves_the_verdict_alone() -> None:
    setting, verdict = setting_of(SMALL, TOO_MUCH)

    def ask_of(_: Order) -> Reply:
        message = "gone"
        raise ValueError(message)

    assert mending.mends(setting, verdict, mending.Means(ask_of, "z3", 60)) == ()
    assert mending.mends(setting, replace(verdict, counterexample=None), mending.Means(carry_out, "z3", 60)) == ()


# --- random specs, and every call of them tried -------------------------------------------------------

TOP = 7
A, B = argument("a", IntType(0, TOP)), argument("b", IntType(0, TOP))


def random_atom(rng: random.Random) -> Expr:
    one, constant = arg(rng.choice((A, B))), number(rng.randint(-1, TOP + 1))
    atom = rng.choice((Le, Lt))
    return rng.choice((atom(one, constant), atom(constant, one), atom(arg(A), arg(B))))


def random_condition(rng: random.Random, depth: int = 2) -> Expr:
    if depth == 0 or rng.random() < 0.3:
        return random_atom(rng)
    parts = tuple(random_condition(rng, depth - 1) for _ in range(2))
    return rng.choice((And(parts), Or(parts), Not(parts[0])))


def random_spec(rng: random.Random) -> tuple[Contract, Property]:
    made = (ask, allow) if rng.random() < 0.5 else (allow,)
    rules = [replace(make(random_condition(rng)), id=f"r{at}") for at, make in enumerate(made)]
    if rng.random() < 0.5:
        rules.append(replace(deny(random_condition(rng)), id="no"))
    return contract((tool("t", (A, B), tuple(rules)),)), never("t", random_condition(rng))


def verdicts(spec: Contract) -> dict[tuple[int, int], str]:
    """Of every call that the types let through, what the rules say."""
    (only,) = spec.tools
    say = evaluate(verdict_of(only))
    ranges = []
    for each in only.arguments:
        assert isinstance(each.type, IntType)
        ranges.append(range(each.type.minimum, each.type.maximum + 1))
    return {(a, b): str(say(Env({"a": a, "b": b}, {}))) for a, b in itertools.product(*ranges)}


def is_kept(spec: Contract, subject: Property) -> bool:
    met = truth(subject.condition)
    return not any(met(Env({"a": a, "b": b}, {})) for (a, b), verdict in verdicts(spec).items() if verdict != "deny")


LAXNESS = {"deny": 0, "ask": 1, "allow": 2}


def is_laxer(spec: Contract, other: Contract) -> bool:
    before = verdicts(spec)
    return any(LAXNESS[verdict] > LAXNESS[before[call]] for call, verdict in verdicts(other).items())


def weakest(setting: Setting, bound: Bound, rule: Rule) -> tuple[int, bool] | None:
    """The first number from what it is towards the strictest that keeps the property, and whether it is worth showing."""
    for value in range(bound.now, bound.now + bound.way * 3 * TOP, bound.way):
        changed = bound.turned(value)
        if is_kept(changed.contract, setting.subject):
            return value, not is_laxer(setting.contract, changed.contract) and still_decides(changed.contract, rule)
    return None


def still_decides(spec: Contract, rule: Rule) -> bool:
    (only,) = spec.tools
    changed = next(each for each in only.rules if each.id == rule.id)
    true, said = truth(changed.when), verdicts(spec)
    return any(true(Env({"a": a, "b": b}, {})) and verdict == rule.kind for (a, b), verdict in said.items())


def refuted_specs(rng: random.Random, count: int) -> Iterator[tuple[Setting, Refuted, Rule]]:
    while count:
        spec, subject = random_spec(rng)
        if is_kept(spec, subject):
            continue
        count -= 1
        setting, verdict = setting_of(spec, subject)
        assert isinstance(verdict.counterexample, Replayed)
        named = verdict.counterexample.decisions[-1].rule
        yield setting, verdict, next(rule for rule in spec.tools[0].rules if rule.id == named)


@pytest.mark.no_cover
def test_of_random_specs_the_weakest_bounds_are_found_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mending, "MOST", 99)
    monkeypatch.setattr(mending, "MAX_STEPS", 2_000)
    found = none = 0
    for setting, verdict, rule in refuted_specs(random.Random(7), 20):  # noqa: S311 - repeatable
        expected = []
        for bound in candidates(setting, setting.contract.tools[0], rule):
            assert isinstance(bound, Bound)
            least = weakest(setting, bound, rule)
            if least is not None and least[1]:
                expected.append(
                    Mend(
                        bound.where,
                        "t",
                        bound.of,
                        bound.told(least[0]),
                        bound.shown(bound.now),
                        bound.shown(least[0] - bound.way),
                    )
                )
        shown = mending.mends(setting, verdict, mending.Means(carry_out, "z3", 600))
        assert list(shown) == expected, setting
        found, none = found + bool(expected), none + (not expected)
    assert (found > 5, none > 2) == (True, True), (found, none)


def test_the_words_of_a_mend() -> None:
    assert (
        Mend("rule", "t", "r", "args.a <= 3", now="9").words
        == "with `args.a <= 3` (now `9`; rule `r` of `t`) it would hold"
    )
    assert Mend("rule", "t", "r", "args.a", left_out=('"x"', '"y"')).words == (
        'without `"x"`, `"y"` for `args.a` (rule `r` of `t`) it would hold'
    )
    assert Mend("argument", "t", "args.a", "max: 8", now="9", beyond="9").words == (
        "with `max: 8` (now `9`; argument `args.a` of `t`) it would hold"
    )
