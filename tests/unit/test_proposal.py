"""First specs: what types say, what is left out, and that nothing that was read becomes more than text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.compile import load_contract, load_properties
from sandbox.errors import UsageError
from sandbox.ir import ArgType, Contract, EnumType
from sandbox.parse import parse_call
from sandbox.proposal.fitting import fitted
from sandbox.proposal.from_openapi import tools_of_openapi
from sandbox.proposal.from_python import tool_of_function
from sandbox.proposal.from_schema import tool_of_schema
from sandbox.proposal.offered import offered_lines
from sandbox.proposal.shapes import Bare, ProposedTool
from sandbox.proposal.writing import MAX_SAID, properties_text, quoted, refusal_of, remark, spec_text, told_apart
from sandbox.strict_json import Tree, read
from tests.gatekit import spec_file


def tree(value: object) -> Tree:
    return read(json.dumps(value).encode())


def proposed(schema: object, name: str = "tool", said: str = "") -> ProposedTool:
    return tool_of_schema(name, said, tree(schema))


def loaded(folder: Path, *tools: ProposedTool) -> Contract:
    return load_contract(spec_file(folder, spec_text("x", "a test", tools, None)))


def types(folder: Path, schema: object) -> dict[str, ArgType]:
    tool = loaded(folder, proposed(schema)).tool("tool")
    return {argument.name: argument.type for argument in tool.arguments}


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "string"}, "{type: string, max_size: 4096}"),
        ({"type": "string", "maxLength": 9}, "{type: string, max_size: 9}"),
        ({"type": "string", "maxLength": 20_000}, "{type: text, max_size: 20000}"),
        ({"type": "string", "format": "uri"}, "{type: url}"),
        ({"type": "string", "format": "email"}, "{type: email}"),
        ({"type": "string", "format": "date-time"}, "{type: timestamp}"),
        ({"enum": ["a", "b c"]}, '{type: enum, values: ["a", "b c"]}'),
        ({"const": "a"}, '{type: enum, values: ["a"]}'),
        ({"type": "integer"}, "{type: int}"),
        ({"type": "integer", "minimum": -1, "exclusiveMaximum": 10}, "{type: int, min: -1, max: 9}"),
        ({"type": "integer", "maximum": 10**30}, "{type: int}"),
        ({"type": "number", "minimum": 0.5, "maximum": 100}, "{type: decimal, scale: 6, min: 0.5, max: 100}"),
        ({"type": "boolean"}, "{type: bool}"),
        ({"type": ["string", "null"]}, "{type: string, max_size: 4096}"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None}, "{type: int}"),
        ({"$ref": "#/$defs/n"}, "{type: int, min: 1}"),
        (
            {"type": "array", "items": {"type": "string"}, "maxItems": 3},
            "{type: list, items: {type: string, max_size: 4096}, max_size: 3}",
        ),
        (
            {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
            "{type: record, fields: {n: {type: int}}}",
        ),
    ],
)  # fmt: skip
def test_a_schema_becomes_a_type_and_the_spec_loads(tmp_path: Path, schema: object, text: str) -> None:
    whole = {"properties": {"a": schema}, "required": ["a"], "$defs": {"n": {"type": "integer", "minimum": 1}}}
    tool = proposed(whole)
    assert f"\n      a: {text}\n" in spec_text("x", "a test", [tool], None)
    assert loaded(tmp_path, tool).tool("tool") is not None


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({}, "its type is not one"),
        ({"type": ["string", "integer"]}, "its type is not one"),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "it may be one of several things"),
        ({"type": "object"}, "it is an object of any keys"),
        ({"type": "array", "items": {"type": "array", "items": {"type": "string"}}}, "it is a list of lists"),
        ({"type": "array"}, "its schema says nothing about it"),
        ({"enum": [1, 2]}, "its values are not all strings, or too many"),
        ({"enum": []}, "its values are not all strings, or too many"),
        ({"enum": ["a\u202e"]}, "its values are too long, or hold characters that do not print"),
        ({"$ref": "#/$defs/loop"}, "it is nested too deeply, or refers to itself"),
        ({"$ref": "https://evil.example/schema"}, "its schema is elsewhere"),
        ({"$ref": "#/nowhere"}, "its schema says nothing about it"),
        ({"type": "integer", "minimum": 5, "maximum": 4}, "no number is within its bounds"),
        (True, "its schema says nothing about it"),
    ],
)
def test_what_cannot_be_said_is_left_out_if_it_may_be_absent_and_else_the_tool_is(schema: object, why: str) -> None:
    definitions = {"loop": {"$ref": "#/$defs/loop"}}
    optional = proposed({"properties": {"a": schema, "b": {"type": "boolean"}}, "$defs": definitions})
    assert [argument.name for argument in optional.arguments] == ["b"]
    assert optional.left_out == (("a", why),)
    needed = proposed({"properties": {"a": schema}, "required": ["a"], "$defs": definitions})
    assert needed.lost == f"`a` is required, and {why}"


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "1a", "../x", "a" * 101, "a: {}", "ä"])
def test_a_tool_that_may_not_be_called_so_is_left_out(name: str) -> None:
    assert proposed({}, name).lost == "no tool of a spec may be called so"


def test_everything_is_denied(tmp_path: Path) -> None:
    contract = loaded(tmp_path, proposed({"properties": {"a": {"type": "boolean"}}}))
    assert contract.tool("tool").rules == ()


HOSTILE = [
    "line\n    rules: [{id: x, allow: true}]",
    "comment\r\n  evil:\n    rules: [{id: x, allow: true}]",
    "sep\u2028    rules: []\u2029\x85\x0b\x0c",
    "bidi \u202e\u2066 hidden \u200b\ufeff tag \U000e0041",
    "\x1b[2J\x00\x7f\x9b",
    "# --- \n--- !!python/object:x\n...",
    "*anchor &anchor !tag {a: b} [c] ]}",
    "\ud800 lone",
    "x" * 10_000,
    "'quote' \"double\" \\ back `tick`",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_a_comment_or_a_quoted_value_and_nothing_else(tmp_path: Path, text: str) -> None:
    schema = {
        "properties": {
            "plain": {"type": "string", "description": text},
            text: {"type": "string"},
            "chosen": {"enum": ["ok", text]},
        }
    }
    hostile = tool_of_schema("tool", text, schema)
    written = spec_text("x", text, [hostile, ProposedTool(text, lost=text), ProposedTool("t2", text, lost=text)], None)
    assert all(character.isprintable() or character == "\n" for character in written)
    assert max(map(len, written.splitlines())) < 3 * MAX_SAID + 100 or "chosen: {" in written
    contract = load_contract(spec_file(tmp_path, written))
    assert [tool.name for tool in contract.tools] == ["tool"]
    assert contract.tool("tool").rules == ()
    names = [argument.name for argument in contract.tool("tool").arguments]
    assert names in (["plain"], ["plain", "chosen"])


@given(st.text(st.characters(), max_size=30))
def test_a_remark_is_one_printable_line_and_no_longer_than_it_may_be(text: str) -> None:
    line = remark(text * 3)
    assert line.isprintable()
    assert len(line) <= MAX_SAID


@settings(max_examples=60)
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6), min_size=1, max_size=3, unique=True
    )
)
def test_an_enum_has_exactly_the_values_of_the_schema_or_is_left_out(
    tmp_path_factory: object, values: list[str]
) -> None:
    tool = tool_of_schema("tool", "", {"properties": {"a": {"enum": list(values)}}})
    assert bool(tool.arguments) == all(value.isprintable() for value in values)
    if tool.arguments:
        contract = loaded(tmp_path_factory.mktemp("enum"), tool)
        assert list(contract.tool("tool").arguments[0].type.values) == values


SCHEMAS = st.recursive(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["string", "integer", "number", "boolean", "array", "object", "null", "x"]),
            "minimum": st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False),
            "maximum": st.integers(-(10**20), 10**20),
            "maxLength": st.integers(-2, 10**7),
            "format": st.sampled_from(["uri", "email", "date-time", "x"]),
            "enum": st.lists(st.text(max_size=4) | st.integers(), max_size=3),
            "description": st.text(max_size=20),
        },
    ),
    lambda inner: st.fixed_dictionaries(
        {"type": st.sampled_from(["array", "object"])},
        optional={
            "items": inner,
            "maxItems": st.integers(-1, 10**6),
            "properties": st.dictionaries(
                st.sampled_from(["a", "in", "path", "b c", "content", "é"]), inner, max_size=3
            ),
            "required": st.lists(st.sampled_from(["a", "in", "path"]), max_size=2),
            "anyOf": st.lists(inner, max_size=2),
        },
    ),
    max_leaves=6,
)


@settings(max_examples=80)
@given(SCHEMAS)
def test_any_schema_gives_a_spec_that_loads(tmp_path_factory: object, schema: object) -> None:
    tool = tool_of_schema("tool", "", tree({"properties": {"x": schema, "y": {"type": "boolean"}}}))
    contract = loaded(tmp_path_factory.mktemp("any"), tool)
    if not tool.lost:
        refused = parse_call({"tool": "tool", "args": {}}, contract)
        assert not hasattr(refused, "reason_code")


def test_the_property_file_loads_and_speaks_of_every_tool(tmp_path: Path) -> None:
    tool = ProposedTool("send", effects=("write",))
    spec_file(tmp_path / "specs", spec_text("x", "a test", [tool], None), "x.yaml")
    place = spec_file(tmp_path / "proofs", properties_text("../specs/x.yaml", [tool]), "x.yaml")
    (each,) = load_properties(place)
    assert [subject.id for subject in each.properties] == ["nothing-runs-yet"]


def test_a_name_that_stands_twice_is_there_once() -> None:
    text = spec_text("x", "a test", [ProposedTool("a"), ProposedTool("a", "other")], None)
    assert text.count("\n  a:\n") == 1
    assert "# a: left out, because another tool has this name" in text


def test_a_spec_that_would_be_too_large_is_refused() -> None:
    tools = [ProposedTool(f"tool_{n}", "x" * 150) for n in range(2_000)]
    with pytest.raises(UsageError, match="make it from fewer"):
        spec_text("x", "a test", tools, None)


def test_quoted_text_means_itself() -> None:
    assert quoted('a"\\\u00e9\U0001f600\n') == '"a\\"\\\\\\u00e9\\U0001f600\\u000a"'


# --- Python

MODULE = '''\
from decimal import Decimal
from typing import Annotated, Literal, Optional
import evil_module_that_is_not_there

raise SystemExit("this module is never imported")

async def send(
    recipient: str,
    amount: Decimal,
    count: "int",
    mode: Literal["fast", "slow"] = "fast",
    when: Optional[datetime.datetime] = None,
    tags: list[str] = (),
    path: str = "a",
    note: Annotated[str, "x"] = "",
    more: dict = {},
    *,
    flag: bool | None,
) -> dict:
    """Send money.\n\nMore."""

def variadic(*args: str): ...
def untyped(a): ...
'''


def test_hints_become_types_and_the_module_is_not_imported(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "pay.py").write_text(MODULE)
    tool = tool_of_function("pkg.pay:send", tmp_path)
    text = spec_text("x", "a test", [tool], None)
    for line in (
        "# it says of itself: Send money.",
        "recipient: {type: string, max_size: 4096}",
        "amount: {type: decimal, scale: 6}",
        "count: {type: int}",
        'mode: {type: enum, values: ["fast", "slow"], optional: true}',
        "when: {type: timestamp, optional: true}",
        "tags: {type: list, items: {type: string, max_size: 4096}, max_size: 32, optional: true}",
        'path: {type: path, under: "/workspace", optional: true}',
        "note: {type: text, max_size: 65536, optional: true}",
        "# more: left out, because its type hint has no counterpart in a spec",
        "flag: {type: bool, optional: true}",
        "run: {tool: pkg.pay:send}",
    ):
        assert f" {line}\n" in text, line
    assert loaded(tmp_path / "specs", tool).tool("send").run is not None


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("pay", "`pay` is not `module:function`"),
        ("pay:", "`pay:` is not `module:function`"),
        ("../pay:send", "`../pay:send` is not `module:function`"),
        ("gone:send", "no module `gone` below"),
        ("pay:gone", "`pay:gone`: its module has no such function of its own"),
        ("pay:variadic", "`variadic` takes arguments without a name, or of any name"),
        ("broken:f", "cannot be read as Python (SyntaxError)"),
    ],
)
def test_a_function_is_refused(tmp_path: Path, target: str, reason: str) -> None:
    (tmp_path / "pay.py").write_text(MODULE)
    (tmp_path / "broken.py").write_text("def f(:\n")
    with pytest.raises(UsageError) as refusal:
        tool_of_function(target, tmp_path)
    assert reason in str(refusal.value)


def test_a_required_argument_without_a_hint_loses_the_tool(tmp_path: Path) -> None:
    (tmp_path / "pay.py").write_text(MODULE)
    assert tool_of_function("pay:untyped", tmp_path).lost == "`a` is required, and it has no type hint"


CLASSES = '''
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Annotated, ClassVar, Literal, NotRequired, Required, TypedDict, Union
from pydantic import BaseModel, EmailStr, Field, HttpUrl

Speed = Literal["fast", "slow"]
Name: "TypeAlias" = Annotated[str, Field(max_length=40)]

class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"

class Level(Enum):
    LOW = 1

class Thing(BaseModel):
    """With a docstring."""
    model_config: ClassVar[dict] = {}
    sku: str = Field(max_length=8)
    count: int = Field(1, ge=1, le=9)
    weight: Annotated[Decimal, Field(gt=Decimal("0"), lt=Decimal("2.5"))]

class Boxed(Thing):
    colours: list[Colour] = []
    note: str | None = None

@dataclass(frozen=True)
class Address:
    street: str
    tags: list[str] = field(default_factory=list)

class Filter(TypedDict, total=False):
    speed: Required[Speed]
    since: int
    until: NotRequired[int]

class Loop(BaseModel):
    next: "Loop"

class Renamed(BaseModel):
    kind: str = Field(alias="type")

class Elsewhere(SomethingImported):
    a: int

class Plain:
    a: int

def order(
    things: Annotated[list[Boxed], Field(max_length=3)],
    to: Address,
    site: HttpUrl,
    mail: EmailStr,
    colour: Colour,
    speed: Speed,
    name: Name,
    size: Annotated[int, Field(ge=-3)] = 1,
    only: Filter | None = None,
    level: Level = Level.LOW,
    circle: Loop | None = None,
    renamed: Renamed | None = None,
    elsewhere: Elsewhere | None = None,
    plain: Plain | None = None,
    either: Union[int, str] = 1,
    grid: list[list[int]] = [],
    many: list[Annotated[int, Field(le=5)]] = [],
): ...
'''


def test_classes_of_the_module_become_records_and_enums(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(CLASSES)
    tool = tool_of_function("shop:order", tmp_path)
    text = spec_text("x", "a test", [tool], None)
    enum = '{type: enum, values: ["red", "blue"]}'
    string = "{type: string, max_size: 4096}"
    thing = (
        "sku: {type: string, max_size: 8}, count: {type: int, min: 1, max: 9, optional: true}, "
        "weight: {type: decimal, scale: 6, min: 0.000001, max: 2.499999}"
    )
    boxed = (
        f"{{type: record, fields: {{{thing}, colours: {{type: list, items: {enum}, max_size: 32, optional: true}}, "
        "note: {type: text, max_size: 65536, optional: true}}}"
    )
    tags = f"{{type: list, items: {string}, max_size: 32, optional: true}}"
    address = f"{{type: record, fields: {{street: {string}, tags: {tags}}}}}"
    speeds, whole = '{type: enum, values: ["fast", "slow"]}', "{type: int, optional: true}"
    only = f"{{type: record, fields: {{speed: {speeds}, since: {whole}, until: {whole}}}, optional: true}}"
    for line in (
        f"things: {{type: list, items: {boxed}, max_size: 3}}",
        f"to: {address}",
        "site: {type: url}",
        "mail: {type: email}",
        f"colour: {enum}",
        'speed: {type: enum, values: ["fast", "slow"]}',
        "name: {type: string, max_size: 40}",
        "size: {type: int, min: -3, optional: true}",
        f"only: {only}",
        "many: {type: list, items: {type: int, max: 5}, max_size: 32, optional: true}",
        "# the function gets plain values: a dict for a record, text for an enum",
        "# level: left out, because its values are not all strings that print, or too many",
        "# circle: left out, because of its field `next`: its type is nested too deeply, or refers to itself",
        "# renamed: left out, because its field `kind` is called otherwise in JSON, or cannot be called so in a spec",
        "# elsewhere: left out, because its type hint has no counterpart in a spec",
        "# plain: left out, because its type hint has no counterpart in a spec",
        "# either: left out, because its type hint has no counterpart in a spec",
        "# grid: left out, because it is a list of lists",
    ):
        assert f" {line}\n" in text, line
    assert loaded(tmp_path / "specs", tool).tool("order").run is not None


@pytest.mark.parametrize(
    "hint",
    [
        "A",
        "B",
        "'A'",
        "list[A]",
        "Annotated[A, Field(ge=1)]",
        "Annotated[()]",
        "list[()]",
        "Literal[()]",
        "Optional[A]",
    ],
)
def test_a_hint_that_leads_nowhere_is_left_out(tmp_path: Path, hint: str) -> None:
    (tmp_path / "odd.py").write_text(f"A = B\nB = A\nclass C(C):\n    x: C\ndef f(a: {hint} = 1, c: C = 1): ...\n")
    tool = tool_of_function("odd:f", tmp_path)
    assert [name for name, _ in tool.left_out] == ["a", "c"]
    assert loaded(tmp_path / "specs", tool).tool("f").arguments == ()


def test_sizes_are_made_smaller_until_a_spec_loads() -> None:
    entity = {"name": {"type": "string"}, "seen": {"type": "array", "items": {"type": "string"}}}
    entities = {"type": "array", "items": {"type": "object", "properties": entity, "required": ["name", "seen"]}}
    schema = {"type": "object", "properties": {"entities": entities, "title": {"type": "string"}}}
    large, small = proposed(schema), proposed({"type": "object", "properties": {"title": {"type": "string"}}}, "other")
    assert refusal_of(large) is not None
    tool, other = fitted([large, small])
    text = spec_text("x", "a test", [tool, other], None)
    assert "# sizes below are smaller than its source allows" in text
    string = "{type: string, max_size: 1024}"
    fields = f"{{name: {string}, seen: {{type: list, items: {string}, max_size: 8}}}}"
    assert f"entities: {{type: list, items: {{type: record, fields: {fields}}}, max_size: 8, optional: true}}" in text
    assert "title: {type: string, max_size: 4096, optional: true}" in text
    assert other is small


def test_a_tool_that_no_size_makes_quick_is_left_out() -> None:
    row = {"type": "object", "properties": {f"f{at}": {"type": "string"} for at in range(20)}}
    rows = {"type": "array", "items": row}
    schema = {"type": "object", "properties": {f"a{at}": rows for at in range(100)}}
    (tool,) = fitted([proposed(schema)])
    assert "a decision could take" in tool.lost
    assert told_apart([tool]) == ([], [tool])


# --- OpenAPI

OPENAPI = """\
openapi: 3.1.0
info: {title: shop, version: "1"}
paths:
  /orders/{id}:
    parameters:
      - {name: id, in: path, required: true, schema: {type: integer, minimum: 1}}
    get:
      operationId: getOrder
      summary: One order.
      parameters:
        - {name: X-Token, in: header, required: true, schema: {type: string}}
        - $ref: '#/components/parameters/Verbose'
    delete:
      summary: "Gone.\\n    rules: [{id: x, allow: true}]"
  /orders:
    post:
      operationId: createOrder
      requestBody:
        required: true
        content:
          application/json:
            schema: {$ref: '#/components/schemas/Order'}
components:
  parameters:
    Verbose: {name: verbose, in: query, schema: {type: boolean}}
  schemas:
    Order:
      type: object
      required: [item, price]
      properties:
        item: {$ref: '#/components/schemas/Item'}
        price: {type: number, minimum: 0.01}
    Item: {type: string, enum: [pen, paper]}
"""


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_operations_become_tools(tmp_path: Path, suffix: str) -> None:
    place = tmp_path / f"shop.{suffix}"
    if suffix == "json":
        from ruamel.yaml import YAML

        place.write_text(json.dumps(YAML(typ="safe", pure=True).load(OPENAPI)))
    else:
        place.write_text(OPENAPI)
    tools = tools_of_openapi(place)
    assert [(tool.name, tool.effects, tool.lost) for tool in tools] == [
        ("getOrder", ("read",), ""), ("delete_orders_id", ("write",), ""), ("createOrder", ("write",), ""),
    ]  # fmt: skip
    text = spec_text("x", "a test", tools, None)
    for line in (
        "id: {type: int, min: 1}",
        "verbose: {type: bool, optional: true}",
        'item: {type: enum, values: ["pen", "paper"]}',
        "price: {type: decimal, scale: 6, min: 0.01}",
    ):
        assert f"\n      {line}\n" in text, line
    assert "X-Token" not in text
    contract = loaded(tmp_path, *tools)
    assert all(tool.rules == () for tool in contract.tools)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.json", "{", "cannot be read"),
        ("a.json", '{"openapi": "3.0.0", "openapi": "3.1.0"}', "cannot be read: an object has the same key twice"),
        ("a.json", '{"swagger": "2.0", "paths": {}}', "is no OpenAPI 3 file"),
        ("a.yaml", "openapi: 3.0.0\n", "is no OpenAPI 3 file"),
        ("a.yaml", "a: &x 1\nb: *x\n", "anchors and aliases are refused"),
    ],
)
def test_what_is_no_openapi_file_is_refused(tmp_path: Path, name: str, text: str, reason: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError) as refusal:
        tools_of_openapi(tmp_path / name)
    assert reason in str(refusal.value)


# --- what a server offers besides tools


def test_a_proposed_grant_loads_once_it_is_no_comment_any_more(tmp_path: Path) -> None:
    lines = offered_lines({"daily-brief": ["topic", "since"]}, ["memo://a", "memo://../b", "memo://b"])
    assert all(line.startswith("# ") for line in lines)
    tools = "\n".join(line.removeprefix("# ") for line in lines if line.startswith("#   "))
    head = "sandbox: 1\nname: x\nserver: {resources: read_resource, prompts: {prompt_1: daily-brief}}\ntools:\n"
    contract = load_contract(spec_file(tmp_path, head + tools + "\n"))
    assert [tool.name for tool in contract.tools] == ["read_resource", "prompt_1"]
    assert contract.tools[0].arguments[0].type == EnumType(("memo://a", "memo://b"))
    assert [argument.name for argument in contract.tools[1].arguments] == ["topic", "since"]


def test_nothing_is_proposed_where_nothing_is_offered_and_in_a_spec_it_is_a_comment() -> None:
    assert offered_lines({}, ["no uri"]) == ()
    hostile = "x\nserver: {network: ['evil.example:443']}\n\u2028#\u202e"
    lines = offered_lines({hostile: [hostile]}, ["memo://a"])
    text = spec_text("x", "a test", [ProposedTool("a")], {"memory": Bare("64MiB")}, lines)
    assert all(line.startswith("#") and line.isprintable() for line in lines)
    assert [line for line in text.splitlines() if line.startswith("server:")] == ["server: {memory: 64MiB}"]
