"""What `sandbox prove` printed of the very same files, if that is known: nothing of the language is loaded for it.

A run is the same if it was asked the same from the same folder, if the property files and specs that it read, and the
ledgers, have the same bytes, and if no property file was added to a folder. What is kept is what was decided.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sandbox.cache import Cache, key_of

if TYPE_CHECKING:
    from sandbox.ir import Json

LEDGER: Final = "ledger.json"

MISSING: Final = "missing"
"""What a file that is not there has in place of a digest."""


@dataclass(frozen=True, slots=True)
class Printed:
    """What a run said: the lines for a person, the document for a machine, and how it ended."""

    lines: tuple[str, ...]
    document: Mapping[str, Json]
    exit_code: int


@dataclass(slots=True)
class Inputs:
    """Files as they were read, by path."""

    digests: dict[str, str] = field(default_factory=dict)

    def heard(self, path: Path, raw: bytes) -> None:
        """Note a file that is read."""
        self.digests[str(path.absolute())] = hashlib.sha256(raw).hexdigest()


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Runs of one question. `paths` are as they were given, `asked` is whatever else was."""

    cache: Cache
    paths: tuple[str, ...]
    asked: Mapping[str, Json]

    def known(self) -> Printed | None:
        """What was printed, if everything is as it was then."""
        match self.cache.get(self._key()):
            case {
                "inputs": dict() as inputs,
                "lines": list() as lines,
                "document": dict() as document,
                "exit_code": int() as exit_code,
            } if all(digest_of(Path(path)) == digest for path, digest in inputs.items()):
                return Printed(tuple(str(line) for line in lines), document, exit_code)
            case _:
                return None

    def keep(self, inputs: Inputs, printed: Printed) -> None:
        """Keep what was printed of these inputs."""
        folders = sorted({str(Path(path).parent / LEDGER) for path in inputs.digests})
        digests: dict[str, Json] = {**inputs.digests, **{path: digest_of(Path(path)) for path in folders}}
        value: Json = {
            "inputs": digests,
            "lines": list(printed.lines),
            "document": dict(printed.document),
            "exit_code": printed.exit_code,
        }
        self.cache.put(self._key(), value)

    def _key(self) -> str:
        names: list[Json] = [[path, [*_names(path)]] for path in self.paths]
        return key_of(run=names, asked=dict(self.asked), folder=os.getcwd())  # noqa: PTH109 - as text


def digest_of(path: Path) -> str:
    """SHA-256 (hex) of a file, or that it is missing."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return MISSING


def _names(path: str) -> Sequence[str]:
    """The property files of a folder."""
    try:
        return sorted(each for each in os.listdir(path) if each.endswith(".yaml"))  # noqa: PTH208 - as text
    except OSError:
        return ()
