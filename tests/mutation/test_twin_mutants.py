"""Mutation: a slip in one arm of either twin is noticed by the differential suite.

Each mutant is a copy of the package with one change in `evaluate` or `encode`. The score is printed; a survivor must be
in `EQUIVALENT`, with the reason why nothing can notice it.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TypeAlias

import pytest
from mutants import Mutant, mutants, named_in

ROOT = Path(__file__).resolve().parents[2]
TWINS_AGREE, DOMAIN = "tests/differential/test_twins.py", "tests/differential/test_domain.py"
SHAPES = "tests/unit/test_evaluate_shapes.py"
SUITE = (TWINS_AGREE, SHAPES, DOMAIN, "tests/differential/test_domain_rich.py", "tests/unit/test_ground.py")
OF_DOMAINS = frozenset(
    {"inhabits", "list_inhabits", "differing", "same", "in_range", "part_domain", "record_inhabits", "shell_inhabits"}
    | {"words_inhabit", "domain", "comparable", "is_empty"}
)
TWINS = {
    "evaluate": frozenset(
        {"evaluate", "truncated", "bind", "added", "removed"}
        | {"applied", "beside", "denied", "is_in", "every", "some", "united", "flat", "constants_beside", "asked_of"}
        | {"_united", "looks_up", "one_of", "holding", "every_element", "some_element", "ending", "beginning"}
        | {"OF_ARGUMENT", "OF_SIZE", "TURNED"}
    ),
    "encode": OF_DOMAINS
    | {"encode", "equality", "part_test", "unlowered", "truncated", "size", "elements", "instances", "both", "implied"}
    | {"choice", "at_keys", "state_literal", "initial_map", "has", "put", "get", "kept", "plain", "satisfies"}
    | {"conjunction", "disjunction", "literal"},
}
Key: TypeAlias = tuple[str, str, str, str]
"""A mutant: module, function, and the line that was changed, before and after."""

EQUIVALENT: dict[Key, str] = {
    (
        "encode",
        "elements",
        "return list(zip(items.few.there, items.items, strict=True))",
        "return list(zip(items.few.there, items.items, strict=False))",
    ): "few elements and what tells of each are made together, as many of the one as of the other",
    (
        "evaluate",
        "OF_ARGUMENT",
        "operator.eq: lambda name, value: lambda env: env.args[name] == value",
        "operator.ne: lambda name, value: lambda env: env.args[name] == value",
    ): "the entry is lost, and what stands in its place means the same",
    (
        "evaluate",
        "OF_ARGUMENT",
        "operator.lt: lambda name, value: lambda env: env.args[name] < value",
        "operator.le: lambda name, value: lambda env: env.args[name] < value",
    ): "the entry is lost, and what stands in its place means the same",
    (
        "evaluate",
        "OF_ARGUMENT",
        "operator.gt: lambda name, value: lambda env: env.args[name] > value",
        "operator.ge: lambda name, value: lambda env: env.args[name] > value",
    ): "the entry is lost, and what stands in its place means the same",
    (
        "evaluate",
        "OF_ARGUMENT",
        "str.startswith: lambda name, value: lambda env: env.args[name].startswith(value)",
        "str.endswith: lambda name, value: lambda env: env.args[name].startswith(value)",
    ): "the entry is lost, and what stands in its place means the same",
    (
        "evaluate",
        "OF_SIZE",
        "operator.eq: lambda name, value: lambda env: len(env.args[name]) == value",
        "operator.ne: lambda name, value: lambda env: len(env.args[name]) == value",
    ): "the entry is lost, and what stands in its place means the same",
    (
        "evaluate",
        "OF_SIZE",
        "operator.lt: lambda name, value: lambda env: len(env.args[name]) < value",
        "operator.le: lambda name, value: lambda env: len(env.args[name]) < value",
    ): "the entry is lost, and what stands in its place means the same",
    (
        "evaluate",
        "OF_SIZE",
        "operator.gt: lambda name, value: lambda env: len(env.args[name]) > value",
        "operator.ge: lambda name, value: lambda env: len(env.args[name]) > value",
    ): "the entry is lost, and what stands in its place means the same",
    (
        "evaluate",
        "TURNED",
        "operator.lt: operator.gt",
        "operator.le: operator.gt",
    ): "the entry is lost, and what stands in its place means the same",
    (
        "evaluate",
        "every",
        "half = len(tests) // 2",
        "half = len(tests) // 3",
    ): "they are divided elsewhere, and all are asked",
    (
        "evaluate",
        "some",
        "size = MOST_AT_ONCE if len(tests) > MOST_AT_ONCE else MOST_AT_ONCE // 2",
        "size = MOST_AT_ONCE if len(tests) >= MOST_AT_ONCE else MOST_AT_ONCE // 2",
    ): "eight have an arm of their own before",
    (
        "evaluate",
        "some",
        "size = MOST_AT_ONCE if len(tests) > MOST_AT_ONCE else MOST_AT_ONCE // 2",
        "size = MOST_AT_ONCE if len(tests) > MOST_AT_ONCE else MOST_AT_ONCE // 3",
    ): "they are divided into more blocks, and all are asked",
    (
        "evaluate",
        "constants_beside",
        "return ('holds', over, values) if asks == 'is' else None",
        "return ('holds', over, values) if asks == 'contains' else None",
    ): "the short way is not taken, and the long way means the same",
    (
        "evaluate",
        "asked_of",
        "asks = found[0][0] if found and found[0] is not None else None",
        "asks = found[0][1] if found and found[0] is not None else None",
    ): "the short way is not taken, and the long way means the same",
    (
        "evaluate",
        "asked_of",
        "if each is None or each[:2] != (asks, variable):",
        "if each is None or each[:3] != (asks, variable):",
    ): "the short way is not taken, and the long way means the same",
    (
        "evaluate",
        "one_of",
        "case 'is' if len(values) == 1:",
        "case 'contains' if len(values) == 1:",
    ): "one value is then found in a set of one",
    (
        "evaluate",
        "every_element",
        "case ['is', values]:",
        "case ['contains', values]:",
    ): "the short way is not taken, and the long way means the same",
    (
        "evaluate",
        "every_element",
        "case ['ends', parts]:",
        "case ['contains', parts]:",
    ): "the short way is not taken, and the long way means the same",
    (
        "evaluate",
        "every_element",
        "case ['starts', parts]:",
        "case ['ends', parts]:",
    ): "the short way is not taken, and the long way means the same",
    (
        "evaluate",
        "some_element",
        "case ['is', values]:",
        "case ['contains', values]:",
    ): "the short way is not taken, and the long way means the same",
    (
        "evaluate",
        "truncated",
        "return value // divisor if value >= 0 else -(-value // divisor)",
        "return value // divisor if value > 0 else -(-value // divisor)",
    ): "at 0 both branches are 0",
    (
        "evaluate",
        "truncated",
        "return value // divisor if value >= 0 else -(-value // divisor)",
        "return value // divisor if value >= 1 else -(-value // divisor)",
    ): "at 0 both branches are 0, so `>= 1` divides alike",
    (
        "encode",
        "choice",
        "if isinstance(then, SetTerm) and isinstance(otherwise, SetTerm):",
        "if isinstance(then, SetTerm) or isinstance(otherwise, SetTerm):",
    ): "both branches have one sort: two sets, or neither of them any",
    (
        "encode",
        "choice",
        "if isinstance(then, MapTerm) and isinstance(otherwise, MapTerm):",
        "if isinstance(then, MapTerm) or isinstance(otherwise, MapTerm):",
    ): "both branches have one sort: two maps, or neither of them any",
    (
        "encode",
        "truncated",
        "return z3.If(value >= 0, value / divisor, -(-value / divisor))",
        "return z3.If(value > 0, value / divisor, -(-value / divisor))",
    ): "at 0 both branches are 0",
    (
        "encode",
        "truncated",
        "return z3.If(value >= 0, value / divisor, -(-value / divisor))",
        "return z3.If(value >= 1, value / divisor, -(-value / divisor))",
    ): "at 0 both branches are 0, so `>= 1` divides alike",
    (
        "encode",
        "plain",
        "return z3.IntVal(0, ctx)",
        "return z3.IntVal(1, ctx)",
    ): "it stands where a value means nothing",
    (
        "encode",
        "plain",
        "return z3.BoolVal(val=False, ctx=ctx)",
        "return z3.BoolVal(val=True, ctx=ctx)",
    ): "it stands where a value means nothing",
    (
        "encode",
        "plain",
        "return ListTerm(z3.IntVal(0, ctx), (filler,) * max_size, filler)",
        "return ListTerm(z3.IntVal(1, ctx), (filler,) * max_size, filler)",
    ): "it stands where a value means nothing",
    (
        "encode",
        "plain",
        "part.name: z3.BoolVal(val=False, ctx=ctx) for part in parts if part.optional}",
        "part.name: z3.BoolVal(val=True, ctx=ctx) for part in parts if part.optional}",
    ): "it stands where a value means nothing",
    (
        "encode",
        "same",
        "if not isinstance(one, RecordTerm) or not isinstance(other, RecordTerm):",
        "if not isinstance(one, RecordTerm) and (not isinstance(other, RecordTerm)):",
    ): "both have one type: two records, or none",
}
"""Why no call can tell the mutant from the original."""


def key_of(module: str, mutant: Mutant) -> Key:
    """What a mutant is known by; two may share it, of which none can be explained."""
    return module, mutant.function, mutant.before.strip(), mutant.after.strip()


def original(module: str) -> str:
    """The source that is mutated."""
    return (ROOT / "sandbox" / f"{module}.py").read_text()


def suite_for(module: str, function: str) -> list[str]:
    """The suite, with the file first that is most likely to notice."""
    first = SHAPES if module == "evaluate" else DOMAIN if function in OF_DOMAINS else TWINS_AGREE
    return [first, *(file for file in SUITE if file != first)]


def noticed(module: str, every: list[Mutant], folder: Path) -> list[bool]:
    """Of each mutant, whether the suite fails on it."""
    words = [sys.executable, str(Path(__file__).with_name("noticed.py")), module, str(folder)]
    env = {**os.environ, "PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}
    asked = [{"source": each.source, "suite": suite_for(module, each.function)} for each in every]
    lines = "".join(json.dumps(each) + "\n" for each in asked)
    done = subprocess.run(words, cwd=folder, env=env, input=lines, capture_output=True, check=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_explanation_is_of_one_mutant() -> None:
    keys = Counter(key_of(module, each) for module in TWINS for each in mutants(original(module), TWINS[module]))
    assert {key: keys[key] for key in EQUIVALENT} == dict.fromkeys(EQUIVALENT, 1)


def test_every_function_and_table_that_is_mutated_is_there() -> None:
    for module, names in TWINS.items():
        assert names <= {name for top in ast.parse(original(module)).body for name, _ in named_in(top)}


@pytest.mark.deep
@pytest.mark.parametrize("module", sorted(TWINS))
def test_every_slip_in_a_twin_is_noticed(module: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("sandbox", "tests", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    untouched = Mutant("", "", "", original(module))
    assert noticed(module, [untouched], tmp_path) == [False], "the suite fails on the original"
    every = list(mutants(untouched.source, TWINS[module]))
    survivors = [each for each, seen in zip(every, noticed(module, every, tmp_path), strict=True) if not seen]
    unexplained = [key_of(module, each) for each in survivors if key_of(module, each) not in EQUIVALENT]
    with capsys.disabled():
        print(  # noqa: T201  # the score
            f"\n{module}: {len(every) - len(survivors)} of {len(every)} mutants noticed,"
            f" {len(survivors) - len(unexplained)} mean the same, {len(unexplained)} survive"
        )
    assert not unexplained
