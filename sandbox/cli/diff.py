"""`sandbox diff`: what a new version of a spec allows, asks and denies that the old one does not."""

from __future__ import annotations

import os

import click

from sandbox.cli.output import json_option, print_document, show
from sandbox.compile import load_contract


@click.command(name="diff", epilog="Example: sandbox diff main/specs/payments.yaml specs/payments.yaml")
@click.argument("old")
@click.argument("new")
@click.option("--format", "style", type=click.Choice(["text", "markdown"]), default="text", show_default=True)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    help="Seconds a question.",
)
@click.option("--jobs", type=click.IntRange(1, 64), default=lambda: min(4, os.cpu_count() or 1), help="At once.")
@json_option
def command(old: str, new: str, *, style: str, timeout: float, jobs: int, as_json: bool) -> int:
    """Compare two versions of a spec, over every call after every sequence of calls that both permit.

    Each difference is shown by calls that both versions have judged; that there is none is proved. Exit code: 1 if
    anything is newly allowed, else 3 if anything was not decided, else 0.
    """
    from sandbox.prove.diff import Options, diff  # noqa: PLC0415 - not loaded for help
    from sandbox.prove.diff_words import diff_to_json, markdown, words  # noqa: PLC0415 - likewise

    found = diff(load_contract(old), load_contract(new), Options(jobs=jobs, timeout_s=timeout))
    if as_json:
        print_document(diff_to_json(found))
    elif style == "markdown":
        click.echo(markdown(found), nl=False)
    else:
        for line in words(found):
            click.echo(show(line))
    return found.exit_code
