"""The kill switch as a file beside the state: thrown without a lock that a stuck process could hold.

The database counts how often it was thrown and remembers that it is; the file is what works when the database is held,
full or damaged. Either of the two means stopped.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from sandbox.errors import UsageError

SUFFIX: Final = ".stopped"


def marker_of(database: Path) -> Path:
    """The file of this database's switch: `state.db` has `state.stopped`."""
    return database.with_suffix(SUFFIX)


def is_thrown(marker: Path | None) -> bool:
    """Whether the file is there; whatever cannot be looked at is taken to be."""
    if marker is None:
        return False
    try:
        os.lstat(marker)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def throw(marker: Path) -> None:
    """Makes the file, on disk when this returns; UsageError where it cannot be made."""
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        _sync(marker.parent)
    except OSError as error:
        message = f"the kill switch cannot be thrown at `{marker}`: {error.strerror}"
        raise UsageError(message, "state.place") from error


def clear(marker: Path) -> None:
    """Removes the file; UsageError where it cannot be removed."""
    try:
        with contextlib.suppress(FileNotFoundError):
            marker.unlink()
        _sync(marker.parent)
    except OSError as error:
        message = f"the kill switch cannot be turned off at `{marker}`: {error.strerror}"
        raise UsageError(message, "state.place") from error


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
