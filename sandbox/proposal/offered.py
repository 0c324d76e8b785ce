"""What a server offers besides tools, as a proposal in comments: nothing of it is granted until somebody writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sandbox.proposal.writing import quoted, remark
from sandbox.uris import is_one_reading

MAX_PROPOSED: Final = 20
"""Resources, and prompts, that a comment names: it is an example, and no list."""


def offered_lines(prompts: Mapping[str, Sequence[str]], uris: Sequence[str]) -> tuple[str, ...]:
    """Comments for a spec: a grant of the resources of these URIs, and of these prompts with their arguments."""
    return tuple(f"# {line}" for line in (*_resources(uris), *_prompts(prompts)))


def _resources(uris: Sequence[str]) -> list[str]:
    named = [uri for uri in uris if is_one_reading(uri)][:MAX_PROPOSED]
    if not named:
        return []
    return [
        "The server has resources. They are granted by `resources: read_resource` under `server`, with a tool that",
        "judges what is read:",
        "  read_resource:",
        f"    args: {{uri: {{type: enum, values: [{', '.join(map(quoted, named))}]}}}}",
        "    rules: []",
    ]


def _prompts(prompts: Mapping[str, Sequence[str]]) -> list[str]:
    if not prompts:
        return []
    lines = [
        "The server has prompts. One is granted by `prompts: {TOOL: PROMPT}` under `server`, with a tool of its own:"
    ]
    for number, (name, arguments) in enumerate([*prompts.items()][:MAX_PROPOSED], 1):
        lines += [
            f"  prompt_{number}:                              # {remark(name)}",
            f"    args: {{{', '.join(f'{remark(each)}: {{type: string, max_size: 200}}' for each in arguments)}}}",
            "    rules: []",
        ]
    return lines
