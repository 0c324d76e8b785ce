"""A comparison of two versions of a spec: for a person, for a pull request, and as JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sandbox.canonical import printable
from sandbox.ir import Json
from sandbox.prove.diff import KINDS, Answer, Diff, ToolDiff
from sandbox.prove.report import replayed_to_json


def words(found: Diff) -> Iterator[str]:
    """Line by line: first what matters most, then each tool, then what was not compared."""
    yield headline(found)
    for tool in found.tools:
        yield f"{tool.tool}: {_said(tool)}"
        for answer in _telling(tool):
            yield f"  newly {answer.newly}{_reached(answer)}:"
            yield from (f"    {line}" for line in _lines(answer))
    yield from (f"note: {note}" for note in found.notes)


def headline(found: Diff) -> str:
    """One line: how many tools have newly allowed, asked and denied calls."""
    parts = [f"newly {kind} in {len(found.shown(kind))}" for kind in KINDS]
    open_ = sum(any(answer.reason for answer in tool.answers) for tool in found.tools)
    undecided = f"; not decided for {open_}" if open_ else ""
    return f"{len(found.tools)} tools: {', '.join(parts)}{undecided}"


def markdown(found: Diff) -> str:
    """A comment for a pull request: a table of all tools that changed, and each call that shows it, folded."""
    lines = [f"### What changes for calls of `{_code(found.new)}`", "", headline(found), ""]
    changed = [tool for tool in found.tools if tool.change != "same"]
    if changed:
        lines += ["| tool | | newly allowed | newly asked | newly denied |", "|---|---|---|---|---|"]
        lines += [_row(tool) for tool in changed]
        lines.append("")
    for tool in changed:
        for answer in _telling(tool):
            summary = f"<code>{_html(tool.tool)}</code>: newly {answer.newly}{_reached(answer)}"
            lines += ["<details>", f"<summary>{summary}</summary>", "", *_fenced(_lines(answer)), "", "</details>", ""]
    lines += [f"- {_plain(note)}" for note in found.notes]
    return "\n".join(lines).rstrip() + "\n"


def diff_to_json(found: Diff) -> dict[str, Json]:
    """The comparison as one JSON document."""
    tools: list[Json] = [
        {"tool": tool.tool, "change": tool.change, **{f"newly_{a.newly}": _answer_to_json(a) for a in tool.answers}}
        for tool in found.tools
    ]
    return {
        "old": found.old,
        "new": found.new,
        "tools": tools,
        "notes": list(found.notes),
        "exit_code": found.exit_code,
    }


def _answer_to_json(answer: Answer) -> Json:
    witness = answer.witness
    status = "shown" if witness is not None else "unknown" if answer.reason else "none"
    return {
        "status": status,
        "reason": answer.reason,
        "reached": None if witness is None else witness.moves.start is None,
        "witness": None if witness is None else replayed_to_json(witness),
    }


def _said(tool: ToolDiff) -> str:
    if tool.change == "same":
        return "the same"
    told = [f"newly {answer.newly}: {_cell(answer)}" for answer in tool.answers]
    return f"{tool.change}; {', '.join(told)}"


def _cell(answer: Answer) -> str:
    return "yes" if answer.witness is not None else "not decided" if answer.reason else "no"


def _row(tool: ToolDiff) -> str:
    cells = {answer.newly: _cell(answer) for answer in tool.answers}
    marked = {kind: f"**{cell}**" if cell != "no" else cell for kind, cell in cells.items()}
    return f"| `{_code(tool.tool)}` | {tool.change} | {' | '.join(marked[kind] for kind in KINDS)} |"


def _telling(tool: ToolDiff) -> Iterator[Answer]:
    yield from (answer for answer in tool.answers if answer.witness is not None or answer.reason)


def _reached(answer: Answer) -> str:
    if answer.witness is None:
        return ", not decided"
    return "" if answer.witness.moves.start is None else ", in a state that is not known to be reached"


def _lines(answer: Answer) -> tuple[str, ...]:
    return answer.witness.words if answer.witness is not None else (answer.reason,)


def _fenced(lines: tuple[str, ...]) -> list[str]:
    """A code block that nothing in its lines can end."""
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", *(printable(line) for line in lines), fence]


def _code(text: str) -> str:
    """A name within backticks in a table."""
    return printable(text).replace("`", "'").replace("|", "\\|")


def _plain(text: str) -> str:
    return printable(text).replace("<", "&lt;")


def _html(text: str) -> str:
    return printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
