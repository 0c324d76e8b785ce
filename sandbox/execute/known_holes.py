"""Holes in engines and runtimes that let containers out, or lead around what is asked of them, by public advisory.

A list of what was known when this was written, not a scanner: a version that it says nothing of may have others.
Distributions mend old versions without changing their first numbers, so a version of theirs that looks too old is
reported as a question, with how to ask.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Component: TypeAlias = Literal["engine", "runc"]
Version: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Hole:
    """An advisory. `fixed` has, by branch, the first version without it; below the lowest branch all have it."""

    id: str
    component: Component
    fixed: tuple[Version, ...]
    what: str
    here: str


HOLES: Final = (
    Hole("CVE-2019-5736", "runc", ((1, 0, 0),), "a container overwrites runc", "nothing is run in a running container"),
    Hole(
        "CVE-2024-21626",
        "runc",
        ((1, 1, 12),),
        "a working directory leads to the host",
        "the working directory is fixed, and compared as seen from inside",
    ),
    *(
        Hole(
            name,
            "runc",
            ((1, 2, 8), (1, 3, 3), (1, 4, 0)),
            "masked paths and mounts are raced by what an image holds",
            "images are ours or by digest, and nothing of the tool runs while the runtime mounts",
        )
        for name in ("CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881")
    ),
    Hole(
        "CVE-2018-15664", "engine", ((19, 3, 0),), "copies out of a container are raced", "nothing is copied that way"
    ),
    Hole(
        "CVE-2024-29018",
        "engine",
        ((23, 0, 11), (25, 0, 5), (26, 0, 0)),
        "names leak out of internal networks",
        "containers have no network at all",
    ),
    *(
        Hole(name, "engine", ((29, 5, 1),), "archives sent to a container run code or write outside", "none are sent")
        for name in ("CVE-2026-41567", "CVE-2026-41568", "CVE-2026-42306")
    ),
)

_NUMBERS: Final = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")
_REPACKED: Final = re.compile(r"[+~-](ds|dfsg|deb|ubuntu|rhel|el\d|fc\d|alpine|r\d)|\dubuntu", re.IGNORECASE)


def parse_version(text: str) -> Version | None:
    """The first numbers of a version; None where there are none."""
    found = _NUMBERS.match(text)
    return None if found is None else (int(found[1]), int(found[2]), int(found[3] or 0))


def is_repacked(text: str) -> bool:
    """Whether the version is a distribution's, which mends without renumbering."""
    return _REPACKED.search(text) is not None


def holes_of(component: Component, text: str) -> Iterator[Hole]:
    """The holes of this version, going by its numbers; of a version that cannot be read, every hole."""
    version = parse_version(text)
    for hole in HOLES:
        if hole.component == component and (version is None or not _is_mended(version, hole.fixed)):
            yield hole


def _is_mended(version: Version, fixed: tuple[Version, ...]) -> bool:
    """Whether a version is at or above the first mended one of its branch, or above the last branch."""
    if version >= fixed[-1]:
        return True
    return any(version[:2] == first[:2] and version >= first for first in fixed)
