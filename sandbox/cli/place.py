"""Where the state is, for commands that take no spec: `--state`, else $SANDBOX_STATE, else the nearest `.sandbox/`."""

from __future__ import annotations

import os
from pathlib import Path

from sandbox.errors import UsageError
from sandbox.state import DEFAULT_FILE, STATE_VARIABLE
from sandbox.state_file import path_of


def state_path(url: str | None) -> Path:
    """The database's file, which may not be there; UsageError where nothing says where it would be."""
    named = url or os.environ.get(STATE_VARIABLE)
    if named:
        return path_of(named)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / DEFAULT_FILE).is_file():
            return folder / DEFAULT_FILE
    message = "no `.sandbox/` at or above the current folder; name the state with --state URL"
    raise UsageError(message)
