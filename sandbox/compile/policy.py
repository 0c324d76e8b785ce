"""Spec files -> the policy of one gate: each given spec, followed by the ceilings that it extends, shown to fit."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from sandbox.compile.contract import Loaded, load
from sandbox.compile.joined import check_fit
from sandbox.errors import Problem, SpecError, UsageError
from sandbox.ir import Contract
from sandbox.lang.source import Problems, shown
from sandbox.policy import Member, Policy

MAX_SPECS: Final = 8
"""Specs of one gate: each is a solver process, and judges every call of its tools in turn."""

SpecPaths: TypeAlias = str | Path | Sequence[str | Path]
"""One spec, or several for one gate."""


def load_policy(specs: SpecPaths) -> Policy:
    """The policy of a gate on these specs.

    Raises SpecError with every problem that could be found, UsageError where there is no such file, no spec at all, or
    one of them twice.
    """
    paths = [specs] if isinstance(specs, str | Path) else list(specs)
    if not paths:
        message = "no spec is given; name at least one"
        raise UsageError(message)
    gathered = _Gathered()
    for path in paths:
        gathered.take(path)
    return gathered.policy()


def ceilings_of(path: Path, name: str, loaded: Loaded) -> tuple[Contract, ...]:
    """What a spec that was read already extends, the nearest first. Raises as `load_policy`."""
    gathered = _Gathered({os.path.realpath(path): _File(name, loaded)})
    gathered.take(path)
    return gathered.policy().contracts[1:]


def files_of(path: Path, name: str) -> tuple[tuple[Loaded, ...], list[tuple[int, int]]]:
    """A spec, called `name` in messages, followed by what it extends; and the positions of each and its ceilings.

    Raises as `load_policy`, of every file by itself.
    """
    gathered = _Gathered()
    gathered.take(path, name)
    return tuple(file.loaded for file in gathered.files.values()), gathered.pairs()


def lint_ceilings(policy: Policy) -> tuple[Problem, ...]:
    """Remarks on what no ceiling lets through, each at its place."""
    found = []
    for tool in policy.tools:
        shared = policy.shared(tool.name)
        if shared is not None and shared.lacking is not None:
            ceiling = shown(shared.lacking.name)
            message = f"the ceiling {ceiling} does not describe {shown(tool.name)}, so that it is always denied"
            found.append(Problem(tool.place, message))
    return tuple(found)


@dataclass(slots=True)
class _File:
    """One spec, as it was named, and the key of the one that it extends."""

    name: str
    loaded: Loaded
    extends: str | None = None


@dataclass(slots=True)
class _Gathered:
    """Every file by its real path, each read once: two readings could differ."""

    files: dict[str, _File] = field(default_factory=dict)
    given: list[str] = field(default_factory=list)

    def take(self, path: str | Path, name: str | None = None) -> None:
        """A given spec, with all that it extends."""
        key = os.path.realpath(path)
        if key in self.given:
            message = f"`{path}` is given twice; name it once"
            raise UsageError(message)
        self.given.append(key)
        self._follow(key, str(path) if name is None else name, [])

    def _follow(self, key: str, name: str, chain: list[str]) -> None:
        """Reads the file at `key` and what it extends; `chain` are the files that led here."""
        if key not in self.files:
            if len(self.files) >= MAX_SPECS:
                message = f"these are more than {MAX_SPECS} specs for one gate, with those that they extend"
                raise UsageError(message)
            self.files[key] = _File(name, load(Path(name), name))
        file = self.files[key]
        extends = file.loaded.contract.extends
        if extends is None:
            return
        place = Path(file.loaded.contract.file).parent / extends
        file.extends = os.path.realpath(place)
        if file.extends in (key, *chain):
            raise SpecError((_cycle(file, self.files[file.extends]),))
        try:
            self._follow(file.extends, os.path.normpath(Path(name).parent / extends), [*chain, key])
        except UsageError as error:
            raise SpecError((file.loaded.written.problem(str(error), "extends"),)) from error

    def policy(self) -> Policy:
        """All of them, shown to fit."""
        problems = Problems(SpecError)
        check_fit([file.loaded for file in self.files.values()], self.pairs(), problems)
        problems.raise_if_any()
        ceilings = self.ceilings()
        return Policy(
            tuple(
                Member(file.loaded.contract, given=key in self.given, ceiling=key in ceilings)
                for key, file in self.files.items()
            )
        )

    def ceilings(self) -> frozenset[str]:
        """The keys of the files that some other extends."""
        return frozenset(file.extends for file in self.files.values() if file.extends is not None)

    def pairs(self) -> list[tuple[int, int]]:
        """Positions of every spec with each of its ceilings, however far up."""
        keys = list(self.files)
        found = []
        for at, key in enumerate(keys):
            above = self.files[key].extends
            while above is not None:
                found.append((at, keys.index(above)))
                above = self.files[above].extends
        return found


def _cycle(file: _File, begun: _File) -> Problem:
    itself = "itself" if file is begun else f"{shown(begun.name)}, which extends it"
    return file.loaded.written.problem(f"this spec extends {itself}; a ceiling stands above what it bounds", "extends")
