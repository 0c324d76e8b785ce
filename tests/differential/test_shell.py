"""Differential: a line that parse takes apart means to the real bash what parse says it means.

Every program of a line is a shell function that writes down its words and ends with a status that its words decide.
What bash runs, and how the line ends, must be what a few lines of Python make of the commands and operators in the
order that parse gives them: `|` binds tightest, `&&` and `||` alike and from the left, `;` least.
"""

from __future__ import annotations

import os
import shlex
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.call import Rejected
from sandbox.shell import OPERATORS, ShellLine, parse_shell, spell

RECORDER = r"""show() { { printf '%s\0' "$#" "$@"; } >&3; return $(( $# % 2 )); }
"""

Command = tuple[str, ...]


def status(command: Command) -> int:
    """What `show` ends with."""
    return (len(command) - 1) % 2


def by_bash(line: str) -> tuple[list[Command], int]:
    """The commands that bash ran, and the line's status."""
    reading, writing = os.pipe()
    script = 'exec 3>&"$1"; shift\n' + RECORDER + line
    environment = {"PATH": "", "LC_ALL": "C.UTF-8"}
    ran = subprocess.run(
        ["/bin/bash", "--norc", "--noprofile", "-c", script, "bash", str(writing)],
        pass_fds=[writing],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment,
        timeout=60,
        check=False,
    )
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        written = file.read().decode().split("\0")[:-1]
    assert ran.stderr == b"", (line, ran.stderr)
    commands = []
    while written:
        count = int(written[0])
        commands.append(("show", *written[1 : count + 1]))
        written = written[count + 1 :]
    return commands, ran.returncode


def by_canonical_form(parts: list[object]) -> tuple[list[Command], int]:
    """What runs, and the status, by the commands and operators alone."""
    ran: list[Command] = []
    last, runs = 0, True
    pipeline: list[Command] = []
    for part in [*parts, ";"]:
        if isinstance(part, list):
            pipeline.append(tuple(part))
        elif part != "|":
            if runs:
                ran += pipeline
                last = status(pipeline[-1])
            pipeline = []
            runs = part == ";" or (last == 0) == (part == "&&")
    return ran, last


def agree(line: str) -> bool:
    """Whether parse accepted the line, all of it `show`s; if so, bash has said the same."""
    found = parse_shell(line)
    if isinstance(found, Rejected) or {command[0] for command in found} != {"show"}:
        return False
    commands, code = by_bash(line)
    expected, expected_code = by_canonical_form(found.canonical())
    assert (sorted(commands), code) == (sorted(expected), expected_code), line
    return True


PLAIN = "a b-c x=1 --k=v 1 0 -1 2 ./a/../b a,b 50% u@h:p + if then time do %1 - --"
QUOTED = r"""'' "" 'a' "a" '"' "'" "\"" "\\" \a \$ \' \" \\ \# \; \| \& \~ \* '$x' '`a`' '*' '~' '{a,b}' 'é' "日" '#'"""
REFUSED = r"""$x `a` * ~ {a,b} # a#b >x <x & ( ) [a] ? "$x" "\n" "!" \ ' " =~ a=~ { } é \é ^ a^b !"""

pieces = st.one_of(
    st.sampled_from([*PLAIN.split(), *QUOTED.split(), *PLAIN.split(), *QUOTED.split(), *REFUSED.split()]),
    st.sampled_from(["'a b'", '"a b"', "\\ ", "\t", "\u00a0", "\\\t", "'\t'"]),
    st.text("ab \\'\"$`!#*?~;|&<>(){}[]=%^-/.,\t", min_size=1, max_size=6),
    st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), min_size=1, max_size=3).map(shlex.quote),
)
words = st.lists(pieces, min_size=1, max_size=4).map("".join)
blanks = st.sampled_from([" ", "  ", "\t", " \t "])


@st.composite
def lines(draw: st.DrawFn) -> str:
    line = ""
    for position in range(draw(st.integers(1, 5))):
        operator = draw(st.sampled_from(["&&", "||", ";", "|", "&&", "||", ";", "|", "&", "|&", ";;", "&& &&"]))
        space = draw(st.sampled_from(["", " ", "  "]))
        line += f"{space}{operator}{space}" if position else ""
        line += "show" + "".join(draw(blanks) + word for word in draw(st.lists(words, max_size=4)))
    return line


characters = st.characters(min_codepoint=32, max_codepoint=0x2FFFF, exclude_categories=["Cs", "Cc", "Zl", "Zp"])
plain_words = st.text(characters | st.sampled_from("ab \\'\"$`!#*?~;|&<>(){}[]=%^-"), max_size=8)
commands = st.tuples(st.lists(plain_words, max_size=4), st.sampled_from(sorted(OPERATORS)))


@settings(max_examples=300, deadline=None)
@given(lines())
def test_whatever_parse_accepts_bash_reads_alike(line: str) -> None:
    agree(line)


@settings(max_examples=100, deadline=None)
@given(st.lists(commands, min_size=1, max_size=6))
def test_every_list_of_words_can_be_written_and_is_run_as_written(parts: list[tuple[list[str], str]]) -> None:
    line = ShellLine(("show", *given_words) for given_words, _ in parts)
    line.operators = tuple(operator for _, operator in parts[1:])
    assert agree(spell(line))
    assert parse_shell(spell(line)).canonical() == line.canonical()
    assert parse_shell(spell(tuple(line))) == line


@pytest.mark.parametrize(
    "line",
    [
        *("show", "show a|show b", "show a||show b&&show", "show;show a", "show a && show || show b c ; show"),
        *("show a | show b && show || show c", "show && show a | show || show d", "show a || show b && show c ; show"),
        *("\\show a", "'show' a", 'sh"ow" a', "s'h'o\\w a", "show a'b'\"c\"d", "show '' \"\" \\'", "show\ta\t b\t"),
        *("show x=1 y+=2", "show 1 2", "show -1 --a=b", "show if then fi", "show \\\\", "show 'a\\'", "show 'é日'"),
        *('show "\\\\" "\\""', "show '\t'", "show %1 a%b", "show time '!'", f"show {'a ' * 63}", "show;" * 63 + "show"),
    ],
)
def test_lines_by_hand(line: str) -> None:
    assert agree(line)
