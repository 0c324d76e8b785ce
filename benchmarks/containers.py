"""A cold, hardened call through the whole gate, beside a bare `docker run` of the same image."""

from __future__ import annotations

import json
import statistics
import tempfile
from pathlib import Path

import docker
from figures import Figure, related, timed

from sandbox import Gate
from sandbox.execute.image import default_tag

SPEC = Path(__file__).with_name("transfer.yaml")
RAW = json.dumps({"tool": "answer", "args": {"question": "how long is this"}}).encode()
FLAGS = ("-I", "-S", "-B")  # as the hardened container starts it
RUNS = 11


def figures() -> list[Figure]:
    """Medians, taken in turns so that a busy moment touches both."""
    client = docker.from_env()
    with tempfile.TemporaryDirectory() as folder, Gate.open(SPEC, state=f"sqlite:///{folder}/state.db") as gate:
        bare: list[float] = []
        hardened: list[float] = []
        gate.call(RAW)
        run_bare(client)
        for _ in range(RUNS):
            bare.append(timed(lambda: run_bare(client)))
            hardened.append(timed(lambda: gate.call(RAW)))
    client.close()
    times = {
        "bare: create, start, wait, remove": statistics.median(bare),
        "hardened, through the gate, recorded": statistics.median(hardened),
    }
    return related("one container", times, "bare: create, start, wait, remove")


def run_bare(client: docker.DockerClient) -> None:
    """What `docker run --rm --network none` does, with the least program that Python can run."""
    container = client.containers.create(
        default_tag(), ["/usr/bin/python3", *FLAGS, "-c", "print(17)"], network_mode="none"
    )
    try:
        container.start()
        container.wait()
        container.logs()
    finally:
        container.remove(force=True)
