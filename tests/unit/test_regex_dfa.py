"""Unit: minimal automata, their limits, and that no pattern makes the limits expensive to find out."""

from __future__ import annotations

import pytest

from sandbox.regex import Dfa, Mode, PatternError, check_pattern, to_dfa
from sandbox.regex.alphabet import ANY, DIGIT, MAX_CODE_POINT, complement, lower_preimage, union
from sandbox.regex.automaton import MAX_CELLS, MAX_SUBSETS, determinise
from sandbox.regex.dfa import MAX_STATES
from sandbox.regex.parser import parse
from sandbox.regex.syntax import language

HAN = [chr(0x4E00 + number) for number in range(999)]


@pytest.mark.parametrize(
    ("pattern", "mode", "states"),
    [
        ("", "full", 2),
        ("", "search", 1),
        ("a", "full", 3),
        ("a", "search", 2),
        ("^a", "search", 3),
        ("a*|a*", "full", 2),
        ("(a|b)*abb", "full", 5),
        ("(a|b|c)(a|b|c)", "full", 4),
        ("^|a", "search", 1),
        ("[A-Z]{2}[0-9A-Z]{13,32}", "full", 36),
        ("[A-Z]{2}[0-9A-Z]{13,32}", "search", 16),
        ("AKIA[0-9A-Z]{16}", "search", 21),
        ("(a?){400}", "search", 1),
        ("a{510}", "full", 512),
        ("".join(HAN[:500]), "search", 501),
        ("|".join(HAN[:600]), "full", 3),
    ],
)
def test_the_automaton_is_minimal(pattern: str, mode: Mode, states: int) -> None:
    assert to_dfa(pattern, mode=mode).states == states
    check_pattern(pattern, mode=mode)


def test_one_state_too_many_is_refused() -> None:
    with pytest.raises(PatternError) as caught:
        check_pattern("a{511}", mode="full")
    assert caught.value.message == (
        f"the pattern's automaton has 513 states; at most {MAX_STATES} are allowed; shorten the pattern"
    )
    with pytest.raises(PatternError, match="513 states"):
        to_dfa("a{511}", mode="full")


@pytest.mark.parametrize("pattern", [".*a.{16}", "(a|b)*a(a|b){12}", "(.*a){3}.{14}b"])
def test_a_pattern_that_must_remember_too_much_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError, match="the pattern's automaton is too large; shorten or anchor"):
        check_pattern(pattern, mode="full")


def test_without_a_mode_both_must_fit() -> None:
    check_pattern("[a-z]{2}a.{14}b", mode="full")
    with pytest.raises(PatternError, match="too large"):
        check_pattern("[a-z]{2}a.{14}b")


@pytest.mark.parametrize(
    "pattern",
    [
        f"({'|'.join(HAN[:250])})*{HAN[0]}.{{20}}",
        "".join(f"{char}.*" for char in HAN[:490]),
        "(" + "|".join(char + ".{5}" for char in HAN[:120]) + ")",
        "(a?b?c?d?){30}.{10}e(.{20}|f){5}",
        "".join(f"(.{{0,{count}}}a|b)" for count in range(20)),
        "(((a?b?)*c?)*d?){200}",
        "(a.{0,20}){1,12}",
        "(a{0,9}|b{0,9}){12}",
        "((((((((((a*)*)*)*)*)*)*)*)*)*)*",
        "(a|aa|aaa|aaaa){90}",
        "." * 1000,
        "(.?){1000}",
    ],
)
@pytest.mark.parametrize("mode", ["full", "search"])
def test_a_hostile_pattern_is_answered_within_the_bounds(pattern: str, mode: Mode) -> None:
    try:
        _, table = determinise(language(parse(pattern), mode))
    except PatternError as error:
        assert "too large" in error.message  # noqa: PT017  # either answer is right; a third is not
    else:
        assert len(table.rows) <= MAX_SUBSETS
        assert len(table.rows) * len(table.rows[0]) <= MAX_CELLS


def test_the_empty_language_has_one_state_and_its_cover_accepts_nothing() -> None:
    dfa = to_dfa("A", mode="full", lower=True)
    assert dfa.states == 1
    assert not any(dfa.accepts(text) for text in dfa.transition_cover())


def test_characters_outside_the_alphabet_are_an_error_not_a_verdict() -> None:
    with pytest.raises(ValueError, match=r"U\+30000 is outside of the alphabet"):
        to_dfa(".", mode="full").accepts("\U00030000")


def taken(dfa: Dfa, texts: list[str]) -> set[tuple[int, int]]:
    """The transitions that running these texts takes."""
    found = set()
    for text in texts:
        state = 0
        for char in text:
            found.add((state, dfa.class_of(char)))
            state = dfa.table.rows[state][dfa.class_of(char)]
    return found


@pytest.mark.parametrize("pattern", [r"/\.git(/|$)", "[a-f]+x?", "é[^0-9]{2}", "^(ab|ba)+", "\ue000|\ud7ff|\x01"])
@pytest.mark.parametrize("mode", ["full", "search"])
def test_a_transition_cover_takes_every_transition_and_both_verdicts(pattern: str, mode: Mode) -> None:
    dfa = to_dfa(pattern, mode=mode)
    cover = dfa.transition_cover()
    assert taken(dfa, cover) == {(state, number) for state in range(dfa.states) for number in range(dfa.alphabet.size)}
    assert {dfa.accepts(text) for text in cover} == {True, False}
    assert len(cover) == len(set(cover))
    for text in cover:
        text.encode()
        assert "\0" not in text


def test_sets_of_characters() -> None:
    assert union((5, 9), (1, 2), (3, 4), (8, 12)) == ((1, 12),)
    assert complement(()) == ANY
    assert complement(ANY) == ()
    assert complement(DIGIT) == ((0, 47), (58, MAX_CODE_POINT))
    assert lower_preimage(union((ord("A"), ord("Z")))) == ()
    assert lower_preimage(union((ord("b"), ord("c")))) == ((66, 67), (98, 99))
    assert lower_preimage(complement(union((ord("k"), ord("k"))))) == complement(union((75, 75), (107, 107)))
    assert lower_preimage(ANY) == ANY
