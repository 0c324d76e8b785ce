"""B1, B8, B14, B16, B17: what is different, and what must not be, where a container was started before its call."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import containment_probes as probes
import docker
import execkit
import pytest

from sandbox.execute.engine import Engine
from sandbox.execute.owner import LABEL_PID, LABEL_PROJECT
from sandbox.execute.pool import PoolRunner
from sandbox.execute.reap import reap
from sandbox.gate import Gate
from sandbox.ir import Workspace

pytestmark = pytest.mark.containers

VICTIM = """
import signal, sys
sys.path[:0] = {path!r}
import execkit
from sandbox.execute.pool import PoolRunner
tool = execkit.python_tool()
PoolRunner(size=2).warm(execkit.contract_of(tool))
print("warm", flush=True)
signal.pause()
"""


@pytest.fixture
def pool() -> Iterator[PoolRunner]:
    with PoolRunner(size=2) as runner:
        yield runner


def warmed(pool: PoolRunner, **run: object) -> PoolRunner:
    """The pool, full for this program."""
    pool.warm(execkit.contract_of(execkit.python_tool(**run)))
    return pool


def test_what_a_call_leaves_no_later_call_sees(pool: PoolRunner) -> None:
    leave = "import os; open('/tmp/left', 'w').write('x'); os.environ['LEFT'] = 'x'"
    look = "import os; result = [os.listdir('/tmp'), 'LEFT' in os.environ]"
    warmed(pool)
    for _ in range(3):
        assert execkit.run_program(pool, leave).status == "ok"
    outcomes = [execkit.run_program(pool, look) for _ in range(3)]
    assert [outcome.result for outcome in outcomes] == [[[], False]] * 3
    assert pool.stats().made >= 6


def test_calls_at_once_never_get_each_other_s_result(pool: PoolRunner) -> None:
    warmed(pool)
    with ThreadPoolExecutor(4) as callers:
        outcomes = list(callers.map(lambda n: execkit.run_program(pool, f"print({n}); result = {n}"), range(8)))
    assert [(outcome.result, outcome.stdout) for outcome in outcomes] == [(n, f"{n}\n") for n in range(8)]


def test_forged_frames_are_only_output_and_the_runner_is_out_of_reach(pool: PoolRunner) -> None:
    warmed(pool)
    outcome = execkit.run_program(pool, probes.FORGERY)
    assert outcome.status != "sandbox_failure"
    assert outcome.result in {"honest", None}
    seen = execkit.run_program(pool, probes.INSIDE).result
    assert {seen["mem"], seen["maps"], seen["environ"], seen["fds"]} <= {"PermissionError", "OSError"}
    assert seen["stdin"] == "b''"
    assert set(seen["own descriptors"]) & set(range(3, 12)) <= {3}  # the listing's own
    assert (seen["interfaces"], set(seen["written"].values()) & {"'written'"}) == (["lo"], set())


def test_the_deadline_ends_a_warm_call_and_all_that_it_started(pool: PoolRunner) -> None:
    outcome = execkit.run_program(warmed(pool, timeout_ms=500), probes.STUBBORN, timeout_ms=500)
    assert (outcome.status, set(outcome.stdout.split())) == ("timeout", {"begun"})


def test_want_of_memory_is_told_without_asking_the_engine(pool: PoolRunner) -> None:
    program = "x = bytearray(10**9)"
    child = "import os\nif os.fork() == 0:\n    x = b'x' * 10**9\nos.wait()\nresult = 1"
    for code in (program, child):
        outcome = execkit.run_program(warmed(pool), code)
        assert (outcome.status, outcome.reason_code) == ("out_of_memory", "limit.memory"), code


def test_a_container_that_somebody_killed_is_replaced(pool: PoolRunner, engine: docker.DockerClient) -> None:
    warmed(pool)
    waiting = engine.containers.list(
        filters={"label": [f"{LABEL_PROJECT}=pool", f"{LABEL_PID}={os.getpid()}"]}, ignore_removed=True
    )
    assert len(waiting) == 2
    for container in waiting:
        container.kill()
        container.wait()
    assert execkit.run_program(pool, "result = 1").result == 1
    assert pool.stats().died >= 1


def test_a_workspace_is_a_transaction_beside_the_pool(pool: PoolRunner, tmp_path: Path) -> None:
    warmed(pool)
    code = "open('note', 'w').write('kept'); result = 1"
    outcome = execkit.run_program(pool, code, workspace=Workspace(str(tmp_path), "rw"))
    assert (outcome.status, (tmp_path / "note").read_text()) == ("ok", "kept")
    assert pool.stats().cold == 1


def test_the_gate_runs_through_a_pool(pool: PoolRunner, tmp_path: Path) -> None:
    raw = json.dumps({"tool": "run_code", "args": {"code": "result = 6 * 7"}})
    with Gate.open(execkit.SPEC, state=f"sqlite:///{tmp_path}/state.db", runner=pool) as gate:
        pool.warm(gate.contract)
        result = gate.call(raw)
    assert (result.value, result.receipt.isolation) == (42, "container")
    assert pool.stats().service.count == 1


def test_a_pool_whose_process_is_killed_leaves_nothing(engine: docker.DockerClient) -> None:
    path = [str(execkit.PROJECT), str(execkit.PROJECT / "tests")]
    victim = subprocess.Popen([sys.executable, "-c", VICTIM.format(path=path)], stdout=subprocess.PIPE)
    assert victim.stdout.readline() == b"warm\n"
    mine = {"label": f"{LABEL_PID}={victim.pid}"}
    waiting = engine.containers.list(filters=mine, ignore_removed=True)
    assert len(waiting) == 2
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    for container in waiting:
        with contextlib.suppress(docker.errors.NotFound):  # whoever starts next reaps: it need not be this test
            assert container.wait(timeout=30)["StatusCode"] != 0  # by themselves, at once: nobody asked them to
    with contextlib.closing(Engine.connect()) as connected:
        reap(connected)
    for container in waiting:
        with contextlib.suppress(docker.errors.NotFound):
            container.wait(condition="removed", timeout=30)
    assert engine.containers.list(all=True, filters=mine, ignore_removed=True) == []


def test_a_program_that_ends_without_closing_its_pool_leaves_nothing(engine: docker.DockerClient) -> None:
    path = [str(execkit.PROJECT), str(execkit.PROJECT / "tests")]
    program = VICTIM.format(path=path).replace("signal.pause()", "")
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", program], stdout=pipe, stderr=pipe) as ending:
        assert ending.communicate(timeout=60) == (b"warm\n", b"")
    assert ending.returncode == 0
    assert engine.containers.list(all=True, filters={"label": f"{LABEL_PID}={ending.pid}"}, ignore_removed=True) == []
