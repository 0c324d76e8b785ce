"""Where a secret may not go: into the state, which is stored and shown, and into words that every process can read."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sandbox.ir import (
    All,
    Arg,
    Argument,
    ArgWord,
    Contract,
    Exists,
    ExistsOne,
    Expr,
    Field,
    RecordType,
    RunArgv,
)
from sandbox.lang.reach import Reached, bound, declared, element_of
from sandbox.lang.walk import parts
from sandbox.seal import holds_secret


def check(contract: Contract, note: Callable[..., None]) -> None:
    """Notes every place where a secret would be stored, or be a word of a command line."""
    for tool in contract.tools:
        at = ("tools", tool.name)
        for key, steps in (("then", tool.then), ("on_success", tool.on_success)):
            for step in steps:
                found = secret_read(step.value, tool.arguments)
                found = found or (secret_read(step.key, tool.arguments) if step.key is not None else "")
                if found:
                    message = f"`{found}` is secret, and the state is stored and shown; assign what reads no secret"
                    note(message, *at, key, step.target)
        if tool.run is not None and isinstance(tool.run.what, RunArgv):
            hidden = {argument.name for argument in tool.arguments if holds_secret(argument)}
            for number, word in enumerate(tool.run.what.words):
                if isinstance(word, ArgWord) and word.argument in hidden:
                    message = (
                        f"`args.{word.argument}` is secret, and others can read a program's words; let a `tool` take it"
                    )
                    note(message, *at, "run", "argv", number)


def secret_read(expr: Expr, arguments: tuple[Argument, ...]) -> str:
    """The first secret argument or field whose value an expression reads, in the author's words; '' for none.

    Whether an optional one is present is no value.
    """
    types: dict[str, Reached] = {argument.name: argument.type for argument in arguments}
    return _read(expr, types, frozenset(argument.name for argument in arguments if argument.secret))


def _read(expr: Expr, types: Mapping[str, Reached], secret: frozenset[str]) -> str:
    match expr:
        case Arg(name=name) if name in secret:
            return f"args.{name}"
        case Field(of=of, name=name) if _is_secret_field(declared(of, types), name):
            return f"{_path(of)}.{name}".removeprefix(".")
        case All() | Exists() | ExistsOne():
            over = declared(expr.over, types)
            element = None if over is None else element_of(over)
            types = types if element is None else {**types, bound(expr.variable.name): element}
    return next((found for part in parts(expr) if (found := _read(part, types, secret))), "")


def _is_secret_field(type_: Reached | None, name: str) -> bool:
    return isinstance(type_, RecordType) and any(each.name == name and each.secret for each in type_.fields)


def _path(expr: Expr) -> str:
    match expr:
        case Arg(name=name):
            return f"args.{name}"
        case Field(of=of, name=name):
            return f"{_path(of)}.{name}".removeprefix(".")
        case _:
            return ""
