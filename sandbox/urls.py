"""URLs as the WHATWG reads them, and only those whose canonical text every reader takes alike.

`ada` does the reading: IDNA, percent-encoding, dot segments, IP addresses in all their spellings. What it accepts and
people or other programs could read differently is refused: user info, a missing slash, a host that is no host name,
port 0 (to some the default one), a path that means another one to a server which decodes once more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from unicodedata import normalize
from urllib.parse import unquote

from sandbox.call import Rejected

if TYPE_CHECKING:
    from sandbox.call import Value

MAX_URL: Final = 4_096
"""Characters of a URL, as written and canonically: more than servers take, and rules look at every one."""

MAX_HOST: Final = 253
"""Characters of a host name: what the DNS can ask for."""

MAX_DECODINGS: Final = 4
"""Times that a path is decoded until nothing changes any more; an honest one needs two."""

DEFAULT_PORTS: Final[Mapping[str, int]] = MappingProxyType({"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21})
"""The schemes that a spec may name, whose hosts are names or addresses, with their ports."""

_OUTLINE: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://[^/?#@]+(?:[/?][^#]*)?")
_UNSEEN: Final = re.compile("[\\s\\\\\x00-\x20\x7f-\x9f\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff]")
_NAME: Final = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")

INNER_NAMES: Final = ("localhost", "local", "internal", "home.arpa")
"""Domains that are never of the public internet (RFC 6761, 6762, 8375; ICANN for `internal`)."""

INNER_V4: Final = tuple(
    IPv4Network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
)
"""Every special-purpose block (IANA's registry, RFC 6890), multicast, and what is reserved."""

_PUBLIC_V6: Final = IPv6Network("2000::/3")
"""All that is assigned for the public internet, but for:"""

_INNER_V6: Final = tuple(IPv6Network(network) for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))
"""Special-purpose blocks (Teredo is among them), documentation, 6to4."""


def parse_url(text: str, schemes: tuple[str, ...]) -> Mapping[str, Value] | Rejected:
    """The parts of an absolute URL of one of `schemes`; `show_url` gives its canonical text."""
    if len(text) > MAX_URL:
        return _refused(f"a URL of at most {MAX_URL} characters")
    if _UNSEEN.search(text):
        return _refused("a URL without white space, control characters and backslashes")
    outline = _OUTLINE.fullmatch(text)
    if outline is None:
        return _refused("an absolute URL, scheme://host/..., without user info and fragment")
    if outline[1].lower() not in schemes:
        return _refused(f"a URL of scheme {' or '.join(schemes)}")
    parts = _read(text)
    if parts is None or _read(show_url(parts)) != parts or len(show_url(parts)) > MAX_URL:
        return _refused("a well-formed URL with a host name or address, and no port 0,")
    if hides_dots(str(parts["path"])):
        return _refused(
            "a URL without `.` and `..` in an encoding, or behind an encoded slash, of its path, which is UTF-8,"
        )
    return MappingProxyType(parts)


def show_url(parts: Mapping[str, Value]) -> str:
    """The canonical text: the default port and an empty query are left out."""
    host = f"[{parts['host']}]" if ":" in str(parts["host"]) else parts["host"]
    port = "" if parts["port"] == DEFAULT_PORTS.get(str(parts["scheme"])) else f":{parts['port']}"
    query = f"?{parts['query']}" if parts["query"] else ""
    return f"{parts['scheme']}://{host}{port}{parts['path']}{query}"


def is_private(host: str) -> bool:
    """Whether a canonical host is not plainly one of the public internet.

    An address is public outside of every special-purpose block; one that carries another (mapped, translated, 6to4,
    Teredo) never is. A name is public if it has a dot and does not end in a domain that is never public: where it
    leads is not looked up.
    """
    match _address(host):
        case IPv4Address() as address:
            return any(address in network for network in INNER_V4)
        case IPv6Address() as address:
            return address not in _PUBLIC_V6 or any(address in network for network in _INNER_V6)
        case None:
            return "." not in host or any(host.endswith(f".{name}") for name in INNER_NAMES)


def hides_dots(path: str) -> bool:
    """Whether, to a server that decodes the path (again), or laxly, a segment of it is `.` or `..`.

    Lax are those that take a dot or a slash which is encoded in more bytes than it has, or one that only looks like it.
    """
    for _ in range(MAX_DECODINGS):
        try:
            decoded = unquote(path, errors="strict")
        except UnicodeDecodeError:
            return True
        segments = re.split(r"[/\\]", normalize("NFKC", decoded))
        if any(segment.partition(";")[0] in {".", ".."} for segment in segments):
            return True
        if decoded == path:
            return False
        path = decoded
    return True


def _read(text: str) -> dict[str, Value] | None:
    from ada_url import URL  # noqa: PLC0415  # a native library that only specs with URLs need

    try:
        url = URL(text)
    except ValueError:
        return None
    scheme, host = url.protocol.removesuffix(":"), url.hostname.removeprefix("[").removesuffix("]")
    address = _address(host)
    named = len(host) <= MAX_HOST and _NAME.fullmatch(host)
    if not (address or named) or scheme not in DEFAULT_PORTS or url.username or url.password or url.hash:
        return None
    port = int(url.port or DEFAULT_PORTS[scheme])
    return (
        None
        if port == 0
        else {
            "scheme": scheme,
            "host": host,
            "port": port,
            "path": url.pathname or "/",
            "query": url.search.removeprefix("?"),
            "is_ip": address is not None,
            "is_private": is_private(host),
        }
    )


def _address(host: str) -> IPv4Address | IPv6Address | None:
    if ":" not in host and host.strip("0123456789."):
        return None
    try:
        return ip_address(host)
    except ValueError:
        return None


def _refused(accepted: str) -> Rejected:
    return Rejected("parse.url", f"this is not accepted; {accepted} is")
