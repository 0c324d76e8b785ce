"""The same calls in gVisor and in plain containers, under an engine of its own that knows both. Needs `runsc`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from figures import Figure, related
from pool import Load, measured, told

SIZE = 8
LOADS = (
    Load("warm call (1 caller)", callers=1, rounds=40, pause_s=0.6),
    Load("warm call (4 callers)", callers=4, rounds=10, pause_s=2.4),
)
SUSTAINED = Load("sustained, of 4 callers, for each call", callers=4, rounds=8, pause_s=0.0)


def figures() -> list[Figure]:
    """Medians; a plain container's of the same run beside each."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from enginekit import gvisor_engine  # noqa: PLC0415  # its engine is a test's

    found: list[Figure] = []
    with gvisor_engine() as engine:
        os.environ["DOCKER_HOST"] = engine.url
        for load in LOADS:
            times, notes = {}, {}
            for isolation in ("container", "gvisor"):
                taken, stats, _ = measured(load, isolation, SIZE)
                times[isolation] = taken.p50
                notes[isolation] = (
                    f"p99 {taken.p99:.1f} ms; {told('wait', stats.wait)}; {told('service', stats.service)}"
                )
            found += related(load.name, times, "container", notes)
        times, notes = {}, {}
        for isolation in ("container", "gvisor"):
            _, stats, spent = measured(SUSTAINED, isolation, SIZE)
            times[isolation] = spent / (SUSTAINED.callers * SUSTAINED.rounds - SIZE)
            notes[isolation] = (
                f"refill {1000 / times[isolation]:.1f} a second; {told('make', stats.make)}, two at a time"
            )
        found += related(SUSTAINED.name, times, "container", notes)
    os.environ.pop("DOCKER_HOST", None)
    return found
