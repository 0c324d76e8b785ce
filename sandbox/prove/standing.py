"""How the proofs of a spec stand by their ledger, without proving anything: what gates, receipts and `doctor` tell."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from sandbox import ir
from sandbox.call import NO_PROOFS, Proofs, ProofsStatus
from sandbox.compile import PropertySet, load_properties
from sandbox.errors import SandboxError
from sandbox.ir import Contract, Property
from sandbox.prove.ledger import LEDGER_NAME, Entries, Entry, digest_of, key_of, read_ledger
from sandbox.prove.resting import Invariant, resting_on
from sandbox.spec import read_properties

FOLDER: Final = "proofs"
"""Where `sandbox prove` looks where nothing else is said, and where a gate finds the proofs of its spec."""

MAX_FOLDERS: Final = 3
"""Folders above a spec that are looked at for its proofs: `specs/team/a.yaml` finds `proofs/` beside `specs/`."""

_PROJECT_MARKS: Final = (".git", "pyproject.toml")
_ORDER: Final[tuple[ProofsStatus, ...]] = ("missing", "stale", "unproved", "current", "none")
"""The worst first: a standing is that of its worst property."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """One property that does not stand as proved; `words` begin with it, and fit behind a semicolon."""

    status: ProofsStatus
    words: str


@dataclass(frozen=True, slots=True)
class Standing:
    """One spec's proofs: the status, a digest (SHA-256, hex) over what the ledger says of them, and every flaw.

    `none` is a spec that no property file was found for. `proved` are the properties that do stand as proved, and
    `invariants` the conditions on the state that their proofs rest on; `needs` are those of that kind, proved or not.
    """

    spec: str
    proofs: Proofs
    flaws: tuple[Flaw, ...] = ()
    proved: tuple[Property, ...] = ()
    invariants: tuple[Invariant, ...] = ()
    needs: tuple[Property, ...] = ()


def standing(contract: Contract, sets: Iterable[PropertySet], place: Path) -> Standing:
    """How the properties of these sets that are about the contract stand in the ledgers beside their files.

    `place` is the property file or folder that the sets were loaded from: what its ledger has beyond them was removed.
    """
    sets, digest = tuple(sets), ir.digest(contract)
    own = [each for each in sets if ir.digest(each.contract) == digest and each.properties]
    folders = {Path(each.file).parent for each in sets} | {_folder(place)}
    ledgers = {folder: read_ledger(folder) or {} for folder in sorted(folders)}
    subjects = [(each, subject) for each in own for subject in each.properties]
    entries = [_entry(each, subject, ledgers[Path(each.file).parent]) for each, subject in subjects]
    judged = [_judged(each, subject, entry) for (each, subject), entry in zip(subjects, entries, strict=True)]
    sound = [
        (subject, entry)
        for (_, subject), entry, (_, _, flaw) in zip(subjects, entries, judged, strict=True)
        if entry is not None and flaw is None
    ]
    proved = tuple(subject for subject, _ in sound)
    invariants = (resting_on(contract, subject, entry.invariant) or () for subject, entry in sound)
    known = {key_of(Path(each.file), each.contract, subject) for each in sets for subject in each.properties}
    gone = [
        (key, entry.digest, Flaw("stale", f"`{key.rpartition('/')[2]}` is in the ledger, and no longer a property"))
        for folder, entries in ledgers.items()
        for key, entry in sorted(entries.items())
        if key not in known and _is_of(key, contract) and _concerns(key, sets, place, folder)
    ]
    every = [*judged, *gone]
    needs = tuple(subject for _, subject in subjects if subject.kind == "needs")
    if not every:
        return Standing(contract.name, NO_PROOFS)
    flaws = tuple(flaw for _, _, flaw in every if flaw is not None)
    status: ProofsStatus = min((flaw.status for flaw in flaws), key=_ORDER.index) if flaws else "current"
    said = sorted([key, recorded, flaw.status if flaw else "current"] for key, recorded, flaw in every)
    digested = hashlib.sha256(json.dumps(said).encode()).hexdigest()
    return Standing(contract.name, Proofs(status, digested), flaws, proved, tuple(chain(*invariants)), needs)


def survey(place: Path) -> tuple[Standing, ...]:
    """The standing of every spec that a property file, or a folder's, is about; raises as `load_properties`."""
    sets = load_properties(place)
    contracts = dict.fromkeys(each.contract for each in sets)
    return tuple(standing(contract, sets, place) for contract in contracts)


def found_for(contract: Contract) -> Standing:
    """The standing by the proofs that lie in a folder `proofs` at or above the spec's, if any. Never raises.

    Not above the project (the folder with `.git` or `pyproject.toml`), and in no folder that others may write.
    """
    place = next(_places(Path(contract.file)), None)
    if place is None:
        return Standing(contract.name, NO_PROOFS)
    try:
        once = {key.partition("/")[0] for key in read_ledger(place) or {} if _is_of(key, contract)}
        files = [file for file in sorted(place.glob("*.yaml")) if file.name in once or _is_about(file, contract)]
        sets = [each for file in files for each in load_properties(file)]
        return standing(contract, sets, place)
    except (SandboxError, OSError) as error:
        words = f"the proofs in `{place}` cannot be read: {str(error).partition(chr(10))[0]}"
        return Standing(contract.name, Proofs("stale"), (Flaw("stale", words),))


def proofs_of_all(standings: Sequence[Standing]) -> Proofs:
    """The proofs of several specs of one gate as one: the worst status; a spec without property files counts last."""
    if len(standings) == 1:
        return standings[0].proofs
    status = min((each.proofs.status for each in standings), key=_ORDER.index)
    said = [[each.spec, each.proofs.status, each.proofs.digest] for each in standings]
    return Proofs(status, "" if status == "none" else hashlib.sha256(json.dumps(said).encode()).hexdigest())


def _entry(each: PropertySet, subject: Property, recorded: Entries) -> Entry | None:
    return recorded.get(key_of(Path(each.file), each.contract, subject))


def _judged(each: PropertySet, subject: Property, entry: Entry | None) -> tuple[str, str, Flaw | None]:
    key = key_of(Path(each.file), each.contract, subject)
    if entry is None:
        return key, "", Flaw("missing", f"`{subject.id}` is not in the ledger")
    if entry.digest != digest_of(each.contract, subject, each.properties, each.ceilings):
        return key, entry.digest, Flaw("stale", f"`{subject.id}` is of another version")
    if entry.verdict != "proved":
        return key, entry.digest, Flaw("unproved", f"`{subject.id}` is {entry.verdict}")
    if resting_on(each.contract, subject, entry.invariant) is None:
        return key, entry.digest, Flaw("stale", f"`{subject.id}` rests on an invariant that is none of the spec")
    return key, entry.digest, None


def _is_of(key: str, contract: Contract) -> bool:
    return key.split("/")[1:2] == [contract.name]


def _concerns(key: str, sets: tuple[PropertySet, ...], place: Path, folder: Path) -> bool:
    """Whether an entry is of a file that was loaded, or of one of the place that is gone."""
    file = folder / key.partition("/")[0]
    return any(Path(each.file) == file for each in sets) or (place.is_dir() and not file.is_file())


def _folder(place: Path) -> Path:
    return place.resolve() if place.is_dir() else place.resolve().parent


def _is_about(file: Path, contract: Contract) -> bool:
    """Whether a property file names this very spec file."""
    named = (file.parent / each for each in read_properties(file, str(file)).model.proves)
    return any(os.path.realpath(each) == os.path.realpath(contract.file) for each in named)


def _places(spec: Path) -> Iterator[Path]:
    """Folders `proofs` with property files or a ledger, the nearest first."""
    own = spec.resolve().parent
    for folder in (own, *own.parents)[:MAX_FOLDERS]:
        proofs = folder / FOLDER
        if _others_may_write(folder):
            return
        if proofs.is_dir() and not _others_may_write(proofs) and _has_proofs(proofs):
            yield proofs
        if any((folder / mark).exists() for mark in _PROJECT_MARKS):
            return


def _has_proofs(folder: Path) -> bool:
    return (folder / LEDGER_NAME).is_file() or any(folder.glob("*.yaml"))


def _others_may_write(folder: Path) -> bool:
    found = folder.stat()
    return bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)) or found.st_uid not in {0, os.geteuid()}
