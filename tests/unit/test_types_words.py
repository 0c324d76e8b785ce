"""Unit: shell lines and argvs. What is accepted, and its words; what is refused, and with which code."""

from __future__ import annotations

import pytest
from typed_calls import canonical, code, misjudged, value_of

from sandbox.canonical import raw_value
from sandbox.ir import SHELL_WORDS, ArgvType, ShellType
from sandbox.parse import MAX_WORD
from sandbox.shell import RESERVED, ShellLine

SHELL = ShellType(4_096)
ARGV = ArgvType(4)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("ls", [["ls"]]),
        ("git log --oneline -1", [["git", "log", "--oneline", "-1"]]),
        ("git log | wc", [["git", "log"], "|", ["wc"]]),
        ("a&&b||c;d|e", [["a"], "&&", ["b"], "||", ["c"], ";", ["d"], "|", ["e"]]),
        ("a 'b c' \"d e\" f\\ g", [["a", "b c", "d e", "f g"]]),
        ("a '' \"\"", [["a", "", ""]]),
        ("a '$x `y` * ~ # & > <'", [["a", "$x `y` * ~ # & > <"]]),
        ('a "it\'s * # & > < ; | {x,y} ~"', [["a", "it's * # & > < ; | {x,y} ~"]]),
        ('a "\\"" "\\\\"', [["a", '"', "\\"]]),
        ("a \\$x \\* \\; \\| \\& \\\\ \\' \\\"", [["a", "$x", "*", ";", "|", "&", "\\", "'", '"']]),
        ("a 'b'\\''c'", [["a", "b'c"]]),
        ("a b'c'\"d\"", [["a", "bcd"]]),
        ("a x=1 --y=2 3", [["a", "x=1", "--y=2", "3"]]),
        ("dd if=/dev/zero of=a,b:c@d%e+f", [["dd", "if=/dev/zero", "of=a,b:c@d%e+f"]]),
        (" \t ls \t -l \t ", [["ls", "-l"]]),
        ("./a/../b -- -x", [["./a/../b", "--", "-x"]]),
        ("echo if then do time", [["echo", "if", "then", "do", "time"]]),
        ("a 'é' \"日\"", [["a", "é", "日"]]),
        ("a '\t'", [["a", "\t"]]),
        ("/bin/ls", [["/bin/ls"]]),
        ("'a b'", [["a b"]]),
        ("eval x ; exec y ; . z", [["eval", "x"], ";", ["exec", "y"], ";", [".", "z"]]),
    ],
)
def test_a_line_is_its_words_and_operators(raw: str, expected: list[object]) -> None:
    assert canonical(SHELL, raw) == expected


REFUSED = [
    *(
        "",
        " ",
        "\t",
        ";",
        "&&",
        "|",
        "a ;",
        "; a",
        "a && ",
        "&& a",
        "a || ",
        "a |",
        "| a",
        "a ;; b",
        "a && && b",
        "a | | b",
    ),
    *(
        "a & b",
        "a &",
        "a |& b",
        "a &&& b",
        "a ||| b",
        "a ; ; b",
        "a\nb",
        "a\r",
        "a \\\nb",
        "a\x0bb",
        "a\x1b[0m",
        "a\x7f",
        "a '\n'",
    ),
    *(
        "$x",
        "a $x",
        "a ${x}",
        "a $(b)",
        "a `b`",
        'a "$x"',
        'a "`b`"',
        'a "$(b)"',
        "a $'x'",
        'a $"x"',
        "a $((1))",
        "a$",
        "a $",
    ),
    *(
        "a *",
        "a ?",
        "a [b]",
        "[ -f x ]",
        "[[ -f x ]]",
        "a b*c",
        "a @(b|c)",
        "a !(b)",
        "a ~",
        "a ~root/x",
        "a x=~",
        "a b~",
    ),
    *(
        "a {b,c}",
        "a {1..3}",
        "{ a; }",
        "a {}",
        "a }",
        "(a)",
        "( a ; b )",
        "((1))",
        "a()",
        "f() { a; }",
        "function f { a; }",
    ),
    *(
        "a > b",
        "a >> b",
        "a < b",
        "a <<< b",
        "a << E",
        "a 2>&1",
        "a >&2",
        "a <(b)",
        "a >(b)",
        "a &> b",
        "2>x a",
        "a<b",
        "a>b",
    ),
    *(
        "x=1",
        "x=1 a",
        "x+=1 a",
        "a_1=b c",
        "'x=1'",
        "x\\=1 a",
        "x='1' a",
        "export x=1",
        "declare x=1",
        "local x=1",
    ),
    *(
        "readonly x=1",
        "typeset x",
        "unset x",
        "a # b",
        "#a",
        "a#b",
        "a '#' #",
        "!a",
        "! a",
        "a !",
        'a "!"',
        "!!",
        "a !$",
        "^a^b",
    ),
    *(
        "if a; then b; fi",
        "while a; do b; done",
        "for x in a; do b; done",
        "case a in b) c;; esac",
        "time a",
        "coproc a",
    ),
    *(
        "until a; do b; done",
        "select x in a; do b; done",
        "then",
        "fi",
        "do a",
        "done",
        "in a",
        "else",
        "esac",
        "elif",
        "'if' a",
    ),
    *(
        "a '",
        'a "',
        "a 'b\" ",
        "a \\",
        "a \\\\\\",
        "'",
        '"',
        "a 'b'c'",
        'a "b\\"',
        'a "\\n"',
        'a "\\a"',
        'a "\\$x"',
        'a "\\\'"',
    ),
    *(
        "'' a",
        '"" a',
        "''",
        "%1",
        "%1 a",
        "'%1'",
        "a ; '' b",
        "\\",
        "a\u00a0b",
        "a \u3000",
        "é",
        "a é",
        "a \\é",
        "\uff41",
        "a\u2028",
    ),
    *(
        "a '\u2028'",
        "a '\x85'",
        "a '\x01'",
        "a" + " b" * SHELL_WORDS,
        "a;" * SHELL_WORDS + "a",
        "a " * 2_000,
        "$(" * 2_000,
    ),
    *(
        "(" * 4_096,
        "{ " * 2_000,
        "a $(" * 1_000,
        "'" * 4_095,
        '"$(' * 1_000,
        "<<a " * 1_000,
        "[[ " * 1_000,
        "`" * 4_096,
    ),
    *(
        "if " * 1_000,
        "$((" * 1_000,
        "case a in " * 400,
        "f(){ " * 800,
        "${a:-" * 800,
        "\\" * 4_095,
        "a" + "&&a" * 1_300,
    ),
]


HOSTILE_LINES = [
    *((raw, "parse.shell") for raw in REFUSED),
    *((raw, "parse.type") for raw in (1, True, ["ls"], [["ls"]], {}, {"cmd": "ls"})),
    *((None, "parse.null"), ("a \0", "parse.unicode"), ("a '\ud800'", "parse.unicode")),
    *(("a '\U00030000'", "parse.unicode"), ("a" * 4_097, "parse.size"), ("$(" * 2_049, "parse.size")),
]


def test_what_a_shell_would_do_more_with_is_refused() -> None:
    assert misjudged(SHELL, HOSTILE_LINES) == []


@pytest.mark.parametrize(
    "raw", ["a 'b'\\ c", 'a 1 "b"\\ c', "\\ a,", "export", ", ==''b", "2+= 1", "2=='b'", "2=='\\''\\$", "a ==", "a@b"]
)
def test_where_the_readers_differ_the_line_is_refused(raw: str) -> None:
    assert code(SHELL, raw) == "parse.shell"


LINES = """
pip install foo==1.0 && python -m pytest -q tests/test_a.py::test_b -k "a and not b"
git commit -m "a message: it's" ; git push origin :branch || git log --since=2.weeks
grep -rn 'a|b' src | sort | uniq -c | head -n 5
find . -name '*.py' -not -path './x/*'
sed -n 1,10p file | awk '{print $1}'
docker run --rm -e A=b img 7z x a
make -j4 CC=gcc ; test -f x && g++ -O2 a.cpp -o a.out
curl -s 'https://example.org/x?y=1' -o out.json
ssh user@host uptime ; xargs -n1 -I % cp % ; date +%s ; sleep 0.5
"""


@pytest.mark.parametrize("line", LINES.strip().splitlines())
def test_what_people_type_is_accepted(line: str) -> None:
    assert canonical(SHELL, line)


@pytest.mark.parametrize("word", sorted(RESERVED))
def test_no_reserved_word_is_a_program(word: str) -> None:
    assert code(SHELL, word) == code(SHELL, f"a ; {word} b") == "parse.shell"
    assert canonical(SHELL, f"a {word}") == [["a", word]]


def test_as_many_words_as_proofs_look_at_are_accepted() -> None:
    assert value_of(SHELL, "a " * SHELL_WORDS) == (("a",) * SHELL_WORDS,)
    assert value_of(SHELL, "a;" * (SHELL_WORDS - 1) + "a") == (("a",),) * SHELL_WORDS
    assert value_of(SHELL, "a" * 4_096) == (("a" * 4_096,),)


def test_commands_without_their_operators_are_spelled_one_after_the_other() -> None:
    commands = (("a b", "'", ""), ("c",))
    assert raw_value(commands, SHELL) == "'a b' ''\"'\"'' '' ; c"
    assert value_of(SHELL, raw_value(commands, SHELL)) == commands
    assert raw_value((("1%", "-x", "a=b"),), SHELL) == "'1%' -x 'a=b'"
    assert value_of(SHELL, "'1%' -x 'a=b'") == value_of(SHELL, "1\\% -x a=b")
    line = value_of(SHELL, "a | b && c")
    assert isinstance(line, ShellLine)
    assert raw_value(line, SHELL) == "a | b && c"


@pytest.mark.parametrize(
    "words",
    [
        ["git"],
        ["a", "", " ", "$(b)"],
        ["a;b", "'", '"', "\\"],
        ["é", "日", "\U0002ffff", "\t"],
        ["-x", "--", "\r"],
        [""],
        ["a" * MAX_WORD],
    ],
)
def test_an_argv_is_its_words(words: list[str]) -> None:
    assert canonical(ARGV, words) == words
    assert value_of(ARGV, words) == tuple(words)


HOSTILE_ARGVS = [
    *((raw, "parse.type") for raw in ("git log", "", 1, True, {}, {"0": "git"}, [1], ["git", True], ["git", ["log"]])),
    *((raw, "parse.type") for raw in (["a", {}], ["a", 1.5], [[]], [["git"]], '["git"]', ["git", {"log": ""}])),
    *(([], "parse.size"), (["a"] * 5, "parse.size"), (["a"] * 10_000, "parse.size")),
    *((["a" * (MAX_WORD + 1)], "parse.size"), (["a" * MAX_WORD] * 4 + [""], "parse.size"), ([""] * 5, "parse.size")),
    *((None, "parse.null"), ([None], "parse.null"), (["a", None], "parse.null")),
    *(([word], "parse.argv") for word in ("a\nb", "\n", "\r\n", "a\n", "\na")),
    *((["a", "b\n"], "parse.argv"), (["a", "\r\n"], "parse.argv")),
    *((["a\0"], "parse.unicode"), (["\ud800"], "parse.unicode"), (["a", "\U00030000"], "parse.unicode")),
    *((["\0"], "parse.unicode"), (["\udc00\ud800"], "parse.unicode"), (["a", "b\0\n"], "parse.unicode")),
]


def test_what_is_no_list_of_words_is_refused() -> None:
    assert misjudged(ARGV, HOSTILE_ARGVS) == []


def test_the_word_is_named() -> None:
    from typed_calls import call_of

    assert call_of(ARGV, ["a", "b\n"]).reason == (
        "argument `x`, item 1: a newline is not accepted; words of one line are"
    )
