"""A Claude agent whose tools are behind a gate: Claude Code pays, asks, and is refused, before a scripted API."""

import asyncio
import tempfile
from pathlib import Path

from claude_agent_sdk import UserMessage, query, tool
from claude_api import served

from sandbox import Gate
from sandbox.adapters.claude_agent_sdk import options

SPEC = Path(__file__).with_name("clerk.yaml")


@tool("send_money", "Send money.", {"recipient": str, "amount": str})
async def send_money(call: dict) -> dict:
    """Send money."""
    return {"content": [{"type": "text", "text": f"sent: {call['amount']} to {call['recipient']}"}]}


async def main(gate: Gate, home: str, address: str) -> None:
    """Prints what the model is told."""
    settings = {"ANTHROPIC_BASE_URL": address, "ANTHROPIC_API_KEY": "x", "HOME": home}
    async for message in query(prompt="pay", options=options(gate, [send_money], env=settings, cwd=home)):
        for told in message.content if isinstance(message, UserMessage) else ():
            print(told.content if isinstance(told.content, str) else told.content[0]["text"])


with (
    served() as api,
    tempfile.TemporaryDirectory() as folder,
    Gate.open(SPEC, state=f"sqlite:///{folder}/state.db") as opened,
):
    asyncio.run(main(opened, folder, api))
