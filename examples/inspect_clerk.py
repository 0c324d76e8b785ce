"""Inspect's loop of tool calls behind a gate: a scripted model pays, asks, and is refused."""

import asyncio
import tempfile
from decimal import Decimal
from pathlib import Path

from inspect_ai.model import ChatMessageAssistant, ChatMessageUser, execute_tools
from inspect_ai.tool import ToolCall, ToolDef

from sandbox import Gate
from sandbox.adapters.inspect_ai import wrap

SPEC = Path(__file__).with_name("clerk.yaml")


def send_money(recipient: str, amount: Decimal) -> str:
    """Send money."""
    return f"sent: {amount} to {recipient}"


async def main(gate: Gate) -> None:
    """Prints what the model is told."""
    tools = wrap(gate, [ToolDef(send_money, parameters={"recipient": "who", "amount": "how much"})])
    for amount in ("20.50", "75", "20000"):
        call = ToolCall(amount, "send_money", {"recipient": "GB29NWBK60161331926819", "amount": amount})
        said = [ChatMessageUser(content="pay"), ChatMessageAssistant(content="", tool_calls=[call])]
        for told in (await execute_tools(said, tools)).messages:
            print(told.error.message if told.error else told.text)


with tempfile.TemporaryDirectory() as folder, Gate.open(SPEC, state=f"sqlite:///{folder}/state.db") as opened:
    asyncio.run(main(opened))
