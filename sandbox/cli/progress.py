"""How far a long run has come: one line on a terminal, gone when it ends; nothing where nobody looks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Self, TextIO

from sandbox.cli.output import show
from sandbox.ir import Property
from sandbox.prove.report import PropertyReport
from sandbox.prove.run import Watch

if TYPE_CHECKING:
    from types import TracebackType

CLEAR: Final = "\r\x1b[2K"
"""To the beginning of the line, and nothing left on it."""

MAX_WIDTH: Final = 78
"""Columns: a line that is wrapped could not be taken back."""


class Progress:
    """Tells of properties as they are begun and decided; safe to be told from several threads."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown = stream.isatty()
        self._lock = threading.Lock()
        self._running: list[str] = []
        self._decided = 0
        self._count = 0
        self.watch = Watch(self._begin, self._decide)

    def _begin(self, subject: Property, count: int) -> None:
        with self._lock:
            self._count = count
            self._running.append(subject.id)
            self._tell()

    def _decide(self, report: PropertyReport) -> None:
        with self._lock:
            self._decided += 1
            if report.subject.id in self._running:
                self._running.remove(report.subject.id)
            self._tell()

    def _tell(self) -> None:
        if self._shown:
            line = show(f"proving: {self._decided} of {self._count} decided; {', '.join(self._running)}")
            self._stream.write(f"{CLEAR}{line[:MAX_WIDTH]}")
            self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            self._stream.write(CLEAR)
            self._stream.flush()
