"""What an expression means when it runs: IR compiled once into nested closures. The twin of `encode`.

Read beside `encode.py`: the same operators, in the same order, each arm saying in Python what its twin says in Z3.
No source text is generated and nothing here can fail on a well-typed expression.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, Literal, TypeAlias, assert_never, cast

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
from sandbox.lang.walk import within
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

Asks: TypeAlias = Literal["is", "starts", "ends", "holds"]
"""What a test against constants asks: whether a subject is one of them, begins or ends with one, or has one in it."""

MOST_AT_ONCE: Final = 8
"""Tests that `some` asks without another closure between."""

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
            return denied(operand)
        case And(operands=operands):
            return every(tuple(truth(operand) for operand in operands))
        case Or(operands=operands):
            return some(united(operands))
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
        case _, Const(value=value):
            return beside(operation, left, value)
        case Const(value=value), _ if operation in TURNED:
            return beside(TURNED[operation], right, value)
        case Arg(name=name), _:
            other = evaluate(right)
            return lambda env: operation(env.args[name], other(env))
        case _:
            one, other = evaluate(left), evaluate(right)
            return lambda env: operation(one(env), other(env))


def beside(operation: Operation, subject: Expr, value: Value) -> Closure:
    """`operation` of the subject's value and a constant, or of what `one_of` makes of several."""
    match subject:
        case Arg(name=name) if operation in OF_ARGUMENT:
            return OF_ARGUMENT[operation](name, value)
        case Arg(name=name):
            return lambda env: operation(env.args[name], value)
        case Size(operand=Arg(name=name)) if operation in OF_SIZE:
            return OF_SIZE[operation](name, value)
        case _:
            one = evaluate(subject)
            return lambda env: operation(one(env), value)


def denied(operand: Expr) -> Test:
    """Whether the operand does not hold; of how an argument begins, without a closure for that."""
    match operand:
        case StartsWith(subject=Arg(name=name), part=Const(value=str() as part)):
            return lambda env: not env.args[name].startswith(part)  # type: ignore[union-attr]  # a string
        case _:
            test = truth(operand)
            return lambda env: not test(env)


def is_in(value: Value, values: frozenset[Value]) -> bool:
    """Whether a value is one of some."""
    return value in values


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
    is_in: lambda name, values: lambda env: env.args[name] in values,  # type: ignore[operator]
}
"""An operation of an argument and a constant."""

# What has a size, beside an integer.
OF_SIZE: Final[Mapping[Operation, Callable[[str, Value], Closure]]] = {
    operator.eq: lambda name, value: lambda env: len(env.args[name]) == value,  # type: ignore[arg-type]
    operator.lt: lambda name, value: lambda env: len(env.args[name]) < value,  # type: ignore[arg-type,operator]
    operator.le: lambda name, value: lambda env: len(env.args[name]) <= value,  # type: ignore[arg-type,operator]
    operator.gt: lambda name, value: lambda env: len(env.args[name]) > value,  # type: ignore[arg-type,operator]
    operator.ge: lambda name, value: lambda env: len(env.args[name]) >= value,  # type: ignore[arg-type,operator]
}
"""An operation of an argument's size and a constant."""

TURNED: Final[Mapping[Operation, Operation]] = {operator.lt: operator.gt, operator.le: operator.ge}
"""What an order of a constant and something else is of that and the constant."""


def every(tests: tuple[Test, ...]) -> Test:
    """Whether all of some tests hold; without a loop, which takes longer."""
    match tests:
        case ():
            return lambda _: True
        case (only,):
            return only
        case (a, b):
            return lambda env: a(env) and b(env)
        case (a, b, c):
            return lambda env: a(env) and b(env) and c(env)
        case _:
            half = len(tests) // 2
            return every((every(tests[:half]), every(tests[half:])))


def some(tests: tuple[Test, ...]) -> Test:
    """Whether one of some tests holds; without a loop, which takes longer."""
    match tests:
        case ():
            return lambda _: False
        case (only,):
            return only
        case (a, b):
            return lambda env: a(env) or b(env)
        case (a, b, c):
            return lambda env: a(env) or b(env) or c(env)
        case (a, b, c, d):
            return lambda env: a(env) or b(env) or c(env) or d(env)
        case (a, b, c, d, e, f, g, h):
            return lambda env: a(env) or b(env) or c(env) or d(env) or e(env) or f(env) or g(env) or h(env)
        case _:
            size = MOST_AT_ONCE if len(tests) > MOST_AT_ONCE else MOST_AT_ONCE // 2
            return some(tuple(some(tests[at : at + size]) for at in range(0, len(tests), size)))


def united(operands: tuple[Expr, ...]) -> tuple[Test, ...]:
    """Tests of which one holds where one of the operands does: those that ask the same of one subject are one test.

    None of them passes one that looks up a key: whether that is done is for what stands before it alone.
    """
    runs = [(looking, tuple(among)) for looking, among in groupby(flat(operands), key=looks_up)]
    return tuple(test for looking, run in runs for test in (map(truth, run) if looking else _united(run)))


def _united(operands: tuple[Expr, ...]) -> tuple[Test, ...]:
    """As `united`, of operands in any order."""
    alike: dict[tuple[Asks, Expr], tuple[Value, ...]] = {}
    others = []
    for operand in operands:
        found = constants_beside(operand)
        if found is None:
            others.append(truth(operand))
        else:
            asks, subject, values = found
            alike[asks, subject] = alike.get((asks, subject), ()) + values
    return (*(one_of(asks, subject, values) for (asks, subject), values in alike.items()), *others)


def looks_up(expr: Expr) -> bool:
    """Whether anything in an expression asks a set or a map for a key, which may be outside of its type."""
    return any(isinstance(part, MapGet | InSet) for part in within(expr))


def flat(operands: tuple[Expr, ...]) -> Iterator[Expr]:
    """The operands of a disjunction, and in place of each that is one itself, its own."""
    for operand in operands:
        if isinstance(operand, Or):
            yield from flat(operand.operands)
        else:
            yield operand


def constants_beside(expr: Expr) -> tuple[Asks, Expr, tuple[Value, ...]] | None:
    """What a test against constants asks, of which subject, and the constants; None of any other expression."""
    match expr:
        case Eq(left=subject, right=Const(value=value)):
            return "is", subject, (value,)
        case StartsWith(subject=subject, part=Const(value=value)):
            return "starts", subject, (value,)
        case EndsWith(subject=subject, part=Const(value=value)):
            return "ends", subject, (value,)
        case Exists(variable=variable, over=over, body=body):
            asks, values = asked_of(variable, body)
            return ("holds", over, values) if asks == "is" else None
        case _:
            return None


def asked_of(variable: Bound, body: Expr) -> tuple[Asks | None, tuple[Value, ...]]:
    """The one thing that a body asks of the variable, and the constants; None where it asks anything else."""
    found = [constants_beside(each) for each in flat((body,))]
    asks = found[0][0] if found and found[0] is not None else None
    values: tuple[Value, ...] = ()
    for each in found:
        if each is None or each[:2] != (asks, variable):
            return None, ()
        values += each[2]
    return asks, values


def one_of(asks: Asks, subject: Expr, values: tuple[Value, ...]) -> Test:
    """Whether the subject is one of the values, begins or ends with one, or is a list that holds one."""
    match asks:
        case "is" if len(values) == 1:
            return cast("Test", beside(operator.eq, subject, values[0]))
        case "is":
            return cast("Test", beside(is_in, subject, cast("Value", frozenset(values))))
        case "starts":
            return cast("Test", beside(str.startswith, subject, values[0] if len(values) == 1 else values))
        case "ends":
            return cast("Test", beside(str.endswith, subject, values[0] if len(values) == 1 else values))
        case "holds":
            return holding(subject, frozenset(values))
        case _:
            assert_never(asks)


def holding(subject: Expr, sought: frozenset[Value]) -> Test:
    """Whether the subject, a list, has one of the values."""
    match subject:
        case Arg(name=name):
            return lambda env: not sought.isdisjoint(env.args[name])  # type: ignore[arg-type]  # a list
        case _:
            items = sequence(subject)
            return lambda env: not sought.isdisjoint(items(env))


def every_element(body: Expr, variable: Bound, items: Sequence) -> Test | None:
    """`all` whose body is a test of the element against constants, without an environment for each; else None."""
    match body:
        case Matches(subject=subject, pattern=pattern) if subject == variable:
            found = cast("Predicate", search_matcher(pattern))
            return lambda env: all(map(found, items(env)))
    match asked_of(variable, body):
        case "is", values:
            sought = frozenset(values)
            return lambda env: sought.issuperset(items(env))
        case "ends", parts:
            return ending(parts, items)
        case "starts", parts:
            return beginning(parts, items)
        case _:
            return None


def ending(parts: tuple[Value, ...], items: Sequence) -> Test:
    """Whether every element, a string, ends with one of the parts; of one part, by taking it off: twice as fast."""
    only = parts[0] if len(parts) == 1 and parts[0] else None

    def all_end(env: Env) -> bool:
        for item in items(env):  # noqa: SIM110 - a generator takes half as long again
            if not item.endswith(parts):  # type: ignore[union-attr,arg-type]  # strings
                return False
        return True

    def all_end_alike(env: Env) -> bool:
        for item in items(env):  # noqa: SIM110 - as above
            if item.removesuffix(only) == item:  # type: ignore[union-attr,arg-type]  # strings
                return False
        return True

    return all_end if only is None else all_end_alike


def beginning(parts: tuple[Value, ...], items: Sequence) -> Test:
    """Whether every element, a string, begins with one of the parts; as `ending`."""
    only = parts[0] if len(parts) == 1 and parts[0] else None

    def all_begin(env: Env) -> bool:
        for item in items(env):  # noqa: SIM110 - as above
            if not item.startswith(parts):  # type: ignore[union-attr,arg-type]  # strings
                return False
        return True

    def all_begin_alike(env: Env) -> bool:
        for item in items(env):  # noqa: SIM110 - as above
            if item.removeprefix(only) == item:  # type: ignore[union-attr,arg-type]  # strings
                return False
        return True

    return all_begin if only is None else all_begin_alike


def some_element(body: Expr, variable: Bound, items: Sequence) -> Test | None:
    """`exists`, as `every_element`."""
    match body:
        case Matches(subject=subject, pattern=pattern) if subject == variable:
            found = cast("Predicate", search_matcher(pattern))
            return lambda env: any(map(found, items(env)))
    match asked_of(variable, body):
        case "is", values:
            sought = frozenset(values)
            return lambda env: not sought.isdisjoint(items(env))
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
