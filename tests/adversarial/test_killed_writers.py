"""Processes killed at any instant: no half-written state, nothing spent twice, a record that verifies."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.audit import AuditLog, verify
from sandbox.ir import Contract, IntSort, Period, Variable
from sandbox.state import Store

pytestmark = (
    pytest.mark.no_cover
)  # what is tested runs in processes of its own, and what they cover, the tests of their modules do

ROOT = Path(__file__).parents[2]
DAY = 86_400_000
CONTRACT = Contract(
    "c",
    (),
    (
        Variable("count", IntSort(), 0),
        Variable("recent", IntSort(), 0, Period("window", DAY)),
        Variable("own", IntSort(), 0, scope="principal"),
    ),
)

SPENDER = """
import sys
from sandbox.ir import Contract, IntSort, Period, Variable
from sandbox.machine import apply_then, effective, tick
from sandbox.state import Reservation, Store

url, name, cap = sys.argv[1], sys.argv[2], int(sys.argv[3])
window = Period("window", 86_400_000)
own = Variable("own", IntSort(), 0, scope="principal")
contract = Contract("c", (), (Variable("count", IntSort(), 0), Variable("recent", IntSort(), 0, window), own))
store = Store.open(url, "")
number = 0
while True:
    holders = {"principal": f"{name}-{number % 3}"}
    with store.transaction() as transaction:
        before = transaction.load(contract, number, holders)
        state = effective(contract, tick(contract, before, number))
        if state["count"] >= cap:
            break
        spent = {variable: state[variable] + 1 for variable in ("count", "recent", "own")}
        transaction.save(contract, apply_then(contract, before, spent), holders)
        transaction.reserve(Reservation(f"{name}-{number}", "t", "d", number))
    print(number, flush=True)
    number += 1
"""

WRITER = """
import sys
from pathlib import Path
from sandbox.audit import AuditLog

log = AuditLog(Path(sys.argv[1]), lambda: 0)
while True:
    log.append("intent", {"by": sys.argv[2], "what": "x" * 20_000})
    print(flush=True)
"""


def started(program: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def lines_until_killed(process: subprocess.Popen[str], lines: int) -> int:
    """Kills the process once it has said that many lines, wherever it is by then; how many it said in all."""
    assert process.stdout is not None
    said = sum(1 for _ in zip(range(lines), process.stdout, strict=False))
    process.kill()
    said += len(process.stdout.read().splitlines())
    process.wait()
    process.stdout.close()
    return said


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_spender_leaves_whole_transactions(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  # when to kill
    url = f"sqlite:///{tmp_path}/state.db"
    acknowledged = 0
    for round_number in range(4):
        acknowledged += lines_until_killed(started(SPENDER, url, str(round_number), "1000000"), chance.randrange(1, 40))
        store = Store.open(url, "")
        with store.transaction() as transaction:
            state = transaction.load(CONTRACT, 0)
            lost = transaction.unfinished()
            own = [transaction.load(CONTRACT, 0, holders).values["own"] for holders in transaction.every(CONTRACT)]
            assert sum(own) == len(lost)
            assert state.values["count"] == len(state.events["recent"]) == transaction.version("c") == len(lost)
            assert {each.status for each in lost} == {"reserved"}
            # one commit may have been killed between being written and being told
            assert acknowledged <= len(lost) <= acknowledged + round_number + 1
        store.close()


def test_processes_that_hammer_a_cap_are_granted_exactly_the_cap(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    cap = 60
    workers = [started(SPENDER, url, str(number), str(cap)) for number in range(3)]
    granted = sum(len(worker.communicate()[0].splitlines()) for worker in workers)
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    assert granted == cap
    store = Store.open(url, "")
    with store.transaction() as transaction:
        assert transaction.load(CONTRACT, 0).values["count"] == cap
        own = [transaction.load(CONTRACT, 0, holders).values["own"] for holders in transaction.every(CONTRACT)]
        assert sum(own) == cap
        assert len(transaction.unfinished()) == cap
    store.close()


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_writer_leaves_a_record_that_verifies_after_the_next_start(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  # when to kill
    path = tmp_path / "audit.jsonl"
    acknowledged = 0
    for _ in range(3):
        pair = [started(WRITER, str(path), str(number)) for number in range(2)]
        acknowledged += sum(lines_until_killed(each, chance.randrange(1, 30)) for each in pair)
        AuditLog(path, lambda: 0)
        verified = verify(path)
        kinds = [json.loads(line)["kind"] for line in path.read_text().splitlines()]
        assert len(kinds) == verified.records
        assert kinds.count("intent") >= acknowledged
