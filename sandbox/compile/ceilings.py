"""What a spec must stay within, for the proof of it: the ceilings that it extends, or those that a property names."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sandbox.compile.contract import Loaded
from sandbox.compile.joined import check_calls
from sandbox.compile.policy import files_of
from sandbox.errors import UsageError
from sandbox.ir import TRUE, Contract, Property
from sandbox.lang.source import Problems, shown

EXTENDS: Final = "extends"
"""The id of the property that every spec with a ceiling has."""


def extended(loaded: Loaded, above: tuple[Contract, ...]) -> tuple[Property, ...]:
    """That the spec stays within what it extends, which is `above`; nothing where it extends nothing."""
    if not above:
        return ()
    only = Property(
        id=EXTENDS,
        kind="within",
        condition=TRUE,
        tools=_names(loaded.contract),
        text=loaded.contract.extends or "",
        why="the spec says that it stays within what it extends",
        ceilings=above,
        place=loaded.written.place("extends"),
    )
    return (only,)


def _names(contract: Contract) -> tuple[str, ...]:
    return tuple(tool.name for tool in contract.tools)


def named(
    loaded: Loaded, folder: Path, source: str, note: Callable[[str], None], problems: Problems
) -> tuple[Contract, ...]:
    """The spec that a `within` names, followed by what that one extends; nothing where it does not load or fit."""
    place = folder / source
    if os.path.realpath(place) == os.path.realpath(loaded.contract.file):
        note(f"{shown(source)} is the spec itself; name the one that it must stay within")
        return ()
    try:
        files, _ = files_of(place, os.path.normpath(place))
    except UsageError:
        note(f"{shown(source)} is no spec file; the path is relative to this file")
        return ()
    for each in files:
        check_calls(loaded, each, problems)
    return tuple(each.contract for each in files)
