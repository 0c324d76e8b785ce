"""What an expression means when it runs: IR compiled once into nested closures. The twin of `encode`.

Read beside `encode.py`: the same operators, in the same order, each arm saying in Python what its twin says in Z3.
No source text is generated and nothing here can fail on a well-typed expression.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final, TypeAlias, assert_never, cast

from sandbox.call import NOTHING_KNOWN, Origins, Value
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
    OriginHas,
    SetAdd,
    SetRemove,
    Size,
    StartsWith,
    State,
    Sub,
)
from sandbox.regex import search_matcher


@dataclass(slots=True)
class Env:
    """What names stand for while one call is judged. `bound` is filled by quantifiers only.

    Not frozen, for a frozen one takes four times as long to make; only `bind` writes to it.
    """

    args: Mapping[str, Value]
    state: Mapping[str, Value]
    facts: Mapping[str, Value] = field(default_factory=dict)
    bound: dict[str, Value] = field(default_factory=dict)
    origins: Origins = field(default_factory=dict)


Closure: TypeAlias = Callable[[Env], Value]
Test: TypeAlias = Callable[[Env], bool]
Predicate: TypeAlias = Callable[[Value], bool]
Operation: TypeAlias = Callable[..., Value]
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
        case OriginHas(argument=argument, label=label):
            return lambda env: label in env.origins.get(argument, NOTHING_KNOWN)
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
            return every(tuple(truth(operand) for operand in operands))
        case Or(operands=operands):
            choice = one_of(operands)
            if choice is not None:
                return found_in(*choice)
            return some(tuple(truth(operand) for operand in operands))
        case Ite(condition=condition, then=then, otherwise=otherwise):
            test, yes, no = truth(condition), evaluate(then), evaluate(otherwise)
            return lambda env: yes(env) if test(env) else no(env)
        case Eq(left=left, right=right):
            return applied(operator.eq, left, right)
        case Lt(left=left, right=right):
            return applied(operator.lt, left, right)
        case Le(left=left, right=right):
            return applied(operator.le, left, right)
        case Add(left=left, right=right):
            return applied(operator.add, left, right)
        case Sub(left=left, right=right):
            return applied(operator.sub, left, right)
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
            return applied(str.startswith, subject, part)
        case EndsWith(subject=subject, part=part):
            return applied(str.endswith, subject, part)
        case Contains(subject=subject, part=part):
            return applied(operator.contains, subject, part)
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
            alone = every_element(body, variable, items)
            if alone is not None:
                return alone
            return lambda env: all(holds(bind(env, variable, item)) for item in items(env))
        case Exists(variable=variable, over=over, body=body):
            holds, items = truth(body), sequence(over)
            alone = some_element(body, variable, items)
            if alone is not None:
                return alone
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


# --- the commonest shapes, with fewer calls -----------------------------------------------------------


def applied(operation: Operation, left: Expr, right: Expr) -> Closure:
    """`operation` of the operands' values; beside a constant without a closure for that, nor for an argument."""
    match left, right:
        case Arg(name=name), Const(value=value) if operation in OF_ARGUMENT:
            return OF_ARGUMENT[operation](name, value)
        case Const(value=value), Arg(name=name) if operation in TURNED:
            return OF_ARGUMENT[TURNED[operation]](name, value)
        case Size(operand=Arg(name=name)), Const(value=value):
            return lambda env: operation(len(env.args[name]), value)  # type: ignore[arg-type]  # what has a size
        case Arg(name=name), Const(value=value):
            return lambda env: operation(env.args[name], value)
        case _, Const(value=value):
            one = evaluate(left)
            return lambda env: operation(one(env), value)
        case Arg(name=name), _:
            other = evaluate(right)
            return lambda env: operation(env.args[name], other(env))
        case _:
            one, other = evaluate(left), evaluate(right)
            return lambda env: operation(one(env), other(env))


# `lang` has typed both sides of each: strings, or integers.
OF_ARGUMENT: Final[Mapping[Operation, Callable[[str, Value], Closure]]] = {
    operator.eq: lambda name, value: lambda env: env.args[name] == value,
    operator.lt: lambda name, value: lambda env: env.args[name] < value,  # type: ignore[operator]
    operator.le: lambda name, value: lambda env: env.args[name] <= value,  # type: ignore[operator]
    operator.gt: lambda name, value: lambda env: env.args[name] > value,  # type: ignore[operator]
    operator.ge: lambda name, value: lambda env: env.args[name] >= value,  # type: ignore[operator]
    operator.contains: lambda name, value: lambda env: value in env.args[name],  # type: ignore[operator]
    str.startswith: lambda name, value: lambda env: env.args[name].startswith(value),  # type: ignore[union-attr,arg-type]
    str.endswith: lambda name, value: lambda env: env.args[name].endswith(value),  # type: ignore[union-attr,arg-type]
}
"""An operation of an argument and a constant."""

TURNED: Final[Mapping[Operation, Operation]] = {operator.lt: operator.gt, operator.le: operator.ge}
"""What an order of a constant and an argument is of the argument and the constant."""


def every(tests: tuple[Test, ...]) -> Test:
    """Whether all of some tests hold; of two, without a loop."""
    match tests:
        case (one, other):
            return lambda env: one(env) and other(env)
        case _:
            return lambda env: all(test(env) for test in tests)


def some(tests: tuple[Test, ...]) -> Test:
    """Whether one of some tests holds; of two, without a loop."""
    match tests:
        case (one, other):
            return lambda env: one(env) or other(env)
        case _:
            return lambda env: any(test(env) for test in tests)


def one_of(operands: tuple[Expr, ...]) -> tuple[Expr, frozenset[Value]] | None:
    """The subject and the constants of a disjunction that only compares one subject with constants of its sort."""
    match operands:
        case (Eq(left=subject, right=Const()), _, *_):
            values = frozenset(value for each in operands for value in compared(each, subject))
            return (subject, values) if all(compared(each, subject) for each in operands) else None
        case _:
            return None


def found_in(subject: Expr, values: frozenset[Value]) -> Closure:
    """Whether the subject's value is one of some."""
    match subject:
        case Arg(name=name):
            return lambda env: env.args[name] in values
        case _:
            one = evaluate(subject)
            return lambda env: one(env) in values


def compared(expr: Expr, subject: Expr) -> tuple[Value, ...]:
    """The constant that an equality compares the subject with; of anything else, nothing."""
    match expr:
        case Eq(left=left, right=Const(value=value)) if left == subject:
            return (value,)
        case _:
            return ()


def every_element(body: Expr, variable: Bound, items: Sequence) -> Test | None:
    """`all` whose body is a test of the element against constants, without an environment for each; else None."""
    match body:
        case Or(operands=operands) if (choice := one_of(operands)) is not None and choice[0] == variable:
            values = choice[1]
            return lambda env: values.issuperset(items(env))
        case EndsWith(subject=subject, part=Const(value=str() as part)) if subject == variable:
            return ending(part, items)
        case StartsWith(subject=subject, part=Const(value=str() as part)) if subject == variable:
            return beginning(part, items)
        case Matches(subject=subject, pattern=pattern) if subject == variable:
            found = cast("Predicate", search_matcher(pattern))
            return lambda env: all(map(found, items(env)))
        case _:
            return None


def ending(part: str, items: Sequence) -> Test:
    """Whether every element, a string, ends so."""

    def all_end(env: Env) -> bool:
        for item in items(env):  # noqa: SIM110 - a generator takes half as long again
            if not item.endswith(part):  # type: ignore[union-attr]  # a string
                return False
        return True

    return all_end


def beginning(part: str, items: Sequence) -> Test:
    """Whether every element, a string, begins so."""

    def all_begin(env: Env) -> bool:
        for item in items(env):  # noqa: SIM110 - a generator takes half as long again
            if not item.startswith(part):  # type: ignore[union-attr]  # a string
                return False
        return True

    return all_begin


def some_element(body: Expr, variable: Bound, items: Sequence) -> Test | None:
    """`exists`, as `every_element`."""
    match body:
        case Or(operands=operands) if (choice := one_of(operands)) is not None and choice[0] == variable:
            values = choice[1]
            return lambda env: not values.isdisjoint(items(env))
        case Eq(left=subject, right=Const(value=value)) if subject == variable:
            return lambda env: value in items(env)
        case Matches(subject=subject, pattern=pattern) if subject == variable:
            found = cast("Predicate", search_matcher(pattern))
            return lambda env: any(map(found, items(env)))
        case _:
            return None


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
