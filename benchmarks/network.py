"""A request of a tool through the broker, beside the same request made on the host; and a call that has a broker."""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from figures import Figure, per_call, related, timed

from sandbox import Gate

RUNS = 7
REQUESTS = 50
SPEC = """
sandbox: 1
name: network
tools:
  ask:
    args: {{url: {{type: string}}, times: {{type: int}}}}
    rules: [{{id: all, allow: true}}]
    run: {{tool: asks:ask{network}}}
"""
TOOL = """
import time
from sandbox import fetch


def ask(url: str, times: int) -> float:
    started = time.perf_counter()
    for _ in range(times):
        fetch(url)
    return (time.perf_counter() - started) * 1000 / max(times, 1)
"""
DIRECT = "a request on the host"
COLD = "a cold call without a grant"


def figures() -> list[Figure]:
    """Medians; the server is on this machine, without TLS."""
    with served() as url, tempfile.TemporaryDirectory() as folder:
        Path(folder, "asks.py").write_text(TOOL)
        grant = f', network: [{{to: "{url.removeprefix("http://")}", tls: false}}]'
        without, with_grant = opened(folder, "without", ""), opened(folder, "with", grant)
        with without, with_grant:
            times: dict[str, list[float]] = {COLD: [], "a cold call with a grant": []}
            asked = json.loads(json.dumps(with_grant.call(call(url, REQUESTS)).value))
            without.call(call(url, 0))
            for _ in range(RUNS):
                times[COLD].append(timed(lambda: without.call(call(url, 0))))
                times["a cold call with a grant"].append(timed(lambda: with_grant.call(call(url, 0))))
        direct = per_call(lambda: urllib.request.urlopen(url).read())  # noqa: S310 - our own server
    requests = {DIRECT: direct, "a request through the broker": float(asked)}
    calls = {name: statistics.median(each) for name, each in times.items()}
    return [*related("one request", requests, DIRECT), *related("one call", calls, COLD)]


def call(url: str, times: int) -> dict[str, object]:
    """A raw call."""
    return {"tool": "ask", "args": {"url": f"{url}/", "times": times}}


def opened(folder: str, name: str, network: str) -> Gate:
    """A gate on a spec with this grant."""
    spec = Path(folder, f"{name}.yaml")
    spec.write_text(SPEC.format(network=network))
    return Gate.open(spec, state=f"sqlite:///{folder}/{name}/state.db")


@contextmanager
def served() -> Iterator[str]:
    """A server that says hello."""

    class Hello(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hello)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
