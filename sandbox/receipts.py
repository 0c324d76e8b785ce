"""Whether every receipt in a record says what was intended: one outcome an intent, with the very same digests.

The chain shows that lines are as they were written; this shows that they fit together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox.errors import RecordBroken
from sandbox.ir import Json

BOUND: Final = ("contract_digest", "contracts", "run_digest", "image_digest", "source_digest", "approved_by")
"""What an intent and its receipt both name."""

ENDINGS: Final = frozenset({"outcome", "cancelled", "interrupted"})
"""Kinds of records that say how a call ended."""


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
                if intent is None or not _fits(intent, receipt):
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


def _fits(intent: Mapping[str, Json], receipt: Mapping[str, Json]) -> bool:
    """Whether a receipt is of the call that was intended, with everything that its permit bound."""
    decision = intent.get("decision")
    call = decision.get("call") if isinstance(decision, dict) else None
    digest = call.get("call_digest") if isinstance(call, dict) else None
    bound = all(intent.get(name) == receipt.get(name) for name in BOUND)
    return bound and digest is not None and digest == receipt.get("call_digest")


def told(path: Path, nonces: AbstractSet[str]) -> frozenset[tuple[str, str]]:
    """Which intents and endings of these calls are in the record: nonce and kind. RecordBroken where it cannot be read.

    A torn last line is no record. Each line is looked at once, and read only where it names one of the calls.
    """
    found: set[tuple[str, str]] = set()
    try:
        with path.open(encoding="ascii") as file:
            for line in file:
                if line.endswith("\n") and any(nonce in line for nonce in nonces):
                    found.update(_told(line, nonces))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _unreadable(path, error) from error
    return frozenset(found)


def spec_change_stands(path: Path, body: Mapping[str, Json]) -> bool:
    """Whether the record says already that this spec was changed like this, and nothing was intended after that.

    RecordBroken where it cannot be read; a torn last line is no record.
    """
    stands = False
    try:
        with path.open(encoding="ascii") as file:
            for line in file:
                if line.endswith("\n") and ('"spec_changed"' in line or '"intent"' in line):
                    record = json.loads(line)
                    stands = _says(record, body, stands=stands)
    except FileNotFoundError:
        return False
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _unreadable(path, error) from error
    return stands


def _says(record: Mapping[str, Json], body: Mapping[str, Json], *, stands: bool) -> bool:
    """Whether the change stands after this record, if it did (or not) before."""
    found = record["body"]
    if record["kind"] == "spec_changed" and isinstance(found, dict) and found["spec"] == body["spec"]:
        return found == body
    return stands and record["kind"] != "intent"


def _unreadable(path: Path, error: Exception) -> RecordBroken:
    return RecordBroken(f"the record `{path}` cannot be read: {type(error).__name__}")


def _told(line: str, nonces: AbstractSet[str]) -> Iterator[tuple[str, str]]:
    record = json.loads(line)
    kind, body = record["kind"], record["body"]
    nonce = body["receipt"].get("nonce") if kind == "outcome" else body.get("nonce")
    if kind in {"intent", *ENDINGS} and nonce in nonces:
        yield nonce, kind


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
