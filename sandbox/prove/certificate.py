"""A certificate: every obligation of a proof as a file, a manifest of what is claimed, and a script that re-checks it.

Whoever has an SMT solver can run `check.sh`, which trusts nothing of ours; it says that the files say what they should.
That the files are those of a spec's obligations is what `verify` shows, which makes them anew from the spec.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from sandbox import ir
from sandbox.errors import UsageError
from sandbox.ir import Contract, Json, Property
from sandbox.prove import ledger
from sandbox.prove.record import Obligation, obligation_to_json, phrase
from sandbox.prove.report import PropertyReport, replayed_to_json
from sandbox.prove.verdicts import Proved, invariant_of, name_of, reason_of, replay_of

MANIFEST: Final = "manifest.json"
SCRIPT: Final = "check.sh"
SCHEMA_VERSION: Final = 1

MAX_MANIFEST: Final = 256 * 1024 * 1024
"""Bytes; tens of thousands of obligations are some ten MiB."""


@dataclass(frozen=True, slots=True)
class Certified:
    """A property as a certificate has it. `assumed` are the ids of the `always` that its attempt was given."""

    contract: Contract
    subject: Property
    properties: tuple[Property, ...]
    file: Path
    assumed: tuple[str, ...]
    report: PropertyReport
    ceilings: tuple[Contract, ...] = ()


def prepare(folder: Path) -> None:
    """Make the folder, and take out of it what an earlier certificate left. UsageError if it holds anything else."""
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted(each.name for each in folder.iterdir())
    if names and MANIFEST not in names:
        message = f"`{folder}` is not empty, and holds no certificate; name another folder"
        raise UsageError(message, "certificate.folder")
    for name in names:
        path = folder / name
        if not (name in {MANIFEST, SCRIPT} or name.endswith(".smt2")) or not _is_file(path):
            message = f"`{path}` is no part of a certificate; remove it, or name another folder"
            raise UsageError(message, "certificate.folder")
    for name in sorted(names, key=lambda name: name == MANIFEST):  # last: what was cut short is still known as ours
        (folder / name).unlink()


def write(folder: Path, certified: Iterable[Certified], solver: str) -> str:
    """Write manifest and script beside the files of obligations; the manifest's digest (SHA-256, hex)."""
    entries = [entry_of(each) for each in certified]
    script = script_for(entries)
    (folder / SCRIPT).write_text(script, encoding="utf-8")
    (folder / SCRIPT).chmod(0o755)
    body: dict[str, Json] = {
        "schema_version": SCHEMA_VERSION,
        "solver": solver,
        "versions": {"sandbox": version("sandbox"), **ledger.versions()},
        "encoder": ledger.encoder_digest(),
        "check": _digest(script.encode()),
        "properties": [*entries],
    }
    text = rendered(body)
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    return _digest(text.encode())


def entry_of(each: Certified) -> dict[str, Json]:
    """What a certificate claims of one property; the same wherever it is made."""
    contract, subject, verdict = each.contract, each.subject, each.report.verdict
    replayed = replay_of(verdict)
    return {
        "spec": contract.name,
        "contract": ir.digest(contract),
        "file": os.path.relpath(each.file, Path(contract.file).parent),
        "id": subject.id,
        "kind": subject.kind,
        "property": ir.digest(subject),
        "text": subject.text,
        "why": subject.why,
        "digest": ledger.digest_of(contract, subject, each.properties, each.ceilings),
        "assumed": list(each.assumed),
        "verdict": name_of(verdict),
        "note": verdict.note if isinstance(verdict, Proved) else "",
        "reason": reason_of(verdict),
        "invariant": list(invariant_of(verdict)),
        "rests_on": [phrase(source) for source in each.report.rests_on.sources],
        "sequence": None if replayed is None else replayed_to_json(replayed),
        "obligations": [obligation_to_json(one) for one in each.report.obligations],
    }


def rendered(body: Mapping[str, Json]) -> str:
    """The manifest's bytes: what it says, and a digest over that, in one way of writing it."""
    own = _digest(json.dumps(body, sort_keys=True).encode())
    return json.dumps({**body, "digest": own}, sort_keys=True, indent=1, ensure_ascii=True) + "\n"


def script_for(entries: Iterable[Mapping[str, Json]]) -> str:
    """The script: asks a solver about every file that was decided, and compares."""
    lines = []
    for entry in entries:
        obligations = entry["obligations"]
        for each in obligations if isinstance(obligations, list) else []:
            match each:
                case {"answer": "unsat" | "sat" as answer, "file": str() as file, "sha256": str() as digest}:
                    lines.append(f"{answer} {digest} {shlex.quote(file)}")
                case _:
                    pass  # what was not decided proves nothing, and is not asked again
    return _SCRIPT.replace("@FILES@", "\n".join(lines))


def obligations_of(entries: Iterable[Certified]) -> tuple[Obligation, ...]:
    """Every obligation of some properties."""
    return tuple(one for each in entries for one in each.report.obligations)


def _is_file(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


_SCRIPT: Final = """\
#!/bin/sh
# Asks an SMT solver about every obligation of this certificate, and compares its answer with the one that is claimed.
# Needs z3 or cvc5, and nothing of the sandbox: it shows that each file has its answer, not whose obligations they are.
#
#   sh check.sh [SOLVER]      SOLVER: a program, by default the z3 or cvc5 on PATH; TIMEOUT: seconds a file (60)
#
# Exit code: 0 every answer is the one that is claimed, 1 one is not, 3 one was not found in time, 4 there is no solver.
solver=$(command -v "${1:-z3}" || command -v "${1:-cvc5}")
case $solver in
    "") echo "${1:-z3 or cvc5}: there is no such program; name a solver" >&2; exit 4 ;;
    /*) ;;
    *) solver=$PWD/$solver ;;
esac
cd "$(dirname "$0")" || exit 4
seconds=${TIMEOUT:-60}
case $(basename "$solver") in
    cvc5*) ask() { "$solver" --strings-exp --arrays-exp --tlimit="${seconds}000" "$1"; } ;;
    *) ask() { "$solver" -T:"$seconds" "$1"; } ;;
esac
agreed=0 wrong=0 open=0
while read -r expected digest file; do
    [ -n "$file" ] || continue
    if command -v sha256sum > /dev/null && [ "$(sha256sum < "$file" | cut -d ' ' -f 1)" != "$digest" ]; then
        echo "$file: not the file that was written"
        wrong=$((wrong + 1))
        continue
    fi
    answer=$(ask "$file" 2> /dev/null | head -n 1)
    case $answer in
        "$expected") agreed=$((agreed + 1)) ;;
        sat | unsat) echo "$file: $answer, and $expected is claimed"; wrong=$((wrong + 1)) ;;
        *) echo "$file: not decided (${answer:-no answer})"; open=$((open + 1)) ;;
    esac
done << 'FILES'
@FILES@
FILES
echo "$agreed as claimed, $wrong otherwise, $open not decided, by $solver"
[ "$wrong" -eq 0 ] || exit 1
[ "$open" -eq 0 ] || exit 3
"""
