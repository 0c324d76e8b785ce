"""A program that speaks to an MCP server itself: the calls of its model go through a gate."""

import asyncio
import tempfile
from pathlib import Path

from mcp import Client
from mcp.server import MCPServer

from sandbox import Gate
from sandbox.adapters.mcp import pin, wrap

SPEC = Path(__file__).with_name("clerk.yaml")
bank = MCPServer("bank")


@bank.tool()
def send_money(recipient: str, amount: float) -> str:
    """Send money."""
    return f"sent {amount} to {recipient}"


async def main() -> None:
    """A scripted model makes two calls, of which one is allowed."""
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder) / "clerk.pins.json"
        async with Client(bank) as client:
            with Gate.open(SPEC, state=f"sqlite:///{folder}/state.db") as gate:
                await pin(gate, client.session, pins=pins)  # once, and then a person reads the file
                session = await wrap(gate, client.session, pins=pins)
                print(*(tool.name for tool in (await session.list_tools()).tools))
                for amount in ("20.50", "20000"):
                    call = {"recipient": "GB29NWBK60161331926819", "amount": amount}
                    print((await session.call_tool("send_money", call)).content[0].text)


if __name__ == "__main__":
    asyncio.run(main())
