"""The time of each property's proof, as `sandbox prove` tells it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from figures import Figure

ROOT = Path(__file__).resolve().parent.parent


def figures() -> list[Figure]:
    """One figure a property, from nothing: the ledger saves no work."""
    command = [sys.executable, "-m", "sandbox", "prove", "proofs", "--no-cache", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    return [
        Figure("prove", f"{Path(each['spec']).stem}: {each['id']}", each["duration_ms"], note=each["verdict"])
        for each in report["properties"]
    ]
