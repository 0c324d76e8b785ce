"""The MCP gateway: what a call costs over the real server alone, and how long a client waits for its first list."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from figures import Figure, amount, related, timed

SERVER = """
import json, sys
TOOLS = [{"name": "echo", "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}}}]
for line in sys.stdin:
    message = json.loads(line)
    match message:
        case {"id": _, "method": "initialize"}:
            info = {"name": "echo", "version": "1"}
            result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info}
        case {"id": _, "method": "tools/list"}:
            result = {"tools": TOOLS}
        case {"id": _, "method": "tools/call"}:
            result = {"content": [{"type": "text", "text": "x"}]}
        case _:
            continue
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"""
SPEC = """\
sandbox: 1
name: gateway
server: {SERVER}
tools:
  echo:
    args: {text: {type: string, max_size: 100}}
    rules: [{id: short, allow: size(args.text) <= 50}]
"""
CALLS = 300
STARTS = 5
WORDS = ["python3", "-c", SERVER]
INITIALIZE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "b", "version": "1"}}


def figures() -> list[Figure]:
    """Calls through the gateway and to the server alone, and the time until the first list of tools."""
    with tempfile.TemporaryDirectory(prefix="sandbox-bench-") as name:
        folder = Path(name)
        plain, writing = (_spec(folder / each, server) for each, server in (("plain", ""), ("writing", _WORKSPACE)))
        program = [sys.executable, "-m", "sandbox", "mcp", "--spec"]
        alone, gateway, saving = ([sys.executable, "-c", SERVER], [*program, plain], [*program, writing])
        calls = {
            "the server alone, on the host": _calls(alone, "x"),
            "allowed, through the gateway": _calls([*gateway, "--", *WORDS], "x"),
            "allowed, with a writable workspace": _calls([*saving, "--", *WORDS], "x"),
            "denied by the gateway": _calls([*gateway, "--", *WORDS], "x" * 60),
        }
        starts = {"the server alone": _starts(alone), "the gateway": _starts([*gateway, "--", *WORDS])}
    return [
        *_related("mcp gateway: a call", calls, "the server alone, on the host"),
        *_related("mcp gateway: start until the first list of tools", starts, "the server alone"),
    ]


def _related(group: str, times: dict[str, list[float]], against: str) -> list[Figure]:
    """Medians, with the 99th percentile as a note."""
    notes = {name: f"p99 {amount(statistics.quantiles(spent, n=100)[98])}" for name, spent in times.items()}
    return related(group, {name: statistics.median(spent) for name, spent in times.items()}, against, notes)


_WORKSPACE = "workspace: {source: ../notes, mode: rw}"


def _spec(folder: Path, server: str) -> str:
    """A spec and its pins in a folder of their own, beside a workspace."""
    (folder / "specs").mkdir(parents=True)
    (folder / "notes").mkdir()
    spec = folder / "specs" / "spec.yaml"
    spec.write_text(SPEC.replace("SERVER", server))
    words = [sys.executable, "-m", "sandbox", "mcp", "pin", "--spec", str(spec), "--", *WORDS]
    subprocess.run(words, check=True, capture_output=True)
    return str(spec)


@contextmanager
def _client(command: list[str]) -> Iterator[Callable[..., dict[str, object]]]:
    """A client of this server, begun; what it gives asks for one thing and waits for the answer."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:

        def ask(method: str, **params: object) -> dict[str, object]:
            process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}) + "\n")
            return json.loads(process.stdout.readline())

        ask("initialize", **INITIALIZE)
        yield ask
        process.stdin.close()


def _calls(command: list[str], text: str) -> list[float]:
    """Milliseconds of each call, one after the other, after a few to warm up."""
    with _client(command) as ask:
        ask("tools/list")
        return [timed(lambda: ask("tools/call", name="echo", arguments={"text": text})) for _ in range(CALLS)][20:]


def _starts(command: list[str]) -> list[float]:
    """Milliseconds from the start of the process until the first list of tools is there."""

    def start() -> None:
        with _client(command) as ask:
            ask("tools/list")

    return [timed(start) for _ in range(STARTS)]
