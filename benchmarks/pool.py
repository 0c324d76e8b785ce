"""A warm call beside a cold one and a bare container; how long callers wait, how fast a pool is filled, and why."""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import docker
from containers import FLAGS, RAW, SPEC, run_bare
from figures import Figure, related, timed

from sandbox import Gate
from sandbox.execute.config import Isolation
from sandbox.execute.engine import Engine
from sandbox.execute.image import default_tag
from sandbox.execute.meter import PoolStats, Spread, spread
from sandbox.execute.pool import PoolRunner

SIZE = 16  # so that sixteen callers at once find one each
COLD_RUNS = 7
DURABLE = 3  # reserved, intended, on record
WRITTEN = f"{DURABLE} lines on disk, each before the next"
BARE = "bare: create, start, wait, remove"
SLEEP = ["/usr/bin/python3", *FLAGS, "-c", "import sys; sys.stdin.read()"]
PRINT = ["/usr/bin/python3", *FLAGS, "-c", "print(17)"]


@dataclass(frozen=True)
class Load:
    """So many callers at once, so many times, with a pause behind each."""

    name: str
    callers: int
    rounds: int
    pause_s: float


LOADS = (  # 3 to 4 calls a second, below the rate at which containers are made, as agents call
    Load("warm call (1 caller)", callers=1, rounds=120, pause_s=0.3),
    Load("warm call (4 callers)", callers=4, rounds=30, pause_s=1.2),
    Load("warm call (16 callers)", callers=16, rounds=8, pause_s=4.8),
)
SUSTAINED = Load("sustained, of 4 callers, for each call", callers=4, rounds=15, pause_s=0.0)


def figures() -> list[Figure]:
    """Medians of calls through the whole gate, on record, and of their parts; percentiles in the notes."""
    times, notes = beside(), {}
    on_disk = written()
    times[WRITTEN], notes[WRITTEN] = (
        on_disk.p50,
        f"p99 {on_disk.p99:.1f} ms; what a call waits for, one after the other",
    )
    for load in LOADS:
        taken, stats, _ = measured(load)
        parts = {
            "": taken,
            "  waiting for a container": stats.wait,
            "  from having it to the outcome": stats.service,
        }
        times |= {f"{load.name}{part}": spent.p50 for part, spent in parts.items()}
        notes |= {f"{load.name}{part}": f"p95 {spent.p95:.1f}, p99 {spent.p99:.1f} ms" for part, spent in parts.items()}
        rest = f"{load.name}  judged, spent and on record"
        times[rest] = taken.p50 - stats.service.p50 - stats.wait.p50
        notes[rest] = "what is left of the medians"
    with steps() as taken_by, processors() as busy:
        _, stats, spent = measured(SUSTAINED)
    each = spent / (SUSTAINED.callers * SUSTAINED.rounds - SIZE)  # the first ones were there already
    times[SUSTAINED.name] = each
    notes[SUSTAINED.name] = f"refill {1000 / each:.1f} a second; {told('wait', stats.wait)}"
    times["what limits it: making and removing one"] = sum(map(statistics.median, taken_by.values()))
    said = ", ".join(f"{name} {statistics.median(spent):.0f}" for name, spent in taken_by.items())
    notes["what limits it: making and removing one"] = f"the engine's {said} ms; all processors {busy():.0%} busy"
    times["making one ready"] = stats.make.p50
    notes["making one ready"] = f"{told('make', stats.make)}; two at a time"
    return related("one container, started before its call", times, BARE, notes)


def beside() -> dict[str, float]:
    """What a warm call is compared with, taken in turns."""
    client = docker.from_env()
    bare: list[float] = []
    cold: list[float] = []
    running: list[float] = []
    host = client.containers.run(default_tag(), SLEEP, detach=True, network_mode="none", stdin_open=True)
    with tempfile.TemporaryDirectory() as folder, Gate.open(SPEC, state=f"sqlite:///{folder}/state.db") as gate:
        gate.call(RAW)
        run_bare(client)
        for _ in range(COLD_RUNS):
            bare.append(timed(lambda: run_bare(client)))
            cold.append(timed(lambda: gate.call(RAW)))
            running.append(timed(lambda: host.exec_run(PRINT)))
    by_hand = {
        f"by its command: {name}": statistics.median([timed(run) for _ in range(COLD_RUNS)])
        for name, run in commands(str(host.id)).items()
    }
    host.remove(force=True)
    client.close()
    return {
        BARE: statistics.median(bare),
        "exec in a container that runs already": statistics.median(running),
        **by_hand,
        "cold, hardened, through the gate": statistics.median(cold),
    }


def written() -> Spread:
    """Milliseconds of as many lines as a call has to have on disk, on the disk where its state lies."""
    with tempfile.TemporaryDirectory() as folder, Path(folder, "lines").open("ab", buffering=0) as file:

        def write() -> None:
            for _ in range(DURABLE):
                file.write(b"x" * 1500)
                os.fsync(file.fileno())

        taken = []
        for _ in range(LOADS[0].rounds):
            taken.append(timed(write))
            time.sleep(LOADS[0].pause_s / 3)
        return spread(taken)


def commands(container: str) -> dict[str, Callable[[], object]]:
    """What people do by hand, where the command is there."""
    docker_command = shutil.which("docker")
    if docker_command is None:
        return {}
    words = {
        "docker exec": [docker_command, "exec", container, *PRINT],
        "docker run --rm": [docker_command, "run", "--rm", "--network", "none", default_tag(), *PRINT],
    }

    def runs(asked: list[str]) -> Callable[[], object]:
        return lambda: subprocess.run(asked, check=True, capture_output=True)

    return {name: runs(asked) for name, asked in words.items()}


STEPS: Final = ("create", "inspect", "attach", "start", "remove")


@contextlib.contextmanager
def steps() -> Iterator[dict[str, list[float]]]:
    """Milliseconds of every request to the engine that a container costs, by its kind."""
    taken: dict[str, list[float]] = defaultdict(list)
    before = {name: getattr(Engine, name) for name in STEPS}

    def counted(name: str) -> Callable[..., object]:
        def request(*args: object) -> object:
            started = time.perf_counter()
            try:
                return before[name](*args)
            finally:
                taken[name].append((time.perf_counter() - started) * 1000)

        return request

    try:
        for name in STEPS:
            setattr(Engine, name, counted(name))
        yield taken
    finally:
        for name, method in before.items():
            setattr(Engine, name, method)


@contextlib.contextmanager
def processors() -> Iterator[Callable[[], float]]:
    """Which share of all processors was busy, with whatever, until it is asked."""
    before = ticks()

    def share() -> float:
        idle, total = (now - then for now, then in zip(ticks(), before, strict=True))
        return 1 - idle / max(total, 1)

    yield share


def ticks() -> tuple[int, int]:
    """Idle and all time of this machine's processors, in the kernel's ticks."""
    _, *spent = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()
    counted = list(map(int, spent[:8]))
    return counted[3] + counted[4], sum(counted)


def measured(load: Load, isolation: Isolation = "container", size: int = SIZE) -> tuple[Spread, PoolStats, float]:
    """The times of this load's calls, the pool's own account of them, and how long all of it took."""
    with (
        tempfile.TemporaryDirectory() as folder,
        PoolRunner(size=size, isolation=isolation) as pool,
        Gate.open(SPEC, state=f"sqlite:///{folder}/state.db", runner=pool) as gate,
        ThreadPoolExecutor(load.callers) as callers,
    ):
        pool.warm(gate.contract)
        gate.decide(RAW)
        taken: list[float] = []
        started = time.perf_counter()
        for _ in range(load.rounds):
            taken += callers.map(lambda _: timed(lambda: gate.call(RAW)), range(load.callers))
            time.sleep(load.pause_s)
        return spread(taken), pool.stats(), (time.perf_counter() - started) * 1000


def told(what: str, times: Spread) -> str:
    """A line about times."""
    return f"{what} {times.p50:.1f}/{times.p95:.1f}/{times.p99:.1f} ms"
