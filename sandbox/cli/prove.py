"""`sandbox prove`: what must never, must always, or can happen - proved, refuted by a sequence of calls, or unknown."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Final, Literal, cast

import click

from sandbox.cli.output import json_option, show
from sandbox.prove.report import PropertyReport, property_words, report_to_json, words
from sandbox.prove.run import DEFAULT_TIMEOUT_S, MAX_JOBS, ProveOptions, prove_paths

DEFAULT_PATH: Final = "proofs"
MAX_DEFAULT_JOBS: Final = 4
"""Each is a process with a solver of some hundred MiB."""


@click.command(name="prove", epilog="Example: sandbox prove proofs/payments.yaml --solver both")
@click.argument("paths", metavar="[PATH...]", nargs=-1)
@click.option("--update", is_flag=True, help="Write ledger.json beside the property files.")
@click.option("--locked", is_flag=True, help="Fail where there is no ledger.json: for CI.")
@click.option("--emit", metavar="DIR", help="Write every obligation as an SMT-LIB 2 file.")
@click.option("--solver", type=click.Choice(["z3", "cvc5", "both"]), default="z3", show_default=True)
@click.option("--jobs", type=click.IntRange(1, MAX_JOBS), default=lambda: min(MAX_DEFAULT_JOBS, os.cpu_count() or 1))
@click.option("--timeout", type=click.FLOAT, default=DEFAULT_TIMEOUT_S, show_default=True, help="Seconds a property.")
@json_option
def command(
    paths: tuple[str, ...],
    *,
    update: bool,
    locked: bool,
    emit: str | None,
    solver: str,
    jobs: int,
    timeout: float,
    as_json: bool,
) -> int:
    """Prove property files, or every one in a folder; by default those in `proofs/`.

    Exit code: 1 if anything is refuted, vacuous or differs from the ledger, else 3 if anything is unknown, else 0.
    A folder that has no ledger yet differs from nothing, unless --locked is given or the spec says `require_proofs`.
    """
    options = ProveOptions(
        solver=cast("Literal['z3', 'cvc5', 'both']", solver),
        jobs=jobs,
        timeout_s=timeout,
        emit_dir=Path(emit) if emit is not None else None,
        update=update,
        locked=locked,
    )
    report = prove_paths(paths or (DEFAULT_PATH,), options, _progress if sys.stderr.isatty() else None)
    if as_json:
        click.echo(json.dumps(report_to_json(report), ensure_ascii=False, indent=2))
    else:
        for line in words(report):
            click.echo(show(line))
    return report.exit_code


def _progress(result: PropertyReport) -> None:
    """One line on a terminal as soon as a property is decided."""
    click.echo(show(next(iter(property_words(result)))), err=True)
