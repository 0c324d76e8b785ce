"""Runs the suite on mutants, one after another, in forks of one process that has loaded what no mutant changes.

    python noticed.py MODULE FOLDER < mutants

`FOLDER` holds a copy of the package and of the tests, and comes first on the path; so `sandbox` may not be loaded here.
Each line of the input is `{"source": ..., "suite": [...]}` in JSON, each line of the output whether the suite failed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import hypothesis
import pytest
import z3

LOADED = (hypothesis, z3)
OPTIONS = ["-q", "-x", "--no-header", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
SECONDS = 300  # a mutant that takes longer does not end, and is noticed


def suite_fails(module: Path, source: str, suite: list[str]) -> bool:
    """Whether a run of the suite in a process of its own does not pass: its first file alone, then the others."""
    original = module.read_text() == source
    module.write_text(source)
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)
        sys.dont_write_bytecode = not original  # of the mutated module there must be none, of the others there is
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os._exit(any(pytest.main([*OPTIONS, *files]) for files in (suite[:1], suite[1:])))
    failed = os.waitpid(child, 0)[1] != 0
    for compiled in module.parent.glob(f"__pycache__/{module.stem}.*"):
        compiled.unlink()
    return failed


def main() -> None:
    """Answers every line."""
    name, folder = sys.argv[1:]
    module = Path(folder) / "sandbox" / f"{name}.py"
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(suite_fails(module, asked["source"], asked["suite"])), flush=True)  # noqa: T201  # the answer


if __name__ == "__main__":
    main()
