"""Kills containers of calls whose gate does not: by the labels that name the process and the call."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Set as AbstractSet
from typing import Final

from sandbox.errors import SandboxFailure
from sandbox.execute.engine import Engine
from sandbox.execute.owner import LABEL_BOOT, LABEL_PID, LABEL_PROJECT, LABEL_START

Named = tuple[int, str, str]
"""A process's number, its boot and start (`boot:start`), and the digest of its call."""

_DIGEST: Final = re.compile("[0-9a-f]{64}")
"""The label of a container that was made for one call; one of a pool or of a session has another."""


def kill_containers(engine: Engine, calls: AbstractSet[Named]) -> int:
    """Kills the container of each of these calls; how many.

    Which container of a pool, or of a session, serves which call is known to its process alone: all of that process's
    are killed then, also those that wait. A gate that lives would have done it itself, and one call at a time.
    """
    killed = 0
    for container, labels in engine.labelled(LABEL_PROJECT):
        process = (labels.get(LABEL_PID, ""), f"{labels.get(LABEL_BOOT)}:{labels.get(LABEL_START)}")
        label = labels.get(LABEL_PROJECT, "")
        own = {call for pid, start, call in calls if (str(pid), start) == process}
        if own and (label in own or not _DIGEST.fullmatch(label)):
            with contextlib.suppress(SandboxFailure):  # it may have ended meanwhile
                engine.kill(container)
                killed += 1
    return killed
