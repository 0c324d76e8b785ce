"""Patterns as RE2 runs them: what decides at run time.

RE2 never sees an author's text; it gets a rendering of our own tree, in which every character is a number
and no shorthand, flag or default is left to differ on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.metadata import version
from typing import Final, Protocol, TypeAlias

import re2

from sandbox.errors import EnvironmentLacking
from sandbox.regex.alphabet import MAX_CODE_POINT, Ranges
from sandbox.regex.parser import parse
from sandbox.regex.syntax import Begin, Chars, Choice, Concat, End, Node, PatternError, Repeat

Matcher: TypeAlias = Callable[[str], bool]

MAX_MEMORY: Final = 8 << 20
"""Bytes that one compiled pattern may use; beyond it RE2 refuses, or matches without its cache, still linearly."""
MAX_CACHED: Final = 1_024
"""Compiled patterns that are kept: more than the specs of one process have."""

_LAST_UNICODE: Final = 0x10FFFF


Spans: TypeAlias = list[tuple[int, int]]
"""Where the whole match lies, in bytes: (-1, -1) if there is none. Groups never capture."""


class _Compiled(Protocol):
    """The part of RE2's own compiled pattern that is used: the Python objects around it take 2.3 times as long."""

    def ok(self) -> bool: ...
    def error(self) -> bytes: ...
    def Match(self, anchor: object, text: bytes, start: int, end: int) -> Spans: ...  # noqa: N802 - RE2's name


@dataclass(frozen=True, slots=True)
class Engine:
    """RE2 below its Python objects: what compiles a pattern, and where a match must lie."""

    compile: Callable[[bytes, object], _Compiled]
    whole: object
    anywhere: object


def engine(module: str = "re2._re2") -> Engine:
    """RE2's own module, once it has shown that it answers as is relied upon. Raises EnvironmentLacking if it does not.

    It is private to google-re2, and may change in any version.
    """
    try:
        inner = import_module(module)
        found = Engine(inner.RE2, inner.RE2.Anchor.ANCHOR_BOTH, inner.RE2.Anchor.UNANCHORED)
        tried = found.compile(b"b", re2.Options())
        answers = [tried.Match(anchor, b"ab", 0, 2) for anchor in (found.anywhere, found.whole)]
        as_relied_upon = tried.ok() is True and answers == [[(1, 2)], [(-1, -1)]]
    except (ImportError, AttributeError, TypeError, ValueError, IndexError):
        as_relied_upon = False
    if not as_relied_upon:
        message = (
            f"google-re2 {version('google-re2')} has no RE2 that this package can use; install google-re2>=1.1,<1.2"
        )
        raise EnvironmentLacking(message)
    return found


@lru_cache(maxsize=MAX_CACHED)
def full_matcher(text: str) -> Matcher:
    """Whether a whole string is in the pattern's language. Raises PatternError for a text outside the dialect.

    The matcher raises UnicodeEncodeError on a lone surrogate: such a string must not have come this far.
    """
    return _matching(text, _ENGINE.whole)


@lru_cache(maxsize=MAX_CACHED)
def search_matcher(text: str) -> Matcher:
    """Whether some part of a string is in the pattern's language; else as `full_matcher`."""
    return _matching(text, _ENGINE.anywhere)


def render(node: Node) -> str:
    """The tree as RE2 text that means the same under RE2's defaults."""
    match node:
        case Chars(ranges=ranges):
            return _rendered_class(ranges)
        case Begin():
            return r"\A"
        case End():
            return r"\z"
        case Concat(items=items):
            return f"(?:{''.join(render(item) for item in items)})"
        case Choice(options=options):
            return f"(?:{'|'.join(render(option) for option in options)})"
        case Repeat(body=body, low=low, high=high):
            return f"(?:{render(body)}){_rendered_counts(low, high)}"


def _matching(text: str, anchor: object) -> Matcher:
    match = _compile(text).Match

    def matches(subject: str) -> bool:
        encoded = subject.encode()
        return match(anchor, encoded, 0, len(encoded))[0][0] >= 0

    return matches


def _compile(text: str) -> _Compiled:
    options = re2.Options()
    options.max_mem = MAX_MEMORY
    options.log_errors = False
    options.never_capture = True
    compiled = _ENGINE.compile(render(parse(text)).encode(), options)
    if not compiled.ok():
        message = f"RE2 refuses the pattern: {compiled.error().decode('utf-8', 'replace')}; make it smaller"
        raise PatternError(message, 0)
    return compiled


def _rendered_class(ranges: Ranges) -> str:
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
        return f"\\x{{{ranges[0][0]:X}}}"
    return f"[{''.join(_rendered_range(low, high) for low, high in ranges)}]"


def _rendered_range(low: int, high: int) -> str:
    """A class that reaches our last character is a negated one: in RE2 it goes on to Unicode's last."""
    return f"\\x{{{low:X}}}-\\x{{{_LAST_UNICODE if high == MAX_CODE_POINT else high:X}}}"


def _rendered_counts(low: int, high: int | None) -> str:
    match low, high:
        case 0, None:
            return "*"
        case 1, None:
            return "+"
        case _, None:
            return f"{{{low},}}"
        case _:
            return f"{{{low},{high}}}"


_ENGINE: Final = engine()
