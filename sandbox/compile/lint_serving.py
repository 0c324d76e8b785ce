"""What is seldom meant of what a server offers: a beginning of a URI that other URIs have too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sandbox.compile.serving import URI
from sandbox.errors import Problem
from sandbox.ir import Arg, Const, Contract, Rule, RunServer, StartsWith
from sandbox.lang.walk import within

_ENDS: Final = ("/", ":", "?", "=")
"""What the beginning of a URI ends with where a part of it ends."""


def lint_serving(contract: Contract) -> Iterator[Problem]:
    """Every rule about what is read that tests a beginning in the middle of a part of the URI."""
    what = contract.server.what if contract.server is not None else None
    tool = contract.tool(what.resources) if isinstance(what, RunServer) and what.resources else None
    for rule in tool.rules if tool is not None else ():
        for part in _beginnings(rule):
            message = f"the prefix `{part}` in rule `{rule.id}` has no slash at its end and begins `{part}-other` too"
            yield Problem(rule.place, message)


def _beginnings(rule: Rule) -> Iterator[str]:
    for expr in within(rule.when):
        match expr:
            case StartsWith(subject=Arg(name=name), part=Const(value=str(part))) if name == URI:
                if not part.endswith(_ENDS):
                    yield part
            case _:
                pass
