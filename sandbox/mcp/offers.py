"""What the gateway offers of a server besides tools, and how it is shown in lists.

A prompt is shown as the spec has it. Of resources the spec says only who may read which; so they are shown as the
server describes them, and those alone whose description a person has reviewed, with nothing hidden in it.
"""

from __future__ import annotations

from typing import Final

from sandbox.ir import Argument, GrantedPrompt, Json, RunServer, Tool
from sandbox.mcp.cleaning import MAX_TYPE, clean_text
from sandbox.mcp.pins import Definition
from sandbox.strict_json import JsonNumber

MAX_SHOWN: Final = 2_000
"""Characters of one text of a resource's description: more is no description."""

_TEXTS: Final = {"name": MAX_SHOWN, "title": MAX_SHOWN, "description": MAX_SHOWN, "mimeType": MAX_TYPE}


def methods(granted: RunServer) -> frozenset[str]:
    """The requests that are answered, besides those that open a connection."""
    resources = {"resources/list", "resources/templates/list", "resources/read"} if granted.resources else set()
    prompts = {"prompts/list", "prompts/get"} if granted.prompts else set()
    return frozenset({"tools/list", "tools/call"} | resources | prompts)


def capabilities(granted: RunServer) -> dict[str, Json]:
    """What a client is told that there is. Nobody is told of changes, and nothing can be subscribed to."""
    told: dict[str, Json] = {"tools": {"listChanged": False}}
    if granted.resources:
        told["resources"] = {"listChanged": False, "subscribe": False}
    if granted.prompts:
        told["prompts"] = {"listChanged": False}
    return told


def shown_prompt(granted: GrantedPrompt, tool: Tool) -> dict[str, Json]:
    """A prompt of the list: its name is the server's, all else the spec's."""
    return {
        "name": granted.prompt,
        "description": tool.description or granted.prompt,
        "arguments": [_shown_argument(argument) for argument in tool.arguments],
    }


def shown_resource(key: str, definition: Definition) -> dict[str, Json]:
    """A resource of the list, or with `uriTemplate` as `key` a template; its texts cleaned and cut."""
    told: dict[str, Json] = {key: clean_text(definition.name), "name": clean_text(definition.name)}
    for name, limit in _TEXTS.items():
        text = definition.whole.get(name)
        if isinstance(text, str) and not isinstance(text, JsonNumber):
            told[name] = clean_text(text[:limit])
    return told


def _shown_argument(argument: Argument) -> dict[str, Json]:
    return {"name": argument.name, "required": not argument.optional and argument.default is None}
