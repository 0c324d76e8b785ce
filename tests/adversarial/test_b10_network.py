"""B10: a tool reaches the hosts that its spec grants, as far as it grants them, and nothing else; in real containers.

The servers are real, on the loopback, which no grant by name reaches: a spec that names an address means it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import containment_probes as probes
import docker
import execkit
import netkit
import pytest
from gatekit import spec_file

from sandbox import Gate
from sandbox.audit import verify
from sandbox.call import Outcome
from sandbox.execute import cold
from sandbox.execute.broker.lease import Lease, broker_for
from sandbox.execute.broker.server import MAX_REQUESTS
from sandbox.execute.cold import ColdRunner
from sandbox.execute.folders import private_folder
from sandbox.ir import Credential, NetworkGrant, Run, RunArgv, Workspace

pytestmark = pytest.mark.containers


@pytest.fixture(scope="module")
def runner() -> Iterator[ColdRunner]:
    with contextlib.closing(ColdRunner()) as cold_runner:
        yield cold_runner


@pytest.fixture(autouse=True)
def no_broker_left() -> Iterator[None]:
    """After each test no broker of this process is there: no folder, no process."""
    yield
    assert list(private_folder("brokers").glob(f"{os.getpid()}.*")) == []
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    words = [Path(f"/proc/{child}/cmdline").read_bytes() for child in children]
    assert not [each for each in words if b"broker" in each]


def plain(server: netkit.Server, **more: object) -> NetworkGrant:
    return NetworkGrant("127.0.0.1", server.port, tls=False, **more)


def run(runner: ColdRunner, code: str, *grants: NetworkGrant, **more: object) -> Outcome:
    return execkit.run_program(runner, code, network=grants, **more)


TRY = """
from sandbox import FetchError, fetch
def attempt(url, **more):
    try:
        got = fetch(url, **more)
        return [got.status, got.text[:200]]
    except FetchError as error:
        return error.reason_code
"""


# --- what is granted


def test_a_tool_and_an_ordinary_program_reach_what_is_granted(runner: ColdRunner) -> None:
    with netkit.serving() as server:
        url = f"http://127.0.0.1:{server.port}"
        code = f"""{TRY}
import urllib.request
result = [attempt('{url}/by-fetch?q=1')]
with urllib.request.urlopen('{url}/by-proxy', b'data') as got:
    result.append([got.status, got.read().decode()])
"""
        outcome = run(runner, code, plain(server))
    assert (outcome.status, outcome.result) == ("ok", [[200, "hello"], [200, "hello"]]), outcome
    assert [(seen.method, seen.target, seen.body) for seen in server.seen] == [
        ("GET", "/by-fetch?q=1", b""),
        ("POST", "/by-proxy", b"data"),
    ]
    assert [
        (each.method, each.host, each.port, each.path, each.status, each.sent, each.received, each.reason_code)
        for each in outcome.requests
    ] == [
        ("GET", "127.0.0.1", server.port, "/by-fetch", 200, 0, 5, "ok"),
        ("POST", "127.0.0.1", server.port, "/by-proxy", 200, 4, 5, "ok"),
    ]


def test_a_program_without_a_line_of_ours_reaches_it_too(runner: ColdRunner) -> None:
    """`run.argv`: the program is told of its proxy by its environment."""
    with netkit.serving() as server:
        code = f"import urllib.request as u; print(u.urlopen('http://127.0.0.1:{server.port}/').read().decode())"
        program = Run(RunArgv(("/usr/bin/python3", "-I", "-c", code)), network=(plain(server),))
        outcome = execkit.run_tool(runner, execkit.tool_of("argv", program))
    assert (outcome.status, outcome.stdout) == ("ok", "hello\n"), outcome


def test_the_broker_speaks_tls_and_adds_a_secret_that_the_container_never_sees(
    runner: ColdRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = netkit.authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.certificate))
    monkeypatch.setenv("BANK_TOKEN", "the-secret-of-the-bank")
    with (
        netkit.serving(context=made.context_for("127.0.0.1")) as server,
        netkit.serving(context=made.context_for("other.example")) as other,
        netkit.serving(context=made.context_for("127.0.0.1"), answer=reflect) as mirror,
    ):
        key = Credential("authorization", "Bearer ", "env", "BANK_TOKEN")
        grants = [NetworkGrant("127.0.0.1", each.port, credential=key) for each in (server, other, mirror)]
        code = f"""{TRY}
import os, pathlib
seen = []
for path in map(pathlib.Path, ('/proc/self/environ', '/proc/self/mountinfo', '/broker', '/broker/socket')):
    try: seen.append(path.read_bytes().decode())
    except OSError as error: seen.append(type(error).__name__)
result = [attempt('https://127.0.0.1:{server.port}/'), attempt('http://127.0.0.1:{server.port}/'),
          attempt('https://127.0.0.1:{other.port}/'), attempt('https://127.0.0.1:{mirror.port}/'),
          attempt('https://127.0.0.1:{server.port}/', headers={{'Authorization': 'Bearer mine'}}), seen]
"""
        outcome = run(runner, code, *grants)
    assert outcome.status == "ok", outcome
    *answers, seen = outcome.result
    assert answers == [[200, "hello"], [200, "hello"], "network.tls", "fetch.failed", "network.malformed"]
    assert outcome.requests[3].reason_code == "network.credential"  # cut off before the secret
    assert [each.header("authorization") for each in server.seen] == [["Bearer the-secret-of-the-bank"]] * 2
    assert other.seen == []  # its certificate is for somebody else
    assert "the-secret" not in json.dumps([seen, outcome.stdout, outcome.stderr, [str(e) for e in outcome.requests]])


def reflect(handler: netkit.BaseHTTPRequestHandler, seen: netkit.Seen) -> None:
    """A page for testing, which shows what it was sent."""
    netkit.say(handler, 200, repr(seen.headers).encode())


# --- what is not


def test_nothing_else_is_reached_in_any_spelling(runner: ColdRunner) -> None:
    with netkit.serving() as server, netkit.serving() as secret:
        urls = [
            *(f"http://{host}:{secret.port}/" for host in ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1")),
            *(f"http://[{host}]:{secret.port}/" for host in ("::1", "::ffff:127.0.0.1", "::ffff:7f00:1")),
            f"http://localhost:{server.port}/",  # the right port, by another name
            f"http://0177.0.0.1:{secret.port}/",
            "http://169.254.169.254/latest/meta-data/",
            "http://metadata.google.internal/",
            "http://example.com/",
        ]
        named = NetworkGrant("localhost", secret.port, tls=False)  # resolves, and leads inside
        outcome = run(runner, f"{TRY}\nresult = [attempt(url) for url in {urls!r}]", plain(server), named)
    assert set(outcome.result) <= {"network.not_granted", "network.address", "fetch.failed"}, outcome
    assert outcome.result[1] == "network.address"
    assert (server.seen, secret.seen) == ([], [])
    assert len(outcome.requests) == len(urls)


def test_redirects_are_handed_back_and_a_followed_one_is_judged_anew(runner: ColdRunner) -> None:
    def redirect(handler: netkit.BaseHTTPRequestHandler, seen: netkit.Seen) -> None:
        to = f"http://127.0.0.1:{secret.port}/" if seen.target == "/inside" else "http://169.254.169.254/latest/"
        netkit.say(handler, 302, b"", Location=to)

    with netkit.serving() as secret, netkit.serving(redirect) as server:
        url = f"http://127.0.0.1:{server.port}"
        code = f"""{TRY}
import urllib.request, urllib.error
def follow(url):
    try: return urllib.request.urlopen(url).status
    except urllib.error.HTTPError as error: return [error.code, error.reason.split(':')[0]]
result = [fetch('{url}/inside').headers['location'], follow('{url}/inside'), follow('{url}/metadata')]
"""
        outcome = run(runner, code, plain(server))
    assert outcome.result == [
        f"http://127.0.0.1:{secret.port}/",
        [403, "network.not_granted"],
        [403, "network.not_granted"],
    ], outcome
    assert secret.seen == []


def test_methods_and_sizes_are_those_of_the_grant(runner: ColdRunner) -> None:
    def large(handler: netkit.BaseHTTPRequestHandler, seen: netkit.Seen) -> None:
        if seen.target == "/chunked":
            handler.send_response(200)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    handler.wfile.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        netkit.say(handler, 200, b"x" * (2_000_000 if seen.target == "/large" else 5))

    with netkit.serving(large) as server:
        url = f"http://127.0.0.1:{server.port}"
        code = f"""{TRY}
result = [attempt('{url}/', method='DELETE'), attempt('{url}/', method='TRACE'),
          attempt('{url}/', method='POST', body=b'x' * 1001), attempt('{url}/', method='POST', body=b'x' * 1000),
          attempt('{url}/large'), attempt('{url}/chunked')]
"""
        outcome = run(runner, code, plain(server, methods=("GET", "POST"), max_request=1_000, max_response=1_000_000))
    assert outcome.result == [
        "network.method",
        "network.method",
        "network.request_size",
        [200, "xxxxx"],
        "network.answer_size",
        "fetch.failed",
    ], outcome
    assert [(seen.method, seen.target) for seen in server.seen] == [
        ("POST", "/"),
        ("GET", "/large"),
        ("GET", "/chunked"),
    ]
    assert [each.reason_code for each in outcome.requests][-1] == "network.answer_size"


def test_the_container_has_no_other_network_and_cannot_touch_its_socket(
    runner: ColdRunner, engine: docker.DockerClient
) -> None:
    with netkit.serving() as server:
        outcome = run(runner, probes.NETWORK.replace("PORT", str(server.port)), plain(server))
    assert outcome.status == "ok", outcome
    seen = outcome.result
    assert seen["direct"] in {"ConnectionRefusedError", "OSError"}  # its own loopback has no such server
    assert seen["outside"] == "OSError"  # and there is no route to anywhere
    assert seen["names"] == "gaierror"
    assert set(seen["families"].values()) == {"PermissionError"}, seen["families"]
    assert set(seen["socket"].values()) == {"EROFS"}, seen["socket"]
    assert seen["names in /broker"] == "PermissionError"
    assert seen["interfaces"] == ["lo"] or set(seen["interfaces"]) <= {"lo", "tunl0", "sit0", "gre0", "ip_vti0"}
    loose = json.loads(
        engine.containers.run(
            f"sha256:{runner.prepare(execkit.contract_of(execkit.python_tool()), execkit.python_tool()).image_digest}",
            ["/usr/bin/python3", "-c", "import json,socket\n" + probes.FAMILIES + "print(json.dumps(families))"],
            remove=True,
            network_mode="none",
        )
    )
    assert "done" in loose.values()  # a tutorial's container opens some of these


def test_another_tool_s_socket_is_not_there(runner: ColdRunner) -> None:
    look = "import os; result = [os.path.exists('/broker'), sorted(os.environ)]"
    without = run(runner, look)
    assert without.result[0] is False
    assert not [name for name in without.result[1] if "proxy" in name.lower()]
    one, other = NetworkGrant("a.example", 443), NetworkGrant("b.example", 443)
    code = f"{TRY}\nresult = [attempt('https://a.example/x'), attempt('https://b.example/x')]"
    granted = run(runner, code, replace(one, addresses=("127.0.0.0/8",)))  # it may not resolve here: that is no grant
    assert granted.result[0] != "network.not_granted"
    assert granted.result[1] == "network.not_granted"
    assert run(runner, code, other).result[0] == "network.not_granted"


TWO = "GET http://HOST/first HTTP/1.1|Host: HOST||GET http://HOST/second HTTP/1.1|Host: HOST||"
SMUGGLED = [
    "POST http://HOST/ HTTP/1.1|Host: HOST|Content-Length: 4|Transfer-Encoding: chunked||0||",
    "POST http://HOST/ HTTP/1.1|Host: HOST|Transfer-Encoding: xchunked||0||",
    "POST http://HOST/ HTTP/1.1|Host: HOST|Transfer-Encoding: chunked||foo|",
    "GET http://HOST/ HTTP/1.1|Host: evil.example||",
    "GET http://HOST/ HTTP/1.1|Host: HOST|X: y| z: folded||",
    "GET http://HOST\x00.evil.example/ HTTP/1.1|Host: HOST||",
    "GET http://HOST/ HTTP/1.1\nHost: HOST\n\n",
    "GET / HTTP/1.1|Host: HOST||",
    "CONNECT HOST HTTP/1.1|Host: HOST||",
]


def test_smuggled_requests_never_reach_the_server(runner: ColdRunner) -> None:
    with netkit.serving() as server:
        host = f"127.0.0.1:{server.port}"
        code = f"""
import socket
def ask(raw):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect('/broker/socket')
        connection.sendall(raw.replace('HOST', '{host}').replace('|', '\\r\\n').encode())
        return connection.recv(65536).split(b' ')[1].decode()
result = [ask(raw) for raw in {[TWO, *SMUGGLED]}]
"""
        outcome = run(runner, code, plain(server))
    assert outcome.result == ["200", *["400"] * 8, "405"], outcome
    assert [seen.target for seen in server.seen if seen.method == "GET"] == ["/first"]  # the second is never read
    assert all(seen.body == b"" for seen in server.seen)


def test_a_flood_is_bounded_and_the_call_ends(runner: ColdRunner) -> None:
    code = """
import socket
counts = {}
for _ in range(3000):
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect('/broker/socket')
            connection.sendall(b'x\\r\\n\\r\\n')
            kind = connection.recv(100)[:12].decode()
    except OSError as error:
        kind = type(error).__name__
    counts[kind] = counts.get(kind, 0) + 1
result = counts
"""
    outcome = run(runner, code, NetworkGrant("a.example", 443), timeout_ms=60_000)
    assert outcome.status == "ok", outcome
    assert outcome.result["HTTP/1.1 400"] == MAX_REQUESTS
    assert outcome.result["ConnectionRefusedError"] == 3_000 - MAX_REQUESTS
    assert len(outcome.requests) == MAX_REQUESTS


def test_a_server_that_never_ends_does_not_outlive_the_deadline(runner: ColdRunner) -> None:
    def trickle(connection: netkit.socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while connection.recv(1) == b"":
            return

    with netkit.speaking(trickle) as port:
        grant = NetworkGrant("127.0.0.1", port, tls=False)
        outcome = run(runner, f"{TRY}\nattempt('http://127.0.0.1:{port}/')", grant, timeout_ms=1_500)
    assert (outcome.status, outcome.reason_code) == ("timeout", "limit.time")
    assert outcome.requests[0].method == "GET"


# --- when the broker fails


def test_a_broker_that_dies_fails_the_call_and_commits_nothing(
    runner: ColdRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases: list[Lease] = []

    @contextlib.contextmanager
    def remembered(*arguments: object) -> Iterator[Lease]:
        with broker_for(*arguments) as lease:
            leases.append(lease)
            yield lease

    def kill(handler: netkit.BaseHTTPRequestHandler, _seen: netkit.Seen) -> None:
        os.kill(leases[0]._process.pid, signal.SIGKILL)
        leases[0]._process.wait()
        netkit.say(handler, 200)

    monkeypatch.setattr(cold, "broker_for", remembered)
    with netkit.serving(kill) as server:
        url = f"http://127.0.0.1:{server.port}/"
        code = f"{TRY}\nopen('/workspace/written', 'w').write('x')\nresult = [attempt('{url}'), attempt('{url}')]"
        outcome = run(runner, code, plain(server), workspace=Workspace(str(tmp_path), "rw"))
    assert (outcome.status, outcome.reason_code, outcome.result) == ("sandbox_failure", "sandbox_failure.broker", None)
    assert list(tmp_path.iterdir()) == []
    assert [(each.path, each.reason_code) for each in outcome.requests] == [("/", "network.unfinished")]


# --- through the gate

SPEC = """\
sandbox: 1
name: lookup
tools:
  run_code:
    args: {code: {type: text}}
    rules: [{id: any, allow: true}]
    run: {tool: tools.python:run_code, network: [{to: "127.0.0.1:PORT", tls: false, methods: [GET]}]}
"""


def test_every_request_is_on_record_with_the_call(tmp_path: Path) -> None:
    with netkit.serving() as server:
        spec = spec_file(tmp_path, SPEC.replace("PORT", str(server.port)), "lookup.yaml")
        url = f"http://127.0.0.1:{server.port}/rates?secret=no"
        with Gate.open(spec) as gate:
            result = gate.call({"tool": "run_code", "args": {"code": f"{TRY}\nresult = attempt('{url}')"}})
    assert result.value == [200, "hello"]
    record = tmp_path / ".sandbox" / "state.audit.jsonl"
    verify(record)
    (outcome,) = [json.loads(line) for line in record.read_text().splitlines() if '"outcome"' in line]
    (request,) = outcome["body"]["requests"]
    assert (request["method"], request["path"], request["status"]) == ("GET", "/rates", 200)
    assert "secret=no" not in json.dumps(request)
