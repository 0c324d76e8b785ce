"""One tool as several specs read a raw call of it: arguments that stand for those of all, and what each says of them.

A spec that does not parse a raw call denies it. What one symbol cannot stand for is told, and never taken for compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sandbox.ir import (
    FALSE,
    TRUE,
    And,
    Arg,
    ArgType,
    Argument,
    Const,
    Contract,
    EnumSort,
    EnumType,
    Eq,
    Expr,
    Fact,
    Has,
    Ite,
    ListType,
    Not,
    Or,
    OriginHas,
    RecordType,
    RuleKind,
    ScalarSort,
    Tool,
    sort_of,
)
from sandbox.lang.walk import within
from sandbox.parse import default_value
from sandbox.prove.likeness import Unlike, accepts, together
from sandbox.prove.mentions import arguments_in
from sandbox.prove.rewrite import Wider, renamed, rewritten, widened


@dataclass(frozen=True, slots=True)
class Side:
    """One spec's tool over common arguments (None if it has none): when it parses a raw call, and its defaults."""

    tool: Tool | None
    arguments: tuple[Argument, ...]
    parses: tuple[Expr, ...]
    defaults: Mapping[str, Const]
    wider: Wider

    def said(self, expr: Expr, names: Mapping[str, str]) -> Expr:
        """The expression over common arguments and the machine's variables."""
        sorts = {argument.name: sort_of(argument.type) for argument in self.arguments}

        def change(part: Expr) -> Expr:
            match part:
                case Arg(name=name) if name in self.defaults:
                    return Ite(Has(name), replace(part, sort=sorts[name]), self.defaults[name])
                case Arg(name=name):
                    return replace(part, sort=sorts[name])
                case Has(name=name) if name in self.defaults:
                    return TRUE
                case _:
                    return part

        return renamed(rewritten(widened(expr, self.wider), change), names)

    def rules(self, kind: RuleKind, names: Mapping[str, str]) -> tuple[Expr, ...]:
        """The conditions of its rules of one kind, of a raw call that it parses."""
        if self.tool is None:
            return ()
        return tuple(self.said(rule.when, names) for rule in self.tool.rules if rule.kind == kind)


def read_together(
    specs: Sequence[Contract], tools: Sequence[Tool | None], wider: Wider
) -> tuple[tuple[Side, ...], tuple[str, ...]] | Unlike:
    """How each spec reads a raw call of a tool, and which raw calls that does not speak of."""
    described = [tool for tool in tools if tool is not None]
    names = list(dict.fromkeys(argument.name for tool in described for argument in tool.arguments))
    common: list[Argument] = []
    left_out: list[str] = []
    for name in names:
        read = [any(name in arguments_in(expr) for expr in expressions(tool)) for tool in described]
        declared = [_declared(tool, name) for tool in described]
        both = _together(declared, read)
        if isinstance(both, Unlike):
            return Unlike(f"`{name}` {both.reason}")
        defaults = {each.default for each in declared if each is not None and each.default is not None}
        if len(defaults) > 1 and any(name in _asked_origins(tool) for tool in described):
            return Unlike(f"`{name}` has two defaults, and rules ask where the value comes from")
        common.append(both[0])
        left_out += [f"of `{name}`, {each}" for each in both[1]]
    facts = _other_facts(specs, described)
    if facts:
        return Unlike(f"`session.{facts[0]}`, which its rules read, is of another type")
    arguments = tuple(replace(each, type=_wide_type(each.type, wider)) for each in common)
    inside = _facts_inside(specs, wider)
    sides = (_side(tool, arguments, wider) for tool in tools)
    return tuple(replace(side, parses=(*inside, *side.parses)) for side in sides), tuple(left_out)


def _facts_inside(specs: Sequence[Contract], wider: Wider) -> tuple[Expr, ...]:
    """That each fact whose enum was made wider is still one of its own values."""
    found: list[Expr] = []
    for fact in every_fact(specs, {}):
        if isinstance(fact.type, EnumType) and fact.type.values in wider:
            sort = EnumSort(wider[fact.type.values])
            values = (Eq(Fact(f"session.{fact.name}", sort), Const(each, sort)) for each in fact.type.values)
            found.append(Or(tuple(values)))
    return tuple(found)


def _asked_origins(tool: Tool) -> frozenset[str]:
    every = (part for each in expressions(tool) for part in within(each))
    return frozenset(part.argument for part in every if isinstance(part, OriginHas))


def _declared(tool: Tool, name: str) -> Argument | None:
    return next((argument for argument in tool.arguments if argument.name == name), None)


def _together(declared: Sequence[Argument | None], read: Sequence[bool]) -> tuple[Argument, tuple[str, ...]] | Unlike:
    """One argument for all; optional where they do not agree on whether it must be there, or what stands for it.

    `read` is whether each tool reads it: what stands for an argument that nothing reads does not matter.
    """
    there = [each for each in declared if each is not None]
    type_ = there[0].type
    left_out: tuple[str, ...] = ()
    for each in there[1:]:
        both = together(type_, each.type)
        if isinstance(both, Unlike):
            return both
        type_, left_out = both.type, (*left_out, *both.left_out)
    agreed = len(there) == len(declared) and len({(each.optional, each.default) for each in there}) == 1
    pairs = zip(declared, read, strict=True)
    if not agreed and any(o is not None and o.default is not None and _default(o) is None and r for o, r in pairs):
        return Unlike("has a default in one of them only, and one that is no single value")
    optional = there[0].optional if agreed else True
    return Argument(there[0].name, type_, optional), left_out


def _default(argument: Argument) -> Const | None:
    """The value that stands for an absent one, where that is a single value."""
    sort = sort_of(argument.type)
    value = default_value(argument)
    return Const(value, sort) if isinstance(sort, ScalarSort) and isinstance(value, bool | int | str) else None


def _side(tool: Tool | None, arguments: tuple[Argument, ...], wider: Wider) -> Side:
    if tool is None:
        return Side(None, arguments, (FALSE,), {}, wider)
    parses: list[Expr] = []
    defaults: dict[str, Const] = {}
    for argument in arguments:
        own, there = _declared(tool, argument.name), Has(argument.name)
        if own is None:
            parses.append(Not(there))
            continue
        inside = accepts(Arg(argument.name, sort_of(argument.type)), own.type, argument.type)
        if argument.optional:
            inside = (Or((Not(there), And(inside))),) if inside else ()
            value = _default(own)
            if value is not None:
                defaults[argument.name] = value
            elif not own.optional and own.default is None:
                parses.append(there)
        parses += inside
    return Side(tool, arguments, tuple(parses), {n: _widened(v, wider) for n, v in defaults.items()}, wider)


def _widened(value: Const, wider: Wider) -> Const:
    wide = widened(value, wider)
    return wide if isinstance(wide, Const) else value


def _other_facts(specs: Sequence[Contract], tools: Sequence[Tool]) -> list[str]:
    """Facts of the session that are read and that the specs declare otherwise."""
    types: dict[str, set[ArgType]] = {}
    for fact in (fact for each in specs for fact in each.session):
        types.setdefault(fact.name, set()).add(fact.type)
    other = {name for name, each in types.items() if len(each) > 1}
    return sorted(other & {name for tool in tools for name in _facts_of(tool)}) if other else []


def _facts_of(tool: Tool) -> Iterator[str]:
    for expr in expressions(tool):
        for part in within(expr):
            name = getattr(part, "name", "")
            if name.startswith("session."):
                yield name.removeprefix("session.")


def expressions(tool: Tool) -> Iterator[Expr]:
    """Every expression of a tool."""
    yield from (rule.when for rule in tool.rules)
    for step in (*tool.then, *tool.on_success):
        yield step.value
        if step.key is not None:
            yield step.key


def every_fact(specs: Sequence[Contract], wider: Wider) -> tuple[Argument, ...]:
    """The facts of the session that some spec declares, as the first that does declares them, with wider enums."""
    every = {fact.name: fact for each in reversed(specs) for fact in each.session}
    return tuple(replace(fact, type=_wide_type(fact.type, wider)) for fact in every.values())


def wider_enums(specs: Sequence[Contract]) -> dict[tuple[str, ...], tuple[str, ...]]:
    """For enums that stand for each other in an argument, one with the values of all."""
    groups: list[list[tuple[str, ...]]] = []
    for values in _enums_together(specs):
        near = [group for group in groups if any(each in group for each in values)]
        merged = list(dict.fromkeys([each for group in near for each in group] + values))
        groups = [group for group in groups if group not in near] + [merged]
    wide = {}
    for group in groups:
        every = tuple(dict.fromkeys(value for values in group for value in values))
        wide.update({values: every for values in group if values != every})
    return wide


def _enums_together(specs: Sequence[Contract]) -> Iterator[list[tuple[str, ...]]]:
    names = {tool.name for each in specs for tool in each.tools}
    for name in sorted(names):
        tools = [tool for each in specs if (tool := each.tool(name)) is not None]
        for argument in dict.fromkeys(argument.name for tool in tools for argument in tool.arguments):
            declared = [own.type for tool in tools if (own := _declared(tool, argument)) is not None]
            yield from _enums_at(declared)


def _enums_at(types: Sequence[ArgType]) -> Iterator[list[tuple[str, ...]]]:
    enums = [each.values for each in types if isinstance(each, EnumType)]
    if len(set(enums)) > 1:
        yield list(dict.fromkeys(enums))
    lists = [each.items for each in types if isinstance(each, ListType)]
    if len(lists) > 1:
        yield from _enums_at(lists)
    records = [each for each in types if isinstance(each, RecordType)]
    for name in dict.fromkeys(part.name for each in records for part in each.fields):
        yield from _enums_at([part.type for each in records for part in each.fields if part.name == name])


def _wide_type(type_: ArgType, wider: Wider) -> ArgType:
    match type_:
        case EnumType(values=values):
            return EnumType(wider.get(values, values))
        case ListType(items=items):
            wide = _wide_type(items, wider)
            return replace(type_, items=wide)  # type: ignore[arg-type]  # an item stays one
        case RecordType(fields=parts):
            return RecordType(tuple(replace(part, type=_wide_type(part.type, wider)) for part in parts))
        case _:
            return type_
