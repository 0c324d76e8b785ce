"""Differential: a pattern means the same to its automaton, to RE2, to Z3, and to RE2 given the author's own text.

Every pattern is driven by the transition cover of its minimal automaton, in both modes, with and without `lowerAscii`.
"""

from __future__ import annotations

import itertools
import re
from importlib import import_module

import pytest
import re2
import z3
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st

from sandbox.errors import EnvironmentLacking
from sandbox.parse import canonical_path
from sandbox.regex import (
    Mode,
    PatternError,
    full_matcher,
    literal_re,
    path_language,
    python_string,
    search_matcher,
    to_dfa,
    to_z3,
    z3_string,
)
from sandbox.regex.automaton import _positions_of, _subsets, determinise
from sandbox.regex.dfa import _minimal, dfa_of
from sandbox.regex.dominance import dominated
from sandbox.regex.matcher import engine
from sandbox.regex.parser import parse
from sandbox.regex.solver import canonical_paths
from sandbox.regex.syntax import language, lowered

pytestmark = pytest.mark.no_cover  # a search goes the same ways many times; others cover them

CTX = z3.Context()
AUTHOR: dict[str, re2._Regexp] = {}
MODES: tuple[Mode, ...] = ("full", "search")

PATTERNS = [
    # what specs write
    r"[A-Z]{2}[0-9A-Z]{13,32}",
    r"^/data/[^/]+\.txt$",
    r"/\.git(/|$)",
    r"(^|/)\.env$",
    r"(^|/)\.\.(/|$)",
    r"^/workspace(/|$)",
    r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+",
    r"^[a-z][a-z0-9-]{0,30}$",
    r"\d{4}-\d{2}-\d{2}",
    r"(25[0-5]|2[0-4]\d|1?\d?\d)(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}",
    r"AKIA[0-9A-Z]{16}",
    r"^(GET|HEAD|POST)$",
    r"^git (log|status|diff)( --[a-z-]+)*$",
    r"\.(pem|key|p12)$",
    r"-----BEGIN [A-Z ]+-----",
    r"^-",
    r"\s",
    r"^\s*$",
    r"\w+",
    r"[^\w/.-]",
    r"^[^/]+$",
    "[^\n]*",
    "a\nb",
    r"\$\{[^}]*\}",
    r"[;&|`$<>]",
    r"\\",
    # each construct, and its edges
    "",
    "()",
    "(|a)",
    "a|",
    "|",
    "a",
    "A",
    "k",
    "K",
    "[a-z]",
    "[A-Z]",
    "[^a-z]",
    "[^A-Z]",
    "[@-Z]",
    "[Z-a]",
    "[^@-`]",
    "[-z]",
    "[a^-]",
    r"[\]\[\\^-]",
    "[\x01-\x7f]",
    "[^\x01-\x7f]",
    ".",
    ".*",
    ".+.",
    "(.|\n)*",
    "é|Ω",
    "\u212a",
    "😀+",
    "\U0002ffff",
    "\ud7ff|\ue000",
    "[^a]\U0002ffff?",
    "a*",
    "a+",
    "a?",
    "a{0}",
    "a{0,0}b",
    "a{1}",
    "a{2,}",
    "a{0,}",
    "a{2,4}",
    "(ab){2}c{0,2}",
    "(a*)*",
    "(a*)+",
    "(a?)?",
    "(|a)+",
    "(|a)*b",
    "(a|){2,3}",
    "(a{0,3}|b+){2}",
    "((a|)b?){2,4}c$",
    "(a|b)*abb",
    "(ab|ba)*",
    "(a|ab)(c|bcd)(d*)",
    "x{3,7}y?",
    # anchors, where alternatives are distributed
    "^",
    "$",
    "^$",
    "^a",
    "a$",
    "^a$",
    "^a|b$",
    "^(a|b$)",
    "(^a|b)$",
    "(^a|b)c",
    "(a|^)(b|$)",
    "(a|(b|^))x",
    "(^|$)",
    "((^))a(($))",
    "(^|a)",
    "(|^)a",
    "(^a$|^b|c$|d)",
]


def lower_ascii(text: str) -> str:
    """CEL's lowerAscii, naively."""
    return "".join(char.lower() if "A" <= char <= "Z" else char for char in text)


def author_matches(pattern: str, mode: Mode, text: str) -> bool:
    """RE2 under its own defaults, on the author's text as it was written."""
    if pattern not in AUTHOR:
        AUTHOR[pattern] = re2.compile(pattern)
    compiled = AUTHOR[pattern]
    return (compiled.fullmatch(text) if mode == "full" else compiled.search(text)) is not None


def solver_matches(text: str, language: z3.ReRef) -> bool:
    """Z3's ground verdict, which must reduce to a literal."""
    verdict = z3.simplify(z3.InRe(z3_string(text, CTX), language))
    if z3.is_true(verdict) or z3.is_false(verdict):
        return z3.is_true(verdict)
    raise AssertionError(verdict.sexpr())


def agree(pattern: str, mode: Mode, *, lower: bool) -> None:
    """All four answer alike on every string of the cover."""
    dfa = to_dfa(pattern, mode=mode, lower=lower)
    term = to_z3(pattern, mode=mode, lower=lower, ctx=CTX)
    matcher = (full_matcher if mode == "full" else search_matcher)(pattern)
    for text in dfa.transition_cover():
        seen = lower_ascii(text) if lower else text
        answers = (dfa.accepts(text), matcher(seen), solver_matches(text, term), author_matches(pattern, mode, seen))
        assert len(set(answers)) == 1, (pattern, mode, lower, text, answers)


@pytest.mark.parametrize("pattern", PATTERNS, ids=ascii)
@pytest.mark.parametrize("mode", MODES)
def test_automaton_re2_and_z3_agree_on_the_transition_cover(pattern: str, mode: Mode) -> None:
    agree(pattern, mode, lower=False)
    agree(pattern, mode, lower=True)


LITERALS = [*"abkzAKZ_ 0/@`[{", "\n", "\t", "\x01", "\x7f", "é", "\u212a", "\uff11", "\U0002ffff"]
CLASS_PARTS = [
    "a",
    "k",
    "Z",
    "0",
    "_",
    ".",
    "^",
    "\n",
    "\x7f",
    "a-c",
    "A-Z",
    "0-9",
    "Z-a",
    "!-~",
    r"\d",
    r"\w",
    r"\s",
    r"\-",
]
COUNTS = ["*", "+", "?", "{0}", "{1}", "{2}", "{0,1}", "{0,2}", "{1,3}", "{2,3}", "{0,}", "{2,}"]


def escaped(char: str) -> str:
    return f"\\{char}" if char in r"\.+*?()|[]{}^$" else char


def classes() -> st.SearchStrategy[str]:
    members = st.lists(st.sampled_from(CLASS_PARTS), min_size=1, max_size=3).filter(lambda parts: parts[0] != "^")
    return st.builds("[{}{}{}]".format, st.sampled_from(["", "^"]), members.map("".join), st.sampled_from(["", "-"]))


def bodies() -> st.SearchStrategy[str]:
    """Patterns without anchors."""
    atoms = st.one_of(
        st.sampled_from(LITERALS).map(escaped), classes(), st.sampled_from([".", r"\d", r"\w", r"\s", "()"])
    )
    return st.recursive(
        atoms,
        lambda inner: st.one_of(
            st.lists(inner, min_size=2, max_size=3).map("".join),
            st.builds("({}|{})".format, inner, st.one_of(inner, st.just(""))),
            st.builds("({}){}".format, inner, st.sampled_from(COUNTS)),
        ),
        max_leaves=6,
    )


def patterns() -> st.SearchStrategy[str]:
    """Patterns of the dialect, with anchors wherever they may stand."""
    beginnings = st.sampled_from(["", "", "^", "(^|{0})", "(^{0}|{1})", "({0}|^)"])
    ends = st.sampled_from(["", "", "$", "({0}|$)", "({0}$|{1})", "($|{0})"])
    filled = st.builds(lambda frame, one, other: frame.format(one, other), beginnings, bodies(), bodies())
    closed = st.builds(lambda frame, one, other: frame.format(one, other), ends, bodies(), bodies())
    one = st.builds("{}{}{}".format, filled, bodies(), closed)
    return st.one_of(one, st.builds("{}|{}".format, one, one))


@pytest.mark.deep_factor(20)
@settings(max_examples=500)
@given(pattern=patterns(), mode=st.sampled_from(MODES), lower=st.booleans())
def test_automaton_re2_and_z3_agree_on_any_pattern(pattern: str, mode: Mode, *, lower: bool) -> None:
    try:
        small = to_dfa(pattern, mode=mode, lower=lower).states <= 12
    except PatternError as error:
        assert "automaton" in error.message  # noqa: PT017  # the only refusal of what the strategy builds
        small = False
    assume(small)
    agree(pattern, mode, lower=lower)


@settings(max_examples=300)
@given(pattern=patterns(), mode=st.sampled_from(MODES), lower=st.booleans(), data=st.data())
def test_they_agree_on_any_string(pattern: str, mode: Mode, *, lower: bool, data: st.DataObject) -> None:
    any_character = st.characters(min_codepoint=1, max_codepoint=0x2FFFF, exclude_categories=["Cs"])
    text = data.draw(st.text(st.one_of(st.sampled_from(LITERALS), any_character), max_size=8))
    seen = lower_ascii(text) if lower else text
    expected = author_matches(pattern, mode, seen)
    assert (full_matcher if mode == "full" else search_matcher)(pattern)(seen) == expected
    assert solver_matches(text, to_z3(pattern, mode=mode, lower=lower, ctx=CTX)) == expected


@settings(max_examples=200)
@given(pattern=patterns(), mode=st.sampled_from(MODES), lower=st.booleans())
def test_dropping_dominated_positions_keeps_the_language(pattern: str, mode: Mode, *, lower: bool) -> None:
    node = language(lowered(parse(pattern)) if lower else parse(pattern), mode)
    try:
        alphabet, plain = determinise(node)
    except PatternError:
        reject()
    assume(len(plain.rows) <= 64)
    positions, accepting = _positions_of(node)
    weaker = dominated(positions.ranges, positions.follow, accepting)
    members = [
        sum(
            1 << place
            for place, ranges in enumerate(positions.ranges)
            if any(low <= start <= high for low, high in ranges)
        )
        for start in (alphabet.starts[alphabet.classes.index(number)] for number in range(alphabet.size))
    ]
    pruned = _subsets(positions, accepting, members, weaker)
    assert pruned is not None
    assert _minimal(pruned) == _minimal(plain)


@pytest.mark.parametrize(
    "pattern", ["(^a|b)c?$", "(a|^)(b|$)", "^a|b$", "((a|)b?){2}$", "[^ab]a", "(.|b)*$", "a{2}|^$"]
)
@pytest.mark.parametrize("mode", MODES)
def test_they_agree_on_every_short_string(pattern: str, mode: Mode) -> None:
    dfa, term = to_dfa(pattern, mode=mode), to_z3(pattern, mode=mode, ctx=CTX)
    for length in range(5):
        for text in map("".join, itertools.product("abcA\n", repeat=length)):
            expected = author_matches(pattern, mode, text)
            assert dfa.accepts(text) == solver_matches(text, term) == expected, (pattern, mode, text)


SEGMENTS = [
    "",
    ".",
    "..",
    "a",
    ".a",
    "..a",
    "...",
    "a.",
    "~",
    "~a",
    "é",
    "\\",
    "\n",
    "\x7f",
    "\x85",
    "\u2028",
    "😀",
    "\ud800",
]
CANONICAL = path_language(CTX)
CANONICAL_DFA = dfa_of(canonical_paths())


@settings(max_examples=300)
@given(
    segments=st.lists(st.one_of(st.sampled_from(SEGMENTS), st.text(max_size=3)), max_size=4),
    beginning=st.sampled_from(["", "/", "//", "~"]),
    under=st.sampled_from([None, "/", "/data"]),
)
def test_the_path_language_is_what_parse_produces(segments: list[str], beginning: str, under: str | None) -> None:
    text = beginning + "/".join(segments)
    assume(all(char <= "\U0002ffff" for char in text))
    path = canonical_path(text, under)
    if isinstance(path, str):
        assert solver_matches(path, CANONICAL)
    assert solver_matches(text, CANONICAL) == CANONICAL_DFA.accepts(text) == (canonical_path(text, None) == text)


# --- the known traps: each is shown on a naive translation, and then not to be ours --------------------------


def test_trap_escapes_in_string_constants_are_not_interpreted() -> None:
    hostile = r"/d\u{61}ta/x"
    naive = z3.simplify(z3.PrefixOf(z3.StringVal("/data/", CTX), z3.StringVal(hostile, CTX)))
    assert z3.is_true(naive)
    assert not solver_matches(hostile, to_z3("^/data/", mode="search", ctx=CTX))
    assert not solver_matches(hostile, literal_re("/data/", where="starts", ctx=CTX))


def test_trap_a_printed_model_is_not_the_string() -> None:
    for text in ("😀", r"d\u{61}ta"):
        assert z3_string(text, CTX).as_string() != text
        assert python_string(z3_string(text, CTX)) == text


def test_trap_characters_beyond_the_theory_are_refused() -> None:
    for build in (lambda: z3_string("\U00030000", CTX), lambda: to_z3("\U00030000", mode="full", ctx=CTX)):
        with pytest.raises(ValueError, match=r"U\+30000"):
            build()


def test_trap_matches_is_partial_and_an_argument_pattern_is_full() -> None:
    assert search_matcher("[a-z]+")("1a1")
    assert not full_matcher("[a-z]+")("1a1")
    assert solver_matches("1\na1", to_z3("[a-z]+", mode="search", ctx=CTX))
    assert not solver_matches("1a1", to_z3("[a-z]+", mode="full", ctx=CTX))


def test_trap_a_dollar_does_not_accept_a_last_newline() -> None:
    assert re.search("^ok$", "ok\n")
    assert not search_matcher("^ok$")("ok\n")
    assert not full_matcher("ok")("ok\n")
    assert not solver_matches("ok\n", to_z3("^ok$", mode="search", ctx=CTX))


def test_trap_digits_are_ascii() -> None:
    assert re.fullmatch(r"\d", "\uff15")
    assert not full_matcher(r"\d")("\uff15")
    assert not solver_matches("\uff15", to_z3(r"\d", mode="full", ctx=CTX))


def test_trap_white_space_has_no_vertical_tab() -> None:
    assert re.fullmatch(r"\s", "\v")
    assert not full_matcher(r"\s")("\v")
    assert not solver_matches("\v", to_z3(r"\s", mode="full", ctx=CTX))


def test_trap_a_dot_excludes_newline_for_the_solver_too() -> None:
    assert solver_matches("\n", z3.AllChar(z3.ReSort(z3.StringSort(CTX))))
    assert not full_matcher(".")("\n")
    assert not solver_matches("\n", to_z3(".", mode="full", ctx=CTX))


def test_trap_no_case_folding_reaches_the_kelvin_sign() -> None:
    assert re2.compile("(?i)k").search("\u212a")
    with pytest.raises(PatternError, match="flags"):
        full_matcher("(?i)k")
    assert not solver_matches("\u212a", to_z3("k", mode="full", lower=True, ctx=CTX))
    assert solver_matches("K", to_z3("k", mode="full", lower=True, ctx=CTX))


def test_trap_a_malformed_count_is_no_literal() -> None:
    assert re2.compile("a{,5}").fullmatch("a{,5}")
    with pytest.raises(PatternError, match="escape a literal brace"):
        full_matcher("a{,5}")


def test_trap_a_lone_surrogate_is_no_verdict() -> None:
    with pytest.raises(UnicodeEncodeError):
        search_matcher("[^a]")("\ud800")


def test_an_re2_that_answers_otherwise_than_is_relied_upon_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    message = r"google-re2 1\.1\S* has no RE2 that this package can use; install google-re2>=1\.1,<1\.2"
    for module in ("re2.nowhere", "re2", "json"):
        with pytest.raises(EnvironmentLacking, match=message):
            engine(module)
    inner = import_module("re2._re2")
    for answers in ([[(1, 2)], [(0, 2)]], [[(1, 2), (1, 2)], [(-1, -1)]], [None, None], [True, False]):

        class Other(inner.RE2):  # type: ignore[name-defined, misc]  # made anew for each
            said = iter(answers)

            def Match(self, *_: object) -> object:  # noqa: N802 - RE2's name
                return next(self.said)

        monkeypatch.setattr(inner, "RE2", Other)
        with pytest.raises(EnvironmentLacking, match=message):
            engine()


def test_trap_what_re2_refuses_is_a_pattern_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.regex.matcher.MAX_MEMORY", 4096)
    with pytest.raises(PatternError, match="RE2 refuses the pattern: pattern too large"):
        full_matcher("[^a]{777}")
