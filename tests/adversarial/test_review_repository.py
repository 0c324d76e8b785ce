"""A folder that git takes for a repository although nothing in it is called `.git`: its `config` names programs."""

from __future__ import annotations

import pytest

from sandbox.execute.changes import list_changes, refusal
from sandbox.execute.tree import Entry

FILE = Entry("file", 0o644, 1, "1", (1, 1, 1, 1))
OTHER = Entry("file", 0o644, 1, "2", (1, 1, 1, 2))
FOLDER = Entry("directory", 0o755, 0, "", (1, 0, 1, 1))


def repository(at: str) -> dict[str, Entry]:
    inside = {"HEAD": FILE, "config": FILE, "objects": FOLDER, "refs": FOLDER}
    above = {at.rstrip("/"): FOLDER} if at else {}
    return {**above, **{f"{at}{name}": entry for name, entry in inside.items()}}


@pytest.mark.parametrize("at", ["", "vendor/", "a/b/"])
def test_a_bare_repository_is_a_hand_over(at: str) -> None:
    after = repository(at)
    reason = refusal(list_changes({}, after), after)
    assert reason is not None
    assert "git" in reason


@pytest.mark.parametrize("kind", ["objects", "refs", "commondir"])
def test_completing_or_editing_one_is_a_hand_over_too(kind: str) -> None:
    whole = repository("lib/")
    if kind == "commondir":
        whole = {"lib": FOLDER, "lib/HEAD": FILE, "lib/commondir": FILE, "lib/config": FILE}
    part = {path: entry for path, entry in whole.items() if path != f"lib/{kind}"}
    assert refusal(list_changes(part, whole), whole) is not None
    edited = {**whole, "lib/config": OTHER}
    assert refusal(list_changes(whole, edited), edited) is not None
    hooked = {**whole, "lib/hooks": FOLDER, "lib/hooks/post-checkout": FILE}
    assert refusal(list_changes(whole, hooked), hooked) is not None


def test_what_only_resembles_one_is_committed() -> None:
    after = repository("lib/")
    del after["lib/HEAD"]
    assert refusal(list_changes({}, after), after) is None
    beside = {**repository("lib/"), "notes": FILE}
    assert refusal(list_changes(repository("lib/"), beside), beside) is None
