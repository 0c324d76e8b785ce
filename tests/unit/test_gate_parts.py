"""The gate's parts: what must hold before it opens, what it tells the program's log, what its record says."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from gatekit import NOON, PAYMENTS, SpyRunner, digest_of, kinds, left_running, open_gate, payment, records, spec_file

from sandbox import ir
from sandbox.audit import AuditLog, verify
from sandbox.call import Outcome
from sandbox.compile import load_contract
from sandbox.decide import EnginePair, Evaluator
from sandbox.errors import Denied, RecordBroken, SandboxError, UsageError
from sandbox.events import emit
from sandbox.gate import Gate
from sandbox.ir import Json
from sandbox.parse import parse_call
from sandbox.policy import Policy
from sandbox.prove.ledger import Entry, key_of, write_ledger
from sandbox.prove.ledger import digest_of as proof_digest
from sandbox.receipts import check_receipts
from sandbox.rehearsal import Rehearsal
from sandbox.seal import Seal
from sandbox.session import current
from sandbox.state import Store
from sandbox.trail import MAX_RECORDED_CALL, call_body

pytestmark = pytest.mark.usefixtures("forked")

ROOT = Path(__file__).resolve().parents[2]

PROPERTIES = """\
proves: payments.yaml
properties:
  - {id: daily-cap, always: state.sent_today <= 5000.00}
"""
REQUIRING = PAYMENTS.replace("owner: payments-team", "owner: payments-team\nrequire_proofs: proofs.yaml")


# --- opening -----------------------------------------------------------------------------------------


def write_proofs(folder: Path, verdict: str = "proved", *, stale: bool = False) -> None:
    """A ledger as `sandbox prove --update` would write it."""
    from sandbox.compile import load_properties

    file = spec_file(folder, PROPERTIES, "proofs.yaml")
    (each,) = load_properties(file)
    (subject,) = each.properties
    digest = "0" * 64 if stale else proof_digest(each.contract, subject, each.properties)
    write_ledger(folder, {key_of(file, each.contract, subject): Entry(digest, "always", verdict)})


def opens(folder: Path) -> None:
    Gate.open(spec_file(folder, REQUIRING), runner=SpyRunner()).close()


def test_a_spec_that_requires_proofs_opens_on_current_ones(tmp_path: Path) -> None:
    spec_file(tmp_path, REQUIRING)
    write_proofs(tmp_path)
    opens(tmp_path)


def test_a_spec_that_requires_proofs_does_not_open_on_less(tmp_path: Path) -> None:
    spec_file(tmp_path, REQUIRING)
    spec_file(tmp_path, PROPERTIES, "proofs.yaml")
    with pytest.raises(UsageError, match="`daily-cap` is not in the ledger"):
        opens(tmp_path)
    write_proofs(tmp_path, "unknown")
    with pytest.raises(UsageError, match="`daily-cap` is unknown"):
        opens(tmp_path)
    write_proofs(tmp_path, stale=True)
    with pytest.raises(UsageError, match="of another version"):
        opens(tmp_path)
    spec_file(tmp_path, "proves: payments.yaml\nproperties: []\n", "proofs.yaml")
    with pytest.raises(UsageError, match="no property that proves this spec"):
        opens(tmp_path)


def test_a_state_that_does_not_fit_the_spec_does_not_open(tmp_path: Path) -> None:
    with open_gate(tmp_path) as gate:
        gate.call(payment())
    with pytest.raises(UsageError, match="does not fit the spec"):
        open_gate(tmp_path, text=PAYMENTS.replace("window: 24h", "window: 1h"))


def test_after_a_crash_the_containers_of_the_dead_are_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reaped: list[object] = []

    class Engine:
        def close(self) -> None:
            reaped.append("closed")

    monkeypatch.setattr("sandbox.execute.podman.connect", Engine)
    monkeypatch.setattr("sandbox.execute.reap.reap", lambda engine: reaped.append(engine) or 1)
    with open_gate(tmp_path) as gate:
        gate.call(payment())
        left_running(gate)
    Gate.open(tmp_path / "payments.yaml").close()
    assert (len(reaped), reaped[1]) == (2, "closed")
    Gate.open(tmp_path / "payments.yaml").close()
    assert len(reaped) == 2


def test_without_an_engine_nothing_is_left_to_reap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    with open_gate(tmp_path) as gate:
        gate.call(payment())
        left_running(gate)
    Gate.open(tmp_path / "payments.yaml").close()
    assert kinds(tmp_path)[-1] == "interrupted"


def test_a_gate_that_fails_to_open_closes_what_it_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[object] = []
    close = Store.close
    monkeypatch.setattr(Store, "close", lambda store: closed.append(store) or close(store))
    monkeypatch.setattr("sandbox.gate.AuditLog", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        open_gate(tmp_path)
    assert len(closed) == 1


# --- events ------------------------------------------------------------------------------------------


def test_what_the_gate_does_is_told_to_the_log_that_listens(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "sandbox"), open_gate(tmp_path) as gate:
        gate.call(payment())
        with pytest.raises(Denied):
            gate.call(payment(amount="9999"))
    assert [record.message for record in caplog.records] == ["gate.proofs", "gate.outcome", "gate.denied"]
    assert [caplog.records[0].status, caplog.records[1].status, caplog.records[2].rule] == ["none", "ok", "over-limit"]


def test_a_log_that_does_not_listen_hears_and_loads_nothing(caplog: pytest.LogCaptureFixture) -> None:
    emit("gate.denied", rule="x")
    assert caplog.records == []


# --- the record --------------------------------------------------------------------------------------


def test_a_secret_argument_is_masked_by_a_keyed_digest(tmp_path: Path) -> None:
    contract = load_contract(spec_file(tmp_path))
    (tool, *others) = contract.tools
    secret = tuple(replace(argument, secret=argument.name == "note") for argument in tool.arguments)
    contract = replace(contract, tools=(replace(tool, arguments=secret), *others))
    first, second = (call_body(parse_call(payment(note="hunter2"), contract, Seal.fresh())) for _ in range(2))
    assert "hunter2" not in str(first)
    assert first["call_digest"] != second["call_digest"]
    assert first["args"]["recipient"] == payment()["args"]["recipient"]
    assert first["args"]["note"] != second["args"]["note"]


def test_a_long_call_is_recorded_by_its_digest(tmp_path: Path) -> None:
    text = PAYMENTS.replace("max_size: 140", "max_size: 1MiB")
    with open_gate(tmp_path, text=text) as gate:
        gate.call(payment(note="x" * MAX_RECORDED_CALL))
    recorded = records(tmp_path)[0]["body"]["decision"]["call"]
    assert set(recorded) == {"tool", "size", "call_digest"}


# --- receipts ----------------------------------------------------------------------------------------


def rewritten(folder: Path, edit: Callable[[list[dict[str, Json]]], object]) -> Path:
    """The record with an edit of which every digest has been made anew, as an owner could."""
    kept = records(folder)
    edit(kept)
    path = folder / "rewritten.jsonl"
    log = AuditLog(path, lambda: NOON)
    for record in kept:
        log.append(record["kind"], record["body"])
    return path


def test_every_receipt_fits_its_intent(tmp_path: Path) -> None:
    never = Outcome("sandbox_failure", "sandbox_failure.engine", "never", started=False)
    outcomes = iter([Outcome("ok", "ok", ""), never])
    with open_gate(tmp_path, runner=SpyRunner(lambda _: next(outcomes))) as gate:
        gate.call(payment())
        gate.attempt(payment())
        left_running(gate)
        with gate._store.transaction() as transaction:
            assert transaction.unfinished()
    with open_gate(tmp_path):
        pass
    balance = check_receipts(tmp_path / ".sandbox/state.audit.jsonl")
    assert (balance.receipts, balance.interrupted, balance.unfinished) == (2, 2, 0)


def test_an_intent_without_an_ending_is_unfinished_unless_it_was_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_gate(tmp_path) as gate:
        gate.call(payment())
        monkeypatch.setattr(gate._passage, "consume", lambda _: 1 / 0)
        with pytest.raises(SandboxError):
            gate.call(payment())
    assert kinds(tmp_path) == ["intent", "outcome", "intent", "cancelled"]
    assert check_receipts(tmp_path / ".sandbox/state.audit.jsonl").unfinished == 0
    assert check_receipts(rewritten(tmp_path, lambda lines: lines.pop())).unfinished == 1


@pytest.mark.parametrize(
    "edit",
    [
        lambda lines: lines.pop(0),
        lambda lines: lines.append(lines[1]),
        lambda lines: lines[1]["body"]["receipt"].update(image_digest="f" * 64),
        lambda lines: lines[1]["body"]["receipt"].update(approved_by=["eve"]),
        lambda lines: lines[1]["body"]["receipt"].update(call_digest="f" * 64),
        lambda lines: lines[0]["body"].pop("decision"),
        lambda lines: lines[1]["body"].pop("receipt"),
        lambda lines: lines[0]["body"].pop("nonce"),
    ],
)
def test_a_receipt_that_fits_no_intent_breaks_the_record(tmp_path: Path, edit: Callable[..., object]) -> None:
    with open_gate(tmp_path) as gate:
        gate.call(payment())
    path = rewritten(tmp_path, edit)
    assert verify(path).records
    with pytest.raises(RecordBroken, match="jsonl:"):
        check_receipts(path)


# --- the session -------------------------------------------------------------------------------------


def with_session(folder: Path) -> ir.Contract:
    """The payments contract with a fact, and a rule that denies everybody but Ann."""
    contract = load_contract(spec_file(folder))
    (tool, *others) = contract.tools
    fact = ir.Fact("session.user", ir.StringSort())
    stranger = ir.Rule("stranger", "deny", ir.Not(ir.Eq(fact, ir.Const("ann", ir.StringSort()))))
    tools = (replace(tool, rules=(stranger, *tool.rules)), *others)
    return replace(contract, tools=tools, session=(ir.Argument("user", ir.StringType(None, 1, 9)),))


def gate_on(contract: ir.Contract, folder: Path, runner: SpyRunner) -> Gate:
    store = Store.open(f"sqlite:///{folder}/s/s.db", "")
    audit = AuditLog(store.audit_path, lambda: NOON)
    engines = {contract.name: EnginePair(Evaluator(contract), None)}
    with store.transaction() as transaction:
        transaction.adopt(contract.name, ir.digest(contract))
    return Gate(Policy.of(contract), store, audit, engines, runner=runner, approvers=(), clock=lambda: NOON)


def test_rules_read_the_facts_that_the_host_supplied(tmp_path: Path) -> None:
    runner = SpyRunner()
    with gate_on(with_session(tmp_path), tmp_path, runner) as gate:
        assert gate.decide(payment(), {"user": "ann", "more": [1]}).verdict == "allow"
        assert gate.decide(payment(), {"user": "bob"}).rule == "stranger"
        gate.call(payment(), {"user": "ann"})
        with pytest.raises(Denied):
            gate.call(payment(), {"user": "bob"})
    assert len(runner.permits) == 1


def test_a_fact_that_is_missing_denies(tmp_path: Path) -> None:
    with gate_on(with_session(tmp_path), tmp_path, SpyRunner()) as gate:
        assert gate.decide(payment()).reason_code == "session.missing"
        with pytest.raises(Denied, match="`user`"):
            gate.call(payment(), {"other": 1})


@pytest.mark.parametrize("session", [{"user": 7}, {"user": None}, {"user": ""}, {"user": object()}, {1: 2}])
def test_a_fact_of_a_wrong_type_is_the_hosts_mistake(tmp_path: Path, session: dict[str, object]) -> None:
    runner = SpyRunner()
    with gate_on(with_session(tmp_path), tmp_path, runner) as gate:
        assert gate.decide(payment(), session).verdict == "deny"
        with pytest.raises(UsageError):
            gate.call(payment(), session)
    assert runner.permits == []


def test_the_models_own_session_reaches_nothing(tmp_path: Path) -> None:
    with gate_on(with_session(tmp_path), tmp_path, SpyRunner()) as gate:
        assert gate.decide({**payment(), "session": {"user": "ann"}}).reason_code == "parse.unknown_field"


def test_facts_may_be_given_as_they_are_or_asked_for() -> None:
    assert (current(None), current({"a": 1}), current(lambda: {"b": 2})) == ({}, {"a": 1}, {"b": 2})


# --- rehearsing --------------------------------------------------------------------------------------


def test_a_rehearsal_denies_what_it_cannot_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contract = load_contract(spec_file(tmp_path))
    rehearsal = Rehearsal(Policy.of(contract), {contract.name: EnginePair(Evaluator(contract), None)}, NOON)
    monkeypatch.setattr("sandbox.rehearsal.take_joint_step", lambda *_: 1 / 0)
    assert rehearsal.judge(payment(), NOON).reason_code == "fault.internal"
    assert rehearsal.advance(payment(), NOON).reason_code == "fault.internal"


def test_a_full_window_denies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.machine.MAX_WINDOW_EVENTS", 2)
    with open_gate(tmp_path) as gate:
        for _ in range(2):
            gate.call(payment())
        assert gate.decide(payment()).reason_code == "state_full"


# --- the pytest plugin -------------------------------------------------------------------------------


def pytest_run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    installed = bool(entry_points(group="pytest11", name="sandbox"))
    plugin = [] if installed else ["-p", "sandbox.pytest_plugin"]
    command = [sys.executable, "-m", "pytest", *plugin, "-p", "no:cacheprovider", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_property_files_are_tests_where_they_are_named(tmp_path: Path) -> None:
    spec_file(tmp_path)
    spec_file(tmp_path, PROPERTIES + "  - {id: too-low, always: state.sent_today <= 4000.00}\n", "proofs.yaml")
    named = pytest_run(tmp_path, "proofs.yaml")
    assert "1 failed, 1 passed" in named.stdout
    assert "refuted  payments too-low" in named.stdout
    assert "Traceback" not in named.stdout
    assert "no tests ran" in pytest_run(tmp_path).stdout


def test_property_files_may_be_listed_in_the_ini_file(tmp_path: Path) -> None:
    spec_file(tmp_path)
    spec_file(tmp_path, PROPERTIES, "proofs/p.yaml")
    (tmp_path / "proofs/p.yaml").write_text(PROPERTIES.replace("payments.yaml", "../payments.yaml"))
    (tmp_path / "pytest.ini").write_text("[pytest]\nsandbox_proofs = proofs\n")
    assert "1 passed" in pytest_run(tmp_path).stdout


def test_the_plugin_loads_no_solver_and_no_parser() -> None:
    program = (
        "import sys, sandbox.pytest_plugin; "
        "sys.exit(bool({'z3', 'cvc5', 'lark', 'ruamel.yaml', 'docker'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", program], env=environment, check=False).returncode == 0


def test_a_contract_keeps_its_digest_wherever_its_file_lies(tmp_path: Path) -> None:
    one, two = spec_file(tmp_path / "a"), spec_file(tmp_path / "b")
    assert digest_of(one) == digest_of(two) == ir.digest(load_contract(one))
