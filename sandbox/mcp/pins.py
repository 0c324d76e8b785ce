"""Pins: what a real server says of its tools, as a person has reviewed it, in a file beside the spec.

A model never sees these descriptions and schemas; the gateway's own come from the spec. They are pinned because they
say what a tool does: one that is described differently is another tool, and is refused until somebody has looked. So
it is with prompts, where the spec grants some. Of resources it is their own descriptions that are shown, those that
were reviewed: one that is described differently is not listed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias, assert_never

from sandbox import strict_json
from sandbox.call import Rejected
from sandbox.canonical import quoted
from sandbox.errors import UsageError
from sandbox.mcp.wire import dumps
from sandbox.strict_json import MAX_MESSAGE_BYTES, JsonNumber, Tree

SUFFIX: Final = ".pins.json"
FORMAT: Final = "1"

_FIELDS: Final = frozenset({"schema_version", "command", "server", "tools"})
ListKind: TypeAlias = Literal["tools", "prompts", "resources", "templates"]
LIST_KINDS: Final[tuple[ListKind, ...]] = ("tools", "prompts", "resources", "templates")

_KEYS: Final[Mapping[ListKind, str]] = {
    "tools": "name",
    "prompts": "name",
    "resources": "uri",
    "templates": "uriTemplate",
}
"""What a server lists, and which member of its definition tells one from the others."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A tool as the server lists it. `digest` is SHA-256 (hex) over all of it, keys sorted, numbers as written."""

    name: str
    whole: Mapping[str, Tree]
    digest: str


Definitions: TypeAlias = Mapping[str, Definition]


@dataclass(frozen=True, slots=True)
class Listing:
    """What a server lists: tools and prompts by name, resources by URI and their templates by theirs."""

    tools: Definitions
    prompts: Definitions = field(default_factory=dict)
    resources: Definitions = field(default_factory=dict)
    templates: Definitions = field(default_factory=dict)

    def of(self, kind: ListKind) -> Definitions:
        """What is listed of one kind."""
        match kind:
            case "tools":
                return self.tools
            case "prompts":
                return self.prompts
            case "resources":
                return self.resources
            case "templates":
                return self.templates
            case _:
                assert_never(kind)


@dataclass(frozen=True, slots=True)
class Pins:
    """A reviewed pin file: the command that it is about, what the server called itself, and what it lists."""

    command: tuple[str, ...]
    server: str
    listing: Listing

    @property
    def tools(self) -> Definitions:
        """The reviewed tools, by name."""
        return self.listing.tools


def definition(tree: Tree, key: str = "name") -> Definition | None:
    """The definition that a member of a list of the server's is, or None for what has no such name."""
    if not isinstance(tree, dict) or type(tree.get(key)) is not str or not tree[key]:
        return None
    text = dumps(tree, sort_keys=True)
    return Definition(str(tree[key]), tree, hashlib.sha256(text.encode("ascii")).hexdigest())


def pin_file(spec: Path) -> Path:
    """Where the pins of a spec lie: `files.yaml` has `files.pins.json`."""
    return spec.with_name(spec.stem + SUFFIX)


def write_pins(path: Path, pins: Pins) -> None:
    """Writes the file whole, or leaves the old one. All in ASCII, so that nothing in it can hide from a reviewer."""
    document: dict[str, object] = {
        "schema_version": JsonNumber(FORMAT),
        "command": list(pins.command),
        "server": pins.server,
    }
    document |= {kind: _entries(pins.listing.of(kind)) for kind in _KEYS if kind == "tools" or pins.listing.of(kind)}
    text = _pretty(document) + "\n"
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(text, encoding="ascii")
        partial.replace(path)
    except OSError as error:
        message = f"the pins cannot be written to `{path}`: {error.strerror}"
        raise UsageError(message, "mcp.pins") from error


def read_pins(path: Path) -> Pins:
    """The pins in a file.

    Raises:
        UsageError: there is none (`mcp.unpinned`), or it is not as it was written (`mcp.pins`).
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_MESSAGE_BYTES + 1)
    except FileNotFoundError as error:
        message = f"no tool of this server was reviewed yet: `sandbox mcp pin` writes `{path}`; read it, then commit it"
        raise UsageError(message, "mcp.unpinned") from error
    except OSError as error:
        message = f"the pins in `{path}` cannot be read: {error.strerror}"
        raise UsageError(message, "mcp.pins") from error
    tree = strict_json.read(raw)
    if isinstance(tree, Rejected):
        raise _not_pins(path, tree.reason)
    if not isinstance(tree, dict) or not _FIELDS <= tree.keys() <= _FIELDS | _KEYS.keys():
        raise _not_pins(path, "it has other fields than a pin file")
    match tree:
        case {"schema_version": JsonNumber() as version, "command": list() as words, "server": str() as server} if (
            version == FORMAT and all(type(word) is str for word in words)
        ):
            found = {kind: _definitions(path, tree, kind) for kind in _KEYS if kind in tree}
            return Pins(tuple(str(word) for word in words), server, Listing(**found))
        case _:
            raise _not_pins(path, f"it is no pin file of format {FORMAT}")


def check_command(pins: Pins, command: Sequence[str], path: Path) -> None:
    """Raises UsageError where the pins are about another command."""
    if pins.command != tuple(command):
        written = " ".join(pins.command)
        message = (
            f"the pins in `{path}` are about {quoted(written)}, another command; review this one: `sandbox mcp pin`"
        )
        raise UsageError(message, "mcp.unpinned")


# --- private -----------------------------------------------------------------------------------------


def _entries(definitions: Definitions) -> dict[str, object]:
    return {name: {"digest": each.digest, "definition": each.whole} for name, each in definitions.items()}


def _definitions(path: Path, tree: Mapping[str, Tree], kind: ListKind) -> dict[str, Definition]:
    entries = tree[kind]
    if not isinstance(entries, dict):
        raise _not_pins(path, f"`{kind}` is no object")
    found: dict[str, Definition] = {}
    for name, entry in entries.items():
        if not isinstance(entry, dict) or entry.keys() != {"digest", "definition"}:
            raise _not_pins(path, f"{quoted(name)} has no `digest` and `definition`")
        each = definition(entry["definition"], _KEYS[kind])
        if each is None or each.name != name or each.digest != entry["digest"]:
            raise _not_pins(path, f"the digest of {quoted(name)} is not that of its definition")
        found[name] = each
    return found


def _not_pins(path: Path, reason: str) -> UsageError:
    message = f"`{path}` was changed by hand or is damaged ({reason}); `sandbox mcp pin` writes it anew"
    return UsageError(message, "mcp.pins")


def _pretty(value: object, margin: str = "") -> str:
    """As `dumps`, one member a line."""
    inner = margin + " "
    if isinstance(value, Mapping) and value:
        lines = [f"{inner}{json.dumps(key)}: {_pretty(item, inner)}" for key, item in sorted(value.items())]
        return "{\n" + ",\n".join(lines) + f"\n{margin}}}"
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(f"{inner}{_pretty(item, inner)}" for item in value) + f"\n{margin}]"
    return dumps(value)
