"""Type hints, as a module has them in its text -> types of arguments. Classes and aliases of that module count too.

Nothing is imported or evaluated: a hint is a tree, and what it says through other modules is not known here.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sandbox.compile.types import MAX_ENUM, MAX_LIST, MAX_STRING, MAX_TEXT
from sandbox.proposal.from_schema import DEFAULT_LIST, DEFAULT_STRING, DEFAULT_TEXT, SCALE, bounds
from sandbox.proposal.shapes import PATH_NAMES, TEXT_NAMES, Bare, Inexpressible, Shape, is_argument_name
from sandbox.strict_json import JsonNumber, Tree

MAX_DEPTH: Final = 8
"""Classes within classes, and aliases of aliases."""

_SCALARS: Final = {
    "int": "int",
    "bool": "bool",
    "datetime": "timestamp",
    "timedelta": "duration",
    "EmailStr": "email",
    "AnyUrl": "url",
    "AnyHttpUrl": "url",
    "HttpUrl": "url",
}
_DECIMALS: Final = frozenset({"Decimal", "float"})
_LISTS: Final = frozenset({"list", "List", "Sequence", "tuple", "Tuple", "Iterable"})
_PATHS: Final = frozenset({"Path", "PurePosixPath", "PurePath"})
_RECORDS: Final = frozenset({"BaseModel", "TypedDict", "NamedTuple"})
_ENUMS: Final = frozenset({"Enum", "StrEnum"})
_LIMITS: Final = {"ge": "minimum", "le": "maximum", "gt": "exclusiveMinimum", "lt": "exclusiveMaximum"}
_NO_COUNTERPART: Final = "its type hint has no counterpart in a spec"


@dataclass(frozen=True, slots=True)
class Hinted:
    """A type in the spec's own words; whether it may be left out; and whether it is read otherwise than it is hinted.

    A function in the container gets a record as a `dict`, and a value of an enum as text.
    """

    type: dict[str, Shape]
    optional: bool = False
    plain: bool = False


class Hints:
    """The names that a module defines at its top, which its hints may use."""

    def __init__(self, module: ast.Module) -> None:
        self._classes: dict[str, ast.ClassDef] = {}
        self._aliases: dict[str, ast.expr] = {}
        for node in module.body:
            match node:
                case ast.ClassDef(name=name):
                    self._classes[name] = node
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    self._aliases[name] = value
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                    self._aliases[name] = value
                case _:
                    pass

    def read(self, name: str, hint: ast.expr | None, depth: int = 0) -> Hinted:
        """The type of what is called `name`. Raises Inexpressible."""
        if depth > MAX_DEPTH:
            message = "its type is nested too deeply, or refers to itself"
            raise Inexpressible(message)
        match hint:
            case None:
                message = "it has no type hint"
                raise Inexpressible(message)
            case ast.Constant(value=str() as text):
                return self.read(name, _quoted(text), depth + 1)
            case ast.BinOp(left=inner, op=ast.BitOr(), right=ast.Constant(value=None)):
                return self._absent(name, inner, depth)
            case ast.BinOp(left=ast.Constant(value=None), op=ast.BitOr(), right=inner):
                return self._absent(name, inner, depth)
            case ast.Subscript(value=value, slice=inner):
                return self._subscript(name, last(value), inner, depth)
            case ast.Name() | ast.Attribute():
                return self._named(name, hint, depth)
            case _:
                raise Inexpressible(_NO_COUNTERPART)

    def _absent(self, name: str, inner: ast.expr, depth: int) -> Hinted:
        found = self.read(name, inner, depth + 1)
        return Hinted(found.type, optional=True, plain=found.plain)

    def _subscript(self, name: str, word: str, inner: ast.expr, depth: int) -> Hinted:
        parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
        if word in {"Optional", "NotRequired"}:
            return self._absent(name, inner, depth)
        if word == "Required":
            return self.read(name, inner, depth + 1)
        if word == "Annotated" and parts:
            return _limited(self.read(name, parts[0], depth + 1), parts[1:])
        if word == "Literal":
            return Hinted(_enum([part.value if isinstance(part, ast.Constant) else None for part in parts]))
        if word in _LISTS and parts:
            return self._list(name, parts[0], depth)
        raise Inexpressible(_NO_COUNTERPART)

    def _list(self, name: str, item: ast.expr, depth: int) -> Hinted:
        found = self.read(name, item, depth + 1)
        items = found.type
        if items["type"] == "text":
            items = {"type": Bare("string"), "max_size": DEFAULT_STRING}
        if items["type"] == "list":
            message = "it is a list of lists"
            raise Inexpressible(message)
        return Hinted({"type": Bare("list"), "items": items, "max_size": DEFAULT_LIST}, plain=found.plain)

    def _named(self, name: str, hint: ast.Name | ast.Attribute, depth: int) -> Hinted:
        word = last(hint)
        if isinstance(hint, ast.Name) and word in self._classes:
            return Hinted(self._class(self._classes[word], depth + 1), plain=True)
        if isinstance(hint, ast.Name) and word in self._aliases:
            return self.read(name, self._aliases[word], depth + 1)
        return Hinted(_builtin(name, word))

    # --- classes -------------------------------------------------------------------------------------

    def _class(self, node: ast.ClassDef, depth: int) -> dict[str, Shape]:
        if any(last(base) in _ENUMS for base in node.bases):
            return _enum([value.value if isinstance(value, ast.Constant) else None for value in _members(node)])
        fields = self._fields(node, depth)
        if not fields:
            raise Inexpressible(_NO_COUNTERPART)
        return {"type": Bare("record"), "fields": fields}

    def _fields(self, node: ast.ClassDef, depth: int) -> dict[str, Shape]:
        """The fields of a class that says what its fields are, those of its bases in the same module first."""
        if depth > MAX_DEPTH:
            message = "its type is nested too deeply, or refers to itself"
            raise Inexpressible(message)
        fields: dict[str, Shape] = {}
        known = any(last(_called(each)) == "dataclass" for each in node.decorator_list)
        for base in node.bases:
            if isinstance(base, ast.Name) and base.id in self._classes:
                fields |= self._fields(self._classes[base.id], depth + 1)
                known = known or bool(fields)
            elif last(base) in _RECORDS:
                known = True
            elif last(base) != "object":
                raise Inexpressible(_NO_COUNTERPART)
        partial = any(word.arg == "total" and _is(word.value, value=False) for word in node.keywords)
        for field in node.body if known else []:
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                fields |= self._field(field.target.id, field, depth, partial=partial)
        return fields

    def _field(self, name: str, field: ast.AnnAssign, depth: int, *, partial: bool) -> dict[str, Shape]:
        if isinstance(field.annotation, ast.Subscript) and last(field.annotation.value) == "ClassVar":
            return {}
        if not is_argument_name(name) or _renamed(field.value):
            message = f"its field `{name}` is called otherwise in JSON, or cannot be called so in a spec"
            raise Inexpressible(message)
        try:
            found = _limited(self.read(name, field.annotation, depth + 1), [field.value] if field.value else [])
        except Inexpressible as problem:
            inner = str(problem)  # of the innermost field
            message = inner if inner.startswith("of its field") else f"of its field `{name}`: {inner}"
            raise Inexpressible(message) from problem
        required = isinstance(field.annotation, ast.Subscript) and last(field.annotation.value) == "Required"
        optional = found.optional or _has_default(field.value) or (partial and not required)
        return {name: {**found.type, **({"optional": True} if optional else {})}}


def last(node: ast.expr) -> str:
    """The name, or the last name of a path; else nothing."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


# --- private -----------------------------------------------------------------------------------------


def _builtin(name: str, word: str) -> dict[str, Shape]:
    if word in _SCALARS:
        return {"type": Bare(_SCALARS[word])}
    if word in _DECIMALS:
        return {"type": Bare("decimal"), "scale": SCALE}
    if word in _PATHS or (word == "str" and PATH_NAMES.search(name.lower())):
        return {"type": Bare("path"), "under": "/workspace"}
    if word == "str" and name.lower() in TEXT_NAMES:
        return {"type": Bare("text"), "max_size": DEFAULT_TEXT}
    if word == "str":
        return {"type": Bare("string"), "max_size": DEFAULT_STRING}
    raise Inexpressible(_NO_COUNTERPART)


def _enum(values: list[object]) -> dict[str, Shape]:
    texts = [value for value in values if isinstance(value, str) and value and value.isprintable()]
    if not texts or len(texts) != len(values) or len(set(texts)) > MAX_ENUM:
        message = "its values are not all strings that print, or too many"
        raise Inexpressible(message)
    return {"type": Bare("enum"), "values": [*dict.fromkeys(texts)]}


def _members(node: ast.ClassDef) -> Iterator[ast.expr]:
    for each in node.body:
        if isinstance(each, ast.Assign):
            yield each.value


def _limited(found: Hinted, said: list[ast.expr]) -> Hinted:
    """The type within the bounds that `Field(...)` gives it; what is said otherwise does not make it narrower."""
    words = {
        word.arg: _literal(word.value)
        for each in said
        if isinstance(each, ast.Call) and last(each.func) == "Field"
        for word in each.keywords
        if word.arg is not None
    }
    type_ = dict(found.type)
    match str(type_["type"]):
        case "int" | "decimal" as kind:
            schema: dict[str, Tree] = {_LIMITS[key]: JsonNumber(words[key]) for key in _LIMITS if words.get(key)}
            type_ |= bounds(schema, 0 if kind == "int" else SCALE)
        case "string" | "text" | "list" as kind:
            most = {"string": MAX_STRING, "text": MAX_TEXT, "list": MAX_LIST}[kind]
            size = words.get("max_length", "")
            type_ |= {"max_size": min(int(size), most)} if size.isdecimal() and int(size) > 0 else {}
        case _:
            pass
    return Hinted(type_, found.optional, found.plain)


def _literal(node: ast.expr) -> str:
    """The digits of a number, or of a `Decimal` of one, as they are written; else nothing."""
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return str(number)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            digits = _literal(operand)
            return f"-{digits}" if digits else ""
        case ast.Call(func=function, args=[ast.Constant(value=str() as digits)]) if last(function) == "Decimal":
            return digits
        case _:
            return ""


def _has_default(value: ast.expr | None) -> bool:
    match value:
        case None:
            return False
        case ast.Call(func=function, args=arguments, keywords=words) if last(function) in {"Field", "field"}:
            named = any(word.arg in {"default", "default_factory"} and not _is(word.value, value=...) for word in words)
            return named or (bool(arguments) and not _is(arguments[0], value=...))
        case _:
            return True


def _renamed(value: ast.expr | None) -> bool:
    match value:
        case ast.Call(keywords=words):
            return any(word.arg in {"alias", "validation_alias"} for word in words)
        case _:
            return False


def _called(node: ast.expr) -> ast.expr:
    return node.func if isinstance(node, ast.Call) else node


def _is(node: ast.expr, *, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _quoted(text: str) -> ast.expr:
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError) as error:
        message = "its type hint cannot be read"
        raise Inexpressible(message) from error
