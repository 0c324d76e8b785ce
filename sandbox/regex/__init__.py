"""The one place for patterns: one dialect, and its one translation to RE2, to Z3 and to a minimal automaton.

`parser` refuses what is outside the dialect; `matcher` (RE2) decides at run time; `solver` (Z3) is what proofs see;
`dfa` bounds a pattern at load and gives tests the strings on which the other two must agree.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from sandbox.regex.atoms import Accepts, Atom, accepts, samples
from sandbox.regex.check import check_pattern
from sandbox.regex.dfa import Dfa, to_dfa
from sandbox.regex.matcher import full_matcher, search_matcher
from sandbox.regex.syntax import Mode, PatternError

if TYPE_CHECKING:
    from sandbox.regex.solver import atom_re, literal_re, path_language, python_string, to_z3, z3_integer, z3_string

__all__ = [
    "Accepts",
    "Atom",
    "Dfa",
    "Mode",
    "PatternError",
    "accepts",
    "atom_re",
    "check_pattern",
    "full_matcher",
    "literal_re",
    "path_language",
    "python_string",
    "samples",
    "search_matcher",
    "to_dfa",
    "to_z3",
    "z3_integer",
    "z3_string",
]

_NEEDS_Z3 = frozenset({"atom_re", "literal_re", "path_language", "python_string", "to_z3", "z3_integer", "z3_string"})


def __getattr__(name: str) -> object:
    """What needs z3 is imported on first use."""
    if name not in _NEEDS_Z3:
        message = f"module `{__name__}` has no attribute `{name}`"
        raise AttributeError(message)
    return getattr(importlib.import_module("sandbox.regex.solver"), name)
