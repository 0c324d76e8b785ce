"""A payment, written into the ledger of the workspace: one JSON line each."""

from __future__ import annotations

import json
import os
from decimal import Decimal

from tools.beneath import open_beneath

LEDGER = "/workspace/ledger.jsonl"


def send_money(recipient: str, amount: Decimal, note: str = "") -> dict[str, object]:
    """Appends the payment to the ledger; the number of its line, and what was paid to whom."""
    payment: dict[str, object] = {"recipient": recipient, "amount": str(amount), "note": note}
    with os.fdopen(open_beneath(LEDGER, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644), "a+b") as ledger:
        ledger.seek(0)
        number = sum(1 for _ in ledger) + 1
        ledger.write(json.dumps({"number": number, **payment}, ensure_ascii=False).encode() + b"\n")
    return {"sent": True, "number": number, **payment}
