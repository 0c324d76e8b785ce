"""Which containers there are now, by the process that owns them and by what they are for, as their labels tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal, TypeAlias

from sandbox.execute.engine import Engine
from sandbox.execute.owner import LABEL_PROJECT, owner_of
from sandbox.execute.pool import LABEL

Kind: TypeAlias = Literal["pool", "call", "session", "other"]

_DIGEST = 64
"""Characters of a call's digest."""


def census(engine: Engine) -> Mapping[int, Counter[Kind]]:
    """How many of each kind every living process has. Raises SandboxFailure where the engine does not tell."""
    found: dict[int, Counter[Kind]] = {}
    for _, labels in engine.labelled(LABEL_PROJECT):
        owner = owner_of(labels)
        if owner is not None and not owner.is_gone():
            found.setdefault(owner.pid, Counter())[kind_of(labels.get(LABEL_PROJECT, ""))] += 1
    return found


def kind_of(label: str) -> Kind:
    """What a container is for, by what stands in the place of its call."""
    if label == LABEL:
        return "pool"
    if label.startswith("session "):
        return "session"
    return "call" if len(label) == _DIGEST else "other"
