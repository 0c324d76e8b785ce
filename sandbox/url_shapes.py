"""What the solver knows of the parts of a canonical URL: regular languages, and when a host is an address or private.

The twin of what `urls` computes. Exact for names and IPv4; of an IPv6 address nothing is said on whether it is
private, so that a proof holds either way.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Network
from typing import Final

import z3

from sandbox.regex import to_z3
from sandbox.urls import INNER_NAMES, INNER_V4

SHAPES: Final[Mapping[str, str]] = {
    "host": r"[a-z0-9_.-]+|[0-9a-f]*:[0-9a-f:]*",
    "path": r'/[!"$->@-\[\]-~]*',
    "query": r'[!"$-~]*',
}
"""Patterns of all parts that are text: visible ASCII, the host in lower case, no `?`, `#` and backslash in the path."""

_OCTET: Final = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
V4: Final = rf"{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}"
V6: Final = ".*:.*"
"""An IPv4 address as Python and `ada` write it; and an IPv6 one, the only hosts with a colon."""

_OCTET_BITS: Final = 8


def host_facts(host: z3.SeqRef, is_ip: z3.BoolRef, private: z3.BoolRef, ctx: z3.Context) -> tuple[z3.BoolRef, ...]:
    """What `is_ip` and `is_private` say of a host."""
    colon = z3.InRe(host, to_z3(V6, mode="full", ctx=ctx))
    address = z3.Or(colon, z3.InRe(host, to_z3(V4, mode="full", ctx=ctx)))
    return is_ip == address, z3.Or(colon, private == z3.InRe(host, inner_hosts(ctx)))


@lru_cache(maxsize=2)
def inner_hosts(ctx: z3.Context) -> z3.ReRef:
    """The names and IPv4 addresses that are private. Kept for the context: it is said of every URL of every query."""
    return z3.Union(inner_names(ctx), *(to_z3(_inside(network), mode="full", ctx=ctx) for network in INNER_V4))


def inner_names(ctx: z3.Context) -> z3.ReRef:
    """The names that are private: those without a dot, and those below a domain that is never public."""
    names = "|".join(name.replace(".", r"\.") for name in INNER_NAMES)
    return to_z3(rf"[^.:]*|[^:]*\.({names})", mode="full", ctx=ctx)


def _inside(network: IPv4Network) -> str:
    """The pattern of the addresses of a network, octet by octet."""
    first, last = network.network_address.packed, network.broadcast_address.packed
    return r"\.".join(_between(low, high) for low, high in zip(first, last, strict=True))


def _between(low: int, high: int) -> str:
    if (low, high) == (0, 2**_OCTET_BITS - 1):
        return _OCTET
    return f"({'|'.join(str(number) for number in range(low, high + 1))})"
