"""Unit: what the pattern dialect accepts, and every refusal with its words and its place."""

from __future__ import annotations

import pytest

from sandbox.regex import PatternError, check_pattern, to_dfa
from sandbox.regex.parser import MAX_DEPTH, MAX_EXPANDED, MAX_TEXT, parse
from sandbox.regex.syntax import Begin, Chars, Choice, Concat, End, Repeat

FLAGS = "flags are not in the dialect; write both cases as `[aA]`, or apply `lowerAscii`"
BACK = "back-references are not in the dialect; no automaton can have them"
NAMED = "named groups are not in the dialect; write `(`"
AHEAD = "look-around is not in the dialect; state a second condition with `&&`"
AHEAD_NOT = "look-around is not in the dialect; state a second condition with `&& !`"
STACKED = "a repetition cannot be repeated; use a group"
BRACE = "expected `{m}`, `{m,}` or `{m,n}`; escape a literal brace as `\\{`"
ITSELF = "put the character itself (a quoted string may write it as an escape of its own)"
NUMBER = "put the character itself instead of its number"
WORD = "word boundaries are not in the dialect; spell out the characters around"
UNICODE = "unicode classes are not in the dialect; list ASCII ranges"
NEGATED = "write the negated class, such as `[^\\d]`"
ANCHOR = "write `^` or `$`"
QUOTING = "quoting is not in the dialect; escape each punctuation character"
OTHER = "only punctuation and `\\d \\w \\s` can be escaped; remove the backslash"
SET = "sets are not combined inside a class; escape the second character"
POSIX = "named classes such as `[:alpha:]` are not in the dialect; list ASCII ranges"
BRACKET = "escape a literal bracket as `\\[`"
HYPHEN = "a literal `-` stands first or last in a class; escape it as `\\-`"
ENDS = "a range needs a character at both ends; escape a literal `-`"
FIRST = "`^` can only stand first; escape a literal one as `\\^`"
LAST = "`$` can only stand last; escape a literal one as `\\$`"
ASCII = "a class holds ASCII only; put the character beside the class, with `|`"
NO_STRING = "can be in no string that a rule sees; remove it"

REFUSED = [
    # flags and special groups
    ("(?i)k", FLAGS, 0),
    ("a(?s:.)", FLAGS, 1),
    ("(?-i)", FLAGS, 0),
    ("(?P<n>a)", NAMED, 0),
    ("(?<n>a)", NAMED, 0),
    ("(?P=n)", BACK, 0),
    ("a(?=b)", AHEAD, 1),
    ("a(?!b)", AHEAD_NOT, 1),
    ("(?<=a)b", AHEAD, 0),
    ("(?<!a)b", AHEAD_NOT, 0),
    ("(?>a)", "possessive groups are not in the dialect; write `(`", 0),
    ("(?#x)", "comments are not in the dialect", 0),
    # escapes
    (r"\bfoo", f"`\\b`: {WORD}", 0),
    (r"foo\B", f"`\\B`: {WORD}", 3),
    (r"\pL", f"`\\p`: {UNICODE}", 0),
    (r"\P{Greek}", f"`\\P`: {UNICODE}", 0),
    (r"\X", f"`\\X`: {UNICODE}", 0),
    (r"a\C", "`\\C`: single bytes are not in the dialect; write `.` for a character", 1),
    (r"\D", f"`\\D`: {NEGATED}", 0),
    (r"\W", f"`\\W`: {NEGATED}", 0),
    (r"[\S]", f"`\\S`: {NEGATED}", 1),
    (r"\Aa", f"`\\A`: {ANCHOR}", 0),
    (r"a\z", f"`\\z`: {ANCHOR}", 1),
    (r"a\Z", f"`\\Z`: {ANCHOR}", 1),
    (r"\n", f"`\\n`: {ITSELF}", 0),
    (r"[^\n]", f"`\\n`: {ITSELF}", 2),
    (r"\t", f"`\\t`: {ITSELF}", 0),
    (r"\v", f"`\\v`: {ITSELF}", 0),
    (r"(a)\1", f"`\\1`: {BACK}", 3),
    (r"\k<n>", f"`\\k`: {BACK}", 0),
    (r"\012", f"`\\0`: {NUMBER}", 0),
    (r"\x41", f"`\\x`: {NUMBER}", 0),
    (r"\x{1F600}", f"`\\x`: {NUMBER}", 0),
    (r"\u0041", f"`\\u`: {NUMBER}", 0),
    (r"\Qa.b\E", f"`\\Q`: {QUOTING}", 0),
    (r"\h", f"`\\h`: {OTHER}", 0),
    (r"\ ", f"`\\ `: {OTHER}", 0),
    ("\\é", f"`\\é`: {OTHER}", 0),
    ("\\\n", f"`\\U+000A`: {OTHER}", 0),
    ("a\\", "nothing follows the backslash; write `\\\\` for a backslash", 1),
    ("[a\\", "nothing follows the backslash; write `\\\\` for a backslash", 2),
    # repetition
    ("a*?", "lazy repetition is not in the dialect; it changes no verdict, so remove the `?`", 2),
    ("a{2}?", "lazy repetition is not in the dialect; it changes no verdict, so remove the `?`", 4),
    ("a++", "possessive repetition is not in the dialect; remove the `+`", 2),
    ("a**", STACKED, 2),
    ("a+*", STACKED, 2),
    ("a{2}{3}", STACKED, 4),
    ("*a", "there is nothing before `*` to repeat; escape it as `\\*`", 0),
    ("a|+", "there is nothing before `+` to repeat; escape it as `\\+`", 2),
    ("(?)", FLAGS, 0),
    ("(*ACCEPT)", "there is nothing before `*` to repeat; escape it as `\\*`", 1),
    ("{2}", "there is nothing before `{` to repeat; escape it as `\\{`", 0),
    ("a{,5}", BRACE, 1),
    ("a{", BRACE, 1),
    ("a{2", BRACE, 1),
    ("a{x}", BRACE, 1),
    ("a{2,x}", BRACE, 1),
    ("a{2;3}", BRACE, 1),
    ("a{٣}", BRACE, 1),
    ("a{01}", "a count has no leading zeros", 2),
    ("a{1,02}", "a count has no leading zeros", 4),
    ("a{3,2}", "`{3,2}` counts down; put the smaller number first", 1),
    ("a{1001}", "a count is at most 1000", 2),
    ("a{" + "9" * 5000 + "}", "a count is at most 1000", 2),
    ("^*a", "`^` and `$` cannot be repeated", 1),
    ("a$?", "`^` and `$` cannot be repeated", 2),
    ("(ab){501}", "the repetition expands to 1002 characters and classes; at most 1000 are allowed", 4),
    ("(a{40}){40}", "the repetition expands to 1600 characters and classes; at most 1000 are allowed", 7),
    ("((){40}){40}", "the repetition expands to 1600 characters and classes; at most 1000 are allowed", 8),
    ("a" * 1001, "the pattern has more than 1000 characters and classes; split it into several conditions", 0),
    # brackets
    ("(a", "the group is not closed; escape a literal parenthesis as `\\(`", 0),
    ("a)", "unbalanced `)`; escape it as `\\)`", 1),
    ("a]", "unbalanced `]`; escape it as `\\]`", 1),
    ("a}", "unbalanced `}`; escape it as `\\}`", 1),
    # classes
    ("[]", "a class begins with its first member; escape a literal bracket as `\\]`", 1),
    ("[^]", "a class begins with its first member; escape a literal bracket as `\\]`", 2),
    ("[]a]", "a class begins with its first member; escape a literal bracket as `\\]`", 1),
    ("x[ab", "the class is not closed; escape a literal bracket as `\\[`", 1),
    ("[a-", "the class is not closed; escape a literal bracket as `\\[`", 0),
    ("[[:alpha:]]", POSIX, 1),
    ("[[a]", BRACKET, 1),
    ("[a&&b]", f"`&&`: {SET}", 2),
    ("[a||b]", f"`||`: {SET}", 2),
    ("[a~~b]", f"`~~`: {SET}", 2),
    ("[+--]", f"`--`: {SET}", 2),
    ("[--a]", f"`--`: {SET}", 1),
    ("[a-c-e]", HYPHEN, 4),
    (r"[\w-.]", ENDS, 1),
    (r"[a-\d]", ENDS, 1),
    ("[z-a]", "`z-a` runs backwards", 1),
    ("[é]", f"`é`: {ASCII}", 1),
    ("[a-é]", f"`é`: {ASCII}", 3),
    ("[\u202e]", f"`U+202E`: {ASCII}", 1),
    # anchors
    ("a^b", FIRST, 1),
    ("a$b", LAST, 1),
    ("$^", LAST, 0),
    ("^^a", FIRST, 1),
    ("()^a", FIRST, 2),
    ("(a$|b)c", LAST, 2),
    ("a(b|^c)", FIRST, 4),
    ("(^a)*", FIRST, 1),
    ("(a$){2}", LAST, 2),
    ("(a|$)(b|)", LAST, 3),
    # characters that no string has
    ("a\0", f"U+0000 {NO_STRING}", 1),
    ("\ud800", f"U+D800 {NO_STRING}", 0),
    ("é\U00030000", f"U+30000 {NO_STRING}", 1),
]


@pytest.mark.parametrize(("pattern", "message", "offset"), REFUSED, ids=[ascii(text)[:24] for text, _, _ in REFUSED])
def test_what_is_outside_the_dialect_is_refused_with_reason_and_place(pattern: str, message: str, offset: int) -> None:
    with pytest.raises(PatternError) as caught:
        check_pattern(pattern)
    assert (caught.value.message, caught.value.offset) == (message, offset)
    assert str(caught.value) == f"{message} (at offset {offset} of the pattern)"
    assert "\n" not in str(caught.value)
    assert offset < len(pattern)


def test_a_pattern_error_is_a_value_error() -> None:
    assert issubclass(PatternError, ValueError)


@pytest.mark.parametrize(
    ("pattern", "accepted", "rejected"),
    [
        ("", [""], ["a"]),
        ("abc", ["abc"], ["ab", "abcd", "ABC"]),
        (r"\.\*\\\[\]\{\}\(\)\^\$\|\?\+\/\-\_", [r".*\[]{}()^$|?+/-_"], ["."]),
        ("a|b|", ["a", "b", ""], ["ab"]),
        ("(ab)c(?:d|e)", ["abcd", "abce"], ["abc"]),
        ("a*", ["", "aaa"], ["b"]),
        ("a+", ["a", "aaa"], [""]),
        ("a?", ["", "a"], ["aa"]),
        ("a{2}", ["aa"], ["a", "aaa"]),
        ("a{2,}", ["aa", "aaaaa"], ["a"]),
        ("a{2,3}", ["aa", "aaa"], ["a", "aaaa"]),
        ("a{0}", [""], ["a"]),
        ("a{0,0}b", ["b"], ["ab"]),
        ("(a*)*", ["", "aa"], ["b"]),
        ("(a|){2,3}", ["", "a", "aaa"], ["aaaa"]),
        ("é😀", ["é😀"], ["é"]),
        (".", ["a", "é", "\U0002ffff", "\r", "\u2028"], ["\n", "", "ab"]),
        (r"\d", ["0", "9"], ["\uff15", "a", "\u0665"]),
        (r"\w", ["a", "Z", "_", "5"], ["-", "é", "\u212a"]),
        (r"\s", [" ", "\t", "\n", "\r", "\f"], ["\v", "\u00a0", "\x1c"]),
        ("[a-c]", ["a", "b", "c"], ["d", "-"]),
        ("[-a]", ["-", "a"], ["b"]),
        ("[a-]", ["-", "a"], ["b"]),
        ("[a-c-]", ["-", "b"], ["d"]),
        (r"[a\-c]", ["a", "-", "c"], ["b"]),
        ("[a^]", ["a", "^"], ["b"]),
        (r"[\]\[]", ["[", "]"], ["\\"]),
        (r"[\d_]", ["5", "_"], ["a"]),
        ("[.*+?$|(){}]", [".", "*", "$", "{"], ["a"]),
        ("[^a]", ["b", "\n", "é", "\U0002ffff"], ["a", ""]),
        (r"[^\w/]", ["-", "é", "\n"], ["a", "/", "_"]),
        ("[^-a]", ["b"], ["-", "a"]),
        ("[\x01-\x7f]", ["a", "\n"], ["\x80", "é"]),
        ("[^/\n]+", ["a b"], ["a\nb"]),
        ("^a$", ["a"], ["a\n", "\na"]),
        (r"/\.git(/|$)", ["/.git", "/.git/"], ["/.gitx"]),
        ("(^a|b)$", ["a", "b"], ["ab"]),
    ],
)
def test_what_is_in_the_dialect_means_this(pattern: str, accepted: list[str], rejected: list[str]) -> None:
    dfa = to_dfa(pattern, mode="full")
    assert [text for text in accepted if not dfa.accepts(text)] == []
    assert [text for text in rejected if dfa.accepts(text)] == []


def test_the_tree_keeps_offsets() -> None:
    assert parse("^a|(b{2}$)") == Choice(
        (Concat((Begin(), Chars(((97, 97),)))), Concat((Repeat(Chars(((98, 98),)), 2, 2), End())))
    )
    match parse("^a|(b{2}$)"):
        case Choice(options=(Concat(items=(Begin(offset=0), Chars(offset=1))), Concat(items=(repeat, end)))):
            assert isinstance(repeat, Repeat)
            assert (repeat.offset, end) == (5, End(8))
            assert isinstance(end, End)
            assert end.offset == 8
        case other:
            pytest.fail(str(other))


def test_nesting_and_length_are_bounded() -> None:
    check_pattern("(" * MAX_DEPTH + "a" + ")" * MAX_DEPTH)
    with pytest.raises(PatternError, match=f"nested more than {MAX_DEPTH} deep"):
        check_pattern("(" * MAX_TEXT)
    with pytest.raises(PatternError, match=f"at most {MAX_TEXT} characters"):
        check_pattern("a" * (MAX_TEXT + 1))
    assert parse("a" * MAX_EXPANDED)
