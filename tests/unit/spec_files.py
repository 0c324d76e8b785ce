"""Small spec files for tests."""

from __future__ import annotations

from pathlib import Path


def write(folder: Path, text: str, name: str = "spec.yaml") -> Path:
    """A file of this text; its folder is made."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def spec(rest: str) -> str:
    """The least spec, and more of it."""
    return f"sandbox: 1\nname: x\n{rest}"
