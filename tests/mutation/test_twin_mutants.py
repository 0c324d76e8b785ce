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
        | {"one_of", "holding", "every_element", "some_element", "ending", "beginning"}
        | {"OF_ARGUMENT", "OF_SIZE", "TURNED"}
    ),
    "encode": OF_DOMAINS
    | {"encode", "equality", "part_test", "unlowered", "truncated", "size", "elements", "instances", "both", "implied"}
    | {"choice", "at_keys", "state_literal", "initial_map", "has", "put", "get", "kept", "plain", "satisfies"}
    | {"conjunction", "disjunction", "literal"},
}
Key: TypeAlias = tuple[str, str, str, str]
"""A mutant: module, function, and the line that was changed, before and after."""

EQUIVALENT: dict[Key, str] = {}
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
