"""Type hints of a Python function -> types of arguments. The module is read as text and never imported.

So no code of it runs on the host to write its spec; what its hints say through other modules is not known here, and is
proposed as text, or left out.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

from sandbox.errors import UsageError
from sandbox.proposal.from_schema import DEFAULT_LIST, DEFAULT_STRING, DEFAULT_TEXT, SCALE
from sandbox.proposal.shapes import (
    PATH_NAMES,
    TEXT_NAMES,
    Bare,
    Inexpressible,
    ProposedArgument,
    ProposedTool,
    Shape,
    is_argument_name,
    narrower,
)

MAX_SOURCE: Final = 1024 * 1024
"""Bytes of a module."""

_SCALARS: Final = {"int": "int", "bool": "bool", "datetime": "timestamp", "timedelta": "duration"}
_DECIMALS: Final = frozenset({"Decimal", "float"})
_LISTS: Final = frozenset({"list", "List", "Sequence", "tuple", "Tuple", "Iterable"})


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
    function = _function(_module(root, parts), name, target)
    left_out: list[tuple[str, str]] = []
    found: list[ProposedArgument] = []
    lost = ""
    for argument, default in _arguments(function):
        try:
            found.append(_argument(argument, optional=default is not None))
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


def _argument(argument: ast.arg, *, optional: bool) -> ProposedArgument:
    if not is_argument_name(argument.arg):
        message = "no argument of a spec may be called so"
        raise Inexpressible(message)
    type_, nullable = _type(argument.arg, argument.annotation)
    return ProposedArgument(argument.arg, type_, optional or nullable, narrower(argument.arg, type_))


def _type(name: str, hint: ast.expr | None) -> tuple[dict[str, Shape], bool]:
    """The type, and whether None is one of its values."""
    match hint:
        case None:
            message = "it has no type hint"
            raise Inexpressible(message)
        case ast.Constant(value=str() as text):
            return _type(name, _quoted(text))
        case ast.BinOp(left=left, op=ast.BitOr(), right=ast.Constant(value=None)):
            return _type(name, left)[0], True
        case ast.BinOp(left=ast.Constant(value=None), op=ast.BitOr(), right=right):
            return _type(name, right)[0], True
        case ast.Subscript(value=value, slice=inner) if _last(value) == "Optional":
            return _type(name, inner)[0], True
        case ast.Subscript(value=value, slice=inner) if _last(value) == "Annotated" and isinstance(inner, ast.Tuple):
            return _type(name, inner.elts[0])
        case ast.Subscript(value=value, slice=inner) if _last(value) == "Literal":
            return _literal(inner), False
        case ast.Subscript(value=value, slice=inner) if _last(value) in _LISTS:
            return _list(name, inner), False
        case ast.Name() | ast.Attribute():
            return _named(name, _last(hint)), False
        case _:
            message = "its type hint has no counterpart in a spec"
            raise Inexpressible(message)


def _named(name: str, hint: str) -> dict[str, Shape]:
    if hint in _SCALARS:
        return {"type": Bare(_SCALARS[hint])}
    if hint in _DECIMALS:
        return {"type": Bare("decimal"), "scale": SCALE}
    if hint in {"Path", "PurePosixPath", "PurePath"} or (hint == "str" and PATH_NAMES.search(name.lower())):
        return {"type": Bare("path"), "under": "/workspace"}
    if hint == "str":
        long = name.lower() in TEXT_NAMES
        return (
            {"type": Bare("text"), "max_size": DEFAULT_TEXT}
            if long
            else {"type": Bare("string"), "max_size": DEFAULT_STRING}
        )
    message = "its type hint has no counterpart in a spec"
    raise Inexpressible(message)


def _list(name: str, inner: ast.expr) -> dict[str, Shape]:
    item = inner.elts[0] if isinstance(inner, ast.Tuple) and inner.elts else inner
    items, _ = _type(name, item)
    if items["type"] == "text":
        items = {"type": Bare("string"), "max_size": DEFAULT_STRING}
    if items["type"] == "list":
        message = "it is a list of lists"
        raise Inexpressible(message)
    return {"type": Bare("list"), "items": items, "max_size": DEFAULT_LIST}


def _literal(inner: ast.expr) -> dict[str, Shape]:
    parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
    values = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    if len(values) != len(parts) or not all(value and value.isprintable() for value in values):
        message = "its values are not all strings that print"
        raise Inexpressible(message)
    return {"type": Bare("enum"), "values": [*dict.fromkeys(values)]}


def _last(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _quoted(text: str) -> ast.expr:
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError) as error:
        message = "its type hint cannot be read"
        raise Inexpressible(message) from error
