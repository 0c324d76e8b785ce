"""A request as the broker takes it from a container: one strict reading, after which there is no other.

h11 reads; what it forgives is refused before: bare line feeds, folded lines, NUL and other control characters,
bytes outside of ASCII, more than one length, a length beside chunks, HTTP/1.0.
"""

from __future__ import annotations

import re
import time
from typing import Final

import h11

from sandbox.execute.broker.refused import Refused, Why
from sandbox.execute.broker.wire import Wire

MAX_HEAD: Final = 32 * 1024
"""Bytes of a request's line and headers; what servers take at most."""

MAX_HEADERS: Final = 100
"""Headers of a request."""

HEAD_S: Final = 10.0
"""For a whole head; a container that trickles it is not waited for."""

_LINE: Final = re.compile(rb"[\x21-\x7e][\t\x20-\x7e]*")
_BARE: Final = re.compile(rb"\A(?:[^\r\n]|\r\n(?!\r\n))*(?:(?<!\r)\n|\r[^\n])")
"""A line feed or a carriage return alone, in a head that may not be whole yet."""

_END: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"0|[1-9][0-9]{0,15}")


def read_head(wire: Wire) -> tuple[h11.Request, h11.Connection]:
    """The head of the one request of a connection, and the reader that its body comes from.

    Raises:
        Refused: it is not exactly as HTTP/1.1 has it, too long, or too slow.
    """
    data = _bytes_of_head(wire, time.monotonic() + HEAD_S)
    head, rest = data[: data.index(_END)], data[data.index(_END) + len(_END) :]
    check_lines(head.split(b"\r\n"))
    reader = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
    try:
        reader.receive_data(head + _END)
        request = reader.next_event()
        reader.receive_data(rest) if rest else None
    except h11.RemoteProtocolError as error:
        raise Refused(Why.MALFORMED, str(error)) from error
    if not isinstance(request, h11.Request):
        raise Refused(Why.MALFORMED, "this is no request of HTTP/1.1")
    if request.http_version != b"1.1" and request.method != b"CONNECT":  # which is refused with another reason
        raise Refused(Why.MALFORMED, "this is no request of HTTP/1.1")
    return request, reader


def check_lines(lines: list[bytes]) -> None:
    """Returns if h11 and every other reader take these lines of a head alike; raises Refused."""
    for line in lines:
        if not _LINE.fullmatch(line):
            raise Refused(Why.MALFORMED, "a line of the head is empty, folded, or has characters that a head never has")
    headers = [line.partition(b":") for line in lines[1:]]
    if len(headers) > MAX_HEADERS:
        raise Refused(Why.MALFORMED, f"there are more than {MAX_HEADERS} headers")
    framing = [(name.lower(), value.strip()) for name, _, value in headers]
    lengths = [value for name, value in framing if name == b"content-length"]
    codings = [value for name, value in framing if name == b"transfer-encoding"]
    if len(lengths) + len(codings) > 1:
        raise Refused(Why.MALFORMED, "the request's length is said more than once")
    if any(not _LENGTH.fullmatch(length) for length in lengths):
        raise Refused(Why.MALFORMED, "the request's length is no number")
    if any(coding.lower() != b"chunked" for coding in codings):
        raise Refused(Why.MALFORMED, "the transfer coding is other than chunked")


def _bytes_of_head(wire: Wire, deadline: float) -> bytes:
    data = bytearray()
    while _END not in data:
        part = wire.receive(deadline)
        if not part:
            raise Refused(Why.MALFORMED, "the connection ended in the middle of the head")
        data += part
        if _BARE.search(data):
            raise Refused(Why.MALFORMED, "a line of the head ends in something else than CR LF")
        if len(data) > MAX_HEAD and _END not in data[:MAX_HEAD]:
            raise Refused(Why.MALFORMED, f"the request's head is larger than {MAX_HEAD} bytes")
    return bytes(data)
