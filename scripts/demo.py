"""The whole promise on real input: proofs, refuted mistakes, a hostile agent in real containers, and the balance.

Everything is computed as you watch; nothing is recorded but the agent's outputs and what is expected of each.
Exits 0 only if every expectation held, else 1 with those that did not; 2 to 5 as the `sandbox` command does.
"""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from demo_agent import Stage, show_agent
from demo_balance import Witness, show_balance
from demo_proofs import show_mistakes, show_proofs
from demo_recording import ROOT, read_recording

from sandbox.errors import SandboxError
from sandbox.execute.podman import connect


def main() -> int:
    """Prints every part; the exit code."""
    begun = time.monotonic()
    try:
        unmet = perform()
    except SandboxError as error:
        print(f"demo: {error}", file=sys.stderr)
        return error.exit_code
    seconds = f"{time.monotonic() - begun:.0f} s"
    if not unmet:
        print(f"\nEvery expectation held ({seconds}).")
        return 0
    print(f"\n{len(unmet)} expectation(s) did not hold ({seconds}):", *unmet, sep="\n  ")
    return 1


def perform() -> list[str]:
    """The parts in order; every expectation that did not hold."""
    connect().close()  # without one nothing could run: say so at once
    unmet = show_proofs(ROOT / "proofs")
    unmet += show_mistakes(ROOT / "proofs" / "mistakes")
    recording = read_recording()
    with tempfile.TemporaryDirectory(prefix="sandbox-demo-") as folder, closing(Witness()) as witness:
        with Stage(Path(folder)) as stage:
            seen, differences = show_agent(stage, recording)
        unmet += differences
        unmet += show_balance(stage, recording, seen, witness)
    return unmet


if __name__ == "__main__":
    sys.exit(main())
