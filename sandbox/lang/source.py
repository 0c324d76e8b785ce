"""Source text that knows where it stands, so that every refusal can name its file, line and column.

A `SourceFile` is a whole file; a `SourceText` is a piece of text that was read from it (an expression, a
pattern), with the place in the file of each of its characters, however the YAML around it was quoted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sandbox.errors import Place, Problem, PropertyError, SpecError

SHOWN: Final = 60
"""Characters of the author's text that a message repeats: one line stays one line."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file's name, as the user gave it, and its text."""

    name: str
    text: str

    def place(self, offset: int) -> Place:
        """Line and column of the character at `offset` (the end of the text is a place too)."""
        start = self.text.rfind("\n", 0, offset) + 1
        return Place(self.name, self.text.count("\n", 0, offset) + 1, offset - start + 1)

    def problem(self, offset: int, message: str) -> Problem:
        """What is wrong at `offset`, with the line it stands on."""
        start = self.text.rfind("\n", 0, offset) + 1
        end = self.text.find("\n", start)
        line = self.text[start:] if end < 0 else self.text[start:end]
        printable = "".join(char if char.isprintable() else " " for char in line.rstrip("\r"))
        return Problem(self.place(offset), message, printable)


@dataclass(frozen=True, slots=True)
class SourceText:
    """Text that was read from `file`; `offsets[i]` is where character i stands in it (one more for the end)."""

    text: str
    file: SourceFile
    offsets: Sequence[int]

    @classmethod
    def of(cls, text: str, name: str = "<expression>") -> SourceText:
        """A text that is a file of its own."""
        return cls(text, SourceFile(name, text), range(len(text) + 1))

    def place(self, offset: int = 0) -> Place:
        """Where character `offset` stands in the file."""
        return self.file.place(self.offsets[min(offset, len(self.text))])

    def problem(self, offset: int, message: str) -> Problem:
        """What is wrong at character `offset`."""
        return self.file.problem(self.offsets[min(offset, len(self.text))], message)


class Refused(Exception):
    """A piece of source text is refused; `offset` counts in the text at hand, not in its file."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset
        self.message = message


MAX_PROBLEMS: Final = 100
"""Problems of one file that are kept: nobody reads more at once, and each takes its time to write."""


class Problems:
    """Collects what is wrong in a file, so that its author sees all of it at once."""

    def __init__(self, error: type[SpecError | PropertyError]) -> None:
        self.error = error
        self._found: set[Problem] = set()

    def add(self, problem: Problem) -> None:
        """Notes one problem; the same one twice counts once, and what comes after `MAX_PROBLEMS` not at all."""
        if len(self._found) < MAX_PROBLEMS:
            self._found.add(problem)

    def take(self, others: Problems) -> None:
        """Notes what others have noted."""
        for problem in sorted(others._found, key=lambda problem: (problem.place, problem.message)):
            self.add(problem)

    def __bool__(self) -> bool:
        return bool(self._found)

    def raise_if_any(self) -> None:
        """Raises the file's error, its problems in the order of their places."""
        if self._found:
            ordered = sorted(self._found, key=lambda problem: (problem.place, problem.message))
            raise self.error(tuple(ordered))


def shown(text: str) -> str:
    """The author's text as a message shows it: printable, on one line, of limited length, in backticks."""
    visible = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text[: SHOWN + 1])
    return f"`{visible[:SHOWN]}…`" if len(visible) > SHOWN else f"`{visible}`"
