"""The engine refuses, errs, hangs, half does, forgets, vanishes or lies, at each thing that it is asked for a call.

Whatever it does, the outcome is a failure of ours and never the tool's, nothing is believed that the runner inside did
not sign, a call for which nothing started spends nothing, and once the engine is itself again nothing is left.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import execkit
import pytest
from faultkit import REAL, Between, Fault, Kind, Lie, between, changed
from gatekit import digest_of, kinds, spec_file

from sandbox import Gate
from sandbox.call import Outcome
from sandbox.errors import EnvironmentLacking
from sandbox.execute import container
from sandbox.execute import engine as engines
from sandbox.execute.cold import ColdRunner
from sandbox.execute.engine import Engine
from sandbox.execute.owner import LABEL_PID
from sandbox.execute.podman import connect
from sandbox.execute.pool import PoolRunner

pytestmark = [
    pytest.mark.containers,
    # the engine's client library leaves a socket to the collector on which nobody answered
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

CALLS = {
    "create": r"^POST \S*/containers/create",
    "inspect": r"^GET \S*/containers/\w[\w-]*/json",
    "attach": r"^POST \S*/containers/\w+/attach",
    "start": r"^POST \S*/containers/\w+/start",
    "remove": r"^DELETE \S*/containers/",
}
KINDS: tuple[Kind, ...] = ("refused", "error", "lost", "half", "gone")
BEFORE_ANYTHING_RUNS = {"create", "inspect", "attach"}
NEVER = "print('ran', flush=True)"


@pytest.fixture
def socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Between]:
    """The engine as we reach it, with short patience."""
    monkeypatch.setattr(engines, "REQUEST_TIMEOUT_S", 4)
    monkeypatch.setattr(engines, "CONNECT_TIMEOUT_S", 4)
    monkeypatch.setattr(container, "START_TIMEOUT_S", 4)
    with between(tmp_path) as found:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{found.path}")
        yield found


@pytest.fixture
def runner(socket: Between) -> Iterator[ColdRunner]:
    """A runner that has its connection already: what fails is the call's."""
    with contextlib.closing(ColdRunner()) as cold:
        cold.engine()
        cold.prepare(execkit.contract_of(execkit.python_tool()), execkit.python_tool())
        yield cold


def mine(engine: docker.DockerClient) -> list[docker.models.containers.Container]:
    return engine.containers.list(all=True, filters={"label": f"{LABEL_PID}={os.getpid()}"}, ignore_removed=True)


def nothing_left(runner: ColdRunner, engine: docker.DockerClient) -> None:
    """Once the engine is itself again, the next call, or the end of the runner, removes what was left."""
    direct = Engine(docker.APIClient(base_url=f"unix://{REAL}", version="auto"), "real", REAL)
    try:
        runner._remove_left(direct)
    finally:
        direct.close()
    assert mine(engine) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("call", CALLS)
def test_a_fault_is_ours_and_nothing_is_left(
    call: str, kind: Kind, socket: Between, runner: ColdRunner, engine: docker.DockerClient
) -> None:
    socket.fault = Fault(kind, CALLS[call])
    outcome = execkit.run_program(runner, NEVER)
    assert socket.fault.hits > 0, socket.asked
    assert outcome.status == "sandbox_failure", outcome
    assert outcome.reason_code == "sandbox_failure.engine"
    assert outcome.result is None
    assert outcome.started is (call not in BEFORE_ANYTHING_RUNS)
    if call in BEFORE_ANYTHING_RUNS:
        assert outcome.stdout == ""
    socket.fault = None
    nothing_left(runner, engine)


@pytest.mark.deep
@pytest.mark.parametrize("call", CALLS)
def test_an_engine_that_hangs_is_not_waited_for(
    call: str, socket: Between, runner: ColdRunner, engine: docker.DockerClient
) -> None:
    begun = time.monotonic()
    socket.fault = Fault("slow", CALLS[call], times=1)
    outcome = execkit.run_program(runner, NEVER)
    assert outcome.status == "sandbox_failure", outcome
    assert time.monotonic() - begun < 60
    nothing_left(runner, engine)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kill_that_fails_is_ours_and_the_container_ends_itself(
    kind: Kind, socket: Between, runner: ColdRunner, engine: docker.DockerClient
) -> None:
    socket.fault = Fault(kind, r"^POST \S*/containers/\w+/kill")
    outcome = execkit.run_program(runner, "import time; time.sleep(600)", timeout_ms=300)
    assert socket.fault.hits > 0
    # an engine that says `no` to a kill says that nothing runs; one that does not answer has failed
    assert outcome.status == ("timeout" if kind == "error" else "sandbox_failure"), outcome
    socket.fault = None
    nothing_left(runner, engine)


@pytest.mark.parametrize("kind", KINDS)
def test_a_wait_that_fails_is_ours(
    kind: Kind, socket: Between, runner: ColdRunner, engine: docker.DockerClient
) -> None:
    socket.fault = Fault(kind, r"^POST \S*/containers/\w+/wait")

    def kill() -> None:
        while not (found := [each for each in mine(engine) if each.status == "running"]):
            pass
        with contextlib.suppress(docker.errors.APIError):  # it has ended by itself
            found[0].kill()

    killer = threading.Thread(target=kill)
    killer.start()
    outcome = execkit.run_program(runner, "import time; time.sleep(600)", timeout_ms=60_000)
    killer.join()
    assert outcome.status == "sandbox_failure", outcome
    socket.fault = None
    nothing_left(runner, engine)


def test_what_cannot_be_listed_is_not_reaped_and_calls_run_all_the_same(
    socket: Between, engine: docker.DockerClient
) -> None:
    socket.fault = Fault("error", r"^GET \S*/containers/json")
    with contextlib.closing(ColdRunner()) as runner:
        assert execkit.run_program(runner, "result = 1").result == 1
    assert socket.fault.hits == 1
    assert mine(engine) == []


LIES: dict[str, tuple[str, Lie]] = {
    "it made another container": ("create", changed(Id="0" * 64)),
    "it gave more rights": ("inspect", changed(HostConfig__CapAdd=["NET_ADMIN"])),
    "it gave another user": ("inspect", changed(Config__User="0:0")),
    "it gave another network": ("inspect", changed(HostConfig__NetworkMode="host")),
    "it mounted more": (
        "inspect",
        changed(Mounts=[{"Type": "bind", "Source": "/", "Destination": "/host", "RW": True}]),
    ),
    "it took another image": ("inspect", changed(Image="sha256:" + "0" * 64)),
    "it is of someone else": ("inspect", changed(Config__Labels={})),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_is_not_as_asked_gets_no_call(
    lie: str, socket: Between, runner: ColdRunner, engine: docker.DockerClient
) -> None:
    call, said = LIES[lie]
    socket.fault = Fault("lying", CALLS[call], said)
    outcome = execkit.run_program(runner, NEVER)
    assert (outcome.status, outcome.started, outcome.stdout) == ("sandbox_failure", False, "")
    assert outcome.reason_code in {"sandbox_failure.configuration", "sandbox_failure.engine"}
    socket.fault = None
    nothing_left(runner, engine)


def test_a_start_that_is_only_said_is_noticed(
    socket: Between, runner: ColdRunner, engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine answers `done` and does nothing: no hello comes."""
    monkeypatch.setattr(Engine, "start", lambda _self, _container: None)
    outcome = execkit.run_program(runner, NEVER)
    assert (outcome.status, outcome.reason_code, outcome.stdout) == ("sandbox_failure", "sandbox_failure.start", "")
    nothing_left(runner, engine)


def test_a_false_account_of_the_end_makes_no_result(
    socket: Between, runner: ColdRunner, engine: docker.DockerClient
) -> None:
    """The runner inside dies; the engine says that all went well, and that nothing was out of memory."""
    socket.fault = Fault("lying", CALLS["inspect"], changed(State__ExitCode=0, State__OOMKilled=False))
    program = "import os, signal\nos.write(1, b'x')\nblock = bytearray(10**9)"
    outcome = execkit.run_program(runner, program, memory=64 * 1024 * 1024)
    assert outcome.status in {"out_of_memory", "sandbox_failure", "error"}, outcome
    assert outcome.result is None


def test_a_removal_that_is_only_said_leaves_what_has_ended(
    socket: Between, runner: ColdRunner, engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Engine, "remove", lambda _self, _container: None)
    assert execkit.run_program(runner, "result = 1").status == "ok"
    (left,) = mine(engine)
    assert left.wait(timeout=30)["StatusCode"] in {0, 1}  # by itself; the next start removes it
    left.remove()


def test_a_call_for_which_the_engine_failed_early_spends_nothing(socket: Between, tmp_path: Path) -> None:
    text = (execkit.PROJECT / "specs" / "python.yaml").read_text()
    spec = spec_file(tmp_path / "specs", text, "python.yaml")
    raw = json.dumps({"tool": "run_code", "args": {"code": "result = 1"}})
    with Gate.open(spec, engine="evaluator", proved_digest=digest_of(spec)) as gate:
        assert gate.call(raw).value == 1
        before = state_of(gate)
        socket.fault = Fault("error", CALLS["create"])
        for _ in range(3):
            with pytest.raises(EnvironmentLacking):
                gate.call(raw)
        assert state_of(gate) == before
        socket.fault = Fault("error", r"^GET \S*/images/")
        with pytest.raises(EnvironmentLacking, match="no container engine answers"):
            gate.call(raw)
        assert state_of(gate) == before
        socket.fault = None
        assert gate.call(raw).value == 1
    assert "cancelled" in kinds(tmp_path / "specs")


def state_of(gate: Gate) -> object:
    with gate._store.transaction() as transaction:
        return transaction.load(gate.contract, 0).values


def test_an_engine_that_lies_about_its_groups_is_not_used(socket: Between) -> None:
    socket.fault = Fault("lying", r"^GET \S*/info", changed(CgroupDriver="none"))
    with pytest.raises(EnvironmentLacking, match="no cgroup driver"):
        Engine.connect()


def test_an_engine_that_only_says_that_it_is_podman_is_not_used(socket: Between) -> None:
    socket.fault = Fault("lying", r"^GET \S*/version", changed(Components=[{"Name": "Podman Engine"}]))
    with pytest.raises(EnvironmentLacking, match="says that it is Podman, and does not speak as one"):
        connect()


@pytest.mark.parametrize("kind", ["refused", "error", "half", "gone"])
@pytest.mark.parametrize("pattern", [r"^GET \S*/version", r"^GET \S*/info"], ids=["version", "info"])
def test_an_engine_that_does_not_answer_is_lacking(pattern: str, kind: Kind, socket: Between) -> None:
    socket.fault = Fault(kind, pattern)
    with pytest.raises(EnvironmentLacking, match="no container engine answers"):
        Engine.connect()


@pytest.mark.parametrize("call", ["create", "inspect", "attach", "start"])
def test_a_pool_outlives_an_engine_in_trouble(call: str, socket: Between, engine: docker.DockerClient) -> None:
    tool = execkit.python_tool()
    with PoolRunner(size=1, fillers=1) as pool:
        socket.fault = Fault("error", CALLS[call], times=1)
        first: Outcome = execkit.run_program(pool, "result = 1")
        assert (first.status, first.started) == ("sandbox_failure", False), first
        assert execkit.run_program(pool, "result = 2").result == 2
        assert pool.stats().failed == 1
        pool.warm(execkit.contract_of(tool))
    assert mine(engine) == []
