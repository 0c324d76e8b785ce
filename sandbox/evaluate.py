"""What an expression means when it runs: IR compiled once into nested closures. The twin of `encode`.

Read beside `encode.py`: the same operators, in the same order, each arm saying in Python what its twin says in Z3.
No source text is generated and nothing here can fail on a well-typed expression.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final, TypeAlias, assert_never, cast

from sandbox.call import Value
from sandbox.ir import (
    Add,
    All,
    AllKeys,
    And,
    Arg,
    Bound,
    Const,
    Contains,
    Div,
    EndsWith,
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
    Ite,
    Le,
    Lower,
    Lt,
    MapGet,
    Matches,
    Member,
    Mod,
    Mul,
    Neg,
    Not,
    Or,
    SetAdd,
    SetRemove,
    Size,
    StartsWith,
    State,
    Sub,
)
from sandbox.regex import search_matcher


@dataclass(frozen=True, slots=True)
class Env:
    """What names stand for while one call is judged. `bound` is filled by quantifiers only."""

    args: Mapping[str, Value]
    state: Mapping[str, Value]
    facts: Mapping[str, Value] = field(default_factory=dict)
    bound: dict[str, Value] = field(default_factory=dict)


Closure: TypeAlias = Callable[[Env], Value]
Test: TypeAlias = Callable[[Env], bool]
Number: TypeAlias = Callable[[Env], int]
Text: TypeAlias = Callable[[Env], str]
Sequence: TypeAlias = Callable[[Env], tuple[Value, ...]]
Record: TypeAlias = Callable[[Env], Mapping[str, Value]]
Members: TypeAlias = Callable[[Env], AbstractSet[str]]
Entries: TypeAlias = Callable[[Env], Mapping[str, int]]

_LOWER_ASCII: Final = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def evaluate(expr: Expr) -> Closure:  # noqa: PLR0915 - one arm an operator, as in the twin
    """A closure that gives the value of `expr` in an environment; the twin of `encode.encode`."""
    match expr:
        case Const(value=value):
            return lambda _: value
        case Arg(name=name):
            return lambda env: env.args[name]
        case Has(name=name):
            return lambda env: name in env.args
        case Field(of=of, name=name):
            whole_record = record(of)
            return lambda env: whole_record(env)[name]
        case HasField(of=of, name=name):
            whole_record = record(of)
            return lambda env: name in whole_record(env)
        case State(name=name):
            return lambda env: env.state[name]
        case Fact(name=name):
            return lambda env: env.facts[name]
        case Bound(name=name):
            return lambda env: env.bound[name]
        case Not(operand=operand):
            test = truth(operand)
            return lambda env: not test(env)
        case And(operands=operands):
            tests = tuple(truth(operand) for operand in operands)
            return lambda env: all(test(env) for test in tests)
        case Or(operands=operands):
            tests = tuple(truth(operand) for operand in operands)
            return lambda env: any(test(env) for test in tests)
        case Ite(condition=condition, then=then, otherwise=otherwise):
            test, yes, no = truth(condition), evaluate(then), evaluate(otherwise)
            return lambda env: yes(env) if test(env) else no(env)
        case Eq(left=left, right=right):
            one, other = evaluate(left), evaluate(right)
            return lambda env: one(env) == other(env)
        case Lt(left=left, right=right):
            low, high = number(left), number(right)
            return lambda env: low(env) < high(env)
        case Le(left=left, right=right):
            low, high = number(left), number(right)
            return lambda env: low(env) <= high(env)
        case Add(left=left, right=right):
            a, b = number(left), number(right)
            return lambda env: a(env) + b(env)
        case Sub(left=left, right=right):
            a, b = number(left), number(right)
            return lambda env: a(env) - b(env)
        case Neg(operand=operand):
            a = number(operand)
            return lambda env: -a(env)
        case Mul(operand=operand, factor=factor):
            a = number(operand)
            return lambda env: a(env) * factor
        case Div(operand=operand, divisor=divisor):
            a = number(operand)
            return lambda env: truncated(a(env), divisor)
        case Mod(operand=operand, divisor=divisor):
            a = number(operand)
            return lambda env: (value := a(env)) - divisor * truncated(value, divisor)
        case Size(operand=operand):
            items = sequence(operand)
            return lambda env: len(items(env))
        case StartsWith(subject=subject, part=part):
            whole, piece = text(subject), text(part)
            return lambda env: whole(env).startswith(piece(env))
        case EndsWith(subject=subject, part=part):
            whole, piece = text(subject), text(part)
            return lambda env: whole(env).endswith(piece(env))
        case Contains(subject=subject, part=part):
            whole, piece = text(subject), text(part)
            return lambda env: piece(env) in whole(env)
        case Matches(subject=subject, pattern=pattern):
            whole, found = text(subject), search_matcher(pattern)
            return lambda env: found(whole(env))
        case Lower(operand=operand):
            whole = text(operand)
            return lambda env: whole(env).translate(_LOWER_ASCII)
        case Member(item=item, of=of):
            one, items = evaluate(item), sequence(of)
            return lambda env: one(env) in items(env)
        case Index(of=of, position=position):
            items = sequence(of)
            return lambda env: items(env)[position]
        case All(variable=variable, over=over, body=body):
            holds, items = truth(body), sequence(over)
            return lambda env: all(holds(bind(env, variable, item)) for item in items(env))
        case Exists(variable=variable, over=over, body=body):
            holds, items = truth(body), sequence(over)
            return lambda env: any(holds(bind(env, variable, item)) for item in items(env))
        case ExistsOne(variable=variable, over=over, body=body):
            holds, items = truth(body), sequence(over)
            return lambda env: sum(holds(bind(env, variable, item)) for item in items(env)) == 1
        case InSet(item=item, of=of):
            name_of, inside = text(item), members(of)
            return lambda env: name_of(env) in inside(env)
        case SetAdd(of=of, item=item):
            inside, name_of = members(of), text(item)
            return lambda env: added(inside(env), name_of(env))
        case SetRemove(of=of, item=item):
            inside, name_of = members(of), text(item)
            return lambda env: removed(inside(env), name_of(env))
        case MapGet(of=of, key=key, initial=initial):
            kept, name_of = entries(of), text(key)
            return lambda env: kept(env).get(name_of(env), initial)
        case AllKeys(variable=variable, over=over, body=body):
            holds, kept = truth(body), entries(over)
            return lambda env: all(holds(bind(env, variable, key)) for key in kept(env))
        case _:
            assert_never(expr)


def truth(expr: Expr) -> Test:
    """`evaluate` of an expression that `lang` has typed bool."""
    return cast("Test", evaluate(expr))


def number(expr: Expr) -> Number:
    """`evaluate` of an integer (or, under the orders, a string: Python compares both as the twin does)."""
    return cast("Number", evaluate(expr))


def text(expr: Expr) -> Text:
    """`evaluate` of a string."""
    return cast("Text", evaluate(expr))


def sequence(expr: Expr) -> Sequence:
    """`evaluate` of what has a size: a list, a string or a text."""
    return cast("Sequence", evaluate(expr))


def record(expr: Expr) -> Record:
    """`evaluate` of a record."""
    return cast("Record", evaluate(expr))


def members(expr: Expr) -> Members:
    """`evaluate` of a set."""
    return cast("Members", evaluate(expr))


def entries(expr: Expr) -> Entries:
    """`evaluate` of a map: the keys whose value is not `initial`, with their values."""
    return cast("Entries", evaluate(expr))


def truncated(value: int, divisor: int) -> int:
    """Division toward zero by a positive constant; Python's `//` rounds down."""
    return value // divisor if value >= 0 else -(-value // divisor)


def added(inside: AbstractSet[str], item: str) -> AbstractSet[str]:
    """The set with the item."""
    return inside | {item}


def removed(inside: AbstractSet[str], item: str) -> AbstractSet[str]:
    """The set without the item."""
    return inside - {item}


def bind(env: Env, variable: Bound, item: Value) -> Env:
    """The environment of a quantifier's body."""
    env.bound[variable.name] = item
    return env
