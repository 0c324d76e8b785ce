"""Files of the workspace: read one, write one, list a folder. Paths are absolute, like `/workspace/notes/a.txt`."""

from __future__ import annotations

import os
import stat

from tools.beneath import open_beneath

READ_LIMIT = 1024 * 1024  # bytes; a larger file would not fit a result


def read(path: str) -> dict[str, object]:
    """The content of a UTF-8 file."""
    with os.fdopen(open_beneath(path, os.O_RDONLY), "rb") as file:
        data = file.read(READ_LIMIT + 1)
    if len(data) > READ_LIMIT:
        message = f"{path} is larger than {READ_LIMIT} bytes"
        raise ValueError(message)
    return {"path": path, "content": data.decode()}


def write(path: str, content: str) -> dict[str, object]:
    """Replaces the content of a file, or makes it; its folder must be there."""
    data = content.encode()
    descriptor = open_beneath(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    return {"path": path, "bytes": len(data)}


def list_dir(path: str) -> dict[str, object]:
    """The entries of a folder, sorted by name, each with its type and size."""
    descriptor = open_beneath(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        entries = [_entry(descriptor, name) for name in sorted(os.listdir(descriptor))]  # noqa: PTH208  # of a descriptor, not a path
    finally:
        os.close(descriptor)
    return {"path": path, "entries": entries}


def _entry(folder: int, name: str) -> dict[str, object]:
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}
    return {"name": name, "type": kinds.get(stat.S_IFMT(found.st_mode), "other"), "size": found.st_size}
