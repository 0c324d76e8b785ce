"""A FastMCP server whose tools are behind a gate: a client pays, asks, and is refused."""

import asyncio
import tempfile
from decimal import Decimal
from pathlib import Path

from fastmcp import Client, FastMCP
from fastmcp.tools import Tool

from sandbox import Gate
from sandbox.adapters.fastmcp import wrap


def send_money(recipient: str, amount: Decimal) -> str:
    """Send money."""
    return f"sent: {amount} to {recipient}"


async def main(gate: Gate) -> None:
    """Prints what the client is told."""
    async with Client(FastMCP("clerk", tools=wrap(gate, [Tool.from_function(send_money)]))) as client:
        for amount in ("20.50", "75", "20000"):
            call = {"recipient": "GB29NWBK60161331926819", "amount": amount}
            print((await client.call_tool("send_money", call, raise_on_error=False)).content[0].text)


spec = Path(__file__).with_name("clerk.yaml")
with tempfile.TemporaryDirectory() as folder, Gate.open(spec, state=f"sqlite:///{folder}/state.db") as opened:
    asyncio.run(main(opened))
