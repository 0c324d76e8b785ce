"""What LANGUAGE has and this version has not: refused by name, in one place, never ignored."""

from __future__ import annotations

from typing import Final

NOT_YET: Final = "not supported in this version"

SERVER_KEYS: Final = frozenset({"sampling", "elicitation", "roots", "completions", "logging", "tasks", "subscriptions"})
"""What an MCP server may offer or ask for besides tools, resources and prompts."""

NEVER: Final = frozenset(
    {"map", "filter", "replace", "split", "substring", "join", "format", "trim", "charAt", "indexOf", "upperAscii"}
    | {"bool", "bytes", "double", "dyn", "int", "string", "type", "uint"}
)
"""Functions of CEL that LANGUAGE refuses for good: conversions, and what builds strings or lists."""
