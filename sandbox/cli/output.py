"""What every command prints: JSON documents with a schema version, lines that are safe on a terminal, errors."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeVar

import click

if TYPE_CHECKING:
    from sandbox.ir import Json

SCHEMA_VERSION: Final = 1

_LONE: Final = re.compile("[\ud800-\udfff]")

F = TypeVar("F", bound=Callable[..., object])


def json_option(command: F) -> F:
    """`--json`: one JSON document on stdout instead of words."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")(command)


def state_option(command: F) -> F:
    """`--state URL`: where budgets and the record live."""
    help_text = "Where the state lives (sqlite:///FILE); default $SANDBOX_STATE, else .sandbox/ beside the spec."
    return click.option("--state", metavar="URL", help=help_text)(command)


def json_text(document: Mapping[str, Json], indent: int | None = None) -> str:
    """A document as JSON text that is valid UTF-8: of a name that is none, the bytes are escapes."""
    text = json.dumps(document, ensure_ascii=False, indent=indent)
    return _LONE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def print_document(document: Mapping[str, Json]) -> None:
    """One JSON document, its schema version first."""
    click.echo(json_text({"schema_version": SCHEMA_VERSION, **document}, indent=2))


def print_error(message: str, reason_code: str, *, as_json: bool) -> None:
    """The message on stderr; with `--json` also the one document on stdout."""
    click.echo("\n".join(show(line) for line in message.splitlines()), err=True)
    if as_json:
        print_document({"error": {"reason_code": reason_code, "message": message}})


def show(text: str) -> str:
    """A text on one line, control characters escaped: nothing that a model wrote reaches the terminal as it is."""
    from sandbox.canonical import printable  # noqa: PLC0415 - loads the language, which some answers do without

    return printable(text)


def show_block(text: str) -> str:
    """As `show`, line by line."""
    return "\n".join(show(line) for line in text.split("\n"))
