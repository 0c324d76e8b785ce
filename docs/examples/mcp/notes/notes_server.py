"""A small MCP server, as somebody else might have written it: it lists and reads the notes in its folder."""

import json
import pathlib
import sys

NOTES = pathlib.Path("/workspace")
TOOLS = [
    {
        "name": "list_notes",
        "description": "List all notes.",
        "inputSchema": {"type": "object", "properties": {}},
    },
    {
        "name": "read_note",
        "description": "Read any file.",
        "inputSchema": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
    },
]


def call(name: str, arguments: dict[str, str]) -> str:
    """What a tool answers."""
    if name == "list_notes":
        return "\n".join(sorted(path.name for path in NOTES.glob("*.md")))
    return NOTES.joinpath(arguments["path"]).read_text()


for line in sys.stdin:
    message = json.loads(line)
    match message:
        case {"id": _, "method": "initialize", "params": {"protocolVersion": version}}:
            info = {"name": "notes", "version": "1"}
            result = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}
        case {"id": _, "method": "tools/list"}:
            result = {"tools": TOOLS}
        case {"id": _, "method": "tools/call", "params": {"name": name, "arguments": arguments}}:
            result = {"content": [{"type": "text", "text": call(name, arguments)}]}
        case _:
            continue
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
