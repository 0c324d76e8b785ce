"""URIs of resources that every reader takes alike: absolute, in ASCII, and with nothing in an encoding that means more.

A rule sees the text; a server takes it apart, decodes it, and may look a file up with it. So what a path means may not
depend on who reads it: no dot segments, empty ones or backslashes, also not percent-encoded, and nothing encoded that
could as well stand there as it is. A URI of the web's schemes is the canonical text that a `url` has.
"""

from __future__ import annotations

import re
from typing import Final

from sandbox.call import Rejected
from sandbox.urls import DEFAULT_PORTS, hides_dots, parse_url, show_url

MAX_URI: Final = 2_048
"""Characters of a resource's URI: what software that handles addresses takes at the least."""

_URI: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*):(?P<authority>//[^/?]*)?(?P<path>[^?]*)(?:\?.*)?")
_CHARACTERS: Final = re.compile(r"(?:[A-Za-z0-9._~:/?@!$&'()*+,;=-]|%[0-9A-F]{2})*")
_ENCODED: Final = re.compile(r"%([0-9A-F]{2})")
_DELETE: Final = 0x7F  # the last of ASCII
_MEANS_MORE: Final = frozenset(b"/\\%.;?#")


def is_one_reading(text: str) -> bool:
    """Whether the text is an absolute URI in its normal form, without user info and fragment."""
    found = _URI.fullmatch(text) if len(text) <= MAX_URI and _CHARACTERS.fullmatch(text) else None
    if found is None or not (found["authority"] or found["path"]):
        return False
    scheme, authority, path = found["scheme"], found["authority"] or "", found["path"]
    if "@" in authority or authority.endswith(":"):
        return False
    if scheme == "file" and authority != "//":
        return False  # `file:/a` and `file://localhost/a` are other texts for `file:///a`
    if scheme in DEFAULT_PORTS and not _is_canonical(text, scheme):
        return False
    encoded = (int(pair, 16) for pair in _ENCODED.findall(text))
    named = authority.removeprefix("//")  # to a server that cuts off `notes://`, the first segment
    return all(map(_has_to_be_encoded, encoded)) and _is_plain_path(path) and not hides_dots(named + path)


def _is_canonical(text: str, scheme: str) -> bool:
    parts = parse_url(text, (scheme,))
    return not isinstance(parts, Rejected) and show_url(parts) == text


def _is_plain_path(path: str) -> bool:
    """Whether no segment is empty, but perhaps the last."""
    first, *others = path.split("/")
    segments = (first, *others[:-1], *(last for last in others[-1:] if last))
    rest = segments if first else segments[1:]
    return all(segment.partition(";")[0] for segment in rest)


def _has_to_be_encoded(byte: int) -> bool:
    """Not a control, nothing that a URI may hold as it is, and nothing that means more once it is decoded."""
    if byte < ord(" ") or byte == _DELETE or byte in _MEANS_MORE:
        return False
    return byte > _DELETE or _CHARACTERS.fullmatch(chr(byte)) is None
