"""Local HTTP: who may speak, what is read of whom, and that sessions are nobody else's. The real server is played."""

from __future__ import annotations

import errno
import http.client
import json
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.errors import UsageError
from sandbox.gate import Gate
from sandbox.ir import Json
from sandbox.mcp import http as gateway_http
from sandbox.mcp.http import HttpServer
from sandbox.mcp.sessions import MAX_SESSIONS, CurrentServer, Sessions
from sandbox.mcp.token import read_token
from tests.gatekit import SpyRunner, digest_of, spec_file
from tests.mcpkit import OK, SPEC, call, initialize, line, modern, request
from tests.unit.test_mcp_gateway import Served

TOKEN = "t" * 43


class Played(Served):
    """One session's real server, which remembers that it was closed."""

    closed = False

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True


class Local:
    """The HTTP server on a free port, and the servers that it started."""

    def __init__(self, folder: Path) -> None:
        spec = spec_file(folder, SPEC)
        self.started: list[Played] = []
        forward = CurrentServer()
        self.gate = Gate.open(
            spec, runner=SpyRunner(), server=forward, engine="evaluator", proved_digest=digest_of(spec)
        )
        self.server = HttpServer(Sessions(self.gate, forward, self._start, lambda **_: {}), TOKEN, 0)
        self.port = self.server.server_port
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def _start(self) -> Played:
        self.started.append(Played(lambda _: OK))
        return self.started[-1]

    def close(self) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()
        self.server.sessions.close()
        self.gate.close()

    def send(
        self, method: str, body: bytes = b"", path: str = "/mcp", **changed: str | None
    ) -> tuple[int, dict, bytes]:
        """Status, headers and body of the answer; `changed` headers by name with `_` for `-`, None to leave one out."""
        headers = {
            "Host": f"127.0.0.1:{self.port}", "Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream", "Content-Length": str(len(body)),
            **{name.replace("_", "-"): value for name, value in changed.items()},
        }  # fmt: skip
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                if value is not None:
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def post(self, message: Json, **changed: str | None) -> tuple[int, dict[str, Json]]:
        status, _, body = self.send("POST", line(message), **changed)
        return status, json.loads(body) if body else {}

    def begin(self) -> str:
        status, headers, _ = self.send("POST", line(initialize()))
        assert status == 200
        return headers["Mcp-Session-Id"]

    def raw(self, data: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), 20) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    server = Local(tmp_path)
    yield server
    server.close()


def test_a_session_begins_lists_calls_and_ends(local: Local) -> None:
    name = local.begin()
    status, listed = local.post(request("tools/list"), Mcp_Session_Id=name)
    assert (status, [tool["name"] for tool in listed["result"]["tools"]]) == (200, ["echo", "add"])
    status, done = local.post(call("echo", 7, text="a"), Mcp_Session_Id=name, MCP_Protocol_Version="2025-11-25")
    assert (status, done["id"], done["result"]["isError"]) == (200, 7, False)
    assert (
        local.send("POST", line({"jsonrpc": "2.0", "method": "notifications/initialized"}), Mcp_Session_Id=name)[0]
        == 202
    )
    assert local.send("DELETE", Mcp_Session_Id=name)[0] == 204
    assert local.started[0].closed
    assert local.post(request("ping"), Mcp_Session_Id=name)[0] == 404


@pytest.mark.parametrize(
    ("status", "changed"),
    [
        (421, {"Host": "evil.example:{port}"}),
        (421, {"Host": "127.0.0.1.evil.example:{port}"}),
        (421, {"Host": "127.0.0.1"}),
        (421, {"Host": "127.0.0.1:1"}),
        (421, {"Host": "127.0.0.1:{port}@evil.example"}),
        (421, {"Host": None}),
        (403, {"Origin": "http://evil.example"}),
        (403, {"Origin": "null"}),
        (403, {"Origin": "http://127.0.0.1:{port}.evil.example"}),
        (403, {"Origin": "https://127.0.0.1:{port}"}),
        (403, {"Origin": ""}),
        (401, {"Authorization": None}),
        (401, {"Authorization": "Bearer"}),
        (401, {"Authorization": f"Bearer {TOKEN[:-1]}"}),
        (401, {"Authorization": f"Bearer {TOKEN}x"}),
        (401, {"Authorization": f"Basic {TOKEN}"}),
        (401, {"Authorization": "Bearer \xff"}),
        (415, {"Content-Type": "text/plain"}),
        (415, {"Content-Type": None}),
        (406, {"Accept": "text/html"}),
        (411, {"Content-Length": None}),
        (411, {"Content-Length": "-1"}),
        (411, {"Content-Length": "+1"}),
        (411, {"Content-Length": None, "Transfer-Encoding": "chunked"}),
        (411, {"Transfer-Encoding": "chunked"}),
        (413, {"Content-Length": "4194305"}),
        (413, {"Content-Length": "9" * 50}),
        (417, {"Expect": "100-continue"}),
    ],
)
def test_who_may_not_speak_is_told_a_status_and_nothing_else(
    local: Local, status: int, changed: dict[str, str | None]
) -> None:
    headers = {name: value and value.format(port=local.port) for name, value in changed.items()}
    found, _, body = local.send("POST", line(initialize()), **headers)
    assert (found, body) == (status, b"")
    assert local.started == []


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST:{port}"])
def test_the_names_of_this_machine_are_good(local: Local, host: str) -> None:
    assert local.post(initialize(), Host=host.format(port=local.port))[0] == 200


def test_its_own_origin_is_good(local: Local) -> None:
    assert local.post(initialize(), Origin=f"http://127.0.0.1:{local.port}")[0] == 200


@pytest.mark.parametrize("name", ["Host", "Authorization", "Content-Length", "Origin", "Mcp-Session-Id"])
def test_a_header_that_stands_twice_is_refused(local: Local, name: str) -> None:
    values = {"Host": f"127.0.0.1:{local.port}", "Authorization": f"Bearer {TOKEN}", "Content-Length": "2"}
    headers = {**values, "Content-Type": "application/json"}
    lines = [f"{key}: {value}" for key, value in headers.items()]
    twice = values.get(name, "x")
    text = "\r\n".join(
        ["POST /mcp HTTP/1.1", *lines, f"{name}: {twice}", *([f"{name}: {twice}"] if name not in values else [])]
    )
    assert local.raw(text.encode() + b"\r\n\r\n{}").startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "data",
    [
        b"GET /mcp\r\n\r\n",
        b"POST /mcp HTTP/1.0\r\n\r\n",
        b"BREW /mcp HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"POST " + b"/" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /mcp HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    ],
)
def test_what_is_no_request_of_http_1_1_gets_a_bare_status(local: Local, data: bytes) -> None:
    answer = local.raw(data)
    assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5"))
    assert answer.endswith(b"\r\n\r\n")


def test_other_paths_and_methods_are_not_there(local: Local) -> None:
    assert local.send("POST", line(initialize()), path="/")[0] == 404
    assert local.send("POST", line(initialize()), path="/mcp?x=1")[0] == 404
    assert local.send("GET")[0] == 405
    assert local.send("OPTIONS")[0] == 501


def test_a_session_cannot_be_guessed_and_is_found_by_its_whole_name_only(local: Local) -> None:
    one, two = local.begin(), local.begin()
    assert len({one, two}) == 2
    assert min(len(one), len(two)) >= 43
    for name in (one[:-1], one + "x", one.swapcase(), "", "*"):
        assert local.post(request("tools/list"), Mcp_Session_Id=name)[0] == 404
    assert local.post(request("tools/list"), Mcp_Session_Id=None)[0] == 404


def test_two_sessions_have_two_servers(local: Local) -> None:
    one, two = local.begin(), local.begin()
    local.post(call("echo", text="a"), Mcp_Session_Id=one)
    local.post(call("echo", text="b"), Mcp_Session_Id=two)
    assert [server.calls[0]["args"]["text"] for server in local.started] == ["a", "b"]


def test_only_so_many_sessions_are_there_at_once(local: Local) -> None:
    names = [local.begin() for _ in range(MAX_SESSIONS)]
    assert local.post(initialize())[0] == 503
    local.send("DELETE", Mcp_Session_Id=names[0])
    assert local.post(initialize())[0] == 200


def test_an_initialize_that_fails_leaves_no_session(local: Local) -> None:
    message = initialize()
    del message["params"]["protocolVersion"]
    status, headers, _ = local.send("POST", line(message))
    assert status == 400
    assert "Mcp-Session-Id" not in headers
    assert local.started[0].closed


def test_a_session_that_nobody_uses_is_ended(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    name = local.begin()
    monkeypatch.setattr("sandbox.mcp.sessions.IDLE_S", -1)
    local.server.sessions.end_idle()
    assert local.started[0].closed
    assert local.post(request("ping"), Mcp_Session_Id=name)[0] == 404


def stateless(message: dict[str, Json]) -> dict[str, str]:
    headers = {"MCP_Protocol_Version": "2026-07-28", "Mcp_Method": str(message["method"])}
    name = message["params"].get("name")
    return {**headers, "Mcp_Name": str(name)} if name is not None else headers


def test_in_the_version_without_sessions_every_request_has_a_server_of_its_own(local: Local) -> None:
    for message in (request("server/discover"), request("tools/list"), call("echo", text="a"), call("echo", text="b")):
        status, answer = local.post(modern(message), **stateless(message))
        assert (status, answer["result"]["resultType"]) == (200, "complete")
    assert [len(server.calls) for server in local.started] == [0, 0, 1, 1]
    assert all(server.closed for server in local.started)


def test_only_so_many_servers_are_started_for_single_requests(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.mcp.sessions.MAX_SESSIONS", 0)
    message = request("tools/list")
    status, answer = local.post(modern(message), **stateless(message))
    assert (status, answer["error"]["code"]) == (503, -32000)


@pytest.mark.parametrize(
    "changed",
    [
        {"MCP_Protocol_Version": "2025-11-25"},
        {"MCP_Protocol_Version": None},
        {"MCP_Protocol_Version": "2027-01-01"},
        {"Mcp_Method": "tools/list"},
        {"Mcp_Method": None},
        {"Mcp_Name": "add"},
        {"Mcp_Name": None},
    ],
)
def test_headers_that_say_something_else_than_the_request_are_refused(
    local: Local, changed: dict[str, str | None]
) -> None:
    message = call("echo", text="a")
    status, answer = local.post(modern(message), **{**stateless(message), **changed})
    assert (status, answer["error"]["code"]) == (400, -32020)
    assert local.started == []


@pytest.mark.parametrize(
    "message", [request("resources/read", uri="memo://a"), request("prompts/get", name="memo", arguments={})]
)
def test_what_is_read_or_got_is_what_the_header_says(local: Local, message: dict[str, Json]) -> None:
    headers = {"MCP_Protocol_Version": "2026-07-28", "Mcp_Method": str(message["method"])}
    for name in ("memo://b", None):
        status, answer = local.post(modern(message), **headers, Mcp_Name=name)
        assert (status, answer["error"]["code"]) == (400, -32020)
    named = str(message["params"].get("uri", message["params"].get("name")))
    assert local.post(modern(message), **headers, Mcp_Name=named)[0] == 404


def test_what_is_not_offered_is_not_found(local: Local) -> None:
    message = request("resources/list")
    assert local.post(modern(message), **stateless(message))[0] == 404
    assert local.post(message, Mcp_Session_Id=local.begin())[0] == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [(b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"x"}', -32700), (b"[]", -32600), (b"", -32700)],
)
def test_hostile_bodies_are_refused(local: Local, body: bytes, code: int) -> None:
    status, _, answer = local.send("POST", body, Mcp_Session_Id=local.begin())
    assert (status, json.loads(answer)["error"]["code"], json.loads(answer)["id"]) == (400, code, None)


def test_connections_above_the_limit_are_closed_and_others_served_again_later(
    local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = [socket.create_connection(("127.0.0.1", local.port), 20) for _ in range(gateway_http.MAX_CONNECTIONS)]
    try:
        assert local.raw(b"GET /mcp HTTP/1.1\r\n\r\n") == b""
    except OSError as error:
        if error.errno not in {errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN}:  # closed before it had spoken
            raise
    finally:
        for connection in held:
            connection.close()
    for _ in range(200):  # the threads of the closed ones end as they come to it
        try:
            assert local.post(initialize())[0] == 200
        except (ConnectionError, http.client.HTTPException):
            continue
        break


# --- the token


def test_a_token_is_made_once_and_is_this_users_alone(tmp_path: Path) -> None:
    place = tmp_path / "token"
    made = read_token(str(place))
    assert len(made) >= 43
    assert read_token(str(place)) == made
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert read_token(None) != read_token(None)


def test_a_token_that_others_may_read_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "token"
    read_token(str(place))
    place.chmod(0o644)
    with pytest.raises(UsageError, match="is not a file of this user alone: chmod 600 it"):
        read_token(str(place))


@pytest.mark.parametrize("text", ["", "short", "x" * 2000, "has a space " + "x" * 40, "\xff" * 40])
def test_what_is_no_token_is_refused(tmp_path: Path, text: str) -> None:
    place = tmp_path / "token"
    place.write_text(text, encoding="latin-1")
    place.chmod(0o600)
    with pytest.raises(UsageError, match="holds no token"):
        read_token(str(place))


def test_a_link_is_no_token(tmp_path: Path) -> None:
    read_token(str(tmp_path / "token"))
    (tmp_path / "link").symlink_to(tmp_path / "token")
    with pytest.raises(UsageError, match="cannot be read"):
        read_token(str(tmp_path / "link"))
