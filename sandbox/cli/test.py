"""`sandbox test`: Hypothesis and the solver against the real gate of a spec, until nothing more is to be tried."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

from sandbox.cli.output import json_option, print_document, show, show_block
from sandbox.cli.session import session_option
from sandbox.errors import EnvironmentLacking

if TYPE_CHECKING:
    from sandbox.testing.search import Found

DEFAULT_EXAMPLES: Final = 1_000


@click.command(name="test", epilog="Example: sandbox test specs/payments.yaml --properties proofs --examples 200")
@click.argument("spec")
@click.option(
    "--examples",
    type=click.IntRange(1, 10_000_000),
    default=DEFAULT_EXAMPLES,
    show_default=True,
    help="Hostile outputs to try.",
)
@click.option("--properties", metavar="PATH", help="A property file or folder that must hold at every step.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed, the same search.")
@session_option
@json_option
def command(
    spec: str, *, examples: int, properties: str | None, seed: int, session: dict[str, object], as_json: bool
) -> int:
    """Search for an output of a model by which the real gate does what its rules do not say.

    First calls that the solver aims at every rule and bound, then hostile bytes, then sequences with time passing.
    Nothing runs: what reaches the edge is counted. Exit code: 0 if nothing was found, 1 with the smallest sequence
    that was. To find nothing is no proof; `sandbox prove` is.
    """
    try:
        from sandbox.testing.machine import properties_of  # noqa: PLC0415 - Hypothesis is an extra
        from sandbox.testing.search import search  # noqa: PLC0415
    except ModuleNotFoundError as error:
        message = f'`{error.name}` is missing: pip install "sandbox[testing]"'
        raise EnvironmentLacking(message) from error
    found = search(
        spec,
        properties_of(spec, properties),
        examples=examples,
        seed=seed,
        session=session,
        on_stage=_progress,
    )
    if as_json:
        _document(found)
    else:
        _print(found)
    return 1 if found.finding else 0


def _progress(stage: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"{stage} ...", err=True)


def _document(found: Found) -> None:
    from sandbox.testing.search import seen_to_json  # noqa: PLC0415 - as above

    print_document(
        {
            "outputs": found.outputs,
            "sequences": found.sequences,
            "aimed": list(found.aimed),
            "seen": seen_to_json(found.seen),
            "finding": found.finding or None,
        }
    )


def _print(found: Found) -> None:
    click.echo(f"{found.outputs} outputs, {found.sequences} sequences, {len(found.aimed)} aimed at rules and bounds")
    for (verdict, by), count in found.seen.items():
        click.echo(f"  {count:6} {verdict:5} {show(by)}")
    click.echo(show_block(found.finding) if found.finding else "nothing was found")
