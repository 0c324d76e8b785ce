"""What is proposed: tools and their arguments, as far as they can be said in a spec; and what could not.

Every text here may be hostile (a server's description, a key of a schema). Nothing is trusted to be short, printable or
one line; `writing` makes it inert.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from sandbox.lang.syntax import RESERVED

Shape: TypeAlias = "str | int | bool | list[Shape] | dict[str, Shape]"
"""A value as YAML has it. A `str` is quoted when it is written, unless it is a `Bare`."""

_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_TOOL_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*", re.ASCII)
MAX_NAME: Final = 100
"""Characters of a name that is proposed."""

PATH_NAMES: Final = re.compile(r"(^|_)(path|paths|file|filename|directory|dir|folder|repo_path|source|destination)$")
TEXT_NAMES: Final = frozenset(
    {"content", "contents", "text", "body", "code", "message", "prompt", "note", "data", "description"}
)
"""Names of arguments that are rarely judged by what is in them."""


class Bare(str):
    """Text that stands without quotes: a keyword or a number of the spec language, never anything that was read."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class ProposedArgument:
    """One argument: its type as it will stand in the spec, how it could be made narrower, what its source says of it.

    `plain` where the function gets it otherwise than its hint says.
    """

    name: str
    type: Mapping[str, Shape]
    optional: bool = False
    narrower: str = ""
    said: str = ""
    plain: bool = False


@dataclass(frozen=True, slots=True)
class ProposedTool:
    """One tool. `left_out` are arguments that no type can say, with why; `lost` says why the tool itself cannot be.

    `smaller` where sizes were made smaller than what it was read from allows.
    """

    name: str
    said: str = ""
    arguments: tuple[ProposedArgument, ...] = ()
    effects: tuple[str, ...] = ()
    run: str = ""
    left_out: tuple[tuple[str, str], ...] = ()
    lost: str = ""
    smaller: bool = False


class Inexpressible(Exception):
    """What was read has no type in a spec; the text says why."""


def is_argument_name(name: str) -> bool:
    """Whether an argument of a spec may be called so."""
    return len(name) <= MAX_NAME and _IDENTIFIER.fullmatch(name) is not None and name not in RESERVED


def is_tool_name(name: str) -> bool:
    """Whether a tool of a spec may be called so."""
    return len(name) <= MAX_NAME and _TOOL_NAME.fullmatch(name) is not None


def narrower(name: str, type_: Mapping[str, Shape]) -> str:
    """How an argument of this name and type could be judged; an expression or a type, for a comment."""
    it = f"args.{name}"
    match type_.get("type"):
        case "string" if PATH_NAMES.search(name.lower()):
            return f"{{type: path, under: /workspace}}, then allow: {it}.startsWith('/workspace/')"
        case "string":
            return f"a pattern for all of it, or allow: {it} in ['one', 'two']"
        case "path":
            return f"allow: {it}.startsWith('/workspace/')"
        case "text":
            return f"allow: size({it}) <= 1000"
        case "int" | "decimal":
            return f"min and max, or allow: {it} <= 100"
        case "bool":
            return f"deny: {it}"
        case "enum":
            return f"fewer values, or allow: {it} in ['one', 'two']"
        case "url":
            return f"allow: {it}.host == 'example.org' && !{it}.is_private"
        case "email":
            return f"allow: {it}.domain == 'example.org'"
        case "list":
            return f"max_size, or allow: size({it}) <= 3"
        case "timestamp" | "duration":
            return "compare it with a literal, or an instant with now"
        case _:
            return "a rule for each of its fields"
