"""Podman, by its own API: the contract of a runner, the limits, the attacks, and nothing left."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import execkit
import netkit
import pytest
from click.testing import CliRunner
from enginekit import await_socket, forget
from test_runners import CASES, Case, each_case

from sandbox.cli.program import PROGRAM
from sandbox.errors import EnvironmentLacking
from sandbox.execute.cold import ColdRunner
from sandbox.execute.image import default_tag
from sandbox.execute.owner import LABEL_PID, LABEL_PROJECT
from sandbox.execute.podman import Podman, connect
from sandbox.execute.pool import PoolRunner
from sandbox.execute.reap import reap
from sandbox.ir import NetworkGrant, Workspace
from tests.adversarial import containment_probes as probes
from tests.adversarial import test_mcp_server as served
from tests.mcpkit import SPEC

pytestmark = [pytest.mark.containers, pytest.mark.deep]

notes = served.notes
page = served.page


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """The address of a Podman of these tests' own, with the default image; its paths must be short."""
    folder = Path(tempfile.mkdtemp(prefix="podman-"))
    place = folder / "socket"
    runtime = ["--cgroup-manager=cgroupfs", "--runtime=runc"]  # the packaged crun refuses hybrid cgroups
    words = ["podman", f"--root={folder}/root", f"--runroot={folder}/run", *runtime, "system", "service", "--time=0"]
    with subprocess.Popen(
        [*words, f"unix://{place}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder
    ) as service:
        try:
            await_socket(place)
            archive = folder / "image.tar"
            with (
                contextlib.closing(docker.APIClient(version="auto", timeout=120)) as source,
                archive.open("wb") as file,
            ):
                file.writelines(source.get_image(default_tag()))
            with pytest.MonkeyPatch.context() as patched:
                patched.setenv("DOCKER_HOST", f"unix://{place}")
                with contextlib.closing(connect()) as engine:
                    engine.load(archive)
            yield f"unix://{place}"
        finally:
            service.terminate()
    forget(folder)


@pytest.fixture
def podman(service: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Podman]:
    monkeypatch.setenv("DOCKER_HOST", service)
    with contextlib.closing(connect()) as engine:
        assert isinstance(engine, Podman)
        yield engine
        assert engine.labelled(LABEL_PROJECT) == ()


@pytest.fixture
def cold(podman: Podman) -> Iterator[ColdRunner]:
    with contextlib.closing(ColdRunner()) as runner:
        yield runner


@each_case
def test_podman_keeps_the_contract(case: Case, cold: ColdRunner) -> None:
    case(cold)


def test_a_pool_of_podman_s_containers_keeps_the_contract(podman: Podman) -> None:
    with PoolRunner(size=1) as runner:
        for case in CASES:
            case(runner)
        assert (runner.stats().cold, runner.stats().failed) == (0, 0)


CHILD = "import os\nif os.fork() == 0: block = bytearray(10**9)\nos.wait()\nresult = 'survived'"
ENDINGS = [
    ("while True: pass", {"timeout_ms": 1_500}, ("timeout", "limit.time")),
    (probes.STUBBORN, {"timeout_ms": 1_500}, ("timeout", "limit.time")),
    ("block = bytearray(10**9)", {}, ("out_of_memory", "limit.memory")),
    (CHILD, {}, ("out_of_memory", "limit.memory")),
    ("while True: print('x' * 65536)", {"output": 2**20}, ("output_limit", "limit.output")),
]


@pytest.mark.parametrize(("code", "run", "ended"), ENDINGS)
def test_limits_end_a_call(code: str, run: dict[str, object], ended: tuple[str, str], cold: ColdRunner) -> None:
    outcome = execkit.run_program(cold, code, **run)
    assert (outcome.status, outcome.reason_code) == ended, outcome


def test_processes_scratch_space_and_files_are_bounded(cold: ColdRunner) -> None:
    made, error = execkit.run_program(cold, probes.FORK_BOMB, pids=20).result
    assert (made < 20, error) == (True, "BlockingIOError")
    filled = execkit.run_program(cold, probes.FILLING, tmpfs=2**20, files=64).result
    assert (filled["tmpfs"], filled["files"][1]) == ([2**20, "ENOSPC"], "EMFILE")
    assert execkit.run_program(cold, probes.FILLING, file_size=2**17).result["tmpfs"] == [2**17, "EFBIG"]


def test_no_system_call_opens_a_way_out(cold: ColdRunner) -> None:
    found = execkit.run_program(cold, probes.SYSTEM_CALLS).result
    assert (found.pop("no_new_privileges"), found.pop("unix"), found.pop("clone3")) == ("1", "done", "ENOSYS")
    assert set(found.values()) <= {"EPERM", "ENOSYS"}, found


def test_the_runner_and_the_host_are_out_of_the_program_s_reach(cold: ColdRunner) -> None:
    seen = execkit.run_program(cold, probes.INSIDE).result
    for name in ("mem", "maps", "environ", "fds", "stdout of the runner", "root of the runner", "run from tmp"):
        assert seen[name] == "PermissionError", name
    assert "'written'" not in seen["written"].values(), seen["written"]
    assert (seen["resolve"], seen["connect"], seen["engine"]) == ("gaierror", "PermissionError", "FileNotFoundError")
    assert set(seen["environment"]) == {"PATH", "HOME", "TMPDIR", "LANG", "HOSTNAME", "TERM", "container"}
    assert (seen["shells"], len(seen["processes"])) == ([], 2)
    assert seen["user"] == [[61_000] * 3, [61_000] * 3, [61_000]]


def test_forged_frames_are_only_output(cold: ColdRunner) -> None:
    outcome = execkit.run_program(cold, probes.FORGERY)
    assert outcome.status != "sandbox_failure", outcome
    assert outcome.result in {"honest", None}


def test_a_workspace_is_a_transaction(cold: ColdRunner, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("before")
    read = execkit.run_tool(cold, execkit.files_tool("read", tmp_path, "ro"), path="/workspace/a.md")
    assert read.result == {"path": "/workspace/a.md", "content": "before"}
    wrote = execkit.run_tool(cold, execkit.files_tool("write", tmp_path), path="/workspace/b.md", content="b")
    assert (wrote.status, (tmp_path / "b.md").read_text()) == ("ok", "b")
    code = "import os\nopen('/workspace/c.md', 'w')\nos.symlink('/etc', '/workspace/link')"
    refused = execkit.run_program(cold, code, workspace=Workspace(str(tmp_path), "rw"))
    assert (refused.status, refused.reason_code) == ("error", "changes.refused")
    only_read = execkit.run_program(cold, "open('/workspace/c.md', 'w')", workspace=Workspace(str(tmp_path), "ro"))
    assert "Read-only file system" in only_read.reason
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.md", "b.md"]


def test_a_granted_host_is_reached_and_nothing_else(cold: ColdRunner) -> None:
    with netkit.serving() as server:
        grant = NetworkGrant("127.0.0.1", server.port, tls=False)
        code = f"""
from sandbox import fetch
import urllib.request
result = [fetch('http://127.0.0.1:{server.port}/a').status]
result.append(urllib.request.urlopen('http://127.0.0.1:{server.port}/b').status)
"""
        assert execkit.run_program(cold, code, network=(grant,)).result == [200, 200]
        probe = probes.NETWORK.replace("PORT", str(server.port))
        found = execkit.run_program(cold, probe, network=(grant,)).result
        assert (found["direct"], found["names"], found["interfaces"]) == ("ConnectionRefusedError", "gaierror", ["lo"])
        assert set(found["families"].values()) == {"PermissionError"}
        assert set(found["socket"].values()) <= {"EACCES", "EROFS", "EPERM"}
        assert [each.target for each in server.seen] == ["/a", "/b"]


def test_gvisor_is_not_to_be_had(cold: ColdRunner) -> None:
    tool = execkit.python_tool(min_isolation="gvisor")
    with pytest.raises(EnvironmentLacking, match="the engine has no runtime `runsc`"):
        cold.prepare(execkit.contract_of(tool), tool)


def test_receipts_tell_the_engine(cold: ColdRunner) -> None:
    tool = execkit.python_tool()
    assert cold.prepare(execkit.contract_of(tool), tool).runtime.startswith("podman 4")


WAITING = """
import sys
import execkit
from sandbox.execute.cold import ColdRunner
runner = ColdRunner()
runner.engine()
print("begun", flush=True)
execkit.run_program(runner, "import time; time.sleep(600)", timeout_ms=600_000)
"""


def test_a_host_that_is_killed_leaves_nothing_after_the_next_start(podman: Podman) -> None:
    paths = os.pathsep.join((str(execkit.PROJECT), str(execkit.PROJECT / "tests")))
    environment = {**os.environ, "PYTHONPATH": paths}
    with subprocess.Popen([sys.executable, "-c", WAITING], env=environment, stdout=subprocess.PIPE) as victim:
        deadline = time.monotonic() + 60
        while not any(labels.get(LABEL_PID) == str(victim.pid) for _, labels in podman.labelled(LABEL_PROJECT)):
            assert time.monotonic() < deadline, "the call did not start"
        victim.send_signal(signal.SIGKILL)
    reap(podman)
    assert podman.labelled(LABEL_PROJECT) == ()


def test_what_a_runtime_was_given_is_compared(cold: ColdRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Podman is asked for more than was meant: it says nothing of it that would be noticed."""
    from sandbox.execute import podman  # to be patched

    asked = podman.specification

    def wider(*given: object) -> dict[str, object]:
        return {**asked(*given), "cap_drop": ["all"], "cap_add": ["net_admin"]}

    monkeypatch.setattr(podman, "specification", wider)
    outcome = execkit.run_program(cold, "print('ran')")
    assert (outcome.status, outcome.reason_code) == ("sandbox_failure", "sandbox_failure.configuration")
    assert "capabilities should be `[]`" in outcome.reason
    assert (outcome.started, outcome.stdout) == (False, "")


ADDED = {
    "env": ({"env": {"LD_PRELOAD": "/workspace/x.so"}}, "variable `LD_PRELOAD` should be `absent`"),
    "annotations": ({"annotations": {"run.oci.handler": "x"}}, "annotation `run.oci.handler` should be `absent`"),
    "healthconfig": ({"healthconfig": {"Test": ["CMD", "x"]}}, "check of its health should be"),
    "log_configuration": ({"log_configuration": {"driver": "k8s-file"}}, "log should be `none`"),
}


@pytest.mark.parametrize("name", ADDED)
def test_what_settings_of_the_engine_could_add_is_refused(
    name: str, cold: ColdRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `containers.conf`, or the image, has it: a default of Podman's own stands where a request says it too."""
    from sandbox.execute import podman  # to be patched

    asked = podman.specification
    more, reason = ADDED[name]

    def added(*given: object) -> dict[str, object]:
        plain = asked(*given)
        both = {key: {**plain.get(key, {}), **value} for key, value in more.items()}
        return {**plain, **both}

    monkeypatch.setattr(podman, "specification", added)
    outcome = execkit.run_program(cold, "print('ran')")
    assert reason in outcome.reason
    assert (outcome.reason_code, outcome.started) == ("sandbox_failure.configuration", False)


def test_doctor_looks_at_it_and_leaves_the_benchmark_to_docker(podman: Podman) -> None:
    done = CliRunner().invoke(PROGRAM, ["doctor"])
    assert "podman 4" in done.stdout
    refused = CliRunner().invoke(PROGRAM, ["doctor", "--cis"])
    assert "this engine is Podman" in refused.output


# --- servers behind the gateway


@pytest.fixture
def sessions(podman: Podman, tmp_path: Path) -> Iterator[object]:
    opened: list[served.Session] = []

    def start(code: str = "pass", text: str = SPEC, folder: str = "spec") -> served.Session:
        opened.append(served.Session(tmp_path / folder, code, text))
        return opened[-1]

    yield start
    for session in opened:
        session.close()


OF_ITS_WORKSPACE: tuple[Callable[[object, Path], None], ...] = (
    served.test_a_call_that_ends_ok_commits_and_says_what,
    served.test_what_the_server_writes_between_calls_is_taken_back,
)


@pytest.mark.parametrize("case", OF_ITS_WORKSPACE, ids=lambda case: case.__name__)
def test_a_server_s_workspace_is_a_transaction_for_every_call(
    case: Callable[[object, Path], None], sessions: object, notes: Path
) -> None:
    case(sessions, notes)


def test_a_server_reaches_what_it_is_granted_in_a_call(sessions: object, page: tuple[int, list[str]]) -> None:
    served.test_a_server_reaches_what_it_is_granted_in_a_call_and_nothing_between_calls(sessions, page)
