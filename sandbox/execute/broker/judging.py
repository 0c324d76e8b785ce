"""Whether a request is granted, and what of it is passed on. Pure: what is judged is what is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import h11

from sandbox.call import Rejected, Value
from sandbox.execute.broker.refused import Refused, Why
from sandbox.framing import FRAMING
from sandbox.ir import NetworkGrant
from sandbox.urls import DEFAULT_PORTS, parse_url

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """A granted request. `target` is its canonical path and query, `length` that of its body: None for chunks."""

    grant: NetworkGrant
    method: str
    path: str
    query: str
    headers: Headers
    length: int | None

    @property
    def target(self) -> str:
        """What stands in the request line that is sent."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def authority(self) -> str:
        """What stands in the `Host` that is sent."""
        host = f"[{self.grant.host}]" if ":" in self.grant.host else self.grant.host
        default = DEFAULT_PORTS["https" if self.grant.tls else "http"]
        return host if self.grant.port == default else f"{host}:{self.grant.port}"


def read_url(request: h11.Request) -> Mapping[str, Value]:
    """Where the request wants to go: the parts of its absolute URL, which its `Host` must repeat.

    Raises:
        Refused: there is no such URL, or the two differ.
    """
    target = request.target.decode("ascii")
    url = parse_url(f"https://{target}/" if request.method == b"CONNECT" else target, ("http", "https"))
    if isinstance(url, Rejected):
        reason = f"the request must name an absolute URL, as proxies are asked: {url.reason}"
        raise Refused(Why.MALFORMED, reason)
    if request.method == b"CONNECT":
        return url  # of which nothing is sent
    hosts = [value.decode("ascii") for name, value in request.headers if name == b"host"]
    said = parse_url(f"{url['scheme']}://{hosts[0]}/", ("http", "https")) if len(hosts) == 1 else None
    if said is None or isinstance(said, Rejected) or any(said[part] != url[part] for part in ("host", "port")):
        raise Refused(Why.MALFORMED, "the request's `Host` is not the host of its URL")
    return url


def judge(request: h11.Request, url: Mapping[str, Value], grants: Sequence[NetworkGrant]) -> Ask:
    """What of this request may be sent, and where.

    Raises:
        Refused: host and port, or the method, are not granted, or its body is too large.
    """
    method = request.method.decode("ascii")
    if method == "CONNECT":
        reason = "CONNECT is not passed on, for nobody could check what it carries: ask for http://HOST:443/... instead"
        raise Refused(Why.METHOD, reason)
    grant = _grant(url, grants)
    if method not in grant.methods:
        reason = f"`{method}` is not granted for `{grant.host}:{grant.port}`, only {', '.join(grant.methods)}"
        raise Refused(Why.METHOD, reason)
    length = _length(request)
    if length is not None and length > grant.max_request:
        raise Refused(Why.REQUEST_SIZE, f"the request's body is larger than {grant.max_request} bytes")
    return Ask(grant, method, str(url["path"]), str(url["query"]), _passed_on(request, grant), length)


def _grant(url: Mapping[str, Value], grants: Sequence[NetworkGrant]) -> NetworkGrant:
    for grant in grants:
        if (grant.host, grant.port) == (url["host"], url["port"]):
            if url["scheme"] == "https" and not grant.tls:
                reason = f"`{grant.host}:{grant.port}` is granted without TLS: ask for it as http://"
                raise Refused(Why.NOT_GRANTED, reason)
            return grant
    reason = f"`{url['host']}:{url['port']}` is not granted: add it to `network` of the tool's `run`"
    raise Refused(Why.NOT_GRANTED, reason)


def _length(request: h11.Request) -> int | None:
    headers = dict(request.headers)
    if b"transfer-encoding" in headers:
        return None
    return int(headers.get(b"content-length", b"0"))


def _passed_on(request: h11.Request, grant: NetworkGrant) -> Headers:
    """The headers without those that belong to the connection, or to the broker."""
    own = {name.encode() for name in FRAMING}
    for name, value in request.headers:
        if name == b"connection":
            own |= {word.strip().lower() for word in value.split(b",")}
    if grant.credential is not None:
        secret = grant.credential.header.encode()
        if any(name == secret for name, _ in request.headers):
            reason = f"`{grant.credential.header}` is added by the broker; leave it out"
            raise Refused(Why.MALFORMED, reason)
        own.add(b"accept-encoding")  # so that an answer can be searched for the secret
    return tuple((name, value) for name, value in request.headers if name not in own)
