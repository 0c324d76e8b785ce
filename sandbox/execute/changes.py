"""What a call changed in its workspace, and whether that may be committed at all (LANGUAGE.md, section 6). Pure.

Regular files and folders may; links, devices, sockets, set-id bits and names that deceive may not, whatever a spec
says, and files that the host would later act upon only where the spec's own `changes` rules grant them. One that may
not refuses the whole call.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Final, Literal

from sandbox.call import Change
from sandbox.execute.tree import JOURNAL_FOLDER, SET_ID, Entry
from sandbox.hand_over import hands_over, plainly

NAME_LIMIT: Final = 255
"""Bytes of one component, as file systems have it."""

_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories of control, bidirectional and zero-width marks, bytes that are no UTF-8, separators."""


def list_changes(before: Mapping[str, Entry], after: Mapping[str, Entry]) -> tuple[Change, ...]:
    """Every path that differs, sorted; a path that became another kind of thing is deleted and added."""
    changes: list[Change] = []
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path), after.get(path)
        if old is not None and new is not None and old.kind == new.kind:
            if (old.mode, old.digest) != (new.mode, new.digest):
                changes.append(_change(path, "modified", new))
            continue
        if old is not None:
            changes.append(_change(path, "deleted", old))
        if new is not None:
            changes.append(_change(path, "added", new))
    return tuple(changes)


def refusal(changes: tuple[Change, ...], after: Mapping[str, Entry], *, grants_hand_over: bool = False) -> str | None:
    """Why these changes may not be committed, or None if they may; `after` is the tree that they lead to.

    `grants_hand_over` leaves files that the host acts upon to the spec's own rules.
    """
    for change in changes:
        reason = _refused_name(change.path)
        if reason is None and change.kind != "deleted":
            reason = _refused_kind(after[change.path])
        if reason is None and not grants_hand_over:
            reason = _handed_over(change, after)
        if reason is not None:
            return f"{shown_path(change.path)} {reason}"
    return None


def shown_path(path: str) -> str:
    """A path that a tool chose, for messages: in backticks, on one line, in ASCII."""
    return f"`{path.encode('unicode_escape', 'backslashreplace').decode('ascii')}`"


def _handed_over(change: Change, after: Mapping[str, Entry]) -> str | None:
    if any(hands_over(part) for part in change.path.split("/")):
        return "is a file that tools on the host act upon"
    return None if change.kind == "deleted" else _refused_place(change.path, after)


def _change(path: str, kind: Literal["added", "modified", "deleted"], entry: Entry) -> Change:
    type_: Literal["file", "directory"] = "directory" if entry.kind == "directory" else "file"
    if kind == "deleted":
        return Change(path, kind, type_, 0, 0)
    return Change(path, kind, type_, entry.mode, entry.size, entry.digest)


def _refused_kind(entry: Entry) -> str | None:
    if entry.kind == "link":
        return "is a symbolic link"
    if entry.kind == "special":
        return "is a device, fifo, socket, hard link, or too deep"
    if entry.mode & SET_ID:
        return "has set-id bits"
    return None


def _refused_place(path: str, after: Mapping[str, Entry]) -> str | None:
    """Git acts upon the `config` and hooks of whatever looks like a repository, whether or not it is named `.git`."""
    parts = path.split("/")
    for depth in range(len(parts)):
        above = "".join(f"{part}/" for part in parts[:depth])
        has = {name for name in ("HEAD", "objects", "refs", "commondir") if f"{above}{name}" in after}
        if has >= {"HEAD", "objects", "refs"} or has >= {"HEAD", "commondir"}:
            return "lies in what git takes for a repository, and so for its settings"
    return None


def _refused_name(path: str) -> str | None:
    parts = path.split("/")
    for part in parts:
        if any(unicodedata.category(character) in _INVISIBLE or character == "\\" for character in part):
            return "has a name with hidden, control or non-UTF-8 characters, or a backslash"
        if len(part.encode("utf-8", "surrogateescape")) > NAME_LIMIT:
            return f"has a component of more than {NAME_LIMIT} bytes"
        if plainly(part) == JOURNAL_FOLDER:
            return "is a name that the sandbox keeps for itself"
    return None
