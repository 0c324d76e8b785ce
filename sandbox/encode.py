r"""What an expression means to the solver: IR as Z3 terms. The twin of `evaluate`.

Read beside `evaluate.py`: the same operators, in the same order. Sorts: bool is Bool; int, decimal and text (its
size) are Int; an enum is the Int of its value's position; string and path are String; a list is a `ListTerm`; sets and
maps of the state are arrays, `SetTerm` and `MapTerm`.
Each constant string predicate is a regular-language atom of its own, and call data never goes through
`StringVal`, which would interpret `\u{..}` (see `regex.z3_string`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeAlias, assert_never

import z3

from sandbox.errors import Fault
from sandbox.ir import (
    DURATION_RANGE,
    SHELL_SORT,
    SHELL_WORDS,
    TIMESTAMP_RANGE,
    Add,
    All,
    AllKeys,
    And,
    Arg,
    ArgType,
    Argument,
    ArgvType,
    Assignment,
    BoolSort,
    BoolType,
    Bound,
    Const,
    Contains,
    Contract,
    DecimalSort,
    DecimalType,
    Div,
    DurationSort,
    DurationType,
    EmailType,
    EndsWith,
    EnumSort,
    EnumType,
    Eq,
    Exists,
    ExistsOne,
    Expr,
    Fact,
    Field,
    Has,
    HasField,
    Index,
    InSet,
    IntSort,
    IntType,
    Ite,
    Le,
    ListSort,
    ListType,
    Lower,
    Lt,
    MapGet,
    MapSort,
    Matches,
    Member,
    Mod,
    Mul,
    Neg,
    Not,
    Or,
    OriginHas,
    PathType,
    RecordSort,
    RecordType,
    ScalarSort,
    SetAdd,
    SetRemove,
    SetSort,
    ShellType,
    Size,
    Sort,
    StartsWith,
    State,
    StringSort,
    StringType,
    Sub,
    TextSort,
    TextType,
    TimestampSort,
    TimestampType,
    Tool,
    UrlType,
    Variable,
    sort_of,
)
from sandbox.regex import Atom, atom_re, path_language, python_string, to_z3, z3_integer, z3_string
from sandbox.url_shapes import SHAPES, host_facts

if TYPE_CHECKING:
    from typing import Literal

    from sandbox.call import Value

EMAIL_SHAPES: Final = {"local": "[!-~]+", "domain": r"[!-@\[-~]+"}
"""Patterns that both parts of a canonical e-mail address have."""


@dataclass(frozen=True, slots=True)
class ListTerm:
    """A list of at most `len(items)` elements; items at or beyond `length` mean nothing.

    `beyond` is some element, for an index that no list of this type has. With `few`, the items are some elements of
    a list that may have more of them, and what is at which position is told by that alone (`prove.tracked`).
    """

    length: z3.ArithRef
    items: tuple[Term, ...]
    beyond: Term | None = None
    few: Few | None = None


@dataclass(frozen=True, slots=True)
class Few:
    """Of some elements that stand for a whole list, whether each is there, and what stands at a position."""

    there: tuple[z3.BoolRef, ...]
    at: Callable[[int], Term]


@dataclass(frozen=True, slots=True)
class RecordTerm:
    """A record: a term for each part, and for an optional part whether it is present."""

    parts: Mapping[str, Term]
    present: Mapping[str, z3.BoolRef] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SetTerm:
    """A set: an array from an item (a String, or the Int of an enum) to whether it is in."""

    members: z3.ArrayRef

    def has(self, item: z3.ExprRef) -> z3.BoolRef:
        """Whether the item is in the set."""
        return z3.Select(self.members, item)

    def put(self, item: z3.ExprRef, *, inside: bool) -> SetTerm:
        """The set with the item, or without it."""
        return SetTerm(z3.Store(self.members, item, z3.BoolVal(val=inside, ctx=item.ctx)))


@dataclass(frozen=True, slots=True)
class MapTerm:
    """A map: an array that has a value for every key, and the value of a key that is not kept.

    There is no second array for presence: a key is kept exactly where its value is not `initial` (`machine` keeps no
    other, and a window has positive amounts only), so a map of which nothing is known is one free array, the initial
    one and the one after a reset are `K(initial)`, and a `then` is a `Store`.
    """

    values: z3.ArrayRef
    initial: z3.ArithRef

    def get(self, key: z3.ExprRef) -> z3.ArithRef:
        """The value at a key."""
        return z3.Select(self.values, key)

    def kept(self, key: z3.ExprRef) -> z3.BoolRef:
        """Whether `AllKeys` ranges over the key."""
        return self.get(key) != self.initial

    def put(self, key: z3.ExprRef, value: z3.ArithRef) -> MapTerm:
        """The map with another value at a key."""
        return MapTerm(z3.Store(self.values, key, value), self.initial)


Term: TypeAlias = z3.ExprRef | ListTerm | RecordTerm | SetTerm | MapTerm
Keys: TypeAlias = Callable[[Bound], tuple[z3.ExprRef, ...]]
Atoms: TypeAlias = Callable[[z3.ExprRef, Atom], z3.BoolRef]
"""What stands for a constant string predicate of a term: in a proof a membership, of one call a symbol (`ground`)."""
OriginTerms: TypeAlias = Callable[[str, str], z3.BoolRef]


@dataclass(frozen=True, slots=True)
class Environment:
    """The terms that names stand for. `bound` is filled by quantifiers only.

    `keys` is asked anew each time that an `AllKeys` is encoded: for the keys that its body is said at, since no
    quantifier reaches the solver. The conjunction over them is what `AllKeys` means exactly where every kept key is
    among them, as at ground values and in a sequence from the initial state. Of a map of which nothing is known, one
    key must be a constant that was made for this very asking (Skolem's). Where the body fails at some kept key, let
    the constant be that key, and the conjunction fails; where it fails at none, the conjunction holds whatever the
    keys. So whatever is true of a real map has a model, under negation or not, and unsatisfiable is a proof. Every
    further key makes a hypothesis say more, and changes nothing else.

    `origins` gives, for an argument and a label, whether its value has that label: a free constant each, of which
    nothing is assumed.
    """

    ctx: z3.Context
    args: Mapping[str, Term] = field(default_factory=dict)
    present: Mapping[str, z3.BoolRef] = field(default_factory=dict)
    state: Mapping[str, Term] = field(default_factory=dict)
    facts: Mapping[str, z3.ExprRef] = field(default_factory=dict)
    bound: Mapping[str, Term] = field(default_factory=dict)
    keys: Keys | None = None
    atoms: Atoms | None = None
    origins: OriginTerms | None = None


def encode(expr: Expr, env: Environment) -> Term:  # noqa: PLR0915 - one arm an operator, as in the twin
    """The Z3 term of `expr` in an environment; the twin of `evaluate.evaluate`."""
    match expr:
        case Const(value=value, sort=sort):
            return literal(value, sort, env.ctx)
        case Arg(name=name):
            return env.args[name]
        case Has(name=name):
            return env.present[name]
        case OriginHas(argument=argument, label=label):
            return origin(argument, label, env)
        case Field(of=of, name=name):
            return record(of, env).parts[name]
        case HasField(of=of, name=name):
            return record(of, env).present[name]
        case State(name=name):
            return env.state[name]
        case Fact(name=name):
            return env.facts[name]
        case Bound(name=name):
            return env.bound[name]
        case Not(operand=operand):
            return z3.Not(scalar(operand, env))
        case And(operands=operands):
            return conjunction([scalar(operand, env) for operand in operands], env.ctx)
        case Or(operands=operands):
            return disjunction([scalar(operand, env) for operand in operands], env.ctx)
        case Ite(condition=condition, then=then, otherwise=otherwise):
            return choice(scalar(condition, env), encode(then, env), encode(otherwise, env))
        case Eq(left=left, right=right):
            return equality(left, right, env)
        case Lt(left=left, right=right):
            return scalar(left, env) < scalar(right, env)
        case Le(left=left, right=right):
            return scalar(left, env) <= scalar(right, env)
        case Add(left=left, right=right):
            return scalar(left, env) + scalar(right, env)
        case Sub(left=left, right=right):
            return scalar(left, env) - scalar(right, env)
        case Neg(operand=operand):
            return -scalar(operand, env)
        case Mul(operand=operand, factor=factor):
            return scalar(operand, env) * factor
        case Div(operand=operand, divisor=divisor):
            return truncated(scalar(operand, env), divisor)
        case Mod(operand=operand, divisor=divisor):
            return (value := scalar(operand, env)) - divisor * truncated(value, divisor)
        case Size(operand=operand):
            return size(operand, env)
        case StartsWith(subject=subject, part=part):
            return part_test("starts", subject, part, env)
        case EndsWith(subject=subject, part=part):
            return part_test("ends", subject, part, env)
        case Contains(subject=subject, part=part):
            return part_test("contains", subject, part, env)
        case Matches(subject=subject, pattern=pattern):
            whole, lower = unlowered(subject)
            return satisfies(scalar(whole, env), Atom(pattern, "matches", lower), env)
        case Lower():
            message = "`lowerAscii` has no term of its own: it stands under a constant predicate"
            raise Fault(message, "fault.unsupported")
        case Member(item=item, of=of):
            one, items = scalar(item, env), sequence(of, env)
            return disjunction([both(there, one == single(element)) for there, element in elements(items)], env.ctx)
        case Index(of=of, position=position):
            return element_at(sequence(of, env), position)
        case All(variable=variable, over=over, body=body):
            cases = [implied(there, holds) for there, holds in instances(variable, over, body, env)]
            return conjunction(cases, env.ctx)
        case Exists(variable=variable, over=over, body=body):
            cases = [both(there, holds) for there, holds in instances(variable, over, body, env)]
            return disjunction(cases, env.ctx)
        case ExistsOne(variable=variable, over=over, body=body):
            cases = [both(there, holds) for there, holds in instances(variable, over, body, env)]
            one, zero = z3.IntVal(1, env.ctx), z3.IntVal(0, env.ctx)
            return z3.Sum([zero, *(z3.If(holds, one, zero) for holds in cases)]) == 1
        case InSet(item=item, of=of):
            return members(of, env).has(scalar(item, env))
        case SetAdd(of=of, item=item):
            return members(of, env).put(scalar(item, env), inside=True)
        case SetRemove(of=of, item=item):
            return members(of, env).put(scalar(item, env), inside=False)
        case MapGet(of=of, key=key):
            return entries(of, env).get(scalar(key, env))
        case AllKeys(variable=variable, over=over, body=body):
            cases = [implied(there, holds) for there, holds in at_keys(variable, over, body, env)]
            return conjunction(cases, env.ctx)
        case _:
            assert_never(expr)


def scalar(expr: Expr, env: Environment) -> z3.ExprRef:
    """`encode` of an expression that `lang` has typed as a scalar (or text: its size)."""
    return single(encode(expr, env))


def sequence(expr: Expr, env: Environment) -> ListTerm:
    """`encode` of a list."""
    term = encode(expr, env)
    if not isinstance(term, ListTerm):
        message = "something else stands where a list is meant"
        raise Fault(message, "fault.unsupported")
    return term


def record(expr: Expr, env: Environment) -> RecordTerm:
    """`encode` of a record."""
    term = encode(expr, env)
    if not isinstance(term, RecordTerm):
        message = "something else stands where a record is meant"
        raise Fault(message, "fault.unsupported")
    return term


def members(expr: Expr, env: Environment) -> SetTerm:
    """`encode` of a set."""
    term = encode(expr, env)
    if not isinstance(term, SetTerm):
        message = "something else stands where a set is meant"
        raise Fault(message, "fault.unsupported")
    return term


def entries(expr: Expr, env: Environment) -> MapTerm:
    """`encode` of a map."""
    term = encode(expr, env)
    if not isinstance(term, MapTerm):
        message = "something else stands where a map is meant"
        raise Fault(message, "fault.unsupported")
    return term


def single(term: Term) -> z3.ExprRef:
    """The one Z3 term of a scalar."""
    if isinstance(term, ListTerm | RecordTerm | SetTerm | MapTerm):
        message = "a list, record, set or map stands where a scalar is meant"
        raise Fault(message, "fault.unsupported")
    return term


# --- what single arms need ---------------------------------------------------------------------------


def choice(condition: z3.BoolRef, then: Term, otherwise: Term) -> Term:
    """One of two values of one sort: scalars, sets, or maps of one variable."""
    if isinstance(then, SetTerm) and isinstance(otherwise, SetTerm):
        return SetTerm(z3.If(condition, then.members, otherwise.members))
    if isinstance(then, MapTerm) and isinstance(otherwise, MapTerm):
        return MapTerm(z3.If(condition, then.values, otherwise.values), then.initial)
    return z3.If(condition, single(then), single(otherwise))


def equality(left: Expr, right: Expr, env: Environment) -> z3.BoolRef:
    """Equality; of a lowered string with a constant, a regular-language atom."""
    for one, other in ((left, right), (right, left)):
        if isinstance(one, Lower):
            part = constant_text(other)
            return satisfies(scalar(one.operand, env), Atom(part, "is", lower=True), env)
    return scalar(left, env) == scalar(right, env)


def satisfies(subject: z3.ExprRef, atom: Atom, env: Environment) -> z3.BoolRef:
    """Whether the subject is in the atom's language: what the environment says of it, else a membership of its own."""
    if env.atoms is not None:
        return env.atoms(subject, atom)
    return z3.InRe(subject, atom_re(atom, env.ctx))


def part_test(where: Literal["starts", "ends", "contains"], subject: Expr, part: Expr, env: Environment) -> z3.BoolRef:
    """A part test: an atom where the part is constant, a word predicate where it is not."""
    whole, lower = unlowered(subject)
    if isinstance(part, Const) or lower:
        return satisfies(scalar(whole, env), Atom(constant_text(part), where, lower), env)
    test = {"starts": z3.PrefixOf, "ends": z3.SuffixOf, "contains": lambda piece, of: z3.Contains(of, piece)}[where]
    return test(scalar(part, env), scalar(whole, env))


def unlowered(subject: Expr) -> tuple[Expr, bool]:
    """The subject of a constant predicate, and whether it stands under `lowerAscii`."""
    return (subject.operand, True) if isinstance(subject, Lower) else (subject, False)


def constant_text(expr: Expr) -> str:
    """The string of a constant; `lang` lets nothing else stand here."""
    if isinstance(expr, Const) and isinstance(expr.value, str):
        return expr.value
    message = "a part that is not constant stands beside `lowerAscii`"
    raise Fault(message, "fault.unsupported")


def truncated(value: z3.ArithRef, divisor: int) -> z3.ArithRef:
    """Division toward zero by a positive constant; SMT-LIB's `div` rounds down."""
    return z3.If(value >= 0, value / divisor, -((-value) / divisor))


def size(operand: Expr, env: Environment) -> z3.ArithRef:
    """Items of a list, code points of a string; a text *is* its size."""
    term = encode(operand, env)
    if isinstance(term, ListTerm):
        return term.length
    return z3.Length(term) if z3.is_string(term) else term


def elements(items: ListTerm) -> list[tuple[z3.BoolRef, Term]]:
    """Each position's element, with the condition that it is there."""
    if items.few is not None:
        return list(zip(items.few.there, items.items, strict=True))
    return [(items.length > position, element) for position, element in enumerate(items.items)]


def instances(variable: Bound, over: Expr, body: Expr, env: Environment) -> list[tuple[z3.BoolRef, z3.BoolRef]]:
    """The body of a quantifier at each position, with the condition that the element is there."""
    return [
        (there, scalar(body, replace(env, bound={**env.bound, variable.name: element})))
        for there, element in elements(sequence(over, env))
    ]


def at_keys(variable: Bound, over: Expr, body: Expr, env: Environment) -> list[tuple[z3.BoolRef, z3.BoolRef]]:
    """The body of an `AllKeys` at each key of the environment, with the condition that the key is kept."""
    if env.keys is None:
        message = "no keys are given for what is said of all keys of a map"
        raise Fault(message, "fault.unsupported")
    kept = entries(over, env).kept
    return [
        (kept(key), scalar(body, replace(env, bound={**env.bound, variable.name: key}))) for key in env.keys(variable)
    ]


def origin(argument: str, label: str, env: Environment) -> z3.BoolRef:
    """Whether an argument's value has a label."""
    if env.origins is None:
        message = "no origins are given for what is said of them"
        raise Fault(message, "fault.unsupported")
    return env.origins(argument, label)


def both(there: z3.BoolRef, holds: z3.BoolRef) -> z3.BoolRef:
    """Conjunction, in a form of which Z3's rewriter looks at no element that is not there."""
    return z3.If(there, holds, z3.BoolVal(val=False, ctx=there.ctx))


def implied(there: z3.BoolRef, holds: z3.BoolRef) -> z3.BoolRef:
    """Implication, in the same form."""
    return z3.If(there, holds, z3.BoolVal(val=True, ctx=there.ctx))


def element_at(items: ListTerm, position: int) -> Term:
    """The element at a position."""
    if items.few is not None:
        return items.few.at(position)
    return items.items[position] if position < len(items.items) else unreachable(items)


def unreachable(items: ListTerm) -> Term:
    """An element beyond `max_size`: `lang` has put it under a size that never holds, so any value will do."""
    if items.beyond is None:
        message = "an index stands beyond what a list can hold"
        raise Fault(message, "fault.unsupported")
    return items.beyond


def conjunction(terms: list[z3.BoolRef], ctx: z3.Context) -> z3.BoolRef:
    """And, also of nothing."""
    return z3.And(*terms, ctx) if terms else z3.BoolVal(val=True, ctx=ctx)


def disjunction(terms: list[z3.BoolRef], ctx: z3.Context) -> z3.BoolRef:
    """Or, also of nothing."""
    return z3.Or(*terms, ctx) if terms else z3.BoolVal(val=False, ctx=ctx)


# --- values and constants ----------------------------------------------------------------------------


def literal(value: Value, sort: Sort, ctx: z3.Context) -> z3.ExprRef:
    """The term of one canonical value; exact for every code point."""
    match sort:
        case BoolSort() if isinstance(value, bool):
            return z3.BoolVal(val=value, ctx=ctx)
        case IntSort() | DecimalSort() | TimestampSort() | DurationSort() if type(value) is int:
            return z3_integer(value, ctx)
        case StringSort() if isinstance(value, str):
            return z3_string(value, ctx)
        case EnumSort(values=values) if isinstance(value, str):
            return z3_integer(values.index(value), ctx)
        case TextSort() if isinstance(value, str):
            return z3.IntVal(len(value), ctx)
        case _:
            message = f"a `{type(value).__name__}` is no value of `{type(sort).__name__}`"
            raise Fault(message, "fault.unsupported")


def plain(sort: Sort, ctx: z3.Context) -> Term:
    """Some value of a sort, for places whose value means nothing."""
    match sort:
        case BoolSort():
            return z3.BoolVal(val=False, ctx=ctx)
        case StringSort():
            return z3_string("", ctx)
        case RecordSort(fields=parts):
            absent = {part.name: z3.BoolVal(val=False, ctx=ctx) for part in parts if part.optional}
            return RecordTerm({part.name: plain(part.sort, ctx) for part in parts}, absent)
        case ListSort(item=item, max_size=max_size):
            filler = plain(item, ctx)
            return ListTerm(z3.IntVal(0, ctx), (filler,) * max_size, filler)
        case _:
            return z3.IntVal(0, ctx)


def constant(name: str, sort: ScalarSort | TextSort, ctx: z3.Context) -> z3.ExprRef:
    """A free constant of a scalar sort (text: its size)."""
    match sort:
        case BoolSort():
            return z3.Bool(name, ctx)
        case StringSort():
            return z3.String(name, ctx)
        case _:
            return z3.Int(name, ctx)


def state_literal(variable: Variable, value: Value, ctx: z3.Context) -> Term:
    """The term of a variable's value: of a set its members, of a map the entries that are kept."""
    match variable.sort:
        case SetSort(item=item) if isinstance(value, AbstractSet | tuple):
            members = SetTerm(z3.K(solver_sort(item, ctx), z3.BoolVal(val=False, ctx=ctx)))
            for name in sorted(map(str, value)):
                members = members.put(literal(name, item, ctx), inside=True)
            return members
        case MapSort(key=key, value=number) if isinstance(value, Mapping):
            entries = initial_map(variable, ctx)
            for name in sorted(value):
                entries = entries.put(literal(name, key, ctx), literal(value[name], number, ctx))
            return entries
        case SetSort() | MapSort():
            message = f"`{variable.name}` has a value of another sort"
            raise Fault(message, "fault.unsupported")
        case sort:
            return literal(value, sort, ctx)


def initial_literal(variable: Variable, ctx: z3.Context) -> Term:
    """The term of a variable's `initial`."""
    if isinstance(variable.sort, MapSort):
        return initial_map(variable, ctx)
    return state_literal(variable, variable.initial, ctx)


def initial_map(variable: Variable, ctx: z3.Context) -> MapTerm:
    """A map in which every key has its `initial`."""
    if not isinstance(variable.sort, MapSort):
        message = f"`{variable.name}` is no map"
        raise Fault(message, "fault.unsupported")
    initial = literal(variable.initial, variable.sort.value, ctx)
    return MapTerm(z3.K(solver_sort(variable.sort.key, ctx), initial), initial)


def solver_sort(sort: ScalarSort | TextSort, ctx: z3.Context) -> z3.SortRef:
    """The Z3 sort of a scalar."""
    return constant("any", sort, ctx).sort()


def state_symbol(variable: Variable, ctx: z3.Context, suffix: str = "") -> Term:
    """A free constant for a state variable, `state_NAME`; see `symbols` for the suffix."""
    name = f"state_{variable.name}{suffix}"
    match variable.sort:
        case SetSort(item=item):
            return SetTerm(z3.Array(name, solver_sort(item, ctx), z3.BoolSort(ctx)))
        case MapSort(key=key, value=value):
            values = z3.Array(name, solver_sort(key, ctx), solver_sort(value, ctx))
            return MapTerm(values, literal(variable.initial, value, ctx))
        case _:
            return constant(name, variable.sort, ctx)


def symbol(name: str, sort: Sort, ctx: z3.Context) -> Term:
    """Free constants for a value of any sort: a record's parts, a list's length and `max_size` items."""
    match sort:
        case RecordSort(fields=parts):
            terms = {part.name: symbol(f"{name}@{part.name}", part.sort, ctx) for part in parts}
            return RecordTerm(terms, {p.name: z3.Bool(f"has@{name}@{p.name}", ctx) for p in parts if p.optional})
        case ListSort(item=item, max_size=max_size):
            sorts = [item] * max_size if sort != SHELL_SORT else shell_commands()
            items = tuple(symbol(f"{name}@{position}", each, ctx) for position, each in enumerate(sorts))
            return ListTerm(z3.Int(f"{name}@len", ctx), items, plain(item, ctx))
        case _:
            return constant(name, sort, ctx)


def shell_commands() -> list[Sort]:
    """The sort of each command of a shell line: as each before it has a word, the later ones have fewer."""
    return [ListSort(StringSort(), SHELL_WORDS - before) for before in range(SHELL_WORDS)]


def read(model: z3.ModelRef, term: z3.ExprRef, sort: ScalarSort | TextSort) -> Value:
    """The value that a model gives to a term; of a text, its size (an int)."""
    found = model.eval(term, model_completion=True)
    match sort:
        case BoolSort():
            return bool(z3.is_true(found))
        case StringSort():
            return str(python_string(found))
        case EnumSort(values=values):
            return values[int(found.as_long())]
        case _:
            return int(found.as_long())


# --- a call in general -------------------------------------------------------------------------------


def symbols(contract: Contract, tool: Tool, ctx: z3.Context, suffix: str = "") -> Environment:
    """Free constants, with simple SMT-LIB symbols, for a call's arguments and facts, and the state before it.

    `suffix` tells apart the steps of a sequence; it begins with `@`, which stands in no author's name, so that no two
    constants can have one name. An optional argument has a presence flag of its own.
    """
    args = {a.name: symbol(f"arg_{a.name}{suffix}", sort_of(a.type), ctx) for a in tool.arguments}
    present = {a.name: z3.Bool(f"has_{a.name}{suffix}", ctx) for a in tool.arguments if a.optional}
    state = {v.name: state_symbol(v, ctx, suffix) for v in contract.variables}
    return Environment(
        ctx,
        args,
        present,
        state,
        fact_symbols(contract, ctx, suffix),
        origins=lambda argument, label: origin_symbol(argument, label, ctx, suffix),
    )


def origin_symbol(argument: str, label: str, ctx: z3.Context, suffix: str = "") -> z3.BoolRef:
    """The free constant for whether an argument's value has a label; `!` stands for the `:` of `tool:NAME`."""
    return z3.Bool(f"origin_{argument}@{label.replace(':', '!')}{suffix}", ctx)


def fact_symbols(contract: Contract, ctx: z3.Context, suffix: str = "") -> dict[str, z3.ExprRef]:
    """Free constants for the time of the call, and for each fact of the session under the name `session.NAME`."""
    facts = {
        f"session.{a.name}": single(symbol(f"session_{a.name}{suffix}", sort_of(a.type), ctx)) for a in contract.session
    }
    return {"now": z3.Int(f"now{suffix}", ctx), **facts}


def assigned(contract: Contract, assignments: tuple[Assignment, ...], env: Environment) -> dict[str, Term]:
    """The state after a permit's `then`: every value and key read on the old state, what is not named stays.

    Of two assignments to one key of a map the later one is what stands here; no permit makes both (`machine`).
    """
    after = dict(env.state)
    for assignment in assignments:
        name, value = assignment.variable, encode(assignment.value, env)
        if contract.variable(name) is None:
            message = f"`{name}` is no state variable"
            raise Fault(message)
        whole = after[name]
        if assignment.key is not None and isinstance(whole, MapTerm):
            after[name] = whole.put(scalar(assignment.key, env), single(value))
        else:
            after[name] = value
    return after


def domain(tool: Tool, env: Environment) -> tuple[z3.BoolRef, ...]:
    """What `parse` guarantees of the arguments: nothing that a call can have is excluded."""
    return tuple(part_domain(a, env.args[a.name], env.present.get(a.name), env.ctx) for a in tool.arguments)


def fact_domain(contract: Contract, env: Environment) -> tuple[z3.BoolRef, ...]:
    """What is guaranteed of the facts: a time that RFC 3339 can write, session facts of their types."""
    now = in_range(single(env.facts["now"]), *TIMESTAMP_RANGE, env.ctx)
    return (now, *(part_domain(a, env.facts[f"session.{a.name}"], None, env.ctx) for a in contract.session))


def part_domain(part: Argument, term: Term, present: z3.BoolRef | None, ctx: z3.Context) -> z3.BoolRef:
    """What is guaranteed of an argument or field: of an absent one, nothing."""
    inside = conjunction(inhabits(term, part.type, ctx), ctx)
    return inside if present is None else z3.Or(z3.Not(present), inside)


def state_domain(contract: Contract, env: Environment) -> tuple[z3.BoolRef, ...]:
    """What the sorts alone say of the state: an enum is one of its values. No bound is assumed of a number."""
    enums = [(v, v.sort) for v in contract.variables if isinstance(v.sort, EnumSort)]
    return tuple(in_range(single(env.state[v.name]), 0, len(sort.values) - 1, env.ctx) for v, sort in enums)


def inhabits(term: Term, type_: ArgType, ctx: z3.Context) -> list[z3.BoolRef]:
    """The conditions under which a term is a canonical value of an argument type.

    A URL may lack `is_ip` and `is_private`, which every host has: nothing is said of them then.
    """
    if isinstance(term, ListTerm):
        return list_inhabits(term, type_, ctx)
    if isinstance(term, RecordTerm):
        return record_inhabits(term, type_, ctx)
    match type_:
        case BoolType():
            return []
        case IntType(minimum=low, maximum=high) | DecimalType(minimum=low, maximum=high):
            return [in_range(term, low, high, ctx)]
        case StringType(pattern=pattern, min_size=low, max_size=high):
            matched = [] if pattern is None else [z3.InRe(term, to_z3(pattern, mode="full", ctx=ctx))]
            return [z3.InRe(term, characters(ctx)), *matched, in_range(z3.Length(term), low, high, ctx)]
        case TextType(max_size=high):
            return [in_range(term, 0, high, ctx)]
        case EnumType(values=values):
            return [in_range(term, 0, len(values) - 1, ctx)]
        case PathType():
            return [z3.InRe(term, path_language(ctx))]
        case TimestampType():
            return [in_range(term, *TIMESTAMP_RANGE, ctx)]
        case DurationType():
            return [in_range(term, *DURATION_RANGE, ctx)]
        case _:
            raise no_domain(type_)


def list_inhabits(term: ListTerm, type_: ArgType, ctx: z3.Context) -> list[z3.BoolRef]:
    """Length, each element that is there, and their difference under `unique`."""
    match type_:
        case ListType(items=items, min_size=low, max_size=high, unique=unique):
            each = [z3.Implies(there, conjunction(inhabits(i, items, ctx), ctx)) for there, i in elements(term)]
            distinct = differing(term) if unique and comparable(items) else []
            return [in_range(term.length, low, high, ctx), *each, *distinct]
        case ArgvType(max_size=high):
            return [in_range(term.length, 1, high, ctx), *words_inhabit(term, ctx)]
        case ShellType():
            return shell_inhabits(term, ctx)
        case _:
            raise no_domain(type_)


def comparable(type_: ArgType) -> bool:
    """Whether terms show that two values of this type differ: not texts, of which they hold the size, and no lists."""
    match type_:
        case RecordType(fields=parts):
            return all(comparable(part.type) for part in parts)
        case _:
            return not isinstance(type_, TextType | ListType | ArgvType | ShellType)


def differing(term: ListTerm) -> list[z3.BoolRef]:
    """Elements that are there are pairwise different.

    Of a whole list those before one that is there are there too; of some elements that stand for one it is not so.
    """
    present = elements(term)
    return [
        z3.Implies(later_there if term.few is None else z3.And(there, later_there), z3.Not(same(earlier, later)))
        for position, (later_there, later) in enumerate(present)
        for there, earlier in present[:position]
    ]


def same(one: Term, other: Term) -> z3.BoolRef:
    """Whether two canonical values of one type are equal: scalars, or records part by part."""
    if not isinstance(one, RecordTerm) or not isinstance(other, RecordTerm):
        return single(one) == single(other)
    parts = []
    for name, part in one.parts.items():
        equal = same(part, other.parts[name])
        if name in one.present:
            here, there = one.present[name], other.present[name]
            equal = z3.And(here == there, z3.Or(z3.Not(here), equal))
        parts.append(equal)
    return z3.And(parts)


def shell_inhabits(term: ListTerm, ctx: z3.Context) -> list[z3.BoolRef]:
    """At least one command, each of at least one word, and not too many words in all."""
    commands = [(there, command) for there, command in elements(term) if isinstance(command, ListTerm)]
    each = []
    for there, command in commands:
        least = in_range(command.length, 1, len(command.items), ctx)
        each.append(z3.Implies(there, conjunction([least, *words_inhabit(command, ctx)], ctx)))
    zero = z3.IntVal(0, ctx)
    total = z3.Sum([zero, *(z3.If(there, command.length, zero) for there, command in commands)])
    return [in_range(term.length, 1, len(term.items), ctx), *each, total <= SHELL_WORDS]


def words_inhabit(words: ListTerm, ctx: z3.Context) -> list[z3.BoolRef]:
    """Each word of an argv or shell command that is there: no NUL, no newline, no surrogate.

    Of the empty word, which proofs put in place of a word that nothing reads, there is nothing to say.
    """
    language = z3.Intersect(to_z3(".*", mode="full", ctx=ctx), characters(ctx))
    read = [(there, single(word)) for there, word in elements(words)]
    return [z3.Implies(there, z3.InRe(word, language)) for there, word in read if not is_empty(word)]


def is_empty(word: z3.SeqRef) -> bool:
    """Whether a term is the literal empty string."""
    return bool(z3.is_string_value(word)) and python_string(word) == ""


def record_inhabits(term: RecordTerm, type_: ArgType, ctx: z3.Context) -> list[z3.BoolRef]:
    """Each part of a record; of a URL or an address what every canonical one has (and some that are none)."""
    match type_:
        case RecordType(fields=parts):
            return [part_domain(part, term.parts[part.name], term.present.get(part.name), ctx) for part in parts]
        case UrlType(schemes=schemes):
            scheme = single(term.parts["scheme"])
            named = disjunction([scheme == z3_string(name, ctx) for name in schemes], ctx)
            shaped = [
                z3.InRe(single(term.parts[name]), to_z3(pattern, mode="full", ctx=ctx))
                for name, pattern in SHAPES.items()
            ]
            port = in_range(single(term.parts["port"]), 1, 65_535, ctx)
            if "is_ip" not in term.parts:
                return [named, *shaped, port]
            host, is_ip, private = (single(term.parts[name]) for name in ("host", "is_ip", "is_private"))
            return [named, *shaped, port, *host_facts(host, is_ip, private, ctx)]
        case EmailType():
            return [
                z3.InRe(single(term.parts[name]), to_z3(pattern, mode="full", ctx=ctx))
                for name, pattern in EMAIL_SHAPES.items()
            ]
        case _:
            raise no_domain(type_)


def no_domain(type_: ArgType) -> Fault:
    """A type that has no domain of this shape."""
    message = f"`{type(type_).__name__}` has no such domain"
    return Fault(message, "fault.unsupported")


def in_range(term: z3.ArithRef, low: int | None, high: int | None, ctx: z3.Context) -> z3.BoolRef:
    """Inclusive bounds, each of which may be missing."""
    above = [] if low is None else [term >= low]
    below = [] if high is None else [term <= high]
    return conjunction([*above, *below], ctx)


def characters(ctx: z3.Context) -> z3.ReRef:
    """The strings without NUL and without surrogates."""
    ranges = (("\x01", "\ud7ff"), ("\ue000", "\U0002ffff"))
    return z3.Star(z3.Union(*(z3.Range(z3_string(low, ctx), z3_string(high, ctx)) for low, high in ranges)))
