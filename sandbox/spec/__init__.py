"""What authors write: a spec or property file read, with the place of everything in it.

YAML is read as nodes (`document`), keys and values are checked by pydantic models (`model`, `fields`), and every
complaint is brought back to its line and column.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from sandbox.errors import Place, Problem, PropertyError, SpecError
from sandbox.lang.source import MAX_PROBLEMS, Problems, Refused, SourceFile, SourceText
from sandbox.spec.document import Mapping, Node, Scalar, Series, parse, plain, read_source
from sandbox.spec.fields import Wrong
from sandbox.spec.model import Model, PropertyFile, Reading, Spec

__all__ = ["Written", "read_properties", "read_spec"]

_Model = TypeVar("_Model", bound=Model)


@dataclass(frozen=True, slots=True)
class Written(Generic[_Model]):
    """A file as its author wrote it: the checked model, and the nodes that know where everything stands."""

    model: _Model
    root: Node
    source: SourceFile

    def problem(self, message: str, *path: str | int, key: bool = False, offset: int = 0) -> Problem:
        """What is wrong with the value (or the `key`) at a path."""
        return _problem_at(self.source, self.root, path, message, key=key, offset=offset)

    def key(self, *path: str | int) -> SourceText:
        """The text of the last key that a path leads to; of a path that leads nowhere, an empty text."""
        target = _follow(self.root, path)[1]
        return SourceText("", self.source, [self.root.start]) if target is None else target.source

    def place(self, *path: str | int, key: bool = False) -> Place:
        """Where the value (or the `key`) at a path stands."""
        return self.problem("", *path, key=key).place


def read_spec(path: Path, name: str) -> Written[Spec]:
    """The spec in a file, called `name` in messages. Raises SpecError, UsageError."""
    return _read(path, name, Spec, SpecError)


def read_properties(path: Path, name: str) -> Written[PropertyFile]:
    """The property file at a path, called `name` in messages. Raises PropertyError, UsageError."""
    return _read(path, name, PropertyFile, PropertyError)


def _read(path: Path, name: str, model: type[_Model], error: type[SpecError | PropertyError]) -> Written[_Model]:
    source = read_source(path, name, error)
    problems = Problems(error)
    try:
        root = parse(source)
    except Refused as refused:
        raise error((source.problem(refused.offset, refused.message),)) from None
    _check_kind(source, root, model, error)
    try:
        checked = model.model_validate(plain(root), context=Reading(problems, _named_types(root)))
    except ValidationError as failure:
        for detail in failure.errors(include_url=False, include_input=False)[:MAX_PROBLEMS]:
            problems.add(_problem(source, root, detail))
        problems.raise_if_any()
        raise
    problems.raise_if_any()
    return Written(checked, root, source)


def _check_kind(source: SourceFile, root: Node, model: type[_Model], error: type[SpecError | PropertyError]) -> None:
    """One problem instead of one for each key, where a file of the one kind was given for the other."""
    keys = {name.text: name.start for name, _ in root.entries} if isinstance(root, Mapping) else {}
    if model is Spec and "proves" in keys and "sandbox" not in keys:
        message = "this is a property file and no spec; `sandbox prove` reads it"
        raise error((source.problem(keys["proves"], message),))
    if model is PropertyFile and "sandbox" in keys and "proves" not in keys:
        message = "this is a spec and no property file; give the file that has `proves:` with its name"
        raise error((source.problem(keys["sandbox"], message),))


def _named_types(root: Node) -> frozenset[str]:
    types = root.get("types") if isinstance(root, Mapping) else None
    return frozenset(name.text for name, _ in types.entries) if isinstance(types, Mapping) else frozenset()


def _problem(source: SourceFile, root: Node, detail: ErrorDetails) -> Problem:
    path = tuple(step for step in detail["loc"])
    wrong = detail.get("ctx", {}).get("error")
    if isinstance(wrong, Wrong):
        under = () if wrong.under is None else (wrong.under,)
        return _problem_at(source, root, (*path, *under), wrong.message, key="[key]" in path, offset=wrong.offset)
    match detail["type"]:
        case "missing":
            return _problem_at(source, root, path[:-1], f"`{path[-1]}` is missing here; add it")
        case "dict_type" | "model_type":
            message = "expected a mapping; write `key: value` lines, or `{}`"
        case "list_type":
            message = "expected a list; write `[...]`"
        case kind:
            message = f"this value is refused ({kind.replace('_', ' ')})"
    return _problem_at(source, root, path, message)


def _problem_at(
    source: SourceFile, root: Node, path: tuple[str | int, ...], message: str, *, key: bool = False, offset: int = 0
) -> Problem:
    node, last = _follow(root, path)
    target = last if key and last is not None else node
    if isinstance(target, Scalar):
        return target.source.problem(offset, message)
    return source.problem(target.start, message)


def _follow(root: Node, path: tuple[str | int, ...]) -> tuple[Node, Scalar | None]:
    """The node at a path, and its key, as far as it leads (pydantic's also names arms of unions, which are no keys)."""
    node, last = root, None
    for step in path:
        match node:
            case Mapping() if (value := node.get(str(step))) is not None:
                last = next(name for name, _ in node.entries if name.text == step)
                node = value
            case Series(items=items) if isinstance(step, int) and step < len(items):
                node = items[step]
            case _:
                pass
    return node, last
