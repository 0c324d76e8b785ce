"""Negated memberships: the other form means the same, and decides what the first one does not."""

from __future__ import annotations

import time

import pytest
import z3

from sandbox.prove.obligations import Query
from sandbox.prove.positive import positively
from sandbox.prove.solve import Desk, Model, Unsat
from sandbox.regex import literal_re, path_language, to_z3

CTX = z3.Context()
S = z3.String("s", CTX)
N = z3.Int("n", CTX)


def within(pattern: str) -> z3.BoolRef:
    return z3.InRe(S, to_z3(pattern, mode="search", ctx=CTX))


MARKDOWN = within(r"^/data/[^/]+\.md$")
ENDING = z3.InRe(S, literal_re(".md", where="ends", ctx=CTX))
PATH = z3.InRe(S, path_language(CTX))


def desk(seconds: float = 60) -> Desk:
    return Desk("z3", time.monotonic() + seconds)


def test_a_path_that_ends_as_its_pattern_says_is_decided() -> None:
    assert isinstance(desk().prove(Query("q", (PATH, MARKDOWN, z3.Not(ENDING)))), Unsat)


@pytest.mark.parametrize(
    "terms",
    [
        (z3.Not(ENDING),),
        (z3.Not(z3.Or(MARKDOWN, N > 3)),),
        (z3.Implies(ENDING, N > 3), N == 0),
        (z3.If(ENDING, N > 3, N < 3), N == 5),
        (z3.Not(z3.And(MARKDOWN, z3.Not(ENDING))),),
        (MARKDOWN == ENDING, N == 1),
    ],
)
def test_both_forms_are_equivalent_and_no_membership_is_negated(terms: tuple[z3.BoolRef, ...]) -> None:
    other = tuple(term.translate(CTX) for term in positively(terms, z3.Context()))
    assert "(not (str.in_re" not in " ".join(" ".join(term.sexpr().split()) for term in other)
    solver = z3.Solver(ctx=CTX)
    solver.set("rlimit", 50_000_000)
    solver.add(z3.And(list(terms)) != z3.And(list(other)))
    assert solver.check() != z3.sat
    for text in ("", "/data/a.md", "/data/a", "a.md", "/data/a/b.md"):
        for number in (0, 1, 3, 4, 5):
            values = [(S, z3.StringVal(text, CTX)), (N, z3.IntVal(number, CTX))]
            before, after = (z3.simplify(z3.substitute(z3.And(list(each)), *values)) for each in (terms, other))
            assert z3.is_true(before) == z3.is_true(after)


def test_a_model_of_the_other_form_is_a_model() -> None:
    found = desk().search(Query("q", (PATH, ENDING, z3.Not(MARKDOWN))))
    assert isinstance(found, Model)


LENGTHS = [
    z3.Length(S) <= 2,
    z3.Length(S) >= 2,
    z3.Length(S) < 2,
    z3.Length(S) > 2,
    z3.Length(S) == 2,
    z3.Length(S) != 2,
    z3.Length(S) >= 2,
    z3.Length(S) < 2,
    z3.Length(S) <= 0,
    z3.Length(S) < 0,
    z3.Length(S) >= 0,
    z3.Length(S) > -1,
    z3.Not(z3.Length(S) <= 2),
    z3.Implies(z3.Length(S) > 1, N == 1),
    z3.Length(S) <= N,
    z3.Length(S) + N <= 3,
]


@pytest.mark.parametrize("term", LENGTHS, ids=str)
def test_a_bound_on_a_length_means_the_same_as_a_pattern(term: z3.BoolRef) -> None:
    whole = z3.And([each.translate(CTX) for each in positively((z3.And(term, N >= 0),), z3.Context())])
    for text in ("", "a", "ab", "abc", "\n\n", "abcd" * 5):
        for number in (0, 1, 2, 3):
            values = [(S, z3.StringVal(text, CTX)), (N, z3.IntVal(number, CTX))]
            before, after = (z3.simplify(z3.substitute(each, *values)) for each in (term, whole))
            assert (z3.is_true(before), z3.is_false(before)) == (z3.is_true(after), z3.is_false(after)), (text, number)


def test_many_letters_within_many_characters_are_found() -> None:
    letters = z3.InRe(S, z3.Loop(z3.Range("a", "z", CTX), 150, 150))
    assert isinstance(desk().search(Query("q", (z3.Length(S) <= 4_096, letters))), Model)
    assert isinstance(desk().prove(Query("q", (z3.Length(S) <= 149, letters))), Unsat)
