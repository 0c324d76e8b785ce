"""A LlamaIndex agent whose tools are behind a gate: a scripted model pays, asks, and is refused."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from llama_index.core.agent.workflow import FunctionAgent, ToolCallResult
from llama_index.core.base.llms.types import ChatMessage, TextBlock, ToolCallBlock
from llama_index.core.llms.mock import MockFunctionCallingLLM
from llama_index.core.tools import FunctionTool

from sandbox import Gate
from sandbox.adapters.llama_index import wrap

AMOUNTS = ["20.50", "75", "20000", ""]


def send_money(recipient: str, amount: str) -> str:
    """Send money."""
    return f"sent: {amount} to {recipient}"


def answer(*_: object, **__: object) -> ChatMessage:
    """The model's next turn."""
    call = {"recipient": "GB29NWBK60161331926819", "amount": AMOUNTS.pop(0)}
    block = ToolCallBlock(tool_name="send_money", tool_kwargs=call) if call["amount"] else TextBlock(text="done")
    return ChatMessage(role="assistant", blocks=[block])


async def main(gate: Gate) -> None:
    """Prints what the model is told."""
    tools = wrap(gate, [FunctionTool.from_defaults(send_money)])
    run = FunctionAgent(tools=tools, llm=MockFunctionCallingLLM(response_generator=answer), streaming=False).run("pay")
    said = [each async for each in run.stream_events() if isinstance(each, ToolCallResult)]
    print(*(each.tool_output.content for each in said), sep="\n")


with TemporaryDirectory() as at, Gate.open(Path(__file__).with_name("clerk.yaml"), state=f"sqlite:///{at}/s") as gate:
    asyncio.run(main(gate))
