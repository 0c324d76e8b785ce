"""Anthropic's Messages API with a script for a model: what it says, turn by turn, and what it was told of each call."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from suite import Heard, Made


class Script:
    """The next turn for each request; keeps what the model was told, and which tools it was shown.

    With a `prefix` of the tools' names, requests without tools are talk beside the run, and get no turn.
    """

    def __init__(self, turns: Sequence[Sequence[Made]], prefix: str = "") -> None:
        self.turns = [*turns, []]
        self.prefix = prefix
        self.told: dict[str, Heard] = {}
        self.shown: list[dict[str, object]] = []
        self._lock = threading.Lock()

    @property
    def heard(self) -> list[Heard]:
        """What the model was told, in the order of its calls: turn by turn, and in a turn as it made them."""
        order = {name: tuple(map(int, name.split("_")[1:])) for name in self.told}
        return [self.told[name] for name in sorted(self.told, key=lambda name: (-order[name][0], order[name][1]))]

    def answer(self, body: dict[str, object]) -> dict[str, object]:
        """The message for one request."""
        with self._lock:
            for each in body["messages"]:
                self.told.update(told(each["content"]) if each["role"] == "user" else {})
            beside = bool(self.prefix) and not body.get("tools")
            calls = [] if beside or not self.turns else self.turns.pop(0)
            self.shown = body.get("tools") or self.shown
            number = len(self.turns)
        blocks = [
            {
                "type": "tool_use",
                "id": f"toolu_{number}_{n}",
                "name": self.prefix + each.name,
                "input": json.loads(each.arguments),
            }
            for n, each in enumerate(calls)
        ] or [{"type": "text", "text": "done"}]
        return {
            "id": "m",
            "type": "message",
            "role": "assistant",
            "model": "x",
            "content": blocks,
            "stop_reason": "tool_use" if calls else "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }


def told(content: object) -> dict[str, Heard]:
    """What the results of calls in one message say, by the id of the call."""
    if not isinstance(content, list):
        return {}
    results = [block for block in content if block["type"] == "tool_result"]
    return {each["tool_use_id"]: Heard(as_text(each["content"]), bool(each.get("is_error"))) for each in results}


def as_text(content: object) -> str:
    return content if isinstance(content, str) else "".join(block["text"] for block in content)


def events(message: dict[str, object]) -> bytes:
    """The same message as a stream."""
    sent = [("message_start", {"message": {**message, "content": [], "stop_reason": None}})]
    for n, block in enumerate(message["content"]):
        if block["type"] == "tool_use":
            start, delta = (
                {**block, "input": {}},
                {"type": "input_json_delta", "partial_json": json.dumps(block["input"])},
            )
        else:
            start, delta = {**block, "text": ""}, {"type": "text_delta", "text": block["text"]}
        sent += [
            ("content_block_start", {"index": n, "content_block": start}),
            ("content_block_delta", {"index": n, "delta": delta}),
            ("content_block_stop", {"index": n}),
        ]
    ending = {"delta": {"stop_reason": message["stop_reason"], "stop_sequence": None}, "usage": {"output_tokens": 1}}
    sent += [("message_delta", ending), ("message_stop", {})]
    return "".join(f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n" for name, data in sent).encode()


@contextmanager
def served(script: Script) -> Iterator[str]:
    """The script behind a port of this machine; the address of the API."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
            message = script.answer(body)
            streamed = bool(body.get("stream"))
            out = events(message) if streamed else json.dumps(message).encode()
            self.send_response(200)
            self.send_header("content-type", "text/event-stream" if streamed else "application/json")
            self.send_header("content-length", str(len(out)))
            self.end_headers()
            self.wfile.write(out)

        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
