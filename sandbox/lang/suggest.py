"""The nearest known name to one that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

CLOSE_ENOUGH: Final = 0.6
"""difflib's ratio from which a name is worth suggesting: one or two slips of the finger."""

LISTED: Final = 8
"""Names that are listed where none is near; more would not fit in a line."""


def near_miss(name: str, known: Iterable[str]) -> str:
    """What to append to a message about an unknown name: `; did you mean ...` `; known: ...`, or to look again."""
    names = sorted(set(known))
    near = difflib.get_close_matches(name[:100], names, n=1, cutoff=CLOSE_ENOUGH)
    if near:
        return f"; did you mean `{near[0]}`?"
    if 0 < len(names) <= LISTED:
        return "; known: " + ", ".join(f"`{name}`" for name in names)
    return "; check its spelling"
