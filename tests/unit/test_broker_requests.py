"""A request that a container makes is read in one way, judged, and sent as it was judged; or it is refused."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator

import h11
import pytest

from sandbox.execute.broker import reading, wire
from sandbox.execute.broker.judging import Ask, judge, read_url
from sandbox.execute.broker.reading import MAX_HEAD, MAX_HEADERS, read_head
from sandbox.execute.broker.refused import Refused, Why
from sandbox.execute.broker.wire import Wire
from sandbox.ir import Credential, NetworkGrant

BANK = NetworkGrant("api.bank.example", 443)
PLAIN = NetworkGrant("plain.example", 80, tls=False)
READ = NetworkGrant("read.example", 8443, methods=("GET", "HEAD"), max_request=10)
KEYED = NetworkGrant("keyed.example", 443, credential=Credential("x-key", "", "env", "KEY"))
SIX = NetworkGrant("2606:4700::1111", 443)
GRANTS = (BANK, PLAIN, READ, KEYED, SIX)


def head(target: str, *headers: str, method: str = "GET", host: str | None = None, version: str = "1.1") -> bytes:
    authority = target.partition("://")[2].partition("/")[0] if host is None else host
    lines = [f"{method} {target} HTTP/{version}", f"Host: {authority}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, Wire]]:
    far, near = socket.socketpair()
    with far, near:
        yield far, Wire(near, "the container")


def asked(raw: bytes) -> Ask:
    """What the broker makes of these bytes."""
    far, near = socket.socketpair()
    with far, near:
        writer = threading.Thread(target=send_all, args=(far, raw))
        writer.start()
        try:
            request, _ = read_head(Wire(near, "the container"))
            return judge(request, read_url(request), GRANTS)
        finally:
            near.close()
            writer.join()


def send_all(far: socket.socket, raw: bytes) -> None:
    try:
        far.sendall(raw)
        far.shutdown(socket.SHUT_WR)
    except OSError:
        return  # it was refused before its end


def refusal(raw: bytes) -> Refused:
    with pytest.raises(Refused) as caught:
        asked(raw)
    return caught.value


# --- what is granted


@pytest.mark.parametrize(
    ("url", "grant", "target", "authority"),
    [
        ("http://api.bank.example:443/v1?a=b", BANK, "/v1?a=b", "api.bank.example"),
        ("https://api.bank.example/v1", BANK, "/v1", "api.bank.example"),
        ("HTTPS://API.Bank.Example:443/%7euser", BANK, "/%7euser", "api.bank.example"),
        ("http://plain.example/", PLAIN, "/", "plain.example"),
        ("https://read.example:8443/a/./b/../c", READ, "/a/c", "read.example:8443"),
        ("http://api.bank.example:443/a/%2e%2e/b", BANK, "/b", "api.bank.example"),
        ("http://[2606:4700:0:0::1111]:443/", SIX, "/", "[2606:4700::1111]"),
    ],
)
def test_a_granted_url_is_sent_in_its_canonical_form(
    url: str, grant: NetworkGrant, target: str, authority: str
) -> None:
    ask = asked(head(url))
    assert (ask.grant, ask.target, ask.authority) == (grant, target, authority)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.bank.example/",  # port 80
        "http://api.bank.example:8443/",
        "http://evil.example:443/",
        "http://api.bank.example.evil.example:443/",
        "http://xapi.bank.example:443/",
        "https://plain.example:80/",  # granted without TLS, and asked for with it
        "http://127.0.0.1/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://0x7f.1/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/latest/",
        "http://localhost/",
    ],
)
def test_what_is_not_granted_is_refused(url: str) -> None:
    assert refusal(head(url)).why is Why.NOT_GRANTED


@pytest.mark.parametrize(
    "target",
    [
        "/v1",
        "*",
        "api.bank.example:443",
        "ftp://api.bank.example:443/",
        "//api.bank.example:443/",
        "http:api.bank.example:443/",
        "http://user:pw@api.bank.example:443/",
        "http://api.bank.example:443/#fragment",
        "http://api.bank.example:443\\@evil.example/",
        "http://api.bank.example:443/a/%252e%252e/b",
        "http://api.bank.example:0443x/",
        "http://api.bank.example.:443/",
        "http://api.bank%2eexample%00.evil.example:443/",
        "http:///v1",
    ],
)
def test_a_target_that_is_no_absolute_url_is_malformed(target: str) -> None:
    assert refusal(head(target, host="api.bank.example:443")).why is Why.MALFORMED


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:443", "api.bank.example", "api.bank.example:80", "", "a b", "user@api"]
)
def test_a_host_other_than_the_url_s_is_malformed(host: str) -> None:
    raw = head("http://api.bank.example:443/", host=host)
    assert refusal(raw).why is Why.MALFORMED


def test_methods_are_those_of_the_grant() -> None:
    assert asked(head("https://read.example:8443/", method="HEAD")).method == "HEAD"
    for method in ("POST", "get", "TRACE", "PROPFIND"):
        assert refusal(head("https://read.example:8443/", method=method)).why is Why.METHOD
    assert refusal(head("https://api.bank.example/", method="OPTIONS")).why is Why.METHOD


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_connect_says_how_to_ask_instead(version: str) -> None:
    refused = refusal(head("api.bank.example:443", method="CONNECT", host="api.bank.example:443", version=version))
    assert (refused.why, "http://HOST:443/" in refused.reason) == (Why.METHOD, True)


def test_a_length_above_the_grant_s_is_refused_before_anything_is_sent() -> None:
    inside = NetworkGrant("read.example", 8443, methods=("GET",), max_request=10)
    assert asked(head("https://read.example:8443/", "Content-Length: 10")).length == inside.max_request
    assert refusal(head("https://read.example:8443/", "Content-Length: 11")).why is Why.REQUEST_SIZE
    assert asked(head("https://read.example:8443/", "Transfer-Encoding: chunked")).length is None


def test_headers_of_the_connection_are_not_passed_on() -> None:
    ask = asked(
        head(
            "https://api.bank.example/",
            "Connection: keep-alive, X-Hop",
            "X-Hop: 1",
            "Keep-Alive: 5",
            "Proxy-Authorization: Basic x",
            "Proxy-Connection: keep-alive",
            "TE: trailers",
            "Upgrade: h2c",
            "Content-Length: 3",
            "Accept: text/plain",
            "Authorization: the tool's own",
            "Accept-Encoding: gzip",
        )
    )
    assert ask.headers == (
        (b"accept", b"text/plain"),
        (b"authorization", b"the tool's own"),
        (b"accept-encoding", b"gzip"),
    )


def test_a_header_that_the_broker_adds_is_nobody_else_s() -> None:
    assert refusal(head("https://keyed.example/", "X-KEY: mine")).why is Why.MALFORMED
    assert asked(head("https://keyed.example/", "Accept-Encoding: gzip")).headers == ()


# --- how it is read

LENGTHS = [
    ("Content-Length: 3", "Content-Length: 3"),
    ("Content-Length: 3", "Content-Length: 4"),
    ("Content-Length: 3", "Transfer-Encoding: chunked"),
    ("Transfer-Encoding: chunked", "Content-Length: 3"),
    ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    ("Content-Length: 3, 3",),
    ("Content-Length: +3",),
    ("Content-Length: -3",),
    ("Content-Length: 0x3",),
    ("Content-Length: 3 3",),
    ("Content-Length: 00003",),
    ("Content-Length: 99999999999999999999",),
    ("Content-Length:",),
    ("Transfer-Encoding: gzip, chunked",),
    ("Transfer-Encoding: chunked, identity",),
    ("Transfer-Encoding: identity",),
    ("Transfer-Encoding: xchunked",),
    ("Transfer-Encoding : chunked",),
    ("Content-Length : 3",),
]


@pytest.mark.parametrize("headers", LENGTHS, ids=" & ".join)
def test_a_length_that_could_be_read_in_two_ways_is_malformed(headers: tuple[str, ...]) -> None:
    assert refusal(head("https://api.bank.example/", *headers, method="POST") + b"abc").why is Why.MALFORMED


OK = head("https://api.bank.example/", "X: y")


@pytest.mark.parametrize(
    "raw",
    [
        OK.replace(b"\r\n", b"\n"),
        OK.replace(b"X: y", b"X: y\nEvil: z"),
        OK.replace(b"X: y", b"X: y\rEvil: z"),
        OK.replace(b"X: y", b"X: y\r\n folded"),
        OK.replace(b"X: y", b"X: y\r\n\tfolded"),
        OK.replace(b"X: y", b"X: \x00"),
        OK.replace(b"example/", b"example\x00/"),
        OK.replace(b"X: y", b"X: \x7f"),
        OK.replace(b"X: y", b"X: \xc3\xa4"),
        OK.replace(b"X: y", b"X y"),
        OK.replace(b"X: y", b": y"),
        OK.replace(b"X: y", b"X y: z"),
        OK.replace(b"X: y", b"Host: api.bank.example"),
        OK.replace(b"Host: api.bank.example\r\n", b""),
        OK.replace(b"HTTP/1.1", b"HTTP/1.0"),
        OK.replace(b"HTTP/1.1", b"HTTP/2.0"),
        OK.replace(b" HTTP/1.1", b""),
        OK.replace(b"GET ", b"GET  "),
        OK.replace(b"GET ", b" GET "),
        OK.replace(b"GET ", b"G\tET "),
        b"\r\n" + OK,
        OK[:-2],
        OK[:-4],
        b"",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        head("https://api.bank.example/", *(f"X-{n}: y" for n in range(MAX_HEADERS))),
        head("https://api.bank.example/", "X: " + "y" * MAX_HEAD),
        head("https://api.bank.example/" + "y" * MAX_HEAD),
        b"y" * (2 * MAX_HEAD),
    ],
    ids=lambda raw: repr(raw[:60]) if isinstance(raw, bytes) else "",
)
def test_a_head_that_is_not_exactly_one_is_malformed(raw: bytes) -> None:
    assert refusal(raw).why is Why.MALFORMED


def test_what_comes_behind_the_head_is_its_body(ends: tuple[socket.socket, Wire]) -> None:
    far, near = ends
    far.sendall(head("https://api.bank.example/", "Content-Length: 3", method="POST") + b"abcGET / HTTP/1.1\r\n\r\n")
    _, reader = read_head(near)
    event = reader.next_event()
    assert isinstance(event, h11.Data)
    assert bytes(event.data) == b"abc"
    assert isinstance(reader.next_event(), h11.EndOfMessage)
    assert reader.next_event() is h11.PAUSED  # a second request on one connection is never read


@pytest.mark.parametrize(
    "start", [b"GET http://a/ HTTP/1.1\nHost", b"GET http://a/ HTTP/1.1\r\nX: y\rz", b"a\r\nb\n", b"\n"]
)
def test_a_line_that_ends_in_another_way_is_refused_before_the_head_is_whole(
    ends: tuple[socket.socket, Wire], start: bytes
) -> None:
    far, near = ends
    far.sendall(start)
    with pytest.raises(Refused) as caught:
        read_head(near)
    assert caught.value.why is Why.MALFORMED


def test_a_body_may_hold_what_a_head_may_not(ends: tuple[socket.socket, Wire]) -> None:
    far, near = ends
    far.sendall(head("https://api.bank.example/", "Content-Length: 4", method="POST") + b"\na\rb")
    _, reader = read_head(near)
    assert bytes(reader.next_event().data) == b"\na\rb"


def test_a_head_that_trickles_is_not_waited_for(
    ends: tuple[socket.socket, Wire], monkeypatch: pytest.MonkeyPatch
) -> None:
    far, near = ends
    monkeypatch.setattr(reading, "HEAD_S", 0.3)
    stop = threading.Event()

    def trickle() -> None:
        while not stop.wait(0.02):
            far.send(b"y")

    writer = threading.Thread(target=trickle)
    writer.start()
    try:
        with pytest.raises(Refused) as caught:
            read_head(near)
    finally:
        stop.set()
        writer.join()
    assert caught.value.why is Why.LATE


def test_silence_is_not_waited_for(ends: tuple[socket.socket, Wire], monkeypatch: pytest.MonkeyPatch) -> None:
    _, near = ends
    monkeypatch.setattr(wire, "IDLE_S", 0.05)
    with pytest.raises(Refused) as caught:
        near.receive()
    assert caught.value.why is Why.LATE
    with pytest.raises(Refused) as caught:
        near.receive(time.monotonic() - 1)
    assert caught.value.why is Why.LATE
    with pytest.raises(Refused) as caught:
        near.send(os.urandom(10_000_000))
    assert caught.value.why is Why.LATE


def test_a_broken_connection_is_a_refusal() -> None:
    far, near = socket.socketpair()
    far.close()
    with near, pytest.raises(Refused) as caught:
        Wire(near, "the container").send(b"x")
    assert (caught.value.why, caught.value.reason) == (
        Why.UNREACHABLE,
        "the container broke the connection off: Broken pipe",
    )
