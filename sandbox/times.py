"""Instants and lengths of time as text: RFC 3339 and Go's durations, to and from whole milliseconds.

Stricter than both: one spelling of `T` and `Z`, no leap second, nothing finer than a millisecond, no `-0s`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from typing import Final

from sandbox.ir import DURATION_RANGE, TIMESTAMP_RANGE

MAX_LENGTH: Final = 64
"""Characters of either text; the longest that says anything is shorter."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

_RFC3339: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,3}))?"
    r"(?:Z|([+-])([0-9]{2}):([0-9]{2}))"
)
_DURATION: Final = re.compile(r"([+-]?)((?:[0-9]+(?:\.[0-9]+)?(?:ns|us|µs|μs|ms|s|m|h))+)")
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|μs|ms|s|m|h)")
_UNIT_NS: Final = {
    "ns": 1,
    "us": 1_000,
    "\N{MICRO SIGN}s": 1_000,
    "\N{GREEK SMALL LETTER MU}s": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_NS_PER_MS: Final = 1_000_000


def parse_timestamp(text: str) -> int | None:
    """Unix milliseconds of an RFC 3339 instant with its offset; None for anything else."""
    found = _RFC3339.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    fraction = (found[7] or "").ljust(3, "0")
    try:
        offset = timedelta(hours=int(found[9] or 0), minutes=_below_sixty(found[10] or "0"))
        zone = timezone(-offset if found[8] == "-" else offset)
        instant = datetime(year, month, day, hour, minute, second, int(fraction) * 1000, zone)
    except ValueError:
        return None
    unix_ms = (instant - _EPOCH) // _MILLISECOND
    return unix_ms if TIMESTAMP_RANGE[0] <= unix_ms <= TIMESTAMP_RANGE[1] else None


def show_timestamp(unix_ms: int) -> str:
    """RFC 3339 in UTC with milliseconds: the canonical text."""
    return (_EPOCH + unix_ms * _MILLISECOND).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def parse_duration(text: str) -> int | None:
    """Milliseconds of a duration as Go writes it (`1h30m`, `-1.5s`); None for anything else.

    None, too, for what is no whole number of milliseconds, out of range, or a zero with a minus.
    """
    found = _DURATION.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if found is None:
        return None
    total = sum((Fraction(number) * _UNIT_NS[unit] for number, unit in _PART.findall(found[2])), Fraction(0))
    whole, rest = divmod(total, _NS_PER_MS)
    if rest or (found[1] == "-" and whole == 0):
        return None
    signed = -whole if found[1] == "-" else whole
    return signed if DURATION_RANGE[0] <= signed <= DURATION_RANGE[1] else None


def show_duration(milliseconds: int) -> str:
    """Seconds, with three digits behind the point where there are any: the canonical text."""
    sign = "-" if milliseconds < 0 else ""
    seconds, rest = divmod(abs(milliseconds), 1000)
    return f"{sign}{seconds}.{rest:03d}s" if rest else f"{sign}{seconds}s"


def _below_sixty(text: str) -> int:
    minutes = int(text)
    if minutes >= 60:  # noqa: PLR2004  # minutes in an hour
        raise ValueError(text)
    return minutes
