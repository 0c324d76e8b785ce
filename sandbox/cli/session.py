"""`--session JSON` and `--origins JSON`: what a host says of whoever a call is made for, and of a call's values."""

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


class OriginsType(click.ParamType[dict[str, list[str]]]):
    """A JSON object of labels by argument."""

    name = "JSON"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, list[str]]:
        """The labels, or a usage error."""
        if isinstance(value, dict):
            return value
        try:
            told = json.loads(str(value))
        except (ValueError, RecursionError):
            told = None
        labels = {key: _labels(item) for key, item in told.items()} if isinstance(told, dict) else {"": None}
        if None in labels.values():
            self.fail(f'`{value}` is no JSON object of labels by argument, such as `{{"to": ["user"]}}`', param, ctx)
        return {key: item for key, item in labels.items() if item is not None}


def _labels(told: object) -> list[str] | None:
    listed = [told] if isinstance(told, str) else told
    if not isinstance(listed, list) or not all(isinstance(label, str) for label in listed):
        return None
    return [str(label) for label in listed]


def origins_option(command: F) -> F:
    """`--origins JSON`, an empty object by default."""
    told = "Where values of the call come from: labels by argument, a JSON object."
    return click.option("--origins", type=OriginsType(), default="{}", help=told)(command)


def session_option(command: F) -> F:
    """`--session JSON`, an empty object by default."""
    return click.option("--session", type=SessionType(), default="{}", help="Session facts, a JSON object.")(command)
