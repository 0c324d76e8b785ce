"""JSON Schema (2020-12) of spec files and property files, for editors: made from the models that read them.

It says what YAML's structure can say: keys, shapes, spellings. Whether names and sorts fit is for `sandbox check`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from types import UnionType
from typing import Annotated, Final, Literal, Union, get_args, get_origin

from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

from sandbox.ir import Json
from sandbox.spec import fields, grants
from sandbox.spec.model import (
    TYPE_NAMES,
    AfterRuleSpec,
    ChangeRuleSpec,
    CredentialSpec,
    Model,
    NamedSpec,
    PropertyFile,
    PropertySpec,
    RuleSpec,
    RunSpec,
    Spec,
    VariableSpec,
    bare_word,
    one_or_several,
)

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Json]

_NAME: Final = "[A-Za-z_][A-Za-z0-9_]*"
_SCALAR: Final[Schema] = {"type": ["string", "number", "boolean"]}
_SPELLINGS: Final[dict[Callable[[object], object], Schema]] = {
    fields.identifier: {"type": "string", "pattern": f"^{_NAME}$"},
    fields.tool_name: {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_.-]*$"},
    fields.id_: {"type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]*$"},
    fields.target: {"type": "string", "pattern": rf"^{_NAME}(\[.+\])?$"},
    fields.prose: {"type": "string", "minLength": 1},
    fields.pattern: {"type": "string"},
    fields.expression: _SCALAR,
    fields.boolean: {"type": "boolean"},
    fields.number: {"type": "number"},
    fields.constant: {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR}]},
    fields.initial: {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR}]},
    fields.raw: {},
    fields.whole: {"type": "integer", "minimum": 0},
    fields.count: {"type": "integer", "minimum": 1},
    fields.size: {
        "anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": "^[1-9][0-9]*(KiB|MiB|GiB)?$"}]
    },
    fields.duration: {"type": "string", "pattern": "^[1-9][0-9]*(ms|s|m|h|d)$"},
    fields.millicpus: {"type": "number", "exclusiveMinimum": 0},
    fields.function: {"type": "string", "pattern": rf"^{_NAME}(\.{_NAME})*:{_NAME}$"},
    fields.image: {"type": "string", "pattern": "^[a-z0-9][A-Za-z0-9._/:@-]*$"},
    grants.host_and_port: {"type": "string", "pattern": r"^(\[[0-9a-f:.]+\]|[a-z0-9._-]+):[1-9][0-9]{0,4}$"},
    grants.method: {"enum": list(grants.METHODS)},
    grants.network_of_addresses: {"type": "string", "pattern": "^[0-9a-f.:]+/[0-9]{1,3}$"},
    grants.header: {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_-]{0,63}$"},
    grants.prefix: {"type": "string", "pattern": "^[!-~][ -~]{0,63}$"},
    grants.prompt_name: {"type": "string", "pattern": "^[!-~]([ -~]{0,126}[!-~])?$"},
    grants.variable: {"type": "string", "pattern": f"^{_NAME}$"},
}
_SHORT: Final[dict[Callable[[object], object], Schema]] = {
    bare_word: {"type": "string"},
    grants.bare_grant: _SPELLINGS[grants.host_and_port],
}
"""Readers that take one word for a mapping."""

_ONE_OF: Final[dict[type[Model], tuple[str, ...]]] = {
    RuleSpec: ("allow", "ask", "deny"),
    ChangeRuleSpec: ("commit", "refuse"),
    AfterRuleSpec: ("pass", "redact", "withhold"),
    RunSpec: ("tool", "argv", "host"),
    CredentialSpec: ("env", "file"),
    PropertySpec: ("never", "always", "possible", "needs", "flow", "within"),
}
"""Keys of which exactly one stands in a mapping."""

_NEEDS: Final[dict[type[Model], Mapping[str, tuple[str, ...]]]] = {
    VariableSpec: {"decimal": ("scale",), "enum": ("values",), "set": ("items",), "map": ("key", "value")}
}
"""Keys that a mapping needs where its `type` is one of some words."""

_LISTED: Final[dict[type[Model], tuple[str, str]]] = {VariableSpec: ("set", "initial")}
"""A type, and the key that is a list where the type is that one, and none where it is another."""


def spec_schema() -> Schema:
    """The schema of a spec file."""
    return _document(Spec, "a spec of the sandbox")


def properties_schema() -> Schema:
    """The schema of a property file."""
    return _document(PropertyFile, "a property file of the sandbox")


def _document(root: type[Model], title: str) -> Schema:
    writer = _Writer()
    whole = writer.model(root)
    return {"$schema": DIALECT, "title": title, **whole, "$defs": dict(sorted(writer.definitions.items()))}


class _Writer:
    """Models -> schemas; each model but the first is a definition of its own, for records are recursive."""

    def __init__(self) -> None:
        self.definitions: Schema = {}

    def model(self, model: type[Model]) -> Schema:
        keys = {field.alias or name: field for name, field in model.model_fields.items()}
        written: Schema = {
            "type": "object",
            "description": inspect.cleandoc(model.__doc__ or ""),
            "properties": {key: self._field(field) for key, field in keys.items()},
            "required": [key for key, field in keys.items() if field.is_required()],
            "additionalProperties": False,
        }
        if model is NamedSpec:
            written["properties"] = {**_mapping(written["properties"]), "type": _named()}
        if model in _ONE_OF:
            written["oneOf"] = [{"required": [key]} for key in _ONE_OF[model]]
        if model in _NEEDS:
            written["allOf"] = [_where(type_, {"required": [*keys]}) for type_, keys in _NEEDS[model].items()]
        if model in _LISTED:
            type_, key = _LISTED[model]
            written |= _where(type_, _is_list(key), {"not": _is_list(key)})
        return written

    def _field(self, field: FieldInfo) -> Json:
        return self._type(field.annotation, field.metadata)

    def _type(self, type_: object, metadata: Sequence[object]) -> Json:
        origin, inner = get_origin(type_), get_args(type_)
        if origin is Annotated:
            return self._type(inner[0], [*inner[1:], *metadata])
        if origin is Literal:
            return {"enum": list(inner)}
        readers = {each.func for each in metadata if isinstance(each, BeforeValidator)}
        for short, spelling in _SHORT.items():
            if short in readers:
                rest = [each for each in metadata if not (isinstance(each, BeforeValidator) and each.func is short)]
                return {"anyOf": [spelling, self._type(type_, rest)]}
        if one_or_several in readers:
            return {"anyOf": [{"type": "string"}, self._type(type_, ())]}
        spelled = next((_SPELLINGS[reader] for reader in readers if reader in _SPELLINGS), None)
        return spelled if spelled is not None else self._structure(type_, origin, inner)

    def _structure(self, type_: object, origin: object, inner: tuple[object, ...]) -> Json:
        if isinstance(type_, type) and issubclass(type_, Model):
            return self._reference(type_)
        if origin in {Union, UnionType}:
            arms = [arm for arm in inner if arm is not type(None)]
            return self._type(arms[0], ()) if len(arms) == 1 else {"anyOf": [self._type(arm, ()) for arm in arms]}
        if origin is dict:
            key, value = inner
            return {
                "type": "object",
                "propertyNames": self._type(key, ()),
                "additionalProperties": self._type(value, ()),
            }
        if origin is list:
            return {"type": "array", "items": self._type(inner[0], ())}
        message = f"`{type_}` has no schema"
        raise TypeError(message)

    def _reference(self, model: type[Model]) -> Json:
        name = model.__name__.removesuffix("Spec").lower()
        if name not in self.definitions:
            self.definitions[name] = {}  # a record holds records: the name first, what it means after
            self.definitions[name] = self.model(model)
        return {"$ref": f"#/$defs/{name}"}


def _where(type_: str, then: Schema, otherwise: Schema | None = None) -> Schema:
    """What holds where `type` is a word, and where it is another."""
    test: Schema = {"properties": {"type": {"const": type_}}}
    return {"if": test, "then": then} if otherwise is None else {"if": test, "then": then, "else": otherwise}


def _is_list(key: str) -> Schema:
    return {"properties": {key: {"type": "array"}}}


def _named() -> Schema:
    return {"type": "string", "pattern": f"^{_NAME}$", "not": {"enum": [*sorted(TYPE_NAMES)]}}


def _mapping(value: Json) -> Schema:
    return value if isinstance(value, dict) else {}
