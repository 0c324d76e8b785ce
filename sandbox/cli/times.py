"""Instants and durations on the command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

import click

_INSTANT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)
_UNITS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION: Final = re.compile(r"(?:[0-9]{1,12}(?:ms|s|m|h|d))+", re.ASCII)
_PART: Final = re.compile(r"([0-9]+)(ms|s|m|h|d)", re.ASCII)


class Instant(click.ParamType[int]):
    """RFC 3339 with an offset, as Unix milliseconds."""

    name = "RFC3339"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Unix milliseconds, or a usage error."""
        if isinstance(value, int):
            return value
        try:
            moment = datetime.fromisoformat(str(value).upper()) if _INSTANT.fullmatch(str(value)) else None
        except ValueError:
            moment = None
        if moment is None:
            self.fail(f"`{value}` is no RFC 3339 instant with an offset, as in 2026-01-31T09:30:00Z", param, ctx)
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
        return (since.days * 86_400 + since.seconds) * 1_000 + since.microseconds // 1_000


class Duration(click.ParamType[int]):
    """A duration such as `10s` or `1h30m`, as milliseconds."""

    name = "DURATION"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Milliseconds, or a usage error."""
        if isinstance(value, int):
            return value
        if not _DURATION.fullmatch(str(value)):
            self.fail(f"`{value}` is no duration, as in 500ms, 10s, 1h30m, 7d", param, ctx)
        return sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(str(value)))
