"""`--tool` and `--args`: one raw call, put together without reading it; the gate is the only parser."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeVar

import click

F = TypeVar("F", bound=Callable[..., object])


def tool_option(command: F) -> F:
    """`--tool T`."""
    return click.option("--tool", required=True, help="The tool's name.")(command)


def args_option(command: F) -> F:
    """`--args JSON`."""
    return click.option("--args", required=True, metavar="JSON", help="The arguments, a JSON object.")(command)


def raw_call(tool: str, args: str) -> bytes:
    """The bytes of a call; `args` goes in as it was typed."""
    text = args.encode("utf-8", "surrogateescape")
    return b'{"tool":' + json.dumps(tool).encode() + b',"args":' + text + b"}"
