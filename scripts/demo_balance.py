"""The demo's last part: what went in is what came out, what was made is gone, and the record tells the same."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import docker
from demo_agent import SPECS, Seen, Stage
from demo_recording import Emitted
from demo_screen import part

from sandbox.audit import verify
from sandbox.errors import RecordBroken
from sandbox.execute.owner import LABEL_PID, Owner
from sandbox.machine import effective, tick
from sandbox.state import Store

EVENT_SECONDS = 10.0  # for the engine to tell of a removal that has already happened
CENTS = 100
CAP = 5000
LEFT_IN = {
    "payments": {"ledger.jsonl"},
    "files": {".git/config", "notes/big.txt", "notes/escape", "notes/plan.txt", "notes/todo.txt", "public/index.txt"}
    | {"public/news.txt", "secret.txt"},
    "python": set[str](),
    "workbench": {"report.txt"},
}


class Witness:
    """Hears from the engine itself of every container with our label that is made or removed."""

    def __init__(self) -> None:
        """Listens from now on."""
        labels = dict(Owner.this().labels(""))
        self._label = f"{LABEL_PID}={labels[LABEL_PID]}"
        self._client = docker.from_env()
        filters = {"type": "container", "label": self._label, "event": ["create", "destroy"]}
        self._stream = self._client.events(since=int(time.time()), filters=filters, decode=True)
        self._heard: queue.Queue[str] = queue.Queue()
        self._counts: Counter[str] = Counter()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for event in self._stream:
            self._heard.put(str(event["Action"]))

    def counts(self, made: int) -> tuple[int, int]:
        """How many were made and removed; waits for the engine to tell of as many removals as were expected."""
        deadline = time.monotonic() + EVENT_SECONDS
        while self._counts["destroy"] < made or not self._heard.empty():
            try:
                self._counts[self._heard.get(timeout=max(0.01, deadline - time.monotonic()))] += 1
            except queue.Empty:
                break
        return self._counts["create"], self._counts["destroy"]

    def left(self) -> int:
        """How many containers of ours the engine still has, running or not."""
        return len(self._client.containers.list(all=True, filters={"label": self._label}, ignore_removed=True))

    def close(self) -> None:
        """Stops listening."""
        self._stream.close()
        self._client.close()


def show_balance(stage: Stage, recording: Sequence[Emitted], seen: Sequence[Seen], witness: Witness) -> list[str]:
    """Prints the balance; what does not balance is returned."""
    sheet = _Sheet()
    _balance_calls(sheet, stage, recording, seen)
    _balance_containers(sheet, seen, witness)
    _balance_budget(sheet, stage, recording, seen)
    for spec, expected in LEFT_IN.items():
        found = {str(path.relative_to(stage.workspace(spec))) for path in _files(stage, spec)}
        sheet.line(f"workspace {spec}: {len(found)} files, none that was refused", holds=found == expected)
    part("4  The balance", [[line] for line in sheet.lines])
    return sheet.unmet


class _Sheet:
    """Lines of the balance, each with whether it holds."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.unmet: list[str] = []

    def line(self, text: str, *, holds: bool) -> None:
        """One claim."""
        self.lines.append(f"{'holds' if holds else 'FAILS':6} {text}")
        if not holds:
            self.unmet.append(f"balance: {text}")


def _balance_calls(sheet: _Sheet, stage: Stage, recording: Sequence[Emitted], seen: Sequence[Seen]) -> None:
    allowed = sum(each.verdict == "allow" for each in seen)
    asked = sum(each.verdict == "ask" or each.reason_code == "approval.refused" for each in seen)
    denied = sum(each.verdict == "deny" and each.reason_code != "approval.refused" for each in seen)
    total = f"{len(recording)} calls = {allowed} allowed + {denied} denied + {asked} asked"
    sheet.line(total, holds=len(recording) == allowed + denied + asked)
    approved = sum(bool(each.approved_by) for each in seen)
    refused = sum(each.reason_code == "approval.refused" for each in seen)
    absent = sum(each.reason_code == "approval.needed" for each in seen)
    sheet.line(
        f"{asked} asked = {approved} approved and run + {refused} refused + {absent} with nobody there",
        holds=asked == approved + refused + absent,
    )
    kinds: Counter[str] = Counter()
    for spec in (*SPECS, "workbench"):
        record = stage.record(spec)
        try:
            count = verify(record).records
        except RecordBroken as error:
            sheet.line(f"record {spec}: {error}", holds=False)
            continue
        sheet.line(f"record {spec}: {count} records, the chain verifies", holds=count > 0)
        kinds.update(json.loads(line)["kind"] for line in record.read_text().splitlines())
    ran = sum(each.outcome is not None for each in seen)
    sheet.line(
        f"records: {kinds['intent']} intents = {kinds['outcome']} outcomes = {ran} runs",
        holds=kinds["intent"] == kinds["outcome"] == ran,
    )
    sheet.line(
        f"records: {kinds['intent']} intents + {kinds['denied']} denied + {kinds['asked']} waiting = {len(seen)} calls",
        holds=kinds["intent"] + kinds["denied"] + kinds["asked"] == len(seen),
    )


def _balance_containers(sheet: _Sheet, seen: Sequence[Seen], witness: Witness) -> None:
    ran = sum(each.outcome is not None for each in seen)
    made, removed = witness.counts(ran)
    sheet.line(
        f"{made} containers made = {removed} removed = {ran} calls that ran, by the engine's own account",
        holds=made == removed == ran,
    )
    left = witness.left()
    sheet.line(f"{left} containers left", holds=left == 0)


def _balance_budget(sheet: _Sheet, stage: Stage, recording: Sequence[Emitted], seen: Sequence[Seen]) -> None:
    runs = [each.outcome for emitted, each in zip(recording, seen, strict=True) if emitted.spec == "payments"]
    paid = sum((_amount(outcome.result) for outcome in runs if outcome is not None), Decimal(0))
    ledger = (stage.workspace("payments") / "ledger.jsonl").read_text().splitlines()
    written = sum((_amount(json.loads(line)) for line in ledger), Decimal(0))
    sent = _state(stage, "payments", "sent_today")
    sheet.line(
        f"{sent:.2f} in the state = {paid:.2f} of payments that ran = {written:.2f} in the ledger; the cap is {CAP}.00",
        holds=sent == paid == written <= CAP,
    )


def _amount(payment: object) -> Decimal:
    return Decimal(str(payment["amount"])) if isinstance(payment, dict) else Decimal(0)


def _state(stage: Stage, spec: str, variable: str) -> Decimal:
    """A budget as the next call would see it."""
    contract = stage.contract(spec)
    store = Store.open(stage.state_url(spec), contract.file)
    now = time.time_ns() // 1_000_000
    with store.transaction() as transaction:
        stored = tick(contract, transaction.load(contract, now), now)
    store.close()
    return Decimal(effective(contract, stored)[variable]) / CENTS


def _files(stage: Stage, spec: str) -> list[Path]:
    return [path for path in stage.workspace(spec).rglob("*") if path.is_symlink() or not path.is_dir()]
