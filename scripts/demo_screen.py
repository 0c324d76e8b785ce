"""Plain text in screens: each part of the demo is at most `HEIGHT` lines, as wide as the terminal."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence

WIDTH = max(110, shutil.get_terminal_size((110, 40)).columns - 1)
HEIGHT = 40
_TITLE_LINES = 3  # an empty line, the title, a rule


def part(title: str, blocks: Iterable[Sequence[str]]) -> None:
    """Prints blocks of lines under a title; where they do not fit one screen, under several. No block is torn."""
    screens = _screens(blocks)
    for number, lines in enumerate(screens, start=1):
        which = f" ({number} of {len(screens)})" if len(screens) > 1 else ""
        print(f"\n{_bold(title + which)}\n{'-' * WIDTH}")
        print("\n".join(lines), flush=True)


def wrapped(text: str, indent: str) -> list[str]:
    """`text` over as many lines as it needs, all of them indented."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=f"{indent}    ",
        break_on_hyphens=False,
        break_long_words=True,
    )


def clipped(text: str, width: int) -> str:
    """`text` on one line of exactly `width` columns, whatever it holds."""
    line = "".join(char if char.isascii() and char.isprintable() else "?" for char in text)
    return line.ljust(width) if len(line) <= width else f"{line[: width - 2]}.."


def _screens(blocks: Iterable[Sequence[str]]) -> list[list[str]]:
    screens: list[list[str]] = [[]]
    for block in blocks:
        if len(screens[-1]) + len(block) > HEIGHT - _TITLE_LINES:
            screens.append([])
        screens[-1].extend(block)
    return screens


def _bold(text: str) -> str:
    return f"\x1b[1m{text}\x1b[0m" if sys.stdout.isatty() else text
