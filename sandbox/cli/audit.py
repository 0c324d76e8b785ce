"""`sandbox audit`: the record of what was decided and done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from sandbox.audit import verify
from sandbox.canonical import printable
from sandbox.cli.output import json_option, print_document, state_option
from sandbox.cli.place import state_path
from sandbox.errors import UsageError
from sandbox.receipts import check_receipts

RECORD_SUFFIX: Final = ".audit.jsonl"
"""Instead of the state's own: `state.db` has `state.audit.jsonl`."""
TAIL_LINES: Final = 20
"""What `tail` shows: as much as fits a screen."""


@click.group(name="audit", epilog="Example: sandbox audit verify specs/.sandbox/state.audit.jsonl")
def command() -> None:
    """The record of what was decided and done: JSON Lines, each bound to the one before by its digest."""


@command.command(name="verify", epilog="Example: sandbox audit verify --state sqlite:///state.db")
@click.argument("path", required=False)
@state_option
@json_option
def verify_command(path: str | None, *, state: str | None, as_json: bool) -> int:
    """Check the hash chain and every receipt: exit code 1 if something does not fit, with the place where."""
    record = _record(path, state)
    verified = verify(record)
    balance = check_receipts(record)
    if as_json:
        print_document(
            {
                "path": str(record),
                "verified": True,
                "records": verified.records,
                "head": verified.head,
                "receipts": balance.receipts,
                "interrupted": balance.interrupted,
                "unfinished": balance.unfinished,
            }
        )
    else:
        click.echo(f"{record}: {verified.records} records, unbroken; head {verified.head}")
        click.echo(f"{balance.receipts} receipts, {balance.interrupted} interrupted, {balance.unfinished} unfinished")
    return 0


@command.command(name="show", epilog="Example: sandbox audit show --state sqlite:///state.db")
@click.argument("path", required=False)
@state_option
def show_command(path: str | None, *, state: str | None) -> int:
    """Print every record, one JSON object a line."""
    for line in _lines(_record(path, state)):
        click.echo(line)
    return 0


@command.command(name="tail", epilog="Example: sandbox audit tail --state sqlite:///state.db")
@click.argument("path", required=False)
@click.option("--lines", type=click.IntRange(min=1), default=TAIL_LINES, show_default=True)
@state_option
def tail_command(path: str | None, *, lines: int, state: str | None) -> int:
    """Print the last records, one line of words each."""
    for line in list(_lines(_record(path, state)))[-lines:]:
        record = json.loads(line)
        click.echo(printable(f"{record['sequence']:>6} {record['kind']:11} {json.dumps(record['body'])[:160]}"))
    return 0


def _record(path: str | None, state: str | None) -> Path:
    """The named file, else the record of the named state, else that of the nearest `.sandbox/`."""
    record = Path(path) if path is not None else state_path(state).with_suffix(RECORD_SUFFIX)
    if not record.is_file():
        message = f"there is no record at `{record}`"
        raise UsageError(message)
    return record


def _lines(record: Path) -> Iterator[str]:
    with record.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for line in file:
            yield line.rstrip("\n")
