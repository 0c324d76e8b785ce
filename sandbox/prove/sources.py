"""Whose words a conjunct is: the rule, bound, pattern, invariant or state variable that put it into an obligation.

The terms of one context are shared: what is encoded once more is the very same term, and is found again by its id. What
is not found so is told by the names of its free constants.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

import z3

from sandbox.canonical import show_decimal
from sandbox.encode import Environment, part_domain, symbols
from sandbox.ir import VERDICTS, Argument, Contract, DecimalType, Expr, Not, Property, StringType, TextType, Tool
from sandbox.machine import is_window
from sandbox.prove.cores import conjuncts
from sandbox.prove.focus import for_tool
from sandbox.prove.mentions import facts_in
from sandbox.prove.nodes import nodes_in
from sandbox.prove.obligations import (
    Ground,
    Query,
    following_terms,
    initial_terms,
    is_written,
    state_symbols,
    succeeded_terms,
    term,
    ticked,
    tool_of,
)
from sandbox.prove.record import QUESTION, Source

ITS_TYPE: Final = "its type"
BEFORE: Final = Source("property", "", "before")
AFTER: Final = Source("property", "", "after")


_Table: TypeAlias = dict[int, tuple[z3.BoolRef, Source]]
_CONSTANT: Final = re.compile(r"(?:has@)?(?P<kind>arg|has|session|state)_(?P<name>[^@]*)(?P<later>@later)?(?:@.*)?")


@dataclass(slots=True)
class Naming:
    """Names the parts of obligations about one property. `others` are the conditions that its attempt was given.

    `ids` are the ids of the properties that say them.
    """

    contract: Contract
    subject: Property
    others: tuple[Expr, ...]
    ids: tuple[str, ...]
    found: dict[str, Expr] = field(default_factory=dict)
    _tables: dict[tuple[z3.Context, str, tuple[str, ...]], _Table] = field(default_factory=dict)

    def learn(self, found: Mapping[str, Expr]) -> None:
        """Know these invariants, which were found on the way, by their texts."""
        self.found.update(found)
        self._tables.clear()

    def source(self, query: Query, part: z3.BoolRef) -> Source:
        """Where a part of a query comes from."""
        key = (part.ctx, query.tool, tuple(flag for each in query.tracked for flag in each.flags))
        table = self._tables.get(key)
        if table is None:
            table = self._tables[key] = self._table(query, part.ctx)
        found = table.get(part.get_id())
        return found[1] if found is not None else by_constants(query.tool, part)

    def _table(self, query: Query, ctx: z3.Context) -> _Table:
        """The parts that are known, with the terms themselves, whose ids are theirs only as long as they live."""
        table: _Table = {}
        for part, source in self._known(query, Ground(self.contract, ctx)):
            table.setdefault(part.get_id(), (part, source))
        return table

    def _known(self, query: Query, ground: Ground) -> Iterator[tuple[z3.BoolRef, Source]]:
        env = Environment(ground.ctx, state=state_symbols(ground))
        tool = tool_of(self.contract, query.tool) if query.tool else None
        if tool is not None:
            env = symbols(self.contract, tool, ground.ctx)
            env = replace(env, args={**env.args, **{each.argument: each.term for each in query.tracked}})
            yield from _sourced(self._asked(ground, tool, env), AFTER if self.subject.kind == "always" else QUESTION)
        if self.subject.kind == "always":
            later = Environment(ground.ctx, state=ticked(ground, env)[0])
            yield from _sourced([z3.Not(term(self.subject.condition, later, {}))], AFTER)
            yield from _sourced([term(self.subject.condition, env, {})], BEFORE)
        for id_, other in zip(self.ids, self.others, strict=True):
            yield from _sourced([term(other, env, {})], Source("invariant", id_))
        yield from self._of_state(env, ground)
        if tool is not None:
            yield from _of_arguments(self.contract, tool, env)
            yield from _of_rules(tool, env)
        for text, each in self.found.items():
            yield from _sourced(_everywhere(each, env, ground, tool), Source("found", text))

    def _asked(self, ground: Ground, tool: Tool, env: Environment) -> Iterator[z3.BoolRef]:
        """The question in every form in which an obligation about the tool has it."""
        if self.subject.kind == "always":
            after = Environment(env.ctx, state=following_terms(ground, tool, env))
            yield z3.Not(term(self.subject.condition, after, {}))
            return
        if tool.name not in self.subject.tools:
            return
        condition = for_tool(self.subject.condition, tool)
        rules = ("", *(rule.id for rule in tool.rules)) if "rule" in facts_in(condition) else ("",)
        for verdict in VERDICTS:
            for rule in rules:
                yield term(condition, env, {"tool": tool.name, "decision": verdict, "rule": rule})

    def _of_state(self, env: Environment, ground: Ground) -> Iterator[tuple[z3.BoolRef, Source]]:
        initial = initial_terms(ground)
        for variable in self.contract.variables:
            value, first = env.state[variable.name], initial[variable.name]
            if not isinstance(value, z3.ExprRef) or not isinstance(first, z3.ExprRef):
                continue
            if is_window(variable):
                yield value >= 0, Source("window", variable.name)
            elif not is_written(self.contract, variable):
                yield value == first, Source("unwritten", variable.name)


def _everywhere(invariant: Expr, env: Environment, ground: Ground, tool: Tool | None) -> Iterator[z3.BoolRef]:
    """An invariant as it is assumed, and as it is to be shown after time has passed, a permit and a success."""
    yield term(invariant, env, {})
    states = [ticked(ground, env)[0]]
    states += [] if tool is None else [following_terms(ground, tool, env), succeeded_terms(ground, tool, env)]
    for state in states:
        yield z3.Not(term(invariant, Environment(ground.ctx, state=state), {}))


def by_constants(tool: str, part: z3.BoolRef) -> Source:
    """Where a part comes from, as far as the constants in it tell: of several things, it is part of the question."""
    found = [match for name in _names(part) if (match := _CONSTANT.fullmatch(name))]
    kinds = {"argument" if match["kind"] in {"arg", "has"} else match["kind"] for match in found}
    names = {match["name"] for match in found}
    if not found and "now" in {name.partition("@")[0] for name in _names(part)}:
        return Source("time", "now")
    if len(names) != 1 or len(kinds) != 1:
        return QUESTION
    (kind,), (name,) = kinds, names
    match kind:
        case "argument":
            return Source("argument", f"{tool}.{name}", ITS_TYPE)
        case "session":
            return Source("session", name, ITS_TYPE)
        case _ if any(match["later"] for match in found):
            return Source("window", name)
        case _:
            return Source("state", name, ITS_TYPE)


def _sourced(terms: Iterable[z3.BoolRef], source: Source) -> Iterator[tuple[z3.BoolRef, Source]]:
    for part in conjuncts(terms):
        yield part, source


def _of_rules(tool: Tool, env: Environment) -> Iterator[tuple[z3.BoolRef, Source]]:
    for rule in tool.rules:
        for when in (rule.when, Not(rule.when)):
            yield from _sourced([term(when, env, {"tool": tool.name})], Source("rule", f"{tool.name}.{rule.id}"))


def _of_arguments(contract: Contract, tool: Tool, env: Environment) -> Iterator[tuple[z3.BoolRef, Source]]:
    for each in tool.arguments:
        guaranteed = part_domain(each, env.args[each.name], env.present.get(each.name), env.ctx)
        for number, part in enumerate(conjuncts([guaranteed])):
            yield part, Source("argument", f"{tool.name}.{each.name}", words_of(each, part, number))
    for each in contract.session:
        guaranteed = part_domain(each, env.facts[f"session.{each.name}"], None, env.ctx)
        for number, part in enumerate(conjuncts([guaranteed])):
            yield part, Source("session", each.name, words_of(each, part, number))


def words_of(argument: Argument, part: z3.BoolRef, number: int) -> str:
    """What a part of an argument's type says, as its author would; the first of a string's is about its characters."""
    type_ = argument.type
    if isinstance(type_, StringType) and z3.is_app_of(part, z3.Z3_OP_SEQ_IN_RE):
        return f"pattern {type_.pattern}" if number else ITS_TYPE
    if not (z3.is_ge(part) or z3.is_le(part)) or not z3.is_int_value(part.arg(1)):
        return ITS_TYPE
    bound = part.arg(1).as_long()
    said = show_decimal(bound, type_.scale) if isinstance(type_, DecimalType) else str(bound)
    sized = isinstance(type_, TextType) or z3.is_app_of(part.arg(0), z3.Z3_OP_SEQ_LENGTH)
    unit = " characters" if sized else ""
    return f"{'at least' if z3.is_ge(part) else 'at most'} {said}{unit}"


def _names(part: z3.BoolRef) -> set[str]:
    """The names of the free constants in a term."""
    return {str(node.term().decl().name()) for node in nodes_in((part,)) if node.is_free()}
