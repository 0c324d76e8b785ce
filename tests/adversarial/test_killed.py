"""B16: the process is killed (SIGKILL) before and after every step of a call's way; then the gate is opened again."""

from __future__ import annotations

from pathlib import Path

import pytest
from gatekit import PAYMENTS, SpyRunner, digest_of, kinds, left_by, left_running, open_gate, payment, records, spec_file
from killed_gate import NEWER

from sandbox.audit import verify
from sandbox.gate import Gate
from sandbox.machine import effective, tick
from sandbox.receipts import Balance, check_receipts

PROGRAM = Path(__file__).with_name("killed_gate.py")
FEWEST_STEPS = 20


def spent(gate: Gate) -> int:
    now = gate._clock()
    with gate._store.transaction() as transaction:
        return int(
            effective(gate.contract, tick(gate.contract, transaction.load(gate.contract, now), now))["sent_today"]
        )


def statuses(gate: Gate) -> list[str]:
    return [row[0] for row in gate._store._connection.execute("SELECT status FROM reservations").fetchall()]


def kept_endings(gate: Gate) -> int:
    return int(gate._store._connection.execute("SELECT count(*) FROM endings").fetchone()[0])


def killed(root: Path, what: str, fewest: int = FEWEST_STEPS) -> list[Path]:
    """What was left by a process that was killed at its first step, at its second, and so on to the last."""
    return left_by(PROGRAM, root, what, fewest=fewest)


def endings(folder: Path) -> list[str]:
    """What the record says of the one call that was intended before anything was killed, after its intent."""
    found = records(folder)
    nonces = [each["body"]["nonce"] for each in found if each["kind"] == "intent"]
    if not nonces:
        return []
    return [
        each["kind"]
        for each in found
        if each["kind"] != "intent" and each["body"].get("receipt", each["body"]).get("nonce") == nonces[0]
    ]


def check(folder: Path) -> tuple[int, int, list[str]]:
    """Open what a kill left; give back the effects, the cents spent, and the reservations' statuses."""
    record = folder / ".sandbox/state.audit.jsonl"
    effects = (folder / "effects").read_text().count("paid") if (folder / "effects").exists() else 0
    before = kinds(folder)
    with open_gate(folder) as gate:
        cents, found = spent(gate), statuses(gate)
        chain = verify(record)
        recorded, ended = kinds(folder), endings(folder)
        assert kept_endings(gate) == 0
        gate.call(payment(amount="1.00"))
        assert spent(gate) == cents + 100
    assert chain.records == len(recorded)
    assert recorded[: len(before)] == before
    assert not {"reserved", "running"} & set(found)
    assert ("interrupted" in recorded) == (found == ["interrupted"])
    assert effects <= recorded.count("intent") <= 1
    assert check_receipts(record).unfinished == 0
    assert len(set(ended)) == len(ended)
    with open_gate(folder):
        assert kinds(folder) == [*recorded, "intent", "outcome"], "a second opening finds nothing to do"
    return effects, cents, found


@pytest.mark.no_cover
def test_wherever_the_process_is_killed_nothing_is_lost_doubled_or_half_written(tmp_path: Path) -> None:
    folders = killed(tmp_path, "ok")
    seen = [check(folder) for folder in folders]
    for effects, cents, found in seen:
        assert cents == (1000 if found else 0)
        assert effects == 0 or (cents == 1000 and found)
    assert {"interrupted", "settled"} <= {status for _, _, found in seen for status in found}
    assert {0, 1} == {effects for effects, _, _ in seen}
    assert {("interrupted",), ("outcome",)} == {tuple(endings(folder)) for folder in folders}


@pytest.mark.no_cover
def test_wherever_it_is_killed_while_it_gives_back_what_never_started_the_record_says_how_it_ended(
    tmp_path: Path,
) -> None:
    folders = killed(tmp_path, "never")
    seen = [check(folder) for folder in folders]
    for _, cents, found in seen:
        assert cents == (1000 if found and found != ["cancelled"] else 0)
    assert {"interrupted", "cancelled"} <= {status for _, _, found in seen for status in found}
    for folder, (_, _, found) in zip(folders, seen, strict=True):
        assert found != ["cancelled"] or endings(folder) == ["cancelled", "outcome"]


@pytest.mark.parametrize(("what", "ended"), [("ok", ["outcome"]), ("never", ["cancelled", "outcome"])])
def test_an_ending_that_was_not_recorded_is_recorded_once_wherever_the_recovery_is_killed(
    tmp_path: Path, what: str, ended: list[str]
) -> None:
    folders = killed(tmp_path, f"recover-{what}", fewest=4)
    assert endings(tmp_path / "left") == []
    for folder in folders:
        check(folder)
        assert endings(folder) == ended
        assert [each["kind"] for each in records(folder) if each["body"].get("recovered") is True] == ended
    assert check_receipts(folders[0] / ".sandbox/state.audit.jsonl") == Balance(2, 0, 0)


def test_an_interrupted_call_is_never_repeated_by_the_gate(tmp_path: Path) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        gate.call(payment())
        left_running(gate)
    again = SpyRunner()
    with open_gate(tmp_path, runner=again) as gate:
        assert statuses(gate) == ["interrupted"]
    assert again.permits == []


def test_the_change_of_a_spec_is_recorded_once_wherever_the_opening_is_killed(tmp_path: Path) -> None:
    folders = killed(tmp_path, "respec", fewest=4)
    found = set()
    for folder in folders:
        found.add(kinds(folder).count("spec_changed"))
        with open_gate(folder, text=NEWER) as gate:
            gate.call(payment())
        assert kinds(folder).count("spec_changed") == 1
        verify(folder / ".sandbox/state.audit.jsonl")
    assert found == {0, 1}


def test_a_change_back_and_forth_is_recorded_each_time(tmp_path: Path) -> None:
    for text in (PAYMENTS, NEWER, PAYMENTS, NEWER):
        open_gate(tmp_path, text=text).close()
    assert kinds(tmp_path).count("spec_changed") == 3


def test_a_change_is_recorded_again_where_calls_ran_under_the_earlier_spec_since(tmp_path: Path) -> None:
    """The record said that the spec changes, the process was killed, and the earlier spec went on."""
    open_gate(tmp_path).close()
    newest = digest_of(spec_file(tmp_path / "newest", NEWER))
    with open_gate(tmp_path) as gate:
        earlier = digest_of(tmp_path / "payments.yaml")
        gate._trail.append("spec_changed", {"spec": "payments", "before": earlier, "after": newest})
        gate.call(payment())
    open_gate(tmp_path, text=NEWER).close()
    assert [kind for kind in kinds(tmp_path) if kind in {"spec_changed", "intent"}] == [
        "spec_changed", "intent", "spec_changed"
    ]  # fmt: skip
