"""Whether every receipt in a record says what was intended: one outcome an intent, with the very same digests.

The chain shows that lines are as they were written; this shows that they fit together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox.errors import RecordBroken
from sandbox.ir import Json

BOUND: Final = ("contract_digest", "contracts", "run_digest", "image_digest", "source_digest", "approved_by")
"""What an intent and its receipt both name."""


@dataclass(frozen=True, slots=True)
class Balance:
    """How many receipts fit their intents, how many calls were interrupted, and how many have no ending yet."""

    receipts: int
    interrupted: int
    unfinished: int


def check_receipts(path: Path) -> Balance:
    """The balance of a record whose chain was verified; RecordBroken, naming the line, at the first misfit."""
    intents: dict[str, Mapping[str, Json]] = {}
    cancelled: set[str] = set()
    receipts = interrupted = 0
    for number, kind, body in _records(path):
        match kind:
            case "intent":
                intents[_nonce(body, path, number)] = body
            case "outcome":
                receipt = body.get("receipt")
                if not isinstance(receipt, dict):
                    raise _misfit(path, number, "the outcome has no receipt")
                intent = intents.pop(_nonce(receipt, path, number), None)
                if intent is None or any(intent.get(name) != receipt.get(name) for name in BOUND):
                    raise _misfit(path, number, "the receipt is not that of a call that was intended")
                receipts += 1
            case "interrupted":
                interrupted += 1
                intents.pop(_nonce(body, path, number), None)
            case "cancelled":
                cancelled.add(_nonce(body, path, number))
            case _:
                pass  # nothing ran
    return Balance(receipts, interrupted, len(intents.keys() - cancelled))


def _records(path: Path) -> Iterator[tuple[int, str, Mapping[str, Json]]]:
    with path.open(encoding="ascii") as file:
        for number, line in enumerate(file, start=1):
            record = json.loads(line)
            yield number, record["kind"], record["body"]


def _nonce(body: Mapping[str, Json], path: Path, number: int) -> str:
    nonce = body.get("nonce")
    if not isinstance(nonce, str):
        raise _misfit(path, number, "the record names no permit")
    return nonce


def _misfit(path: Path, number: int, what: str) -> RecordBroken:
    return RecordBroken(f"{path}:{number}: {what}")
