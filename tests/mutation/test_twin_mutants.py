"""Mutation: a slip in one arm of either twin is noticed by the differential suite.

Each mutant is a copy of the package with one change in `evaluate` or `encode`. The score is printed; a survivor must be
in `EQUIVALENT`, with the reason why nothing can notice it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mutants import Mutant, mutants

ROOT = Path(__file__).resolve().parents[2]
SUITE = ("tests/differential/test_twins.py", "tests/differential/test_domain.py", "tests/unit/test_ground.py")
TWINS = {
    "evaluate": frozenset({"evaluate", "truncated", "bind", "added", "removed"}),
    "encode": frozenset(
        {"encode", "equality", "part_test", "unlowered", "truncated", "size", "elements", "instances"}
        | {"choice", "at_keys", "state_literal", "initial_map", "has", "put", "get", "kept"}
        | {"conjunction", "disjunction", "literal", "inhabits", "list_inhabits", "differing", "same", "in_range"}
        | {"part_domain", "record_inhabits", "shell_inhabits", "words_inhabit", "domain"}
    ),
}
EQUIVALENT: dict[tuple[str, str, str], str] = {
    ("evaluate", "truncated", "Compare"): "at 0 both branches are 0",
    ("evaluate", "truncated", "Constant"): "at 0 both branches are 0, so `>= 1` divides alike",
    ("encode", "truncated", "Compare"): "at 0 both branches are 0",
    ("encode", "truncated", "Constant"): "at 0 both branches are 0, so `>= 1` divides alike",
}
"""(module, function, change): why no call can tell the mutant from the original."""


def survives(mutant: Mutant, module: str, folder: Path) -> bool:
    package = folder / "sandbox"
    (package / f"{module}.py").write_text(mutant.source)
    words = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:randomly", *SUITE]
    env = {**os.environ, "PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}
    try:
        done = subprocess.run(words, cwd=folder, env=env, capture_output=True, check=False, timeout=180)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


@pytest.mark.deep
@pytest.mark.parametrize("module", sorted(TWINS))
def test_every_slip_in_a_twin_is_noticed(module: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("sandbox", "tests", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    original = (ROOT / "sandbox" / f"{module}.py").read_text()
    assert survives(Mutant("", 0, "", original), module, tmp_path), "the suite fails on the original"
    every = list(mutants(original, TWINS[module]))
    survivors = [each for each in every if survives(each, module, tmp_path)]
    with capsys.disabled():
        print(f"\n{module}: {len(every) - len(survivors)} of {len(every)} mutants noticed")  # noqa: T201  # the score
        for each in survivors:
            print(f"  survived: {module}.{each.function}:{each.line} {each.change}")  # noqa: T201
    assert not [s for s in survivors if (module, s.function, s.change) not in EQUIVALENT]
