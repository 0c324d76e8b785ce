"""A client that starts the gateway where it would have started the server, and speaks to it on its standard streams."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

SPEC = Path(__file__).parents[1] / "docs" / "examples" / "mcp" / "notes.yaml"
GATEWAY = [sys.executable, "-m", "sandbox", "mcp", "--spec", str(SPEC), "--", "python3", "/workspace/notes_server.py"]
NUMBERS = itertools.count(1)


def main() -> None:
    """Lists the tools, reads a note, and is refused the diary."""
    with subprocess.Popen(GATEWAY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as gateway:

        def ask(method: str, **params: object) -> dict:
            message = {"jsonrpc": "2.0", "id": next(NUMBERS), "method": method, "params": params}
            gateway.stdin.write(json.dumps(message) + "\n")
            return json.loads(gateway.stdout.readline())["result"]

        client = {"name": "example", "version": "1"}
        ask("initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo=client)
        print(*(tool["name"] for tool in ask("tools/list")["tools"]))
        for note in ("shopping.md", "diary.md"):
            result = ask("tools/call", name="read_note", arguments={"path": note})
            print(result["content"][0]["text"].splitlines()[0])
        gateway.stdin.close()


if __name__ == "__main__":
    main()
