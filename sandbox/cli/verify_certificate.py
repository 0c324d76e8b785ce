"""`sandbox verify-certificate`: whether a certificate is one of a spec, and its files say what it claims."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, cast

import click

from sandbox.cli.output import json_option, print_document, show
from sandbox.ir import Json
from sandbox.prove.run import MAX_JOBS
from sandbox.prove.verify import Checked, Verification, VerifyOptions, verify

MAX_DEFAULT_JOBS: Final = 4


@click.command(name="verify-certificate", epilog="Example: sandbox verify-certificate cert specs/payments.yaml")
@click.argument("folder", metavar="DIR")
@click.argument("specs", metavar="SPEC...", nargs=-1, required=True)
@click.option("--properties", metavar="PATH", multiple=True, help="A property file, or folder, that must be covered.")
@click.option("--solver", type=click.Choice(["z3", "cvc5", "both"]), default="z3", show_default=True)
@click.option("--jobs", type=click.IntRange(1, MAX_JOBS), default=lambda: min(MAX_DEFAULT_JOBS, os.cpu_count() or 1))
@click.option("--timeout", type=click.FLOAT, default=120.0, show_default=True, help="Seconds a property.")
@json_option
def command(
    folder: str,
    specs: tuple[str, ...],
    *,
    properties: tuple[str, ...],
    solver: str,
    jobs: int,
    timeout: float,
    as_json: bool,
) -> int:
    """Check what `sandbox prove --emit DIR` wrote against SPEC: every digest, every obligation, every answer.

    Exit code: 1 if anything is not as claimed, or is refuted or vacuous, else 3 if it is not decided, else 0.
    """
    choice = cast("Literal['z3', 'cvc5', 'both']", solver)
    options = VerifyOptions(choice, jobs, timeout, tuple(Path(each) for each in properties))
    found = verify(Path(folder), [Path(spec) for spec in specs], options)
    if as_json:
        print_document(_document(found))
    else:
        for line in _words(found):
            click.echo(show(line))
    return found.exit_code


def _document(found: Verification) -> dict[str, Json]:
    return {
        "certificate": found.digest,
        "properties": [_property(each) for each in found.properties],
        "problems": list(found.problems),
        "left_out": list(found.left_out),
        "exit_code": found.exit_code,
    }


def _property(each: Checked) -> Json:
    return {
        "spec": each.spec,
        "id": each.id,
        "verdict": each.verdict,
        "status": each.status,
        "obligations": each.obligations,
        "reasons": list(each.reasons),
    }


def _words(found: Verification) -> Iterator[str]:
    for each in found.properties:
        count = "1 obligation" if each.obligations == 1 else f"{each.obligations} obligations"
        yield f"{each.status:9} {each.spec} {each.id}: {each.verdict}, {count}"
        yield from (f"  {reason}" for reason in each.reasons)
    yield from (f"mismatch  {problem}" for problem in found.problems)
    yield from (f"not checked: what it says of `{name}`; name that spec too" for name in found.left_out)
    yield f"certificate {found.digest}"
