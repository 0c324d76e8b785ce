"""Which code a call runs: the module that `run.tool` names, its digest, and the private copy that is mounted.

Looked up in the nearest folder at or above the spec file, no higher than the folder with `.git` or
`pyproject.toml` (where there is none: the spec's own folder), never in a folder above the spec's that others
may write, or in the spec's own if others may add to it what they may not change; else among the tools that
the package ships. Never the current directory, never `sys.path`.
What was digested is what is mounted: the bytes are read once, and written into a folder of our own.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox.errors import UsageError
from sandbox.execute.folders import private_folder
from sandbox.execute.owner import Owner
from sandbox.ir import Contract, Run, RunTool

PROJECT_MARKS: Final = (".git", "pyproject.toml")
SHIPPED_PACKAGE: Final = "tools"
RESERVED: Final = frozenset({"sandbox"})
"""Inside the container this name is the stub that makes `@sandboxed` the identity."""

FILES_LIMIT: Final = 10_000
"""Files of one package: a module that lies in a large folder by accident is noticed."""

BYTES_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of one package; it is read, digested and copied before a call."""

SNAPSHOT_LIFE_S: Final = 7 * 24 * 3600
"""Copies are small, but every edit of a tool makes another one."""

GUEST: Final = (
    *(Path(__file__).with_name(name) for name in ("guest.py", "guest_server.py", "front.py")),
    Path(__file__).parents[1] / "fetching.py",
)
"""The programs that are ours inside the container; they are read here, and run only there."""
SNAPSHOT_MODE: Final = 0o755
"""The container's user must read the copy; on the host it lies inside a folder that only we may enter."""


@dataclass(frozen=True, slots=True)
class ToolSource:
    """The files that are mounted, by relative name, and their digest (SHA-256, hex); `origin` is where they lie.

    `origin` is None for `run.argv`, which mounts no module.
    """

    origin: Path | None
    files: tuple[tuple[str, bytes], ...]
    digest: str


def resolve_source(contract: Contract, run: Run) -> ToolSource:
    """The module that a tool's `run` names, read whole.

    Raises:
        UsageError: there is no such module where one may lie, or its package holds links or is too large.
    """
    if not isinstance(run.what, RunTool):
        return ToolSource(None, (), source_digest(()))
    parts = run.what.module.split(".")
    if not all(part.isidentifier() for part in parts) or parts[0] in RESERVED:
        message = f"`{run.what.module}` is no module that a tool can live in"
        raise UsageError(message, "run.module")
    for folder in _folders(contract):
        if _has_module(folder, parts):
            return _read(folder, parts[0])
    shipped = shipped_folder()
    if parts[0] == SHIPPED_PACKAGE and shipped is not None and _has_module(shipped, parts):
        return _read(shipped, parts[0])
    searched = ", ".join(f"`{folder}`" for folder in _folders(contract)) or "no folder"
    message = (
        f"no module `{run.what.module}` beside the spec {contract.file or contract.name} (looked in {searched}) or "
        "among the shipped tools; put it into the spec's folder or the project's root"
    )
    raise UsageError(message, "run.module")


def shipped_folder() -> Path | None:
    """Where the package's own tools lie: in a wheel beside its modules, in a source checkout beside the package."""
    package = Path(__file__).parents[1]
    for folder in (package / "shipped", package.parent):
        if (folder / SHIPPED_PACKAGE / "__init__.py").is_file():
            return folder
    return None


def snapshot(source: ToolSource) -> Path:
    """A folder with exactly these files and the guest's programs, made once per digest, writable by us alone.

    An existing one is read again before it is used; one that differs is never used.

    Raises:
        UsageError: the folder exists and does not hold what it should; says what to remove.
    """
    guest = tuple((path.name, path.read_bytes()) for path in GUEST)
    name = hashlib.sha256(f"{source.digest} {source_digest(guest)}".encode()).hexdigest()
    files = (*guest, *((f"source/{path}", data) for path, data in source.files))
    folder = private_folder("snapshots") / name
    if not folder.exists():
        _write(folder, files)
    os.utime(folder)
    if source_digest(tuple(_walk(folder))) != source_digest(files):
        message = f"the copy of the tool's module at `{folder}` was changed: remove that folder"
        raise UsageError(message, "run.module")
    return folder


def drop_old_snapshots(now_s: float) -> None:
    """Removes copies that no call has used for `SNAPSHOT_LIFE_S`: far longer than any call can run."""
    for folder in private_folder("snapshots").iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process drops the same one
            if now_s - folder.stat().st_mtime > SNAPSHOT_LIFE_S:
                shutil.rmtree(folder)


# --- private -------------------------------------------------------------------------------------------


def _folders(contract: Contract) -> Iterator[Path]:
    """The folders that may hold the module, nearest first."""
    if not contract.file:
        return
    own = Path(os.path.abspath(contract.file)).parent  # noqa: PTH100  # links are not followed: the folder is where the spec was named
    if not _others_may_add(own):
        yield own
    project = _project(own)
    if project is None or project == own:
        return
    for folder in own.parents:
        if _others_may_write(folder):
            return
        yield folder
        if folder == project:
            return


def _project(own: Path) -> Path | None:
    for folder in (own, *own.parents):
        if any(os.path.lexists(folder / mark) for mark in PROJECT_MARKS):
            return folder
    return None


def _others_may_add(folder: Path) -> bool:
    """Whether others may put a module beside a spec that they may not change: a folder like `/tmp`."""
    try:
        mode = folder.stat().st_mode
    except OSError:
        return True  # there is nothing to be found in it
    return bool(mode & stat.S_ISVTX and mode & (stat.S_IWGRP | stat.S_IWOTH))


def _others_may_write(folder: Path) -> bool:
    found = folder.stat()
    return bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)) or found.st_uid not in {0, os.geteuid()}


def _has_module(folder: Path, parts: list[str]) -> bool:
    path = folder.joinpath(*parts)
    return path.with_name(f"{path.name}.py").is_file() or (path / "__init__.py").is_file()


def _read(folder: Path, top: str) -> ToolSource:
    """The top-level package, or the single module, below a folder."""
    package = folder / top
    single = folder / f"{top}.py"
    if package.is_dir() and not package.is_symlink():
        files = tuple((f"{top}/{name}", data) for name, data in _walk(package))
        return ToolSource(package, files, source_digest(files))
    data = _read_file(single)
    if data is None:
        message = f"`{single}` is a link; a tool's module must be a file of its own"
        raise UsageError(message, "run.module")
    files = ((single.name, data),)
    return ToolSource(single, files, source_digest(files))


def _walk(root: Path) -> Iterator[tuple[str, bytes]]:
    """Every regular file below, by relative name in sorted order; compiled files left out, links refused."""
    count = size = 0
    for folder, folders, names in os.walk(root, onerror=_unreadable):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted([*names, *(name for name in folders if Path(folder, name).is_symlink())]):
            if name.endswith(".pyc"):
                continue
            path = Path(folder, name)
            data = _read_file(path)
            if data is None:
                message = f"`{path}` is a link or no regular file; a tool's package may hold only files and folders"
                raise UsageError(message, "run.module")
            count, size = count + 1, size + len(data)
            if count > FILES_LIMIT or size > BYTES_LIMIT:
                message = f"the package at `{root}` has more than {FILES_LIMIT} files or {BYTES_LIMIT} bytes"
                raise UsageError(message, "run.module")
            yield path.relative_to(root).as_posix(), data


def _unreadable(error: OSError) -> None:
    message = f"`{error.filename}` cannot be read: {error.strerror}"
    raise UsageError(message, "run.module") from error


def _read_file(path: Path) -> bytes | None:
    """The bytes of a regular file, or None for a link or anything else."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if path.is_symlink():
            return None
        message = f"`{path}` cannot be read: {error.strerror}"
        raise UsageError(message, "run.module") from error
    with os.fdopen(descriptor, "rb") as file:
        return file.read(BYTES_LIMIT + 1) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None


def source_digest(files: tuple[tuple[str, bytes], ...]) -> str:
    """Over names and contents, each with its length, so that no two sets of files give the same bytes."""
    digest = hashlib.sha256()
    for name, data in sorted(files):
        encoded = name.encode("utf-8", "surrogateescape")
        digest.update(f"{len(encoded)} {len(data)}\n".encode() + encoded + data)
    return digest.hexdigest()


def _write(folder: Path, files: tuple[tuple[str, bytes], ...]) -> None:
    """All files into a new folder, which gets its name only when it is whole."""
    partial = private_folder("partial") / f"{Owner.claiming().name}.{secrets.token_hex(8)}"
    partial.mkdir(mode=SNAPSHOT_MODE)
    for name, data in files:
        path = partial / name
        path.parent.mkdir(mode=SNAPSHOT_MODE, parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o444)
    for path in (partial, *partial.rglob("*")):
        if path.is_dir():
            path.chmod(SNAPSHOT_MODE)
    try:
        partial.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        shutil.rmtree(partial)
