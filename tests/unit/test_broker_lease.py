"""The broker's process and folder are there for one call, hold no right and no secret in sight, and leave nothing."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import execkit
import netkit
import pytest

from sandbox.call import Outcome
from sandbox.errors import EnvironmentLacking, SandboxFailure
from sandbox.execute.broker import lease as leases
from sandbox.execute.broker import server as served
from sandbox.execute.broker.credentials import read_secrets
from sandbox.execute.broker.lease import Lease, broker_for, drop_abandoned_leases, open_lease
from sandbox.execute.folders import private_folder
from sandbox.ir import Credential, NetworkGrant

GRANT = NetworkGrant("127.0.0.1", 1, tls=False)
OK = Outcome("ok", "ok", "", result=1)


@pytest.fixture
def lease() -> Iterator[Lease]:
    opened = open_lease([GRANT], [None])
    yield opened
    opened.close()


def ask(lease: Lease, text: str) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(lease.folder / "socket"))
        connection.sendall(text.encode())
        got = b""
        while part := connection.recv(65536):
            got += part
        return got


def status_of(pid: int) -> dict[str, list[str]]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line.partition(":")[0]: line.partition(":")[2].split() for line in lines}


def test_a_request_before_the_process_is_ready_waits_for_it(lease: Lease) -> None:
    got = ask(lease, "GET http://other/ HTTP/1.1\r\nHost: other\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 403 network.not_granted: ")
    lease.await_ready()


def test_the_process_has_no_rights_and_nothing_of_the_gate_s_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_GATE", "x")
    secret = "a-credential-of-the-bank"  # noqa: S105  # of no one
    grant = replace(GRANT, credential=Credential("x-key", "", "env", "KEY"))
    lease = open_lease([grant], [secret])
    try:
        lease.await_ready()
        pid = lease._process.pid
        status = status_of(pid)
        if os.geteuid() == 0:
            assert (status["Uid"], status["Gid"]) == ([str(served.USER)] * 4, [str(served.USER)] * 4)
            assert status["Groups"] == []
            assert status["CapEff"] == ["0000000000000000"]
        assert status["NoNewPrivs"] == ["1"]
        words = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
        assert secret.encode() not in words
        assert b"SECRET_OF_THE_GATE" not in words
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert "Max core file size        0 " in limits
        done = subprocess.run(
            ["/usr/bin/head", "-c1", f"/proc/{pid}/environ"], user=served.USER, check=False, capture_output=True
        )
        assert b"Permission denied" in done.stderr  # not even a process of the same user reads its memory
    finally:
        lease.close()


def test_closing_leaves_no_process_no_folder_and_no_descriptor() -> None:
    before = descriptors()
    lease = open_lease([GRANT], [None])
    pid, folder = lease._process.pid, lease.folder
    assert folder.is_dir()
    lease.close()
    assert not folder.exists()
    assert not Path(f"/proc/{pid}").exists()
    assert descriptors() == before


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def test_a_broker_that_dies_fails_the_call_and_refuses_the_container(lease: Lease) -> None:
    lease.await_ready()
    os.kill(lease._process.pid, signal.SIGKILL)
    lease._process.wait()
    with pytest.raises(ConnectionRefusedError):
        ask(lease, "GET http://other/ HTTP/1.1\r\nHost: other\r\n\r\n")
    outcome = lease.settle(OK)
    assert (outcome.status, outcome.reason_code, outcome.result) == ("sandbox_failure", "sandbox_failure.broker", None)
    assert outcome.started


def test_a_broker_that_lives_to_the_end_adds_its_requests(lease: Lease) -> None:
    ask(lease, "GET http://other/path HTTP/1.1\r\nHost: other\r\n\r\n")
    outcome = lease.settle(OK)
    assert (outcome.status, outcome.result) == ("ok", 1)
    assert [(each.host, each.path, each.reason_code) for each in outcome.requests] == [
        ("other", "/path", "network.not_granted")
    ]
    failed = replace(OK, status="timeout", reason_code="limit.time")
    assert lease.settle(failed).status == "timeout"  # what ended the call stays what it was


def test_a_broker_that_cannot_start_is_told_before_the_call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "python"  # takes its policy, and ends
    broken.write_text("#!/bin/sh\nread policy\n")
    broken.chmod(0o755)
    monkeypatch.setattr(leases.sys, "executable", str(broken))
    with contextlib.closing(open_lease([GRANT], [None])) as lease:
        with pytest.raises(SandboxFailure, match="did not start") as caught:
            lease.await_ready()
        assert caught.value.reason_code == "sandbox_failure.broker"
    monkeypatch.setattr(leases.sys, "executable", "/nowhere/python")
    tool = execkit.python_tool(network=(GRANT,))
    with broker_for(execkit.contract_of(tool), tool.run) as none:
        assert (none.failure.reason_code, none.failure.started) == ("sandbox_failure.broker", False)
    assert not list(folders_of(os.getpid()))


def folders_of(pid: int) -> Iterator[Path]:
    return private_folder("brokers").glob(f"{pid}.*")


def test_a_flood_is_ended_by_closing_the_door(lease: Lease) -> None:
    for _ in range(served.MAX_REQUESTS):
        assert ask(lease, "x\r\n\r\n").startswith(b"HTTP/1.1 400")
    with pytest.raises(ConnectionRefusedError):
        ask(lease, "x\r\n\r\n")
    assert len(lease.requests()) == served.MAX_REQUESTS
    assert lease.settle(OK).status == "ok"


def test_connections_that_say_nothing_do_not_keep_others_out_for_long(lease: Lease) -> None:
    lease.await_ready()
    idle = []
    for _ in range(served.MAX_AT_ONCE - 1):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(lease.folder / "socket"))
        idle.append(connection)
    assert ask(lease, "x\r\n\r\n").startswith(b"HTTP/1.1 400")
    for connection in idle:
        connection.close()


VICTIM = """
    import os, sys
    from sandbox.execute.broker.lease import open_lease
    from sandbox.ir import NetworkGrant
    lease = open_lease([NetworkGrant("127.0.0.1", 1, tls=False)], [None])
    lease.await_ready()
    print(lease._process.pid, lease.folder, flush=True)
    sys.stdin.read()
"""


def test_after_a_sigkill_of_its_owner_the_process_ends_itself_and_the_folder_is_removed() -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(VICTIM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with owner:
        pid, folder = owner.stdout.readline().split()
        ended = os.pidfd_open(int(pid))
        owner.kill()
    try:
        assert leases.select.select([ended], [], [], 30)[0], "the broker outlived its owner"
    finally:
        os.close(ended)
    assert Path(folder).is_dir()
    drop_abandoned_leases()
    assert not Path(folder).exists()


def test_a_living_owner_s_folder_is_left_alone(lease: Lease) -> None:
    drop_abandoned_leases()
    assert lease.folder.is_dir()


# --- secrets


def secret_of(credential: Credential, file: str = execkit.SPEC) -> str | None:
    grants = (NetworkGrant("a.example", 443, credential=credential),)
    (found,) = read_secrets(execkit.contract_of(execkit.python_tool(), file), grants)
    return found


def test_a_secret_is_read_from_the_environment_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_TEST_TOKEN", "from-the-environment")
    assert secret_of(Credential("a", "", "env", "SANDBOX_TEST_TOKEN")) == "from-the-environment"
    (tmp_path / "token").write_text("from-a-file\n")
    spec = str(tmp_path / "specs" / "s.yaml")
    (tmp_path / "specs").mkdir()
    assert secret_of(Credential("a", "", "file", "../token"), spec) == "from-a-file"
    assert read_secrets(execkit.contract_of(execkit.python_tool()), (NetworkGrant("a.example", 443),)) == (None,)


@pytest.mark.parametrize(
    "value", ["", "short", "two\nlines-of-it", "ends with a space ", "naïve-secret", "\x1b[31mred-one"]
)
def test_a_secret_that_fits_no_header_is_lacking(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_TEST_TOKEN", value)
    (tmp_path / "token").write_text(value)
    for credential in (Credential("a", "", "env", "SANDBOX_TEST_TOKEN"), Credential("a", "", "file", "token")):
        with pytest.raises(EnvironmentLacking) as caught:
            secret_of(credential, str(tmp_path / "s.yaml"))
        assert caught.value.reason_code == "environment.credential"
        assert not value or value not in str(caught.value)


def test_a_secret_that_is_not_there_is_lacking(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentLacking, match="`SANDBOX_TEST_NOTHING` is not set"):
        secret_of(Credential("a", "", "env", "SANDBOX_TEST_NOTHING"))
    with pytest.raises(EnvironmentLacking, match="cannot be read: No such file"):
        secret_of(Credential("a", "", "file", "token"), str(tmp_path / "s.yaml"))


def test_the_secret_reaches_the_server_and_no_record(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = netkit.authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.certificate))
    with netkit.serving(context=made.context_for("127.0.0.1")) as server:
        grant = NetworkGrant("127.0.0.1", server.port, credential=Credential("authorization", "Bearer ", "env", "K"))
        lease = open_lease([grant], ["the-secret-of-the-bank"])
        try:
            place = f"127.0.0.1:{server.port}"
            got = ask(lease, f"GET http://{place}/ HTTP/1.1\r\nHost: {place}\r\n\r\n")
            outcome = lease.settle(OK)
        finally:
            lease.close()
    assert got.endswith(b"hello")
    assert server.seen[0].header("authorization") == ["Bearer the-secret-of-the-bank"]
    assert "the-secret" not in json.dumps([str(each) for each in outcome.requests])
