"""A LangChain agent whose tools are behind a gate: a scripted model pays, asks, and is refused."""

import tempfile
from decimal import Decimal
from pathlib import Path

from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool

from sandbox import Gate
from sandbox.adapters.langchain import wrap


@tool
def send_money(recipient: str, amount: Decimal) -> str:
    """Send money."""
    return f"sent: {amount} to {recipient}"


def pay(amount: str) -> AIMessage:
    """The model pays."""
    call = {"recipient": "GB29NWBK60161331926819", "amount": amount}
    return AIMessage("", tool_calls=[{"name": "send_money", "args": call, "id": amount}])


GenericFakeChatModel.bind_tools = lambda self, *_, **__: self  # it has none of its own
spec = Path(__file__).with_name("clerk.yaml")
with tempfile.TemporaryDirectory() as folder, Gate.open(spec, state=f"sqlite:///{folder}/state.db") as gate:
    model = GenericFakeChatModel(messages=iter([*map(pay, ("20.50", "75", "20000")), AIMessage("done")]))
    said = create_agent(model, wrap(gate, [send_money])).invoke({"messages": [("user", "pay")]})["messages"]
    print(*(each.content for each in said if isinstance(each, ToolMessage)), sep="\n")
