"""Anthropic's API with a script for a model, for `claude_clerk.py`: it pays three times at once, and is done."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

TOOL = "mcp__sandbox__send_money"
CALLS = [{"recipient": "GB29NWBK60161331926819", "amount": each} for each in ("20.50", "75", "20000")]
PAYS = [{"type": "tool_use", "id": each["amount"], "name": TOOL, "input": each} for each in CALLS]
ANSWER = {"type": "message", "id": "x", "role": "assistant", "usage": {"input_tokens": 1, "output_tokens": 1}}


class Api(BaseHTTPRequestHandler):
    """Answers without a stream, which Claude Code takes after it has asked for one."""

    def do_POST(self) -> None:
        """The model's next turn."""
        told = b"tool_result" in self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.end_headers()
        said = [{"type": "text", "text": "done"}] if told else PAYS
        self.wfile.write(json.dumps({**ANSWER, "model": "x", "content": said}).encode())


@contextmanager
def served() -> Iterator[str]:
    """The address of the API, while it answers."""
    with HTTPServer(("127.0.0.1", 0), Api) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
