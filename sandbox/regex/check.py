"""Everything that a pattern is refused for at load, in one call."""

from __future__ import annotations

from typing import Final

from sandbox.regex.dfa import check_states
from sandbox.regex.matcher import full_matcher
from sandbox.regex.parser import parse
from sandbox.regex.syntax import Mode, language

_MODES: Final[tuple[Mode, ...]] = ("full", "search")


def check_pattern(text: str, *, mode: Mode | None = None) -> None:
    """Raise PatternError unless the pattern is in the dialect and within its limits.

    The limits are 1,000 characters and classes once written out, a minimal automaton of 512 states in `mode`
    (None: in both modes), and whatever RE2 refuses. `lowerAscii` never makes an automaton larger.
    """
    node = parse(text)
    for wanted in _MODES if mode is None else (mode,):
        check_states(language(node, wanted))
    full_matcher(text)
