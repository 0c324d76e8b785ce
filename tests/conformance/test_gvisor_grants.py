"""What a spec grants is granted in gVisor too, as a container has it: workspaces, hosts, servers behind the gateway."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import execkit
import netkit
import pytest
from enginekit import GVISOR_ARGUMENTS, OwnEngine, gvisor_engine, own_engine

from sandbox.errors import EnvironmentLacking
from sandbox.execute.cold import ColdRunner
from sandbox.ir import NetworkGrant, Workspace
from tests.adversarial import containment_probes as probes
from tests.adversarial import test_mcp_server as served
from tests.mcpkit import SPEC

pytestmark = [pytest.mark.containers, pytest.mark.deep]

notes = served.notes
page = served.page


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


# --- workspaces


@pytest.fixture
def space(tmp_path: Path) -> Path:
    folder = tmp_path / "space"
    folder.mkdir()
    (folder / "a.md").write_text("before")
    (folder / "gone.md").write_text("x")
    (folder / "mapped").write_bytes(b"x" * 4096)
    return folder


CHANGING = """
import mmap, os
open('/workspace/new.md', 'w').write('new')
open('/workspace/a.md', 'a').write(' and after')
os.mkdir('/workspace/d')
open('/workspace/d/x', 'w').write('x')
os.unlink('/workspace/gone.md')
with open('/workspace/mapped', 'r+b') as file, mmap.mmap(file.fileno(), 4096) as memory:
    memory[0:6] = b'mapped'
result = sorted(os.listdir('/workspace'))
"""


def test_what_a_call_changed_is_committed_whole(cold: ColdRunner, space: Path) -> None:
    outcome = execkit.run_program(cold, CHANGING, workspace=Workspace(str(space), "rw"))
    assert outcome.result == ["a.md", "d", "mapped", "new.md"]
    assert [(each.path, each.kind) for each in outcome.changes] == [
        ("a.md", "modified"),
        ("d", "added"),
        ("d/x", "added"),
        ("gone.md", "deleted"),
        ("mapped", "modified"),
        ("new.md", "added"),
    ]
    assert sorted(each.name for each in space.iterdir()) == ["a.md", "d", "mapped", "new.md"]
    assert (space / "a.md").read_text() == "before and after"
    assert (space / "mapped").read_bytes() == b"mapped" + b"x" * 4090


def test_what_may_only_be_read_is_not_written(cold: ColdRunner, space: Path) -> None:
    outcome = execkit.run_program(cold, CHANGING, workspace=Workspace(str(space), "ro"))
    assert (outcome.status, outcome.reason_code) == ("error", "tool.error")
    assert "Read-only file system" in outcome.reason


REFUSED = {
    "a link": "os.symlink('/etc', '/workspace/link')",
    "a hard link": "os.link('/workspace/a.md', '/workspace/again')",
    "set-id": "os.chmod('/workspace/a.md', 0o4755)",
    "a hook": "os.makedirs('/workspace/.git/hooks'); open('/workspace/.git/hooks/post-commit', 'w').write('id')",
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_never_committed_refuses_the_call(what: str, cold: ColdRunner, space: Path) -> None:
    code = f"import os\nopen('/workspace/good.md', 'w')\n{REFUSED[what]}"
    outcome = execkit.run_program(cold, code, workspace=Workspace(str(space), "rw"))
    assert (outcome.status, outcome.reason_code) == ("error", "changes.refused")
    assert sorted(each.name for each in space.iterdir()) == ["a.md", "gone.md", "mapped"]


def test_sockets_and_fifos_of_a_call_are_gvisors_own(cold: ColdRunner, space: Path) -> None:
    code = """
import os, socket
socket.socket(socket.AF_UNIX).bind('/workspace/socket')
try:
    os.mkfifo('/workspace/fifo')
except OSError as error:
    result = error.errno
"""
    outcome = execkit.run_program(cold, code, workspace=Workspace(str(space), "rw"))
    assert (outcome.status, outcome.result, outcome.changes) == ("ok", 1, ())
    assert sorted(each.name for each in space.iterdir()) == ["a.md", "gone.md", "mapped"]


def test_a_view_is_limited_and_a_call_that_is_killed_commits_nothing(cold: ColdRunner, space: Path) -> None:
    small = Workspace(str(space), "rw", size=2**20)
    full = execkit.run_program(cold, "open('/workspace/big', 'wb').write(b'x' * 2**22)", workspace=small)
    assert (full.status, full.reason_code) == ("error", "tool.error")
    killed = "open('/workspace/late.md', 'w').write('x')\nwhile True: pass"
    late = execkit.run_program(cold, killed, workspace=Workspace(str(space), "rw"), timeout_ms=1_500)
    assert (late.status, late.reason_code) == ("timeout", "limit.time")
    assert sorted(each.name for each in space.iterdir()) == ["a.md", "gone.md", "mapped"]


def test_the_shipped_tools_open_no_path_through_a_link(cold: ColdRunner, space: Path) -> None:
    read = execkit.files_tool("read", space, "ro")
    assert execkit.run_tool(cold, read, path="/workspace/a.md").result == {
        "path": "/workspace/a.md",
        "content": "before",
    }
    wrote = execkit.run_tool(cold, execkit.files_tool("write", space), path="/workspace/b.md", content="b")
    assert (wrote.status, (space / "b.md").read_text()) == ("ok", "b")
    (space / "out").symlink_to("/etc")
    (space / "b.md").rename(space / "c.md")
    (space / "b.md").symlink_to("c.md")
    for path in ("/workspace/out/hostname", "/workspace/b.md"):
        assert execkit.run_tool(cold, read, path=path).status == "error", path


# --- hosts


def plain(server: netkit.Server) -> NetworkGrant:
    return NetworkGrant("127.0.0.1", server.port, tls=False)


def test_a_tool_and_an_ordinary_program_reach_what_is_granted_and_nothing_else(cold: ColdRunner) -> None:
    with netkit.serving() as server, netkit.serving() as other:
        code = f"""
from sandbox import FetchError, fetch
import urllib.request
result = [fetch('http://127.0.0.1:{server.port}/by-fetch').status]
with urllib.request.urlopen('http://127.0.0.1:{server.port}/by-proxy', b'data') as got:
    result.append(got.status)
try:
    fetch('http://127.0.0.1:{other.port}/')
except FetchError as error:
    result.append(error.reason_code)
"""
        outcome = execkit.run_program(cold, code, network=(plain(server),))
        assert outcome.result == [200, 200, "network.not_granted"]
        assert [(each.method, each.target) for each in server.seen] == [("GET", "/by-fetch"), ("POST", "/by-proxy")]
        assert other.seen == []
        assert [each.reason_code for each in outcome.requests] == ["ok", "ok", "network.not_granted"]


def test_nothing_leads_out_but_the_broker_s_socket(cold: ColdRunner) -> None:
    with netkit.serving() as server:
        code = probes.NETWORK.replace("PORT", str(server.port))
        outcome = execkit.run_program(cold, code, network=(plain(server),))
        found = outcome.result
        assert isinstance(found, dict), outcome
        assert (found["direct"], found["outside"], found["names"]) == ("ConnectionRefusedError", "OSError", "gaierror")
        assert set(found["families"].values()) == {"PermissionError"}
        assert set(found["socket"].values()) <= {"EACCES", "EROFS", "EPERM"}
        assert found["interfaces"] == ["lo"]
        assert server.seen == []


def test_a_runtime_that_may_reach_sockets_reaches_none_that_is_not_mounted(
    cold: ColdRunner, space: Path, gvisor: OwnEngine
) -> None:
    """The broker's is the only one in there: a link to the host's is followed inside, and a new one stays there."""
    engine = gvisor.url.removeprefix("unix://")
    (space / "engine").symlink_to(engine)
    code = f"""
import os, socket
def attempt(path):
    try:
        socket.socket(socket.AF_UNIX).connect(path)
        return 'connected'
    except OSError as error:
        return type(error).__name__
os.symlink({engine!r}, '/tmp/engine')
socket.socket(socket.AF_UNIX).bind('/workspace/mine')
paths = ['/workspace/engine', '/tmp/engine', {engine!r}, '/proc/1/root{engine}', '/proc/self/root{engine}',
         '/var/run/docker.sock', '/broker/../..{engine}']
result = {{path: attempt(path) for path in paths}}
"""
    with netkit.serving() as server:
        workspace = Workspace(str(space), "rw")
        outcome = execkit.run_program(cold, code, network=(plain(server),), workspace=workspace)
    assert isinstance(outcome.result, dict), outcome
    assert "connected" not in outcome.result.values()
    assert not (space / "mine").exists()


def test_without_a_runtime_for_it_a_grant_is_refused_before_anything_starts(
    gvisor: OwnEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = execkit.python_tool(network=(NetworkGrant("a.example", 443),), min_isolation="gvisor")
    for words in ([], ["--host-uds=all"]):
        runtimes = {
            "runsc": {"path": "/usr/bin/runsc", "runtimeArgs": list(GVISOR_ARGUMENTS)},
            "runsc-network": {"path": "/usr/bin/runsc", "runtimeArgs": [*GVISOR_ARGUMENTS, *words]},
        }
        with own_engine(runtimes=runtimes) as engine, monkeypatch.context() as patched:
            patched.setenv("DOCKER_HOST", engine.url)
            with contextlib.closing(ColdRunner()) as runner, pytest.raises(EnvironmentLacking) as refused:
                runner.prepare(execkit.contract_of(tool), tool)
            assert str(refused.value) == (
                "tool `run_code` demands min_isolation `gvisor` and has a `network` grant, and the engine has no "
                "gVisor that reaches the broker's socket: register gVisor a second time, as `runsc-network`, with "
                "`--oci-seccomp` and `--host-uds=open` among its `runtimeArgs` (docs/isolation.md)"
            )


# --- servers behind the gateway


@pytest.fixture
def sessions(gvisor: OwnEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Sessions as `test_mcp_server` has them, whose servers demand gVisor."""
    monkeypatch.setenv("DOCKER_HOST", gvisor.url)
    opened: list[served.Session] = []

    def start(code: str = "pass", text: str = SPEC, folder: str = "spec") -> served.Session:
        strong = text.replace("server: {", "server: {min_isolation: gvisor, ").replace(", }", "}")
        opened.append(served.Session(tmp_path / folder, code, strong))
        return opened[-1]

    yield start
    for session in opened:
        session.close()
    assert gvisor.client.containers(all=True) == []


def test_a_server_in_gvisor_is_forwarded_to_and_its_runtime_told(sessions: object) -> None:
    session = sessions("args = {'kernel': os.uname().version}")
    assert "2016" in session.call("hello")[1]
    receipt = served.records(session.folder)[-1]["body"]["receipt"]
    assert (receipt["isolation"], receipt["runtime"].rpartition(", ")[2]) == ("session", "runsc")


OF_A_SERVER: tuple[Callable[[object], None], ...] = (
    served.test_a_well_behaved_server_is_forwarded_to,
    served.test_a_rug_pull_in_the_middle_of_a_session_is_refused_until_reviewed,
    served.test_a_tool_that_is_gone_is_refused_and_one_that_is_new_is_not_offered,
)
OF_ITS_WORKSPACE: tuple[Callable[[object, Path], None], ...] = (
    served.test_a_call_that_ends_ok_commits_and_says_what,
    served.test_a_call_that_fails_changes_nothing_and_leaves_nothing_for_the_next,
    served.test_what_the_server_writes_between_calls_is_taken_back,
    served.test_what_the_host_writes_meanwhile_is_seen_by_the_next_call_and_never_overwritten,
)


@pytest.mark.parametrize("case", OF_A_SERVER, ids=lambda case: case.__name__)
def test_a_server_in_gvisor_keeps_what_one_in_a_container_keeps(
    case: Callable[[object], None], sessions: object
) -> None:
    case(sessions)


@pytest.mark.parametrize("case", OF_ITS_WORKSPACE, ids=lambda case: case.__name__)
def test_the_workspace_of_a_server_in_gvisor_is_a_transaction_for_every_call(
    case: Callable[[object, Path], None], sessions: object, notes: Path
) -> None:
    case(sessions, notes)


def test_a_server_in_gvisor_reaches_what_it_is_granted_in_a_call_and_nothing_between_calls(
    sessions: object, page: tuple[int, list[str]]
) -> None:
    served.test_a_server_reaches_what_it_is_granted_in_a_call_and_nothing_between_calls(sessions, page)
