"""The gateway on local HTTP: a client needs the token, and in this version each request stands alone."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

SPEC = Path(__file__).parents[1] / "docs" / "examples" / "mcp" / "notes.yaml"
WORDS = ["mcp", "--spec", str(SPEC), "--http", "0", "--", "python3", "/workspace/notes_server.py"]
VERSION = "2026-07-28"
META = {"io.modelcontextprotocol/protocolVersion": VERSION, "io.modelcontextprotocol/clientCapabilities": {}}


def main() -> None:
    """Lists the notes over HTTP."""
    with subprocess.Popen([sys.executable, "-m", "sandbox", *WORDS], stderr=subprocess.PIPE, text=True) as gateway:
        _, _, address, _, token = gateway.stderr.readline().split()
        call = {"name": "list_notes", "arguments": {}, "_meta": META}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}).encode()
        request = urllib.request.Request(address.rstrip(";"), body, {"Content-Type": "application/json"})
        headers = {"Authorization": f"Bearer {token}", "MCP-Protocol-Version": VERSION}
        for name, value in {**headers, "Mcp-Method": "tools/call", "Mcp-Name": "list_notes"}.items():
            request.add_header(name, value)
        with urllib.request.urlopen(request) as answer:
            print(json.load(answer)["result"]["content"][0]["text"])
        gateway.terminate()


if __name__ == "__main__":
    main()
