"""`sandbox version`: versions of everything that is trusted."""

from __future__ import annotations

import platform
import sqlite3
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import click

from sandbox.cli.output import json_option, print_document
from sandbox.errors import EnvironmentLacking
from sandbox.execute.podman import connect
from sandbox.ir import Json

TRUSTED: Final = (
    "z3-solver",
    "cvc5",
    "google-re2",
    "h11",
    "lark",
    "ruamel.yaml",
    "pydantic",
    "docker",
    "structlog",
    "click",
)


@click.command(name="version", epilog="Example: sandbox version --json")
@json_option
def command(*, as_json: bool) -> int:
    """Versions of everything that is trusted: Python, solvers, patterns, readers, engine, kernel."""
    found = versions()
    if as_json:
        print_document({"versions": found})
    else:
        width = max(len(name) for name in found)
        for name, text in found.items():
            click.echo(f"{name:{width}}  {text or 'not found'}")
    return 0


def versions() -> dict[str, Json]:
    """Name and version of each; None for what is not there."""
    return {
        "sandbox": _package("sandbox"),
        "python": platform.python_version(),
        **{name: _package(name) for name in TRUSTED},
        "sqlite": sqlite3.sqlite_version,
        "engine": _engine(),
        "kernel": platform.release(),
    }


def _package(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _engine() -> str | None:
    try:
        engine = connect()
    except EnvironmentLacking:
        return None
    engine.close()
    return engine.version
