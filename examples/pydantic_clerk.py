"""A Pydantic AI agent whose tools are behind a gate: a scripted model pays, asks, and is refused."""

import tempfile
from decimal import Decimal
from pathlib import Path

from pydantic_ai import Agent, Tool
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import FunctionModel

from sandbox import Gate
from sandbox.adapters.pydantic_ai import check, wrap

SPEC = Path(__file__).with_name("clerk.yaml")
AMOUNTS = ["20.50", "75", "20000"]


def send_money(recipient: str, amount: Decimal) -> str:
    """Send money."""
    return f"sent: {amount} to {recipient}"


def answer(*_: object) -> ModelResponse:
    """The model's next turn."""
    if not AMOUNTS:
        return ModelResponse(parts=[TextPart("done")])
    call = {"recipient": "GB29NWBK60161331926819", "amount": AMOUNTS.pop(0)}
    return ModelResponse(parts=[ToolCallPart("send_money", call)])


with tempfile.TemporaryDirectory() as folder, Gate.open(SPEC, state=f"sqlite:///{folder}/state.db") as gate:
    clerk = Agent(FunctionModel(answer), toolsets=[wrap(gate, [Tool(send_money, takes_ctx=False)])])
    check(clerk)
    parts = [part for message in clerk.run_sync("pay").all_messages() for part in message.parts]
    print(*(part.content for part in parts if part.part_kind == "tool-return"), sep="\n")
