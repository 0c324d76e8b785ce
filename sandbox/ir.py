"""The intermediate representation: sorts, expressions and the Contract. Frozen, closed, digestible.

A spec is compiled into a `Contract`; its rules are `Expr` trees over one small language. That language
has two meanings, `evaluate` (closures) and `encode` (Z3 terms), written arm for arm over the unions below.

Numbers are mathematical integers. A decimal of scale s is the integer `value * 10**s`; the scale stays in
the variable's sort so that values can be shown, and `lang` has inserted every rescaling that is needed.
No expression can fail: `lang` refuses what could (absent optionals, indices, divisors).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields
from typing import Final, Literal, TypeAlias, get_args

from sandbox.errors import Place

VERDICTS: Final = ("deny", "ask", "allow")
"""The gate's verdicts from the strictest; the order is that of the enum `decision` in properties."""

NOWHERE: Final = Place("", 0, 0)

# --- sorts -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BoolSort:
    """True or false."""


@dataclass(frozen=True, slots=True)
class IntSort:
    """A mathematical integer."""


@dataclass(frozen=True, slots=True)
class DecimalSort:
    """An exact decimal with `scale` digits behind the point, held as a scaled integer."""

    scale: int


@dataclass(frozen=True, slots=True)
class StringSort:
    """Code points up to U+2FFFF, none of them NUL or a surrogate."""


@dataclass(frozen=True, slots=True)
class TextSort:
    """Any valid Unicode; rules see only its size, in code points."""


@dataclass(frozen=True, slots=True)
class EnumSort:
    """One of `values`, in the declared order."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TimestampSort:
    """An instant, in integer Unix milliseconds."""


@dataclass(frozen=True, slots=True)
class DurationSort:
    """A length of time, in integer milliseconds."""


@dataclass(frozen=True, slots=True)
class RecordSort:
    """A value with named parts; a record argument, and what rules see of a URL or an e-mail address."""

    fields: tuple[FieldSort, ...]

    def field(self, name: str) -> FieldSort | None:
        """The field of exactly this name, or None."""
        return next((field for field in self.fields if field.name == name), None)


@dataclass(frozen=True, slots=True)
class FieldSort:
    """One part of a record."""

    name: str
    sort: Sort
    optional: bool = False


@dataclass(frozen=True, slots=True)
class ListSort:
    """A finite sequence of `item`s, at most `max_size` long (what parse enforces and proofs unroll to)."""

    item: Sort
    max_size: int


@dataclass(frozen=True, slots=True)
class SetSort:
    """A finite set of `item`s, of the state only."""

    item: StringSort | EnumSort


@dataclass(frozen=True, slots=True)
class MapSort:
    """A number for every key, of the state only; all but finitely many keys have the variable's `initial`."""

    key: StringSort | EnumSort
    value: IntSort | DecimalSort


ScalarSort: TypeAlias = BoolSort | IntSort | DecimalSort | StringSort | EnumSort | TimestampSort | DurationSort
Sort: TypeAlias = ScalarSort | TextSort | RecordSort | ListSort
CollectionSort: TypeAlias = SetSort | MapSort
StateSort: TypeAlias = BoolSort | IntSort | DecimalSort | EnumSort | TimestampSort | CollectionSort

# --- expressions -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Const:
    """A literal: bool, int (also a scaled decimal) or str (also an enum value)."""

    value: bool | int | str
    sort: ScalarSort


@dataclass(frozen=True, slots=True)
class Arg:
    """The canonical value of an argument of the call that is judged."""

    name: str
    sort: Sort


@dataclass(frozen=True, slots=True)
class Has:
    """Whether the optional argument `name` is present."""

    name: str


@dataclass(frozen=True, slots=True)
class OriginHas:
    """Whether `label` is among the origins of the argument `argument`: what the host and the gate know of its value."""

    argument: str
    label: str


@dataclass(frozen=True, slots=True)
class Field:
    """One part of a record."""

    of: Expr
    name: str
    sort: Sort


@dataclass(frozen=True, slots=True)
class HasField:
    """Whether the optional part `name` of a record is present."""

    of: Expr
    name: str


@dataclass(frozen=True, slots=True)
class State:
    """A state variable, at its effective value before the call."""

    name: str
    sort: ScalarSort | CollectionSort


@dataclass(frozen=True, slots=True)
class Fact:
    """A name that the gate supplies: `tool`, `now`, `session.NAME`, and in properties `decision` and `rule`."""

    name: str
    sort: ScalarSort


@dataclass(frozen=True, slots=True)
class Bound:
    """The variable of an enclosing quantifier; `lang` gives each quantifier its own name."""

    name: str
    sort: Sort


@dataclass(frozen=True, slots=True)
class Not:
    """Negation."""

    operand: Expr


@dataclass(frozen=True, slots=True)
class And:
    """Conjunction; of nothing, true."""

    operands: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Disjunction; of nothing, false."""

    operands: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Ite:
    """`condition ? then : otherwise`; both arms of one sort."""

    condition: Expr
    then: Expr
    otherwise: Expr


@dataclass(frozen=True, slots=True)
class Eq:
    """Equality of two scalars of one sort."""

    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Lt:
    """Strictly less: integers, or strings by code points."""

    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Le:
    """Less or equal: integers, or strings by code points."""

    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Add:
    """Sum of two integers."""

    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Sub:
    """Difference of two integers."""

    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Neg:
    """The opposite of an integer."""

    operand: Expr


@dataclass(frozen=True, slots=True)
class Mul:
    """An integer times an integer constant."""

    operand: Expr
    factor: int


@dataclass(frozen=True, slots=True)
class Div:
    """An integer by a positive constant, truncating toward zero (as in CEL; not Python's floor)."""

    operand: Expr
    divisor: int


@dataclass(frozen=True, slots=True)
class Mod:
    """The remainder of `Div`, with the sign of the dividend (as in CEL; not Python's)."""

    operand: Expr
    divisor: int


@dataclass(frozen=True, slots=True)
class Size:
    """Code points of a string or text, items of a list."""

    operand: Expr


@dataclass(frozen=True, slots=True)
class StartsWith:
    """Whether `subject` begins with `part`."""

    subject: Expr
    part: Expr


@dataclass(frozen=True, slots=True)
class EndsWith:
    """Whether `subject` ends with `part`."""

    subject: Expr
    part: Expr


@dataclass(frozen=True, slots=True)
class Contains:
    """Whether `part` occurs in `subject`."""

    subject: Expr
    part: Expr


@dataclass(frozen=True, slots=True)
class Matches:
    """Whether a part of `subject` is in the pattern's language (RE2's partial match, as in CEL)."""

    subject: Expr
    pattern: str


@dataclass(frozen=True, slots=True)
class Lower:
    """`lowerAscii`: A-Z become a-z. Stands only directly under `Eq`, a part test or `Matches` with a constant."""

    operand: Expr


@dataclass(frozen=True, slots=True)
class Member:
    """Whether `item` is an element of the list argument `of`."""

    item: Expr
    of: Expr


@dataclass(frozen=True, slots=True)
class Index:
    """Element `position` of a list; `lang` has shown that it is there."""

    of: Expr
    position: int


@dataclass(frozen=True, slots=True)
class All:
    """Whether `body` holds of every element; of an empty list, true."""

    variable: Bound
    over: Expr
    body: Expr


@dataclass(frozen=True, slots=True)
class Exists:
    """Whether `body` holds of some element; of an empty list, false."""

    variable: Bound
    over: Expr
    body: Expr


@dataclass(frozen=True, slots=True)
class ExistsOne:
    """Whether `body` holds of exactly one element (position)."""

    variable: Bound
    over: Expr
    body: Expr


@dataclass(frozen=True, slots=True)
class InSet:
    """Whether `item` is in a set."""

    item: Expr
    of: Expr


@dataclass(frozen=True, slots=True)
class SetAdd:
    """The set with `item` in it. Stands only in the value of an assignment, as `SetRemove` does."""

    of: Expr
    item: Expr


@dataclass(frozen=True, slots=True)
class SetRemove:
    """The set without `item`."""

    of: Expr
    item: Expr


@dataclass(frozen=True, slots=True)
class MapGet:
    """The value of a map at `key`; `initial`, the variable's own, at every key that is not kept."""

    of: Expr
    key: Expr
    initial: int


@dataclass(frozen=True, slots=True)
class AllKeys:
    """Whether `body` holds of every key whose value is not `initial`. Stands only in properties."""

    variable: Bound
    over: Expr
    body: Expr


Expr: TypeAlias = (
    Const
    | Arg
    | Has
    | OriginHas
    | Field
    | HasField
    | State
    | Fact
    | Bound
    | Not
    | And
    | Or
    | Ite
    | Eq
    | Lt
    | Le
    | Add
    | Sub
    | Neg
    | Mul
    | Div
    | Mod
    | Size
    | StartsWith
    | EndsWith
    | Contains
    | Matches
    | Lower
    | Member
    | Index
    | All
    | Exists
    | ExistsOne
    | InSet
    | SetAdd
    | SetRemove
    | MapGet
    | AllKeys
)

TRUE: Final = Const(value=True, sort=BoolSort())
FALSE: Final = Const(value=False, sort=BoolSort())

# --- argument types: how untrusted JSON becomes a canonical value -------------------------------------


@dataclass(frozen=True, slots=True)
class BoolType:
    """JSON true or false."""


@dataclass(frozen=True, slots=True)
class IntType:
    """A JSON integer with inclusive bounds."""

    minimum: int
    maximum: int


@dataclass(frozen=True, slots=True)
class DecimalType:
    """A JSON number or string; bounds are inclusive and scaled integers (None: unbounded)."""

    scale: int
    minimum: int | None
    maximum: int | None


@dataclass(frozen=True, slots=True)
class StringType:
    """A JSON string; sizes in code points; `pattern` is a full match."""

    pattern: str | None
    min_size: int
    max_size: int


@dataclass(frozen=True, slots=True)
class TextType:
    """A JSON string that rules see only by its size in code points."""

    max_size: int


@dataclass(frozen=True, slots=True)
class EnumType:
    """A JSON string that is one of `values`."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PathType:
    """A JSON string, canonically an absolute POSIX path; relative input is taken below `under`."""

    under: str | None


@dataclass(frozen=True, slots=True)
class TimestampType:
    """A JSON string: RFC 3339 with an offset and at most 3 digits of a second's fraction."""


@dataclass(frozen=True, slots=True)
class DurationType:
    """A JSON string: a duration as Go writes it, in whole milliseconds."""


@dataclass(frozen=True, slots=True)
class UrlType:
    """A JSON string: an absolute URL (WHATWG) of one of `schemes`, without user info and fragment."""

    schemes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EmailType:
    """A JSON string: one address, `local@domain`."""


@dataclass(frozen=True, slots=True)
class ArgvType:
    """A JSON array of words, at least one, run without a shell. `max_size` in words."""

    max_size: int


@dataclass(frozen=True, slots=True)
class ShellType:
    """A JSON string: commands of plain words, joined by `&&`, `||`, `;` or `|`. `max_size` in code points."""

    max_size: int


@dataclass(frozen=True, slots=True)
class RecordType:
    """A JSON object with exactly these fields, canonically in declared order."""

    fields: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class ListType:
    """A JSON array of `items`; sizes in items."""

    items: ItemType
    min_size: int
    max_size: int
    unique: bool


ItemType: TypeAlias = (
    BoolType
    | IntType
    | DecimalType
    | StringType
    | EnumType
    | PathType
    | TimestampType
    | DurationType
    | UrlType
    | EmailType
    | RecordType
)
ArgType: TypeAlias = ItemType | TextType | ArgvType | ShellType | ListType


@dataclass(frozen=True, slots=True)
class Argument:
    """A declared argument of a tool, field of a record, or fact of a session.

    `default` is the raw JSON text that stands for an absent one; such an argument is always present.
    """

    name: str
    type: ArgType
    optional: bool = False
    secret: bool = False
    default: str | None = None


# --- the contract ------------------------------------------------------------------------------------

RuleKind: TypeAlias = Literal["deny", "ask", "allow"]
ScopeName: TypeAlias = Literal["spec", "principal", "session"]

MAX_ENTRIES: Final = 10_000
"""Items of a set, or keys of a map whose value is not `initial`, where the spec says nothing."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `approvers` and `expires_ms` matter for `ask` only. `text` is the author's own expression."""

    id: str
    kind: RuleKind
    when: Expr
    reason: str = ""
    approvers: int = 1
    expires_ms: int = 900_000
    text: str = ""
    place: Place = field(default=NOWHERE, compare=False, metadata={"digest": False})


@dataclass(frozen=True, slots=True)
class Assignment:
    """`variable` becomes `value`, in the transaction of the permit or success: of a map, the entry at `key` does.

    Value and key are evaluated on the old state.
    """

    variable: str
    value: Expr
    key: Expr | None = None
    text: str = field(default="", compare=False, metadata={"digest": False})

    @property
    def target(self) -> str:
        """What is assigned, as the author wrote it: `total`, or `given[args.customer]`."""
        return self.text or self.variable


@dataclass(frozen=True, slots=True)
class Period:
    """How a budget renews: `reset` is tumbling and aligned to UTC, `window` slides."""

    kind: Literal["reset", "window"]
    length_ms: int


@dataclass(frozen=True, slots=True)
class Variable:
    """A state variable.

    `initial` is a scaled integer for a decimal (windows begin at 0), the sorted items of a set, and of a map the value
    of every key that nothing has changed. `key` is the type of a set's items or a map's keys, which together may be
    `max_size`; None for scalars, both. `scope` says what has a value of its own: the spec, each `session.principal`,
    or each `session.id`; expressions know nothing of it.
    """

    name: str
    sort: StateSort
    initial: bool | int | str | tuple[str, ...]
    period: Period | None = None
    scope: ScopeName = "spec"
    key: StringType | EnumType | None = None
    max_size: int | None = None
    place: Place = field(default=NOWHERE, compare=False, metadata={"digest": False})


@dataclass(frozen=True, slots=True)
class RunTool:
    """A Python function that runs in the container."""

    module: str
    function: str


@dataclass(frozen=True, slots=True)
class RunArgv:
    """A program and its words; a word is a constant or the one argument it stands for (`{args.x}`)."""

    words: tuple[str | ArgWord, ...]


@dataclass(frozen=True, slots=True)
class ArgWord:
    """A whole word that is replaced by an argument's value; a list is spliced, an absent one dropped."""

    argument: str


@dataclass(frozen=True, slots=True)
class RunHost:
    """A host callable: it runs outside of any container, for the stated reason."""

    reason: str


ContentKind: TypeAlias = Literal["text", "image", "audio", "structured"]


@dataclass(frozen=True, slots=True)
class GrantedPrompt:
    """A prompt of a real MCP server: what it is called there, and the tool of the spec that judges who asks for it."""

    tool: str
    prompt: str


@dataclass(frozen=True, slots=True)
class RunServer:
    """A real MCP server, for one client session: the command line names it, and its results hold these kinds only.

    `resources` is the tool that judges what is read of its resources, '' where none is.
    """

    content: tuple[ContentKind, ...] = ("text",)
    resources: str = ""
    prompts: tuple[GrantedPrompt, ...] = ()

    @property
    def judges(self) -> frozenset[str]:
        """The tools that judge resources and prompts, by name."""
        return frozenset({self.resources, *(each.tool for each in self.prompts)} - {""})


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder of the host that a call sees as `/workspace`.

    `source` is as written, relative to the spec file (so that a digest is the same on every machine); size in bytes.
    """

    source: str
    mode: Literal["ro", "rw"]
    size: int = 256 * 1024 * 1024
    entries: int = 10_000


@dataclass(frozen=True, slots=True)
class Credential:
    """A secret of the host that the broker adds to requests: `header: prefix + secret`.

    `place` names an environment variable or a file (as written, relative to the spec), never the secret.
    """

    header: str
    prefix: str
    kind: Literal["env", "file"]
    place: str


@dataclass(frozen=True, slots=True)
class NetworkGrant:
    """A host and port that a call may reach (through the broker; none is reachable without it).

    `host` is a name or an address in canonical text. A name leads to public addresses only, or, where there are
    `addresses` (blocks such as `10.0.0.0/8`), to those only. Sizes in bytes, of one request and one response's body.
    """

    host: str
    port: int
    methods: tuple[str, ...] = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    max_request: int = 1024 * 1024
    max_response: int = 8 * 1024 * 1024
    tls: bool = True
    addresses: tuple[str, ...] = ()
    credential: Credential | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """What runs and all that it is granted. Sizes in bytes, times in milliseconds, cpus in thousandths."""

    what: RunTool | RunArgv | RunHost | RunServer
    image: str | None = None
    workspace: Workspace | None = None
    network: tuple[NetworkGrant, ...] = ()
    timeout_ms: int = 10_000
    memory: int = 128 * 1024 * 1024
    millicpus: int = 1_000
    pids: int = 64
    output: int = 256 * 1024
    files: int = 1_024
    file_size: int = 64 * 1024 * 1024
    tmpfs: int = 16 * 1024 * 1024
    min_isolation: Literal["container", "gvisor", "vm"] = "container"


@dataclass(frozen=True, slots=True)
class Returned:
    """A field of a tool's result. `type` is None where nothing is said of its type, and then no rule can read it.

    `origin` is the label that its values have from then on, wherever the model gives them again; '' for no such label.
    """

    name: str
    type: ArgType | None = None
    optional: bool = False
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Tool:
    """What the agent may ask for by this name, and under which rules. No rule true: deny.

    `then` is assigned with the permit; `on_success` when the call has ended `ok`, on the state as it is by then.
    `changes` judges each path that the call changed: what the author calls `commit` is an `allow` there, `refuse` a
    `deny`. `after` judges the result before the model sees it: `pass` is an `allow`, `redact` an `ask`, `withhold` a
    `deny`. None where the author says nothing of it. `returns` is what is known of the result's fields.
    """

    name: str
    arguments: tuple[Argument, ...]
    rules: tuple[Rule, ...]
    then: tuple[Assignment, ...] = ()
    run: Run | None = None
    description: str = ""
    effects: tuple[str, ...] = ()
    on_success: tuple[Assignment, ...] = ()
    changes: tuple[Rule, ...] | None = None
    after: tuple[Rule, ...] | None = None
    returns: tuple[Returned, ...] = ()
    place: Place = field(default=NOWHERE, compare=False, metadata={"digest": False})


@dataclass(frozen=True, slots=True)
class Contract:
    """A compiled spec. Tools and variables are in the order of the file.

    `session` are the facts that the host must supply with every call (scalars, never optional). `server` is what the
    MCP server is granted that tools without `run` are forwarded to; no tool's own `run` is ever a `RunServer`. The
    tools that it names judge its resources and prompts, and are no tools for a model.
    `extends` is the path of its ceiling, as written: a second spec that judges every call too.
    `file` is the absolute path of the spec; relative names in it are resolved from its folder.
    """

    name: str
    tools: tuple[Tool, ...]
    variables: tuple[Variable, ...] = ()
    session: tuple[Argument, ...] = ()
    owner: str = ""
    description: str = ""
    require_proofs: str | None = None
    extends: str | None = None
    server: Run | None = None
    file: str = field(default="", compare=False, metadata={"digest": False})

    def tool(self, name: str) -> Tool | None:
        """The tool of exactly this name, or None."""
        return next((tool for tool in self.tools if tool.name == name), None)

    def variable(self, name: str) -> Variable | None:
        """The state variable of exactly this name, or None."""
        return next((variable for variable in self.variables if variable.name == name), None)


# --- properties --------------------------------------------------------------------------------------

PropertyKind: TypeAlias = Literal["never", "always", "possible", "needs", "flow", "within"]
Newly: TypeAlias = Literal["", "allowed", "asked", "denied"]


@dataclass(frozen=True, slots=True)
class Property:
    """What must never, must always, or can happen. `tools` names those it ranges over (empty for `always`).

    A `within` says that no call gets a laxer verdict than all of `ceilings` give it, call by call, after every
    sequence of calls; of a comparison of two versions, with `newly`, that none is newly allowed, asked or denied.
    A `needs` says that no call which meets `condition` is let through before a call that met `before` has ended `ok`;
    `before` reads arguments, the tool and facts of the session alone, so that a call meets it for good or never.
    `same` are paths (`args.x`, `args.x.y`, `session.x`): the earlier call counts only if it has equal values at all of
    them; a value that is not there is equal to none.
    A `flow` is a `never`: `condition` asks for one origin of one argument, of each of the tools by its name.
    """

    id: str
    kind: PropertyKind
    condition: Expr
    tools: tuple[str, ...] = ()
    mentions_decision: bool = False
    why: str = ""
    text: str = ""
    ceilings: tuple[Contract, ...] = ()
    newly: Newly = ""
    before: Expr | None = None
    same: tuple[str, ...] = ()
    place: Place = field(default=NOWHERE, compare=False, metadata={"digest": False})

    def is_about(self, verdict: str) -> bool:
        """Whether it speaks of a call so decided: a `never` that names no `decision` is not about what is denied."""
        match self.kind:
            case "needs":
                return verdict != "deny"
            case "never" | "flow":
                return self.mentions_decision or verdict != "deny"
            case "always" | "possible" | "within":
                return True


# --- sorts of things ---------------------------------------------------------------------------------


TIMESTAMP_RANGE: Final = (-62_135_596_800_000, 253_402_300_799_999)
"""Unix milliseconds from the year 1 to the end of 9999: what RFC 3339 can write."""

DURATION_RANGE: Final = (-9_223_372_036_854, 9_223_372_036_854)
"""Milliseconds: what Go's 64-bit nanoseconds can hold."""

SHELL_WORDS: Final = 64
"""Words of a shell command line in all: proofs unroll its commands and their words."""

SHELL_SORT: Final = ListSort(ListSort(StringSort(), SHELL_WORDS), SHELL_WORDS)
"""What rules see of a shell line: commands, each a list of words."""

URL_SORT: Final = RecordSort(
    (
        FieldSort("scheme", StringSort()),
        FieldSort("host", StringSort()),
        FieldSort("port", IntSort()),
        FieldSort("path", StringSort()),
        FieldSort("query", StringSort()),
        FieldSort("is_ip", BoolSort()),
        FieldSort("is_private", BoolSort()),
    )
)
"""What rules see of a URL."""

EMAIL_SORT: Final = RecordSort((FieldSort("local", StringSort()), FieldSort("domain", StringSort())))
"""What rules see of an e-mail address."""


def sort_of(type_: ArgType) -> Sort:
    """The sort that rules see for a value of this argument type."""
    match type_:
        case TextType():
            return TextSort()
        case ArgvType(max_size=max_size):
            return ListSort(StringSort(), max_size)
        case ShellType():
            return SHELL_SORT
        case ListType(items=items, max_size=max_size):
            return ListSort(item_sort_of(items), max_size)
        case _:
            return item_sort_of(type_)


def item_sort_of(type_: ItemType) -> ScalarSort | RecordSort:
    """The sort of one list item of this type."""
    match type_:
        case BoolType():
            return BoolSort()
        case IntType():
            return IntSort()
        case DecimalType(scale=scale):
            return DecimalSort(scale)
        case StringType() | PathType():
            return StringSort()
        case EnumType(values=values):
            return EnumSort(values)
        case TimestampType():
            return TimestampSort()
        case DurationType():
            return DurationSort()
        case UrlType():
            return URL_SORT
        case EmailType():
            return EMAIL_SORT
        case RecordType(fields=parts):
            return RecordSort(tuple(FieldSort(part.name, sort_of(part.type), part.optional) for part in parts))


# --- digest and transport ----------------------------------------------------------------------------

_NODES: Final = {
    cls.__name__: cls
    for cls in (
        *get_args(Sort),
        *get_args(CollectionSort),
        FieldSort,
        *get_args(Expr),
        *get_args(ArgType),
        Argument,
        Rule,
        Assignment,
        Period,
        Variable,
        RunTool,
        RunArgv,
        ArgWord,
        RunHost,
        GrantedPrompt,
        RunServer,
        Workspace,
        Credential,
        NetworkGrant,
        Run,
        Returned,
        Tool,
        Contract,
        Property,
    )
}

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None


def to_json(node: object) -> Json:
    """A node as plain JSON: `{"@": class, field: value}`; places, files and other non-digested fields left out."""
    if node is None or isinstance(node, bool | int | str):
        return node
    if isinstance(node, tuple):
        return [to_json(item) for item in node]
    name = type(node).__name__
    if _NODES.get(name) is not type(node):
        message = f"`{name}` is not a node of the intermediate representation"
        raise TypeError(message)
    digested = (f.name for f in fields(node) if f.metadata.get("digest", True))  # type: ignore[arg-type]  # checked above
    return {"@": name, **{key: to_json(getattr(node, key)) for key in digested}}


def from_json(value: Json) -> object:
    """The inverse of `to_json`, for our own worker process; an unknown class is a KeyError."""
    if isinstance(value, list):
        return tuple(from_json(item) for item in value)
    if not isinstance(value, dict):
        return value
    arguments = {key: from_json(item) for key, item in value.items() if key != "@"}
    return _NODES[str(value["@"])](**arguments)


def digest(node: object) -> str:
    """SHA-256 (hex) of a node's JSON with sorted keys: equal for equal meaning, whatever file it came from."""
    text = json.dumps(to_json(node), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
