"""Where a workspace may not be: it must not hold, be, or lie in what decides about it.

Checked on real paths when a spec is loaded; the runner opens folders without following links all the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from sandbox.ir import Contract, RunTool

STATE_FOLDER: Final = ".sandbox"
"""Beside the spec, where nothing else is said."""

_ROOT_MARKS: Final = (".git", "pyproject.toml")
_PACKAGE: Final = Path(__file__).parents[1]
"""Where the shipped tools lie: in it when installed, beside it in a checkout."""


def check(contract: Contract, note: Callable[..., None]) -> None:
    """Notes every workspace whose folder touches the state, a tool's module, or the spec itself."""
    for source, at in workspaces(contract):
        message = refusal(source, contract)
        if message:
            note(message, *at)


def workspaces(contract: Contract) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """The real path of every workspace of a spec, and where in the file its source stands."""
    runs = [(tool.run, ("tools", tool.name, "run")) for tool in contract.tools]
    for run, at in (*runs, (contract.server, ("server",))):
        if run is not None and run.workspace is not None:
            yield workspace_folder(contract, run.workspace.source), (*at, "workspace", "source")


def workspace_folder(contract: Contract, source: str) -> Path:
    """The real path of a workspace, relative to the spec file."""
    return real(Path(contract.file).parent / source)


def real(path: Path) -> Path:
    """A path without links; a part that is missing, too long or a loop stands for itself."""
    return Path(os.path.realpath(path))  # `Path.resolve` raises on loops


def holds(folder: Path, file: Path) -> bool:
    """Whether `file` is or lies in `folder`, both real paths."""
    return file == folder or folder in file.parents


def refusal(source: Path, contract: Contract) -> str:
    """Why the workspace `source` (a real path) may not be beside this contract, or ''."""
    spec = Path(contract.file)
    for kept, what in _kept(contract, spec):
        if holds(source, kept) or holds(kept, source):
            return f"a workspace may not be, contain or lie in the folder of {what}; choose another folder"
    proofs = contract.require_proofs
    if holds(source, real(spec)) or (proofs is not None and holds(source, real(spec.parent / proofs))):
        return "a workspace may not contain a spec or property file; choose another folder"
    if any(holds(source, real(spec.parent / secret)) for secret in _credential_files(contract)):
        return "a workspace may not contain the file of a credential; choose another folder"
    return ""


def _credential_files(contract: Contract) -> Iterator[str]:
    for tool in contract.tools:
        for grant in tool.run.network if tool.run is not None else ():
            if grant.credential is not None and grant.credential.kind == "file":
                yield grant.credential.place


def _kept(contract: Contract, spec: Path) -> Iterator[tuple[Path, str]]:
    yield real(spec.parent / STATE_FOLDER), "the state"
    for tool in contract.tools:
        if tool.run is not None and isinstance(tool.run.what, RunTool):
            yield from ((folder, "a tool module") for folder in module_folders(spec, tool.run.what.module))


def module_folders(spec: Path, module: str) -> Iterator[Path]:
    """The folder of a module's package (its own folder, where it has no package), as LANGUAGE looks it up."""
    name = Path(*module.split("."))
    for folder in (*_upward(real(spec).parent), _PACKAGE / "shipped", _PACKAGE.parent):
        file, package = folder / name.with_suffix(".py"), folder / name / "__init__.py"
        if file.is_file() or package.is_file():
            yield real(folder / name.parts[0] if len(name.parts) > 1 or package.is_file() else folder)
            return


def _upward(start: Path) -> Iterator[Path]:
    folders = (start, *start.parents)
    marked = next((folder for folder in folders if any((folder / mark).exists() for mark in _ROOT_MARKS)), None)
    highest = marked if marked is not None else start.parent
    for folder in folders:
        yield folder
        if folder == highest:
            return
