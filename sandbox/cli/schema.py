"""`sandbox schema`: JSON Schema for editors."""

from __future__ import annotations

import json

import click

from sandbox.cli.output import json_option
from sandbox.spec.schema import properties_schema, spec_schema


@click.command(name="schema", epilog="Example: sandbox schema > sandbox.schema.json")
@click.option("--properties", is_flag=True, help="The schema of property files, not of specs.")
@json_option
def command(*, properties: bool, as_json: bool) -> int:
    """JSON Schema (2020-12) that makes editors complete and check specs. A schema is JSON with or without --json."""
    _ = as_json
    written = properties_schema() if properties else spec_schema()
    click.echo(json.dumps(written, ensure_ascii=False, indent=2))
    return 0
