"""The gateway on local HTTP (the protocol's streamable transport, answers as plain JSON).

Only this machine is listened to, and not all of it is trusted: a page in a browser can reach local ports, also under
a name of its own (DNS rebinding). So every request must name this host and port, come from no other origin, and
bring the token; nothing of it is read before that. What a proxy and we could take differently is refused.
"""

from __future__ import annotations

import hmac
import socket
import threading
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from sandbox.mcp.sessions import Sessions
from sandbox.mcp.wire import (
    BUSY,
    HANDSHAKE_VERSIONS,
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    META_VERSION,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    UNSUPPORTED_VERSION,
    Malformed,
    Request,
    error_of,
    read_message,
)
from sandbox.strict_json import MAX_MESSAGE_BYTES, member

PATH: Final = "/mcp"
ADDRESS: Final = "127.0.0.1"
MAX_CONNECTIONS: Final = 32
"""Connections at the same time; each takes a thread, and one more is closed at once."""
IDLE_CONNECTION_S: Final = 30
"""For the next bytes of a client that is connected."""

SESSION_HEADER: Final = "Mcp-Session-Id"
VERSION_HEADER: Final = "MCP-Protocol-Version"
METHOD_HEADER: Final = "Mcp-Method"
NAME_HEADER: Final = "Mcp-Name"

_SINGLE: Final = (
    "Host", "Origin", "Authorization", "Content-Length", "Content-Type", SESSION_HEADER, VERSION_HEADER, METHOD_HEADER,
    NAME_HEADER,
)  # fmt: skip
"""Headers of which a second one makes two readers differ."""
_STATUS: Final = {PARSE_ERROR: 400, INVALID_REQUEST: 400, INVALID_PARAMS: 400, HEADER_MISMATCH: 400,
                  UNSUPPORTED_VERSION: 400, METHOD_NOT_FOUND: 404, BUSY: 503}  # fmt: skip
_NAMED: Final = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
"""Requests that are about something, and the parameter that says about what."""
_MAX_LENGTH_DIGITS: Final = 10


class HttpServer(ThreadingHTTPServer):
    """Serves local clients until `shutdown`. `port` 0 takes a free one; `url` says where it is."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, sessions: Sessions, token: str, port: int) -> None:
        self.sessions = sessions
        self._token = token.encode()
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__((ADDRESS, port), _Handler)
        self.hosts = frozenset(f"{name}:{self.server_port}" for name in (ADDRESS, "localhost"))
        self.origins = frozenset(f"http://{host}" for host in self.hosts)

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://{ADDRESS}:{self.server_port}{PATH}"

    def is_token(self, given: str) -> bool:
        """Whether this is the token, in a time that does not depend on how much of it is right."""
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._token)

    def service_actions(self) -> None:
        """Between two connections: sessions that nobody uses are ended."""
        self.sessions.end_idle()

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """A thread for the connection, if there is one left."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()
            raise

    def process_request_thread(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        """The connection's own thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that broke concerns nobody else."""


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: HttpServer
    protocol_version = "HTTP/1.1"
    timeout = IDLE_CONNECTION_S

    def do_POST(self) -> None:
        """A message of the protocol."""
        if not self._is_admitted():
            return
        body = self._body()
        if body is None:
            return
        match read_message(body):
            case Request() as request:
                self._request(request)
            case Malformed(code=code, message=message):
                self._json(error_of(None, code, message), _STATUS[code])
            case _:
                self._end(HTTPStatus.ACCEPTED)  # it asks nothing, and what it tells changes nothing

    def do_DELETE(self) -> None:
        """The end of a session."""
        if self._is_admitted():
            name = self.headers.get(SESSION_HEADER, "")
            self._end(HTTPStatus.NO_CONTENT if self.server.sessions.end(name) else HTTPStatus.NOT_FOUND)

    def do_GET(self) -> None:
        """There is no stream of messages to the client."""
        if self._is_admitted():
            self._end(HTTPStatus.METHOD_NOT_ALLOWED, ("Allow", "POST, DELETE"))

    # --- who may speak ---------------------------------------------------------------------------

    def _is_admitted(self) -> bool:
        """Whether the request may be read at all; where not, it was answered."""
        twice = [name for name in _SINGLE if len(self.headers.get_all(name, [])) > 1]
        origin = self.headers.get("Origin")
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if twice or self.request_version != "HTTP/1.1":
            self._refuse(HTTPStatus.BAD_REQUEST)
        elif self.headers.get("Host", "").lower() not in self.server.hosts:
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST)
        elif origin is not None and origin not in self.server.origins:
            self._refuse(HTTPStatus.FORBIDDEN)
        elif scheme.lower() != "bearer" or not self.server.is_token(token):
            self._refuse(HTTPStatus.UNAUTHORIZED, ("WWW-Authenticate", "Bearer"))
        elif self.path != PATH:
            self._refuse(HTTPStatus.NOT_FOUND)
        else:
            return True
        return False

    def _body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "")
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if "Transfer-Encoding" in self.headers or not length.isascii() or not length.isdigit():
            self._refuse(HTTPStatus.LENGTH_REQUIRED)
        elif len(length) > _MAX_LENGTH_DIGITS or int(length) > MAX_MESSAGE_BYTES:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        elif kind != "application/json":
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        elif not _accepts_json(self.headers.get_all("Accept", [])):
            self._refuse(HTTPStatus.NOT_ACCEPTABLE)
        else:
            body = self.rfile.read(int(length))
            if len(body) == int(length):
                return body
            self.close_connection = True
        return None

    # --- what is asked ---------------------------------------------------------------------------

    def _request(self, request: Request) -> None:
        version = self.headers.get(VERSION_HEADER)
        enveloped = member(request.params.get("_meta"), META_VERSION)
        if version is not None and version not in HANDSHAKE_VERSIONS:
            self._alone(request, version, enveloped)
        elif enveloped is not None:
            self._json(error_of(request.id, HEADER_MISMATCH, f"{VERSION_HEADER} has to say the request's version"), 400)
        elif request.method == "initialize":
            self._begin(request)
        else:
            self._within(request)

    def _alone(self, request: Request, version: str, enveloped: object) -> None:
        """A request of the version without sessions: what proxies route by must be what it says."""
        named = request.params.get(_NAMED[request.method]) if request.method in _NAMED else None
        said = (version, self.headers.get(METHOD_HEADER), self.headers.get(NAME_HEADER))
        if said != (enveloped, request.method, said[2] if named is None else named):
            message = f"{VERSION_HEADER}, {METHOD_HEADER} and {NAME_HEADER} have to say what the request says"
            self._json(error_of(request.id, HEADER_MISMATCH, message), 400)
            return
        answer = self.server.sessions.alone(request)
        if answer is None:
            self._json(error_of(request.id, BUSY, "too many requests at once; try again"), 503)
            return
        self._answer(answer, alone=True)

    def _begin(self, request: Request) -> None:
        begun = self.server.sessions.begin(request)
        match begun:
            case None:
                self._json(error_of(request.id, BUSY, "too many sessions; end one"), 503)
            case (None, answer):
                self._json(answer, 400)
            case (str() as name, answer):
                self._json(answer, 200, (SESSION_HEADER, name))

    def _within(self, request: Request) -> None:
        answer = self.server.sessions.answer(self.headers.get(SESSION_HEADER, ""), request)
        if answer is None:
            self._json(error_of(request.id, INVALID_REQUEST, f"no such {SESSION_HEADER}; send `initialize`"), 404)
            return
        self._answer(answer, alone=False)

    # --- answers ---------------------------------------------------------------------------------

    def _answer(self, answer: bytes, *, alone: bool) -> None:
        """In the version without sessions the status tells of an error too."""
        code = _error_code(answer) if alone else None
        self._json(answer, 200 if code is None else _STATUS.get(code, 200))

    def _json(self, body: bytes, status: int, *headers: tuple[str, str]) -> None:
        self.send_response_only(status)
        for name, value in (*headers, ("Content-Type", "application/json"), ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _end(self, status: HTTPStatus, *headers: tuple[str, str]) -> None:
        self.send_response_only(status)
        for name, value in (*headers, ("Content-Length", "0")):
            self.send_header(name, value)
        self.end_headers()

    def _refuse(self, status: HTTPStatus, *headers: tuple[str, str]) -> None:
        """Says no more than the status, and reads no more of this connection."""
        self.close_connection = True
        self.request_version = "HTTP/1.1"  # to one that asked in another version an answer of this one
        self._end(status, *headers, ("Connection", "close"))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the library cannot read it answers with a page; here it is the status alone."""
        _ = message, explain
        self._refuse(HTTPStatus(code))

    def handle_expect_100(self) -> bool:
        """Nobody is asked for a body before it is known who speaks."""
        self._refuse(HTTPStatus.EXPECTATION_FAILED)
        return False

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
        """Nothing: a client chooses these texts."""


def _accepts_json(values: Sequence[str]) -> bool:
    """Whether a client takes an answer in JSON; one that does not say takes anything."""
    kinds = {part.partition(";")[0].strip().lower() for value in values for part in value.split(",")}
    return not kinds or bool(kinds & {"application/json", "application/*", "*/*"})


def _error_code(answer: bytes) -> int | None:
    read = read_message(answer)
    error = getattr(read, "error", None)
    return getattr(error, "code", None)
