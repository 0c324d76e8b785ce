"""The command line: one small module a command, loaded when it is called."""

from __future__ import annotations

from sandbox.cli.program import PROGRAM


def main() -> None:
    """Run the command line and end the process with its exit code."""
    PROGRAM.main(prog_name="sandbox")
