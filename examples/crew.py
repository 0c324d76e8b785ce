"""A crew whose tools are behind a gate: a scripted model pays twice, and once it may."""

import tempfile
from decimal import Decimal
from pathlib import Path

from crewai import Agent, Crew, Task
from crewai.llms.base_llm import BaseLLM
from crewai.tools import tool

from sandbox import Gate
from sandbox.adapters.crewai import wrap


@tool("send_money")
def send_money(recipient: str, amount: Decimal) -> str:
    """Send money."""
    return f"sent: {amount} to {recipient}"


class Scripted(BaseLLM):
    """Pays 20.50, then 20000; then it is done, and what it was told is printed."""

    amounts: list

    def call(self, messages: list, *_: object, **__: object) -> object:
        """The next turn."""
        if not self.amounts:
            return print(*(each["content"] for each in messages if each["role"] == "tool"), sep="\n") or "done"
        said = f'{{"recipient": "GB29NWBK60161331926819", "amount": "{self.amounts.pop(0)}"}}'
        return [{"id": said, "type": "function", "function": {"name": "send_money", "arguments": said}}]


Scripted.supports_function_calling = lambda _: True
spec = Path(__file__).with_name("clerk.yaml")
with tempfile.TemporaryDirectory() as folder, Gate.open(spec, state=f"sqlite:///{folder}/state.db") as gate:
    model = Scripted(model="scripted", amounts=["20.50", "20000"])
    clerk = Agent(role="clerk", goal="pay", backstory="pays", llm=model, tools=wrap(gate, [send_money]))
    Crew(agents=[clerk], tasks=[Task(description="pay", expected_output="done", agent=clerk)]).kickoff()
