"""A shell command line whose every word is plain, taken apart once and run without a shell.

tree-sitter's bash grammar reads it; only commands of literal words joined by `&&`, `||`, `;` or `|` pass. What a
shell would expand, redirect, assign or interpret is refused. The words are then compared with `shlex`, an
independent reader: where the two differ, the line is refused.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from sandbox.call import Rejected, Value
from sandbox.ir import SHELL_WORDS

if TYPE_CHECKING:
    from tree_sitter import Node

OPERATORS: Final = frozenset({"&&", "||", ";", "|"})
"""How commands are joined."""

RESERVED: Final = frozenset(
    {"!", "[[", "]]", "case", "coproc", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if", "in"}
    | {"select", "then", "time", "until", "while", "{", "}"}
)
"""Words that are no command's name to a shell."""

_CONTROL: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_ACTIVE: Final = re.compile(r"""[$`*?\[\]{}~!#<>()&;|'"^]|[^\x21-\x7e]""")
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=.*", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)


class ShellLine(tuple[tuple[str, ...], ...]):  # noqa: SLOT001  # a tuple cannot have slots beside its items
    """The commands of a line, each a tuple of words; `operators` stand between them."""

    operators: tuple[str, ...] = ()

    def canonical(self) -> list[object]:
        """`[["git", "log"], "|", ["wc"]]`."""
        parts: list[object] = [list(self[0])]
        for operator, command in zip(self.operators, self[1:], strict=True):
            parts += [operator, list(command)]
        return parts


class _Refused(Exception):
    """What stands in the line that may not; the text goes to whoever wrote the call."""


def parse_shell(text: str) -> ShellLine | Rejected:
    """The commands of a line and what joins them."""
    try:
        return _parsed(text)
    except _Refused as refused:
        return Rejected("parse.shell", f"{refused} is not accepted; plain words joined by && || ; or | are")


def spell(commands: tuple[Value, ...]) -> str:
    """A line that is read back as these commands, joined by `;`."""
    lists = [command for command in commands if isinstance(command, tuple)]
    return " ; ".join(" ".join(f"'{_inner(str(word))}'" for word in command) for command in lists)


def _inner(word: str) -> str:
    return word.replace("'", "'\"'\"'")


def _parsed(text: str) -> ShellLine:
    if _CONTROL.search(text):
        message = "a newline or control character"
        raise _Refused(message)
    tree = _grammar(text)
    if tree.has_error:
        message = "a line that a shell could not read"
        raise _Refused(message)
    commands: list[tuple[str, ...]] = []
    operators: list[str] = []
    for part in _flattened(tree):
        if isinstance(part, str):
            operators.append(part)
        else:
            commands.append(part)
    _check(text, commands, operators)
    line = ShellLine(commands)
    line.operators = tuple(operators)
    return line


def _grammar(text: str) -> Node:
    import tree_sitter_bash  # noqa: PLC0415  # native code that only specs with shell lines need
    from tree_sitter import Language, Parser  # noqa: PLC0415

    return Parser(Language(tree_sitter_bash.language())).parse(text.encode()).root_node


def _flattened(node: Node) -> Iterator[tuple[str, ...] | str]:
    """Commands and operators in the order of the text, which is how a shell of equal `&&` and `||` takes them."""
    if node.is_missing:
        message = "an unfinished line"
        raise _Refused(message)
    match node.type:
        case "program" | "list" | "pipeline":
            for child in node.children:
                yield from _flattened(child)
        case "command":
            yield tuple(_word(child) for child in node.children)
        case operator if operator in OPERATORS and not node.is_named:
            yield str(operator)
        case other:
            message = f"`{_name(other)}`"
            raise _Refused(message)


def _word(node: Node) -> str:
    source = (node.text or b"").decode()
    match node.type:
        case "command_name" if len(node.children) == 1:
            return _word(node.children[0])
        case "word" | "number" if not node.children:
            return _unescaped(source)
        case "raw_string":
            return source[1:-1]
        case "string":
            if any(child.type not in {'"', "string_content"} for child in node.children):
                message = "an expansion in double quotes"
                raise _Refused(message)
            return _unquoted(source[1:-1])
        case "concatenation":
            return "".join(_word(child) for child in node.children)
        case other:
            message = f"`{_name(other)}`"
            raise _Refused(message)


def _unescaped(source: str) -> str:
    """A word outside of quotes: a backslash takes the next character as it is, and nothing else is special."""
    if source.endswith("\\") and not source.endswith("\\\\"):
        message = "a backslash at the end"
        raise _Refused(message)
    active = _ACTIVE.search(_ESCAPE.sub("", source))
    if active:
        message = "a character outside of quotes that a shell would act on, or that is not ASCII,"
        raise _Refused(message)
    return _ESCAPE.sub(r"\1", source)


def _unquoted(source: str) -> str:
    """The inside of double quotes; a backslash before anything but a quote or a backslash is refused."""
    if re.search(r'[$`!]|\\(?!["\\])', re.sub(r'\\["\\]', "", source)):
        message = "`$`, a backquote, `!` or a backslash in double quotes"
        raise _Refused(message)
    return re.sub(r'\\(["\\])', r"\1", source)


def _check(text: str, commands: list[tuple[str, ...]], operators: list[str]) -> None:
    if not commands or len(operators) != len(commands) - 1:
        message = "an empty command"
        raise _Refused(message)
    if sum(len(command) for command in commands) > SHELL_WORDS:
        message = f"a line of more than {SHELL_WORDS} words"
        raise _Refused(message)
    for command in commands:
        if not command[0] or command[0] in RESERVED or _ASSIGNMENT.fullmatch(command[0]):
            message = "an assignment, a reserved word or nothing in the place of a program"
            raise _Refused(message)
    expected = [word for command, joint in zip(commands, [*operators, ""], strict=True) for word in (*command, joint)]
    if _second_opinion(text) != expected[:-1]:
        message = "a line that two readers take differently"
        raise _Refused(message)


def _second_opinion(text: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";|&")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t", True, ""
    try:
        return list(lexer)
    except ValueError as error:
        message = "a line that two readers take differently"
        raise _Refused(message) from error


def _name(node_type: str) -> str:
    return node_type.replace("_", " ") if node_type.isascii() and node_type.isprintable() else "this"
