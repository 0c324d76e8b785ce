"""What tests of the gate share: a spec, a clock set by hand, and a runner that runs nothing and remembers all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path

from sandbox.approve import Approver
from sandbox.call import Outcome, Permit
from sandbox.execute.runner import Prepared
from sandbox.gate import Gate
from sandbox.ir import Contract, Json, Tool

LEFT_S = 300
"""Seconds in which a program that dies many times has done so."""

KNOWN: dict[str, str] = {}  # texts of specs, and their digests

NOON = 1_767_268_800_000  # 2026-01-01T12:00:00Z

PAYMENTS = """\
sandbox: 1
name: payments
owner: payments-team
define:
  trusted: ["GB29NWBK60161331926819", "DE89370400440532013000"]
state:
  sent_today: {type: decimal, scale: 2, initial: 0, window: 24h}
tools:
  send_money:
    args:
      recipient: {type: string, pattern: "[A-Z]{2}[0-9A-Z]{13,32}"}
      amount:    {type: decimal, scale: 2, min: 0.01, max: 1000000}
      note:      {type: text, max_size: 140, optional: true}
    rules:
      - {id: over-limit, deny: state.sent_today + args.amount > 5000.00}
      - {id: trusted,    allow: args.recipient in trusted && args.amount <= 1000.00}
      - id: human
        ask: args.amount <= 5000.00 && !(args.recipient in trusted && args.amount <= 1000.00)
        approvers: 1
    then: {sent_today: state.sent_today + args.amount}
    run:  {tool: tools.payments:send_money, timeout: 10s}
  balance:
    args: {}
    rules: [{id: all, allow: true}]
"""

TRUSTED = ("GB29NWBK60161331926819", "DE89370400440532013000")
STRANGER = "FR7630006000011234567890189"

OK = Outcome("ok", "ok", "", result={"done": True})


class HandClock:
    """Unix milliseconds that move when told to."""

    def __init__(self, now_ms: int = NOON) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms

    def pass_hours(self, hours: float) -> None:
        self.now_ms += int(hours * 3_600_000)


class SpyRunner:
    """Runs nothing; sees every permit that reaches the edge. `behave` may return an outcome or raise."""

    def __init__(
        self, behave: Callable[[Permit], Outcome] | None = None, prepare_error: Exception | None = None
    ) -> None:
        self.permits: list[Permit] = []
        self.prepared = 0
        self._behave = behave
        self._prepare_error = prepare_error
        self._lock = threading.Lock()

    def prepare(self, contract: Contract, tool: Tool) -> Prepared:
        self.prepared += 1
        if self._prepare_error is not None:
            raise self._prepare_error
        return Prepared("a" * 64, "b" * 64, "c" * 64, "spy")

    def run(self, permit: Permit, contract: Contract, tool: Tool, now_ms: int, judge: object = None) -> Outcome:
        with self._lock:
            self.permits.append(permit)
        return OK if self._behave is None else self._behave(permit)

    def close(self) -> None:
        """As a runner that holds a connection."""

    @property
    def calls(self) -> list[Json]:
        """What reached the edge, as the canonical JSON of each call."""
        return [json.loads(permit.call.canonical) for permit in self.permits]


def spec_file(folder: Path, text: str = PAYMENTS, name: str = "payments.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def open_gate(
    folder: Path,
    *,
    text: str = PAYMENTS,
    runner: SpyRunner | None = None,
    approver: Approver | Sequence[Approver] | None = None,
    clock: HandClock | None = None,
    solver: bool = False,
) -> Gate:
    """A gate on a spec in `folder`, its state beside it. Without `solver` only the evaluator is asked, for speed."""
    spec = spec_file(folder, text)
    settings = {"runner": runner or SpyRunner(), "approver": approver, "clock": clock or HandClock()}
    if solver:
        return Gate.open(spec, **settings)
    return Gate.open(spec, engine="evaluator", proved_digest=known_digest(spec, text), **settings)


def known_digest(spec: Path, text: str) -> str:
    """The digest of this text, read once for all gates: it is the same in every folder (`test_gate_parts.py`)."""
    if text not in KNOWN:
        KNOWN[text] = digest_of(spec)
    return KNOWN[text]


def digest_of(spec: Path) -> str:
    from sandbox import ir
    from sandbox.compile import load_contract

    return ir.digest(load_contract(spec))


def payment(recipient: str = TRUSTED[0], amount: str | Decimal = "10.00", **more: object) -> dict[str, object]:
    """A raw call of `send_money`."""
    return {"tool": "send_money", "args": {"recipient": recipient, "amount": str(amount), **more}}


def records(gate_folder: Path) -> list[dict[str, Json]]:
    """Every record beside the spec, in order."""
    path = gate_folder / ".sandbox" / "state.audit.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def kinds(gate_folder: Path) -> list[Json]:
    return [record["kind"] for record in records(gate_folder)]


def left_running(gate: Gate) -> None:
    """Every call so far becomes one of a process that died while it ran, under a permit that no record ends."""
    gate._store._connection.execute(
        "UPDATE reservations SET nonce = 'left-' || nonce, status = 'running', owner_pid = 1, owner_start = 'gone'"
    )


def left_by(program: Path, root: Path, *words: str, fewest: int) -> list[Path]:
    """The folders below `root` that a program has left, one for each moment at which it was stopped, in order."""
    tests = Path(__file__).resolve().parent
    done = subprocess.run(  # a program of the tests
        [sys.executable, program, root, *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(tests), str(tests.parent)))},
        capture_output=True,
        text=True,
        check=False,
        timeout=LEFT_S,
    )
    assert done.returncode == 0, done.stderr
    count = int(done.stdout.split()[-1])
    assert count >= fewest, done.stderr
    return [root / str(number) for number in range(1, count + 1)]
