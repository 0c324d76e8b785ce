"""The kill switch: thrown without a lock, noticed while calls run, undone by nothing but `resume`."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from gatekit import NOON, OK, SpyRunner, digest_of, open_gate, payment, records, spec_file

from sandbox import Gate
from sandbox.audit import verify
from sandbox.call import Outcome, Permit
from sandbox.cli import stop as stop_command
from sandbox.cli.program import PROGRAM
from sandbox.errors import Denied, Fault, SandboxFailure, ToolError, UsageError
from sandbox.execute.engine import Engine
from sandbox.execute.forcing import kill_containers
from sandbox.execute.owner import Owner
from sandbox.execute.stopping import Execution, Executions, Stoppable
from sandbox.receipts import check_receipts
from sandbox.state import Reservation, Store, Switch
from sandbox.state_switch import clear, is_thrown, marker_of, throw
from sandbox.watch import MAX_UNREAD, Watch

SOON = 20.0


class Held(SpyRunner):
    """Runs until it is killed, or let go."""

    def __init__(self) -> None:
        super().__init__(self.hold)
        self.began = threading.Event()
        self.go_on = threading.Event()
        self.killed: list[str] = []
        self.emptied = threading.Event()

    def hold(self, permit: Permit) -> Outcome:
        self.began.set()
        assert self.go_on.wait(SOON)
        if permit.nonce in self.killed:
            return Execution(killed=True).judge(OK)
        return OK

    def kill(self, nonce: str) -> None:
        self.killed.append(nonce)
        self.go_on.set()

    def empty(self) -> None:
        self.emptied.set()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(f"sqlite:///{tmp_path}/s/state.db", "")
    yield opened
    opened.close()


def invoke(*words: str) -> tuple[int, dict[str, object]]:
    done = CliRunner().invoke(PROGRAM, [*words, "--json"])
    return done.exit_code, json.loads(done.stdout)


def state_of(folder: Path) -> str:
    return f"sqlite:///{folder}/.sandbox/state.db"


# --- the switch itself


def test_either_the_file_or_the_database_means_stopped(store: Store) -> None:
    assert store.switch() == Switch(thrown=False, epoch=0)
    store.throw_switch()
    assert store.switch() == Switch(thrown=True, epoch=0)
    with store.transaction() as transaction:
        assert transaction.stopped()
        transaction.stop()
    store.clear_switch()
    assert store.switch() == Switch(thrown=True, epoch=1)
    with store.transaction() as transaction:
        transaction.resume()
    assert store.switch() == Switch(thrown=False, epoch=1)
    store.clear_switch()  # a second time does nothing


def test_resuming_makes_permits_void_that_the_file_alone_had_stopped(store: Store) -> None:
    store.throw_switch()
    with store.transaction() as transaction:
        transaction.resume()
        assert transaction.kill_epoch() == 1


def test_it_is_thrown_and_read_while_another_process_holds_the_database(store: Store, tmp_path: Path) -> None:
    holder = sqlite3.connect(tmp_path / "s" / "state.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    holder.execute("UPDATE meta SET value = 7 WHERE name = 'kill_epoch'")
    store.throw_switch()
    assert store.switch() == Switch(thrown=True, epoch=0)
    assert store.running() == ()
    holder.close()


def test_a_file_that_cannot_be_looked_at_is_thrown(tmp_path: Path) -> None:
    assert not is_thrown(None)
    marker = marker_of(tmp_path / "state.db")
    assert not is_thrown(marker)
    assert is_thrown(marker / "deeper" if marker.touch() is None else marker)  # `Not a directory`
    clear(marker)
    marker.symlink_to(tmp_path / "nothing")
    assert is_thrown(marker)  # a link that leads nowhere is still there
    with pytest.raises(UsageError, match="cannot be thrown"):
        throw(marker)
    clear(marker)
    marker.mkdir()
    with pytest.raises(UsageError, match="cannot be turned off"):
        clear(marker)


def test_a_switch_that_is_missing_is_damage(store: Store, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "s" / "state.db") as other:
        other.execute("DELETE FROM meta WHERE name = 'stopped'")
    other.close()
    with pytest.raises(Fault, match="the kill switch is missing"):
        store.switch()


def test_a_state_in_memory_has_a_switch_too() -> None:
    store = Store.in_memory()
    store.throw_switch()
    store.clear_switch()
    assert (store.switch(), store.running()) == (Switch(thrown=False, epoch=0), ())
    store.close()


# --- executions


class Recording(Engine):
    """Remembers what it was asked to kill."""

    def __init__(self, containers: dict[str, dict[str, str]] | None = None, *, fails: bool = False) -> None:
        object.__setattr__(self, "killed", [])
        object.__setattr__(self, "containers", containers or {})
        object.__setattr__(self, "fails", fails)

    def kill(self, container: str) -> None:
        self.killed.append(container)
        if self.fails:
            message = "gone"
            raise SandboxFailure(message)

    def labelled(self, label: str) -> tuple[tuple[str, dict[str, str]], ...]:
        return tuple(self.containers.items()) if label else ()


def test_an_execution_is_killed_wherever_it_is() -> None:
    executions, engine = Executions(), Recording()
    with executions.of("a") as first, executions.of("b") as second:
        executions.kill("a")  # before it has a container
        with pytest.raises(SandboxFailure) as caught:
            first.occupy(engine, "one")
        assert caught.value.reason_code == "sandbox_failure.stopped"
        second.occupy(engine, "two")
        second.check()
        executions.kill("b")
        executions.kill("nobody")
        assert engine.killed == ["two"]
        with pytest.raises(SandboxFailure):
            second.check()
    executions.kill("b")  # it is over
    assert engine.killed == ["two"]


def test_a_killed_execution_is_judged_killed_even_if_it_had_ended_well() -> None:
    execution = Execution()
    assert execution.judge(OK) is OK
    execution.kill()
    judged = execution.judge(OK)
    assert (judged.status, judged.reason_code, judged.result) == ("killed", "sandbox_failure.stopped", None)


def test_an_engine_that_fails_to_kill_does_not_end_the_watch() -> None:
    execution = Execution()
    execution.occupy(Recording(fails=True), "one")
    execution.kill()
    assert execution.killed


# --- the watch


def watched(read: Callable[[], Switch], *kept: SpyRunner) -> Watch:
    return Watch(read, lambda: kept)


def test_what_runs_on_an_earlier_epoch_is_killed_and_nothing_else() -> None:
    runner = Held()
    switch = [Switch(thrown=False, epoch=3)]
    watch = watched(lambda: switch[0], runner)
    with watch.running("old", 2, runner), watch.running("new", 3, runner):
        watch.look()
        assert runner.killed == ["old"]
        assert not runner.emptied.is_set()
        switch[0] = Switch(thrown=True, epoch=4)
        watch.look()
    assert runner.killed == ["old", "old", "new"]
    assert runner.emptied.is_set()


def test_a_switch_that_cannot_be_read_for_long_is_taken_to_be_thrown() -> None:
    runner = Held()
    works = [True]

    def read() -> Switch:
        if works[0]:
            return Switch(thrown=False, epoch=0)
        message = "no"
        raise Fault(message)

    watch = watched(read, runner)
    with watch.running("a", 0, runner):
        works[0] = False
        for _ in range(MAX_UNREAD - 1):
            with pytest.raises(Fault):
                watch.look()
        works[0] = True
        watch.look()  # read again: the count begins anew
        works[0] = False
        for _ in range(MAX_UNREAD - 1):
            with pytest.raises(Fault):
                watch.look()
        assert runner.killed == []
        watch.look()
    assert runner.killed == ["a"]
    assert runner.emptied.is_set()


def test_where_nothing_can_be_killed_nothing_is_read() -> None:
    def read() -> Switch:
        raise AssertionError

    spy = SpyRunner()
    assert not isinstance(spy, Stoppable)
    watched(read, spy).look()


def test_a_watch_outlives_what_goes_wrong_in_it() -> None:
    looked = [threading.Event(), threading.Event()]

    def read() -> Switch:
        looked[looked[0].is_set()].set()
        raise RuntimeError

    watch = watched(read, Held())
    watch.start()
    assert all(each.wait(SOON) for each in looked)
    watch.close()


# --- through the gate and the commands


def test_a_running_call_ends_killed_on_record_and_keeps_its_budget(tmp_path: Path) -> None:
    runner = Held()
    spec = spec_file(tmp_path)
    with Gate.open(spec, runner=runner, engine="evaluator", proved_digest=digest_of(spec)) as gate:
        outcome: list[object] = []

        def call() -> None:
            try:
                gate.call(payment())
            except ToolError as error:
                outcome.append(error.outcome)

        caller = threading.Thread(target=call)
        caller.start()
        assert runner.began.wait(SOON)
        code, said = invoke("stop", "--state", state_of(tmp_path), "--reason", "odd payments")
        caller.join(SOON)
        assert (code, said["running"], said["left"], said["killed_by_force"], said["epoch"]) == (0, 1, [], 0, 1)
        assert [each.reason_code for each in outcome] == ["sandbox_failure.stopped"]
        assert runner.emptied.wait(SOON)
        assert gate.decide(payment()).reason_code == "stopped"
        with pytest.raises(Denied):
            gate.call(payment())
    written = records(tmp_path)
    assert [each["kind"] for each in written if each["kind"] in {"intent", "stopped", "outcome"}] == [
        "intent",
        "stopped",
        "outcome",
    ]
    stopped = next(each["body"] for each in written if each["kind"] == "stopped")
    assert stopped == {"by": f"uid {os.getuid()}", "reason": "odd payments", "epoch": 1}
    ended = written[-2 if written[-1]["kind"] == "denied" else -1]["body"]
    assert (ended["status"], ended["reason_code"]) == ("killed", "sandbox_failure.stopped")
    record = tmp_path / ".sandbox" / "state.audit.jsonl"
    verify(record)
    assert check_receipts(record).unfinished == 0


def test_it_survives_restarts_and_only_resume_undoes_it(tmp_path: Path) -> None:
    with open_gate(tmp_path) as gate:
        gate.call(payment())
    assert invoke("stop", "--state", state_of(tmp_path))[0] == 0
    for _ in range(2):
        with open_gate(tmp_path) as gate:
            assert gate.decide(payment()).reason_code == "stopped"
    assert invoke("stop", "--state", state_of(tmp_path))[1]["epoch"] == 2  # a second time changes nothing but that
    code, said = invoke("resume", "--state", state_of(tmp_path), "--reason", "looked at")
    assert (code, said) == (0, {"schema_version": 1, "stopped": False, "was_stopped": True, "epoch": 2})
    assert invoke("resume", "--state", state_of(tmp_path))[1]["was_stopped"] is False
    with open_gate(tmp_path) as gate:
        gate.call(payment())
    assert [each["kind"] for each in records(tmp_path) if each["kind"] in {"stopped", "resumed"}] == [
        "stopped",
        "stopped",
        "resumed",
    ]


def test_the_commands_look_for_the_state_as_documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SANDBOX_STATE", raising=False)
    monkeypatch.chdir(tmp_path)
    for command in ("stop", "resume"):
        done = CliRunner().invoke(PROGRAM, [command])
        assert (done.exit_code, "no `.sandbox/` at or above" in done.stderr) == (2, True)
        done = CliRunner().invoke(PROGRAM, [command, "--state", f"sqlite:///{tmp_path}/none.db"])
        assert (done.exit_code, "there is no state at" in done.stderr) == (2, True)
    assert not (tmp_path / "none.db").exists()
    with open_gate(tmp_path):
        pass
    (tmp_path / "deeper").mkdir()
    monkeypatch.chdir(tmp_path / "deeper")
    assert CliRunner().invoke(PROGRAM, ["stop"]).stdout == "stopped: 0 calls were running, 0 still are\n"
    monkeypatch.setenv("SANDBOX_STATE", state_of(tmp_path))
    monkeypatch.chdir("/")
    assert CliRunner().invoke(PROGRAM, ["resume"]).stdout == "resumed\n"
    assert CliRunner().invoke(PROGRAM, ["resume"]).stdout == "the kill switch was not on\n"


def reserved(store: Store, digest: str) -> None:
    with store.transaction() as transaction:
        transaction.reserve(Reservation("n" * 32, "send_money", digest, NOON))


def test_what_does_not_end_by_itself_is_ended_by_its_labels(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserved(store, "a" * 64)
    labels = dict(Owner.this().labels("a" * 64))
    containers = {
        "its own": labels,
        "of a pool": dict(Owner.this().labels("pool")),
        "another call's": dict(Owner.this().labels("b" * 64)),
        "another process's": {**labels, "sandbox.owner.pid": "1"},
        "of that number before": {**labels, "sandbox.owner.start": "1"},
        "of another boot": {**labels, "sandbox.owner.boot": "x"},
        "nobody's": {},
    }
    engine = Recording(containers)
    object.__setattr__(engine, "close", lambda: None)
    object.__setattr__(engine, "is_podman", False)
    monkeypatch.setattr(Engine, "connect", lambda: engine)
    monkeypatch.setattr(stop_command, "GRACE_S", 0.0)
    monkeypatch.setattr(stop_command, "END_S", 0.0)
    code, said = invoke("stop", "--state", f"sqlite:///{tmp_path}/s/state.db")
    assert engine.killed == ["its own", "of a pool"]
    assert (code, said["killed_by_force"]) == (1, 2)
    left = {"tool": "send_money", "call_digest": "a" * 64, "owner_pid": os.getpid()}
    assert said["left"] == [left]  # this process has no gate that would settle it
    assert (
        "left: send_money of process"
        in CliRunner().invoke(PROGRAM, ["stop", "--state", f"sqlite:///{tmp_path}/s/state.db"]).stdout
    )
    assert kill_containers(Recording(containers, fails=True), set()) == 0


def test_where_no_engine_answers_nothing_can_be_forced(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserved(store, "a" * 64)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    monkeypatch.setattr(stop_command, "GRACE_S", 0.0)
    monkeypatch.setattr(stop_command, "END_S", 0.0)
    assert invoke("stop", "--state", f"sqlite:///{tmp_path}/s/state.db")[0] == 1
    assert store.switch().thrown


def test_a_held_database_does_not_keep_the_switch_from_being_thrown(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(_self: object, _reason: str = "") -> None:
        message = "the state was held by another process"
        raise Fault(message, "state.busy")

    monkeypatch.setattr(Store, "transaction", busy)
    done = CliRunner().invoke(PROGRAM, ["stop", "--state", f"sqlite:///{tmp_path}/s/state.db"])
    assert (done.exit_code, done.stderr) == (0, "stopped all the same: the state was held by another process\n")
    assert store.switch() == Switch(thrown=True, epoch=0)
