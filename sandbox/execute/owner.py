"""Who made a container or a folder: a process, named so that a later process of the same number is not taken for it.

Labels can be written by whoever makes a container, and a number means something else in another name space. So a
process claims what it makes: it holds the lock of a file in our own folder for as long as it lives, and that, where
there is one, is what counts. Where there is none (another user's, whose folder is not ours) the process is looked for.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox.execute.folders import private_folder

LABEL_PROJECT: Final = "sandbox.call"
LABEL_PID: Final = "sandbox.owner.pid"
LABEL_START: Final = "sandbox.owner.start"
LABEL_BOOT: Final = "sandbox.owner.boot"
LABEL_NAMESPACE: Final = "sandbox.owner.namespace"

CLAIM_LIFE_S: Final = 7 * 24 * 3600
"""A claim that nobody holds is kept for this long: what its owner left may lie with an engine that is not there now."""

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_START_FIELD: Final = 19
"""Field 22 of /proc/PID/stat, counted behind the command's closing parenthesis: start time in clock ticks."""

_NUMBER: Final = re.compile(r"[1-9][0-9]{0,9}")
_TICKS: Final = re.compile(r"[0-9]{0,20}")
_BOOT: Final = re.compile(r"[0-9a-z-]{1,64}")
_NAMESPACE: Final = re.compile(r"pid:\[([0-9]{1,20})\]")
_PARTS: Final = 3


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

    @classmethod
    def claiming(cls) -> Owner:
        """The calling process, which holds its claim from now on: for whoever makes what others may find.

        Raises:
            EnvironmentLacking: as `private_folder`.
        """
        this = cls.this()
        _claim(this)
        return this

    @property
    def name(self) -> str:
        """The name of its claim, and what its folders' names begin with; short, for sockets lie in some of them."""
        namespace = _NAMESPACE.fullmatch(self.namespace)
        return f"{self.pid}.{self.start}.{namespace[1] if namespace else ''}"

    def labels(self, call: str) -> tuple[tuple[str, str], ...]:
        """The labels of a container that this process owns, for one call (its digest)."""
        mine = ((LABEL_PID, str(self.pid)), (LABEL_START, self.start), (LABEL_BOOT, self.boot))
        return ((LABEL_PROJECT, call), *mine, (LABEL_NAMESPACE, self.namespace))

    def is_gone(self) -> bool:
        """Whether this process surely lives no more; one that cannot be seen from here is taken to live."""
        here = Owner.this()
        if self.boot != here.boot:
            return True
        held = _is_held(private_folder("owners") / self.name)
        if held is not None:
            return not held
        return self.namespace == here.namespace and _has_ended(self.pid, self.start)


def owner_of(labels: Mapping[str, str]) -> Owner | None:
    """The owner that these labels name; None where they do not name one as we would."""
    pid, start = labels.get(LABEL_PID, ""), labels.get(LABEL_START, "")
    boot, namespace = labels.get(LABEL_BOOT, ""), labels.get(LABEL_NAMESPACE, "")
    shaped = ((_NUMBER, pid), (_TICKS, start), (_BOOT, boot), (_NAMESPACE, namespace))
    if LABEL_START not in labels or not all(shape.fullmatch(text) for shape, text in shaped):
        return None
    return Owner(int(pid), start, boot, namespace)


def owner_of_folder(name: str) -> Owner | None:
    """The owner by whose name a folder's name begins; None for a name that is not of our making."""
    parts = name.split(".")
    if len(parts) <= _PARTS:
        return None
    pid, start, namespace = parts[:_PARTS]
    boot = Owner.this().boot  # of another one a claim is held no more
    return owner_of({LABEL_PID: pid, LABEL_START: start, LABEL_NAMESPACE: f"pid:[{namespace}]", LABEL_BOOT: boot})


def drop_old_claims(now_s: float) -> None:
    """Removes claims that nobody holds any more, a while after they were made."""
    for path in private_folder("owners").iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process drops the same one
            if now_s - path.stat().st_mtime > CLAIM_LIFE_S and _is_held(path) is False:
                path.unlink()  # should its process begin only now, it looks whether it is still there


# --- private -------------------------------------------------------------------------------------------

_held: dict[Owner, int] = {}
_claiming = threading.Lock()


def _claim(owner: Owner) -> None:
    """Holds the lock of the owner's file, for as long as the process lives."""
    with _claiming:
        if owner in _held:
            return
        path = private_folder("owners") / owner.name
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    _held[owner] = descriptor
                    return
            os.close(descriptor)


def _forget() -> None:
    """In a forked child, which is another process: its parent's claims are not its own to keep."""
    global _claiming  # noqa: PLW0603  # whoever held it is not here
    _claiming = threading.Lock()
    for descriptor in _held.values():
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_forget)


def _is_held(path: Path) -> bool | None:
    """Whether a claim's process lives; None where there is no claim."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _has_ended(pid: int, start: str) -> bool:
    """Whether no process of this number began then. One that hides from us is taken to be it."""
    found = _start_of(pid)
    if found is not None:
        return found != start
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        pass
    return False


def _start_of(pid: int) -> str | None:
    """When the process began, in ticks since boot; '' for a zombie, None for one that cannot be looked at."""
    try:
        text = Path("/proc", str(pid), "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] in {"Z", "X"} else fields[_START_FIELD]
