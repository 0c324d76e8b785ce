"""What automata guess of some predicates on one string, held against Z3 and the automata themselves."""

from __future__ import annotations

import random

import pytest
import z3

from sandbox.prove import guess as guessing
from sandbox.prove.guess import Guess, Said, guess, tree_of
from sandbox.regex import full_matcher, literal_re, path_language, search_matcher, to_z3, z3_string
from sandbox.regex.dfa import dfa_of
from sandbox.regex.parser import parse
from sandbox.regex.syntax import Mode, language

PATTERNS = ("a*", "[ab]+", "ab?c", "(a|bc){1,2}", "[^a]*", "a{3}", "a{2,}", "", "b.*", "x")
OTHERS = ("/srv/team1/x", "api.example.com", "a", "", "ac", "bcbc", "aaa", "\n", "é", "ab" * 9)


def told(text: str, *, holds: bool) -> Said:
    return language(parse(text), "full"), holds


@pytest.mark.parametrize("seed", range(80))
def test_a_text_meets_what_it_should_and_what_clashes_has_no_text(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - not a secret
    said = [(dice.choice(PATTERNS), dice.random() < 0.6) for _ in range(dice.randint(1, 5))]
    found = guess(tuple(told(text, holds=holds) for text, holds in said))
    if found.text is not None:
        assert not found.clashes
        assert all(full_matcher(text)(found.text) == holds for text, holds in said)
    assert found.text is not None or found.clashes
    for clash in found.clashes:
        ctx = z3.Context()
        string, solver = z3.String("s", ctx), z3.Solver(ctx=ctx)
        for text, holds in (said[position] for position in clash):
            member = z3.InRe(string, to_z3(text, mode="full", ctx=ctx))
            solver.add(member if holds else z3.Not(member))
        assert solver.check() == z3.unsat


def test_a_clash_has_no_more_in_it_than_it_needs() -> None:
    two = (told("x?[ab]*", holds=True), told("a+", holds=True), told("c", holds=False), told("[bc]*", holds=True))
    assert guess(two).clashes == ((1, 3),)
    three = (told("[ab]*", holds=True), told("a.*|", holds=False), told("b.*", holds=False), told("c?.*", holds=True))
    assert guess(three).clashes == ((0, 1, 2),)


def test_a_text_is_short_and_plain() -> None:
    assert guess((told("[^a]+", holds=True), told("b.*", holds=False))) == Guess(text="c")


def test_what_is_too_large_is_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    said = (told("(a|b){7}", holds=True), told("(a|b){6}c?", holds=False))
    monkeypatch.setattr(guessing, "MAX_STEPS", 3)
    assert guess(said) == Guess()
    large = (language(parse("a.{40}"), "search"), True)
    assert guess((large,)) == Guess()


@pytest.mark.parametrize("mode", ["full", "search"])
@pytest.mark.parametrize("text", ["a{2,3}[b-d]+x?.*(ab|c)*", "a{2,}b{3}", "^a|b$", "[^/]*", ".", ""])
def test_a_term_is_read_back_as_the_language_that_it_was_made_of(text: str, mode: Mode) -> None:
    ctx = z3.Context()
    matches = full_matcher(text) if mode == "full" else search_matcher(text)
    tree = tree_of(z3.InRe(z3.String("s", ctx), to_z3(text, mode=mode, ctx=ctx)))
    assert tree is not None
    assert all(dfa_of(tree).accepts(each) == matches(each) for each in (*OTHERS, *dfa_of(tree).transition_cover()[:50]))


def test_terms_of_every_kind_are_read_back() -> None:
    ctx = z3.Context()
    string, sort = z3.String("s", ctx), z3.ReSort(z3.StringSort(ctx))
    path = tree_of(z3.InRe(string, path_language(ctx)))
    assert path is not None
    assert [dfa_of(path).accepts(each) for each in ("/a/b", "/a/../b", "a")] == [True, False, False]
    for equation in (string == z3_string("a\u00e9", ctx), z3_string("a\u00e9", ctx) == string):
        tree = tree_of(equation)
        assert tree is not None
        assert [dfa_of(tree).accepts(each) for each in ("a\u00e9", "a")] == [True, False]
    ends = tree_of(z3.InRe(string, literal_re("B", where="ends", lower=True, ctx=ctx)))
    assert ends is not None
    assert not dfa_of(ends).accepts("b")
    nothing = tree_of(z3.InRe(string, z3.Empty(sort)))
    assert nothing is not None
    assert guess(((nothing, True),)).clashes == ((0,),)


def test_terms_that_no_pattern_makes_are_not_read() -> None:
    ctx = z3.Context()
    string, other = z3.String("s", ctx), z3.String("t", ctx)
    a = to_z3("a", mode="full", ctx=ctx)
    for regex in (z3.Complement(a), z3.Intersect(a, a), z3.Concat(a, z3.Complement(a)), z3.Re(other)):
        assert tree_of(z3.InRe(string, regex)) is None
    assert tree_of(z3.InRe(string, z3.Range(other, z3_string("b", ctx)))) is None
    assert tree_of(string == other) is None
