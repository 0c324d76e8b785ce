"""The whole way for real: from raw bytes through the gate into a container, and what is left when a process dies."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import docker
import pytest
from gatekit import TRUSTED, kinds, spec_file

from sandbox import sandboxed
from sandbox.approve import ScriptedApprover
from sandbox.audit import verify
from sandbox.errors import ApprovalNeeded, Denied, EnvironmentLacking, ToolError
from sandbox.execute.owner import LABEL_PID
from sandbox.gate import Gate

pytestmark = pytest.mark.containers

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the specs, with state and workspaces of its own."""
    for name in ("specs", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", ".sandbox"))
    for name in ("payments", "files"):
        (tmp_path / "workspaces" / name).mkdir(parents=True)
    (tmp_path / "pyproject.toml").touch()
    return tmp_path


def code(text: str) -> bytes:
    return json.dumps({"tool": "run_code", "args": {"code": text}}).encode()


def test_a_program_runs_in_a_container_and_its_result_comes_back(project: Path) -> None:
    with Gate.open(project / "specs/python.yaml") as gate:
        result = gate.call(code("print('hi'); result = {'six': 6}"))
    assert (result.value, result.outcome.stdout) == ({"six": 6}, "hi\n")
    assert result.receipt.isolation == "container"
    assert all(
        len(digest) == 64
        for digest in (result.receipt.run_digest, result.receipt.image_digest, result.receipt.source_digest)
    )
    assert verify(project / "specs/.sandbox/state.audit.jsonl").head == result.receipt.record_digest


@pytest.mark.parametrize(
    ("program", "reason_code"),
    [("1/0", "tool.error"), ("while True: pass", "limit.time"), ("print('x' * 10**6)", "limit.output")],
)
def test_what_does_not_end_well_is_the_tools_error(project: Path, program: str, reason_code: str) -> None:
    with Gate.open(project / "specs/python.yaml") as gate, pytest.raises(ToolError) as error:
        gate.call(code(program))
    assert error.value.reason_code == reason_code


def test_awaited_calls_run_side_by_side(project: Path) -> None:
    async def main() -> list[object]:
        async with Gate.open(project / "specs/python.yaml") as gate:
            return [
                result.value for result in await asyncio.gather(*(gate.acall(code(f"result = {n}")) for n in range(3)))
            ]

    assert asyncio.run(main()) == [0, 1, 2]


def test_a_decorated_function_pays_from_its_container(project: Path) -> None:
    with Gate.open(project / "specs/payments.yaml") as gate:

        @sandboxed(gate)
        def send_money(recipient: str, amount: Decimal, note: str = "") -> dict[str, object]: ...

        send_money(TRUSTED[0], Decimal("12.34"), note="lunch")
        with pytest.raises(Denied):
            send_money(TRUSTED[0], Decimal(6000))
        with pytest.raises(ApprovalNeeded):
            send_money("FR7630006000011234567890189", Decimal(1))
    written = "".join(path.read_text() for path in (project / "workspaces/payments").iterdir())
    assert written.count("12.34") == 1


def test_an_approved_call_runs_with_what_the_person_saw(project: Path) -> None:
    with Gate.open(project / "specs/payments.yaml", approver=ScriptedApprover("ann")) as gate:
        args = {"recipient": "FR7630006000011234567890189", "amount": "4000"}
        result = gate.call({"tool": "send_money", "args": args})
    assert result.receipt.approved_by == ("ann",)
    assert [change.kind for change in result.outcome.changes] == ["added"]


def test_a_credential_that_is_not_there_is_exit_4_and_spends_nothing(project: Path) -> None:
    spec = project / "specs/payments.yaml"
    grant = '{to: "api.bank.example:443", credential: {env: SANDBOX_TEST_VARIABLE_THAT_IS_NOT_SET}}'
    text = spec.read_text().replace("      timeout: 10s", f"      timeout: 10s\n      network: [{grant}]")
    granted = spec_file(project, text, "specs/network.yaml")
    with Gate.open(granted, state=f"sqlite:///{project}/s/s.db") as gate:
        for _ in range(6):
            with pytest.raises(EnvironmentLacking, match="is not set"):
                gate.call({"tool": "send_money", "args": {"recipient": TRUSTED[0], "amount": "1000"}})


SLEEPY = "print('begun', flush=True)\nimport time\ntime.sleep(600)"


def heed_interrupts() -> None:
    """As at a terminal: what a shell starts in the background ignores them, and so does all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start_sleeper(project: Path, engine: docker.DockerClient) -> subprocess.Popen[bytes]:
    """`sandbox run` of a program that sleeps; returns once its container has started."""
    spec = project / "specs/python.yaml"
    spec.write_text(spec.read_text().replace("timeout: 5s", "timeout: 60s"))
    words = ["run", spec, "--tool", "run_code", "--args", json.dumps({"code": SLEEPY}), "--json"]
    started = engine.events(decode=True, filters={"event": "start"})
    victim = subprocess.Popen(
        [sys.executable, "-m", "sandbox", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=heed_interrupts,  # noqa: PLW1509 - one call, and no thread of ours holds a lock
    )
    with contextlib.closing(started):
        pids = (event["Actor"]["Attributes"].get(LABEL_PID) for event in started)
        assert str(victim.pid) in pids
    return victim


def containers_of(engine: docker.DockerClient, pid: int) -> list[object]:
    return engine.containers.list(all=True, filters={"label": f"{LABEL_PID}={pid}"}, ignore_removed=True)


def test_a_killed_run_is_interrupted_and_reaped_at_the_next_start(project: Path, engine: docker.DockerClient) -> None:
    victim = start_sleeper(project, engine)
    victim.kill()
    victim.communicate()
    with Gate.open(project / "specs/python.yaml") as gate:
        assert containers_of(engine, victim.pid) == []
        with gate._store.transaction() as transaction:
            assert transaction.load(gate.contract, 0).events["runs"]
    assert kinds(project / "specs") == ["intent", "interrupted"]
    assert verify(project / "specs/.sandbox/state.audit.jsonl").records == 2


def test_an_interrupted_run_ends_with_130_and_leaves_no_container(project: Path, engine: docker.DockerClient) -> None:
    victim = start_sleeper(project, engine)
    victim.send_signal(signal.SIGINT)
    _, errors = victim.communicate(timeout=60)
    assert (victim.returncode, errors.split()) == (130, [b"interrupted"])
    assert containers_of(engine, victim.pid) == []
    assert kinds(project / "specs") == ["intent", "outcome"]
