"""Differential: what the ground check's automata say of a string predicate is what the evaluator and Z3 say of it."""

from __future__ import annotations

import pytest
import z3
from hypothesis import given
from hypothesis import strategies as st
from test_regex import CTX, PATTERNS, lower_ascii, patterns, solver_matches

from sandbox.asked import identity
from sandbox.asked_atoms import MAX_WORD, WORDS, AtomBook, compare
from sandbox.errors import Fault
from sandbox.evaluate import Env, truth
from sandbox.ir import Arg, Const, Contains, EndsWith, Eq, Expr, Lower, Matches, StartsWith, StringSort
from sandbox.regex import Atom, PatternError, accepts, atom_re, check_pattern, samples, to_dfa
from sandbox.regex.alphabet import MAX_CODE_POINT
from sandbox.regex.atoms import CHUNK, Where, tells_beyond_ascii

S = StringSort()
WHERES: tuple[Where, ...] = ("is", "starts", "ends", "contains")
LETTERS = "aAbB.\n\u212a\u017fé\u4e00\U0002ffff"
TEXTS = st.text(st.sampled_from(LETTERS), max_size=12)


def expression(atom: Atom) -> Expr:
    """The rule that asks for the atom."""
    subject: Expr = Lower(Arg("s", S)) if atom.lower else Arg("s", S)
    part = Const(atom.text, S)
    match atom.where:
        case "is":
            return Eq(subject, part)
        case "starts":
            return StartsWith(subject, part)
        case "ends":
            return EndsWith(subject, part)
        case "contains":
            return Contains(subject, part)
        case "matches":
            return Matches(subject, atom.text)


def agree(atom: Atom, text: str) -> None:
    by_evaluator = truth(expression(atom))(Env({"s": text}, {}))
    assert accepts(atom)(text) == by_evaluator == solver_matches(text, atom_re(atom, CTX)), (atom, text)


@given(TEXTS, TEXTS, st.sampled_from(WHERES), st.booleans())
def test_parts_mean_the_same_in_all_three(part: str, text: str, where: Where, lower: bool) -> None:
    agree(Atom(part, where, lower), text)
    agree(Atom(part, where, lower), text + part + text)


@pytest.mark.parametrize("pattern", PATTERNS, ids=ascii)
@pytest.mark.parametrize("lower", [False, True])
def test_patterns_mean_the_same_on_the_transition_cover(pattern: str, lower: bool) -> None:
    atom = Atom(pattern, "matches", lower)
    follow = accepts(atom)
    dfa = to_dfa(pattern, mode="search", lower=lower)
    for text in dfa.transition_cover():
        assert follow(text) == dfa.accepts(text), text


@given(patterns(), TEXTS, st.booleans())
def test_random_patterns_mean_the_same_in_all_three(pattern: str, text: str, lower: bool) -> None:
    try:
        check_pattern(pattern)
    except PatternError:
        return
    agree(Atom(pattern, "matches", lower), text)


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
@pytest.mark.parametrize("filler", ["a", "é", "\u4e00"])
def test_where_a_match_stands_does_not_matter(size: int, filler: str) -> None:
    for atom in (Atom("b+$", "matches"), Atom("b", "matches"), Atom("b", "contains"), Atom("(é|ü)b", "matches")):
        for text in (filler * size, filler * size + "b", "b" + filler * size, filler * size + "b" + filler * size):
            agree(atom, text)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("a", False), ("[^a]", False), (".", False), (r"\w", False), (r"\s", False), ("é", True), ("a|é", True),
     ("(a|.*)x{2,3}", False), ("^(é|a)$", True), ("(xé)*", True), ("\x7f", False), ("\x80", True)],
)  # fmt: skip
def test_most_patterns_cannot_tell_characters_beyond_ascii_apart(pattern: str, expected: bool) -> None:
    assert tells_beyond_ascii(pattern) == expected


def test_many_classes_fit_and_too_many_are_followed_all_the_same() -> None:
    wide = "".join(f"[{chr(point)}]" for point in range(0x21, 0x7F) if chr(point) not in "[]\\^-")
    agree(Atom(wide, "matches"), "".join(chr(point) for point in range(0x21, 0x7F) if chr(point) not in "[]\\^-"))
    beyond = "|".join(chr(0x100 + 2 * at) for at in range(300))
    for text in ("\u0100", "\u0101", "\u0102x", "a"):
        agree(Atom(f"^({beyond})", "matches"), text)


@pytest.mark.parametrize("atom", [Atom("b", "matches"), Atom("é", "matches"), Atom("^[^a]+$", "matches")])
@pytest.mark.parametrize("char", ["\0", chr(MAX_CODE_POINT + 1)])
def test_a_character_that_no_string_has_is_no_match_but_an_error(atom: Atom, char: str) -> None:
    with pytest.raises(ValueError, match="outside of the alphabet"):
        accepts(atom)(f"a{char}")


@pytest.mark.parametrize("pattern", ["[a-z]{400}b", ".{20}b", "(a|ab)*c"])
def test_counting_costs_the_automaton_nothing(pattern: str) -> None:
    """Z3's derivatives took over ten minutes for the first of these on such a string."""
    assert not accepts(Atom(pattern, "matches"))("a" * 16_000)


# --- what is compared when the solver starts ---------------------------------------------------------


@pytest.mark.parametrize("atom", [Atom("ab", where) for where in WHERES] + [Atom("^a[b-d]{2}$", "matches")])
def test_samples_hold_words_inside_and_outside(atom: Atom) -> None:
    words = samples(atom, WORDS)
    assert len(set(words)) == len(words) <= WORDS
    assert {accepts(atom)(word) for word in words if len(word) <= MAX_WORD} == {True, False}


@pytest.mark.parametrize("atom", [Atom("ab", where) for where in WHERES] + [Atom("a[bc]$", "matches")])
@pytest.mark.parametrize("wrong", [lambda _: True, lambda _: False, lambda text: len(text) % 2 == 0])
def test_a_slip_in_an_automaton_stops_the_solver_at_its_start(
    atom: Atom, wrong: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare([atom], CTX)
    monkeypatch.setattr("sandbox.asked_atoms.accepts", lambda _: wrong)
    with pytest.raises(Fault, match="automaton and solver do not agree on"):
        compare([atom], CTX)


def test_a_subject_and_a_predicate_have_one_symbol() -> None:
    ctx = z3.Context()
    book = AtomBook(ctx)
    one, other = z3.String("one", ctx), z3.String("other", ctx)
    a, b = Atom("a", "contains"), Atom("b", "contains")
    assert book(one, a).eq(book(one, a))
    assert len({book(subject, atom).get_id() for subject in (one, other) for atom in (a, b)}) == 4
    assert book.atoms() == {a, b}


def test_a_predicate_of_what_is_no_string_is_never_answered() -> None:
    ctx = z3.Context()
    book, size = AtomBook(ctx), z3.Int("size", ctx)
    book(size, Atom("7", "contains"))
    with pytest.raises(Fault, match="a string predicate is asked of what is no string"):
        list(book.answers({identity(size): 7}))


def test_a_lowered_predicate_is_asked_about_the_string_as_it_is() -> None:
    for text in ("K", "k", "\u212a"):
        assert accepts(Atom("k", "is", lower=True))(text) == (lower_ascii(text) == "k")
