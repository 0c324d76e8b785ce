"""An attempt over again, from files: a query is what it is in its file, and its answer what a solver says of that text.

Nothing is searched for. The attempt asks for every query that its proof needs, made anew from the spec; a query counts
only if a file has the very text of it, in a form that says enough. What no file has stays open, and proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from sandbox.prove.cores import conjuncts
from sandbox.prove.obligations import Query
from sandbox.prove.reading import read_anew
from sandbox.prove.record import AnswerName, Doubt, DoubtKind, Obligation
from sandbox.prove.script import script_of
from sandbox.prove.second import second_opinion
from sandbox.prove.solve import Answer, Desk, Open, Sat, Search, Unsat
from sandbox.prove.tape import Tape

NOT_HERE = Open("no file of the certificate has this obligation")


@dataclass(slots=True)
class Files:
    """The files of one property: what is claimed of them, and what became of each."""

    folder: Path
    known: tuple[Obligation, ...]
    used: set[str] = field(default_factory=set)
    failed: dict[str, DoubtKind] = field(default_factory=dict)

    def text(self, each: Obligation) -> str:
        """A file's text."""
        return (self.folder / each.file).read_text(encoding="utf-8")

    def counted(self) -> tuple[Obligation, ...]:
        """Those that an attempt asked for, and that were answered as is claimed."""
        return tuple(each for each in self.known if each.file in self.used and each.file not in self.failed)

    def doubts(self) -> tuple[Doubt, ...]:
        """Why the others did not count."""
        left = (each.file for each in self.known if each.file not in self.used)
        return (
            *(Doubt(file, kind) for file, kind in sorted(self.failed.items())),
            *(Doubt(f, "foreign") for f in left),
        )


@dataclass(slots=True, kw_only=True)
class Counter(Desk):
    """A desk that answers from files. Its `choice` says which solvers read them."""

    files: Files
    tape: Tape

    def prove(self, query: Query) -> Answer:
        """The answer to the file that has this query; open if none has, or if it does not say what is claimed."""
        known = [each for each in self.files.known if each.label == query.label]
        few = query.fewer() if known else None
        for asked in (query,) if few is None else (few, query):
            for each in known:
                if self._is(each, asked):
                    self.files.used.add(each.file)
                    return self._answer(each, asked)
        self.files.failed.setdefault(query.label, "missing")
        return NOT_HERE

    def search(self, query: Query) -> Search:
        """Nothing: what was found by a search is replayed, and the attempt has failed that searches for more."""
        _ = query
        self.deadline = 0.0
        return NOT_HERE

    def glance(self, query: Query) -> Search:
        """Nothing, likewise."""
        _ = query
        return NOT_HERE

    def _is(self, each: Obligation, query: Query) -> bool:
        return script_of(query, each.form, each.core, self.tape.told(query)) == self.files.text(each)

    def _answer(self, each: Obligation, query: Query) -> Answer:
        if each.answer == "open":
            self._note(each, query)
            return Open("it was not decided")
        said = self._said(self.files.text(each))
        if said == "open":
            self.files.failed[each.file] = "undecided"
            return Open("its file is not decided")
        says_enough = each.form not in ({"narrow"} if said == "unsat" else {"core"})
        says_enough = says_enough and (said == "unsat" or not query.tracked)  # few elements are no whole list
        if said != each.answer or not says_enough:
            self.files.failed[each.file] = "wrong"
            return Open("its file does not say what is claimed")
        self._note(each, query)
        return Unsat() if said == "unsat" else Sat()

    def _note(self, each: Obligation, query: Query) -> None:
        parts = dict(enumerate(conjuncts(query.terms)))
        core = tuple(parts[number] for number in each.core if number in parts)
        self.tape.note(query, each.answer, core if each.answer == "unsat" and core else None)

    def _said(self, text: str) -> AnswerName:
        """What the chosen solvers answer to a text; two definite answers that differ are none."""
        time_ms = max(1, int(self.left() * 1000))
        answers = {
            *({read_anew(text, time_ms)} if self.choice != "cvc5" else ()),
            *({second_opinion(text, time_ms)} if self.choice != "z3" else ()),
        }
        if answers == {"unsat"}:
            return "unsat"
        return "sat" if answers == {"sat"} else "open"
