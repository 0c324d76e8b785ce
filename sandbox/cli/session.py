"""`--session JSON`: the facts that a host supplies."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeVar

import click

F = TypeVar("F", bound=Callable[..., object])


class SessionType(click.ParamType[dict[str, object]]):
    """A JSON object."""

    name = "JSON"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, object]:
        """The object, or a usage error."""
        if isinstance(value, dict):
            return value
        try:
            facts = json.loads(str(value))
        except (ValueError, RecursionError):
            facts = None
        if not isinstance(facts, dict):
            self.fail(f"`{value}` is no JSON object of session facts", param, ctx)
        return facts


def session_option(command: F) -> F:
    """`--session JSON`, an empty object by default."""
    return click.option("--session", type=SessionType(), default="{}", help="Session facts, a JSON object.")(command)
