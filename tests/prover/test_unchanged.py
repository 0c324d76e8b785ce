"""What is proved once costs nothing again while nothing changes, and no cache is a way to a `proved` that counts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from prover_specs import Le, always, boolean, contract, number, possible, state, variable

from sandbox.cache import Cache
from sandbox.cli.program import PROGRAM
from sandbox.errors import UsageError
from sandbox.prove import Batch, ProveOptions, prove_batches
from sandbox.prove.crew import Crew, Reply
from sandbox.prove.findings import Disputed, Finding, GaveUp, Holds, Shown
from sandbox.prove.saved import Memory
from sandbox.prove.share import Shard, read_shard
from sandbox.prove.verdicts import Move, Moves
from sandbox.prove.worker import Order, Work, carried_out, work_to_json

pytestmark = pytest.mark.usefixtures("forked")

SPEC = """\
sandbox: 1
name: pays
state: {sent: {type: int, initial: 0}}
tools:
  pay:
    args: {amount: {type: int, min: 1, max: 60}}
    rules:
      - {id: over, deny: state.sent + args.amount > 100}
      - {id: any, allow: true}
    then: {sent: state.sent + args.amount}
"""
PROPERTIES = """\
proves: pays.yaml
properties:
  - {id: cap, always: state.sent <= 100}
  - {id: low, always: state.sent <= 50}
  - {id: useful, possible: decision == 'allow'}
"""


@pytest.fixture
def hired(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The properties for which a child was asked."""
    asked: list[str] = []

    def carry_out(_: Crew, order: Order) -> Reply:
        asked.append(order.subject.id)
        work = carried_out(order)  # in this process: a child would only take longer
        return Reply(work.finding, work.spent, 0, work.rests_on, work.obligations)

    monkeypatch.setattr(Crew, "carry_out", carry_out)
    return asked


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hired: list[str]) -> Path:
    """The current folder, with a spec and its properties, and a cache beside it."""
    place = tmp_path / "project"
    place.mkdir()
    (place / "pays.yaml").write_text(SPEC)
    (place / "proofs.yaml").write_text(PROPERTIES)
    monkeypatch.setenv("SANDBOX_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(place)
    return place


def prove(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(PROGRAM, ["prove", "proofs.yaml", "--no-mend", *words])
    return done.exit_code, done.stdout


def verdicts(*words: str) -> list[tuple[str, str, bool]]:
    document = json.loads(prove("--json", *words)[1])
    return [(each["id"], each["verdict"], each["cached"]) for each in document["properties"]]


ALL = ["cap", "low", "useful"]


def test_a_run_over_again_asks_nobody_and_says_the_same(folder: Path, hired: list[str]) -> None:
    first = prove()
    assert sorted(hired) == ALL
    code, again = prove()
    assert (code, sorted(hired)) == (first[0], ALL)
    assert [line.split(" (")[0] for line in again.splitlines()] == [
        line.split(" (")[0] for line in first[1].splitlines()
    ]
    assert "(cached)" in again
    assert verdicts() == [("cap", "proved", True), ("low", "refuted", True), ("useful", "proved", True)]
    assert sorted(hired) == ALL


def test_what_did_not_change_in_a_file_that_did_is_not_proved_again(folder: Path, hired: list[str]) -> None:
    prove()
    (folder / "pays.yaml").write_text(f"# a comment\n{SPEC}")
    assert [cached for _, _, cached in verdicts()] == [True] * 3
    assert sorted(hired) == ALL


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [("pays.yaml", "> 100", "> 99"), ("pays.yaml", "max: 60", "max: 61"), ("proofs.yaml", "<= 50", "<= 49")],
)
def test_a_change_is_proved_anew(folder: Path, hired: list[str], file: str, old: str, new: str) -> None:
    prove()
    path = folder / file
    path.write_text(path.read_text().replace(old, new))
    assert ("low", "refuted", False) in verdicts()
    assert len(hired) > len(ALL)


def test_a_ledger_that_changes_is_compared_again_without_proving(folder: Path, hired: list[str]) -> None:
    assert prove("--update")[0] == 1
    assert verdicts() == [("cap", "proved", False), ("low", "refuted", False), ("useful", "proved", False)]
    ledger = folder / "ledger.json"
    ledger.write_text(ledger.read_text().replace('"refuted"', '"proved"'))
    assert "`proofs.yaml/pays/low` was proved and is refuted" in prove()[1]
    assert sorted(hired) == sorted(ALL * 2)


def test_a_property_file_that_is_added_to_a_folder_is_seen(folder: Path) -> None:
    prove()
    CliRunner().invoke(PROGRAM, ["prove", "."])
    (folder / "more.yaml").write_text("proves: pays.yaml\nproperties: [{id: more, never: args.amount > 60}]\n")
    (folder / "pays.yaml").rename(folder / "pays.yml")
    for file in ("more.yaml", "proofs.yaml"):
        (folder / file).write_text((folder / file).read_text().replace("pays.yaml", "pays.yml"))
    assert "more" in CliRunner().invoke(PROGRAM, ["prove", "."]).stdout


def test_another_question_is_another_run(folder: Path, hired: list[str]) -> None:
    prove()
    prove("--solver", "both")
    assert sorted(hired) == sorted(ALL * 2)


@pytest.mark.parametrize("words", [("--update",), ("--locked",), ("--emit", "cert"), ("--no-cache",)])
def test_what_counts_is_proved_from_nothing(folder: Path, hired: list[str], words: tuple[str, ...]) -> None:
    prove()
    prove(*words)
    assert sorted(hired) == sorted(ALL * 2)


def test_ci_proves_from_nothing(folder: Path, hired: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    prove()
    monkeypatch.delenv("SANDBOX_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder.parent / "cache"))
    monkeypatch.setenv("CI", "true")
    prove()
    prove()
    assert sorted(hired) == sorted(ALL * 3)


# --- a cache that lies -------------------------------------------------------------------------------


def poison(folder: Path, finding: Finding) -> None:
    """Put this finding, with every digest right, under every key of the cache that has a finding."""
    kept = Cache(folder.parent / "cache")
    for file in kept.folder.glob("*.json"):
        if "finding" in json.loads(file.read_text())["value"]:
            kept.put(file.stem, work_to_json(Work(finding, 0)))
        else:
            file.unlink()


def test_a_cache_that_lies_deceives_its_own_user_and_nothing_that_counts(folder: Path) -> None:
    """Whoever may write a user's cache may write that user's programs; what others rely on is proved from nothing."""
    prove()
    poison(folder, Holds())
    assert ("low", "proved", True) in verdicts()
    for words in (("--update",), ("--locked",), ("--emit", "cert"), ("--no-cache",)):
        assert prove(*words)[0] == 1
    assert json.loads((folder / "ledger.json").read_text())["entries"]["proofs.yaml/pays/low"]["verdict"] == "refuted"


@pytest.mark.parametrize(
    "finding",
    [
        GaveUp("no"),
        Disputed("no"),
        Shown(Moves((Move("pay", {"amount": 1}, 0),), 0)),
        Shown(Moves((Move("nothing", {}, 0),), 0)),
        Shown(Moves((), 0)),
    ],
)
def test_what_is_no_finding_or_does_not_replay_is_found_anew(folder: Path, hired: list[str], finding: Finding) -> None:
    prove()
    poison(folder, finding)
    assert ("low", "refuted", False) in verdicts()
    assert hired.count("low") == 2


def test_nonsense_in_the_cache_is_found_anew(folder: Path, hired: list[str]) -> None:
    prove()
    kept = Cache(folder.parent / "cache")
    for file in kept.folder.glob("*.json"):
        kept.put(file.stem, {"finding": 3})
    assert ("low", "refuted", False) in verdicts()


def test_what_is_not_decided_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Crew, "carry_out", lambda *_: Reply(GaveUp("late"), 0, 0))
    order = Order(contract(()), always(boolean(value=True)), (), (), "z3", 1.0, None, "t")
    Memory(Crew(), Cache(tmp_path / "cache")).carry_out(order)
    assert not (tmp_path / "cache").exists()


def test_a_run_with_an_unknown_is_not_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Crew, "carry_out", lambda *_: Reply(GaveUp("late"), 0, 0))
        assert prove()[0] == 3
    assert ("cap", "proved", False) in verdicts()


# --- shares ------------------------------------------------------------------------------------------


def batches(folder: Path) -> list[Batch]:
    sent = variable("sent")
    spec = replace(contract((), sent), name="pays")
    caps = tuple(always(Le(state(sent), number(bound)), f"cap-{bound}") for bound in range(5))
    return [
        Batch(folder / "a.yaml", spec, caps),
        Batch(folder / "b.yaml", spec, (*caps[:2], possible("", decision=None))),
    ]


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every property holds, at once."""
    monkeypatch.setattr(Crew, "carry_out", lambda *_: Reply(Holds(), 0, 0))


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_shares_are_the_whole_and_no_two_have_a_property_in_common(tmp_path: Path, count: int) -> None:
    for file in ("a.yaml", "b.yaml"):
        (tmp_path / file).touch()
    whole = [(each.file, each.subject.id) for each in prove_batches(batches(tmp_path)).properties]
    shares = [
        prove_batches(batches(tmp_path), ProveOptions(shard=Shard(number, count))).properties
        for number in range(1, count + 1)
    ]
    assert sorted((each.file, each.subject.id) for share in shares for each in share) == sorted(whole)


@pytest.mark.usefixtures("held")
def test_what_a_share_finds_of_the_ledger_is_its_own_and_all_together_find_everything(tmp_path: Path) -> None:
    for file in ("a.yaml", "b.yaml"):
        (tmp_path / file).touch()
    prove_batches(batches(tmp_path), ProveOptions(update=True))
    ledger = tmp_path / "ledger.json"
    recorded = json.loads(ledger.read_text())
    first, *_ = entries = sorted(recorded["entries"])
    recorded["entries"]["a.yaml/pays/gone"] = recorded["entries"][first]
    recorded["entries"][entries[1]]["digest"] = "0" * 64
    del recorded["entries"][entries[2]]
    ledger.write_text(json.dumps(recorded))
    whole = prove_batches(batches(tmp_path)).differences
    parts = [prove_batches(batches(tmp_path), ProveOptions(shard=Shard(n, 3))).differences for n in (1, 2, 3)]
    assert {each.change for each in whole} == {"removed", "stale", "missing"}
    assert sorted((each.key, each.change) for part in parts for each in part) == sorted(
        (each.key, each.change) for each in whole
    )


def test_a_share_proves_the_invariants_that_it_rests_on(folder: Path) -> None:
    (folder / "proofs.yaml").write_text(
        "proves: pays.yaml\nproperties:\n  - {id: cap, always: state.sent <= 100}\n"
        "  - {id: beyond, never: state.sent > 100}\n"
    )
    assert verdicts("--shard", "2/2") == [("beyond", "proved", False)]
    assert prove("--shard", "2/2")[0] == 0


def test_a_share_writes_no_ledger_and_no_certificate(folder: Path) -> None:
    for words in (("--update",), ("--emit", "cert")):
        assert prove("--shard", "1/2", *words)[0] == 2
    assert not (folder / "ledger.json").exists()


@pytest.mark.usefixtures("held")
def test_a_share_of_nothing_is_no_pass(tmp_path: Path) -> None:
    for file in ("a.yaml", "b.yaml"):
        (tmp_path / file).touch()
    with pytest.raises(UsageError, match="there are 8; ask for no more shares than that") as refused:
        prove_batches(batches(tmp_path), ProveOptions(shard=Shard(9, 9)))
    assert refused.value.reason_code == "nothing_to_prove"


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "1/0", "a/b", "1/2/3", "-1/2", "1/9999", " 1/2"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="`i/n`"):
        read_shard(text)


def test_verdicts_of_shares_are_those_of_the_whole(folder: Path) -> None:
    whole = verdicts("--no-cache")
    parts = [each for number in (1, 2) for each in verdicts("--no-cache", "--shard", f"{number}/2")]
    assert sorted(parts) == sorted(whole)
