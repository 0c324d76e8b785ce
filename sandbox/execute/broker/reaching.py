"""From a granted host to a connection: resolved here, each address checked, that one connected to, TLS verified."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, TypeAlias

from sandbox.execute.broker.refused import Refused, Why
from sandbox.execute.broker.wire import Wire
from sandbox.ir import NetworkGrant
from sandbox.urls import is_private

CONNECT_S: Final = 10.0
"""For a connection to one address, and again for TLS on it."""

MAX_ADDRESSES: Final = 4
"""Of one name that are tried, in the resolver's order."""

Resolve: TypeAlias = Callable[[str, int], Sequence[str]]
"""A name and a port to the text of every address."""


def resolve_by_system(host: str, port: int) -> Sequence[str]:
    """As the host's own resolver says; OSError where it says nothing."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def pin(grant: NetworkGrant, resolve: Resolve) -> tuple[str, ...]:
    """The addresses that this request may be sent to; the name is not looked up again.

    One address that may not be reached refuses them all: a name that leads to both kinds is not to be trusted.

    Raises:
        Refused: the name leads nowhere, or to an address that the grant does not cover.
    """
    if (literal := _address(grant.host)) is not None:
        return (str(literal),)  # the spec names it
    try:
        found = resolve(grant.host, grant.port)
    except (OSError, UnicodeError) as error:
        raise Refused(Why.NAME, f"`{grant.host}` cannot be resolved") from error
    if not found:
        raise Refused(Why.NAME, f"`{grant.host}` has no address")
    for text in found:
        address = _address(text)
        if address is None or not _is_covered(address, grant):
            where = "outside of the granted `addresses`" if grant.addresses else "none of the public internet"
            raise Refused(Why.ADDRESS, f"`{grant.host}` leads to `{text[:64]}`, which is {where}")
    return tuple(found[:MAX_ADDRESSES])


def reach(grant: NetworkGrant, addresses: Sequence[str], context: ssl.SSLContext) -> Wire:
    """A connection to the first of these addresses that takes one, with TLS where the grant says so.

    Raises:
        Refused: none does, or its certificate is not that of the host.
    """
    connection = _connect(grant, addresses)
    if not grant.tls:
        return Wire(connection, f"`{grant.host}`")
    try:
        connection.settimeout(CONNECT_S)
        secured = context.wrap_socket(connection, server_hostname=grant.host, suppress_ragged_eofs=False)
    except (ssl.SSLError, ssl.CertificateError, OSError, ValueError) as error:
        connection.close()
        what = getattr(error, "verify_message", "") or getattr(error, "reason", "") or type(error).__name__
        raise Refused(Why.TLS, f"no TLS with `{grant.host}:{grant.port}`: {what}") from error
    return Wire(secured, f"`{grant.host}`")


def client_context() -> ssl.SSLContext:
    """TLS 1.2 or later, certificates and names verified against the system's authorities."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _connect(grant: NetworkGrant, addresses: Sequence[str]) -> socket.socket:
    error: OSError | None = None
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
            connection.settimeout(CONNECT_S)
            try:
                connection.connect((address, grant.port))
            except OSError as failure:
                error = failure
                continue
            stack.pop_all()
            return connection
    what = "did not answer in time" if isinstance(error, TimeoutError) else "took no connection"
    why = Why.LATE if isinstance(error, TimeoutError) else Why.UNREACHABLE
    raise Refused(why, f"`{grant.host}:{grant.port}` {what}") from error


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _is_covered(address: IPv4Address | IPv6Address, grant: NetworkGrant) -> bool:
    if grant.addresses:
        return any(address in ip_network(block) for block in grant.addresses)
    return not is_private(str(address))
