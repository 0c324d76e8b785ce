"""A missing or stale ledger, and a removed property, are seen by gates, receipts, the log, `doctor` and `prove`."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner
from gatekit import PAYMENTS, SpyRunner, payment, spec_file

from sandbox.call import Proofs
from sandbox.cli.program import PROGRAM
from sandbox.compile import load_contract, load_properties
from sandbox.errors import UsageError
from sandbox.gate import Gate
from sandbox.prove.ledger import Entry, digest_of, key_of, read_ledger, write_ledger
from sandbox.prove.standing import found_for, survey

CAP = "  - {id: cap, always: state.sent_today <= 5000.00}\n"
USEFUL = "  - {id: useful, possible: \"tool == 'send_money' && decision == 'allow'\"}\n"
PROPERTIES = f"proves: ../specs/payments.yaml\nproperties:\n{CAP}{USEFUL}"
REQUIRING = PAYMENTS.replace("owner: payments-team", "owner: payments-team\nrequire_proofs: ../proofs")


def project(folder: Path, *, spec: str = PAYMENTS, properties: str = PROPERTIES) -> Path:
    """A project with a spec and properties, whose ledger says that all is proved; the spec's path."""
    for name in ("specs", "proofs"):
        (folder / name).mkdir(exist_ok=True, mode=0o755)
    file = spec_file(folder / "specs", spec)
    spec_file(folder / "proofs", properties, "payments.yaml")
    write_ledger(folder / "proofs", entries(folder / "proofs"))
    return file


def entries(folder: Path, verdict: str = "proved") -> dict[str, Entry]:
    return {
        key_of(Path(each.file), each.contract, subject): Entry(
            digest_of(each.contract, subject, each.properties), subject.kind, verdict
        )
        for each in load_properties(folder)
        for subject in each.properties
    }


def change(folder: Path, what: str) -> None:
    """What may happen to proofs that were current."""
    proofs = folder / "proofs"
    recorded = dict(read_ledger(proofs) or {})
    match what:
        case "ledger gone":
            (proofs / "ledger.json").unlink()
        case "entry gone":
            write_ledger(proofs, dict(list(recorded.items())[1:]))
        case "property changed":
            spec_file(proofs, PROPERTIES.replace("5000.00", "5001.00"), "payments.yaml")
        case "property removed":
            write_ledger(proofs, {**recorded, "payments.yaml/payments/gone": recorded["payments.yaml/payments/cap"]})
        case "file removed":
            write_ledger(proofs, {**recorded, "other.yaml/payments/gone": recorded["payments.yaml/payments/cap"]})
        case "file no longer about it":
            spec_file(folder / "specs", PAYMENTS.replace("name: payments", "name: others"), "others.yaml")
            spec_file(proofs, PROPERTIES.replace("/payments.yaml", "/others.yaml"), "others.yaml")
            write_ledger(proofs, {**entries(proofs), "others.yaml/payments/gone": Entry("0", "always", "proved")})
        case "not proved":
            write_ledger(proofs, entries(proofs, "unknown"))


CHANGES = {
    "ledger gone": ("missing", "`cap` is not in the ledger"),
    "entry gone": ("missing", "`cap` is not in the ledger"),
    "property changed": ("stale", "`cap` is of another version"),
    "property removed": ("stale", "`gone` is in the ledger, and no longer a property"),
    "file removed": ("stale", "`gone` is in the ledger, and no longer a property"),
    "file no longer about it": ("stale", "`gone` is in the ledger, and no longer a property"),
    "not proved": ("unproved", "`cap` is unknown"),
}
every_change = pytest.mark.parametrize("what", CHANGES)


def test_current_proofs_are_found_in_the_project_of_the_spec(tmp_path: Path) -> None:
    found = found_for(load_contract(project(tmp_path)))
    assert (found.proofs.status, len(found.proofs.digest), found.flaws) == ("current", 64, ())
    assert survey(tmp_path / "proofs") == (found,)


@every_change
def test_whatever_is_amiss_is_found_and_has_a_digest_of_its_own(tmp_path: Path, what: str) -> None:
    contract = load_contract(project(tmp_path))
    before = found_for(contract).proofs.digest
    change(tmp_path, what)
    found = found_for(contract)
    assert (found.proofs.status, found.flaws[0].words) == CHANGES[what]
    assert found.proofs.digest != before


@every_change
def test_a_gate_that_requires_proofs_does_not_open_on_less(tmp_path: Path, what: str) -> None:
    spec = project(tmp_path, spec=REQUIRING)
    Gate.open(spec, runner=SpyRunner()).close()
    change(tmp_path, what)
    with pytest.raises(UsageError) as refused:
        Gate.open(spec, runner=SpyRunner())
    message = f"`payments` requires proofs; {CHANGES[what][1]}: `sandbox prove {spec.parent / '../proofs'} --update`"
    assert (str(refused.value), refused.value.reason_code) == (message, "proofs.stale")


def test_a_required_file_answers_for_its_own_entries_only(tmp_path: Path) -> None:
    spec = project(tmp_path, spec=REQUIRING.replace("../proofs", "../proofs/payments.yaml"))
    change(tmp_path, "file removed")
    Gate.open(spec, runner=SpyRunner()).close()
    change(tmp_path, "property removed")
    with pytest.raises(UsageError, match="`gone` is in the ledger"):
        Gate.open(spec, runner=SpyRunner())


@every_change
def test_receipts_and_the_log_tell_how_the_proofs_stood(
    tmp_path: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    spec = project(tmp_path)
    change(tmp_path, what)
    with caplog.at_level(logging.WARNING, "sandbox"), Gate.open(spec, runner=SpyRunner()) as gate:
        receipt = gate.call(payment()).receipt
    status, words = CHANGES[what]
    assert receipt.proofs.status == status
    (told,) = caplog.records
    assert (told.message, told.status, told.reason, told.digest) == (
        "gate.proofs",
        status,
        words,
        receipt.proofs.digest,
    )
    assert recorded_receipt(spec)["proofs"] == {"status": status, "digest": receipt.proofs.digest}


def recorded_receipt(spec: Path) -> Mapping[str, object]:
    (record,) = (spec.parent / ".sandbox").glob("*.jsonl")
    return next(
        body["receipt"]
        for body in (json.loads(line)["body"] for line in record.read_text().splitlines())
        if "receipt" in body
    )


def test_a_spec_without_proofs_has_none_and_one_with_current_ones_warns_of_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alone = spec_file(tmp_path, PAYMENTS)
    with caplog.at_level(logging.WARNING, "sandbox"):
        with Gate.open(alone, runner=SpyRunner()) as gate:
            assert gate.call(payment()).receipt.proofs == Proofs("none")
        (tmp_path / "project").mkdir()
        with Gate.open(project(tmp_path / "project"), runner=SpyRunner()) as gate:
            assert gate.call(payment()).receipt.proofs.status == "current"
    assert caplog.records == []


def test_proofs_that_cannot_be_read_are_stale_and_keep_no_gate_from_opening(tmp_path: Path) -> None:
    spec = project(tmp_path)
    (tmp_path / "proofs" / "ledger.json").write_text("[]")
    found = found_for(load_contract(spec))
    assert (found.proofs, len(found.flaws)) == (Proofs("stale"), 1)
    assert "cannot be read" in found.flaws[0].words
    Gate.open(spec, runner=SpyRunner()).close()


def test_a_folder_that_others_may_write_has_no_proofs(tmp_path: Path) -> None:
    spec = project(tmp_path)
    (tmp_path / "proofs").chmod(0o777)
    assert found_for(load_contract(spec)).proofs == Proofs("none")


def test_proofs_above_the_project_are_not_its_own(tmp_path: Path) -> None:
    project(tmp_path)
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "pyproject.toml").touch()
    assert found_for(load_contract(spec_file(inner, PAYMENTS))).proofs == Proofs("none")


# --- commands ----------------------------------------------------------------------------------------


def run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(PROGRAM, [str(word) for word in words], standalone_mode=True)
    return result.exit_code, result.output


@every_change
def test_doctor_shows_it_and_fails_where_the_proofs_were_named(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.cli.doctor.examine", lambda: ())
    project(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert run("doctor", "proofs") == (0, "ok       proofs of payments: current\n")
    change(tmp_path, what)
    status, words = CHANGES[what]
    found = [(0, run("doctor")), (1, run("doctor", "proofs"))]
    for code, (ended, said) in found:
        assert ended == code
        assert f"note     proofs of payments: {status}: {words}" in said
        assert "review, then `sandbox prove proofs --update`" in said


def test_doctor_goes_on_where_proofs_that_it_found_do_not_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.cli.doctor.examine", lambda: ())
    project(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "proofs" / "broken.yaml").write_text("proves: [")
    code, said = run("doctor")
    assert (code, "`proofs` does not load" in said) == (0, True)
    assert run("doctor", "proofs")[0] == 2


def test_a_folder_without_a_ledger_is_told_and_fails_where_one_is_demanded(tmp_path: Path) -> None:
    project(tmp_path, properties=PROPERTIES.replace(USEFUL, ""))
    proofs, ledger = tmp_path / "proofs", tmp_path / "proofs" / "ledger.json"
    ledger.unlink()
    code, said = run("prove", proofs)
    assert (code, f"no ledger in `{proofs}`: run with `--update` to write one" in said) == (0, True)
    code, said = run("prove", proofs, "--locked")
    assert (code, f"ledger: there is none in `{proofs}`" in said) == (1, True)
    spec_file(tmp_path / "specs", REQUIRING)
    code, said = run("prove", proofs, "--json")
    found = json.loads(said)
    assert (code, found["differences"][0]["change"]) == (1, "missing")
    assert run("prove", proofs, "--update")[0] == 0
    assert run("prove", proofs, "--locked")[0] == 0
