"""What users wait for before anything happens: the import, the set-up."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from figures import Figure, related, timed

ROOT = Path(__file__).resolve().parent.parent
RUNS = 9
IMPORTS = ("import sandbox", "from sandbox import Gate, sandboxed", "from pydantic import BaseModel")
IMPORT = "import time; start = time.perf_counter(); {}; print((time.perf_counter() - start) * 1000)"


def figures() -> list[Figure]:
    """Import times in fresh processes; the set-up with nothing to do, and of a fresh clone with an engine at hand."""
    times = {line: import_time(line) for line in IMPORTS}
    limit = {IMPORTS[0]: "limit 150 ms"}
    return [
        *related("in a fresh process", times, IMPORTS[-1], limit),
        Figure("make setup", "nothing to do", statistics.median(timed(setup) for _ in range(RUNS)), note="limit 1 s"),
        Figure("make setup", "a fresh clone, engine at hand", fresh_clone()),
    ]


def import_time(line: str) -> float:
    """The median over fresh processes, with compiled files at hand as after any installation."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", IMPORT.format(line)]
    taken = [
        float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=ROOT).stdout)
        for _ in range(RUNS + 1)
    ]
    return statistics.median(taken[1:])


def setup(folder: Path = ROOT) -> None:
    subprocess.run([folder / "scripts" / "setup"], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def fresh_clone() -> float:
    """A clone of what is committed, set up from nothing."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder, "clone")
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        return timed(lambda: setup(clone))
