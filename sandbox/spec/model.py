"""What authors write, as pydantic models: which keys there are, which are needed, and what stands under them.

Values are read by `fields`; what two keys mean together is `compile`'s part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    model_validator,
)

from sandbox.lang import later
from sandbox.lang.source import MAX_PROBLEMS, Problems, SourceText, shown
from sandbox.lang.suggest import near_miss
from sandbox.spec import fields, grants
from sandbox.spec.document import Entries, Scalar
from sandbox.spec.fields import Wrong


@dataclass(frozen=True, slots=True)
class Reading:
    """What validators need of the file that is read: where problems are noted, and the types that it names."""

    problems: Problems
    types: frozenset[str] = frozenset()


class Model(BaseModel):
    """The base: closed, immutable, no conversions. Unknown keys are noted with the nearest known one."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)
    keys_of_later: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: object, info: ValidationInfo) -> object:
        if not isinstance(data, Entries) or not isinstance(info.context, Reading):
            return data
        known = {field.alias or name for name, field in cls.model_fields.items()}
        unknown = [key for key in data.keys_in_file if key.text not in known]
        for key in unknown[:MAX_PROBLEMS]:
            info.context.problems.add(key.source.problem(0, _unknown_key(key.text, known, cls.keys_of_later)))
        return {key: value for key, value in data.items() if key in known}


def _unknown_key(key: str, known: set[str], keys_of_later: frozenset[str]) -> str:
    if key in keys_of_later:
        return f"`{key}` is {later.NOT_YET}"
    return f"unknown key {shown(key)}{near_miss(key, known)}"


def _keyword(*values: str, what: str) -> BeforeValidator:
    """One of some words."""

    def check(value: object) -> str:
        text = fields.prose(value)
        if text not in values:
            raise Wrong(0, f"{shown(text)} is no {what}{near_miss(text, values)}")
        return text

    return BeforeValidator(check)


def _typed(*types: str, instead: str = "") -> BeforeValidator:
    """A mapping whose `type` is one of some words, or a type that the spec names.

    `instead` is what a message says of every other type there is.
    """

    def check(value: object, info: ValidationInfo) -> object:
        own = info.context.types if isinstance(info.context, Reading) else frozenset()
        if isinstance(value, Scalar):
            raise Wrong(0, f"expected a mapping, found {shown(value.text)}; write `{{type: {types[0]}}}`")
        if not isinstance(value, dict):
            raise Wrong(0, f"expected a mapping; write one such as `{{type: {types[0]}}}`")
        name = value.get("type")
        if name is None:
            raise Wrong(0, f"`type` is missing here; add it, such as `type: {types[0]}`")
        try:
            text = fields.prose(name)
        except Wrong as wrong:
            raise Wrong(wrong.offset, wrong.message, "type") from None
        if text in COLLECTIONS:
            raise Wrong(0, f"`{text}` is a type of state and of nothing else; an argument is a `list`", "type")
        if text not in types and text in TYPE_NAMES:
            raise Wrong(0, instead or f"a list of `{text}` is {later.NOT_YET}", "type")
        if text not in types and text not in own:
            raise Wrong(0, f"{shown(text)} is no type{near_miss(text, (*types, *own))}", "type")
        return value

    return BeforeValidator(check)


def _type_of(value: object) -> str:
    name = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    text = name.text if isinstance(name, Scalar) else str(name)
    return text if text in TYPE_NAMES else "named"


_Word = BeforeValidator(fields.prose)

# --- types of arguments ------------------------------------------------------------------------------


class Declared(Model):
    """What every argument and field may say beside its type."""

    optional: fields.Boolean = False
    secret: fields.Boolean = False
    default: fields.Raw = None


class BoolSpec(Declared):
    """`{type: bool}`."""

    type: Annotated[Literal["bool"], _Word]


class IntSpec(Declared):
    """`{type: int, min, max}`."""

    type: Annotated[Literal["int"], _Word]
    min: fields.Number | None = None
    max: fields.Number | None = None


class DecimalSpec(Declared):
    """`{type: decimal, scale, min, max}`."""

    type: Annotated[Literal["decimal"], _Word]
    scale: fields.Whole
    min: fields.Number | None = None
    max: fields.Number | None = None


class StringSpec(Declared):
    """`{type: string, pattern, min_size, max_size}`."""

    type: Annotated[Literal["string"], _Word]
    pattern: fields.Pattern | None = None
    min_size: fields.Whole = 0
    max_size: fields.Size = 4_096


class TextSpec(Declared):
    """`{type: text, max_size}`."""

    type: Annotated[Literal["text"], _Word]
    max_size: fields.Size = 64 * 1024


class EnumSpec(Declared):
    """`{type: enum, values}`."""

    type: Annotated[Literal["enum"], _Word]
    values: list[fields.Prose]


class PathSpec(Declared):
    """`{type: path, under}`."""

    type: Annotated[Literal["path"], _Word]
    under: fields.Prose | None = None


class TimestampSpec(Declared):
    """`{type: timestamp}`."""

    type: Annotated[Literal["timestamp"], _Word]


class DurationSpec(Declared):
    """`{type: duration}`."""

    type: Annotated[Literal["duration"], _Word]


class UrlSpec(Declared):
    """`{type: url, schemes}`."""

    type: Annotated[Literal["url"], _Word]
    schemes: list[fields.Prose] | None = None


class EmailSpec(Declared):
    """`{type: email}`."""

    type: Annotated[Literal["email"], _Word]


class ArgvSpec(Declared):
    """`{type: argv, max_size}`."""

    type: Annotated[Literal["argv"], _Word]
    max_size: fields.Count = 64


class ShellSpec(Declared):
    """`{type: shell, max_size}`."""

    type: Annotated[Literal["shell"], _Word]
    max_size: fields.Size = 4_096


class RecordSpec(Declared):
    """`{type: record, fields}`."""

    type: Annotated[Literal["record"], _Word]
    fields: dict[fields.Identifier, ArgumentSpec]


class NamedSpec(Declared):
    """`{type: NAME}`, a type that the spec names in `types`."""

    type: fields.Identifier


def bare_word(value: object) -> object:
    """`items: string` is short for `items: {type: string}`."""
    return {"type": value} if isinstance(value, Scalar) else value


class ListSpec(Declared):
    """`{type: list, items, min_size, max_size, unique}`."""

    type: Annotated[Literal["list"], _Word]
    items: ItemSpec
    min_size: fields.Whole = 0
    max_size: fields.Count = 32
    unique: fields.Boolean = False


_ITEM_TYPES: Final = (
    "string", "bool", "int", "decimal", "enum", "path", "timestamp", "duration", "url", "email", "record",
)  # fmt: skip
_TYPES: Final = (*_ITEM_TYPES, "text", "argv", "shell", "list")

TYPE_NAMES: Final = frozenset(_TYPES)
"""What no type of the author's own may be called."""

_Item = (
    Annotated[BoolSpec, Tag("bool")]
    | Annotated[IntSpec, Tag("int")]
    | Annotated[DecimalSpec, Tag("decimal")]
    | Annotated[StringSpec, Tag("string")]
    | Annotated[EnumSpec, Tag("enum")]
    | Annotated[PathSpec, Tag("path")]
    | Annotated[TimestampSpec, Tag("timestamp")]
    | Annotated[DurationSpec, Tag("duration")]
    | Annotated[UrlSpec, Tag("url")]
    | Annotated[EmailSpec, Tag("email")]
    | Annotated[RecordSpec, Tag("record")]
    | Annotated[NamedSpec, Tag("named")]
)

COLLECTIONS: Final = frozenset({"set", "map"})
"""Types of state that hold many values."""

_Key = Annotated[StringSpec, Tag("string")] | Annotated[EnumSpec, Tag("enum")] | Annotated[NamedSpec, Tag("named")]
_Value = Annotated[IntSpec, Tag("int")] | Annotated[DecimalSpec, Tag("decimal")] | Annotated[NamedSpec, Tag("named")]

KeySpec = Annotated[
    _Key,
    Discriminator(_type_of),
    _typed("string", "enum", instead="items of a set and keys of a map are of type `string` or `enum`"),
    BeforeValidator(bare_word),
]
"""What a set holds, and what a map is asked with."""

ValueSpec = Annotated[
    _Value,
    Discriminator(_type_of),
    _typed("int", "decimal", instead="values of a map are of type `int` or `decimal`"),
    BeforeValidator(bare_word),
]
"""What a map has at each key."""

ItemSpec = Annotated[_Item, Discriminator(_type_of), _typed(*_ITEM_TYPES), BeforeValidator(bare_word)]

ArgumentSpec = Annotated[
    _Item
    | Annotated[TextSpec, Tag("text")]
    | Annotated[ArgvSpec, Tag("argv")]
    | Annotated[ShellSpec, Tag("shell")]
    | Annotated[ListSpec, Tag("list")],
    Discriminator(_type_of),
    _typed(*_TYPES),
]

for _model in (RecordSpec, ListSpec):
    _model.model_rebuild()  # each holds what is defined behind it

# --- state -------------------------------------------------------------------------------------------


class VariableSpec(Model):
    """A state variable; which of the keys go together is checked by `compile`."""

    type: Annotated[
        Literal["bool", "int", "decimal", "enum", "timestamp", "set", "map"],
        _keyword("bool", "int", "decimal", "enum", "timestamp", "set", "map", what="type of state"),
    ]
    initial: fields.Initial
    scale: fields.Whole | None = None
    values: list[fields.Prose] | None = None
    items: KeySpec | None = None
    key: KeySpec | None = None
    value: ValueSpec | None = None
    max_size: fields.Count | None = None
    reset: fields.Duration | None = None
    window: fields.Duration | None = None
    scope: Annotated[
        Literal["spec", "principal", "session"], _keyword("spec", "principal", "session", what="scope")
    ] = "spec"
    min: fields.Number | None = None
    max: fields.Number | None = None


# --- tools -------------------------------------------------------------------------------------------


class RuleSpec(Model):
    """A rule: exactly one of allow, ask, deny."""

    id: fields.Id
    allow: fields.Expression | None = None
    ask: fields.Expression | None = None
    deny: fields.Expression | None = None
    reason: fields.Prose = ""
    approvers: fields.Count | None = None
    expires: fields.Duration | None = None


class ChangeRuleSpec(Model):
    """A rule about one changed path: exactly one of commit, refuse."""

    id: fields.Id
    commit: fields.Expression | None = None
    refuse: fields.Expression | None = None
    reason: fields.Prose = ""

    def written(self, key: str) -> SourceText | None:
        """The expression under a key."""
        return {"commit": self.commit, "refuse": self.refuse}[key]


class AfterRuleSpec(Model):
    """A rule about what came of a call: exactly one of pass, redact, withhold."""

    id: fields.Id
    pass_: fields.Expression | None = Field(default=None, alias="pass")
    redact: fields.Expression | None = None
    withhold: fields.Expression | None = None
    reason: fields.Prose = ""

    def written(self, key: str) -> SourceText | None:
        """The expression under a key."""
        return {"pass": self.pass_, "redact": self.redact, "withhold": self.withhold}[key]


class ReturnSpec(Model):
    """What is known of a field of the result."""

    type: Annotated[ArgumentSpec | None, BeforeValidator(bare_word)] = None
    origin: fields.Id | None = None


class WorkspaceSpec(Model):
    """The folder that a call sees as `/workspace`."""

    source: fields.Prose
    mode: Annotated[Literal["ro", "rw"], _keyword("ro", "rw", what="mode")]
    size: fields.Size = 256 * 1024**2
    entries: fields.Count = 10_000


class CredentialSpec(Model):
    """A secret of the host that the broker adds to each request, from exactly one of env, file."""

    header: grants.Header = "authorization"
    prefix: grants.Prefix = ""
    env: grants.EnvironmentVariable | None = None
    file: fields.Prose | None = None


class HostGrantSpec(Model):
    """A host and port that a call may reach, and what it may ask there."""

    to: grants.HostAndPort
    methods: list[grants.GrantedMethod] | None = None
    max_request: fields.Size = 1024**2
    max_response: fields.Size = 8 * 1024**2
    tls: fields.Boolean | None = None
    addresses: list[grants.Block] = []
    credential: CredentialSpec | None = None


class GrantsSpec(Model):
    """All that a container is granted."""

    image: fields.Image | None = None
    workspace: WorkspaceSpec | None = None
    network: list[Annotated[HostGrantSpec, BeforeValidator(grants.bare_grant)]] = []
    timeout: fields.Duration = 10_000
    memory: fields.Size = 128 * 1024**2
    cpus: fields.Millicpus = 1_000
    pids: fields.Count = 64
    output: fields.Size = 256 * 1024
    files: fields.Count = 1_024
    file_size: fields.Size = 64 * 1024**2
    tmpfs: fields.Size = 16 * 1024**2
    min_isolation: Annotated[
        Literal["container", "gvisor", "vm"], _keyword("container", "gvisor", "vm", what="isolation")
    ] = "container"


class RunSpec(GrantsSpec):
    """What runs and all that it is granted; exactly one of tool, argv, host."""

    tool: fields.Function | None = None
    argv: list[fields.Prose] | None = None
    host: fields.Prose | None = None


_Content = Annotated[
    Literal["text", "image", "audio", "structured"],
    _keyword("text", "image", "audio", "structured", what="kind of content"),
]


class ServerSpec(GrantsSpec):
    """What the real MCP server behind `sandbox mcp` is granted, its results may hold, and it may offer but tools."""

    keys_of_later: ClassVar[frozenset[str]] = later.SERVER_KEYS

    content: list[_Content] = ["text"]
    resources: fields.ToolName | None = None
    prompts: dict[fields.ToolName, grants.PromptName] = {}


class ToolSpec(Model):
    """A tool and its rules."""

    description: fields.Prose = ""
    effects: list[fields.Id] = []
    args: dict[fields.Identifier, ArgumentSpec] = {}
    rules: list[RuleSpec]
    then: dict[fields.Target, fields.Expression] = {}
    on_success: dict[fields.Target, fields.Expression] = {}
    returns: dict[fields.Identifier, ReturnSpec] = {}
    changes: list[ChangeRuleSpec] | None = None
    after: list[AfterRuleSpec] | None = None
    run: RunSpec | None = None


def _format(value: object) -> int:
    if not isinstance(value, Scalar) or not value.plain or value.text != "1":
        raise Wrong(0, "this version reads format 1 only; write `sandbox: 1`")
    return 1


class Spec(Model):
    """A whole spec."""

    sandbox: Annotated[Literal[1], BeforeValidator(_format)]
    name: fields.Id
    owner: fields.Prose = ""
    description: fields.Prose = ""
    define: dict[fields.Identifier, fields.DefinedConstant] = {}
    types: dict[fields.Identifier, ArgumentSpec] = {}
    session: dict[fields.Identifier, ArgumentSpec] = {}
    state: dict[fields.Identifier, VariableSpec] = {}
    extends: fields.Prose | None = None
    require_proofs: fields.Prose | None = None
    server: ServerSpec | None = None
    tools: dict[fields.ToolName, ToolSpec] = {}


def one_or_several(value: object) -> object:
    """One word is short for a list of it."""
    return [value] if isinstance(value, Scalar) else value


# --- properties --------------------------------------------------------------------------------------


class NeedsSpec(Model):
    """A call that must have ended `ok` before another one is let through."""

    before: fields.Expression
    after: fields.Expression
    same: list[fields.Expression] | None = None


class FlowSpec(Model):
    """A value of this origin that must not come to this argument, unless a person approves the call."""

    from_: fields.Prose = Field(alias="from")
    to: fields.Expression
    unless: Annotated[Literal["approved"] | None, _keyword("approved", what="exception")] = None


class PropertySpec(Model):
    """A property: exactly one of never, always, possible, needs, flow, within."""

    id: fields.Id
    never: fields.Expression | None = None
    always: fields.Expression | None = None
    possible: fields.Expression | None = None
    needs: NeedsSpec | None = None
    flow: FlowSpec | None = None
    within: fields.Prose | None = None
    tools: list[fields.ToolName] | None = None
    effect: fields.Id | None = None
    why: fields.Prose = ""


class PropertyFile(Model):
    """A whole property file."""

    proves: Annotated[list[fields.Prose], BeforeValidator(one_or_several)]
    define: dict[fields.Identifier, fields.DefinedConstant] = {}
    properties: list[PropertySpec] = []
