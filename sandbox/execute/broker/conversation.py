"""One connection of the container: one request, judged, sent, and its answer passed on. Then it is closed."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import h11

from sandbox.execute.broker.journal import Journal, Tally
from sandbox.execute.broker.judging import Ask, Headers, judge, read_url
from sandbox.execute.broker.reaching import Resolve, pin, reach, resolve_by_system
from sandbox.execute.broker.reading import read_head
from sandbox.execute.broker.refused import Refused, Why
from sandbox.execute.broker.secrecy import Redactor
from sandbox.execute.broker.wire import Wire
from sandbox.framing import FRAMING
from sandbox.ir import NetworkGrant

MAX_ANSWER_HEAD: Final = 64 * 1024
"""Bytes of an answer's status line and headers."""

MAX_REASON: Final = 500
"""Characters of a reason: it stands in a status line, where programs show it."""

REFUSAL_HEADER: Final = b"sandbox-refusal"
"""With the code, on answers of the broker's own; never passed on from a server."""

_OWN: Final = {name.encode() for name in FRAMING} | {REFUSAL_HEADER}
_NO_UPGRADE: Final = 101


@dataclass(frozen=True, slots=True)
class Broker:
    """What every conversation of one call shares. `secrets` are what grants with a credential add."""

    grants: Sequence[NetworkGrant]
    journal: Journal
    context: ssl.SSLContext
    secrets: Mapping[NetworkGrant, str] = field(default_factory=dict)
    resolve: Resolve = resolve_by_system
    reach: Callable[[NetworkGrant, Sequence[str], ssl.SSLContext], Wire] = reach

    def converse(self, connection: socket.socket) -> None:
        """Takes the one request of this connection to its answer. Never raises for what either side does."""
        inner = Wire(connection, "the container")
        tally = self.journal.begin()
        answer = Answer(inner)
        try:
            self._pass_on(inner, answer, tally)
        except Refused as refused:
            tally.code = refused.why.code
            answer.refuse(refused)
        except (h11.ProtocolError, ValueError) as error:
            why = Why.ANSWER if answer.awaited else Why.MALFORMED
            tally.code = why.code
            answer.refuse(Refused(why, f"the message is not passed on: {error}"))
        except Exception as error:  # noqa: BLE001  # whatever it was, this request is not passed on and the others are
            tally.code = Why.INTERNAL.code
            answer.refuse(Refused(Why.INTERNAL, f"the broker failed: {type(error).__name__}"))
        finally:
            with contextlib.suppress(Refused):  # then it stays unfinished in the record
                self.journal.end(tally)
            inner.linger()

    def _pass_on(self, inner: Wire, answer: Answer, tally: Tally) -> None:
        request, reader = read_head(inner)
        answer.reader = reader
        url = read_url(request)
        self.journal.intend(tally, request.method.decode("ascii"), url)
        ask = judge(request, url, self.grants)
        outer = self.reach(ask.grant, pin(ask.grant, self.resolve), self.context)
        with outer.socket:
            writer = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_ANSWER_HEAD)
            outer.send(
                _bytes(writer.send(h11.Request(method=ask.method, target=ask.target, headers=list(self._headers(ask)))))
            )
            self._send_body(inner, reader, outer, writer, ask, tally)
            answer.awaited = True
            self._return(outer, writer, answer, ask, tally)

    def _headers(self, ask: Ask) -> Headers:
        """What is sent: the host and the framing are ours, then what the container said, then the credential."""
        framing = (
            ((b"transfer-encoding", b"chunked"),)
            if ask.length is None
            else ((b"content-length", str(ask.length).encode()),)
            if ask.length or ask.method in {"POST", "PUT", "PATCH"}
            else ()
        )
        own: Headers = ((b"host", ask.authority.encode()), (b"connection", b"close"), *framing)
        if ask.grant.credential is None:
            return (*own, *ask.headers)
        credential, secret = ask.grant.credential, self.secrets[ask.grant]
        value = f"{credential.prefix}{secret}".encode()
        added: Headers = ((b"accept-encoding", b"identity"), (credential.header.encode(), value))
        return (*own, *ask.headers, *added)

    def _send_body(  # noqa: PLR0917  # two ends, what is read and written there, and what it is about
        self, inner: Wire, reader: h11.Connection, outer: Wire, writer: h11.Connection, ask: Ask, tally: Tally
    ) -> None:
        if reader.they_are_waiting_for_100_continue:
            inner.send(_bytes(reader.send(h11.InformationalResponse(status_code=100, headers=[]))))
        while True:
            match _next(inner, reader):
                case h11.Data(data=data) if tally.sent + len(data) > ask.grant.max_request:
                    reason = f"the request's body is larger than {ask.grant.max_request} bytes"
                    raise Refused(Why.REQUEST_SIZE, reason)
                case h11.Data() | h11.EndOfMessage() as event:
                    try:
                        outer.send(_bytes(writer.send(event)))
                    except Refused as refused:
                        if refused.why is Why.UNREACHABLE:
                            return  # it may have answered before it closed
                        raise
                    if isinstance(event, h11.EndOfMessage):
                        return
                    tally.sent += len(event.data)
                case _:
                    raise Refused(Why.MALFORMED, "the request ended before its body did")

    def _return(self, outer: Wire, writer: h11.Connection, answer: Answer, ask: Ask, tally: Tally) -> None:
        head = _next(outer, writer)
        while isinstance(head, h11.InformationalResponse) and head.status_code != _NO_UPGRADE:
            head = _next(outer, writer)
        if not isinstance(head, h11.Response):
            raise Refused(Why.ANSWER, f"`{ask.grant.host}` sent no answer of HTTP/1.1")
        tally.status = head.status_code
        redactor = Redactor(self.secrets.get(ask.grant, ""))
        answer.begin(head, ask, redactor)
        while True:
            match _next(outer, writer):
                case h11.Data(data=data):
                    tally.received += len(data)
                    if tally.received > ask.grant.max_response:
                        raise _too_large(ask)
                    answer.go_on(redactor.release(bytes(data)))
                case h11.EndOfMessage():
                    answer.go_on(redactor.rest())
                    answer.end()
                    return
                case _:
                    raise Refused(Why.ANSWER, f"`{ask.grant.host}` ended its answer early")


@dataclass(slots=True)
class Answer:
    """What the container is sent: the server's answer in the broker's framing, or why there is none."""

    inner: Wire
    reader: h11.Connection = field(default_factory=lambda: h11.Connection(h11.SERVER))
    awaited: bool = False
    begun: bool = False

    def begin(self, head: h11.Response, ask: Ask, redactor: Redactor) -> None:
        """The status and headers; raises Refused if the body will be too large, or a secret comes back."""
        lengths = [int(value) for name, value in head.headers if name == b"content-length"]
        coded = any(name == b"transfer-encoding" for name, _ in head.headers)
        if lengths and coded:
            raise Refused(Why.ANSWER, f"`{ask.grant.host}` said two lengths of its answer")
        if lengths and lengths[0] > ask.grant.max_response and ask.method != "HEAD":
            raise _too_large(ask)
        if sum(len(name) + len(value) for name, value in head.headers) > MAX_ANSWER_HEAD:
            raise Refused(Why.ANSWER, f"the head of `{ask.grant.host}`'s answer is larger than {MAX_ANSWER_HEAD} bytes")
        redactor.check(b"\n".join((head.reason, *(name + b":" + value for name, value in head.headers))))
        kept = [(name, value) for name, value in head.headers if name not in _OWN]
        kept += [(b"content-length", str(length).encode()) for length in lengths]
        response = h11.Response(
            status_code=head.status_code, headers=[*kept, (b"connection", b"close")], reason=head.reason
        )
        self.inner.send(_bytes(self.reader.send(response)))
        self.begun = True

    def go_on(self, data: bytes) -> None:
        """More of the body."""
        self.inner.send(_bytes(self.reader.send(h11.Data(data=data))) if data else b"")

    def end(self) -> None:
        """The end of the body; without it the container sees an answer that was cut off."""
        self.inner.send(_bytes(self.reader.send(h11.EndOfMessage())))

    def refuse(self, refused: Refused) -> None:
        """Why there is no answer; nothing, where one has begun: it stays without its end."""
        if self.begun:
            return
        said = f"{refused.why.code}: {refused.reason}"[:MAX_REASON]
        reason = bytes(byte if chr(byte).isprintable() else ord("?") for byte in said.encode("ascii", "replace"))
        body = reason + b"\n"
        headers = [
            ("content-type", "text/plain"),
            ("content-length", str(len(body))),
            ("connection", "close"),
            (REFUSAL_HEADER.decode(), refused.why.code),
        ]
        writer = h11.Connection(h11.SERVER)  # the other one may be in no state to answer
        head = writer.send(h11.Response(status_code=refused.why.status, headers=headers, reason=reason))
        with contextlib.suppress(Refused):  # nobody listens
            self.inner.send(_bytes(head) + body)


def _next(wire: Wire, connection: h11.Connection) -> object:
    """The next event, however many bytes it takes."""
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(wire.receive())
    return event


def _bytes(data: bytes | None) -> bytes:
    return data or b""


def _too_large(ask: Ask) -> Refused:
    return Refused(Why.ANSWER_SIZE, f"the answer of `{ask.grant.host}` is larger than {ask.grant.max_response} bytes")
