"""`sandbox prove`: what must never, must always, or can happen - proved, refuted by a sequence of calls, or unknown."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, cast

import click

from sandbox.cache import Cache
from sandbox.cli.output import json_option, json_text, show
from sandbox.cli.unchanged import Inputs, Printed, Unchanged
from sandbox.errors import UsageError

if TYPE_CHECKING:
    from sandbox.prove.report import Report
    from sandbox.prove.run import ProveOptions

DEFAULT_PATH: Final = "proofs"
MAX_DEFAULT_JOBS: Final = 4
"""Each is a process with a solver of some hundred MiB."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where a report goes beside the terminal."""

    sarif: str | None = None
    html: str | None = None
    tests: str | None = None

    def write(self, report: Report) -> None:
        """Write what was asked for. Raises UsageError where a file cannot be written."""
        from sandbox.prove.page import page  # noqa: PLC0415 - not loaded for what is known
        from sandbox.prove.regression import regression_tests  # noqa: PLC0415 - likewise
        from sandbox.prove.sarif import sarif_text  # noqa: PLC0415 - likewise

        if self.sarif is not None:
            _write(self.sarif, sarif_text(report, Path()))
        if self.html is not None:
            _write(self.html, page(report))
        if self.tests is not None:
            _write(self.tests, regression_tests(report, Path(self.tests).parent))


def _write(file: str, text: str) -> None:
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        message = f"`{file}` cannot be written: {error.strerror}; name another file"
        raise UsageError(message) from error


@click.command(name="prove", epilog="Example: sandbox prove proofs/payments.yaml --solver both")
@click.argument("paths", metavar="[PATH...]", nargs=-1)
@click.option("--update", is_flag=True, help="Write ledger.json beside the property files.")
@click.option("--locked", is_flag=True, help="Fail where there is no ledger.json: for CI.")
@click.option("--emit", metavar="DIR", help="Write a certificate: every obligation as an SMT-LIB 2 file.")
@click.option("--solver", type=click.Choice(["z3", "cvc5", "both"]), default="z3", show_default=True)
@click.option("--jobs", type=click.INT, default=lambda: min(MAX_DEFAULT_JOBS, os.cpu_count() or 1), help="At once.")
@click.option("--shard", metavar="I/N", default="1/1", help="Prove the I-th of N shares, all of which are the whole.")
@click.option("--timeout", type=click.FLOAT, help="Seconds a property.  [default: 60]")
@click.option("--no-cache", is_flag=True, help="Prove from nothing, as --update, --emit, --locked and CI always do.")
@click.option("--no-mend", is_flag=True, help="Do not look for what would mend a refuted property.")
@click.option("--sarif", metavar="FILE", help="Write what is not proved as SARIF 2.1.0, for code review.")
@click.option("--html", metavar="FILE", help="Write the report as one page for a browser.")
@click.option(
    "--write-test", metavar="FILE", help="Write each counterexample as a pytest that fails until it is mended."
)
@json_option
def command(
    paths: tuple[str, ...],
    *,
    update: bool,
    locked: bool,
    emit: str | None,
    solver: str,
    jobs: int,
    shard: str,
    timeout: float | None,
    no_cache: bool,
    no_mend: bool,
    sarif: str | None,
    html: str | None,
    write_test: str | None,
    as_json: bool,
) -> int:
    """Prove property files, or every one in a folder; by default those in `proofs/`.

    Exit code: 1 if anything is refuted, vacuous or differs from the ledger, else 3 if anything is unknown, else 0.
    A folder that has no ledger yet differs from nothing, unless --locked is given or the spec says `require_proofs`.
    """
    cache = None if no_cache or update or locked or emit is not None else Cache.of_user(os.environ)
    files = Files(sarif, html, write_test)
    known = cache is not None and files == Files()
    asked = (
        Unchanged(cache, paths or (DEFAULT_PATH,), {"solver": solver, "shard": shard, "mend": not no_mend})
        if cache and known
        else None
    )
    printed = asked.known() if asked is not None else None
    if printed is None:
        from sandbox.prove.run import DEFAULT_TIMEOUT_S, ProveOptions  # noqa: PLC0415 - not loaded for what is known
        from sandbox.prove.share import read_shard  # noqa: PLC0415 - likewise

        options = ProveOptions(
            solver=cast("Literal['z3', 'cvc5', 'both']", solver),
            jobs=jobs,
            timeout_s=DEFAULT_TIMEOUT_S if timeout is None else timeout,
            emit_dir=Path(emit) if emit is not None else None,
            update=update,
            locked=locked,
            shard=read_shard(shard),
            cache=cache,
            mend=not no_mend,
        )
        printed = _proved(paths or (DEFAULT_PATH,), options, asked, files)
    if as_json:
        click.echo(json_text(printed.document, indent=2))
    else:
        for line in printed.lines:
            click.echo(line)
    return printed.exit_code


def _proved(paths: tuple[str, ...], options: ProveOptions, asked: Unchanged | None, files: Files) -> Printed:
    """What is to be printed; kept, where it is all decided."""
    from sandbox.cli.progress import Progress  # noqa: PLC0415 - not loaded for what is known
    from sandbox.prove.report import report_to_json, words  # noqa: PLC0415 - likewise
    from sandbox.prove.run import prove_paths  # noqa: PLC0415 - likewise
    from sandbox.spec.document import READER  # noqa: PLC0415 - likewise

    inputs = Inputs()
    before = READER.set(inputs.heard)
    try:
        with Progress(sys.stderr) as progress:
            report = prove_paths(paths, options, progress.watch)
    finally:
        READER.reset(before)
    files.write(report)
    printed = Printed(tuple(show(line) for line in words(report)), report_to_json(report), report.exit_code)
    if asked is not None and _is_decided(report):
        again = replace(report, properties=tuple(replace(each, cached=True) for each in report.properties))
        lines = tuple(show(line) for line in words(again))
        asked.keep(inputs, Printed(lines, report_to_json(again), report.exit_code))
    return printed


def _is_decided(report: Report) -> bool:
    from sandbox.prove.verdicts import Bounded, Unknown  # noqa: PLC0415 - not loaded for what is known

    return not any(isinstance(each.verdict, Unknown | Bounded) for each in report.properties)
