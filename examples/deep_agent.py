"""A deep agent whose files are behind a gate: a scripted model writes two notes, of which one is allowed."""

import tempfile
from pathlib import Path

from deepagents.backends import FilesystemBackend
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage

from sandbox import Gate
from sandbox.adapters.deepagents import deep_agent

SPEC = Path(__file__).with_name("notes.yaml")


class Scripted(GenericFakeChatModel):
    """Says what is written here, whatever it is told."""

    def bind_tools(self, *_: object, **__: object) -> "Scripted":
        """As every model has it."""
        return self


def write(path: str) -> AIMessage:
    """The model writes a file."""
    call = {"name": "write_file", "args": {"file_path": path, "content": "milk"}, "id": path}
    return AIMessage("", tool_calls=[call])


with tempfile.TemporaryDirectory() as folder, Gate.open(SPEC, state=f"sqlite:///{folder}/state.db") as gate:
    model = Scripted(messages=iter([write("/notes/shopping.md"), write("/notes/diary.md"), AIMessage("done")]))
    files = FilesystemBackend(root_dir=folder, virtual_mode=True)
    state = deep_agent(gate, model, inner=files).invoke({"messages": [("user", "write my notes")]})
    for message in state["messages"]:
        if isinstance(message, ToolMessage):
            print(f"{message.name}: {message.content}")
