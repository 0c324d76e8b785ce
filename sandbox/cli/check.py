"""`sandbox check`: whether specs are well-formed, and what lint makes of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import click

from sandbox.cli.output import json_option, print_document, show_block
from sandbox.compile import lint, lint_ceilings, load_policy
from sandbox.errors import Problem, SpecError
from sandbox.ir import Contract, Json


@dataclass(frozen=True, slots=True)
class _Checked:
    spec: str
    contract: Contract | None
    problems: tuple[Problem, ...]
    advice: tuple[Problem, ...]


@click.command(name="check", epilog="Example: sandbox check specs/payments.yaml")
@click.argument("specs", metavar="SPEC...", nargs=-1, required=True)
@json_option
def command(specs: tuple[str, ...], *, as_json: bool) -> int:
    """Parse, type-check and lint specs. Lint never changes the exit code: 0 if all are valid, else 2."""
    checked = [_check(spec) for spec in specs]
    if as_json:
        print_document({"specs": [_document(each) for each in checked]})
    for each in checked:
        if not as_json:
            _print(each)
        for problem in each.problems:
            click.echo(show_block(str(problem)), err=True)
    return 2 if any(each.contract is None for each in checked) else 0


def _check(spec: str) -> _Checked:
    try:
        policy = load_policy(spec)
    except SpecError as error:
        return _Checked(spec, None, error.problems, ())
    remarks = (*lint(policy.first), *lint_ceilings(policy))
    return _Checked(spec, policy.first, (), tuple(_named(problem, policy.first, spec) for problem in remarks))


def _named(problem: Problem, contract: Contract, spec: str) -> Problem:
    """A remark about the whole file names it as it was given, as every other remark does."""
    whole = problem.place.file == contract.file
    return replace(problem, place=replace(problem.place, file=spec)) if whole else problem


def _print(each: _Checked) -> None:
    if each.contract is None:
        return
    tools = len(each.contract.tools)
    click.echo(f"{each.spec}: valid ({tools} {'tool' if tools == 1 else 'tools'})")
    for advice in each.advice:
        click.echo(f"lint: {show_block(str(advice))}")


def _document(each: _Checked) -> Json:
    contract = each.contract
    return {
        "spec": each.spec,
        "valid": contract is not None,
        "name": contract.name if contract is not None else None,
        "tools": [tool.name for tool in contract.tools] if contract is not None else [],
        "problems": [_problem(problem) for problem in each.problems],
        "lint": [_problem(problem) for problem in each.advice],
    }


def _problem(problem: Problem) -> Json:
    place = problem.place
    return {"file": place.file, "line": place.line, "column": place.column, "message": problem.message}
