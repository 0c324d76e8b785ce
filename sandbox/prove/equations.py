"""The same conjunction with words in place of patterns, in which cvc5 decides what it cannot as regex against regex.

First, whatever a membership stands under, it becomes an equivalent one: its pattern is taken apart at alternatives, and
one that is a few words, with or without anything before and after them, becomes equalities, `str.prefixof`,
`str.suffixof` and `str.contains`. Then one that must hold, and whose pattern is texts, classes and gaps in a row,
becomes `s = x1 ++ ... ++ xn` with an `x` of its own for each class and gap. Only below `and`, `or` and `not`, and only
where it counts positively: elsewhere an `x` would have to be every one. So the conjunction is satisfiable iff it was
before, and a model of it is one of the conjunction before (docs/semantics.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Final, TypeAlias

import z3

from sandbox.prove.positive import subterms
from sandbox.regex import python_string, z3_string

MAX_ALTERNATIVES: Final = 16
"""Ways through a pattern, of one membership; of a part of a pattern that has more, the part stays as it is."""

MAX_WORDS: Final = 64
"""Spellings of one alternative that are written out: six letters in both cases."""

MAX_PIECES: Final = 64
"""Pieces of an alternative that become a word equation."""

_Pieces: TypeAlias = tuple[z3.ReRef, ...]
_Ranges: TypeAlias = tuple[tuple[int, int], ...]


@dataclass(slots=True)
class _Words:
    """Constants that are not in the terms, and what is rewritten already: each term with its polarity, held alive."""

    prefix: str
    made: int = 0
    done: dict[tuple[int, bool], tuple[z3.BoolRef, z3.BoolRef]] = field(default_factory=dict)

    def another(self, ctx: z3.Context) -> z3.SeqRef:
        """A string of which nothing is known."""
        self.made += 1
        return z3.String(f"{self.prefix}{self.made}", ctx)


def in_words(parts: tuple[z3.BoolRef, ...]) -> tuple[z3.BoolRef, ...]:
    """For each part one, in order; together they are satisfiable iff the parts are. One with a quantifier stays."""
    words = _Words(_prefix(parts))
    return tuple(part if _quantified(part) else _opened(_spelled(part), words, holds=True) for part in parts)


def _prefix(parts: Iterable[z3.BoolRef]) -> str:
    """With which no name in the parts begins."""
    names = {str(each.decl().name()) for part in parts for each in subterms(part) if z3.is_app(each)}
    prefix = "word_"
    while any(name.startswith(prefix) for name in names):
        prefix += "_"
    return prefix


def _quantified(part: z3.BoolRef) -> bool:
    return any(not z3.is_app(each) for each in subterms(part))


# --- equivalent, whatever it stands under ------------------------------------------------------------


def _spelled(part: z3.BoolRef) -> z3.BoolRef:
    pairs = [(each, found) for each in subterms(part) if _is_membership(each) and (found := _alike(each)) is not None]
    return z3.substitute(part, *pairs) if pairs else part


def _alike(atom: z3.BoolRef) -> z3.BoolRef | None:
    """The membership in another way; None where there is none."""
    subject, pattern = atom.arg(0), atom.arg(1)
    every = _alternatives(pattern)
    written = [_written(subject, pieces) for pieces in every]
    if len(every) == 1 and written[0] is None:
        return None
    options = [
        z3.InRe(subject, _row(pieces, atom.ctx)) if found is None else found
        for pieces, found in zip(every, written, strict=True)
    ]
    return _one_of(options)


def _written(subject: z3.SeqRef, pieces: _Pieces) -> z3.BoolRef | None:
    """Whether the subject is one of these words, or begins with, ends with or contains one; None if it is not that."""
    first = next((at for at, piece in enumerate(pieces) if not _is_gap(piece)), len(pieces))
    last = next((at for at in range(len(pieces), first, -1) if not _is_gap(pieces[at - 1])), first)
    words = _words(pieces[first:last])
    if words is None:
        return None
    before, after = first > 0, last < len(pieces)
    constants = [z3_string(word, subject.ctx) for word in words]
    if before and after:
        found = [z3.Contains(subject, word) for word in constants]
    elif before:
        found = [z3.SuffixOf(word, subject) for word in constants]
    elif after:
        found = [z3.PrefixOf(word, subject) for word in constants]
    else:
        found = [subject == word for word in constants]
    return _one_of(found)


def _one_of(options: list[z3.BoolRef]) -> z3.BoolRef:
    """SMT-LIB has no `or` of one."""
    return options[0] if len(options) == 1 else z3.Or(options)


def _words(pieces: _Pieces) -> list[str] | None:
    """Every word of the pieces; None if there are many, or a piece is neither text nor class."""
    choices: list[list[str]] = []
    for piece in pieces:
        text, letters = _text(piece), _letters(piece)
        if text is not None:
            choices.append([text])
        elif letters is not None and sum(high - low + 1 for low, high in letters) <= MAX_WORDS:
            choices.append(sorted({chr(point) for low, high in letters for point in range(low, high + 1)}))
        else:
            return None
        if prod(len(choice) for choice in choices) > MAX_WORDS:
            return None
    return ["".join(each) for each in product(*choices)]


# --- satisfiable iff it was --------------------------------------------------------------------------


def _opened(term: z3.BoolRef, words: _Words, *, holds: bool) -> z3.BoolRef:
    """With `holds`, a term that implies this one and is implied by it for some words; else this one."""
    key = (term.get_id(), holds)
    if key not in words.done:
        words.done[key] = term, _opened_anew(term, words, holds=holds)
    return words.done[key][1]


def _opened_anew(term: z3.BoolRef, words: _Words, *, holds: bool) -> z3.BoolRef:
    if z3.is_and(term):
        return z3.And([_opened(each, words, holds=holds) for each in term.children()])
    if z3.is_or(term):
        return z3.Or([_opened(each, words, holds=holds) for each in term.children()])
    if z3.is_not(term):
        return z3.Not(_opened(term.arg(0), words, holds=not holds))
    if holds and _is_membership(term):
        return _equation(term, words)
    return term


def _equation(atom: z3.BoolRef, words: _Words) -> z3.BoolRef:
    """The membership as an equation with words of its own; as it is unless its pattern is a row of such pieces."""
    subject, every = atom.arg(0), _alternatives(atom.arg(1))
    if len(every) != 1 or not 1 < len(every[0]) <= MAX_PIECES or not all(map(_is_plain, every[0])):
        return atom
    row: list[z3.SeqRef] = []
    within: list[z3.BoolRef] = []
    for piece in every[0]:
        if z3.is_app_of(piece, z3.Z3_OP_SEQ_TO_RE):
            row.append(piece.arg(0))
            continue
        row.append(words.another(atom.ctx))
        within += [] if _is_gap(piece) else [z3.InRe(row[-1], piece)]
    equation = subject == z3.Concat(*row)
    return z3.And([equation, *within]) if within else equation


# --- patterns ----------------------------------------------------------------------------------------


def _alternatives(pattern: z3.ReRef) -> list[_Pieces]:
    """The pattern as alternatives, each of pieces in a row; at most `MAX_ALTERNATIVES`."""
    if z3.is_app_of(pattern, z3.Z3_OP_RE_CONCAT):
        parts = [_alternatives(each) for each in pattern.children()]
        if prod(len(part) for part in parts) > MAX_ALTERNATIVES:
            return [(pattern,)]
        return [tuple(piece for pieces in row for piece in pieces) for row in product(*parts)]
    if z3.is_app_of(pattern, z3.Z3_OP_RE_UNION) and _letters(pattern) is None:
        found = [pieces for each in pattern.children() for pieces in _alternatives(each)]
        return found if len(found) <= MAX_ALTERNATIVES else [(pattern,)]
    if z3.is_app_of(pattern, z3.Z3_OP_RE_OPTION):
        found = [(), *_alternatives(pattern.arg(0))]
        return found if len(found) <= MAX_ALTERNATIVES else [(pattern,)]
    return [()] if _text(pattern) == "" else [(pattern,)]


def _row(pieces: _Pieces, ctx: z3.Context) -> z3.ReRef:
    if not pieces:
        return z3.Re(z3_string("", ctx))
    return pieces[0] if len(pieces) == 1 else z3.Concat(*pieces)


def _is_membership(term: z3.ExprRef) -> bool:
    return bool(z3.is_app_of(term, z3.Z3_OP_SEQ_IN_RE))


def _is_plain(piece: z3.ReRef) -> bool:
    return _is_gap(piece) or _text(piece) is not None or _letters(piece) is not None


def _is_gap(piece: z3.ReRef) -> bool:
    """Anything whatever."""
    of_any = z3.is_app_of(piece, z3.Z3_OP_RE_STAR) and z3.is_app_of(piece.arg(0), z3.Z3_OP_RE_FULL_CHAR_SET)
    return bool(of_any or z3.is_app_of(piece, z3.Z3_OP_RE_FULL_SET))


def _text(piece: z3.ReRef) -> str | None:
    """The one word of a constant."""
    constant = z3.is_app_of(piece, z3.Z3_OP_SEQ_TO_RE) and z3.is_string_value(piece.arg(0))
    return python_string(piece.arg(0)) if constant else None


def _letters(piece: z3.ReRef) -> _Ranges | None:
    """The ranges of a pattern that is one character; None of any other."""
    if z3.is_app_of(piece, z3.Z3_OP_RE_UNION):
        parts = [_letters(each) for each in piece.children()]
        known = [part for part in parts if part is not None]
        return tuple(each for part in known for each in part) if len(known) == len(parts) else None
    if z3.is_app_of(piece, z3.Z3_OP_RE_RANGE):
        ends = [python_string(each) for each in piece.children() if z3.is_string_value(each)]
        single = [ord(each) for each in ends if len(each) == 1]
        return ((single[0], single[1]),) if len(single) == 2 and single[0] <= single[1] else None  # noqa: PLR2004
    text = _text(piece)
    return ((ord(text), ord(text)),) if text is not None and len(text) == 1 else None
