"""The Anthropic SDK's tool runner behind a gate: a scripted API pays, asks, and is refused."""

import json
import tempfile
from pathlib import Path

import httpx2
from anthropic import Anthropic, beta_tool

from sandbox import Gate
from sandbox.adapters.anthropic import wrap

AMOUNTS = ["20.50", "75", "20000", ""]


@beta_tool
def send_money(recipient: str, amount: str) -> str:
    """Send money."""
    return f"sent: {amount} to {recipient}"


def answer(request: httpx2.Request) -> httpx2.Response:
    """The API's next turn; prints what it was told."""
    told = json.loads(request.content)["messages"][-1]["content"]
    print(*(each["content"] for each in told if isinstance(each, dict)), sep="\n")
    call = {"recipient": "GB29NWBK60161331926819", "amount": AMOUNTS.pop(0)}
    use = {"type": "tool_use", "id": f"t{len(AMOUNTS)}", "name": "send_money", "input": call}
    said, why = ([use], "tool_use") if call["amount"] else ([{"type": "text", "text": "done"}], "end_turn")
    usage = {"input_tokens": 1, "output_tokens": 1}
    more = {"id": "m", "type": "message", "role": "assistant", "model": "x", "usage": usage}
    return httpx2.Response(200, json={**more, "content": said, "stop_reason": why, "stop_sequence": None})


spec = Path(__file__).with_name("clerk.yaml")
with tempfile.TemporaryDirectory() as folder, Gate.open(spec, state=f"sqlite:///{folder}/state.db") as gate:
    client = Anthropic(api_key="x", http_client=httpx2.Client(transport=httpx2.MockTransport(answer)))
    question = [{"role": "user", "content": "pay"}]
    tools = wrap(gate, [send_money])
    client.beta.messages.tool_runner(model="x", max_tokens=99, messages=question, tools=tools).until_done()
