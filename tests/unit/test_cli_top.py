"""`sandbox top`: what it tells of calls and containers, and that it neither waits nor writes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from gatekit import STRANGER, SpyRunner, open_gate, payment

from sandbox.approve import ScriptedApprover
from sandbox.call import Outcome, Permit
from sandbox.cli import top
from sandbox.cli.program import PROGRAM
from sandbox.errors import EnvironmentLacking, SandboxFailure
from sandbox.execute.census import census, kind_of
from sandbox.execute.owner import LABEL_PROJECT, Owner
from sandbox.state import Store

Containers = Mapping[int, Counter[str]] | None


@pytest.fixture(autouse=True)
def containers(monkeypatch: pytest.MonkeyPatch) -> None:
    told: Containers = {12: Counter(pool=3, call=1), 7: Counter(session=1)}
    monkeypatch.setattr(top, "_containers", lambda: told)


def run(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(PROGRAM, ["top", "--state", f"sqlite:///{folder}/.sandbox/state.db", *words])


def seen_while_running(folder: Path, *words: str) -> Result:
    """What is told while a call runs, whose permit is as old as the gate's clock says."""
    found: list[Result] = []

    def look(_: Permit) -> Outcome:
        found.append(run(folder, *words))
        return Outcome("ok", "ok", "")

    with open_gate(folder, runner=SpyRunner(look), approver=ScriptedApprover("ann")) as gate:
        gate.call(payment(STRANGER))
    return found[0]


def test_a_running_call_and_the_containers_of_each_process(tmp_path: Path) -> None:
    lines = seen_while_running(tmp_path).stdout.splitlines()
    assert lines[0] == "1 calls on their way"
    assert lines[1].split() == ["PROCESS", "FOR", "STATUS", "CALL", "TOOL"]
    assert lines[2].split()[3:4] + lines[2].split()[5:] == ["running", "send_money"]
    assert lines[3:] == [
        "5 containers of living processes",
        "  PROCESS     POOL     CALL  SESSION    OTHER",
        "        7        0        0        1        0",
        "       12        3        1        0        0",
    ]


def test_one_document(tmp_path: Path) -> None:
    document = json.loads(seen_while_running(tmp_path, "--json").stdout)
    (call,) = document["calls"]
    assert (call["tool"], call["status"], len(call["call_digest"])) == ("send_money", "running", 64)
    assert call["for_ms"] >= 0
    assert document["stopped"] is False
    assert document["containers"] == [
        {"owner_pid": 7, "pool": 0, "call": 0, "session": 1, "other": 0},
        {"owner_pid": 12, "pool": 3, "call": 1, "session": 0, "other": 0},
    ]
    assert STRANGER not in json.dumps(document)


def test_nothing_runs_and_the_switch_is_on_and_no_engine_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_gate(tmp_path) as gate:
        gate.call(payment())
    monkeypatch.setattr(top, "_containers", lambda: None)
    assert run(tmp_path).stdout.splitlines() == ["0 calls on their way", "no container engine answers"]
    with Store.existing(tmp_path / ".sandbox/state.db").transaction() as transaction:
        transaction.stop()
    assert run(tmp_path).stdout.splitlines()[0] == "0 calls on their way; the kill switch is on"
    assert json.loads(run(tmp_path, "--json").stdout) == {
        "schema_version": 1,
        "stopped": True,
        "calls": [],
        "containers": None,
    }


def test_no_state_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert (done.exit_code, done.stderr.startswith("there is no state at")) == (2, True)


def test_it_looks_again_until_it_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_gate(tmp_path).close()
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(top.time, "sleep", wait)
    monkeypatch.setattr(top, "on_terminal", lambda: True)
    done = run(tmp_path, "--interval", "0.5")
    assert (done.exit_code, waits) == (0, [0.5] * 3)
    assert done.stdout.count("0 calls on their way") == 3


def test_it_writes_nothing_and_waits_for_nobody(tmp_path: Path) -> None:
    with open_gate(tmp_path) as gate:
        gate.call(payment())
        with gate._store.transaction():  # held by somebody for as long as this takes
            assert run(tmp_path).exit_code == 0


# --- containers


def test_what_a_container_is_for() -> None:
    assert [kind_of(label) for label in ("pool", "a" * 64, "session abc", "examination", "")] == [
        "pool",
        "call",
        "session",
        "other",
        "other",
    ]


class Labelled:
    """An engine that only lists."""

    def __init__(self, *labels: Mapping[str, str]) -> None:
        self._labels = labels

    def labelled(self, label: str) -> tuple[tuple[str, Mapping[str, str]], ...]:
        assert label == LABEL_PROJECT
        return tuple(("id", each) for each in self._labels)


def test_containers_are_counted_by_their_living_owner() -> None:
    mine = Owner.this()
    gone = dict(Owner(mine.pid, "1", mine.boot, mine.namespace).labels("pool"))
    labels = (dict(mine.labels("pool")), dict(mine.labels("pool")), dict(mine.labels("f" * 64)), gone, {})
    assert census(Labelled(*labels)) == {mine.pid: Counter(pool=2, call=1)}  # type: ignore[arg-type]  # all that is used of it


@pytest.mark.parametrize("failure", [EnvironmentLacking("none", "environment.engine"), SandboxFailure("slow")])
def test_without_an_engine_there_are_no_containers(monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    monkeypatch.undo()

    class Failing:
        @classmethod
        def connect(cls) -> Failing:
            if isinstance(failure, EnvironmentLacking):
                raise failure
            return cls()

        def labelled(self, _: str) -> None:
            raise failure

        def close(self) -> None:
            """Nothing is open."""

    monkeypatch.setattr(top, "connect", Failing.connect)
    assert top._containers() is None
