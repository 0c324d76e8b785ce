"""What tests of the MCP gateway share: a small server, a client of raw lines, channels without a container."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal, Self

from sandbox.call import Outcome
from sandbox.ir import Json
from sandbox.mcp.pins import Listing, Pins, definition, pin_file, write_pins
from sandbox.strict_json import read

SPEC = """\
sandbox: 1
name: gateway
server: {}
tools:
  echo:
    description: Say it again.
    args:
      text: {type: string, max_size: 200}
      times: {type: int, min: 1, max: 9, optional: true}
    rules:
      - {id: polite, allow: "!(args.text.contains('rude'))"}
      - {id: few, deny: "has(args.times) && args.times > 5", reason: at most five times}
      - {id: loud, ask: "args.text.contains('LOUD')"}
  add:
    args: {a: {type: decimal, scale: 2}, b: {type: decimal, scale: 2}}
    rules: [{id: all, allow: true}]
"""

TOOLS = [
    {
        "name": "echo",
        "description": "Echo.",
        "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}, "times": {"type": "integer"}}},
    },
    {
        "name": "add",
        "description": "Add.",
        "inputSchema": {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}},
    },
]

SERVER = """
import json, os, sys, time
mode = sys.argv[1] if len(sys.argv) > 1 else ""
TOOLS = json.loads(LISTED)
def send(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\\n")
    sys.stdout.flush()
def text(words, **more):
    return {"content": [{"type": "text", "text": words}], **more}
for line in sys.stdin:
    message = json.loads(line)
    method, id_ = message.get("method"), message.get("id")
    if id_ is None or method is None:
        continue
    if method == "initialize":
        send({"id": id_, "result": {"protocolVersion": message["params"]["protocolVersion"],
              "capabilities": {"tools": {}}, "serverInfo": {"name": "small", "version": "1"}}})
    elif method == "tools/list":
        send({"id": id_, "result": {"tools": TOOLS}})
    elif method == "tools/call":
        args = message["params"]["arguments"]
        words = args.get("text", "")
        CALL
        send({"id": id_, "result": text(json.dumps(args, sort_keys=True))})
"""


def server(call: str = "pass") -> list[str]:
    """The words of a small server; `call` is Python that runs within each call, with `args`, `words` and `id_`."""
    indented = "\n        ".join(call.splitlines())
    return ["python3", "-c", SERVER.replace("LISTED", repr(json.dumps(TOOLS))).replace("CALL", indented)]


def pins_of(words: Sequence[str]) -> Pins:
    """What a reviewer has written down of this server."""
    found = [definition(read(json.dumps(tool).encode())) for tool in TOOLS]
    return Pins(tuple(words), "small 1", Listing({each.name: each for each in found}))


def initialize(version: str = "2025-11-25", id_: int = 0) -> dict[str, Json]:
    params: dict[str, Json] = {
        "protocolVersion": version,
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    }
    return {"jsonrpc": "2.0", "id": id_, "method": "initialize", "params": params}


def request(method: str, id_: Json = 1, **params: Json) -> dict[str, Json]:
    return {"jsonrpc": "2.0", "id": id_, "method": method, "params": params}


def call(name: str, id_: Json = 1, **arguments: Json) -> dict[str, Json]:
    return request("tools/call", id_, name=name, arguments=arguments)


def modern(message: dict[str, Json]) -> dict[str, Json]:
    """The message as the version 2026-07-28 has it."""
    meta: dict[str, Json] = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = message.get("params")
    return {**message, "params": {**(params if isinstance(params, dict) else {}), "_meta": meta}}


def line(message: Json) -> bytes:
    return json.dumps(message).encode() + b"\n"


class ScriptedChannel:
    """A server that answers a request with what `answer` gives for it: bytes, `late`, or None for its end."""

    def __init__(self, answer: Callable[[dict[str, Json]], Iterable[bytes | Literal["late"] | None]]) -> None:
        self._answer = answer
        self._pending: list[bytes | Literal["late"] | None] = []
        self.sent: list[dict[str, Json]] = []

    def send(self, data: bytes, deadline: float) -> None:
        message = json.loads(data)
        self.sent.append(message)
        self._pending += self._answer(message)

    def receive(self, deadline: float) -> bytes | Literal["late"] | None:
        return self._pending.pop(0) if self._pending else "late"

    def unasked(self, *data: bytes | Literal["late"] | None) -> None:
        self._pending += data


class GatewayProcess:
    """`sandbox mcp` as a client starts it, spoken to line by line."""

    def __init__(self, spec: Path, words: Sequence[str], *options: str) -> None:
        program = [sys.executable, "-m", "sandbox", "mcp", "--spec", str(spec), *options, "--", *words]
        self.process = subprocess.Popen(
            program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )

    def send(self, *messages: Json) -> None:
        for message in messages:
            self.process.stdin.write(line(message))

    def receive(self) -> dict[str, Json]:
        data = b""
        while not data.endswith(b"\n"):
            part = self.process.stdout.readline()
            assert part, self.process.stderr.read().decode()
            data += part
        return json.loads(data)

    def ask(self, message: dict[str, Json]) -> dict[str, Json]:
        self.send(message)
        answer = self.receive()
        assert answer["id"] == message["id"]
        return answer

    def begin(self) -> None:
        self.ask(initialize())
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def text(self, message: dict[str, Json]) -> str:
        """The text of a call's result."""
        return self.ask(message)["result"]["content"][0]["text"]

    def end(self) -> int:
        self.process.stdin.close()
        code = self.process.wait(60)
        self.process.stdout.close()
        self.process.stderr.close()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(60)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()


def pin(spec: Path, words: Sequence[str]) -> None:
    write_pins(pin_file(spec), pins_of(words))


def wait_for(what: Callable[[], bool], seconds: float = 30) -> None:
    """Until it holds; fails if it never does."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


OK = Outcome("ok", "ok", "", result={"content": [{"type": "text", "text": "done"}]})
