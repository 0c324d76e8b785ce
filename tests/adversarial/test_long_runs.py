"""B14, B16: what only shows over time: many calls in a row, and hosts killed at any moment; thousands in `make deep`.

Nothing is left, nothing grows, no allowance is lost or given twice.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import docker
import execkit
import pytest
from gatekit import kinds, spec_file

from sandbox import Gate
from sandbox.audit import verify
from sandbox.execute.engine import Engine
from sandbox.execute.owner import LABEL_PID, Owner
from sandbox.execute.pool import PoolRunner
from sandbox.execute.reap import reap
from sandbox.receipts import check_receipts

pytestmark = [pytest.mark.containers, pytest.mark.no_cover]

SPEC = """\
sandbox: 1
name: counted
state: {calls: {type: int, initial: 0}}
tools:
  run_code:
    args: {code: {type: text}}
    rules: [{id: any, allow: "state.calls < 100000"}]
    then: {calls: state.calls + 1}
    run: {tool: tools.python:run_code, timeout: 60s}
"""
GROWTH = 24 * 1024 * 1024
"""Bytes by which the process may be larger after thousands of calls: arenas of the allocator, no trend."""


def memory() -> int:
    """Bytes that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def held() -> tuple[int, int, int]:
    """Descriptors, threads and children of this process."""
    children = [each for task in Path("/proc/self/task").iterdir() for each in (task / "children").read_text().split()]
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count(), len(children)


def ours(engine: docker.DockerClient, pid: int) -> list[str]:
    found = engine.containers.list(all=True, filters={"label": f"{LABEL_PID}={pid}"}, ignore_removed=True)
    return [container.name for container in found]


def call_often(folder: Path, engine: docker.DockerClient, calls: int, settled: int) -> None:
    """So many calls in a row through one gate and one pool; nothing grows after the first `settled`."""
    spec = spec_file(folder, SPEC, "counted.yaml")
    raw = json.dumps({"tool": "run_code", "args": {"code": "result = 1"}})
    assert ours(engine, os.getpid()) == []  # and this test's own connection is open
    Owner.claiming()  # held for as long as the process lives
    before = held()
    with PoolRunner(size=4) as pool, Gate.open(spec, runner=pool) as gate:
        grown: list[int] = []
        for number in range(calls):
            assert gate.call(raw).value == 1
            if number in {settled, calls - 1}:
                grown.append(memory())
        stats = pool.stats()
        assert (stats.died, stats.failed, stats.exhausted, stats.cold) == (0, 0, 0, 0)
        assert stats.made <= calls + 4 + 2
    assert grown[1] - grown[0] < GROWTH, grown
    assert ours(engine, os.getpid()) == []
    assert held() == before
    record = folder / ".sandbox" / "state.audit.jsonl"
    assert verify(record).records == 2 * calls
    assert check_receipts(record).receipts == calls


def test_calls_in_a_row_leave_nothing_and_do_not_grow(tmp_path: Path, engine: docker.DockerClient) -> None:
    call_often(tmp_path, engine, calls=40, settled=10)


@pytest.mark.deep
def test_two_thousand_calls_in_a_row_leave_nothing_and_do_not_grow(tmp_path: Path, engine: docker.DockerClient) -> None:
    call_often(tmp_path, engine, calls=2_000, settled=500)


# --- killed at any moment

VICTIM = """
import sys
from sandbox import Gate
gate = Gate.open(sys.argv[1])
if sys.argv[2] == "late":  # its first call, which waits for all that is started, is over by then
    gate.call({"tool": "run_code", "args": {"code": "result = 1"}})
print("open", flush=True)
while True:
    gate.call({"tool": "run_code", "args": {"code": "result = 1"}})
"""


def killed_at_random(folder: Path, engine: docker.DockerClient, kills: int) -> None:
    """So many processes in a row, each killed somewhere in its calls; the next one always begins where they ended."""
    spec = spec_file(folder, SPEC, "counted.yaml")
    record = folder / ".sandbox" / "state.audit.jsonl"
    moments = random.Random(kills)  # noqa: S311  # the same ones every time
    connected = Engine.connect()
    try:
        for number in range(kills):
            victim = subprocess.Popen(
                [sys.executable, "-c", VICTIM, str(spec), "late" if number % 2 else "early"],
                env={**os.environ, "PYTHONPATH": str(execkit.PROJECT)},
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            with victim:
                assert victim.stdout is not None
                assert victim.stdout.readline() == b"open\n"
                threading.Event().wait(moments.uniform(0, 1.5))  # a call takes a third of a second
                victim.send_signal(signal.SIGKILL)
            balanced(spec, record)
            gone(engine, connected, victim.pid)
    finally:
        connected.close()
    assert check_receipts(record).interrupted > 0


def balanced(spec: Path, record: Path) -> None:
    """After the next start: the chain verifies, and every permit was counted once, whatever became of it."""
    with Gate.open(spec) as gate, gate._store.transaction() as transaction:
        counted = transaction.load(gate.contract, 0).values["calls"]
        assert transaction.unfinished() == ()
    verify(record)
    assert check_receipts(record).unfinished == 0
    given_back = [
        json.loads(line)["body"]["restored"] for line in record.read_text().splitlines() if '"cancelled"' in line
    ]
    reserved = kinds(spec.parent).count("intent") + before_its_intent(record)
    assert counted == reserved - sum(given_back)


def before_its_intent(record: Path) -> int:
    """Calls that were interrupted between their reservation and their intent: they have the budget and no intent."""
    bodies = [json.loads(line) for line in record.read_text().splitlines()]
    intended = {each["body"]["nonce"] for each in bodies if each["kind"] == "intent"}
    lost = {each["body"]["nonce"] for each in bodies if each["kind"] == "interrupted"}
    return len(lost - intended)


def gone(engine: docker.DockerClient, connected: Engine, pid: int) -> None:
    """Whoever starts next reaps; what another reaper is at takes it a moment."""
    deadline = time.monotonic() + 60
    while ours(engine, pid):
        reap(connected)
        assert time.monotonic() < deadline, "a container of a dead process stays"
    views = [line for line in Path("/proc/mounts").read_text().splitlines() if f"/views/{pid}." in line]
    assert views == []


def test_a_host_that_is_killed_at_any_moment_loses_and_doubles_nothing(
    tmp_path: Path, engine: docker.DockerClient
) -> None:
    killed_at_random(tmp_path, engine, kills=20)


@pytest.mark.deep
def test_three_hundred_hosts_that_are_killed_lose_and_double_nothing(
    tmp_path: Path, engine: docker.DockerClient
) -> None:
    killed_at_random(tmp_path, engine, kills=300)
