"""The JSON Schema of specs and property files: what is shipped or shown fits it, and what is broken does not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from sandbox.cli.program import PROGRAM
from sandbox.lang.source import SourceFile
from sandbox.spec.document import Mapping, Node, Scalar, Series, parse
from sandbox.spec.fields import is_string
from sandbox.spec.model import TYPE_NAMES, Spec, ToolSpec
from sandbox.spec.schema import properties_schema, spec_schema

ROOT = Path(__file__).parents[2]
SPECS = Draft202012Validator(spec_schema())
PROPERTIES = Draft202012Validator(properties_schema())
LANGUAGE = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
SHOWN = [found[1] for found in re.finditer(r"^```yaml\n(.*?)^```$", LANGUAGE, re.MULTILINE | re.DOTALL)]


def value(node: Node) -> object:
    """What an editor sees: YAML 1.2's core schema."""
    match node:
        case Scalar() if is_string(node):
            return node.text
        case Scalar(text="true" | "false" as text):
            return text == "true"
        case Scalar(text=text):
            return json.loads(text) if text else None
        case Mapping(entries=entries):
            return {key.text: value(item) for key, item in entries}
        case Series(items=items):
            return [value(item) for item in items]


def read(text: str) -> object:
    return value(parse(SourceFile("file.yaml", text)))


def fits(text: str) -> bool:
    validator = PROPERTIES if re.search("^proves:", text, re.MULTILINE) else SPECS
    return validator.is_valid(read(text))


def test_both_are_schemas_of_the_dialect_that_they_name() -> None:
    for schema in (spec_schema(), properties_schema()):
        Draft202012Validator.check_schema(schema)
        assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]


@pytest.mark.parametrize(
    "file", sorted((*ROOT.glob("specs/*.yaml"), *ROOT.glob("proofs/**/*.yaml"))), ids=lambda f: f.stem
)
def test_what_is_shipped_fits(file: Path) -> None:
    assert fits(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("text", SHOWN)
def test_what_the_language_page_shows_fits(text: str) -> None:
    assert fits(text)


HEAD = "sandbox: 1\nname: x\n"
ARGUMENT = HEAD + "types: {money: {type: decimal, scale: 2}}\ntools: {t: {rules: [], args: {a: %s}}}\n"
RULE = HEAD + "tools: {t: {rules: [%s]}}\n"


@pytest.mark.parametrize(
    "type_",
    [
        "{type: money, default: 5.00}",
        "{type: list, items: string}",
        "{type: list, items: money}",
        "{type: list, items: {type: record, fields: {x: {type: list, items: int}}}}",
        "{type: url, schemes: [https]}",
        "{type: shell, max_size: 4KiB, optional: true}",
        "{type: timestamp, default: 2026-01-01T00:00:00Z}",
    ],
)
def test_an_argument_fits(type_: str) -> None:
    assert fits(ARGUMENT % type_)


@pytest.mark.parametrize(
    "variable",
    [
        "{type: set, items: string, initial: []}",
        "{type: set, items: {type: string, pattern: '[a-z]+', max_size: 9}, initial: [a, b], max_size: 10}",
        "{type: set, items: {type: enum, values: [a]}, initial: [a], scope: session}",
        "{type: map, key: money, value: money, initial: 0.50, window: 24h, scope: principal}",
        "{type: map, key: string, value: {type: decimal, scale: 2}, initial: 0, reset: 1h}",
        "{type: int, initial: 0, scope: spec}",
    ],
)
def test_a_variable_fits(variable: str) -> None:
    assert fits(f"{HEAD}state: {{v: {variable}}}\ntools: {{t: {{rules: [], then: {{v: '1', 'v[args.a]': '2'}}}}}}\n")


@pytest.mark.parametrize(
    "text",
    [
        "name: x\n",
        "sandbox: 2\nname: x\n",
        HEAD + "zzz: 1\n",
        HEAD + "server: {tool: 'a:b'}\n",
        HEAD + "tools: {'a b': {rules: []}}\n",
        HEAD + "tools: {t: {}}\n",
        HEAD + "tools: {t: {rules: [], run: {tool: 'a:b', argv: [x]}}}\n",
        HEAD + "tools: {t: {rules: [], run: {}}}\n",
        HEAD + "tools: {t: {rules: [], run: {tool: 'a:b', timeout: 10}}}\n",
        HEAD + "tools: {t: {rules: [], run: {tool: 'a:b', memory: 1GB}}}\n",
        HEAD + "state: {v: {type: int}}\n",
        HEAD + "state: {v: {type: set, initial: 0}}\n",
        HEAD + "state: {v: {type: set, items: string, initial: 0}}\n",
        HEAD + "state: {v: {type: set, initial: []}}\n",
        HEAD + "state: {v: {type: int, initial: [0]}}\n",
        HEAD + "state: {v: {type: map, key: string, value: int, initial: []}}\n",
        HEAD + "state: {v: {type: map, key: string, initial: 0}}\n",
        HEAD + "state: {v: {type: map, key: {type: int}, value: int, initial: 0}}\n",
        HEAD + "state: {v: {type: map, key: string, value: {type: string}, initial: 0}}\n",
        HEAD + "state: {v: {type: int, initial: 0, scope: everyone}}\n",
        HEAD + "state: {v: {type: enum, initial: a}}\n",
        HEAD + "tools: {t: {rules: [], then: {'a b': 1}}}\n",
        HEAD + "tools: {t: {rules: [], then: {'a[]': 1}}}\n",
        HEAD + "define: {a: {b: 1}}\n",
        RULE % "{id: a}",
        RULE % "{id: a, allow: true, deny: false}",
        RULE % "{allow: true}",
        RULE % "{id: a, alow: true}",
        RULE % "{id: a, allow: [true]}",
        ARGUMENT % "string",
        ARGUMENT % "{max: 1}",
        ARGUMENT % "{type: int, pattern: a}",
        ARGUMENT % "{type: int, min: '5'}",
        ARGUMENT % "{type: decimal}",
        ARGUMENT % "{type: enum, values: a}",
        ARGUMENT % "{type: list}",
        ARGUMENT % "{type: list, items: {type: list, items: int}}",
        ARGUMENT % "{type: record, fields: {a-b: {type: int}}}",
        ARGUMENT % "{type: record, fields: {a: {type: int, maxx: 1}}}",
        ARGUMENT % "{type: string, optional: 'yes'}",
        "proves: a.yaml\nproperties: [{id: a}]\n",
        "proves: a.yaml\nproperties: [{id: a, never: x, always: y}]\n",
        "proves: {a: 1}\n",
        "proves: a.yaml\nzzz: 1\n",
    ],
)
def test_what_is_broken_does_not_fit(text: str) -> None:
    assert not fits(text)


def test_the_schema_has_every_key_and_every_type_of_the_models() -> None:
    schema = spec_schema()
    assert set(schema["properties"]) == set(Spec.model_fields)
    assert set(schema["$defs"]["tool"]["properties"]) == set(ToolSpec.model_fields)
    assert set(schema["$defs"]) >= TYPE_NAMES


@pytest.mark.parametrize(("words", "schema"), [([], spec_schema()), (["--properties"], properties_schema())])
def test_the_command_prints_a_schema(words: list[str], schema: object) -> None:
    result = CliRunner().invoke(PROGRAM, ["schema", *words])
    assert (result.exit_code, json.loads(result.stdout)) == (0, schema)
