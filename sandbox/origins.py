"""Where values come from: the labels that a spec can speak of, and what its rules ask.

A label is `user`, `tool:NAME`, one that a field of some `returns` has, or `unknown`. What a rule asks is a pair: an
argument, and a label that its value may have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from sandbox.call import UNKNOWN
from sandbox.ir import Contract, Expr, OriginHas, Tool
from sandbox.lang.walk import within

MAX_ALIKE: Final = 16 * 1024
"""Characters of a text that is found although it is spelt otherwise: the longest that rules see, but for `text`."""

USER: Final = "user"
"""The label of what the user said, which only the host can know."""


def tool_label(tool: str) -> str:
    """The label of everything that a tool returns."""
    return f"tool:{tool}"


def origin_labels(tools: Iterable[str], returned: Iterable[str]) -> tuple[str, ...]:
    """Every label that a value can have, where these are the tools and the labels of their fields."""
    return tuple(dict.fromkeys((USER, UNKNOWN, *returned, *(tool_label(name) for name in tools))))


def labels_of(contract: Contract) -> tuple[str, ...]:
    """Every label that a spec can speak of."""
    returned = (field.origin for tool in contract.tools for field in tool.returns if field.origin)
    return origin_labels((tool.name for tool in contract.tools), returned)


def origins_asked(tool: Tool) -> tuple[OriginHas, ...]:
    """What a tool's rules and assignments ask of origins, each once, in order."""
    return tuple(sorted(set(_asked(tool)), key=lambda asked: (asked.argument, asked.label)))


def _asked(tool: Tool) -> Iterator[OriginHas]:
    for expr in _expressions(tool):
        yield from (each for each in within(expr) if isinstance(each, OriginHas))


def _expressions(tool: Tool) -> Iterator[Expr]:
    for rule in (*tool.rules, *(tool.changes or ()), *(tool.after or ())):
        yield rule.when
    for step in (*tool.then, *tool.on_success):
        yield step.value
        if step.key is not None:
            yield step.key
