"""Shows that the prover finds each mistake in `proofs/mistakes/`: a refuted property, its counterexample replayed.

Exits 1 where a mistake goes unnoticed, for then the proofs of the right specs would mean little.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MISTAKES = Path("proofs", "mistakes")


def main() -> int:
    """Proves every mistake and counts those that are refuted."""
    missed = [
        path.name for path in sorted((ROOT / MISTAKES).glob("*.yaml")) if proves_something(path) and not found(path)
    ]
    for name in missed:
        print(f"refute: nobody noticed the mistake in {MISTAKES / name}", file=sys.stderr)
    return 1 if missed else 0


def proves_something(path: Path) -> bool:
    """Whether the file is a property file, not the wrong spec beside it."""
    return any(line.startswith("proves:") for line in path.read_text().splitlines())


def found(path: Path) -> bool:
    """Whether a property of this file is refuted by calls that were replayed through the gate."""
    command = [sys.executable, "-m", "sandbox", "prove", str(path), "--no-cache", "--no-mend", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if not done.stdout.lstrip().startswith("{"):
        print(f"refute: {path.name}: {done.stderr.strip()}", file=sys.stderr)
        return False
    properties = json.loads(done.stdout).get("properties", [])
    refuted = [
        each["id"]
        for each in properties
        if each["verdict"] == "refuted" and (each.get("counterexample") or {}).get("replayed") is True
    ]
    if refuted:
        print(f"refute: {path.name}: refuted as it should be: {', '.join(refuted)}")
    return bool(refuted)


if __name__ == "__main__":
    sys.exit(main())
