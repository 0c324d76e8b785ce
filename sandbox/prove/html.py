"""HTML by construction: whatever is not made by `element` is text, and text is escaped.

Only what is written here in the code can be markup; a text of an author, or of a model, cannot.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from sandbox.canonical import printable

VOID: Final = frozenset({"meta"})
"""Elements without an end."""


@dataclass(frozen=True, slots=True)
class Html:
    """A piece of HTML."""

    text: str


Content: TypeAlias = "str | int | Html | Iterable[Content]"


def element(tag: str, /, *content: Content, **attributes: str | None) -> Html:
    """An element; `class_` and the like lose their `_`, `aria_label` is `aria-label`, and None leaves one out."""
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escaped(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = "".join(_pieces(content))
    return Html(f"<{tag}{told}>" if tag in VOID else f"<{tag}{told}>{inner}</{tag}>")


def prose(text: str) -> Content:
    """A line of ours, in which what stands in backticks is code."""
    return [element("code", part) if at % 2 else part for at, part in enumerate(text.split("`"))]


def escaped(text: str) -> str:
    """Text as HTML: no character of it is markup, none is a control character, and none turns the writing around."""
    return html.escape("\n".join(printable(line) for line in text.split("\n")), quote=True)


def _pieces(content: Content) -> Iterator[str]:
    match content:
        case Html(text=text):
            yield text
        case str():
            yield escaped(content)
        case int():
            yield str(content)
        case _:
            for each in content:
                yield from _pieces(each)
