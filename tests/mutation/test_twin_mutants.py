"""Mutation: a slip in one arm of either twin is noticed by the differential suite.

Each mutant is a copy of the package with one change in `evaluate` or `encode`. The score is printed; a survivor must be
in `EQUIVALENT`, with the reason why nothing can notice it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mutants import Mutant, mutants

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
        | {"applied", "every", "some", "one_of", "found_in", "compared"}
        | {"every_element", "some_element", "ending", "beginning"}
    ),
    "encode": OF_DOMAINS
    | {"encode", "equality", "part_test", "unlowered", "truncated", "size", "elements", "instances", "both", "implied"}
    | {"choice", "at_keys", "state_literal", "initial_map", "has", "put", "get", "kept", "plain", "satisfies"}
    | {"conjunction", "disjunction", "literal"},
}
EQUIVALENT: dict[tuple[str, str, str], str] = {
    ("evaluate", "truncated", "Compare"): "at 0 both branches are 0",
    ("evaluate", "truncated", "Constant"): "at 0 both branches are 0, so `>= 1` divides alike",
    ("evaluate", "compared", "Compare"): "no choice is found then, and the long way means the same",
    ("evaluate", "every_element", "Constant"): "the choice is not of the element then; the long way means the same",
    ("evaluate", "some_element", "Constant"): "the choice is not of the element then; the long way means the same",
    ("encode", "choice", "BoolOp"): "both branches have one sort: two sets, two maps, or neither of them any",
    ("encode", "plain", "Constant"): "it stands where a value means nothing",
    ("encode", "truncated", "Compare"): "at 0 both branches are 0",
    ("encode", "truncated", "Constant"): "at 0 both branches are 0, so `>= 1` divides alike",
}
"""(module, function, change): why no call can tell the mutant from the original."""


def suite_for(mutant: Mutant) -> tuple[str, ...]:
    """The suite, with the file first that is most likely to notice."""
    return tuple(sorted(SUITE, key=lambda file: (DOMAIN in file) < (mutant.function in OF_DOMAINS)))


def noticed(every: list[Mutant], module: str, folder: Path) -> list[bool]:
    """Of each mutant, whether the suite fails on it."""
    words = [sys.executable, str(Path(__file__).with_name("noticed.py")), module, str(folder)]
    env = {**os.environ, "PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}
    asked = "".join(json.dumps({"source": each.source, "suite": suite_for(each)}) + "\n" for each in every)
    done = subprocess.run(words, cwd=folder, env=env, input=asked, capture_output=True, check=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.deep
@pytest.mark.parametrize("module", sorted(TWINS))
def test_every_slip_in_a_twin_is_noticed(module: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("sandbox", "tests", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    original = (ROOT / "sandbox" / f"{module}.py").read_text()
    assert noticed([Mutant("", 0, "", original)], module, tmp_path) == [False], "the suite fails on the original"
    every = list(mutants(original, TWINS[module]))
    seen = noticed(every, module, tmp_path)
    survivors = [each for each, failed in zip(every, seen, strict=True) if not failed]
    with capsys.disabled():
        print(f"\n{module}: {len(every) - len(survivors)} of {len(every)} mutants noticed")  # noqa: T201  # the score
        for each in survivors:
            print(f"  survived: {module}.{each.function}:{each.line} {each.change}")  # noqa: T201
    assert not [s for s in survivors if (module, s.function, s.change) not in EQUIVALENT]
