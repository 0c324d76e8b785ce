"""A shell command line whose every word is plain, taken apart once and run without a shell.

Two readers take it apart, and must agree: `_words`, which knows plain words, quotes and the four operators and refuses
the first character that a shell would expand, redirect or interpret; and tree-sitter's grammar of bash, which says
what a shell makes of the line. The first bounds what the second ever sees: nothing that nests, and few words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NoReturn

from sandbox.call import Rejected, Value
from sandbox.ir import SHELL_WORDS

if TYPE_CHECKING:
    from tree_sitter import Node

OPERATORS: Final = frozenset({"&&", "||", ";", "|"})
"""How commands are joined."""

RESERVED: Final = frozenset(
    {"case", "coproc", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if", "in", "select", "then"}
    | {"time", "until", "while"}
)
"""Words that are no program's name to a shell, beside those that are no plain words."""

_CONTROL: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_PIECE: Final = re.compile(
    r"""(?P<blank>[ \t]+)|(?P<operator>&&|\|\||;|\|)|(?P<plain>[A-Za-z0-9%+,./:=@_-]+)|\\(?P<escaped>[ -~])"""
    r"""|'(?P<single>[^']*)'|"(?P<double>(?:[^"\\$`!]|\\["\\])*)\""""
)
_ESCAPE: Final = re.compile(r"\\([ -~])")
_NO_PROGRAM: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=|%")
"""What a shell takes for an assignment, or for a job."""

_TAME: Final = re.compile(r"[A-Za-z./-][A-Za-z0-9._/-]*")
"""Words that need no quotes to any reader; the grammar stumbles over some others, such as `1%`."""

_WHY: Final = {
    "'": "a quote that is not closed",
    '"': 'a double quote that is not closed, or around `$`, a backquote, `!` or a backslash before all but \\ and "',
    "\\": "a backslash before nothing, or before what is not ASCII",
}


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
        line = _first_reading(text)
        _check(line)
        if line.canonical() != list(_second_reading(text)):
            _refuse("a line that two readers take differently")
    except _Refused as refused:
        return Rejected("parse.shell", f"{refused} is not accepted; plain words joined by && || ; or | are")
    return line


def spell(commands: tuple[Value, ...]) -> str:
    """A line that is read back as these commands: with a line's own operators, else joined by `;`."""
    spelled = [" ".join(_quoted(str(word)) for word in command) for command in commands if isinstance(command, tuple)]
    operators = commands.operators if isinstance(commands, ShellLine) else (";",) * (len(spelled) - 1)
    joined = [f" {operator} {command}" for operator, command in zip(operators, spelled[1:], strict=True)]
    return "".join([*spelled[:1], *joined])


def _quoted(word: str) -> str:
    return word if _TAME.fullmatch(word) else "'" + word.replace("'", "'\"'\"'") + "'"


def _refuse(what: str) -> NoReturn:
    raise _Refused(what)


def _check(line: ShellLine) -> None:
    if sum(map(len, line)) > SHELL_WORDS:
        _refuse(f"a line of more than {SHELL_WORDS} words")
    for program, *_ in line:
        if not program or program in RESERVED or _NO_PROGRAM.match(program):
            _refuse("an assignment, a reserved word, a job or nothing in the place of a program")


# --- the first reader: plain words, quotes, operators --------------------------------------------------


def _first_reading(text: str) -> ShellLine:
    if _CONTROL.search(text):
        _refuse("a newline or control character")
    commands: list[tuple[str, ...]] = []
    operators: list[str] = []
    words: list[str] = []
    open_word = False
    for kind, piece in _pieces(text):
        match kind:
            case "blank":
                open_word = False
            case "operator":
                commands.append(_command(words))
                operators.append(piece)
                words, open_word = [], False
            case _ if open_word:
                words[-1] += piece
            case _:
                words.append(piece)
                open_word = True
    line = ShellLine([*commands, _command(words)])
    line.operators = tuple(operators)
    return line


def _command(words: list[str]) -> tuple[str, ...]:
    if not words:
        _refuse("an empty command")
    return tuple(words)


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """White space, operators, and parts of words, with what they are; a part without its quotes and escapes."""
    place = 0
    while place < len(text):
        found = _PIECE.match(text, place)
        if found is None:
            _refuse(_WHY.get(text[place], f"{_named(text[place])} outside of quotes"))
        kind = found.lastgroup or ""
        piece = found[kind]
        yield kind, _ESCAPE.sub(r"\1", piece) if kind == "double" else piece
        place = found.end()


def _named(char: str) -> str:
    if "!" <= char <= "~":
        return "a backquote" if char == "`" else f"`{char}`"
    return "a character that is not ASCII"


# --- the second reader: a shell's grammar --------------------------------------------------------------


def _second_reading(text: str) -> Iterator[list[str] | str]:
    tree = _grammar(text)
    if tree.has_error:
        _refuse("a line that a shell could not read")
    return _flattened(tree)


def _grammar(text: str) -> Node:
    import tree_sitter_bash  # noqa: PLC0415  # native code that only specs with shell lines need
    from tree_sitter import Language, Parser  # noqa: PLC0415

    return Parser(Language(tree_sitter_bash.language())).parse(text.encode()).root_node


def _flattened(node: Node) -> Iterator[list[str] | str]:
    """Commands and operators in the order of the text, which is how a shell of equal `&&` and `||` takes them."""
    match node.type:
        case "program" | "list" | "pipeline":
            for child in node.children:
                yield from _flattened(child)
        case "command":
            yield [_word(child) for child in node.children]
        case operator if operator in OPERATORS and not node.is_named:
            yield str(operator)
        case other:
            raise _unexpected(other)


def _word(node: Node) -> str:
    source = (node.text or b"").decode()
    match node.type:
        case "command_name" if len(node.children) == 1:
            return _word(node.children[0])
        case "word" | "number" if not node.children:
            return _ESCAPE.sub(r"\1", source)
        case "raw_string":
            return source[1:-1]
        case "string" if all(child.type in {'"', "string_content"} for child in node.children):
            return _ESCAPE.sub(r"\1", source[1:-1])
        case "concatenation":
            return "".join(_word(child) for child in node.children)
        case other:
            raise _unexpected(other)


def _unexpected(type_: str) -> _Refused:
    return _Refused(f"`{type_.replace('_', ' ')}`" if type_.replace("_", "").isalnum() and type_.isascii() else "this")
