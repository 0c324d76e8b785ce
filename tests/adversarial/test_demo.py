"""The demo is a test: it exits 0 only if every expectation held, on the real engine."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEIGHT, WIDTH = 40, 110


@pytest.mark.deep
@pytest.mark.containers
def test_every_expectation_of_the_demo_holds_and_each_part_fits_a_screen() -> None:
    command = [sys.executable, "scripts/demo.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    lines = done.stdout.splitlines()
    rules = [number for number, line in enumerate(lines) if line.startswith("-" * WIDTH)]
    assert len(rules) >= 8
    assert all(after - before <= HEIGHT for before, after in itertools.pairwise(rules))
    assert all(len(line) <= WIDTH and line.isascii() for line in lines)


def test_a_machine_without_an_engine_is_told_at_once() -> None:
    command = [sys.executable, "scripts/demo.py"]
    lacking = {"DOCKER_HOST": "unix:///nowhere/docker.sock", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=lacking)
    assert (done.returncode, done.stdout) == (4, "")
    assert "make setup" in done.stderr
