"""Unit: string constants, literal languages and the language of canonical paths, as Z3 has them."""

from __future__ import annotations

import subprocess
import sys

import pytest
import z3

import sandbox.regex
from sandbox.regex import literal_re, path_language, python_string, to_z3, z3_string
from sandbox.regex.dfa import dfa_of
from sandbox.regex.solver import LiteralWhere, canonical_paths, re_of
from sandbox.regex.syntax import Begin

CTX = z3.Context()


def inside(text: str, language: z3.ReRef) -> bool:
    """Z3's own ground verdict, which must be a literal."""
    verdict = z3.simplify(z3.InRe(z3_string(text, CTX), language))
    assert z3.is_true(verdict) or z3.is_false(verdict), verdict
    return z3.is_true(verdict)


@pytest.mark.parametrize(
    "text", ["", "a", r"d\u{61}ta", r"\x41\n", '""', "\n\r\t", "é😀", "\x01", "\u2028", "\U0002ffff"]
)
def test_a_string_goes_in_and_out_by_its_code_points(text: str) -> None:
    assert python_string(z3_string(text, CTX)) == text
    assert z3.is_true(z3.simplify(z3.Length(z3_string(text, CTX)) == len(text)))


def test_a_string_of_a_model_is_read_back_exactly() -> None:
    subject, solver = z3.String("subject", CTX), z3.Solver(ctx=CTX)
    solver.add(subject == z3_string(r"d\u{61}ta\é" + "\n", CTX))
    assert solver.check() == z3.sat
    assert python_string(solver.model()[subject]) == r"d\u{61}ta\é" + "\n"


def test_what_is_not_exact_is_refused() -> None:
    with pytest.raises(ValueError, match=r"U\+30000 is outside"):
        z3_string("a\U00030000", CTX)
    with pytest.raises(ValueError, match="not a string constant"):
        python_string(z3.String("free", CTX))
    with pytest.raises(ValueError, match="anchor has no language"):
        re_of(Begin(), CTX)


PARTS = ["", "a", "Ab", "ab", "/data/", "k", "\u212a", "é", r"\u{61}", ".*", "\n"]
SUBJECTS = [*PARTS, "AB", "xab", "abx", "xabx", "/DATA/x", "x/data/", "K", "xé", "éx", "b", "a\n", "aB\nab"]


def lower_ascii(text: str) -> str:
    """CEL's lowerAscii, naively."""
    return "".join(char.lower() if "A" <= char <= "Z" else char for char in text)


@pytest.mark.parametrize("where", ["is", "starts", "ends", "contains"])
@pytest.mark.parametrize("lower", [False, True])
def test_a_literal_language_is_the_string_test_of_python(where: LiteralWhere, *, lower: bool) -> None:
    for part in PARTS:
        language = literal_re(part, where=where, lower=lower, ctx=CTX)
        for subject in SUBJECTS:
            text = lower_ascii(subject) if lower else subject
            expected = {
                "is": text == part,
                "starts": text.startswith(part),
                "ends": text.endswith(part),
                "contains": part in text,
            }[where]
            assert inside(subject, language) == expected, (part, subject)


PATHS = ["/", "/a", "/a/b", "/.a", "/..a", "/...", "/a.", "/a..", "/~", "/a/.b/..c", "/é/😀 x", "/-", "/a\u2028b"]
NO_PATHS = [
    *("", "a", "~", "~/a", "//", "/a/", "/a//b", "/.", "/..", "/./a", "/a/.", "/a/..", "/a/../b", "/a/./b"),
    *("/a\\b", "/a\0", "/a\nb", "/\x1f", "/\x7f", "/\x80", "/\x9f", "/\ud800", "./a", "../a"),
]


def test_the_path_language_has_exactly_the_canonical_paths() -> None:
    for language in (path_language(CTX), path_language(CTX, "/data")):
        assert [path for path in PATHS if not inside(path, language)] == []
        assert [path for path in NO_PATHS if inside(path, language)] == []


def test_the_path_language_agrees_with_its_automaton_on_the_transition_cover() -> None:
    language, dfa = path_language(CTX), dfa_of(canonical_paths())
    cover = dfa.transition_cover()
    assert len(cover) > 100
    for text in [*cover, *PATHS, *NO_PATHS]:
        assert dfa.accepts(text) == inside(text, language), ascii(text)


def test_a_bound_of_zero_is_not_no_bound() -> None:
    for pattern in ("a{0}", "a{0,0}"):
        language = to_z3(pattern, mode="full", ctx=CTX)
        assert inside("", language)
        assert not inside("a", language)


def test_importing_patterns_does_not_import_the_solver() -> None:
    program = "import sys, sandbox.regex; sandbox.regex.full_matcher('a'); sys.exit('z3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_every_public_name_is_there() -> None:
    assert sorted(sandbox.regex.__all__) == sandbox.regex.__all__
    assert all(callable(getattr(sandbox.regex, name)) for name in sandbox.regex.__all__ if name != "Mode")
    with pytest.raises(AttributeError, match="no attribute `fullmatch`"):
        _ = sandbox.regex.fullmatch
