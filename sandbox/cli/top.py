"""`sandbox top`: what runs on this state, and which containers wait or are at work, seen from outside and live."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import click

from sandbox.cli.output import json_option, print_document, show, state_option
from sandbox.cli.place import state_path
from sandbox.errors import EnvironmentLacking, SandboxFailure
from sandbox.execute.census import Kind, census
from sandbox.execute.podman import connect
from sandbox.gate import wall_clock
from sandbox.ir import Json
from sandbox.state import Reservation, Store

KINDS: Final[tuple[Kind, ...]] = ("pool", "call", "session", "other")
DIGEST_SHOWN: Final = 12
"""Characters of a call's digest in the table: enough to find it in the record."""


@dataclass(frozen=True, slots=True)
class View:
    """One look. `containers` counts by process and kind; None where no engine answers."""

    stopped: bool
    now_ms: int
    calls: tuple[Reservation, ...]
    containers: Mapping[int, Counter[Kind]] | None


@click.command(name="top", epilog="Example: sandbox top --state sqlite:///var/sandbox.db --once")
@click.option("--once", is_flag=True, help="Look once; also what happens where stdout is no terminal.")
@click.option("--interval", type=click.FloatRange(min=0.1), default=1.0, show_default=True, help="Seconds.")
@state_option
@json_option
def command(*, once: bool, interval: float, state: str | None, as_json: bool) -> int:
    """Running calls of this state, and containers by process, until interrupted. Waits for no gate and stops none.

    A container of a pool waits for its call or serves it. With --json, one document, of one look. Exit code: 0.
    """
    with closing(Store.existing(state_path(state))) as store:
        if as_json:
            print_document(_document(look(store)))
            return 0
        if once or not on_terminal():
            click.echo("\n".join(table(look(store))))
            return 0
        try:
            while True:
                lines = table(look(store))
                click.clear()
                click.echo("\n".join(lines))
                time.sleep(interval)
        except KeyboardInterrupt:  # the way in which one ends this
            return 0


def on_terminal() -> bool:
    """Whether somebody looks at it."""
    return sys.stdout.isatty()


def look(store: Store) -> View:
    """What there is at this moment; no transaction is waited for."""
    calls = store.running()
    return View(store.switch().thrown, wall_clock(), calls, _containers())


def table(view: View) -> Iterator[str]:
    """The look in lines for a terminal."""
    yield f"{len(view.calls)} calls on their way{'; the kill switch is on' if view.stopped else ''}"
    if view.calls:
        yield f"{'PROCESS':>9}  {'FOR':>9}  {'STATUS':8}  {'CALL':{DIGEST_SHOWN}}  TOOL"
    for call in view.calls:
        digest = show(call.call_digest[:DIGEST_SHOWN])
        yield f"{call.owner_pid:>9}  {_age(view, call):>7.1f} s  {call.status:8}  {digest}  {show(call.tool)}"
    if view.containers is None:
        yield "no container engine answers"
        return
    yield f"{sum(map(Counter.total, view.containers.values()))} containers of living processes"
    if view.containers:
        yield f"{'PROCESS':>9}  {'  '.join(f'{kind.upper():>7}' for kind in KINDS)}"
    for pid, counted in sorted(view.containers.items()):
        yield f"{pid:>9}  {'  '.join(f'{counted[kind]:>7}' for kind in KINDS)}"


def _containers() -> Mapping[int, Counter[Kind]] | None:
    try:
        engine = connect()
    except EnvironmentLacking:
        return None
    try:
        return census(engine)
    except SandboxFailure:
        return None
    finally:
        engine.close()


def _age(view: View, call: Reservation) -> float:
    """Seconds since its permit; a gate with a clock of its own may be ahead."""
    return max(0, view.now_ms - call.created_ms) / 1000


def _document(view: View) -> dict[str, Json]:
    calls: list[Json] = [
        {
            "tool": call.tool,
            "call_digest": call.call_digest,
            "status": call.status,
            "for_ms": max(0, view.now_ms - call.created_ms),
            "owner_pid": call.owner_pid,
        }
        for call in view.calls
    ]
    containers: Json = (
        None
        if view.containers is None
        else [
            {"owner_pid": pid, **{kind: counted[kind] for kind in KINDS}}
            for pid, counted in sorted(view.containers.items())
        ]
    )
    return {"stopped": view.stopped, "calls": calls, "containers": containers}
