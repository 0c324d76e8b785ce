"""What a hostile agent emitted, and what is expected of each: `tests/adversarial/hostile_agent.jsonl`.

`raw` holds the very bytes: each character of the JSON string is one byte (Latin-1); where a part repeats, a list of
[part, times] stands instead.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RECORDING = ROOT / "tests" / "adversarial" / "hostile_agent.jsonl"


@dataclass(frozen=True)
class Emitted:
    """One raw model output and what must come of it.

    `person` says what whoever is asked does: `approves`, `refuses`, or is `absent`. `status` and `outcome` (a reason
    code) are of the container's work, '' where nothing may run; `result` and `changes` are checked where they stand.
    """

    part: str
    spec: str
    about: str
    raw: bytes
    verdict: str
    reason_code: str
    person: str = ""
    status: str = ""
    outcome: str = ""
    result: object = ...
    changes: tuple[str, ...] | None = None


def read_recording(path: Path = RECORDING) -> tuple[Emitted, ...]:
    """Every line, in order: later ones rest on the state that earlier ones leave."""
    return tuple(_emitted(json.loads(line)) for line in path.read_text(encoding="ascii").splitlines())


def _emitted(line: dict[str, object]) -> Emitted:
    changes = line.get("changes")
    fixed = {"raw": _bytes(line["raw"]), "changes": tuple(changes) if isinstance(changes, list) else None}
    return Emitted(**{**line, **fixed})  # type: ignore[arg-type]  # our own file; a wrong key is a TypeError


def _bytes(raw: object) -> bytes:
    pieces = raw if isinstance(raw, list) else [[raw, 1]]
    return b"".join(part.encode("latin-1") * times for part, times in pieces)
