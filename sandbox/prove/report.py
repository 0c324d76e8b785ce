"""What a run of the prover says, in words and as JSON, and the exit code that follows from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast

from sandbox.canonical import canonical_json, printable
from sandbox.errors import Fault
from sandbox.ir import Contract, Json, Property
from sandbox.prove.coverage import Coverage, coverage_to_json
from sandbox.prove.findings import origins_from_json, origins_to_json
from sandbox.prove.ledger import Difference
from sandbox.prove.mends import Mend, mend_to_json
from sandbox.prove.record import NOTHING, Obligation, RestsOn, phrase
from sandbox.prove.replay import origin_words, rfc3339, unix_ms
from sandbox.prove.verdicts import (
    AT_ONCE,
    Beside,
    Bounded,
    Ends,
    Move,
    Moves,
    Proved,
    Refuted,
    Replayed,
    Unknown,
    Vacuous,
    Verdict,
    invariant_of,
    name_of,
    reason_of,
    replay_of,
)

SCHEMA_VERSION: Final = 1

_NO_SEQUENCE: Final = "what should be a sequence of calls is none"

LedgerStatus: TypeAlias = Literal["absent", "current", "differs", "updated"]


@dataclass(frozen=True, slots=True)
class PropertyReport:
    """One property: the spec's name, the property file as it was given, the verdict and what it took.

    `solvers` are those that a proof had to convince; `rlimit` is in Z3's resource units; `rests_on` is of a proof;
    `obligations` are those that were written to a certificate; `contract` is what it is about; `mends` is what would
    make a refuted property hold, where that was looked for and found.
    """

    spec: str
    file: str
    subject: Property
    verdict: Verdict
    solvers: tuple[str, ...]
    rlimit: int
    duration_ms: int
    rests_on: RestsOn = NOTHING
    obligations: tuple[Obligation, ...] = ()
    cached: bool = False
    contract: Contract | None = None
    mends: tuple[Mend, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """All that a run found. `ledgers` gives each ledger's folder with its status."""

    properties: tuple[PropertyReport, ...]
    coverage: tuple[Coverage, ...]
    ledgers: tuple[tuple[str, LedgerStatus], ...] = ()
    differences: tuple[Difference, ...] = ()

    @property
    def exit_code(self) -> int:
        """1 if anything is refuted, vacuous or not as in the ledger; else 3 if undecided; else 0. Of nothing, 2."""
        if not self.properties:
            return 2
        verdicts = [each.verdict for each in self.properties]
        if self.differences or any(isinstance(verdict, Refuted | Vacuous) for verdict in verdicts):
            return 1
        if any(isinstance(verdict, Unknown | Bounded) for verdict in verdicts):
            return 3
        return 0 if all(isinstance(verdict, Proved) for verdict in verdicts) else 5


def report_to_json(report: Report) -> dict[str, Json]:
    """The report as one JSON document."""
    ledgers: list[Json] = [{"folder": folder, "status": status} for folder, status in report.ledgers]
    changes: list[Json] = [{"key": d.key, "change": d.change, "reason": d.words} for d in report.differences]
    return {
        "schema_version": SCHEMA_VERSION,
        "properties": [property_to_json(each) for each in report.properties],
        "coverage": coverage_to_json(report.coverage),
        "ledgers": ledgers,
        "differences": changes,
        "exit_code": report.exit_code,
    }


def property_to_json(report: PropertyReport) -> Json:
    """One property's part. A `possible` that is proved carries its `witness` in the form of a counterexample."""
    verdict, subject = report.verdict, report.subject
    counterexample = verdict.counterexample if isinstance(verdict, Refuted) else None
    witness = verdict.witness if isinstance(verdict, Proved) else None
    return {
        "spec": report.spec,
        "file": report.file,
        "id": subject.id,
        "kind": subject.kind,
        "verdict": name_of(verdict),
        "note": verdict.note if isinstance(verdict, Proved) else "",
        "invariant": list(invariant_of(verdict)),
        "bound": verdict.bound if isinstance(verdict, Bounded) else None,
        "counterexample": None if counterexample is None else replayed_to_json(counterexample),
        "witness": None if witness is None else replayed_to_json(witness),
        "reason": reason_of(verdict),
        "rests_on": [
            {"kind": each.kind, "name": each.name, "words": each.words, "text": phrase(each)}
            for each in report.rests_on.sources
        ],
        "cores_missing": report.rests_on.untold,
        "mends": [mend_to_json(each) for each in report.mends],
        "why": subject.why,
        "solvers": list(report.solvers),
        "rlimit": report.rlimit,
        "duration_ms": report.duration_ms,
        "cached": report.cached,
    }


def replayed_to_json(replayed: Replayed) -> Json:
    """A sequence that was replayed: the calls as raw JSON, the gate's decisions, the state that shows it."""
    decisions: list[Json] = [
        {"verdict": d.verdict, "rule": d.rule, "reason_code": d.reason_code, "reason": d.reason}
        for d in replayed.decisions
    ]
    return {
        "calls": [_call_to_json(move) for move in replayed.moves.calls],
        "decisions": decisions,
        "until": rfc3339(replayed.moves.until_ms),
        "changes": [{name: [old, new] for name, (old, new) in each.items()} for each in replayed.changes],
        "session": dict(replayed.moves.session),
        "state": dict(replayed.state),
        "words": list(replayed.words),
        "replayed": True,
        **({"beside": [_beside_to_json(each) for each in replayed.beside]} if replayed.beside else {}),
    }


def _beside_to_json(each: Beside) -> Json:
    said = each.decision
    return {
        "spec": each.spec,
        "verdict": said.verdict,
        "rule": said.rule,
        "reason_code": said.reason_code,
        "reason": said.reason,
    }


def _call_to_json(move: Move) -> Json:
    """The call; `running` where it has not succeeded before the next one is judged, and when it does, if ever."""
    ended = move.ends
    late: dict[str, Json] = {}
    if ended is not None and (ended.after or ended.at_ms not in {None, move.now_ms}):
        late = {"ends_after": ended.after, "ends": None if ended.at_ms is None else rfc3339(ended.at_ms)}
    return {
        "tool": move.tool,
        "args": dict(move.args),
        "now": rfc3339(move.now_ms),
        "session": dict(move.session),
        **({"origins": origins_to_json(move.origins)} if move.origins else {}),
        "outcome": "ok" if ended is not None and not ended.after else "running",
        **late,
    }


def call_words(replayed: Replayed) -> tuple[str, ...]:
    """Each call of a sequence for a person: what it was, what the gate said, and what that changed."""
    told = []
    each = zip(replayed.moves.calls, replayed.decisions, replayed.changes, strict=True)
    for number, (move, decision, changes) in enumerate(each, 1):
        after = ", ".join(f"{name} {shown_value(old)} -> {shown_value(new)}" for name, (old, new) in changes.items())
        args = f"{printable(canonical_json(move.args))}{origin_words(move.origins)}"
        told.append(f"{number}. `{move.tool}` {args}: {decision.reason}{f'; {after}' if after else ''}")
    return tuple(told)


def shown_value(value: Json) -> str:
    """A value of the state for a person."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def moves_from_json(sequence: Json) -> Moves:
    """The calls of a sequence as `replayed_to_json` writes them. Raises Fault if it is none, ValueError for a time."""
    match sequence:
        case {"calls": list() as calls, "until": str() as until, "session": dict() as session}:
            return Moves(tuple(_move_from_json(call) for call in calls), unix_ms(until), session)
        case _:
            raise Fault(_NO_SEQUENCE)


def _move_from_json(call: Json) -> Move:
    match call:
        case {
            "tool": str() as tool,
            "args": dict() as args,
            "now": str() as now,
            "session": dict() as session,
            "outcome": "ok" | "running" as outcome,
            **more,
        }:
            origins = origins_from_json(cast("Json", more.get("origins", {})))
            return Move(tool, args, unix_ms(now), session, _ends_from_json(call, outcome), origins)
        case _:
            raise Fault(_NO_SEQUENCE)


def _ends_from_json(call: Json, outcome: str) -> Ends | None:
    match call:
        case {"ends_after": int() as after, "ends": str() as at}:
            return Ends(after, unix_ms(at))
        case {"ends_after": int() as after, "ends": None}:
            return Ends(after)
        case _:
            return AT_ONCE if outcome == "ok" else None


def words(report: Report) -> Iterator[str]:
    """The report for a person, line by line."""
    for each in report.properties:
        yield from property_words(each)
    for covered in report.coverage:
        left = [*covered.tools.left_out, *covered.arguments.left_out, *covered.state.left_out]
        if left:
            yield f"{covered.spec}: no property speaks of {', '.join(f'`{name}`' for name in left)}"
    for difference in report.differences:
        yield f"ledger: {difference.words}; review it, then `sandbox prove --update`"
    for folder, status in report.ledgers:
        if status == "absent" and not report.differences and report.exit_code == 0:
            yield f"no ledger in `{folder}`: run with `--update` to write one, and review it like a lock file"


def property_words(report: PropertyReport) -> Iterator[str]:
    """One property for a person: the verdict, and the sequence that shows it."""
    verdict = report.verdict
    reason = f": {reason_of(verdict)}" if reason_of(verdict) else ""
    took = "cached" if report.cached else f"{report.duration_ms} ms"
    yield f"{name_of(verdict):8} {report.spec} {report.subject.id} ({took}){reason}"
    yield from (f"  by the invariant: {text}" for text in invariant_of(verdict))
    if report.rests_on.sources and isinstance(verdict, Proved):
        yield f"  rests on {', '.join(phrase(each) for each in report.rests_on.sources)}"
    replayed = replay_of(verdict)
    if replayed is not None and isinstance(verdict, Refuted):
        if report.subject.why:
            yield f"  it matters because: {report.subject.why}"
        yield from (f"  {line}" for line in replayed.words)
        yield from (f"  {each.words}" for each in report.mends)
