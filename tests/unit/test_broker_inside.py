"""What the container has of the broker: `fetch` for tools, and the front that ordinary programs take for a proxy."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import netkit
import pytest

import sandbox
from sandbox import fetching
from sandbox.call import Outcome
from sandbox.execute import front, guest
from sandbox.execute.broker.lease import Lease, open_lease
from sandbox.fetching import FetchError, fetch
from sandbox.ir import NetworkGrant


@pytest.fixture
def lease(server: netkit.Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lease]:
    """A real broker, whose socket is where the container would have it."""
    opened = open_lease([NetworkGrant("127.0.0.1", server.port, tls=False, max_response=100_000)], [None])
    try:
        opened.await_ready()
        monkeypatch.setattr(fetching, "SOCKET", str(opened.folder / "socket"))
        yield opened
    finally:
        opened.close()


def echo(handler: netkit.BaseHTTPRequestHandler, seen: netkit.Seen) -> None:
    if seen.target == "/large":
        netkit.say(handler, 200, b"x" * 100_001)
    elif seen.target == "/cut":
        handler.send_response(200)
        handler.send_header("Content-Length", "10")
        handler.end_headers()
        handler.wfile.write(b"abc")
        handler.close_connection = True
    else:
        body = json.dumps({"method": seen.method, "target": seen.target, "body": seen.body.decode()})
        netkit.say(
            handler, 404 if seen.target == "/none" else 200, body.encode(), X_More="ä".encode().decode("latin-1")
        )


@pytest.fixture
def server() -> Iterator[netkit.Server]:
    with netkit.serving(echo) as running:
        yield running


def test_a_tool_fetches_what_is_granted(lease: Lease, server: netkit.Server) -> None:
    url = f"http://127.0.0.1:{server.port}"
    got = fetch(f"{url}/a?b=c")
    assert (got.status, got.json()) == (200, {"method": "GET", "target": "/a?b=c", "body": ""})
    assert got.headers["x-more"] == "Ã¤"
    assert got.text == got.body.decode()
    posted = fetch(f"{url}/p", method="POST", body="ä", headers={"X-Own": "1"})
    assert posted.json() == {"method": "POST", "target": "/p", "body": "ä"}
    assert server.seen[-1].header("x-own") == ["1"]
    assert fetch(f"{url}/none").status == 404
    assert [request.status for request in lease.settle(Outcome("ok", "ok", "")).requests] == [200, 200, 404]


def test_a_tool_is_told_why_it_gets_nothing(lease: Lease, server: netkit.Server) -> None:
    for url, code in (
        (f"http://127.0.0.1:{server.port + 1}/", "network.not_granted"),
        (f"https://127.0.0.1:{server.port}/", "network.not_granted"),
        (f"http://127.0.0.1:{server.port}/large", "network.answer_size"),
        (f"http://127.0.0.1:{server.port}/cut", "fetch.failed"),
        ("/relative", "network.malformed"),
        ("http://a b/", "fetch.failed"),
    ):
        with pytest.raises(FetchError) as caught:
            fetch(url)
        assert caught.value.reason_code == code, url
    lease.stop()
    with pytest.raises(FetchError):
        fetch(f"http://127.0.0.1:{server.port}/")


def test_outside_of_a_container_there_is_nothing_to_fetch_with() -> None:
    with pytest.raises(sandbox.FetchError, match="no network is granted here") as caught:
        sandbox.fetch("https://api.bank.example/")
    assert caught.value.reason_code == "fetch.no_broker"


def test_inside_the_stub_offers_the_same_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest, "FETCHING", fetching.__file__)
    monkeypatch.delitem(sys.modules, "sandbox.fetching")
    stub = guest.stub()
    assert stub.fetch.__name__ == "fetch"
    assert stub.FetchError is stub.fetch.__globals__["FetchError"]
    assert stub.Fetched(200, {}, b"1").json() == 1


def test_the_guest_s_programs_import_the_standard_library_only() -> None:
    for file in (front.__file__, fetching.__file__, guest.__file__):
        done = subprocess.run([sys.executable, "-I", "-S", "-c", f"import runpy; runpy.run_path({file!r})"], check=True)
        assert done.returncode == 0


# --- the front


@pytest.fixture
def proxy(lease: Lease, tmp_path: Path) -> Iterator[int]:
    """The front as a process of its own, as in the container; its port."""
    program = tmp_path / "front.py"
    text = Path(front.__file__).read_text(encoding="utf-8")
    program.write_text(text.replace("/broker/socket", str(lease.folder / "socket")), encoding="utf-8")
    listener = socket.create_server(("127.0.0.1", 0))
    actions = [(os.POSIX_SPAWN_DUP2, listener.fileno(), front.LISTENER)]
    pid = os.posix_spawn(
        sys.executable, [sys.executable, "-I", "-S", "-B", str(program)], os.environ, file_actions=actions
    )
    port = listener.getsockname()[1]
    listener.close()
    try:
        yield port
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def through(proxy: int) -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(urllib.request.ProxyHandler({"http": f"http://127.0.0.1:{proxy}"}))


def test_an_ordinary_program_reaches_what_is_granted_through_the_front(proxy: int, server: netkit.Server) -> None:
    with through(proxy).open(f"http://127.0.0.1:{server.port}/a", b"data", timeout=20) as answer:
        assert json.loads(answer.read()) == {"method": "POST", "target": "/a", "body": "data"}
    with pytest.raises(urllib.error.HTTPError) as caught:
        through(proxy).open("http://evil.example/", timeout=20)
    assert caught.value.status == 403
    assert caught.value.reason.startswith("network.not_granted: `evil.example:80` is not granted")
    caught.value.close()


def test_many_programs_at_once_are_kept_apart(proxy: int, server: netkit.Server) -> None:
    wrong: list[object] = []

    def ask(number: int) -> None:
        body = f"{number}-" * 20_000
        with through(proxy).open(f"http://127.0.0.1:{server.port}/{number}", body.encode(), timeout=60) as answer:
            got = json.loads(answer.read())
        if got != {"method": "POST", "target": f"/{number}", "body": body}:
            wrong.append(got)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_programs_that_go_away_end_nothing_else(proxy: int, server: netkit.Server) -> None:
    idle = [socket.create_connection(("127.0.0.1", proxy)) for _ in range(20)]
    for each in idle[::2]:
        each.sendall(b"GET http://")
        each.close()
    with through(proxy).open(f"http://127.0.0.1:{server.port}/a", timeout=20) as answer:
        assert answer.status == 200
    for each in idle:
        each.close()


def test_without_a_broker_the_front_closes_at_once(proxy: int, lease: Lease, server: netkit.Server) -> None:
    lease.stop()
    with pytest.raises((OSError, urllib.error.URLError)):
        through(proxy).open(f"http://127.0.0.1:{server.port}/a", timeout=20)
