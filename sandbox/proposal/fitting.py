"""Proposed tools, with sizes small enough that a spec with them loads: what a decision may cost is bounded there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from sandbox.proposal.shapes import ProposedTool, Shape
from sandbox.proposal.writing import refusal_of

LEAST: Final = {"list": 4, "string": 64, "text": 1_024}
"""The sizes below which nothing is made smaller: an argument of less would rarely be of use."""


def fitted(tools: Sequence[ProposedTool]) -> list[ProposedTool]:
    """The tools, those that no spec could have as they are with smaller sizes; `lost` where that does not suffice."""
    return [tool if tool.lost or refusal_of(tool) is None else _smaller(tool) for tool in tools]


def _smaller(tool: ProposedTool) -> ProposedTool:
    """Lists and what is in them come first: a string counts once for each item."""
    now = replace(tool, smaller=True)
    for within_lists in (True, False):
        while (less := _halved(now, within_lists=within_lists)) != now:
            now = less
            if refusal_of(now) is None:
                return now
    return replace(tool, lost=refusal_of(now) or "")


def _halved(tool: ProposedTool, *, within_lists: bool) -> ProposedTool:
    arguments = tuple(
        replace(
            each, type={key: _half(value, each.type, key, inside=not within_lists) for key, value in each.type.items()}
        )
        for each in tool.arguments
    )
    return replace(tool, arguments=arguments)


def _half(value: Shape, within: Mapping[str, Shape], key: str, *, inside: bool) -> Shape:
    """A part of a type, with every size halved that counts: of a list, and of what is `inside` of one."""
    kind = str(within.get("type"))
    if key == "max_size" and isinstance(value, int) and (inside or kind == "list"):
        return max(min(value, LEAST[kind]), value // 2)
    if isinstance(value, dict):
        inner = inside or (kind == "list" and key == "items")
        return {name: _half(each, value, name, inside=inner) for name, each in value.items()}
    return value
