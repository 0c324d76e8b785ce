"""A plain function behind a gate: it is called three times, runs once, asks once, and is refused once."""

import tempfile
from decimal import Decimal
from pathlib import Path

from sandbox import ApprovalNeeded, Denied, Gate, sandboxed

spec = Path(__file__).with_name("clerk.yaml")
with tempfile.TemporaryDirectory() as folder, Gate.open(spec, state=f"sqlite:///{folder}/state.db") as gate:

    @sandboxed(gate)
    def send_money(recipient: str, amount: Decimal) -> str:
        """Send money."""
        return f"sent: {amount} to {recipient}"

    for amount in ("20.50", "75", "20000"):
        try:
            print(send_money("GB29NWBK60161331926819", Decimal(amount)))
        except ApprovalNeeded as waits:
            print(f"not run: {waits}")
        except Denied as refused:
            print(f"denied: {refused}")
