"""Type hints of a Python function -> types of arguments. The module is read as text and never imported.

So no code of it runs on the host to write its spec; what its hints say through other modules is not known here, and is
left out.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

from sandbox.errors import UsageError
from sandbox.proposal.hints import Hints
from sandbox.proposal.shapes import Inexpressible, ProposedArgument, ProposedTool, is_argument_name, narrower

MAX_SOURCE: Final = 1024 * 1024
"""Bytes of a module."""


def tool_of_function(target: str, root: Path) -> ProposedTool:
    """The tool that `module:function` is, looked for below `root`.

    Raises:
        UsageError: there is no such module or function, or it cannot be read.
    """
    module, _, name = target.partition(":")
    parts = module.split(".")
    if not name.isidentifier() or not all(part.isidentifier() for part in parts):
        message = f"`{target}` is not `module:function`"
        raise UsageError(message)
    module_text = _module(root, parts)
    function, hints = _function(module_text, name, target), Hints(module_text)
    left_out: list[tuple[str, str]] = []
    found: list[ProposedArgument] = []
    lost = ""
    for argument, default in _arguments(function):
        try:
            found.append(_argument(argument, hints, optional=default is not None))
        except Inexpressible as problem:
            left_out.append((argument.arg, str(problem)))
            if default is None:
                lost = f"`{argument.arg}` is required, and {problem}"
    said = (ast.get_docstring(function) or "").partition("\n")[0]
    return ProposedTool(name, said, tuple(found), run=f"{{tool: {module}:{name}}}", left_out=tuple(left_out), lost=lost)


def _module(root: Path, parts: list[str]) -> ast.Module:
    place = root.joinpath(*parts)
    for path in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
        if path.is_file():
            break
    else:
        message = (
            f"no module `{'.'.join(parts)}` below `{root}`; run this in the folder that the module's name begins in"
        )
        raise UsageError(message)
    try:
        with path.open("rb") as file:
            source = file.read(MAX_SOURCE + 1)
        if len(source) > MAX_SOURCE:
            message = f"`{path}` is larger than {MAX_SOURCE} bytes"
            raise UsageError(message)
        return ast.parse(source, str(path))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        message = f"`{path}` cannot be read as Python ({type(error).__name__})"
        raise UsageError(message) from error


def _function(module: ast.Module, name: str, target: str) -> ast.FunctionDef | ast.AsyncFunctionDef:
    found = [
        node for node in module.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
    ]
    if not found:
        message = f"`{target}`: its module has no such function of its own"
        raise UsageError(message)
    return found[-1]


def _arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[tuple[ast.arg, ast.expr | None]]:
    given = function.args
    if given.vararg is not None or given.kwarg is not None or given.posonlyargs:
        message = f"`{function.name}` takes arguments without a name, or of any name; a tool gets its arguments by name"
        raise UsageError(message)
    missing: list[ast.expr | None] = [None] * (len(given.args) - len(given.defaults))
    return [
        *zip(given.args, [*missing, *given.defaults], strict=True),
        *zip(given.kwonlyargs, given.kw_defaults, strict=True),
    ]


def _argument(argument: ast.arg, hints: Hints, *, optional: bool) -> ProposedArgument:
    if not is_argument_name(argument.arg):
        message = "no argument of a spec may be called so"
        raise Inexpressible(message)
    found = hints.read(argument.arg, argument.annotation)
    known = narrower(argument.arg, found.type)
    return ProposedArgument(argument.arg, found.type, optional or found.optional, known, plain=found.plain)
