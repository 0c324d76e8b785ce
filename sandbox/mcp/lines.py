"""Lines out of a stream of bytes, none longer than a message may be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from sandbox.strict_json import MAX_MESSAGE_BYTES

TOO_LONG: Final = b"\0"
"""Stands for a line that was longer, of which nothing was kept; no JSON reader takes it for anything else."""


@dataclass(slots=True)
class Lines:
    """Takes bytes as they come and gives whole lines, without their ends."""

    limit: int = MAX_MESSAGE_BYTES
    _parts: list[bytes] = field(default_factory=list)
    _size: int = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that these bytes complete; blank ones are left out."""
        *whole, rest = data.split(b"\n")
        lines = []
        for end in whole:
            self._add(end)
            lines.append(TOO_LONG if self._size > self.limit else b"".join(self._parts))
            self._parts, self._size = [], 0
        self._add(rest)
        return [line for line in lines if line.strip(b" \t\r")]

    def _add(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self.limit:
            self._parts.clear()
        elif part:
            self._parts.append(part)
