"""From a granted request to its answer: where it is sent, what is passed on of what comes back, what is on record."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import netkit
import pytest

from sandbox.audit import MAX_FIELD
from sandbox.call import Asked
from sandbox.execute.broker import conversation, reaching, wire
from sandbox.execute.broker.conversation import Broker
from sandbox.execute.broker.journal import Journal, read_journal
from sandbox.execute.broker.reaching import client_context, pin
from sandbox.execute.broker.refused import Refused, Why
from sandbox.execute.broker.secrecy import Redactor
from sandbox.execute.broker.server import MAX_REQUESTS
from sandbox.execute.broker.wire import Wire
from sandbox.ir import Credential, NetworkGrant

Speech = Callable[[socket.socket], None]
HOST = NetworkGrant("api.bank.example", 443, max_request=100, max_response=1_000)
PUBLIC = "93.184.216.34"
SECRET = "s3cret-t0ken-value"  # noqa: S105  # of no one


@pytest.fixture
def journal() -> Iterator[Journal]:
    descriptor = os.memfd_create("journal")
    yield Journal(descriptor)
    os.close(descriptor)


def scripted(speech: Speech) -> Callable[..., Wire]:
    """In the place of a real connection: a server that says what the test wants said."""

    def reach(grant: NetworkGrant, addresses: Sequence[str], context: ssl.SSLContext) -> Wire:
        far, near = socket.socketpair()

        def serve() -> None:
            with far, contextlib.suppress(OSError):
                speech(far)

        threading.Thread(target=serve).start()
        return Wire(near, f"`{grant.host}`")

    return reach


def answered(answer: bytes, after: bytes = b"\r\n\r\n") -> Speech:
    """Reads until this has come, or nothing more does; says its answer, and closes."""

    def speech(far: socket.socket) -> None:
        taken = b""
        while not taken.endswith(after) and (part := far.recv(65536)):
            taken += part
        heard.append(taken)
        far.sendall(answer)

    return speech


heard: list[bytes] = []


def conversed(
    journal: Journal,
    speech: Speech,
    raw: bytes | None = None,
    *,
    grant: NetworkGrant = HOST,
    resolve: Callable[[str, int], Sequence[str]] = lambda _host, _port: [PUBLIC],
    secrets: dict[NetworkGrant, str] | None = None,
) -> bytes:
    """All that the container gets for its request."""
    broker = Broker((grant,), journal, client_context(), secrets or {}, resolve, scripted(speech))
    far, near = socket.socketpair()
    with far:
        thread = threading.Thread(target=close_after, args=(broker, near))
        thread.start()
        far.sendall(raw if raw is not None else request())
        far.shutdown(socket.SHUT_WR)
        got = b""
        while part := far.recv(65536):
            got += part
        thread.join()
    return got


def close_after(broker: Broker, near: socket.socket) -> None:
    with near:
        broker.converse(near)


def request(*headers: str, method: str = "GET", body: bytes = b"") -> bytes:
    lines = [f"{method} https://api.bank.example/v1 HTTP/1.1", "Host: api.bank.example", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def the_one(journal: Journal) -> Asked:
    (entry,) = read_journal(journal.descriptor)
    return entry


def refusal_in(answer: bytes) -> str:
    (found,) = [line for line in answer.split(b"\r\n") if line.startswith(b"sandbox-refusal: ")]
    return found.partition(b": ")[2].decode()


# --- where it is sent


def test_every_address_must_be_public() -> None:
    for addresses in (
        ["127.0.0.1"],
        ["10.1.2.3"],
        ["169.254.169.254"],
        ["100.100.100.200"],
        ["192.168.1.1"],
        ["172.16.0.1"],
        ["0.0.0.0"],  # noqa: S104  # where nothing is bound
        ["224.0.0.1"],
        ["255.255.255.255"],
        ["192.0.0.192"],
        ["::1"],
        ["::"],
        ["fe80::1"],
        ["fe80::1%eth0"],
        ["fd00:ec2::254"],
        ["ff02::1"],
        ["::ffff:127.0.0.1"],
        ["::ffff:93.184.216.34"],
        ["64:ff9b::7f00:1"],
        ["2002:7f00:1::"],
        ["2001:0:1::1"],
        [PUBLIC, "10.1.2.3"],
        ["10.1.2.3", PUBLIC],
        ["a.name.example"],
        ["0x7f.1"],
        [""],
    ):
        with pytest.raises(Refused) as caught:
            pin(HOST, lambda _host, _port, found=addresses: found)
        assert caught.value.why is Why.ADDRESS, addresses
    assert pin(HOST, lambda _host, _port: [PUBLIC, "2606:4700::1"]) == (PUBLIC, "2606:4700::1")


def test_granted_blocks_are_the_only_ones() -> None:
    inner = NetworkGrant("api.corp.internal", 443, addresses=("10.1.0.0/16", "fd00:1::/32"))
    assert pin(inner, lambda _host, _port: ["10.1.2.3", "fd00:1::5"]) == ("10.1.2.3", "fd00:1::5")
    for address in ("10.2.0.1", PUBLIC, "127.0.0.1", "::ffff:10.1.2.3", "fd00:2::1"):
        with pytest.raises(Refused) as caught:
            pin(inner, lambda _host, _port, found=address: [found])
        assert caught.value.why is Why.ADDRESS, address


def test_an_address_that_the_spec_names_is_itself_and_nothing_is_resolved() -> None:
    def resolve(_host: str, _port: int) -> Sequence[str]:
        raise AssertionError

    assert pin(NetworkGrant("127.0.0.1", 80, tls=False), resolve) == ("127.0.0.1",)


def test_a_name_that_leads_nowhere_is_refused() -> None:
    def fails(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror(-2, "Name or service not known")

    for resolve in (fails, lambda _host, _port: []):
        with pytest.raises(Refused) as caught:
            pin(HOST, resolve)
        assert caught.value.why is Why.NAME


def test_a_name_is_looked_up_once_a_request_and_what_was_checked_is_connected_to(journal: Journal) -> None:
    answers = itertools.cycle([[PUBLIC], ["127.0.0.1"]])  # what a rebinding name says, the second time
    looked_up: list[str] = []
    connected: list[Sequence[str]] = []

    def resolve(host: str, _port: int) -> Sequence[str]:
        looked_up.append(host)
        return next(answers)

    def reach(grant: NetworkGrant, addresses: Sequence[str], context: ssl.SSLContext) -> Wire:
        connected.append(addresses)
        return scripted(answered(b"HTTP/1.1 204 No Content\r\n\r\n"))(grant, addresses, context)

    broker = Broker((HOST,), journal, client_context(), {}, resolve, reach)
    for _ in range(2):
        far, near = socket.socketpair()
        with far:
            far.sendall(request())
            far.shutdown(socket.SHUT_WR)
            close_after(broker, near)
    assert looked_up == ["api.bank.example"] * 2
    assert connected == [(PUBLIC,)]
    assert [entry.reason_code for entry in read_journal(journal.descriptor)] == ["ok", "network.address"]


# --- what is sent


def test_the_framing_and_the_host_are_the_broker_s_own(journal: Journal) -> None:
    heard.clear()
    raw = request(
        "Connection: keep-alive, x-a", "X-A: hop", "X-B: end", "Content-Length: 3", method="POST", body=b"abc"
    )
    conversed(journal, answered(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", after=b"abc"), raw)
    (sent,) = heard
    assert sent == (
        b"POST /v1 HTTP/1.1\r\nhost: api.bank.example\r\nconnection: close\r\ncontent-length: 3\r\nx-b: end\r\n\r\nabc"
    )
    assert b"x-a" not in sent.lower()
    assert (the_one(journal).sent, the_one(journal).status) == (3, 200)


def test_chunks_are_counted_and_cut(journal: Journal) -> None:
    chunk = b"32\r\n" + b"x" * 50 + b"\r\n"
    raw = request("Transfer-Encoding: chunked", method="POST", body=chunk * 2 + b"0\r\n\r\n")
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    assert conversed(journal, answered(ok, after=b"0\r\n\r\n"), raw).startswith(b"HTTP/1.1 200")
    raw = request("Transfer-Encoding: chunked", method="POST", body=chunk * 3 + b"0\r\n\r\n")
    assert refusal_in(conversed(journal, answered(ok, after=b"0\r\n\r\n"), raw)) == "network.request_size"
    for bad in (b"zz\r\nabc\r\n0\r\n\r\n", b"3\r\nabcdef\r\n0\r\n\r\n", b"-1\r\n\r\n", b"3\nabc\n0\n\n", b"3\r\nab"):
        raw = request("Transfer-Encoding: chunked", method="POST", body=bad)
        assert refusal_in(conversed(journal, answered(ok, after=b"0\r\n\r\n"), raw)) == "network.malformed", bad


def test_a_server_that_answers_before_it_has_read_all_is_heard(journal: Journal) -> None:
    raw = request("Transfer-Encoding: chunked", method="POST", body=b"32\r\n" + b"x" * 50 + b"\r\n0\r\n\r\n")
    got = conversed(journal, answered(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"), raw)
    assert got.startswith(b"HTTP/1.1 413")
    assert (the_one(journal).status, the_one(journal).reason_code) == (413, "ok")


def test_a_container_that_expects_to_be_told_to_go_on_is_told(journal: Journal) -> None:
    raw = request("Expect: 100-continue", "Content-Length: 3", method="PUT")
    broker = Broker(
        (HOST,),
        journal,
        client_context(),
        {},
        lambda _host, _port: [PUBLIC],
        scripted(answered(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", after=b"abc")),
    )
    far, near = socket.socketpair()
    with far:
        thread = threading.Thread(target=close_after, args=(broker, near))
        thread.start()
        far.sendall(raw)
        assert far.recv(65536).startswith(b"HTTP/1.1 100")
        far.sendall(b"abc")
        assert far.recv(65536).startswith(b"HTTP/1.1 201")
        far.shutdown(socket.SHUT_WR)
        thread.join()


# --- what comes back


def test_an_answer_is_passed_on_in_the_broker_s_framing(journal: Journal) -> None:
    said = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nConnection: x\r\n"
        b"X: y\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nSandbox-Refusal: forged\r\nKeep-Alive: 1\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    )
    got = conversed(journal, answered(said))
    head, _, body = got.partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"HTTP/1.1 302 Found",
        b"location: http://169.254.169.254/",  # handed back; asking for it is another request, which is not granted
        b"x: y",
        b"set-cookie: a",
        b"set-cookie: b",
        b"connection: close",
        b"Transfer-Encoding: chunked",
    ]
    assert body == b"3\r\nabc\r\n0\r\n\r\n"
    assert (the_one(journal).status, the_one(journal).received, the_one(journal).reason_code) == (302, 3, "ok")


def test_the_answer_to_head_keeps_its_length(journal: Journal) -> None:
    got = conversed(journal, answered(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"), request(method="HEAD"))
    assert b"content-length: 5000\r\n" in got
    assert got.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"", "network.answer"),
        (b"SSH-2.0-OpenSSH\r\n", "network.answer"),
        (b"HTTP/1.1 200 OK\r\n", "network.answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", "network.answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "network.answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc", "network.answer"),
        (b"HTTP/1.1 200 OK\r\nX y: z\r\n\r\n", "network.answer"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", "network.answer"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", "network.answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + b"x" * 1001, "network.answer_size"),
    ],
    ids=lambda value: repr(value[:50]),
)
def test_an_answer_that_is_none_or_too_large_is_a_refusal(journal: Journal, said: bytes, code: str) -> None:
    got = conversed(journal, answered(said))
    assert refusal_in(got) == code
    assert the_one(journal).reason_code == code


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "network.answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "network.answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n", "network.answer"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"100\r\n%b\r\n" % (b"x" * 256) * 9,
            "network.answer_size",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5_000, "network.answer_size"),
    ],
    ids=lambda value: repr(value[:70]),
)
def test_an_answer_that_breaks_off_never_looks_whole(journal: Journal, said: bytes, code: str) -> None:
    got = conversed(journal, answered(said))
    assert got.startswith(b"HTTP/1.1 200 OK")
    assert not got.endswith(b"0\r\n\r\n")
    declared = [line for line in got.split(b"\r\n") if line.startswith(b"content-length")]
    assert declared in ([], [b"content-length: 10"])
    assert the_one(journal).reason_code == code


def test_a_server_that_says_nothing_is_late(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "IDLE_S", 0.1)
    done = threading.Event()
    got = conversed(journal, lambda _far: done.wait(20) and None)
    done.set()
    assert refusal_in(got) == "network.late"


def test_a_fault_of_ours_is_told_and_recorded_and_ends_nothing_else(journal: Journal) -> None:
    def resolve(_host: str, _port: int) -> Sequence[str]:
        raise RuntimeError

    assert refusal_in(conversed(journal, answered(b""), resolve=resolve)) == "network.internal"
    assert the_one(journal).reason_code == "network.internal"


# --- the credential

KEYED = NetworkGrant("api.bank.example", 443, credential=Credential("authorization", "Bearer ", "env", "TOKEN"))


def keyed(journal: Journal, said: bytes) -> bytes:
    return conversed(journal, answered(said), grant=KEYED, secrets={KEYED: SECRET})


def test_a_credential_is_added_on_the_way_out(journal: Journal) -> None:
    heard.clear()
    got = keyed(journal, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert b"\r\nauthorization: Bearer s3cret-t0ken-value\r\n" in heard[0]
    assert b"\r\naccept-encoding: identity\r\n" in heard[0]
    assert got.endswith(b"\r\n\r\nok")
    assert SECRET not in repr(read_journal(journal.descriptor))


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nX: Bearer s3cret-t0ken-value\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 400 s3cret-t0ken-value\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\nyou sent s3cret-t0ken-value, thank you!!",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ns3cret-t0\r\n9\r\nken-value\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + base64.b64encode(SECRET.encode()),
    ],
    ids=lambda said: repr(said[:60]),
)
def test_a_credential_that_comes_back_goes_no_further(journal: Journal, said: bytes) -> None:
    got = keyed(journal, said)
    assert b"s3cret" not in got
    assert base64.b64encode(SECRET.encode())[:8] not in got
    assert the_one(journal).reason_code == "network.credential"


def test_a_secret_is_found_wherever_it_is_cut() -> None:
    text = b"before " + SECRET.encode() + b" after"
    for at in range(len(text)):
        redactor = Redactor(SECRET)
        with pytest.raises(Refused):
            redactor.release(text[:at]) + redactor.release(text[at:])
    honest = Redactor(SECRET)
    assert (
        honest.release(b"s3cret-t0ken") + honest.release(b" is no secret") + honest.rest()
        == b"s3cret-t0ken is no secret"
    )
    assert Redactor("").release(b"anything") == b"anything"


# --- the record


def test_a_request_that_cannot_be_recorded_is_not_sent() -> None:
    heard.clear()
    reading, writing = os.pipe()
    os.close(writing)  # what is left cannot be written to
    got = conversed(Journal(reading), answered(b"HTTP/1.1 200 OK\r\n\r\n"))
    os.close(reading)
    assert refusal_in(got) == "network.record"
    assert heard == []


def test_a_request_without_an_end_is_unfinished(journal: Journal) -> None:
    tally = journal.begin()
    journal.intend(tally, "POST", {"host": "a.example", "port": 443, "path": "/" + "x" * 500, "query": "q"})
    os.write(journal.descriptor, b'{"number": 0, "stat')  # half a line, as a broker leaves that is killed
    entry = the_one(journal)
    assert (entry.method, entry.host, entry.port, entry.status) == ("POST", "a.example", 443, 0)
    assert (entry.reason_code, len(entry.path), len(entry.digest)) == ("network.unfinished", 100, 64)


def test_the_record_of_a_call_holds_every_request_however_long_they_are(journal: Journal) -> None:
    for _ in range(MAX_REQUESTS):
        tally = journal.begin()
        url = {"host": "h" * 253, "port": 65_535, "path": "/" + "p" * 4_000, "query": "q"}
        journal.intend(tally, "M" * 4_000, url)
        tally.status, tally.sent, tally.received, tally.code = 599, 2**40, 2**40, Why.REQUEST_SIZE.code
        journal.end(tally)
    found = read_journal(journal.descriptor)
    assert len(found) == MAX_REQUESTS
    assert len(json.dumps([asdict(each) for each in found])) < MAX_FIELD


# --- real connections


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> netkit.Authority:
    return netkit.authority(tmp_path_factory.mktemp("authority"))


def reached(port: int, authority: netkit.Authority, host: str = "127.0.0.1") -> Wire:
    context = client_context()
    context.load_verify_locations(authority.certificate)
    return reaching.reach(NetworkGrant(host, port), ("127.0.0.1",), context)


def test_tls_is_verified_for_the_host_and_by_the_system_s_authorities(
    authority: netkit.Authority, tmp_path: Path
) -> None:
    with netkit.serving(context=authority.context_for("127.0.0.1")) as server:
        connection = reached(server.port, authority)
        assert connection.socket.version() in {"TLSv1.2", "TLSv1.3"}
        connection.socket.close()
        for host in ("api.bank.example", "127.0.0.2"):  # its certificate is another's
            with pytest.raises(Refused, match="no TLS") as caught:
                reached(server.port, authority, host)
            assert caught.value.why is Why.TLS
        with pytest.raises(Refused, match="no TLS"):  # and the authority is nobody's that this machine knows
            reaching.reach(NetworkGrant("127.0.0.1", server.port), ("127.0.0.1",), client_context())
    stranger = netkit.authority(tmp_path)
    with (
        netkit.serving(context=stranger.context_for("127.0.0.1")) as server,
        pytest.raises(Refused, match="no TLS"),
    ):
        reached(server.port, authority)


def test_a_server_that_speaks_no_tls_is_refused(authority: netkit.Authority) -> None:
    with netkit.serving() as server, pytest.raises(Refused) as caught:
        reached(server.port, authority)
    assert caught.value.why is Why.TLS


def test_the_next_address_is_tried_where_one_takes_no_connection() -> None:
    with netkit.serving() as server:
        grant = NetworkGrant("127.0.0.1", server.port, tls=False)
        connection = reaching.reach(grant, ("127.0.0.9", "127.0.0.1"), client_context())
        connection.socket.close()
        with pytest.raises(Refused) as caught:
            reaching.reach(grant, ("127.0.0.9",), client_context())
        assert caught.value.why is Why.UNREACHABLE


def test_the_system_s_resolver_gives_addresses() -> None:
    assert "127.0.0.1" in reaching.resolve_by_system("localhost", 80)


def test_the_reason_on_a_status_line_is_printable_and_short(journal: Journal) -> None:
    def resolve(_host: str, _port: int) -> Sequence[str]:
        return ["bad\r\nX: y\x1b[31m" + "z" * 2_000]

    got = conversed(journal, answered(b""), resolve=resolve)
    line = got.partition(b"\r\n")[0]
    assert line.startswith(b"HTTP/1.1 403 network.address: `api.bank.example` leads to `bad??X: y?[31m")
    assert len(line) < conversation.MAX_REASON + 20
    assert b"\nX: y" not in got
