"""What a desk notes of every query that a proof may rest on: its answer, what that rests on, and its text in a file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sandbox.prove.cores import Core, conjuncts
from sandbox.prove.findings import SolverChoice
from sandbox.prove.obligations import Query
from sandbox.prove.reading import read_anew
from sandbox.prove.record import AnswerName, Decided, FormName, Obligation, Source, phrase
from sandbox.prove.script import Told, script_of
from sandbox.prove.sources import Naming

READ_RLIMIT: Final = 8_000_000
"""For one form of a query, read anew from its text: seconds. What takes more is written too, and may stay open."""

READ_MS: Final = 60_000
"""At most, where those units take much longer than elsewhere: the form of a query is to be the same everywhere."""

_FORMS: Final[dict[AnswerName, tuple[FormName, ...]]] = {
    "unsat": ("whole", "positive", "core"),
    "sat": ("narrow", "whole", "positive"),
    "open": (),
}
"""In which forms a query is tried, until its text alone is decided as the query was."""


@dataclass(frozen=True, slots=True)
class Noted:
    """A query with its answer, the parts that a contradiction rests on, and the form in which cvc5 decided it."""

    query: Query
    answer: AnswerName
    core: Core | None
    form: FormName | None = None


@dataclass(slots=True)
class Tape:
    """Notes about one property. `choice` says who decides."""

    naming: Naming
    choice: SolverChoice = "z3"
    noted: list[Noted] = field(default_factory=list)

    def note(self, query: Query, answer: AnswerName, core: Core | None, form: FormName | None = None) -> None:
        """Note a query, its answer, the parts that a contradiction rests on, and the form in which cvc5 decided it."""
        self.noted.append(Noted(query, answer, core, form))

    def decided(self) -> Iterator[Decided]:
        """Every query's answer, and what it rests on in the author's words."""
        for each in self.noted:
            query, core = each.query, each.core
            sources = None if core is None else tuple(dict.fromkeys(self._source(query, part) for part in core))
            untold = sources is None or None in sources
            known = None if untold else (*(source for source in sources or () if source is not None), *_few(query))
            yield Decided(query.label, query.expected, each.answer, query.lemma, known)

    def written(self, folder: Path, prefix: str) -> tuple[Obligation, ...]:
        """Every query as a file in the folder, whose name begins with the prefix; what was asked twice, once."""
        files: dict[str, Obligation] = {}
        for each in self.noted:
            form, text = self._text(each)
            if text not in files:
                name = plain_name(f"{prefix}-{len(files) + 1:03}-{each.query.label}") + ".smt2"
                (folder / name).write_text(text, encoding="utf-8")
                files[text] = self._obligation(each, name, text, form)
        return tuple(files.values())

    def told(self, query: Query) -> Told:
        """What a comment says of the query's parts."""

        def words(part: object) -> str:
            source = self._source(query, part)
            return "" if source is None else phrase(source)

        return words

    def _text(self, noted: Noted) -> tuple[FormName, str]:
        """The first form that Z3 decides from its text alone as the query was, cvc5's own before any other.

        Where cvc5 is asked alone, its own form; else the whole query.
        """
        query, numbers, told = noted.query, _numbers(noted), self.told(noted.query)
        if self.choice == "cvc5" and noted.form is not None:
            return noted.form, script_of(query, noted.form, told=told)
        for form in dict.fromkeys((*([noted.form] if noted.form else []), *_FORMS[noted.answer])):
            if (form == "core" and not numbers) or (form == "narrow" and not query.narrow):
                continue
            text = script_of(query, form, numbers, told)
            if read_anew(text, READ_MS, READ_RLIMIT) == noted.answer:
                return form, text
        return "whole", script_of(query, told=told)

    def _obligation(self, noted: Noted, file: str, text: str, form: FormName) -> Obligation:
        query, digest = noted.query, hashlib.sha256(text.encode()).hexdigest()
        told = tuple(dict.fromkeys(filter(None, map(self.told(query), noted.core or ()))))
        return Obligation(file, digest, query.label, query.expected, noted.answer, form, _numbers(noted), told)

    def _source(self, query: Query, part: object) -> Source | None:
        try:
            return self.naming.source(query, part)
        except Exception:  # noqa: BLE001 - what a proof rests on is told, and never in the way of a verdict
            return None


def _few(query: Query) -> Iterator[Source]:
    """The elements that stand for whole lists."""
    for each in query.tracked:
        yield Source("elements", f"{query.tool}.{each.argument}", each.words)


def _numbers(noted: Noted) -> tuple[int, ...]:
    core = {part.get_id() for part in noted.core or ()}
    return tuple(number for number, part in enumerate(conjuncts(noted.query.terms)) if part.get_id() in core)


def plain_name(text: str) -> str:
    """The text as a file name: letters, digits, `-` and `_`."""
    return "".join(char if char.isascii() and (char.isalnum() or char in "-_") else "_" for char in text)
