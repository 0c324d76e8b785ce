"""A smolagents agent whose tools are behind a gate: a scripted model pays, asks, and is refused."""

from pathlib import Path
from tempfile import TemporaryDirectory

from smolagents import ToolCallingAgent, tool
from smolagents.models import ChatMessage, ChatMessageToolCall, ChatMessageToolCallFunction, MessageRole, Model

from sandbox import Gate
from sandbox.adapters.smolagents import check, wrap

TURNS = [("send_money", {"recipient": "GB29NWBK60161331926819", "amount": each}) for each in ("20.50", "75", "20000")]
TURNS += [("final_answer", {"answer": "done"})]


@tool
def send_money(recipient: str, amount: str) -> str:
    """Send money.

    Args:
        recipient: who
        amount: how much
    """
    return f"sent: {amount} to {recipient}"


class Scripted(Model):
    """Says what is written here."""

    def generate(self, *_: object, **__: object) -> ChatMessage:
        """The next turn."""
        call = ChatMessageToolCall(ChatMessageToolCallFunction(*reversed(TURNS.pop(0))), "c", "function")
        return ChatMessage(MessageRole.ASSISTANT, content="", tool_calls=[call])


with TemporaryDirectory() as at, Gate.open(Path(__file__).with_name("clerk.yaml"), state=f"sqlite:///{at}/s") as gate:
    check(clerk := ToolCallingAgent(wrap(gate, [send_money]), Scripted(), verbosity_level=-1))
    clerk.run("pay")
    print(*(each.observations for each in clerk.memory.steps[1:-1]), sep="\n")
