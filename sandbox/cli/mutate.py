"""`sandbox mutate`: every rule, bound and assignment of a spec weakened in turn, and which property notices."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from sandbox.cli.output import json_option, print_document, show
from sandbox.compile import load_contract, load_properties
from sandbox.errors import UsageError

if TYPE_CHECKING:
    from sandbox.ir import Contract, Json, Property
    from sandbox.prove.mutants import Score, Tried

DEFAULT_PROPERTIES: Final = "proofs"


@click.command(name="mutate", epilog="Example: sandbox mutate specs/payments.yaml")
@click.argument("spec")
@click.option(
    "--properties", metavar="PATH", help="A property file or folder.  [default: what the spec requires, else proofs]"
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=20.0,
    show_default=True,
    help="Seconds a property.",
)
@click.option("--jobs", type=click.IntRange(1, 64), default=lambda: min(4, os.cpu_count() or 1), help="At once.")
@json_option
def command(spec: str, *, properties: str | None, timeout: float, jobs: int, as_json: bool) -> int:
    """Weaken every rule, bound and assignment in turn; print which no property catches, and the score.

    A mutant that survived is shown with a call that tells it from the original; one that nothing can tell apart is
    equivalent, by proof, and does not count. Exit code: 1 if one survived, else 3 if one was not decided, else 0.
    """
    from sandbox.prove.mutants import mutate  # noqa: PLC0415 - the solvers load with the first mutant
    from sandbox.prove.run import ProveOptions  # noqa: PLC0415 - likewise

    contract = load_contract(spec)
    place = properties or _required(contract) or DEFAULT_PROPERTIES
    subjects = _about(contract, place)
    options = ProveOptions(jobs=jobs, timeout_s=timeout)
    score = mutate(contract, subjects, Path(place), options, _progress)
    if as_json:
        print_document(_document(score))
    else:
        for line in _lines(score):
            click.echo(show(line))
    return score.exit_code


def _required(contract: Contract) -> str | None:
    """Where the spec says that its proofs are."""
    if contract.require_proofs is None:
        return None
    return str(Path(contract.file).parent / contract.require_proofs)


def _about(contract: Contract, place: str) -> tuple[Property, ...]:
    """The properties there that are about this very spec; UsageError where there is none."""
    sets = [each for each in load_properties(place) if each.contract == contract]
    found = tuple(subject for each in sets for subject in each.properties)
    if not found:
        message = f"`{place}` has no property about `{contract.name}`: nothing could catch a mutant; name others"
        raise UsageError(message, "nothing_to_prove")
    return found


def _progress(tried: Tried, count: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"{tried.fate:10} {tried.mutant.what} ({count} in all)", err=True)


def _lines(score: Score) -> list[str]:
    caught, left = score.count("caught"), score.count("survived") + score.count("undecided")
    lines = [f"{score.spec}: {caught} of {caught + left} mutants caught, {score.count('equivalent')} equivalent"]
    for each in score.tried:
        if each.fate in {"survived", "undecided"}:
            lines.append(f"{each.fate}: {each.mutant.what}: {each.mutant.before} -> {each.mutant.after}")
            lines += [f"  {word}" for word in (each.witness.words[:-1] if each.witness is not None else ())]
    return lines


def _document(score: Score) -> dict[str, Json]:
    return {
        "spec": score.spec,
        "mutants": [_mutant(each) for each in score.tried],
        "score": {fate: score.count(fate) for fate in ("caught", "survived", "equivalent", "undecided")},
    }


def _mutant(tried: Tried) -> dict[str, Json]:
    from sandbox.prove.report import replayed_to_json  # noqa: PLC0415 - as above

    return {
        "tool": tried.mutant.tool,
        "what": tried.mutant.what,
        "before": tried.mutant.before,
        "after": tried.mutant.after,
        "fate": tried.fate,
        "caught_by": list(tried.caught_by),
        "witness": replayed_to_json(tried.witness) if tried.witness is not None else None,
    }
