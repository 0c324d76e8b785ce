"""B16: the process is killed (SIGKILL) before and after every step of a call's way; then the gate is opened again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from gatekit import SpyRunner, kinds, open_gate, payment

from sandbox.audit import verify
from sandbox.gate import Gate
from sandbox.machine import effective, tick

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


def check(folder: Path) -> tuple[int, int, list[str]]:
    """Open what a kill left; give back the effects, the cents spent, and the reservations' statuses."""
    effects = (folder / "effects").read_text().count("paid") if (folder / "effects").exists() else 0
    before = kinds(folder)
    with open_gate(folder) as gate:
        cents, found = spent(gate), statuses(gate)
        chain = verify(folder / ".sandbox/state.audit.jsonl")
        recorded = kinds(folder)
        gate.call(payment(amount="1.00"))
        assert spent(gate) == cents + 100
    assert chain.records == len(recorded)
    assert recorded[: len(before)] == before
    assert not {"reserved", "running"} & set(found)
    assert ("interrupted" in recorded) == (found == ["interrupted"])
    assert effects <= recorded.count("intent") <= 1
    return effects, cents, found


def test_wherever_the_process_is_killed_nothing_is_lost_doubled_or_half_written(tmp_path: Path) -> None:
    tests = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, PROGRAM, tmp_path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(tests), str(tests.parent)))},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    steps = int(done.stdout.split()[-1])
    assert steps >= FEWEST_STEPS, done.stderr
    seen = [check(tmp_path / str(step)) for step in range(1, steps + 1)]
    for effects, cents, found in seen:
        assert cents == (1000 if found else 0)
        assert effects == 0 or (cents == 1000 and found)
    assert {"interrupted", "settled"} <= {status for _, _, found in seen for status in found}
    assert {0, 1} == {effects for effects, _, _ in seen}


def test_an_interrupted_call_is_never_repeated_by_the_gate(tmp_path: Path) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, runner=runner) as gate:
        gate.call(payment())
        gate._store._connection.execute("UPDATE reservations SET status = 'running', owner_start = 'gone'")
    again = SpyRunner()
    with open_gate(tmp_path, runner=again) as gate:
        assert statuses(gate) == ["interrupted"]
    assert again.permits == []
