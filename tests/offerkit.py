"""What tests of resources and prompts behind the gateway share: a spec that grants some, and a server that has some."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sandbox.ir import Json
from sandbox.mcp.pins import Listing, Pins, definition
from sandbox.strict_json import read

OFFERS = """\
sandbox: 1
name: offers
server: {resources: read, prompts: {brief: daily-brief, letter: letter}, timeout: 5s}
tools:
  echo:
    args: {text: {type: string, max_size: 200}}
    rules: [{id: all, allow: true}]
  read:
    description: Read a memo.
    args: {uri: {type: string, max_size: 200}}
    rules:
      - {id: memos, allow: "args.uri.startsWith('memo://public/')"}
      - {id: drafts, ask: "args.uri.startsWith('memo://draft/')"}
      - {id: sealed, deny: "args.uri.contains('sealed')", reason: nobody reads what is sealed}
  brief:
    description: Brief the user on a topic.
    args:
      topic: {type: enum, values: [sales, costs]}
      since: {type: timestamp, optional: true}
      limit: {type: decimal, scale: 2, default: "10.00"}
    rules: [{id: all, allow: true}]
  letter:
    args: {to: {type: email}}
    rules: [{id: ours, allow: "args.to.domain == 'example.org'"}]
"""

TOOLS: list[dict[str, Json]] = [
    {"name": "echo", "inputSchema": {"type": "object"}},
    {"name": "read", "inputSchema": {"type": "object"}},
]
PROMPTS: list[dict[str, Json]] = [
    {"name": "daily-brief", "description": "Brief.", "arguments": [{"name": "topic", "required": True}]},
    {"name": "letter", "description": "Write a letter."},
    {"name": "other", "description": "Not granted."},
]
RESOURCES: list[dict[str, Json]] = [
    {"uri": "memo://public/a", "name": "A\u202e", "description": "The \x1b[2Jmemo.", "mimeType": "text/plain"},
    {"uri": "memo://draft/b", "name": "B"},
    {"uri": "memo://private/c", "name": "C"},
    {"uri": "memo://public/sealed", "name": "D"},
    {"uri": "memo://public/../private/c", "name": "E"},
]
TEMPLATES: list[dict[str, Json]] = [{"uriTemplate": "memo://public/{name}", "name": "memos"}]

SERVER = """
import json, sys
LISTS = json.loads(LISTED)
TOOLS, PROMPTS, RESOURCES, TEMPLATES = LISTS
def send(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\\n")
    sys.stdout.flush()
def changed(kind):
    send({"method": f"notifications/{kind}/list_changed"})
for line in sys.stdin:
    message = json.loads(line)
    method, id_, params = message.get("method"), message.get("id"), message.get("params", {})
    if id_ is None or method is None:
        continue
    uri, name, args = params.get("uri"), params.get("name"), params.get("arguments")
    if method == "initialize":
        told = {"tools": {}, "prompts": {}, "resources": {}}
        result = {"protocolVersion": params["protocolVersion"], "capabilities": told,
                  "serverInfo": {"name": "offers", "version": "1"}}
    elif method == "tools/list":
        result = {"tools": TOOLS}
    elif method == "prompts/list":
        result = {"prompts": PROMPTS}
    elif method == "resources/list":
        result = {"resources": RESOURCES}
    elif method == "resources/templates/list":
        result = {"resourceTemplates": TEMPLATES}
    elif method == "resources/read":
        result = {"contents": [{"uri": uri, "mimeType": "text/plain", "text": f"contents of {uri}"}]}
    elif method == "prompts/get":
        words = json.dumps([name, args], sort_keys=True)
        result = {"messages": [{"role": "user", "content": {"type": "text", "text": words}}]}
    else:
        result = {"content": [{"type": "text", "text": json.dumps(params)}]}
    CODE
    send({"id": id_, "result": result})
"""


def offering(code: str = "pass") -> list[str]:
    """The words of a server with resources and prompts; `code` is Python that runs before each answer is sent."""
    listed = json.dumps([TOOLS, PROMPTS, RESOURCES, TEMPLATES])
    return [
        "python3",
        "-c",
        SERVER.replace("LISTED", repr(listed)).replace("CODE", "\n    ".join(code.splitlines())),
    ]


def listing() -> Listing:
    """What the server lists when it starts."""
    kinds = ((TOOLS, "name"), (PROMPTS, "name"), (RESOURCES, "uri"), (TEMPLATES, "uriTemplate"))
    found = ((definition(read(json.dumps(tree).encode()), key) for tree in trees) for trees, key in kinds)
    return Listing(*({each.name: each for each in definitions} for definitions in found))


def offer_pins(words: Sequence[str]) -> Pins:
    """What a reviewer has written down of this server."""
    return Pins(tuple(words), "offers 1", listing())
