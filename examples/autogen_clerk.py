"""An AutoGen agent whose tools are behind a gate: a scripted model pays, asks, and is refused."""

import asyncio
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

from autogen_agentchat.agents import AssistantAgent
from autogen_core import FunctionCall
from autogen_core.models import ChatCompletionClient, CreateResult, ModelInfo, RequestUsage
from autogen_core.tools import FunctionTool

from sandbox import Gate
from sandbox.adapters.autogen import wrap

ABLE = {"vision": False, "function_calling": True, "json_output": True, "structured_output": False}


def send_money(recipient: str, amount: Decimal) -> str:
    """Send money."""
    return f"sent: {amount} to {recipient}"


class Scripted(ChatCompletionClient):
    """Pays three times at once."""

    model_info = capabilities = ModelInfo(family="unknown", **ABLE)
    create_stream = close = actual_usage = total_usage = count_tokens = remaining_tokens = None

    async def create(self, *_: object, **__: object) -> CreateResult:
        """The next turn."""
        call = '{"recipient": "GB29NWBK60161331926819", "amount": "%s"}'
        content = [FunctionCall(each, call % each, "send_money") for each in ("20.50", "75", "20000")]
        return CreateResult(finish_reason="function_calls", content=content, usage=RequestUsage(0, 0), cached=False)


with TemporaryDirectory() as at, Gate.open(Path(__file__).with_name("clerk.yaml"), state=f"sqlite:///{at}/s") as gate:
    tools = wrap(gate, [FunctionTool(send_money, "Send money.")])
    print(asyncio.run(AssistantAgent("clerk", Scripted(), tools=tools).run(task="pay")).messages[-1].content)
