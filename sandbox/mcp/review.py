"""What a real server lists, held against what a person has reviewed of it."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.ir import RunServer
from sandbox.mcp.channels import channel_of, prompt_of
from sandbox.mcp.pins import Definition, Listing, ListKind, Pins


@dataclass(frozen=True, slots=True)
class Review:
    """The grants of a server and its pins; where `pins` is None nothing was reviewed, and nothing is as it was."""

    granted: RunServer
    pins: Pins | None

    def is_as_reviewed(self, tool: str, listed: Listing) -> bool:
        """Whether the server lists this tool, or the prompt that it judges, with exactly the pinned definition.

        What is read of resources rests on no description, and is as reviewed wherever anything was.
        """
        match channel_of(self.granted, tool):
            case "tools/call":
                return any(each.name == tool for each in self.unchanged("tools", listed))
            case "prompts/get":
                prompt = prompt_of(self.granted, tool)
                return any(each.name == prompt for each in self.unchanged("prompts", listed))
            case "resources/read":
                return self.pins is not None

    def unchanged(self, kind: ListKind, listed: Listing) -> tuple[Definition, ...]:
        """What the server lists of this kind exactly as it was reviewed."""
        pinned = self.pins.listing.of(kind) if self.pins is not None else {}
        now = listed.of(kind)
        return tuple(each for name, each in now.items() if name in pinned and pinned[name].digest == each.digest)

    def digest(self, tool: str) -> str:
        """Of the reviewed definition of a tool that is as reviewed; '' where there is none to be bound."""
        prompt = prompt_of(self.granted, tool)
        if self.pins is None or tool == self.granted.resources:
            return ""
        return (self.pins.listing.tools[tool] if prompt is None else self.pins.listing.prompts[prompt]).digest
