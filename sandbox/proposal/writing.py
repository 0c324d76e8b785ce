"""Proposals -> the text of a spec and of its first property file, in which what was read can be nothing but text.

What was read stands either in double quotes, with every character that is not plain ASCII as an escape, or in a
comment, on one line, as characters that print. Names are written only if they are names. The result is loaded by the
spec's own reader before anybody gets it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from sandbox.canonical import printable
from sandbox.compile import load_contract
from sandbox.errors import Fault, SpecError, UsageError
from sandbox.proposal.shapes import Bare, ProposedArgument, ProposedTool, Shape
from sandbox.spec.document import MAX_BYTES

MAX_SAID: Final = 160
"""Characters of a description that a comment repeats."""
INDENT: Final = "  "

_PLAIN: Final = frozenset(range(0x20, 0x7F)) - {ord('"'), ord("\\")}
_ASTRAL: Final = 0x10000


def spec_text(
    name: str,
    origin: str,
    tools: Sequence[ProposedTool],
    server: Mapping[str, Shape] | None,
    offered: Sequence[str] = (),
) -> str:
    """The spec: every tool that can be said, denied; `offered` are comments that stand below the grants of the server.

    Raises:
        UsageError: it would be larger than a spec may be.
        Fault: what was written is not accepted by the spec's own reader; an error of ours, and nothing is written.
    """
    text = "\n".join(_spec(name, origin, tools, server, offered)) + "\n"
    if len(text) > MAX_BYTES:
        message = f"a spec of all these tools would be larger than {MAX_BYTES} bytes; make it from fewer"
        raise UsageError(message)
    if (problem := _problem(text)) is not None:
        message = f"the proposed spec is not accepted: {problem[:300]}"
        raise Fault(message)
    return text


def refusal_of(tool: ProposedTool) -> str | None:
    """What the spec's own reader has against a spec of this tool alone, if anything."""
    return _problem("\n".join(_spec("x", "", [tool], None)) + "\n")


def properties_text(spec: str, tools: Sequence[ProposedTool]) -> str:
    """The property file: what is true of a spec that denies everything, and what may come next. `spec` is its path."""
    kept, _ = told_apart(tools)
    lines = [
        "# Written by `sandbox init`: it holds as long as no rule allows or asks anything.",
        "# When you write rules, replace it by what must never happen, whatever the rules say.",
        f"proves: {quoted(spec)}",
        "properties:",
        "  - id: nothing-runs-yet",
        "    never: decision != 'deny'",
        "    why: no rule has been written",
    ]
    if any("write" in tool.effects for tool in kept):
        lines += [
            "  # - id: changes-need-a-person",
            "  #   effect: write",
            "  #   never: decision == 'allow'",
        ]
    if kept:
        lines += ["  # - id: useful", f"  #   possible: tool == '{kept[0].name}' && decision == 'allow'"]
    return "\n".join(lines) + "\n"


def told_apart(tools: Sequence[ProposedTool]) -> tuple[list[ProposedTool], list[ProposedTool]]:
    """The tools that a spec can have, each name once, and the others."""
    kept: dict[str, ProposedTool] = {}
    lost: list[ProposedTool] = []
    for tool in tools:
        if tool.lost or tool.name in kept:
            lost.append(replace(tool, lost=tool.lost or "another tool has this name"))
        else:
            kept[tool.name] = tool
    return list(kept.values()), lost


def quoted(text: str) -> str:
    """The text in double quotes, with YAML's own escapes for all that is not plain ASCII: it can mean nothing else."""
    return f'"{"".join(_escaped(character) for character in text)}"'


def remark(text: str) -> str:
    """The text as part of a comment: one line, of a bounded length, of characters that print."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= MAX_SAID else f"{line[: MAX_SAID - 3]}..."


# --- private -----------------------------------------------------------------------------------------


def _problem(text: str) -> str | None:
    """What the spec's own reader has against a text, if anything."""
    with tempfile.TemporaryDirectory(prefix="sandbox-init-") as folder:
        place = Path(folder, "proposed.yaml")
        place.write_text(text, encoding="utf-8")
        try:
            load_contract(place)
        except SpecError as error:
            return str(error.problems[0].message)
    return None


def _spec(
    name: str,
    origin: str,
    tools: Sequence[ProposedTool],
    server: Mapping[str, Shape] | None,
    offered: Sequence[str] = (),
) -> Iterator[str]:
    yield f"# Written by `sandbox init` from {remark(origin)}."
    yield "# It denies everything. For each tool that you need: read its arguments and make them as narrow as they can"
    yield "# be, give it a description of your own (a model will read it), and write its rules. Take the others out."
    yield "sandbox: 1"
    yield f"name: {name}"
    if server is not None:
        yield f"server: {_flow(dict(server))}"
        yield from offered
    kept, lost = told_apart(tools)
    yield "tools:" if kept else "tools: {}"
    for tool in kept:
        yield ""
        yield from _tool(tool)
    for tool in lost:
        yield ""
        yield f"  # {remark(tool.name)}: left out, because {remark(tool.lost)}"


def _tool(tool: ProposedTool) -> Iterator[str]:
    if tool.said:
        yield f"  # it says of itself: {remark(tool.said)}"
    yield f"  {tool.name}:"
    if tool.smaller:
        yield "    # sizes below are smaller than its source allows: a decision about larger ones could take too long"
    if tool.effects:
        yield f"    effects: [{', '.join(tool.effects)}]"
    yield "    args:" if tool.arguments else "    args: {}"
    for argument in tool.arguments:
        yield from _argument(argument)
    for name, why in tool.left_out:
        yield f"      # {remark(name)}: left out, because {remark(why)}"
    yield "    rules: []"
    yield "    # - {id: reviewed, ask: true, reason: a person looks at every call}"
    if tool.run:
        yield f"    run: {tool.run}"


def _argument(argument: ProposedArgument) -> Iterator[str]:
    if argument.said:
        yield f"      # it says: {remark(argument.said)}"
    if argument.plain:
        yield "      # the function gets plain values: a dict for a record, text for an enum"
    if argument.narrower:
        yield f"      # narrower: {argument.narrower}"
    type_ = {**argument.type, "optional": True} if argument.optional else dict(argument.type)
    yield f"      {argument.name}: {_flow(type_)}"


def _flow(value: Shape) -> str:
    match value:
        case Bare():
            return str(value)
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return quoted(value)
        case list():
            return f"[{', '.join(_flow(item) for item in value)}]"
        case dict():
            return f"{{{', '.join(f'{key}: {_flow(item)}' for key, item in value.items())}}}"


def _escaped(character: str) -> str:
    point = ord(character)
    if point in _PLAIN:
        return character
    if character in '"\\':
        return f"\\{character}"
    return f"\\U{point:08x}" if point >= _ASTRAL else f"\\u{point:04x}"
