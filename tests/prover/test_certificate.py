"""Certificates: what a sceptic can check with a solver alone, and what no edit of any byte gets past."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from sandbox.cli.program import PROGRAM
from sandbox.errors import UsageError
from sandbox.prove import ProveOptions, certificate, prove_paths, recheck
from sandbox.prove.certificate import rendered, script_for
from sandbox.prove.crew import Crew, Reply
from sandbox.prove.verify import Verification, VerifyOptions, verify
from sandbox.prove.worker import Order, Work, carried_out, order_to_json

pytestmark = pytest.mark.usefixtures("forked")

Z3 = Path(sys.executable).with_name("z3")

SPEC = """\
sandbox: 1
name: pays
state:
  sent: {type: int, initial: 0, window: 24h}
tools:
  pay:
    args:
      amount: {type: int, min: 1, max: 60}
      to: {type: string, pattern: "[a-z]{1,8}"}
    rules:
      - {id: over, deny: state.sent + args.amount > 100}
      - {id: root, deny: args.to == 'root'}
      - {id: small, allow: args.amount <= LIMIT}
      - {id: large, ask: args.amount > LIMIT}
    then: {sent: state.sent + args.amount}
"""
PROPERTIES = """\
proves: pays.yaml
properties:
  - {id: cap, always: state.sent <= 100, why: "money <is> lost"}
  - {id: no-root, never: args.to == 'root'}
  - {id: large-is-asked, never: "args.amount > 40 && decision == 'allow'"}
  - {id: beyond, never: state.sent > 100}
  - {id: useful, possible: "args.amount == 7 && decision == 'allow'"}
"""


SEEN: dict[tuple[object, ...], Work] = {}


def worked(order: Order) -> Work:
    """As the child would; what was read again once, of the very same files by the same solvers, is not read twice."""
    if order.known is None:
        return carried_out(order)
    files = tuple((Path(order.emit) / each.file).read_bytes() for each in order.known if is_there(order, each.file))
    said = json.dumps(order_to_json(replace(order, emit="")))
    key = (said, files, recheck.read_anew, recheck.second_opinion)
    if key not in SEEN:
        SEEN[key] = carried_out(order)
    return SEEN[key]


def is_there(order: Order, file: str) -> bool:
    return (Path(order.emit) / file).is_file()


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Solving in a child is tested elsewhere; here it would only take time."""

    def carry_out(_: Crew, order: Order) -> Reply:
        work = worked(order)
        return Reply(work.finding, work.spent, 0, work.rests_on, work.obligations, work.doubts)

    monkeypatch.setattr(Crew, "carry_out", carry_out)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a spec, its properties, and a certificate of both."""
    folder = tmp_path_factory.mktemp("made")
    write(folder)
    emit(folder)
    return folder


@pytest.fixture
def there(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(made, tmp_path / "there"))


def write(folder: Path, *, limit: int = 40, properties: str = PROPERTIES) -> None:
    (folder / "pays.yaml").write_text(SPEC.replace("LIMIT", str(limit)))
    (folder / "proofs.yaml").write_text(properties)


def emit(folder: Path) -> None:
    prove_paths([folder / "proofs.yaml"], ProveOptions(emit_dir=folder / "cert"))


def checked(folder: Path, **options: object) -> Verification:
    return verify(folder / "cert", [folder / "pays.yaml"], VerifyOptions(**options))


def complaints(found: Verification) -> list[str]:
    return [*found.problems, *(f"{each.id}: {reason}" for each in found.properties for reason in each.reasons)]


def manifest(folder: Path) -> dict:
    return json.loads((folder / "cert" / "manifest.json").read_text())


def entry(body: dict, id_: str) -> dict:
    return next(each for each in body["properties"] if each["id"] == id_)


def forge(folder: Path, change: Callable[[dict, Path], None]) -> None:
    """Change a certificate as somebody would who makes all digests fit again."""
    body, cert = manifest(folder), folder / "cert"
    change(body, cert)
    for each in (one for entry_ in body["properties"] for one in entry_["obligations"]):
        if (cert / each["file"]).is_file():
            each["sha256"] = hashlib.sha256((cert / each["file"]).read_bytes()).hexdigest()
    listed = {each["file"] for entry_ in body["properties"] for each in entry_["obligations"]}
    for file in cert.glob("*.smt2"):
        if file.name not in listed:
            file.unlink()
    script = script_for(body["properties"])
    (cert / "check.sh").write_text(script)
    body["check"] = hashlib.sha256(script.encode()).hexdigest()
    (cert / "manifest.json").write_text(rendered({key: value for key, value in body.items() if key != "digest"}))


# --- what is true is verified ------------------------------------------------------------------------


def test_a_certificate_of_its_spec_is_verified(there: Path) -> None:
    found = checked(there)
    assert complaints(found) == []
    assert [(each.id, each.verdict, each.status) for each in found.properties] == [
        (id_, "proved", "verified") for id_ in ("cap", "no-root", "large-is-asked", "beyond", "useful")
    ]
    assert found.exit_code == 0
    assert found.digest == hashlib.sha256((there / "cert" / "manifest.json").read_bytes()).hexdigest()


def test_both_solvers_can_read_it(there: Path) -> None:
    assert checked(there, solver="cvc5").exit_code == 0
    assert checked(there, solver="both", jobs=2).exit_code == 0


def test_a_certificate_is_the_same_byte_for_byte_wherever_it_is_made(there: Path, tmp_path: Path) -> None:
    write(tmp_path)
    emit(tmp_path)
    for file in sorted((there / "cert").iterdir()):
        assert (tmp_path / "cert" / file.name).read_bytes() == file.read_bytes()


def test_it_says_what_each_obligation_rests_on_and_of_what_it_is(there: Path) -> None:
    body = manifest(there)
    assert entry(body, "cap")["rests_on"] == ["rule `pay.over`", "`pay.amount` (at least 1)", "`state.sent` only grows"]
    (step,) = [each for each in entry(body, "cap")["obligations"] if each["label"] == "permit_pay_small"]
    assert (step["answer"], step["expected"], step["form"]) == ("unsat", "unsat", "whole")
    text = (there / "cert" / step["file"]).read_text()
    assert "; rule `pay.over`\n(assert (! (not (< 100 (+ state_sent arg_amount))) :named part_" in text
    assert {"sandbox", "z3-solver", "cvc5"} == set(body["versions"])
    assert entry(body, "beyond")["assumed"] == ["cap"]
    assert entry(body, "useful")["sequence"]["calls"][0]["args"]["amount"] == 7


def test_names_are_unique_even_where_specs_have_the_same_name(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, properties="proves: pays.yaml\nproperties:\n  - {id: cap, always: state.sent <= 100}\n")
    (tmp_path / "b" / "pays.yaml").write_text(SPEC.replace("LIMIT", "30"))
    files = [tmp_path / name / "proofs.yaml" for name in ("a", "b")]
    prove_paths(files, ProveOptions(emit_dir=tmp_path / "cert"))
    body = manifest(tmp_path)
    assert [len(each["obligations"]) for each in body["properties"]] == [6, 6]
    assert len(list((tmp_path / "cert").glob("*.smt2"))) == 12
    for name in ("a", "b"):
        assert verify(tmp_path / "cert", [tmp_path / name / "pays.yaml"]).exit_code == 0


def test_what_is_said_of_other_specs_is_named_and_not_checked(there: Path) -> None:
    (there / "other.yaml").write_text("sandbox: 1\nname: other\ntools: {}\n")
    found = verify(there / "cert", [there / "other.yaml"])
    assert (found.exit_code, found.left_out, found.problems) == (1, ("pays",), ("it has nothing about `other`",))


# --- what is refuted or undecided is no pass ---------------------------------------------------------


def test_a_refutation_is_replayed_and_fails(tmp_path: Path) -> None:
    write(tmp_path, limit=50)
    emit(tmp_path)
    found = checked(tmp_path)
    refuted = next(each for each in found.properties if each.id == "large-is-asked")
    assert (refuted.verdict, refuted.status, complaints(found), found.exit_code) == ("refuted", "verified", [], 1)


def test_a_possible_that_is_refuted_by_proof_is_read_again(tmp_path: Path) -> None:
    never_met = "  - {id: p, possible: \"args.to == 'root' && decision == 'allow'\"}\n"
    write(tmp_path, properties=f"proves: pays.yaml\nproperties:\n{never_met}")
    emit(tmp_path)
    (only,) = checked(tmp_path).properties
    assert (only.verdict, only.status, only.obligations > 0) == ("refuted", "verified", True)


def test_what_is_vacuous_is_read_again_and_fails(tmp_path: Path) -> None:
    write(
        tmp_path, properties="proves: pays.yaml\nproperties:\n  - {id: v, never: args.amount > 3 && args.amount < 2}\n"
    )
    emit(tmp_path)
    found = checked(tmp_path)
    assert [(each.verdict, each.status) for each in found.properties] == [("vacuous", "verified")]
    assert found.exit_code == 1


def test_a_file_that_is_not_decided_is_exit_3(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recheck, "read_anew", lambda *_: "unknown")
    found = checked(there)
    assert found.exit_code == 3
    assert {each.status for each in found.properties} == {"undecided"}
    assert any("was not decided in time" in each for each in complaints(found))


def test_solvers_that_answer_otherwise_than_is_claimed_are_a_mismatch(
    there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recheck, "read_anew", lambda *_: "sat")
    found = checked(there)
    assert found.exit_code == 1
    assert any("is not answered as is claimed" in each for each in complaints(found))


def test_solvers_that_differ_decide_nothing(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recheck, "second_opinion", lambda *_: "sat")
    assert checked(there, solver="both").exit_code == 3


def test_an_unknown_is_claimed_as_such_and_is_no_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sandbox.prove.findings import GaveUp

    monkeypatch.setattr(Crew, "carry_out", lambda *_: Reply(GaveUp("too hard"), 0, 0))
    write(tmp_path)
    emit(tmp_path)
    found = checked(tmp_path)
    assert found.exit_code == 3
    assert {each.status for each in found.properties} == {"undecided"}
    write(tmp_path, limit=39)
    assert checked(tmp_path).exit_code == 1


# --- no edit gets past -------------------------------------------------------------------------------


def every_file() -> list[str]:
    return ["manifest.json", "check.sh", "004-pays-beyond", "001-pays-cap-003", "002-pays-no-root-004"]


def file_of(folder: Path, name: str) -> Path:
    return next(each for each in sorted((folder / "cert").iterdir()) if each.name.startswith(name))


@pytest.mark.parametrize("at", [0.0, 0.3, 0.7, 0.999])
@pytest.mark.parametrize("name", every_file())
def test_an_edited_byte_is_noticed(there: Path, name: str, at: float) -> None:
    path = file_of(there, name)
    data = bytearray(path.read_bytes())
    data[int(at * len(data))] ^= 1
    path.write_bytes(bytes(data))
    found = checked(there)
    assert (found.exit_code, bool(found.problems)) == (1, True)


@pytest.mark.parametrize("name", every_file())
def test_a_byte_too_many_and_a_file_that_is_gone_or_a_link_are_noticed(there: Path, name: str) -> None:
    path = file_of(there, name)
    whole = path.read_bytes()
    path.write_bytes(whole + b"\n")
    assert checked(there).exit_code == 1
    elsewhere = there / "elsewhere"
    elsewhere.write_bytes(whole)
    path.unlink()
    if name != "manifest.json":
        assert any("is missing" in each or "is not the script" in each for each in checked(there).problems)
        path.symlink_to(elsewhere)
        assert checked(there).exit_code == 1
        return
    with pytest.raises(UsageError, match="holds no certificate"):
        checked(there)


def test_a_file_too_many_is_noticed(there: Path) -> None:
    (there / "cert" / "more.smt2").write_text("(check-sat)\n")
    assert checked(there).problems == ("`more.smt2` is of no obligation",)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "[" * 100_000, '{"schema_version": 1, "properties": [{}], "digest": ""}']
)
def test_what_is_no_manifest_is_a_mismatch(there: Path, text: str) -> None:
    (there / "cert" / "manifest.json").write_text(text)
    assert (checked(there).exit_code, checked(there).problems) == (1, ("`manifest.json` is no manifest",))


def test_whichever_obligation_is_removed_its_proof_is_no_longer_whole(there: Path) -> None:
    whole = {id_: len(entry(manifest(there), id_)["obligations"]) for id_ in ("cap", "no-root", "beyond")}
    for id_, count in whole.items():
        for number in range(count):
            copy = Path(shutil.copytree(there, there.parent / f"{id_}-{number}"))
            forge(copy, lambda body, _, id_=id_, number=number: entry(body, id_)["obligations"].pop(number))
            (mine,) = [each for each in checked(copy).properties if each.id == id_]
            assert (mine.status, mine.verdict) != ("verified", "proved"), (id_, number)


def test_a_text_that_is_not_the_obligation_is_noticed_whatever_a_solver_says_of_it(there: Path) -> None:
    def emptied(body: dict, cert: Path) -> None:
        for each in entry(body, "no-root")["obligations"]:
            (cert / each["file"]).write_text("(assert false)\n(check-sat)\n")

    forge(there, emptied)
    assert any("is of no obligation of this property" in each for each in complaints(checked(there)))


def test_a_part_of_an_obligation_shows_a_contradiction_and_nothing_else(there: Path) -> None:
    """A part that can be met says nothing of the whole: to claim `sat` by it is no way to an answer."""

    def weakened(body: dict, cert: Path) -> None:
        each = next(one for one in entry(body, "no-root")["obligations"] if one["label"] == "meets_pay_small")
        lines = (cert / each["file"]).read_text().split("\n")
        each |= {"form": "core", "core": [0], "answer": "sat"}
        first = next(line for line in lines if line.endswith("part_0))"))
        kept = [line for line in lines if "assert" not in line or line == first]
        (cert / each["file"]).write_text("\n".join(kept))

    forge(there, weakened)
    assert checked(there).exit_code == 1


@pytest.mark.parametrize(
    ("id_", "changes"),
    [
        ("cap", {"verdict": "refuted"}),
        ("no-root", {"note": "by_type"}),
        ("cap", {"why": "because"}),
        ("cap", {"text": "state.sent <= 1"}),
        ("beyond", {"assumed": ["cap", "more"]}),
        ("cap", {"rests_on": ["rule `pay.root`"]}),
        ("cap", {"digest": "0" * 64}),
        ("cap", {"contract": "0" * 64}),
        ("cap", {"property": "0" * 64}),
        ("cap", {"more": 1}),
        ("useful", {"verdict": "refuted"}),
        ("useful", {"sequence": None}),
        ("useful", {"sequence": {"calls": 1}}),
        ("useful", {"verdict": "unknown", "property": "0"}),
    ],
)
def test_a_claim_that_is_not_so_is_noticed(there: Path, id_: str, changes: dict) -> None:
    forge(there, lambda body, _: entry(body, id_).update(changes))
    assert checked(there).exit_code == 1


def test_a_witness_that_does_not_run_is_noticed(there: Path) -> None:
    def dearer(body: dict, _: Path) -> None:
        entry(body, "useful")["sequence"]["calls"][0]["args"]["amount"] = 8

    forge(there, dearer)
    assert checked(there).exit_code == 1


def test_a_refutation_cannot_be_turned_into_a_proof(tmp_path: Path) -> None:
    write(tmp_path, limit=50)
    emit(tmp_path)
    claims = {"verdict": "proved", "reason": "", "sequence": None}
    forge(tmp_path, lambda body, _: entry(body, "large-is-asked").update(claims))
    (mine,) = [each for each in checked(tmp_path).properties if each.id == "large-is-asked"]
    assert (mine.status, mine.verdict) == ("mismatch", "unknown")


def test_a_property_that_was_taken_out_is_noticed(there: Path) -> None:
    forge(there, lambda body, _: body["properties"].pop(1))
    assert "no-root: the certificate has no such property" in complaints(checked(there))


def test_a_property_file_that_must_be_covered_is(there: Path) -> None:
    more = "proves: pays.yaml\nproperties:\n  - {id: more, never: args.amount > 60}\n"
    (there / "more.yaml").write_text(more)
    assert checked(there).exit_code == 0
    found = checked(there, properties=(there / "proofs.yaml", there / "more.yaml"))
    assert complaints(found) == ["more: the certificate has no such property"]


@pytest.mark.parametrize(
    ("old", "new"),
    [("max: 60", "max: 61"), ("{id: root, deny: args.to == 'root'}", "{id: root, deny: args.to == 'boot'}")],
)
def test_another_spec_is_noticed(there: Path, old: str, new: str) -> None:
    spec = there / "pays.yaml"
    spec.write_text(spec.read_text().replace(old, new))
    assert checked(there).exit_code == 1


def test_another_property_and_another_prover_are_noticed(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (there / "proofs.yaml").write_text(PROPERTIES.replace("sent <= 100", "sent <= 101"))
    assert checked(there).exit_code == 1
    (there / "proofs.yaml").write_text(PROPERTIES)
    assert checked(there).exit_code == 0
    monkeypatch.setattr("sandbox.prove.ledger.encoder_digest", lambda: "0" * 64)
    assert any("another version of the prover" in each for each in checked(there).problems)


# --- the script --------------------------------------------------------------------------------------


def script(folder: Path, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", folder / "cert" / "check.sh", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", **environment},
        cwd=folder,
    )


def solver_that(folder: Path, program: str) -> Path:
    path = folder / "solver"
    path.write_text(f"#!/bin/sh\n{program}\n")
    path.chmod(0o755)
    return path


def test_the_script_needs_a_solver_and_nothing_of_ours(there: Path) -> None:
    count = len(list((there / "cert").glob("*.smt2")))
    done = script(there, Z3)
    assert (done.returncode, done.stdout) == (0, f"{count} as claimed, 0 otherwise, 0 not decided, by {Z3}\n")
    on_path = script(there, PATH=f"{Z3.parent}:/usr/bin:/bin")
    assert (on_path.returncode, os.access(there / "cert" / "check.sh", os.X_OK)) == (0, True)


def test_the_script_says_where_a_file_was_changed(there: Path) -> None:
    path = file_of(there, "002-pays-no-root-004")
    path.write_text(path.read_text().replace("assert", "assert "))
    done = script(there, Z3)
    assert (done.returncode, f"{path.name}: not the file that was written" in done.stdout) == (1, True)


def test_the_script_says_where_an_answer_is_another(there: Path) -> None:
    done = script(there, solver_that(there, "echo sat"))
    assert (done.returncode, "sat, and unsat is claimed" in done.stdout) == (1, True)


def test_the_script_says_what_is_not_decided(there: Path) -> None:
    done = script(there, solver_that(there, "echo timeout"))
    assert (done.returncode, "not decided (timeout)" in done.stdout) == (3, True)
    assert script(there, solver_that(there, "exit 1")).returncode == 3


def test_the_script_says_that_there_is_no_solver(there: Path) -> None:
    done = script(there, "no-such-solver")
    assert (done.returncode, "there is no such program" in done.stderr) == (4, True)
    assert script(there, PATH="/nowhere").returncode == 4


# --- folders and the command -------------------------------------------------------------------------


def test_a_certificate_takes_the_place_of_an_earlier_one_and_of_nothing_else(there: Path, tmp_path: Path) -> None:
    (there / "proofs.yaml").write_text(PROPERTIES.split("  - {id: no-root", maxsplit=1)[0])
    emit(there)
    assert len(list((there / "cert").glob("*.smt2"))) == 6
    assert checked(there).exit_code == 0
    (there / "cert" / "notes.txt").touch()
    with pytest.raises(UsageError, match="is no part of a certificate"):
        emit(there)
    (tmp_path / "cert").mkdir()
    (tmp_path / "cert" / "notes.smt2").touch()
    write(tmp_path)
    with pytest.raises(UsageError, match="is not empty, and holds no certificate"):
        emit(tmp_path)
    assert certificate.MANIFEST not in {each.name for each in (tmp_path / "cert").iterdir()}


def test_the_command_verifies(there: Path) -> None:
    words = ["verify-certificate", str(there / "cert"), str(there / "pays.yaml")]
    done = CliRunner().invoke(PROGRAM, words)
    assert (done.exit_code, done.stdout.splitlines()[0]) == (0, "verified  pays cap: proved, 6 obligations")
    told = json.loads(CliRunner().invoke(PROGRAM, [*words, "--json"]).stdout)
    assert (told["exit_code"], told["properties"][0]["status"], told["problems"]) == (0, "verified", [])
    file_of(there, "004-pays-beyond").unlink()
    done = CliRunner().invoke(PROGRAM, words)
    assert (done.exit_code, "mismatch  `004-pays-beyond" in done.stdout) == (1, True)
    assert CliRunner().invoke(PROGRAM, ["verify-certificate", str(there), str(there / "pays.yaml")]).exit_code == 2
