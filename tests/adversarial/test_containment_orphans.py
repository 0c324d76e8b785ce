"""B16, B17: the host's process dies, is interrupted, or its engine misbehaves; nothing stays, nobody else's goes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import docker
import execkit
import pytest

from sandbox.errors import SandboxFailure
from sandbox.execute.cold import ColdRunner
from sandbox.execute.engine import Attachment, Ended, Engine, new_name
from sandbox.execute.owner import LABEL_PID, LABEL_PROJECT, Owner, owner_of
from sandbox.execute.reap import reap
from sandbox.ir import Json, Workspace

pytestmark = pytest.mark.containers

VICTIM = """
import sys
sys.path[:0] = {path!r}
import execkit
from sandbox.execute.cold import ColdRunner
from sandbox.ir import Workspace
code = "open('half', 'w').write('x')\\nprint('begun', flush=True)\\nimport time\\ntime.sleep(600)"
execkit.run_program(ColdRunner(), code, workspace=Workspace({folder!r}, "rw"), timeout_ms=600_000)
"""


@pytest.fixture
def connected() -> Iterator[Engine]:
    with contextlib.closing(Engine.connect()) as engine:
        yield engine


def containers_of(engine: docker.DockerClient, pid: int) -> list[docker.models.containers.Container]:
    return engine.containers.list(all=True, filters={"label": f"{LABEL_PID}={pid}"}, ignore_removed=True)


def test_after_a_sigkill_the_container_ends_itself_and_is_reaped(
    engine: docker.DockerClient, connected: Engine, tmp_path: Path
) -> None:
    program = VICTIM.format(path=[str(execkit.PROJECT), str(execkit.PROJECT / "tests")], folder=str(tmp_path))
    begun = int(time.time())  # the engine tells what happened since, also where this process was late to ask
    victim = subprocess.Popen([sys.executable, "-c", program])
    wanted = {"event": "start", "label": f"{LABEL_PID}={victim.pid}"}
    with contextlib.suppress(docker.errors.NotFound):
        for event in engine.events(since=begun, decode=True, filters=wanted):
            container = engine.containers.get(event["id"])
            break
    assert any(line.startswith(b"half") for line in _until_written(victim.pid))
    victim.send_signal(signal.SIGKILL)
    victim.wait()

    with contextlib.suppress(docker.errors.NotFound):  # whoever starts next reaps: it need not be this test
        assert container.wait(timeout=30)["StatusCode"] != 0  # by itself: nobody asked it to
    reap(connected)
    with contextlib.suppress(docker.errors.NotFound):
        container.wait(condition="removed", timeout=30)
    assert containers_of(engine, victim.pid) == []
    assert not _views_of(victim.pid)
    assert list(tmp_path.iterdir()) == []
    second = execkit.run_program(ColdRunner(connected), "result = 1", workspace=Workspace(str(tmp_path), "rw"))
    assert second.status == "ok"


def test_the_containers_of_a_living_owner_are_left_alone(engine: docker.DockerClient, connected: Engine) -> None:
    labels = dict(Owner.this().labels("mine"))
    others = {
        "living": labels,
        "unknown": {LABEL_PROJECT: "x"},
        "elsewhere": {**labels, "sandbox.owner.namespace": "pid:[1]", "sandbox.owner.start": "1"},
        "reused number": {**labels, "sandbox.owner.start": "1"},
        "before a boot": {**labels, "sandbox.owner.boot": "another"},
        "of an image that has our labels": {**labels, "sandbox.owner.start": "1"},
    }
    image = ColdRunner(connected).prepare(execkit.contract_of(execkit.python_tool()), execkit.python_tool())
    names = {name: new_name() for name in others} | {"of an image that has our labels": "somebody-s-own"}
    made = {
        name: engine.containers.create(
            f"sha256:{image.image_digest}", ["/usr/bin/python3"], labels=each, name=names[name]
        )
        for name, each in others.items()
    }
    try:
        reap(connected)
        left = {container.id for container in engine.containers.list(all=True, ignore_removed=True)}
        kept = {name for name, container in made.items() if container.id in left}
        assert kept == {"living", "unknown", "elsewhere", "of an image that has our labels"}
    finally:
        for container in made.values():
            with contextlib.suppress(docker.errors.NotFound):
                container.remove(force=True)


def test_an_owner_is_told_from_a_later_process_of_the_same_number() -> None:
    this = Owner.this()
    assert owner_of(dict(this.labels("x"))) == this
    assert not this.is_gone()
    assert replace(this, start="0").is_gone()
    assert replace(this, pid=2**22 + 1).is_gone()
    assert owner_of({}) is None


class InterruptedEngine(Engine):
    """Ctrl-C arrives while the container is being started."""

    def start(self, container: str) -> None:
        Engine.start(self, container)
        raise KeyboardInterrupt


class FailingEngine(Engine):
    """The engine fails when it is asked to start."""

    def start(self, container: str) -> None:
        _ = container
        message = "the engine failed"
        raise SandboxFailure(message, "sandbox_failure.engine")


class LyingEngine(Engine):
    """The engine makes a container with more rights than it was asked for."""

    def create(self, body: Mapping[str, Json], name: str) -> str:
        wider = {**body, "HostConfig": {**body["HostConfig"], "CapDrop": [], "CapAdd": ["NET_ADMIN"]}}
        return Engine.create(self, wider, name)


class EchoingEngine(Engine):
    """The engine says what was asked for and enforces less: no limit on memory, and a network."""

    def create(self, body: Mapping[str, Json], name: str) -> str:
        wider = {**body["HostConfig"], "Memory": 0, "MemorySwap": 0}
        return Engine.create(self, {**body, "HostConfig": wider}, name)

    def inspect(self, container: str) -> Mapping[str, Json]:
        found = dict(Engine.inspect(self, container))
        limited = {"Memory": 128 * 1024 * 1024, "MemorySwap": 128 * 1024 * 1024}
        return {**found, "HostConfig": {**found["HostConfig"], **limited}}


def as_kind(engine: Engine, kind: type[Engine]) -> ColdRunner:
    return ColdRunner(kind(engine.client, engine.version, engine.socket_path))


def test_an_interruption_leaves_no_container(connected: Engine) -> None:
    with pytest.raises(KeyboardInterrupt):
        execkit.run_program(as_kind(connected, InterruptedEngine), "result = 1")
    # the fixture `nothing_left` looks


def test_a_failing_engine_is_our_failure_and_not_the_tool_s(connected: Engine) -> None:
    outcome = execkit.run_program(as_kind(connected, FailingEngine), "result = 1")
    assert (outcome.status, outcome.reason_code) == ("sandbox_failure", "sandbox_failure.engine")


def test_a_container_that_is_not_as_asked_is_never_started(connected: Engine) -> None:
    outcome = execkit.run_program(as_kind(connected, LyingEngine), "print('ran')")
    assert (outcome.reason_code, outcome.started) == ("sandbox_failure.configuration", False)
    assert "Cap" in outcome.reason


def test_an_engine_that_echoes_what_it_does_not_enforce_gets_no_call(connected: Engine) -> None:
    outcome = execkit.run_program(as_kind(connected, EchoingEngine), "print('ran')")
    assert outcome.reason_code == "sandbox_failure.configuration"
    assert "memory" in outcome.reason
    assert outcome.stdout == ""


class DeafEngine(Engine):
    """The host's kill never arrives; what then ends the container is the container itself."""

    def kill(self, container: str) -> None:
        endings.append(Engine.wait(self, container))


endings: list[Ended] = []


def test_a_container_that_nobody_kills_ends_itself_soon_after_its_deadline(connected: Engine) -> None:
    outcome = execkit.run_program(as_kind(connected, DeafEngine), "while True: pass", timeout_ms=200)
    assert outcome.status == "timeout"
    assert [ended.exit_code for ended in endings] == [1]


class KillingAttachment(Attachment):
    """Somebody kills the container when the program's first output has come: the part after the hello."""

    def receive(self, deadline: float) -> bytes | str | None:
        data = Attachment.receive(self, deadline)
        self.parts = getattr(self, "parts", 0) + 1
        if self.parts == 2:
            self.kill()
        return data


class KillingEngine(Engine):
    """Hands out attachments during which the container is killed."""

    def attach(self, container: str) -> Attachment:
        attachment = Engine.attach(self, container)
        killing = KillingAttachment(attachment._socket, attachment._buffer)
        killing.kill = lambda: self.kill(container)
        return killing


def test_a_container_killed_from_outside_is_killed_and_not_an_error_of_the_tool(connected: Engine) -> None:
    program = "import time; print('begun', flush=True); time.sleep(600)"
    outcome = execkit.run_program(as_kind(connected, KillingEngine), program, timeout_ms=60_000)
    assert (outcome.status, outcome.reason_code) == ("killed", "sandbox_failure.killed")
    assert (outcome.stdout, outcome.result) == ("begun\n", None)


def _until_written(pid: int) -> list[bytes]:
    """Waits until the victim's program has written into its view."""
    while True:
        for view in _views_of(pid):
            with contextlib.suppress(OSError):
                names = [os.fsencode(path.name) for path in Path(view).iterdir()]
                if b"half" in names:
                    return names


def _views_of(pid: int) -> list[str]:
    lines = Path("/proc/mounts").read_text().splitlines()
    return [line.split()[1] for line in lines if f"/sandbox-tools/views/{pid}." in line]
