"""A certificate's manifest as it is read, and what is wrong with the certificate as a whole: digests, files, script."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import Fault, UsageError
from sandbox.ir import Json
from sandbox.prove import ledger
from sandbox.prove.certificate import MANIFEST, MAX_MANIFEST, SCRIPT, rendered, script_for
from sandbox.prove.record import Obligation, obligation_from_json


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a certificate says. `text` are the manifest's bytes, `digest` is of them (SHA-256, hex)."""

    text: bytes
    digest: str
    body: Mapping[str, Json]
    entries: tuple[dict[str, Json], ...]


@dataclass(frozen=True, slots=True)
class NoManifest:
    """There is a file, and it is no manifest."""

    digest: str


def read_manifest(folder: Path) -> Manifest | NoManifest:
    """The manifest of the certificate in a folder. Raises UsageError where there is none."""
    path = folder / MANIFEST
    if not is_file(path) or path.stat().st_size > MAX_MANIFEST:
        message = f"`{folder}` holds no certificate; `sandbox prove --emit DIR` writes one"
        raise UsageError(message, "certificate.missing")
    text = path.read_bytes()
    digest = hashlib.sha256(text).hexdigest()
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return NoManifest(digest)
    match body:
        case {"schema_version": 1, "properties": list() as entries, "digest": str()} if all(map(_is_entry, entries)):
            return Manifest(text, digest, body, tuple(entries))
        case _:
            return NoManifest(digest)


def _is_entry(entry: object) -> bool:
    match entry:
        case {"obligations": list() as obligations}:
            return all(_is_obligation(each) for each in obligations)
        case _:
            return False


def _is_obligation(each: Json) -> bool:
    try:
        obligation_from_json(each)
    except Fault:
        return False
    return True


def obligations_in(entry: Mapping[str, Json]) -> tuple[Obligation, ...]:
    """The obligations of an entry of a manifest."""
    listed = entry["obligations"]
    return tuple(obligation_from_json(each) for each in listed) if isinstance(listed, list) else ()


def faults_of(folder: Path, manifest: Manifest) -> Iterator[str]:
    """What is wrong with the certificate whatever the spec: changed, missing and foreign files, another prover."""
    said = {key: value for key, value in manifest.body.items() if key != "digest"}
    if rendered(said).encode() != manifest.text:
        yield f"`{MANIFEST}` was changed: its digest is of something else"
    if manifest.body.get("encoder") != ledger.encoder_digest():
        yield "it was made by another version of the prover: its encoder has another digest"
    script = folder / SCRIPT
    if not is_file(script) or script.read_bytes() != script_for(manifest.entries).encode():
        yield f"`{SCRIPT}` is not the script of this certificate"
    yield from _of_files(folder, manifest)


def _of_files(folder: Path, manifest: Manifest) -> Iterator[str]:
    listed = {MANIFEST: manifest.digest, SCRIPT: str(manifest.body.get("check"))}
    for each in (one for entry in manifest.entries for one in obligations_in(entry)):
        if each.file in listed:
            yield f"`{each.file}` is listed twice"
        listed[each.file] = each.digest
    there = {each.name for each in folder.iterdir()}
    yield from (f"`{name}` is of no obligation" for name in sorted(there - set(listed)))
    for name, digest in sorted(listed.items()):
        if name not in there or not is_file(folder / name):
            yield f"`{name}` is missing"
        elif hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
            yield f"`{name}` was changed"


def is_file(path: Path) -> bool:
    """Whether a path is a file, and no link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False
