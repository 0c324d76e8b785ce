"""Folders of our own on the host, outside of everything that a container or another user can write."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import Final

from sandbox.errors import EnvironmentLacking

PRIVATE_MODE: Final = 0o700
SYSTEM_FOLDER: Final = Path("/run")
"""Emptied at boot, like the containers that it serves, and never on a disk that is shared."""


def private_folder(*names: str) -> Path:
    """An existing folder below our own, which nobody else may enter.

    Raises:
        EnvironmentLacking: the place is taken by someone else, or cannot be made.
    """
    path = _root()
    for part in ("", *names):
        path = path / part if part else path
        try:
            path.mkdir(mode=PRIVATE_MODE, exist_ok=True)
            found = path.lstat()
        except OSError as error:
            message = f"cannot make the private folder `{path}`: {error.strerror}"
            raise EnvironmentLacking(message, "environment.folder") from error
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            message = f"`{path}` is not a folder of this user alone: remove it, or chmod 700 it"
            raise EnvironmentLacking(message, "environment.folder")
    return path


def _root() -> Path:
    if os.geteuid() == 0:
        return SYSTEM_FOLDER / "sandbox-tools"
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime or tempfile.gettempdir(), f"sandbox-tools-{os.geteuid()}")
