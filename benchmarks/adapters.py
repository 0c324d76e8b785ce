"""Adapters: what a call costs through each, over the framework's own call of a plain tool.

Each framework runs in its own environment, with the scripted model of its tests: an agent's run with one call.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

from figures import Figure, amount, related

ROOT = Path(__file__).resolve().parent.parent
PINS = ROOT / "tests" / "adapters" / "pins"
PLAIN = "a plain tool of the framework's"


def figures() -> list[Figure]:
    """Runs with one call each: of a plain tool, of the same tool behind the gate, and of one that is denied."""
    return [each for path in sorted(PINS.glob("*.txt")) for each in _of(path.stem)]


def _of(name: str) -> list[Figure]:
    made = [sys.executable, str(ROOT / "scripts" / "adapter_env.py"), name]
    python = subprocess.run(made, check=True, capture_output=True, text=True).stdout.strip()
    program = [python, str(Path(__file__).with_name("adapter_runs.py")), name]
    done = subprocess.run(program, check=True, capture_output=True, text=True)
    times: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    notes = {each: f"p99 {amount(statistics.quantiles(spent, n=100)[98])}" for each, spent in times.items()}
    medians = {each: statistics.median(spent) for each, spent in times.items()}
    return related(f"adapter {name}: a run with one call", medians, PLAIN, notes)
