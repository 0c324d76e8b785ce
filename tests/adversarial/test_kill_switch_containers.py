"""The kill switch against real containers: what runs is dead soon after, whoever runs it and however stuck that is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from gatekit import spec_file

from sandbox import Gate, ToolError
from sandbox.errors import Denied
from sandbox.execute.owner import LABEL_PID
from sandbox.execute.pool import PoolRunner

pytestmark = pytest.mark.containers

ROOT = Path(__file__).resolve().parents[2]
SPEC = """\
sandbox: 1
name: programs
tools:
  run_code:
    args: {code: {type: text}}
    rules: [{id: any, allow: true}]
    run: {tool: tools.python:run_code, timeout: 5m EXTRA}
"""
SLEEPY = {"tool": "run_code", "args": {"code": "print('begun', flush=True)\nimport time\ntime.sleep(600)"}}
BOUND_S = 10.0
"""A quarter of a second as a rule, and a kill; on a machine where eight test suites run, not that."""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    (tmp_path / "shared").mkdir()
    return spec_file(tmp_path / "specs", SPEC.replace("EXTRA", ""), "programs.yaml")


def stop(spec: Path) -> tuple[int, dict[str, object], float]:
    """The command, as a person at another terminal runs it."""
    begun = time.monotonic()
    words = ["stop", "--state", f"sqlite:///{spec.parent}/.sandbox/state.db", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout), time.monotonic() - begun


def started(engine: docker.DockerClient, pid: int, count: int = 1) -> Iterator[str]:
    """Waits until so many containers of this process have begun their program."""
    while True:
        found = engine.containers.list(filters={"label": f"{LABEL_PID}={pid}"}, ignore_removed=True)
        if len(found) >= count:
            return iter([each.id for each in found])


def calling(gate: Gate, ended: list[object]) -> threading.Thread:
    def call() -> None:
        try:
            ended.append(gate.call(SLEEPY))
        except ToolError as error:
            ended.append(error.outcome)

    thread = threading.Thread(target=call)
    thread.start()
    return thread


def running(spec: Path) -> int:
    """Calls that have a permit in use."""
    from sandbox.state import Store

    store = Store.open(None, str(spec))
    try:
        return len([each for each in store.running() if each.status == "running"])
    finally:
        store.close()


def test_a_cold_call_is_killed_and_recorded(spec: Path, engine: docker.DockerClient) -> None:
    ended: list[object] = []
    with Gate.open(spec) as gate:
        thread = calling(gate, ended)
        list(started(engine, os.getpid()))
        code, said, took = stop(spec)
        thread.join(BOUND_S)
        assert not thread.is_alive()
        assert took < BOUND_S
        assert (code, said["running"], said["left"]) == (0, 1, [])
        assert (ended[0].status, ended[0].reason_code) == ("killed", "sandbox_failure.stopped")
        assert (
            engine.containers.list(all=True, filters={"label": f"{LABEL_PID}={os.getpid()}"}, ignore_removed=True) == []
        )
        with pytest.raises(Denied):
            gate.call(SLEEPY)


def test_a_pool_is_emptied_and_its_calls_are_killed(spec: Path, engine: docker.DockerClient) -> None:
    ended: list[object] = []
    with PoolRunner(size=2) as pool, Gate.open(spec, runner=pool) as gate:
        pool.warm(gate.contract)
        thread = calling(gate, ended)
        while running(spec) == 0 or pool.stats().running == 0:
            pass
        code, said, _ = stop(spec)
        thread.join(BOUND_S)
        assert (code, said["running"], said["left"]) == (0, 1, [])
        assert (ended[0].status, ended[0].reason_code) == ("killed", "sandbox_failure.stopped")
        deadline = time.monotonic() + BOUND_S
        while engine.containers.list(all=True, filters={"label": f"{LABEL_PID}={os.getpid()}"}, ignore_removed=True):
            assert time.monotonic() < deadline, "the pool was not emptied"
        stats = pool.stats()
        assert (stats.waiting, stats.running) == (0, 0)


GATE = """
import sys
from sandbox import Gate
gate = Gate.open(sys.argv[1])
gate.call({call!r})
"""


def test_a_gate_that_is_stuck_loses_its_container_all_the_same(spec: Path, engine: docker.DockerClient) -> None:
    victim = subprocess.Popen(
        [sys.executable, "-c", GATE.format(call=SLEEPY), str(spec)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )
    try:
        (container,) = started(engine, victim.pid)
        while running(spec) == 0:
            pass
        victim.send_signal(signal.SIGSTOP)
        code, said, _ = stop(spec)
        assert (code, said["running"], said["killed_by_force"]) == (1, 1, 1)
        assert engine.containers.get(container).wait(timeout=BOUND_S)["StatusCode"] == 137
        assert [each["owner_pid"] for each in said["left"]] == [victim.pid]  # it has not settled yet
        victim.send_signal(signal.SIGCONT)
        assert victim.wait(BOUND_S * 3) != 0  # now it does
        assert running(spec) == 0
        assert (
            engine.containers.list(all=True, filters={"label": f"{LABEL_PID}={victim.pid}"}, ignore_removed=True) == []
        )
    finally:
        victim.kill()
        victim.wait()


def test_calls_that_wait_for_a_workspace_never_start(tmp_path: Path, engine: docker.DockerClient) -> None:
    extra = ", workspace: {source: ../shared, mode: rw}"
    (tmp_path / "shared").mkdir()
    spec = spec_file(tmp_path / "specs", SPEC.replace("EXTRA", extra), "programs.yaml")
    ended: list[object] = []
    with Gate.open(spec) as gate:
        threads = [calling(gate, ended) for _ in range(3)]
        list(started(engine, os.getpid()))
        while running(spec) < 3:
            pass
        code, said, _ = stop(spec)
        for thread in threads:
            thread.join(BOUND_S)
        assert (code, said["running"]) == (0, 3)
    assert {each.reason_code for each in ended} == {"sandbox_failure.stopped"}
    assert sorted(each.started for each in ended) == [False, False, True]
    assert list((tmp_path / "shared").iterdir()) == []
