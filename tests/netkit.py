"""What tests of the network share: servers on the loopback that remember what they were asked, and an authority."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass(frozen=True)
class Authority:
    """A certificate authority of a test's own: its certificate, and how to make one for a server."""

    folder: Path

    @property
    def certificate(self) -> Path:
        return self.folder / "ca.pem"

    def context_for(self, *names: str) -> ssl.SSLContext:
        """A server's context with a certificate for these names or addresses."""
        made = self.folder / f"{'-'.join(names).replace('*', 'any')}.pem"
        subject = ",".join(f"{'IP' if name[0].isdigit() else 'DNS'}:{name}" for name in names)
        self._openssl(made, "-subj", "/CN=server", "-addext", f"subjectAltName={subject}", *self._signed())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(made, made.with_suffix(".key"))
        return context

    def _signed(self) -> tuple[str, ...]:
        return ("-CA", str(self.certificate), "-CAkey", str(self.certificate.with_suffix(".key")))

    def _openssl(self, made: Path, *words: str) -> None:
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", made.with_suffix(".key")]
        command = ["openssl", "req", "-x509", *key, "-out", made, "-days", "2", *words]
        subprocess.run(command, check=True, capture_output=True)


def authority(folder: Path) -> Authority:
    made = Authority(folder)
    made._openssl(made.certificate, "-subj", "/CN=an authority of a test")
    return made


@dataclass
class Seen:
    """One request as a server saw it."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]


@dataclass
class Server:
    """A server on 127.0.0.1 that answers `answer` to whatever it is asked, and remembers it."""

    port: int
    seen: list[Seen] = field(default_factory=list)


Answer = Callable[[BaseHTTPRequestHandler, Seen], None]


def say(handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def greet(handler: BaseHTTPRequestHandler, _seen: Seen) -> None:
    say(handler, 200, b"hello")


@contextlib.contextmanager
def serving(answer: Answer = greet, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    """A server for the duration of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = b""
            if self.headers.get("Transfer-Encoding") == "chunked":
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            found = Seen(self.command, self.path, list(self.headers.items()), body)
            server.seen.append(found)
            with contextlib.suppress(OSError):
                answer(self, found)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = handle_any  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, *_: object) -> None:
            """A client that went away is no news."""

    web = Quiet(("127.0.0.1", 0), Handler)
    if context is not None:
        web.socket = context.wrap_socket(web.socket, server_side=True, do_handshake_on_connect=False)
    server = Server(web.server_port)
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        web.shutdown()
        thread.join()
        web.server_close()


@contextlib.contextmanager
def speaking(speech: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server of bytes: each connection is handed to `speech`; gives its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            speech(connection)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threads.append(threading.Thread(target=serve, args=(connection,), daemon=True))
                threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join()
