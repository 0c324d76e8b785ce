r"""What an expression means to the solver: IR as Z3 terms. The twin of `evaluate`.

Read beside `evaluate.py`: the same operators, in the same order. Sorts: bool is Bool; int, decimal and text (its
size) are Int; an enum is the Int of its value's position; string and path are String; a list is a `ListTerm`.
Each constant string predicate is a regular-language atom of its own, and call data never goes through
`StringVal`, which would interpret `\u{..}` (see `regex.z3_string`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias, assert_never

import z3

from sandbox.errors import Fault
from sandbox.ir import (
    Add,
    All,
    And,
    Arg,
    ArgType,
    Argument,
    BoolSort,
    BoolType,
    Bound,
    Const,
    Contains,
    Contract,
    DecimalSort,
    DecimalType,
    Div,
    EndsWith,
    EnumSort,
    EnumType,
    Eq,
    Exists,
    ExistsOne,
    Expr,
    Fact,
    Has,
    Index,
    IntSort,
    IntType,
    Ite,
    Le,
    ListSort,
    ListType,
    Lower,
    Lt,
    Matches,
    Member,
    Mod,
    Mul,
    Neg,
    Not,
    Or,
    PathType,
    ScalarSort,
    Size,
    Sort,
    StartsWith,
    State,
    StringSort,
    StringType,
    Sub,
    TextSort,
    TextType,
    Tool,
    sort_of,
)
from sandbox.regex import literal_re, path_language, python_string, to_z3, z3_string

if TYPE_CHECKING:
    from typing import Literal

    from sandbox.call import Value


@dataclass(frozen=True, slots=True)
class ListTerm:
    """A list of at most `len(items)` elements; items at or beyond `length` mean nothing."""

    length: z3.ArithRef
    items: tuple[z3.ExprRef, ...]


Term: TypeAlias = z3.ExprRef | ListTerm


@dataclass(frozen=True, slots=True)
class Environment:
    """The terms that names stand for. `bound` is filled by quantifiers only."""

    ctx: z3.Context
    args: Mapping[str, Term] = field(default_factory=dict)
    present: Mapping[str, z3.BoolRef] = field(default_factory=dict)
    state: Mapping[str, z3.ExprRef] = field(default_factory=dict)
    facts: Mapping[str, z3.ExprRef] = field(default_factory=dict)
    bound: Mapping[str, z3.ExprRef] = field(default_factory=dict)


def encode(expr: Expr, env: Environment) -> Term:
    """The Z3 term of `expr` in an environment; the twin of `evaluate.evaluate`."""
    match expr:
        case Const(value=value, sort=sort):
            return literal(value, sort, env.ctx)
        case Arg(name=name):
            return env.args[name]
        case Has(name=name):
            return env.present[name]
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
            return z3.If(scalar(condition, env), scalar(then, env), scalar(otherwise, env))
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
            return z3.InRe(scalar(whole, env), to_z3(pattern, mode="search", lower=lower, ctx=env.ctx))
        case Lower():
            message = "`lowerAscii` has no term of its own: it stands under a constant predicate"
            raise Fault(message, "fault.unsupported")
        case Member(item=item, of=of):
            one, items = scalar(item, env), sequence(of, env)
            return disjunction([z3.And(there, one == element) for there, element in elements(items)], env.ctx)
        case Index(of=of, position=position):
            items = sequence(of, env)
            return items.items[position] if position < len(items.items) else unreachable(of, env)
        case All(variable=variable, over=over, body=body):
            cases = [z3.Implies(there, holds) for there, holds in instances(variable, over, body, env)]
            return conjunction(cases, env.ctx)
        case Exists(variable=variable, over=over, body=body):
            cases = [z3.And(there, holds) for there, holds in instances(variable, over, body, env)]
            return disjunction(cases, env.ctx)
        case ExistsOne(variable=variable, over=over, body=body):
            cases = [z3.And(there, holds) for there, holds in instances(variable, over, body, env)]
            one, zero = z3.IntVal(1, env.ctx), z3.IntVal(0, env.ctx)
            return z3.Sum([zero, *(z3.If(holds, one, zero) for holds in cases)]) == 1
        case _:
            assert_never(expr)


def scalar(expr: Expr, env: Environment) -> z3.ExprRef:
    """`encode` of an expression that `lang` has typed as a scalar (or text: its size)."""
    term = encode(expr, env)
    if isinstance(term, ListTerm):
        message = "a list stands where a scalar is meant"
        raise Fault(message, "fault.unsupported")
    return term


def sequence(expr: Expr, env: Environment) -> ListTerm:
    """`encode` of a list."""
    term = encode(expr, env)
    if not isinstance(term, ListTerm):
        message = "a scalar stands where a list is meant"
        raise Fault(message, "fault.unsupported")
    return term


# --- what single arms need ---------------------------------------------------------------------------


def equality(left: Expr, right: Expr, env: Environment) -> z3.BoolRef:
    """Equality; of a lowered string with a constant, a regular-language atom."""
    for one, other in ((left, right), (right, left)):
        if isinstance(one, Lower):
            part = constant_text(other)
            return z3.InRe(scalar(one.operand, env), literal_re(part, where="is", lower=True, ctx=env.ctx))
    return scalar(left, env) == scalar(right, env)


def part_test(where: Literal["starts", "ends", "contains"], subject: Expr, part: Expr, env: Environment) -> z3.BoolRef:
    """A part test: an atom where the part is constant, a word predicate where it is not."""
    whole, lower = unlowered(subject)
    if isinstance(part, Const) or lower:
        return z3.InRe(scalar(whole, env), literal_re(constant_text(part), where=where, lower=lower, ctx=env.ctx))
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


def elements(items: ListTerm) -> list[tuple[z3.BoolRef, z3.ExprRef]]:
    """Each position's element, with the condition that it is there."""
    return [(items.length > position, element) for position, element in enumerate(items.items)]


def instances(variable: Bound, over: Expr, body: Expr, env: Environment) -> list[tuple[z3.BoolRef, z3.BoolRef]]:
    """The body of a quantifier at each position, with the condition that the element is there."""
    return [
        (there, scalar(body, replace(env, bound={**env.bound, variable.name: element})))
        for there, element in elements(sequence(over, env))
    ]


def unreachable(of: Expr, env: Environment) -> z3.ExprRef:
    """An element beyond `max_size`: `lang` has put it under a size that never holds, so any value will do."""
    if not isinstance(of, Arg) or not isinstance(of.sort, ListSort):
        message = "an index stands on what is no list argument"
        raise Fault(message, "fault.unsupported")
    return plain(of.sort.item, env.ctx)


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
        case IntSort() | DecimalSort() if isinstance(value, int) and not isinstance(value, bool):
            return z3.IntVal(value, ctx)
        case StringSort() if isinstance(value, str):
            return z3_string(value, ctx)
        case EnumSort(values=values) if isinstance(value, str):
            return z3.IntVal(values.index(value), ctx)
        case TextSort() if isinstance(value, str):
            return z3.IntVal(len(value), ctx)
        case _:
            message = f"a `{type(value).__name__}` is no value of `{type(sort).__name__}`"
            raise Fault(message, "fault.unsupported")


def plain(sort: Sort, ctx: z3.Context) -> z3.ExprRef:
    """Some value of a scalar sort, for places whose value means nothing."""
    match sort:
        case BoolSort():
            return z3.BoolVal(val=False, ctx=ctx)
        case StringSort():
            return z3_string("", ctx)
        case _:
            return z3.IntVal(0, ctx)


def constant(name: str, sort: Sort, ctx: z3.Context) -> z3.ExprRef:
    """A free constant of a scalar sort (text: its size)."""
    match sort:
        case BoolSort():
            return z3.Bool(name, ctx)
        case StringSort():
            return z3.String(name, ctx)
        case _:
            return z3.Int(name, ctx)


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
    """Free constants, with simple SMT-LIB symbols, for the arguments of a tool and the state before the call.

    `suffix` tells apart the steps of a sequence; it begins with `@`, which stands in no author's name, so that no two
    constants can have one name. An optional argument has a presence flag of its own.
    """
    args = {a.name: argument_symbol(f"arg_{a.name}{suffix}", a, ctx) for a in tool.arguments}
    present = {a.name: z3.Bool(f"has_{a.name}{suffix}", ctx) for a in tool.arguments if a.optional}
    state = {v.name: constant(f"state_{v.name}{suffix}", v.sort, ctx) for v in contract.variables}
    return Environment(ctx, args, present, state)


def argument_symbol(name: str, argument: Argument, ctx: z3.Context) -> Term:
    """A free constant for one argument; for a list, its length and `max_size` items."""
    sort = sort_of(argument.type)
    if not isinstance(sort, ListSort):
        return constant(name, sort, ctx)
    items = tuple(constant(f"{name}@{position}", sort.item, ctx) for position in range(sort.max_size))
    return ListTerm(z3.Int(f"{name}@len", ctx), items)


def domain(tool: Tool, env: Environment) -> tuple[z3.BoolRef, ...]:
    """What `parse` guarantees of the arguments, and `lang` of the state: nothing that a call can have is excluded."""
    facts = []
    for argument in tool.arguments:
        term = env.args[argument.name]
        inside = conjunction(inhabits(term, argument.type, env.ctx), env.ctx)
        facts.append(z3.Or(z3.Not(env.present[argument.name]), inside) if argument.optional else inside)
    return tuple(facts)


def state_domain(contract: Contract, env: Environment) -> tuple[z3.BoolRef, ...]:
    """What the sorts alone say of the state: an enum is one of its values. No bound is assumed of a number."""
    enums = [(v, v.sort) for v in contract.variables if isinstance(v.sort, EnumSort)]
    return tuple(in_range(env.state[v.name], 0, len(sort.values) - 1, env.ctx) for v, sort in enums)


def inhabits(term: Term, type_: ArgType, ctx: z3.Context) -> list[z3.BoolRef]:
    """The conditions under which a term is a canonical value of an argument type."""
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
        case ListType() if isinstance(term, ListTerm):
            return list_inhabits(term, type_, ctx)
        case _:
            message = f"`{type(type_).__name__}` has no domain"
            raise Fault(message, "fault.unsupported")


def list_inhabits(term: ListTerm, type_: ListType, ctx: z3.Context) -> list[z3.BoolRef]:
    """Length, each element that is there, and their difference under `unique`."""
    present = elements(term)
    each = [z3.Implies(there, conjunction(inhabits(item, type_.items, ctx), ctx)) for there, item in present]
    pairs = [
        z3.Implies(later_there, earlier != later)
        for position, (later_there, later) in enumerate(present)
        for _, earlier in present[:position]
    ]
    return [in_range(term.length, type_.min_size, type_.max_size, ctx), *each, *(pairs if type_.unique else [])]


def in_range(term: z3.ArithRef, low: int | None, high: int | None, ctx: z3.Context) -> z3.BoolRef:
    """Inclusive bounds, each of which may be missing."""
    above = [] if low is None else [term >= low]
    below = [] if high is None else [term <= high]
    return conjunction([*above, *below], ctx)


def characters(ctx: z3.Context) -> z3.ReRef:
    """The strings without NUL and without surrogates."""
    ranges = (("\x01", "\ud7ff"), ("\ue000", "\U0002ffff"))
    return z3.Star(z3.Union(*(z3.Range(z3_string(low, ctx), z3_string(high, ctx)) for low, high in ranges)))
