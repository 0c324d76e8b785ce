"""Runs a Python program as `__main__`. What it prints is the call's output, its global `result` the call's result."""

from __future__ import annotations

import linecache
import sys
import types

FILE_NAME = "<program>"


def run_code(code: str) -> object:
    """The program's global `result`, or None where it has none; its exception, or a non-zero exit, is raised."""
    program = types.ModuleType("__main__")
    program.__dict__["__file__"] = FILE_NAME
    sys.modules["__main__"] = program
    linecache.cache[FILE_NAME] = (len(code), None, code.splitlines(keepends=True), FILE_NAME)
    try:
        exec(compile(code, FILE_NAME, "exec", dont_inherit=True), program.__dict__)  # noqa: S102  # this tool's one purpose, and it runs in a container
    except SystemExit as stop:
        status = exit_status(stop.code)
        if status != 0:
            raise SystemExit(status) from None
    return program.__dict__.get("result")


def exit_status(code: object) -> int:
    """As Python itself has it: None is zero, a number is itself, anything else is printed and is one."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code
    print(code, file=sys.stderr)
    return 1
