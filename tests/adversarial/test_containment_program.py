"""B1, B8, B9, B10, B11, B13, B14, B16, B17: hostile programs in a real container, and the same in a naive one."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import containment_probes as probes
import docker
import execkit
import pytest

from sandbox.execute.cold import ColdRunner
from sandbox.execute.config import USER
from sandbox.execute.image import default_tag
from sandbox.execute.owner import LABEL_PID
from sandbox.ir import Argument, ArgWord, ListType, Run, RunArgv, StringType

pytestmark = pytest.mark.containers

_ME = str(os.getpid())


@pytest.fixture(scope="module")
def runner() -> Iterator[ColdRunner]:
    with contextlib.closing(ColdRunner()) as cold:
        yield cold


def naive(engine: docker.DockerClient, program: str, **options: object) -> object:
    """The same program in a container as a tutorial makes it."""
    code = f"import json\n{program}\nprint(json.dumps(result, default=str))"
    command = ["/usr/bin/python3", "-c", code]
    output = engine.containers.run(default_tag(), command, remove=True, stderr=False, **options)
    return json.loads(output[output.index(b"{") :])


def test_no_system_call_opens_a_way_out(runner: ColdRunner, engine: docker.DockerClient) -> None:
    outcome = execkit.run_program(runner, probes.SYSTEM_CALLS)
    assert outcome.status == "ok", outcome
    assert outcome.result.pop("no_new_privileges") == "1"
    assert outcome.result.pop("unix") == "done"
    assert outcome.result.pop("clone3") == "ENOSYS"
    assert set(outcome.result.values()) <= {"EPERM", "ENOSYS"}, outcome.result

    loose = naive(engine, probes.SYSTEM_CALLS, network_mode="none")
    assert [name for name in ("vsock", "inet", "memfd_create", "netlink") if loose[name] == "done"]


def test_the_runner_and_the_host_are_out_of_the_program_s_reach(
    runner: ColdRunner, engine: docker.DockerClient
) -> None:
    outcome = execkit.run_program(runner, probes.INSIDE)
    assert outcome.status == "ok", outcome
    seen = outcome.result
    for name in ("mem", "maps", "environ", "fds", "stdout of the runner", "root of the runner"):
        assert seen[name] == "PermissionError", name
    assert seen["own descriptors"][:3] == [0, 1, 2]
    assert len(seen["own descriptors"]) <= 5  # the standard streams, the result pipe, the listing itself
    assert seen["stdin"] == "b''"
    assert "'written'" not in seen["written"].values(), seen["written"]
    assert seen["run from tmp"] == "PermissionError"
    assert (seen["resolve"], seen["connect"]) == ("gaierror", "PermissionError")
    assert seen["engine"] == "FileNotFoundError"
    assert seen["interfaces"] == ["lo"] or set(seen["interfaces"]) <= {"lo", "tunl0", "sit0", "gre0", "ip_vti0"}
    assert set(seen["environment"]) == {"PATH", "HOME", "TMPDIR", "LANG", "HOSTNAME"}
    assert seen["shells"] == []
    assert seen["own limits"] == "None"
    assert seen["processes"][0] == 1
    assert len(seen["processes"]) == 2
    assert seen["user"] == [[61_000] * 3, [61_000] * 3, []] or seen["user"][2] == [61_000]

    loose = naive(engine, probes.INSIDE)
    assert loose["stdout of the runner"] == "'written'"
    assert loose["written"]["/etc/passwd"] == "'written'"


def test_forged_frames_on_every_descriptor_are_only_output(runner: ColdRunner) -> None:
    outcome = execkit.run_program(runner, probes.FORGERY)
    assert outcome.status != "sandbox_failure"
    assert outcome.result in {"honest", None}
    assert "forged" not in json.dumps(outcome.result)


def test_a_flood_is_cut_while_it_comes(runner: ColdRunner) -> None:
    outcome = execkit.run_program(runner, "while True: print('x' * 100_000)", output=50_000)
    assert (outcome.status, outcome.reason_code) == ("output_limit", "limit.output")
    assert len(outcome.stdout) == 50_000
    assert outcome.truncated
    assert outcome.duration_ms < 5_000


def test_memory_is_bounded_wherever_it_is_taken(runner: ColdRunner) -> None:
    alone = execkit.run_program(runner, "block = bytearray(10**9)")
    assert (alone.status, alone.reason_code) == ("out_of_memory", "limit.memory")
    child = "import os\nif os.fork() == 0: block = bytearray(10**9)\nos.wait()\nresult = 'survived'"
    of_a_child = execkit.run_program(runner, child)
    assert (of_a_child.status, of_a_child.reason_code) == ("out_of_memory", "limit.memory")


def test_processes_are_bounded(runner: ColdRunner) -> None:
    outcome = execkit.run_program(runner, probes.FORK_BOMB, pids=20)
    assert outcome.status == "ok"
    made, error = outcome.result
    assert made < 20
    assert error == "BlockingIOError"


def test_scratch_space_and_descriptors_are_bounded(runner: ColdRunner) -> None:
    outcome = execkit.run_program(runner, probes.FILLING, tmpfs=1024 * 1024, files=64)
    assert outcome.status == "ok", outcome
    assert outcome.result["tmpfs"] == [1024 * 1024, "ENOSPC"]
    assert outcome.result["files"][1] == "EMFILE"


def test_one_file_is_bounded(runner: ColdRunner) -> None:
    outcome = execkit.run_program(runner, probes.FILLING, file_size=128 * 1024)
    assert outcome.result["tmpfs"] == [128 * 1024, "EFBIG"]


def test_the_deadline_ends_every_process_however_stubborn(runner: ColdRunner) -> None:
    begun = time.monotonic()
    outcome = execkit.run_program(runner, probes.STUBBORN, timeout_ms=700)
    assert (outcome.status, outcome.reason_code) == ("timeout", "limit.time")
    assert set(outcome.stdout.split()) == {"begun"}
    assert time.monotonic() - begun < 20
    assert not list(_tool_processes())


def test_what_a_program_leaves_running_neither_delays_nor_survives_the_call(runner: ColdRunner) -> None:
    outcome = execkit.run_program(runner, probes.DETACHED_WRITER)
    assert outcome.status in {"ok", "output_limit"}
    assert not list(_tool_processes())


def test_a_program_that_kills_itself_is_an_error_and_not_a_failure_of_ours(runner: ColdRunner) -> None:
    outcome = execkit.run_program(runner, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert (outcome.status, outcome.reason_code) == ("error", "tool.error")
    assert "signal 9" in outcome.reason


def test_a_program_that_closes_its_pipes_is_still_ended(runner: ColdRunner) -> None:
    outcome = execkit.run_program(runner, "import os, time\nos.closerange(0, 1000)\ntime.sleep(600)", timeout_ms=500)
    assert outcome.status == "timeout"


def test_a_container_serves_one_call(runner: ColdRunner) -> None:
    execkit.run_program(runner, "open('/tmp/left', 'w').write('for the next')")
    second = execkit.run_program(runner, "import os; result = os.listdir('/tmp')")
    assert second.result == []


def test_words_are_run_as_they_are_and_never_by_a_shell(runner: ColdRunner) -> None:
    program = "import sys; print(sys.argv[1:])"
    words = ("/usr/bin/python3", "-c", program, "--", ArgWord("text"), ArgWord("many"), ArgWord("absent"))
    many = ListType(StringType(None, 0, 100), 0, 5, unique=False)
    tool = execkit.tool_of("words", Run(RunArgv(words)), Argument("text", execkit.TEXT), Argument("many", many))
    outcome = execkit.run_tool(runner, tool, text="$(id); rm -rf / | cat", many=["a b", "*"])
    assert (outcome.status, outcome.result) == ("ok", None), outcome
    assert outcome.stdout == "['--', '$(id); rm -rf / | cat', 'a b', '*']\n"


def _tool_processes() -> Iterator[str]:
    """The processes on this machine that run as the containers' user, but for those in the containers of others."""
    engine = docker.from_env()
    try:
        others = [
            c.id
            for c in engine.containers.list(filters={"label": LABEL_PID}, ignore_removed=True)
            if c.labels[LABEL_PID] != _ME
        ]
    finally:
        engine.close()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if folder.stat().st_uid == USER:
                group = (folder / "cgroup").read_text()
                if not any(other in group for other in others):
                    yield folder.name
