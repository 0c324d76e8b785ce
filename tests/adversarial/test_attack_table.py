"""Which attack stands for which promise of containment and which class of bypass, and what it does to plain containers.

Each row names the test in which the attack fails here, and how it succeeds elsewhere: in a container as `docker run`
makes it, which is really run below; on a naive implementation beside the attack, in the same test; or why that is not
shown. A promise or a class without an attack fails, and so does a row whose test is not there.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import json
import os
import pickle
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import containment_probes as probes
import docker
import pytest

from sandbox.execute.image import default_tag

TESTS = Path(__file__).parents[1]
CLASSES = tuple(f"B{number}" for number in range(1, 18))
PROMISES = (
    "pool",
    "configuration",
    "system calls",
    "protocol",
    "limit: time",
    "limit: memory",
    "limit: processes",
    "limit: open files",
    "limit: file size",
    "limit: scratch space",
    "limit: output",
    "limit: result",
    "engine's failures",
    "workspace: refused always",
    "workspace: hand-over files",
    "workspace: read only, and what was not allowed",
    "workspace: two calls",
    "workspace: killed in the middle",
    "network",
    "images",
    "stronger isolation",
    "stopping",
    "orphans",
    "at most once",
    "receipts",
)
Naive = Callable[[docker.DockerClient, Path], None]


@dataclass(frozen=True)
class Beside:
    """The naive implementation stands beside the attack, in the same test."""

    what: str


@dataclass(frozen=True)
class NotShown:
    """The attack is not shown to succeed elsewhere."""

    why: str


def plain(engine: docker.DockerClient, program: str, **options: object) -> bytes:
    """What a program says in a container as a tutorial makes it."""
    command = ["/usr/bin/python3", "-c", program]
    said: bytes = engine.containers.run(default_tag(), command, remove=True, stderr=False, **options)
    return said


def result_of(engine: docker.DockerClient, program: str, **options: object) -> dict[str, object]:
    said = plain(engine, f"import json\n{program}\nprint(json.dumps(result, default=str))", **options)
    found: dict[str, object] = json.loads(said[said.index(b"{") :])
    return found


# --- what the attacks do to a plain container


def every_right_is_there(engine: docker.DockerClient, _: Path) -> None:
    code = (
        "result = dict(line.split(':\t', 1) for line in open('/proc/self/status').read().splitlines() if ':\t' in line)"
    )
    status = result_of(engine, code)
    assert str(status["Uid"]).split() == ["0"] * 4
    assert int(str(status["CapEff"]), 16) != 0
    assert str(status["NoNewPrivs"]).strip() == "0"


def system_calls_lead_out(engine: docker.DockerClient, _: Path) -> None:
    loose = result_of(engine, probes.SYSTEM_CALLS, network_mode="none")
    assert "done" in {loose["vsock"], loose["memfd_create"], loose["io_uring_setup"], loose["netlink"]}


def the_last_line_is_believed(engine: docker.DockerClient, _: Path) -> None:
    """A runner that prints its result: a tool prints another one, and keeps the runner's from coming."""
    tool = 'import os; print(\'{"result": "forged"}\', flush=True); os._exit(0)'
    runner = f"import json\nexec({tool!r})\nprint(json.dumps({{'result': 'honest'}}))"
    assert json.loads(plain(engine, runner).splitlines()[-1]) == {"result": "forged"}


def a_pickle_runs_on_the_host(engine: docker.DockerClient, folder: Path) -> None:
    code = f"""
import base64, pickle
class Result:
    def __reduce__(self):
        return eval, ("__import__('os').mkdir({str(folder / "ran")!r})",)
print(base64.b64encode(pickle.dumps(Result())).decode())
"""
    pickle.loads(base64.b64decode(plain(engine, code)))  # noqa: S301  # the attack
    assert (folder / "ran").is_dir()


def secrets_are_at_hand(_: docker.DockerClient, folder: Path) -> None:
    """An interpreter within the host's: the program sees what the host's process sees."""
    seen: dict[str, object] = {}
    exec("import os; pid = os.getpid()", {"__builtins__": __builtins__}, seen)  # noqa: S102  # the attack
    assert seen["pid"] == os.getpid()
    assert folder.exists()


def a_client_that_is_late_leaves_it_running(engine: docker.DockerClient, folder: Path) -> None:
    with abandoned(engine, folder, "import time\nprint('begun', flush=True)\nwhile True: time.sleep(1)") as container:
        assert container.status == "running"


def sigterm_is_ignored(engine: docker.DockerClient, folder: Path) -> None:
    with abandoned(engine, folder, probes.STUBBORN) as container:
        container.kill("SIGTERM")
        container.reload()
        assert container.status == "running"


@contextlib.contextmanager
def abandoned(engine: docker.DockerClient, folder: Path, program: str) -> Iterator[docker.models.containers.Container]:
    """A container whose `docker run` was killed once it had begun."""
    name = f"plain-{os.getpid()}-{folder.name[-20:]}"
    words = ["docker", "run", "--name", name, default_tag(), "/usr/bin/python3", "-c", program]
    try:
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as client:
            assert client.stdout is not None
            assert client.stdout.readline() == b"begun\n"
            client.kill()
        yield engine.containers.get(name)
    finally:
        engine.containers.get(name).remove(force=True)


def memory_has_no_end(engine: docker.DockerClient, _: Path) -> None:
    assert result_of(engine, "block = b'x' * (200 * 2**20)\nresult = {'held': len(block)}")["held"] == 200 * 2**20


def processes_have_no_end(engine: docker.DockerClient, _: Path) -> None:
    code = """
import os, signal
made = []
for _ in range(200):
    made.append(os.fork())
    if made[-1] == 0:
        signal.pause()
for each in made:
    os.kill(each, signal.SIGKILL)
result = {'made': len(made)}
"""
    assert result_of(engine, code)["made"] == 200


def files_have_no_end(engine: docker.DockerClient, _: Path) -> None:
    code = """
files = [open('/dev/null') for _ in range(1000)]
with open('/tmp/full', 'wb') as file:
    file.write(b'x' * 4 * 2**20)
    result = {'open': len(files), 'written': file.tell()}
"""
    assert result_of(engine, code) == {"open": 1000, "written": 4 * 2**20}


def output_has_no_end(engine: docker.DockerClient, _: Path) -> None:
    assert len(plain(engine, "print('x' * 4_000_000)")) > 4_000_000


def a_used_container_remembers(engine: docker.DockerClient, _: Path) -> None:
    """A pool that gives a container its next call."""
    code = "import sys; sys.stdin.read()"
    pooled = engine.containers.run(default_tag(), ["/usr/bin/python3", "-c", code], detach=True, stdin_open=True)
    try:
        for program in ("open('/tmp/left', 'w').write('of the first')", "print(open('/tmp/left').read())"):
            said = pooled.exec_run(["/usr/bin/python3", "-c", program]).output
        assert said == b"of the first\n"
    finally:
        pooled.remove(force=True)


def a_mounted_folder_is_changed_at_once(engine: docker.DockerClient, folder: Path) -> None:
    """Hand-over files, links and set-id programs are there before anybody looked, also of a call that failed."""
    code = """
import os
os.makedirs('/space/.git/hooks')
open('/space/.git/hooks/post-commit', 'w').write('id')
os.symlink('/etc', '/space/link')
open('/space/program', 'w').close()
os.chmod('/space/program', 0o4755)
os.mkfifo('/space/fifo')
os.mknod('/space/device', 0o020666, os.makedev(1, 3))
raise SystemExit(1)
"""
    with pytest.raises(docker.errors.ContainerError):
        plain(engine, code, volumes={str(folder): {"bind": "/space", "mode": "rw"}})
    assert (folder / ".git" / "hooks" / "post-commit").read_text() == "id"
    assert (folder / "link").resolve() == Path("/etc")
    assert (folder / "program").stat().st_mode & 0o4000
    assert (folder / "fifo").is_fifo()
    assert (folder / "device").is_char_device()


def the_network_is_open(engine: docker.DockerClient, _: Path) -> None:
    """By the engine's bridge; an engine that was started without one has containers on the host's network at best."""
    addresses = [
        each["Gateway"]
        for network in engine.networks.list(names=["bridge"])
        for each in network.attrs["IPAM"]["Config"] or ()
    ]
    address, mode = (addresses[0], "bridge") if addresses else ("127.0.0.1", "host")
    with socket.create_server((address, 0)) as listener:
        thread = threading.Thread(target=accept, args=(listener,))
        thread.start()
        asked = f"socket.create_connection({listener.getsockname()!r}, 10).getpeername()[0]"
        found = result_of(engine, f"import socket\nresult = {{'to': {asked}}}", network_mode=mode)
        thread.join()
    assert found["to"] == address


def accept(listener: socket.socket) -> None:
    listener.accept()[0].close()


# --- the table


@dataclass(frozen=True)
class Attack:
    """`fails` is where it is shown to fail here: `file::test`, below `tests/`."""

    what: str
    of: tuple[str, ...]
    fails: str
    elsewhere: Naive | Beside | NotShown


PROGRAM, SPACE = "adversarial/test_containment_program.py::", "adversarial/test_containment_workspace.py::"
POOL, ORPHANS = "adversarial/test_containment_pool.py::", "adversarial/test_containment_orphans.py::"
HARDENED = "a hole in the runtime itself would be needed; that none of its ways in is open is shown"
OURS = NotShown("it is about what this project adds; a plain container has nothing like it to attack")
ATTACKS = (
    Attack("rights of a plain container", ("B1", "B11", "configuration"),
           "adversarial/test_b11_privileges.py::test_every_configuration_is_hardened_whatever_the_spec_grants",
           every_right_is_there),
    Attack("a spec asks for a privilege", ("B11", "configuration"),
           "adversarial/test_b11_privileges.py::test_a_spec_cannot_ask_for_a_privilege",
           Beside("defaults over which goes whatever the spec says")),
    Attack("an engine that echoes what it does not enforce", ("B1", "B11", "configuration", "engine's failures"),
           f"{ORPHANS}test_an_engine_that_echoes_what_it_does_not_enforce_gets_no_call",
           NotShown("a plain container is not compared with anything")),
    Attack("every system call, by every entry", ("B1", "system calls"),
           "adversarial/test_every_system_call.py::test_what_is_not_on_the_list_is_not_permitted",
           Beside("the default profile, in a container of `docker run`")),
    Attack("ways into the kernel", ("B1", "B10", "system calls"),
           f"{PROGRAM}test_no_system_call_opens_a_way_out", system_calls_lead_out),
    Attack("the working directory and descriptors of the runtime", ("B1",),
           f"{PROGRAM}test_the_runner_and_the_host_are_out_of_the_program_s_reach", NotShown(HARDENED)),
    Attack("archives of the engine", ("B2",),
           "unit/test_engine_calls.py::test_nobody_else_speaks_with_the_engine",
           NotShown("the engine's archive calls are not made at all; their holes are the engine's own")),
    Attack("frames on every descriptor", ("B8", "protocol"),
           f"{PROGRAM}test_forged_frames_on_every_descriptor_are_only_output", the_last_line_is_believed),
    Attack("frames of a pooled container", ("protocol", "pool"),
           f"{POOL}test_forged_frames_are_only_output_and_the_runner_is_out_of_reach", the_last_line_is_believed),
    Attack("another call's result", ("protocol", "pool"),
           f"{POOL}test_calls_at_once_never_get_each_other_s_result", OURS),
    Attack("a result that is code", ("B8",),
           "unit/test_execute_protocol.py::test_a_result_that_others_would_read_otherwise_is_an_error",
           a_pickle_runs_on_the_host),
    Attack("the host's memory and environment", ("B9",),
           f"{PROGRAM}test_the_runner_and_the_host_are_out_of_the_program_s_reach", secrets_are_at_hand),
    Attack("what ignores signals, forks twice and spins", ("B17", "limit: time"),
           f"{PROGRAM}test_the_deadline_ends_every_process_however_stubborn", sigterm_is_ignored),
    Attack("a client that gives up", ("B17", "limit: time"),
           f"{PROGRAM}test_what_a_program_leaves_running_neither_delays_nor_survives_the_call",
           a_client_that_is_late_leaves_it_running),
    Attack("memory of the program and of its child", ("B13", "limit: memory"),
           f"{PROGRAM}test_memory_is_bounded_wherever_it_is_taken", memory_has_no_end),
    Attack("a fork bomb", ("B13", "limit: processes"), f"{PROGRAM}test_processes_are_bounded", processes_have_no_end),
    Attack("scratch space and descriptors", ("B13", "limit: open files", "limit: scratch space"),
           f"{PROGRAM}test_scratch_space_and_descriptors_are_bounded", files_have_no_end),
    Attack("one large file", ("B13", "limit: file size"), f"{PROGRAM}test_one_file_is_bounded", files_have_no_end),
    Attack("a flood of output", ("B13", "limit: output"),
           f"{PROGRAM}test_a_flood_is_cut_while_it_comes", output_has_no_end),
    Attack("a result that is large, or nested deeply", ("B13", "limit: result"),
           "conformance/test_runners.py::a_result_that_is_nested_too_deeply_is_an_error", output_has_no_end),
    Attack("an engine that refuses, hangs, forgets, vanishes or lies", ("B16", "engine's failures"),
           "adversarial/test_engine_faults.py::test_a_fault_is_ours_and_nothing_is_left",
           NotShown("what `docker run` does then is up to its caller")),
    Attack("something left for the next call", ("B14", "pool"),
           f"{POOL}test_what_a_call_leaves_no_later_call_sees", a_used_container_remembers),
    Attack("links, devices, fifos, set-id bits, hostile names", ("B3", "B7", "workspace: refused always"),
           f"{SPACE}test_one_refused_change_refuses_the_whole_call", a_mounted_folder_is_changed_at_once),
    Attack("hooks and settings that the host acts upon", ("B7", "workspace: hand-over files"),
           "unit/test_execute_workspace.py::test_hand_over_files_and_hostile_names_refuse_the_call",
           a_mounted_folder_is_changed_at_once),
    Attack("changes of a call that failed", ("workspace: read only, and what was not allowed",),
           f"{SPACE}test_a_call_that_does_not_end_ok_commits_nothing", a_mounted_folder_is_changed_at_once),
    Attack("a path through a link", ("B3",),
           f"{SPACE}test_a_path_through_a_link_or_out_of_the_workspace_fails",
           Beside("a tool on the host that compares prefixes")),
    Attack("two calls on one workspace", ("workspace: two calls",),
           f"{SPACE}test_a_change_by_someone_else_meanwhile_is_not_overwritten",
           NotShown("in a mounted folder the last one wins, as everybody knows")),
    Attack("the host dies while it commits", ("workspace: killed in the middle",),
           "adversarial/test_review_commit.py::test_a_recovery_never_drops_a_file_without_a_word", OURS),
    Attack("hosts that were not granted, in any spelling", ("B10", "network"),
           "adversarial/test_b10_network.py::test_nothing_else_is_reached_in_any_spelling", the_network_is_open),
    Attack("redirects, smuggling, rebinding", ("B10", "network"),
           "adversarial/test_b10_network.py::test_smuggled_requests_never_reach_the_server",
           NotShown("a plain container has no proxy; the class is of those that have")),
    Attack("programs to climb on in the image", ("images",),
           "adversarial/test_containment_image.py::test_the_standard_library_is_whole_and_there_is_nothing_to_climb_on",
           NotShown("that images of distributions have a shell needs no run")),
    Attack("a runtime that only has gVisor's name", ("B1", "stronger isolation"),
           "conformance/test_isolation.py::test_a_runtime_that_only_has_the_name_gets_no_call", OURS),
    Attack("a call that goes on after the switch", ("stopping",),
           "adversarial/test_kill_switch_containers.py::test_a_cold_call_is_killed_and_recorded",
           a_client_that_is_late_leaves_it_running),
    Attack("a host that is killed", ("B16", "orphans"),
           f"{ORPHANS}test_after_a_sigkill_the_container_ends_itself_and_is_reaped",
           a_client_that_is_late_leaves_it_running),
    Attack("a call that is repeated after a crash", ("at most once",),
           "adversarial/test_killed.py::test_an_interrupted_call_is_never_repeated_by_the_gate", OURS),
    Attack("a host that is killed at any moment", ("at most once", "receipts"),
           "adversarial/test_long_runs.py::test_a_host_that_is_killed_at_any_moment_loses_and_doubles_nothing", OURS),
    Attack("what was checked is not what runs", ("B4",),
           "adversarial/test_b04_checked_is_what_runs.py::test_a_dict_that_changes_while_a_person_thinks_does_not_change_what_runs",
           Beside("a gate that keeps the caller's object")),
    Attack("checks that fail open", ("B5",),
           "adversarial/test_b05_fail_closed.py::test_a_solver_that_does_not_confirm_denies",
           Beside("a gate for which an exception is no objection")),
    Attack("a field that turns the sandbox off", ("B6",),
           "adversarial/test_b06_the_model_holds_no_key.py::test_a_field_beside_the_call_refuses_it",
           Beside("settings over which goes what the message says")),
    Attack("a tool that is described anew", ("B12",),
           "adversarial/test_mcp_server.py::test_a_rug_pull_in_the_middle_of_a_session_is_refused_until_reviewed",
           NotShown("a client without a gateway shows the model whatever the server lists")),
    Attack("ways around the gate", ("B15",),
           "adversarial/test_langchain.py::test_every_way_of_running_an_agent_goes_through_the_gate",
           NotShown("without a gate there is nothing to go around")),
)  # fmt: skip


def test_every_promise_and_every_class_has_an_attack() -> None:
    attacked = {each for attack in ATTACKS for each in attack.of}
    assert attacked == {*PROMISES, *CLASSES}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.what)
def test_where_it_fails_there_is_a_test(attack: Attack) -> None:
    file, _, name = attack.fails.partition("::")
    tree = ast.parse((TESTS / file).read_text())
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == name]
    assert len(found) == 1


NAIVE = {attack.elsewhere.__name__: attack.elsewhere for attack in ATTACKS if callable(attack.elsewhere)}


@pytest.mark.containers
@pytest.mark.no_cover
@pytest.mark.parametrize("name", NAIVE)
def test_in_a_plain_container_it_succeeds(name: str, engine: docker.DockerClient, tmp_path: Path) -> None:
    NAIVE[name](engine, tmp_path)
