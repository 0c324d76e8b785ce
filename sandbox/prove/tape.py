"""What a desk notes of every query that a proof may rest on: its answer, what that rests on, and its text in a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from sandbox.prove.cores import Core
from sandbox.prove.obligations import Query
from sandbox.prove.record import AnswerName, Decided, Source
from sandbox.prove.script import script_of
from sandbox.prove.sources import Naming


@dataclass(slots=True)
class Tape:
    """Notes about one property. With a `folder`, each query becomes a file there, whose name begins with `prefix`."""

    naming: Naming
    folder: Path | None = None
    prefix: str = "query"
    decided: list[Decided] = field(default_factory=list)

    def note(self, query: Query, answer: AnswerName, core: Core | None) -> None:
        """Note a query, its answer, and the parts that a contradiction rests on."""
        sources = None if core is None else self._sources(query, core)
        self.decided.append(Decided(query.label, query.expected, answer, query.lemma, sources))
        if self.folder is not None:
            name = plain_name(f"{self.prefix}-{len(self.decided):03}-{query.label}")
            (self.folder / f"{name}.smt2").write_text(script_of(query), encoding="utf-8")

    def _sources(self, query: Query, core: Core) -> tuple[Source, ...] | None:
        try:
            return tuple(dict.fromkeys(self.naming.source(query.tool, part) for part in core))
        except Exception:  # noqa: BLE001 - what a proof rests on is told, and never in the way of a verdict
            return None


def plain_name(text: str) -> str:
    """The text as a file name: letters, digits, `-` and `_`."""
    return "".join(char if char.isascii() and (char.isalnum() or char in "-_") else "_" for char in text)
