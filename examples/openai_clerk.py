"""An agent of the OpenAI Agents SDK whose tools are behind a gate: it pays, asks, and is refused."""

import json
import tempfile
from decimal import Decimal
from pathlib import Path

from agents import Agent, Runner, function_tool, set_tracing_disabled
from agents.testing import ScriptedModel, assistant_message, function_call

from sandbox import Gate
from sandbox.adapters.openai_agents import check, wrap

SPEC = Path(__file__).with_name("clerk.yaml")


@function_tool
def send_money(recipient: str, amount: Decimal) -> str:
    """Send money."""
    return f"sent: {amount} to {recipient}"


def pay(amount: str) -> list:
    """The model pays."""
    call = {"recipient": "GB29NWBK60161331926819", "amount": amount}
    return [function_call("send_money", json.dumps(call), call_id=amount)]


set_tracing_disabled(disabled=True)
with tempfile.TemporaryDirectory() as folder, Gate.open(SPEC, state=f"sqlite:///{folder}/state.db") as gate:
    model = ScriptedModel([*map(pay, ("20.50", "75", "20000")), [assistant_message("done")]])
    clerk = Agent("clerk", tools=wrap(gate, [send_money]), model=model)
    check(clerk)
    items = Runner.run_sync(clerk, "pay").new_items
    print(*(each.output for each in items if each.type == "tool_call_output_item"), sep="\n")
