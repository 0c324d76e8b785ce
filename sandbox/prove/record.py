"""What was asked of the solvers on the way to a verdict, and what the answers rest on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, assert_never, get_args

from sandbox.errors import Fault
from sandbox.ir import Json

AnswerName: TypeAlias = Literal["unsat", "sat", "open"]
FormName: TypeAlias = Literal["whole", "positive", "words", "core", "narrow"]
"""In which form a query was written; see `script`."""

Kind: TypeAlias = Literal[
    "rule", "argument", "elements", "session", "invariant", "found", "window", "unwritten", "state", "time", "property"
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
"""In the order in which a report lists them."""


@dataclass(frozen=True, slots=True)
class Source:
    """One thing that somebody wrote.

    `name` is `tool.rule`, `tool.argument`, the name of a session fact, property or state variable, or the text of an
    invariant that was `found`; `words` say what of it counts, '' where the name says all. A `window` only ever grows,
    an `unwritten` variable is `initial` for ever. `property` is the question itself: of an `always`, that it holds
    `before` a step and not `after` it. `elements` are those that stand for a whole list.
    """

    kind: Kind
    name: str
    words: str = ""


QUESTION: Final = Source("property", "")

_QUESTIONS: Final = {
    "": "what is asked",
    "before": "the property, before the step",
    "after": "what is asked: not the property, after the step",
}
_ODD: Final = "a prover's child replied oddly of what a proof rests on"


@dataclass(frozen=True, slots=True)
class Decided:
    """One query and its answer.

    `lemma` is what the answer gives to other queries (the name of a window that only grows), '' for nothing. `core` is
    what a contradiction rests on; None of an answer that is none, and where no core was found in time.
    """

    label: str
    expected: str
    answer: AnswerName
    lemma: str = ""
    core: tuple[Source, ...] | None = None


@dataclass(frozen=True, slots=True)
class Obligation:
    """One query as a file. `core` are the numbers of the parts that a contradiction rests on, `told` whose they are.

    `digest` is the file's (SHA-256, hex); `label` names the query, `expected` what a proof needs of it.
    """

    file: str
    digest: str
    label: str
    expected: str
    answer: AnswerName
    form: FormName = "whole"
    core: tuple[int, ...] = ()
    told: tuple[str, ...] = ()


DoubtKind: TypeAlias = Literal["missing", "foreign", "wrong", "undecided"]


@dataclass(frozen=True, slots=True)
class Doubt:
    """A file that did not count: of no obligation of the spec, answered otherwise than is claimed, or not decided.

    Of an obligation that no file has, `file` is its label.
    """

    file: str
    kind: DoubtKind


@dataclass(frozen=True, slots=True)
class RestsOn:
    """What a proof rests on, and how many of its contradictions told nothing of that."""

    sources: tuple[Source, ...]
    untold: int = 0


NOTHING: Final = RestsOn(())


def rests_on(decided: Iterable[Decided]) -> RestsOn:
    """What the contradictions rest on together; of a lemma, only where another one rests on what it gives."""
    refuted = [each for each in decided if each.answer == "unsat"]
    chosen = [each for each in refuted if not each.lemma]
    named = _windows(chosen)
    chosen += [each for each in refuted if each.lemma and each.lemma in named]
    found = {source for each in chosen for source in each.core or () if source.kind != "property"}
    ordered = sorted(found, key=lambda source: (KINDS.index(source.kind), source.name, source.words))
    return RestsOn(tuple(ordered), sum(each.core is None for each in chosen))


def phrase(source: Source) -> str:
    """The source for a person."""
    match source.kind:
        case "rule":
            return f"rule `{source.name}`"
        case "argument":
            return f"`{source.name}` ({source.words})"
        case "elements":
            return f"`{source.name}` ({source.words})"
        case "session":
            return f"`session.{source.name}` ({source.words})"
        case "invariant":
            return f"`{source.name}`"
        case "found":
            return f"the invariant `{source.name}`"
        case "window":
            return f"`state.{source.name}` only grows"
        case "unwritten":
            return f"nothing writes `state.{source.name}`"
        case "state":
            return f"`state.{source.name}` ({source.words})"
        case "time":
            return "what times there are"
        case "property":
            return _QUESTIONS[source.words]
        case _:
            assert_never(source.kind)


def _windows(chosen: Iterable[Decided]) -> frozenset[str]:
    return frozenset(source.name for each in chosen for source in each.core or () if source.kind == "window")


def rests_on_to_json(rests: RestsOn) -> Json:
    """As a child replies it."""
    return {"sources": [[each.kind, each.name, each.words] for each in rests.sources], "untold": rests.untold}


def rests_on_from_json(message: Json) -> RestsOn:
    """As a child replied it; raises Fault if it is none."""
    match message:
        case {"sources": list() as sources, "untold": int() as untold}:
            return RestsOn(tuple(_source(each) for each in sources), untold)
        case _:
            raise Fault(_ODD)


def obligation_to_json(each: Obligation) -> dict[str, Json]:
    """As it stands in a certificate."""
    return {
        "file": each.file,
        "sha256": each.digest,
        "label": each.label,
        "expected": each.expected,
        "answer": each.answer,
        "form": each.form,
        "core": list(each.core),
        "rests_on": list(each.told),
    }


def obligation_from_json(message: Json) -> Obligation:
    """As it stood there; raises Fault if it is none."""
    match message:
        case {
            "file": str() as file,
            "sha256": str() as digest,
            "label": str() as label,
            "expected": str() as expected,
            "answer": "unsat" | "sat" | "open" as answer,
            "form": "whole" | "positive" | "words" | "core" | "narrow" as form,
            "core": list() as core,
            "rests_on": list() as told,
        }:
            numbers = tuple(each for each in core if type(each) is int)
            texts = tuple(each for each in told if isinstance(each, str))
            return Obligation(file, digest, label, expected, answer, form, numbers, texts)
        case _:
            message_text = "what should be an obligation is none"
            raise Fault(message_text)


def doubt_from_json(message: Json) -> Doubt:
    """As a child replied it; raises Fault if it is none."""
    match message:
        case [str() as file, "missing" | "foreign" | "wrong" | "undecided" as kind]:
            return Doubt(file, kind)
        case _:
            raise Fault(_ODD)


def _source(message: Json) -> Source:
    match message:
        case [str() as kind, str() as name, str() as words] if kind in KINDS:
            return Source(kind, name, words)
        case _:
            raise Fault(_ODD)
