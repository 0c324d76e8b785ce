"""The demo's first two parts: what is proved of the specs, and how each mistake is refuted."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

from demo_screen import WIDTH, clipped, part, wrapped

from sandbox.compile import load_properties
from sandbox.prove import PropertyReport, Proved, ProveOptions, Refuted, prove_paths

JOBS = 2


def show_proofs(folder: Path) -> list[str]:
    """Proves every property of a folder and prints each with its time; what is not proved is returned."""
    begun = time.monotonic()
    report = prove_paths([folder], ProveOptions(jobs=JOBS))
    proved = sum(isinstance(each.verdict, Proved) for each in report.properties)
    seconds = f"{time.monotonic() - begun:.1f} s"
    lines = [*map(_proof_line, report.properties), f"{proved} of {len(report.properties)} proved in {seconds}"]
    part("1  What is proved: for all calls, and for every sequence of calls of any length", [[line] for line in lines])
    return [
        f"not proved: {each.spec} {each.subject.id}"
        for each in report.properties
        if not isinstance(each.verdict, Proved)
    ]


def show_mistakes(folder: Path) -> list[str]:
    """Refutes every mistake and prints each with the calls that show it; what goes unnoticed is returned."""
    report = prove_paths([folder], ProveOptions(jobs=JOBS))
    slips = {each.contract.name: _first_comment(each.contract.file) for each in load_properties(folder)}
    blocks = [[slips[each.spec], *_refutation(each), ""] for each in report.properties]
    part("2  The same specs with one slip each: refuted, by calls that were replayed through the gate", blocks)
    return [f"mistake not noticed: {each.spec} {each.subject.id}" for each in report.properties if not _is_shown(each)]


def _proof_line(report: PropertyReport) -> str:
    name = type(report.verdict).__name__.lower()
    text = clipped(" ".join(report.subject.text.split()), WIDTH - 77)
    head = f"{name:8} {report.duration_ms:5} ms  {report.spec:9}{report.subject.kind:9}"
    return f"{head}{clipped(report.subject.id, 39)} {text}".rstrip()


def _refutation(report: PropertyReport) -> Iterator[str]:
    text = " ".join(report.subject.text.split())
    name = type(report.verdict).__name__.lower()
    yield from wrapped(f"{name} in {report.duration_ms} ms: {report.spec}: {report.subject.kind} {text}", "  ")
    if not isinstance(report.verdict, Refuted) or report.verdict.counterexample is None:
        return
    shown = report.verdict.counterexample
    for words in shown.words:
        yield from wrapped(words.replace("T00:00:00.000Z", ""), "  ")
    for move in shown.moves.calls:
        yield from wrapped(json.dumps({"tool": move.tool, "args": dict(move.args)}), "  JSON ")


def _is_shown(report: PropertyReport) -> bool:
    return isinstance(report.verdict, Refuted) and report.verdict.counterexample is not None


def _first_comment(file: str) -> str:
    """What the spec's author says of it in its first line."""
    return Path(file).read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
