"""Who made a container or a folder: a process, named so that a later process of the same number is not taken for it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LABEL_PROJECT: Final = "sandbox.call"
LABEL_PID: Final = "sandbox.owner.pid"
LABEL_START: Final = "sandbox.owner.start"
LABEL_BOOT: Final = "sandbox.owner.boot"
LABEL_NAMESPACE: Final = "sandbox.owner.namespace"

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_START_FIELD: Final = 19
"""Field 22 of /proc/PID/stat, counted behind the command's closing parenthesis: start time in clock ticks."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A process: its number, its start in ticks since boot, the boot, and the pid name space the number belongs to."""

    pid: int
    start: str
    boot: str
    namespace: str

    @classmethod
    def this(cls) -> Owner:
        """The calling process."""
        pid = os.getpid()
        boot = _BOOT_ID.read_text(encoding="ascii").strip()
        return cls(pid, _start_of(pid) or "", boot, os.readlink("/proc/self/ns/pid"))  # noqa: PTH115  # no path: a name

    def labels(self, call: str) -> tuple[tuple[str, str], ...]:
        """The labels of a container that this process owns, for one call (its digest)."""
        mine = ((LABEL_PID, str(self.pid)), (LABEL_START, self.start), (LABEL_BOOT, self.boot))
        return ((LABEL_PROJECT, call), *mine, (LABEL_NAMESPACE, self.namespace))

    def is_gone(self) -> bool:
        """Whether this process surely lives no more; one that cannot be seen from here is taken to live."""
        here = Owner.this()
        if self.boot != here.boot:
            return True
        return self.namespace == here.namespace and _start_of(self.pid) != self.start


def owner_of(labels: Mapping[str, str]) -> Owner | None:
    """The owner that these labels name; None where they do not name one."""
    try:
        pid = int(labels[LABEL_PID])
        return Owner(pid, labels[LABEL_START], labels[LABEL_BOOT], labels[LABEL_NAMESPACE])
    except (KeyError, ValueError):
        return None


def _start_of(pid: int) -> str | None:
    """When the process began, in ticks since boot; None for one that is gone or a zombie."""
    try:
        text = Path("/proc", str(pid), "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else fields[_START_FIELD]
