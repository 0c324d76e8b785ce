"""`sandbox decide`: a recorded list of model outputs, judged line by line without running anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Final

import click

from sandbox.cli.decision import decision_document, exit_code_of
from sandbox.cli.output import json_option, json_text
from sandbox.cli.session import origins_option, session_option
from sandbox.cli.times import Duration, Instant
from sandbox.compile import load_policy
from sandbox.engines import close_engines, engine_pairs
from sandbox.gate import wall_clock
from sandbox.knowledge import told_origins
from sandbox.rehearsal import Rehearsal
from sandbox.session import read_session
from sandbox.strict_json import MAX_MESSAGE_BYTES

CHUNK_BYTES: Final = 1024 * 1024
"""What is read at once of a line that is too long to be a call, and thrown away."""


@click.command(name="decide", epilog="Example: sandbox decide specs/payments.yaml --calls calls.jsonl --step 1h")
@click.argument("spec")
@click.option("--calls", type=click.File("rb"), default="-", help="Raw calls, one a line; default stdin.")
@session_option
@origins_option
@click.option("--now", type=Instant(), help="When the clock starts; default: now.")
@click.option("--step", type=Duration(), default="0s", show_default=True, help="By how much it moves a line.")
@json_option
def command(
    spec: str,
    *,
    calls: BinaryIO,
    session: dict[str, object],
    origins: dict[str, list[str]],
    now: int | None,
    step: int,
    as_json: bool,
) -> int:
    """Judge raw calls without running anything; prints one JSON object a line.

    State flows from line to line as if every allowed call had succeeded; it is thrown away at the end.
    Exit code: 5 if the gate itself failed on a line, else 1 if anything was denied, else 3 if anything was asked.
    """
    _ = as_json  # JSON Lines are printed either way
    policy = load_policy(spec)
    facts = read_session(policy, session)
    start = wall_clock() if now is None else now
    engines = engine_pairs(policy, always_ask=True)
    try:
        rehearsal = Rehearsal(policy, engines, start, session=facts, known=told_origins(policy, origins))
        return _judge_lines(rehearsal, calls, start, step, several=policy.several)
    finally:
        close_engines(engines)


def _judge_lines(rehearsal: Rehearsal, calls: BinaryIO, start_ms: int, step_ms: int, *, several: bool) -> int:
    codes = {0}
    for number, raw in enumerate(read_lines(calls), start=1):
        decision = rehearsal.advance(raw, start_ms + (number - 1) * step_ms)
        document = decision_document(decision, several=several)
        click.echo(json_text({"line": number, **document}))
        codes.add(exit_code_of(decision))
    return next(code for code in (5, 1, 3, 0) if code in codes)


def read_lines(stream: BinaryIO) -> Iterator[bytes]:
    r"""Lines ended by `\n` only, without it. Of a line too long to be a call only so much that parse refuses it."""
    limit = MAX_MESSAGE_BYTES + 2
    while line := stream.readline(limit):
        yield line.removesuffix(b"\n")
        while len(line) == limit and not line.endswith(b"\n"):  # answered already; the rest is thrown away
            rest = stream.readline(CHUNK_BYTES)
            if not rest or rest.endswith(b"\n"):
                break
