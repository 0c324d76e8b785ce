"""URLs as the WHATWG reads them, and only those that every reader takes alike.

`ada` does the reading: IDNA, percent-encoding, dot segments, IP addresses in all their spellings. What it accepts and
people or other programs could read differently (user info, a missing slash, a last dot of the host) is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from sandbox.call import Rejected

if TYPE_CHECKING:
    from sandbox.call import Value

MAX_URL: Final = 4_096
"""Characters of a URL, as written and canonically: more than servers take, and rules look at every one."""

DEFAULT_PORTS: Final[Mapping[str, int]] = MappingProxyType({"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21})
"""The schemes that a spec may name, whose hosts are names or addresses, with their ports."""

_OUTLINE: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://[^/?#@]+(?:[/?][^#]*)?")
_UNSEEN: Final = re.compile("[\\s\\\\\x00-\x20\x7f-\x9f\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff]")
_TRANSLATED: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))


def parse_url(text: str, schemes: tuple[str, ...]) -> Mapping[str, Value] | Rejected:
    """The parts of an absolute URL of one of `schemes`; `show_url` gives its canonical text."""
    if len(text) > MAX_URL:
        return _refused(f"at most {MAX_URL:,} characters")
    if _UNSEEN.search(text):
        return _refused("a URL without white space, control characters and backslashes")
    outline = _OUTLINE.fullmatch(text)
    if outline is None:
        return _refused("an absolute URL, scheme://host/..., without user info and fragment")
    if outline[1].lower() not in schemes:
        return _refused(f"a URL of scheme {' or '.join(schemes)}")
    parts = _read(text)
    if parts is None or _read(show_url(parts)) != parts or len(show_url(parts)) > MAX_URL:
        return _refused("a well-formed URL with a host name or address")
    return MappingProxyType(parts)


def show_url(parts: Mapping[str, Value]) -> str:
    """The canonical text: the default port and an empty query are left out."""
    host = f"[{parts['host']}]" if ":" in str(parts["host"]) else parts["host"]
    port = "" if parts["port"] == DEFAULT_PORTS.get(str(parts["scheme"])) else f":{parts['port']}"
    query = f"?{parts['query']}" if parts["query"] else ""
    return f"{parts['scheme']}://{host}{port}{parts['path']}{query}"


def _read(text: str) -> dict[str, Value] | None:
    from ada_url import URL  # noqa: PLC0415  # a native library that only specs with URLs need

    try:
        url = URL(text)
    except ValueError:
        return None
    scheme, host = url.protocol.removesuffix(":"), url.hostname.removeprefix("[").removesuffix("]")
    unclear = not host or host.startswith(".") or host.endswith(".") or ".." in host
    if unclear or scheme not in DEFAULT_PORTS or url.username or url.password or url.hash:
        return None
    address = _address(host)
    return {
        "scheme": scheme,
        "host": host,
        "port": int(url.port) if url.port else DEFAULT_PORTS[scheme],
        "path": url.pathname or "/",
        "query": url.search.removeprefix("?"),
        "is_ip": address is not None,
        "is_private": address is not None and not is_public(address),
    }


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address, and every address that is written inside of it, is one of the public internet."""
    if isinstance(address, IPv6Address):
        inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if any(address in network for network in _TRANSLATED) or int(address) >> 32 == 0:
            inner.append(IPv4Address(int(address) & 0xFFFF_FFFF))
        if not all(is_public(each) for each in inner if each is not None):
            return False
        if address.ipv4_mapped is not None:
            return True
    return address.is_global and not address.is_multicast


def _refused(accepted: str) -> Rejected:
    return Rejected("parse.url", f"this is not accepted; {accepted} is")
