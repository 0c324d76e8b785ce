"""Headers of HTTP that are about one connection, which every hop writes anew (RFC 9110, section 7.6.1)."""

from __future__ import annotations

from typing import Final

FRAMING: Final = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "proxy-authenticate", "proxy-authorization"}
    | {"proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""In lower case. Never a credential's, never passed on."""
