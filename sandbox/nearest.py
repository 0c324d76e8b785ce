"""The nearest call that would be allowed: change one argument of a denied call as little as will do.

Numbers are searched by doubling steps and bisection over the evaluator, names and strings among the constants of the
tool's own rules. A suggestion is only ever what the given judge, both engines, allowed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import islice
from typing import Final, TypeAlias

from sandbox.call import Call, Value
from sandbox.canonical import show_value
from sandbox.ir import (
    DURATION_RANGE,
    TIMESTAMP_RANGE,
    ArgType,
    Argument,
    BoolType,
    Const,
    DecimalType,
    DurationType,
    EnumType,
    IntType,
    Json,
    ListType,
    PathType,
    StringType,
    TextType,
    TimestampType,
    Tool,
)
from sandbox.seal import holds_secret

MAX_CANDIDATES: Final = 200
"""Constants and items tried per argument: a person reads one suggestion, and each try is a decision."""
MAX_DISTANCE_BITS: Final = 80
"""Steps of doubling away from a number; beyond 2^80 no bound of ours lies."""

RawCall: TypeAlias = dict[str, Json]
_Counted: TypeAlias = IntType | DecimalType | TimestampType | DurationType
Allows: TypeAlias = Callable[[RawCall], bool]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One argument and the value that would be allowed in its place; `present` is False where it would be left out."""

    argument: str
    value: Json
    present: bool
    call: RawCall

    @property
    def args(self) -> dict[str, Json]:
        """The arguments of the suggested call."""
        args = self.call["args"]
        return args if isinstance(args, dict) else {}


def nearest_allowed(call: Call, tool: Tool, *, probe: Allows, judge: Allows) -> tuple[Suggestion, ...]:
    """At most one suggestion per argument, in the spec's order. `probe` may err, `judge` has the last word.

    Nothing is suggested in place of what is secret, and suggested calls have it masked as in `call.shown`.
    """
    args: dict[str, Json] = json.loads(call.canonical)["args"]
    found: list[Suggestion] = []
    for argument in tool.arguments:
        if argument.name in call.args and not holds_secret(argument):
            tried = _suggestions(argument, call.args[argument.name], tool, _Try(args, argument.name, tool.name, probe))
            found.extend(islice((each for each in tried if probe(each.call) and judge(each.call)), 1))
    return tuple(found) if call.masked is None else tuple(_masked(each, call.masked, tool) for each in found)


def _masked(suggestion: Suggestion, masked: str, tool: Tool) -> Suggestion:
    """The suggestion, with the masked call's own values where a secret is."""
    shown: dict[str, Json] = json.loads(masked)["args"]
    secret = {each.name for each in tool.arguments if holds_secret(each)}
    args = {name: shown[name] if name in secret else value for name, value in suggestion.args.items()}
    return replace(suggestion, call=_raw(tool.name, args))


def _suggestions(argument: Argument, value: Value, tool: Tool, attempt: _Try) -> Iterator[Suggestion]:
    """Every value to try in an argument's place, then leaving it out."""
    name, args = argument.name, attempt.args
    for candidate in _candidates(value, argument.type, tool, attempt):
        if candidate != args[name]:
            yield Suggestion(name, candidate, present=True, call=_raw(tool.name, {**args, name: candidate}))
    if argument.optional:
        rest = {key: item for key, item in args.items() if key != name}
        yield Suggestion(name, None, present=False, call=_raw(tool.name, rest))


@dataclass(frozen=True, slots=True)
class _Try:
    """The call with another value for one argument."""

    args: dict[str, Json]
    name: str
    tool: str
    probe: Allows

    def __call__(self, value: Json) -> bool:
        return self.probe(_raw(self.tool, {**self.args, self.name: value}))


def _raw(tool: str, args: dict[str, Json]) -> RawCall:
    return {"tool": tool, "args": args}


def _candidates(value: Value, type_: ArgType, tool: Tool, attempt: _Try) -> Iterator[Json]:
    """Values to try, nearest first where nearness means something."""
    match type_, value:
        case BoolType(), bool():
            yield not value
        case (IntType() | DecimalType() | TimestampType() | DurationType(), int()):
            for number in _numbers(value, type_, tool, attempt):
                yield show_value(number, type_)
        case EnumType(values=values), str():
            yield from values
        case (StringType() | PathType(), str()):
            yield from _strings(value, tool)
        case TextType(), str():
            yield from _shorter(value, attempt)
        case ListType(), tuple():
            yield from _fewer(value, type_)
        case _:
            return


def _numbers(value: int, type_: _Counted, tool: Tool, attempt: _Try) -> Iterator[int]:
    """The two edges found by searching downward and upward, then what stands in the rules; nearest first."""
    low, high = _bounds(value, type_)

    def allowed(number: int) -> bool:
        return attempt(show_value(number, type_))

    edges = [edge for end in (low, high) if (edge := _edge(value, end, allowed)) is not None]
    constants = [n + d for n in _constants(tool) if isinstance(n, int) for d in (-1, 0, 1) if low <= n + d <= high]
    yield from sorted(dict.fromkeys((*edges, *constants)), key=lambda number: abs(number - value))[:MAX_CANDIDATES]


def _bounds(value: int, type_: _Counted) -> tuple[int, int]:
    """Between what a value of the type lies; where nothing bounds it, as far as the search goes."""
    match type_:
        case TimestampType():
            return TIMESTAMP_RANGE
        case DurationType():
            return DURATION_RANGE
        case IntType(minimum=low, maximum=high) | DecimalType(minimum=low, maximum=high):
            reach = 1 << MAX_DISTANCE_BITS
            return value - reach if low is None else low, value + reach if high is None else high


def _edge(start: int, end: int, allowed: Callable[[int], bool]) -> int | None:
    """The allowed number nearest to `start` on the way to `end`, as far as doubling steps can see one."""
    sign = 1 if end >= start else -1
    reach = abs(end - start)
    refused = 0
    for bit in range(reach.bit_length() + 1):
        distance = min(1 << bit, reach)
        if distance and allowed(start + sign * distance):
            return start + sign * _bisect(refused, distance, lambda d: allowed(start + sign * d))
        refused = distance
    return None


def _bisect(refused: int, found: int, allowed: Callable[[int], bool]) -> int:
    while found - refused > 1:
        middle = (refused + found) // 2
        if allowed(middle):
            found = middle
        else:
            refused = middle
    return found


def _strings(value: str, tool: Tool) -> Iterator[str]:
    """The constants of the rules, each also as a folder or prefix for the value's own last part."""
    last = value.rpartition("/")[2]
    constants = [constant for constant in _constants(tool) if isinstance(constant, str)][:MAX_CANDIDATES]
    for constant in constants:
        yield constant
        yield constant + last
        yield constant + value


def _shorter(value: str, attempt: _Try) -> Iterator[str]:
    """The longest beginning that is allowed, if shortening helps at all."""
    if len(value) > 0 and attempt(""):
        yield value[: len(value) - _bisect(0, len(value), lambda cut: attempt(value[: len(value) - cut]))]


def _fewer(value: tuple[Value, ...], type_: ListType) -> Iterator[Json]:
    """The list without one of its items, then without any."""
    shown: list[Json] = [show_value(item, type_.items) for item in value]
    for index in range(min(len(shown), MAX_CANDIDATES)):
        yield shown[:index] + shown[index + 1 :]
    yield []


def _constants(tool: Tool) -> list[int | str]:
    """The literals of the tool's rules, in order of their appearance."""
    found: dict[int | str, None] = {}
    pending: list[object] = [rule.when for rule in reversed(tool.rules)]
    while pending:
        node = pending.pop()
        if isinstance(node, Const):
            if not isinstance(node.value, bool):
                found[node.value] = None
        elif isinstance(node, tuple):
            pending.extend(reversed(node))
        elif is_dataclass(node):
            pending.extend(getattr(node, field.name) for field in reversed(fields(node)))
    return list(found)
