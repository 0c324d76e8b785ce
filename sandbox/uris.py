"""URIs of resources that every reader takes alike: absolute, in ASCII, and with nothing in an encoding that means more.

A rule sees the text; a server takes it apart, decodes it, and may look a file up with it. So what a path means may not
depend on who reads it: no dot segments, empty ones or backslashes, also not percent-encoded, and nothing encoded that
could as well stand there as it is.
"""

from __future__ import annotations

import re
from typing import Final

MAX_URI: Final = 2_048
"""Characters of a resource's URI: what software that handles addresses takes at the least."""

_URI: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*):(?P<authority>//[^/?]*)?(?P<path>[^?]*)(?:\?.*)?")
_CHARACTERS: Final = re.compile(r"(?:[A-Za-z0-9._~:/?@!$&'()*+,;=-]|%[0-9A-F]{2})*")
_ENCODED: Final = re.compile(r"%([0-9A-F]{2})")
_MEANS_MORE: Final = frozenset(b"/\\%.;?#")


def is_one_reading(text: str) -> bool:
    """Whether the text is an absolute URI in its normal form, without user info and fragment."""
    found = _URI.fullmatch(text) if len(text) <= MAX_URI and _CHARACTERS.fullmatch(text) else None
    if found is None or "@" in (found["authority"] or "") or not (found["authority"] or found["path"]):
        return False
    if found["scheme"] == "file" and found["authority"] != "//":
        return False  # `file:/a` and `file://localhost/a` are other texts for `file:///a`
    encoded = (int(pair, 16) for pair in _ENCODED.findall(text))
    named = (found["authority"] or "").removeprefix("//")  # to a server that cuts off `notes://`, the first segment
    return all(map(_has_to_be_encoded, encoded)) and _is_plain_path(found["path"]) and not _is_dots(named)


def _is_plain_path(path: str) -> bool:
    """Whether no segment is empty, `.` or `..` (with parameters, to some); the last one may be empty."""
    first, *others = path.split("/")
    segments = (first, *others[:-1], *(last for last in others[-1:] if last))
    rest = segments if first else segments[1:]
    return all(segment.partition(";")[0] and not _is_dots(segment) for segment in rest)


def _is_dots(segment: str) -> bool:
    return segment.partition(";")[0] in {".", ".."}


def _has_to_be_encoded(byte: int) -> bool:
    """Not a control, nothing that a URI may hold as it is, and nothing that means more once it is decoded."""
    if byte < ord(" ") or byte == 0x7F or byte in _MEANS_MORE:  # noqa: PLR2004  # DEL
        return False
    return _CHARACTERS.fullmatch(chr(byte)) is None if byte < 0x80 else True  # noqa: PLR2004  # ASCII
