"""`ledger.json`: what was proved when the property files were last reviewed. A cache to compare with, not evidence.

One entry a property, keyed `file/spec/id`, with a digest over everything that the verdict rests on. The file is the
same byte for byte wherever it is written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal, TypeAlias

from sandbox import ir
from sandbox.errors import UsageError
from sandbox.ir import Contract, Property
from sandbox.prove.verdicts import VerdictName

LEDGER_NAME: Final = "ledger.json"
SCHEMA_VERSION: Final = 1

MAX_LEDGER: Final = 64 * 1024 * 1024
"""Bytes: thousands of properties are one MiB; a longer file is no ledger."""

SOLVERS: Final = ("z3-solver", "cvc5")

ENCODER: Final = (
    "canonical.py",
    "emails.py",
    "encode.py",
    "ir.py",
    "machine.py",
    "origins.py",
    "parse.py",
    "shell.py",
    "strict_json.py",
    "lang/*.lark",
    "lang/*.py",
    "times.py",
    "url_shapes.py",
    "urls.py",
    "regex/*.py",
    "prove/abstraction.py",
    "prove/attempt.py",
    "prove/beside.py",
    "prove/cores.py",
    "prove/demand.py",
    "prove/equations.py",
    "prove/focus.py",
    "prove/guess.py",
    "prove/horn.py",
    "prove/induction.py",
    "prove/keys.py",
    "prove/likeness.py",
    "prove/mentions.py",
    "prove/needing.py",
    "prove/nodes.py",
    "prove/obligations.py",
    "prove/ordered.py",
    "prove/outside.py",
    "prove/phrase.py",
    "prove/positive.py",
    "prove/probes.py",
    "prove/quiet.py",
    "prove/rewrite.py",
    "prove/roomless.py",
    "prove/run.py",
    "prove/sameness.py",
    "prove/script.py",
    "prove/scopes.py",
    "prove/second.py",
    "prove/sides.py",
    "prove/solve.py",
    "prove/spoken.py",
    "prove/strengthen.py",
    "prove/stringwise.py",
    "prove/supported.py",
    "prove/tracked.py",
    "prove/within.py",
    "prove/wording.py",
)
"""The sources that a proof rests on, from the meaning of a spec to its verdict: a change makes every entry stale."""

Change: TypeAlias = Literal["missing", "stale", "verdict", "removed"]


@dataclass(frozen=True, slots=True)
class Entry:
    """What the ledger holds of one property.

    `invariants` are the ids of the `always` that its proof assumed, `invariant` the conditions that were found for it,
    as expressions: the gate evaluates them on the stored state.
    """

    digest: str
    kind: str
    verdict: VerdictName
    invariants: tuple[str, ...] = ()
    invariant: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which the ledger does not say what was found."""

    key: str
    change: Change
    words: str


Entries: TypeAlias = Mapping[str, Entry]


def key_of(file: Path, contract: Contract, subject: Property) -> str:
    """The entry's key: the property file's name, the spec's, the property's."""
    return f"{file.name}/{contract.name}/{subject.id}"


def digest_of(
    contract: Contract, subject: Property, properties: Iterable[Property], ceilings: Iterable[Contract] = ()
) -> str:
    """SHA-256 (hex) over contract, what it extends, property, its file's properties, encoder and solver versions."""
    parts = {
        "contract": ir.digest(contract),
        "ceilings": [ir.digest(each) for each in ceilings],
        "property": ir.digest(subject),
        "properties": [ir.digest(each) for each in properties],
        "encoder": encoder_digest(),
        "versions": versions(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def encoder_digest() -> str:
    """SHA-256 (hex) over the sources in `ENCODER`."""
    root = Path(__file__).resolve().parent.parent
    sources = sorted(path for pattern in ENCODER for path in root.glob(pattern))
    digests = [[path.relative_to(root).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()] for path in sources]
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()


def versions() -> dict[str, str]:
    """The solvers' versions, without loading them."""
    return {name: version(name) for name in SOLVERS}


def read_ledger(folder: Path) -> dict[str, Entry] | None:
    """The entries of the folder's ledger; None where there is none. Raises UsageError if it is no ledger."""
    path = folder / LEDGER_NAME
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > MAX_LEDGER:
            raise _no_ledger(path)
        return _entries(json.loads(path.read_text(encoding="utf-8")), path)
    except (OSError, ValueError, RecursionError) as error:
        raise _no_ledger(path) from error


def write_ledger(folder: Path, entries: Entries) -> None:
    """Write the entries, the same byte for byte whatever their order."""
    body = {key: asdict(entries[key]) for key in sorted(entries)}
    text = json.dumps({"schema_version": SCHEMA_VERSION, "entries": body}, sort_keys=True, indent=2)
    (folder / LEDGER_NAME).write_text(text + "\n", encoding="utf-8")


def differences(recorded: Entries, found: Entries, files: Iterable[str], folder: Path) -> tuple[Difference, ...]:
    """How the recorded entries differ from those found for these property files of the folder.

    An entry of another file counts only where that file is gone.
    """
    listed = []
    for key in sorted({*recorded, *found}):
        change = _difference(key, recorded.get(key), found.get(key), set(files), folder)
        listed += [change] if change is not None else []
    return tuple(listed)


def merged(recorded: Entries, found: Entries, files: Iterable[str], folder: Path) -> dict[str, Entry]:
    """The entries found, and those recorded of files that were not looked at and are still there."""
    judged = set(files)
    kept = {key: entry for key, entry in recorded.items() if not _concerns(key, judged, folder)}
    return {**kept, **found}


def _difference(key: str, old: Entry | None, new: Entry | None, files: set[str], folder: Path) -> Difference | None:
    if new is None:
        if not _concerns(key, files, folder):
            return None
        return Difference(key, "removed", f"`{key}` is in the ledger, and no longer a property")
    if old is None:
        return Difference(key, "missing", f"`{key}` is not in the ledger")
    if old.verdict != new.verdict:
        return Difference(key, "verdict", f"`{key}` was {old.verdict} and is {new.verdict}")
    if old != new:
        return Difference(key, "stale", f"`{key}` was {old.verdict} of another spec, property or encoder")
    return None


def _concerns(key: str, files: set[str], folder: Path) -> bool:
    file = key.partition("/")[0]
    return file in files or not (folder / file).is_file()


def _entries(document: object, path: Path) -> dict[str, Entry]:
    match document:
        case {"schema_version": 1, "entries": dict() as entries}:
            return {str(key): _entry(entry, path) for key, entry in entries.items()}
        case _:
            raise _no_ledger(path)


def _entry(document: object, path: Path) -> Entry:
    match document:
        case {
            "digest": str() as digest,
            "kind": str() as kind,
            "verdict": "proved" | "refuted" | "unknown" | "vacuous" | "bounded" as verdict,
            "invariants": list() as invariants,
            **rest,
        }:
            assumed = tuple(str(each) for each in invariants)
            return Entry(digest, kind, verdict, assumed, _texts(rest.get("invariant", []), path))
        case _:
            raise _no_ledger(path)


def _texts(document: object, path: Path) -> tuple[str, ...]:
    match document:
        case [*texts] if all(isinstance(text, str) for text in texts):
            return tuple(str(text) for text in texts)
        case _:
            raise _no_ledger(path)


def _no_ledger(path: Path) -> UsageError:
    return UsageError(f"`{path}` is no ledger; write it anew with `sandbox prove --update`", "ledger.invalid")
