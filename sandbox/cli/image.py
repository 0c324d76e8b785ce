"""`sandbox image`: the default container image."""

from __future__ import annotations

import click

from sandbox.cli.output import json_option, print_document
from sandbox.execute.engine import Engine
from sandbox.execute.image import build_image


@click.group(name="image", epilog="Example: sandbox image build")
def command() -> None:
    """The default container image: Debian's Python, without a shell."""


@command.command(name="build", epilog="Example: sandbox image build --json")
@json_option
def build(*, as_json: bool) -> int:
    """Build the default image from Debian packages; nothing to do where it is there already."""
    engine = Engine.connect()
    try:
        image = build_image(engine)
    finally:
        engine.close()
    if as_json:
        print_document(image.to_json())
    else:
        click.echo(f"{'built' if image.built else 'there already'}: {image.tag} {image.id} ({image.size} bytes)")
    return 0
