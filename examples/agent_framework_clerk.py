"""An agent of Microsoft's framework whose tools are behind a gate: it pays, asks, and is refused."""

import asyncio
import tempfile
from decimal import Decimal
from pathlib import Path

from agent_framework import Agent, BaseChatClient, ChatResponse, Content, FunctionInvocationLayer, Message, tool

from sandbox import Gate
from sandbox.adapters.agent_framework import wrap

AMOUNTS = ["20.50", "75", "20000"]


@tool
def send_money(recipient: str, amount: Decimal) -> str:
    """Send money."""
    return f"sent: {amount} to {recipient}"


class Scripted(FunctionInvocationLayer, BaseChatClient):
    """Says what is written here, whatever it is told."""

    async def _inner_get_response(self, **_: object) -> ChatResponse:
        said = Content.from_text("done")
        if AMOUNTS:
            call = {"recipient": "GB29NWBK60161331926819", "amount": AMOUNTS.pop(0)}
            said = Content.from_function_call(f"c{len(AMOUNTS)}", "send_money", arguments=call)
        return ChatResponse(messages=[Message("assistant", [said])])


spec = Path(__file__).with_name("clerk.yaml")
with tempfile.TemporaryDirectory() as folder, Gate.open(spec, state=f"sqlite:///{folder}/state.db") as gate:
    answer = asyncio.run(Agent(Scripted(), tools=wrap(gate, [send_money])).run("pay"))
    contents = [content for message in answer.messages for content in message.contents]
    print(*(each.result or each.exception for each in contents if each.type == "function_result"), sep="\n")
