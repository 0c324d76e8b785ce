"""`sandbox mutate`: what is weakened, who notices, and that no mutant fails where the original could not."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from sandbox.cli.program import PROGRAM
from sandbox.compile import load_contract
from sandbox.evaluate import Env, truth
from sandbox.ir import Contract, Expr
from sandbox.lang.walk import within
from sandbox.prove.mutants import mutants
from sandbox.prove.said import said
from sandbox.prove.weaken import stronger, weaker

pytestmark = pytest.mark.usefixtures("forked")

SPEC = """\
sandbox: 1
name: pay
define: {friends: [ann, bob]}
state: {spent: {type: int, initial: 0}}
tools:
  pay:
    args:
      to: {type: string, pattern: "[a-z]{1,9}"}
      n: {type: int, min: 1, max: 100}
      note: {type: string, max_size: 9, optional: true}
      tags: {type: list, items: {type: enum, values: [a, b]}, max_size: 2}
    rules:
      - {id: cap, deny: state.spent + args.n > 50}
      - {id: odd, deny: "has(args.note) && args.note.startsWith('no')"}
      - {id: small, allow: "args.n < 10 && args.to in friends && args.tags.all(t, t == 'a')"}
      - {id: rest, ask: "args.n <= 20 && !(args.to == 'eve')"}
    then: {spent: state.spent + args.n}
"""
PROPERTIES = """\
proves: pay.yaml
properties:
  - {id: cap, always: state.spent <= 50}
  - {id: eve, never: "tool == 'pay' && args.to == 'eve'"}
  - {id: large, never: "tool == 'pay' && args.n >= 10 && decision == 'allow'"}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("mutants")
    (made / "pay.yaml").write_text(SPEC)
    (made / "properties.yaml").write_text(PROPERTIES)
    return made


@pytest.fixture(scope="module")
def contract(folder: Path) -> Contract:
    return load_contract(folder / "pay.yaml")


def environments() -> list[Env]:
    found = []
    for to, n, note, tags, spent in itertools.product(
        ("ann", "eve", "x"), (1, 9, 10, 11, 20, 21), (None, "", "no", "nope"), ((), ("a",), ("a", "b")), (0, 30, 45)
    ):
        args = {"to": to, "n": n, "tags": tags} | ({} if note is None else {"note": note})
        found.append(Env(args, {"spent": spent}, {"tool": "pay", "now": 0}))
    return found


def conditions(contract: Contract) -> list[Expr]:
    return [rule.when for rule in contract.tools[0].rules]


def test_what_is_weaker_is_true_wherever_the_original_is_and_fails_nowhere(contract: Contract) -> None:
    changed = 0
    for when in conditions(contract):
        for other in weaker(when):
            of_nothing = any(type(each).__name__ == "Exists" for each in within(other))
            for env in environments():
                if truth(when)(env) and not (of_nothing and env.args["tags"] == ()):
                    assert truth(other)(env), (said(when), said(other))
                truth(other)(env)
            changed += 1
    assert changed >= 8


def test_what_is_stronger_is_true_only_where_the_original_is_and_fails_nowhere(contract: Contract) -> None:
    changed = 0
    for when in conditions(contract):
        for other in stronger(when):
            for env in environments():
                assert not truth(other)(env) or truth(when)(env), (said(when), said(other))
            changed += 1
    assert changed >= 6


def test_every_rule_bound_and_assignment_is_weakened_and_every_mutant_is_another_contract(contract: Contract) -> None:
    made = list(mutants(contract))
    places = {each.what for each in made}
    assert places == {
        *(f"rule `{name}` of `pay`" for name in ("cap", "odd", "small", "rest")),
        "`then` of `pay`",
        "argument `to` of `pay`",
        "argument `n` of `pay`",
    }
    assert all(each.contract != contract for each in made)
    assert len({(each.what, each.after) for each in made}) == len(made)
    told = {f"{each.before} -> {each.after}" for each in made}
    assert "max: 100 -> max: 101" in told
    assert any(each.after == "allow, without asking" for each in made)


def test_the_score_says_who_noticed_and_shows_what_nobody_did(folder: Path) -> None:
    words = ["mutate", str(folder / "pay.yaml"), "--properties", str(folder / "properties.yaml"), "--json"]
    ran = CliRunner().invoke(PROGRAM, words)
    document = json.loads(ran.stdout)
    fates = {(each["what"], each["after"]): each for each in document["mutants"]}
    assert fates["rule `cap` of `pay`", "left out"]["caught_by"] == ["cap"]
    assert "large" in fates["rule `rest` of `pay`", "allow, without asking"]["caught_by"]
    forgotten = fates["`then` of `pay`", "left out"]
    assert (forgotten["fate"], forgotten["caught_by"]) == ("survived", [])
    silent = fates["rule `odd` of `pay`", "left out"]
    assert silent["fate"] == "survived"
    assert silent["witness"]["calls"][-1]["args"]["note"].startswith("no")
    wide = fates["argument `n` of `pay`", "max: 101"]
    assert wide["fate"] == "equivalent"
    assert document["score"]["undecided"] == 0
    assert (document["schema_version"], ran.exit_code) == (1, 1)


def test_without_a_property_there_is_nothing_that_could_notice(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(SPEC.replace("name: pay", "name: other"))
    ran = CliRunner().invoke(
        PROGRAM, ["mutate", str(tmp_path / "other.yaml"), "--properties", str(folder / "properties.yaml")]
    )
    assert ran.exit_code == 2


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("args.n * 2 - 1 >= -3", "-3 <= ((args.n * 2) - 1)"),
        ("!(args.to == 'eve') || args.to.matches('^a+$')", '(args.to != "eve") || args.to.matches("^a+$")'),
        ("size(args.tags) > 1 ? args.n % 2 == 1 : args.n / 2 == 3", None),
        ("args.tags.exists(t, t == 'b') && args.to.lowerAscii().contains('x')", None),
    ],
)
def test_expressions_are_told_in_words(tmp_path: Path, source: str, words: str | None) -> None:
    text = SPEC.replace("args.n <= 20 && !(args.to == 'eve')", source)
    (tmp_path / "pay.yaml").write_text(text)
    told = said(load_contract(tmp_path / "pay.yaml").tools[0].rules[-1].when)
    assert words is None or told == words
    assert all(part in told for part in ("args.",))
