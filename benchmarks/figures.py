"""A figure, how one is taken, and how figures are printed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

BATCH_SECONDS = 0.05  # a batch is long enough that the clock does not matter
BATCHES = 9  # the median of these; a busy neighbour spoils some, not most


@dataclass(frozen=True)
class Figure:
    """One measured time in milliseconds. `ratio` is against the figure named `against`, taken in the same run."""

    group: str
    name: str
    milliseconds: float
    against: str = ""
    ratio: float | None = None
    note: str = ""


def per_call(call: Callable[[], object]) -> float:
    """Milliseconds of one call, the median over batches."""
    call()
    once = timed(call)
    count = max(1, int(BATCH_SECONDS * 1000 / max(once, 1e-6)))
    return statistics.median(timed(lambda: repeat(call, count)) / count for _ in range(BATCHES))


def timed(call: Callable[[], object]) -> float:
    """Milliseconds of this one call."""
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000


def repeat(call: Callable[[], object], count: int) -> None:
    """The call, over and over."""
    for _ in range(count):
        call()


def related(group: str, times: dict[str, float], against: str, notes: dict[str, str] | None = None) -> list[Figure]:
    """Figures for these times, each with its ratio to the one named `against`."""
    said = notes or {}
    return [
        Figure(group, name, spent, against if name != against else "", spent / times[against], said.get(name, ""))
        for name, spent in times.items()
    ]


def table(figures: Iterable[Figure]) -> str:
    """The figures as text, a line each."""
    lines = []
    group = ""
    for figure in figures:
        if figure.group != group:
            group = figure.group
            lines.append(f"\n{group}")
        ratio = f"{figure.ratio:8.2f} x {figure.against}" if figure.ratio is not None and figure.against else ""
        lines.append(f"  {figure.name:<52} {amount(figure.milliseconds):>12}  {ratio:<32} {figure.note}".rstrip())
    return "\n".join(lines)


def amount(milliseconds: float) -> str:
    """A time in the unit that suits it."""
    if milliseconds < 1:
        return f"{milliseconds * 1000:.1f} us"
    return f"{milliseconds:.1f} ms" if milliseconds < 10_000 else f"{milliseconds / 1000:.1f} s"
