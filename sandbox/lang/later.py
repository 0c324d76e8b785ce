"""What LANGUAGE has and this version has not: refused by name, in one place, never ignored."""

from __future__ import annotations

from typing import Final

NOT_YET: Final = "not supported in this version"

TYPES: Final = frozenset({"set", "map"})
"""Types of state."""

SERVER_KEYS: Final = frozenset(
    {"resources", "prompts", "sampling", "elicitation", "roots", "completions", "logging", "tasks"}
)
"""What an MCP server may offer or ask for besides tools."""
TOOL_KEYS: Final = frozenset({"returns", "changes", "after"})
STATE_KEYS: Final = frozenset({"items", "key", "value", "max_size"})
PROPERTY_KEYS: Final = frozenset({"needs", "within", "flow"})
SCOPES: Final = frozenset({"principal", "session"})

NAMES: Final = frozenset({"origin", "result", "outcome", "change"})
"""Names in expressions."""

NEVER: Final = frozenset(
    {"map", "filter", "replace", "split", "substring", "join", "format", "trim", "charAt", "indexOf", "upperAscii"}
    | {"bool", "bytes", "double", "dyn", "int", "string", "type", "uint"}
)
"""Functions of CEL that LANGUAGE refuses for good: conversions, and what builds strings or lists."""

FUNCTIONS: Final = frozenset({"add", "remove", "origin"})
"""Functions and methods in expressions."""
