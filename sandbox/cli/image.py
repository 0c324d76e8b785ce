"""`sandbox image`: the default container image."""

from __future__ import annotations

from pathlib import Path

import click

from sandbox.cli.output import json_option, print_document
from sandbox.execute.image import build_image
from sandbox.execute.podman import connect
from sandbox.execute.recipe import build_recipe, read_recipe


@click.group(name="image", epilog="Example: sandbox image build")
def command() -> None:
    """The default container image: Debian's Python, without a shell."""


@command.command(name="build", epilog="Example: sandbox image build --json")
@click.option("--recipe", metavar="FILE", help="Build the default image and what this file adds to it.")
@json_option
def build(*, recipe: str | None, as_json: bool) -> int:
    """Build the default image from Debian packages; nothing to do where it is there already."""
    added = None if recipe is None else read_recipe(Path(recipe))
    engine = connect()
    try:
        image = build_image(engine) if added is None else build_recipe(engine, added)
    finally:
        engine.close()
    if as_json:
        print_document(image.to_json())
    else:
        click.echo(f"{'built' if image.built else 'there already'}: {image.tag} {image.id} ({image.size} bytes)")
    return 0
