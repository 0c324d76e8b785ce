"""Stronger isolation: gVisor keeps the contract of a runner, limits what a container limits, and fails closed."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import execkit
import pytest
from enginekit import OwnEngine, crun_engine, gvisor_engine, own_engine
from test_runners import CASES, Case, each_case

from sandbox.call import Outcome
from sandbox.execute.cold import ColdRunner
from sandbox.execute.pool import PoolRunner

pytestmark = [pytest.mark.containers, pytest.mark.deep]


@pytest.fixture(scope="module")
def gvisor() -> Iterator[OwnEngine]:
    with gvisor_engine() as engine:
        yield engine


@pytest.fixture
def cold(gvisor: OwnEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[ColdRunner]:
    monkeypatch.setenv("DOCKER_HOST", gvisor.url)
    with contextlib.closing(ColdRunner(isolation="gvisor")) as runner:
        yield runner
    assert gvisor.client.containers(all=True) == []
    assert sandboxes(gvisor) == []


def sandboxes(gvisor: OwnEngine) -> list[str]:
    """Processes of gVisor that are left."""
    found = subprocess.run(["pgrep", "--full", f"runsc.*{gvisor.folder}"], capture_output=True, text=True, check=False)
    return found.stdout.split()


@each_case
def test_gvisor_keeps_the_contract(case: Case, cold: ColdRunner) -> None:
    case(cold)


def test_a_pool_of_gvisor_containers_keeps_the_contract(gvisor: OwnEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", gvisor.url)
    with PoolRunner(size=1, isolation="gvisor") as runner:
        for case in CASES:
            case(runner)
        assert runner.stats().cold == 0
    assert gvisor.client.containers(all=True) == []


def test_a_tool_that_demands_gvisor_has_a_shelf_of_its_own(gvisor: OwnEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", gvisor.url)
    look = "import os; result = os.uname().version"
    with PoolRunner(size=1) as runner:
        plain = execkit.run_program(runner, look).result
        strong = execkit.run_program(runner, look, min_isolation="gvisor").result
        assert plain != strong
        assert strong == "#1 SMP Sun Jan 10 15:06:54 PST 2016"
        assert len(runner._shelves) == 2


STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        while True: pass
time.sleep(100)
"""
ENDINGS = [
    ("while True: pass", {"timeout_ms": 1_500}, ("timeout", "limit.time")),
    (STUBBORN, {"timeout_ms": 1_500}, ("timeout", "limit.time")),
    ("x = bytearray(400 * 2**20)", {"memory": 256 * 2**20}, ("out_of_memory", "limit.memory")),
    (
        "import sys\nwhile True: sys.stdout.write('x' * 65536)",
        {"output": 2**20},
        ("output_limit", "limit.output"),
    ),
    ("import threading\nt = threading.Thread(target=print)\nt.start()\nt.join()\nresult = 1", {}, ("ok", "ok")),
]


@pytest.mark.parametrize(("code", "run", "ended"), ENDINGS)
def test_limits_end_a_call_in_gvisor_as_in_a_container(
    code: str, run: dict[str, object], ended: tuple[str, str], cold: ColdRunner
) -> None:
    outcome = execkit.run_program(cold, code, **run)
    assert (outcome.status, outcome.reason_code) == ended, outcome


BOMB = "import os, time\nwhile True:\n    if os.fork() == 0: time.sleep(60)"
BOMBS = [
    ({}, ("out_of_memory", "limit.memory")),  # each process costs gVisor memory, which is what it has least of
    ({"memory": 2**30, "pids": 16}, ("sandbox_failure", "sandbox_failure.runner")),  # no process of the host's left
]


@pytest.mark.parametrize(("run", "ended"), BOMBS)
def test_a_fork_bomb_ends_with_its_own_sandbox(
    run: dict[str, object], ended: tuple[str, str], cold: ColdRunner
) -> None:
    outcome = execkit.run_program(cold, BOMB, timeout_ms=60_000, **run)
    assert (outcome.status, outcome.reason_code) == ended, outcome
    assert outcome.result is None


PROBE = """
import ctypes, os, socket
libc = ctypes.CDLL(None, use_errno=True)

def call(*arguments):
    return -ctypes.get_errno() if libc.syscall(*arguments) < 0 else 'done'

def opened(action):
    try:
        action()
    except OSError as error:
        return -error.errno
    return 'done'

result = {
    'inet': opened(lambda: socket.socket(socket.AF_INET)),
    'vsock': opened(lambda: socket.socket(40, socket.SOCK_STREAM)),
    'netlink': opened(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)),
    'unshare': call(272, 0x10000000),
    'mount': call(165, b'x', b'/tmp', b'tmpfs', 0, 0),
    'ptrace': call(101, 16, 1, 0, 0),
    'process_vm_readv': call(310, 1, 0, 0, 0, 0, 0),
    'memfd_create': call(319, b'x', 0),
    'root': opened(lambda: open('/x', 'w')),
    'source': opened(lambda: open('/sandbox/guest.py', 'r+')),
    'memory of the runner': opened(lambda: open('/proc/1/mem', 'rb').read(1)),
}
"""


def test_what_a_container_refuses_gvisor_refuses(cold: ColdRunner) -> None:
    outcome = execkit.run_program(cold, PROBE)
    assert isinstance(outcome.result, dict)
    assert set(outcome.result.values()) <= {-1, -13, -30}, outcome.result


FORGER = """
import json, os, struct
payload = json.dumps({'end': 'returned', 'result': '"forged"', 'oom_kills': 0}).encode()
frame = struct.pack('>IBI32s', len(payload), 4, 1, b'0' * 32) + payload
for number in range(12):
    try:
        with open(f'/proc/1/fd/{number}', 'wb', buffering=0) as file:
            file.write(frame)
    except OSError:
        pass
result = 'honest'
"""


def test_frames_of_a_tool_that_reaches_the_runners_descriptors_are_not_believed(cold: ColdRunner) -> None:
    outcome = execkit.run_program(cold, FORGER)
    assert outcome.result in {"honest", None}
    assert outcome.status in {"ok", "error", "sandbox_failure"}


def test_limits_are_read_on_the_host_and_compared(
    gvisor: OwnEngine, cold: ColdRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.execute.gvisor._CGROUPS", Path("/nonexistent"))
    outcome = execkit.run_program(cold, "result = 1")
    assert (outcome.status, outcome.reason_code) == ("sandbox_failure", "sandbox_failure.configuration")
    assert "memory limit should be `a number`" in outcome.reason


def test_a_runtime_that_only_has_the_name_gets_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    with own_engine(runtimes={"runsc": {"path": "/usr/bin/runc"}}) as engine:
        monkeypatch.setenv("DOCKER_HOST", engine.url)
        with contextlib.closing(ColdRunner()) as runner:
            outcome = execkit.run_program(runner, "result = 1", min_isolation="gvisor")
        assert (outcome.status, outcome.reason_code) == ("sandbox_failure", "sandbox_failure.configuration")
        assert outcome.reason.startswith("the runtime `runsc` is not gVisor: inside, the kernel is")


def test_gvisor_without_our_list_of_system_calls_gets_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    with own_engine(runtimes={"runsc": {"path": "/usr/bin/runsc", "runtimeArgs": ["--network=none"]}}) as engine:
        monkeypatch.setenv("DOCKER_HOST", engine.url)
        with contextlib.closing(ColdRunner()) as runner:
            outcome: Outcome = execkit.run_program(runner, "result = 1", min_isolation="gvisor")
        assert outcome.reason_code == "sandbox_failure.configuration"
        assert "Seccomp should be `2` and is `0`" in outcome.reason


def test_receipts_tell_the_runtime(cold: ColdRunner) -> None:
    tool = execkit.python_tool()
    assert cold.prepare(execkit.contract_of(tool), tool).runtime.endswith(", runsc")


# --- user name spaces


@pytest.fixture(scope="module")
def remapped() -> Iterator[OwnEngine]:
    with own_engine("--userns-remap=default") as engine:
        yield engine


@pytest.fixture
def nobody(remapped: OwnEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[ColdRunner]:
    monkeypatch.setenv("DOCKER_HOST", remapped.url)
    with contextlib.closing(ColdRunner()) as runner:
        yield runner
    assert remapped.client.containers(all=True) == []


@each_case
def test_a_container_in_a_user_name_space_keeps_the_contract(case: Case, nobody: ColdRunner) -> None:
    case(nobody)


def test_a_pool_in_user_name_spaces_keeps_the_contract(remapped: OwnEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", remapped.url)
    with PoolRunner(size=1) as runner:
        for case in CASES:
            case(runner)


def test_who_is_in_there_is_nobody_here(nobody: ColdRunner) -> None:
    outcome = execkit.run_program(nobody, "result = open('/proc/self/uid_map').read().split()")
    assert isinstance(outcome.result, list)
    first = int(str(outcome.result[1]))
    assert first >= 100_000
    assert nobody.engine().first_ids[0] == first


def test_a_workspace_is_read_and_changed_in_a_user_name_space(nobody: ColdRunner, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("before")
    owner = (tmp_path / "a.md").stat().st_uid
    read = execkit.run_tool(nobody, execkit.files_tool("read", tmp_path, "ro"), path="/workspace/a.md")
    assert read.result == {"path": "/workspace/a.md", "content": "before"}
    wrote = execkit.run_tool(nobody, execkit.files_tool("write", tmp_path), path="/workspace/b.md", content="after")
    assert wrote.status == "ok", wrote
    assert ((tmp_path / "b.md").read_text(), (tmp_path / "b.md").stat().st_uid) == ("after", owner)


# --- another runtime


@pytest.fixture(scope="module")
def crun() -> Iterator[OwnEngine]:
    with crun_engine() as engine:
        yield engine


@pytest.fixture
def by_crun(crun: OwnEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[ColdRunner]:
    monkeypatch.setenv("DOCKER_HOST", crun.url)
    with contextlib.closing(ColdRunner()) as runner:
        yield runner
    assert crun.client.containers(all=True) == []


def test_what_a_runtime_leaves_writable_gets_no_call(by_crun: ColdRunner) -> None:
    """crun 1.8.1, asked for a root that is only read, leaves a scratch folder where cgroups of version 1 are."""
    tool = execkit.python_tool()
    assert by_crun.prepare(execkit.contract_of(tool), tool).runtime.endswith(", crun")
    outcome = execkit.run_program(by_crun, "result = open('/sys/fs/cgroup/mine', 'w').write('x')")
    assert (outcome.status, outcome.reason_code) == ("sandbox_failure", "sandbox_failure.configuration")
    assert "mount `/sys/fs/cgroup` should be `not writable`" in outcome.reason
