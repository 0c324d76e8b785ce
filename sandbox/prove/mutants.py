"""Is the spec saying what was meant? Every rule, bound and assignment weakened in turn, and who notices.

A mutant that no property refutes is one that nobody would miss: it is shown with a call by which it differs, found by
the prover in the original's own reachable states and judged by both. A mutant that no call can tell apart is
equivalent, and counts for nothing; that is shown by a proof, never by a search that ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, TypeAlias, assert_never

from sandbox.canonical import show_decimal
from sandbox.ir import (
    FALSE,
    Add,
    And,
    Arg,
    Argument,
    Assignment,
    Const,
    Contract,
    DecimalType,
    Eq,
    Expr,
    Fact,
    Has,
    IntSort,
    IntType,
    Lt,
    MapSort,
    Matches,
    Not,
    Property,
    Rule,
    SetSort,
    State,
    StringType,
    Tool,
    sort_of,
)
from sandbox.machine import VERDICT_SORT
from sandbox.prove.mentions import facts_in
from sandbox.prove.run import Batch, ProveOptions, prove_batches
from sandbox.prove.said import said
from sandbox.prove.tighten import laxer
from sandbox.prove.verdicts import Proved, Refuted, Replayed, Vacuous, Verdict, replay_of
from sandbox.prove.weaken import stronger, weaker

Fate: TypeAlias = Literal["caught", "survived", "equivalent", "undecided"]

DIFFERENCE: Final = "difference"
"""The id of the `possible` that looks for a call which tells a mutant from the original."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One weakening. `what` names the place, `before` and `after` are in the words of the language.

    `differs` is what a call must be to show it, None where no single call can. It is asked of the original's reachable
    states, or of the mutant's, where the original does not even read the call.
    """

    tool: str
    what: str
    before: str
    after: str
    contract: Contract
    differs: Expr | None
    asked_of_mutant: bool = False


@dataclass(frozen=True, slots=True)
class Tried:
    """A mutant and what became of it: the properties that caught it, or the calls that show what nobody noticed."""

    mutant: Mutant
    fate: Fate
    caught_by: tuple[str, ...] = ()
    witness: Replayed | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """Every mutant of one spec, in its order."""

    spec: str
    tried: tuple[Tried, ...]

    def count(self, fate: Fate) -> int:
        """How many ended so."""
        return sum(each.fate == fate for each in self.tried)

    @property
    def exit_code(self) -> int:
        """1 where a mutant survived, else 3 where one was not decided, else 0."""
        return 1 if self.count("survived") else 3 if self.count("undecided") else 0


def mutate(
    contract: Contract,
    properties: Sequence[Property],
    file: Path,
    options: ProveOptions | None = None,
    on_tried: Callable[[Tried, int], None] = lambda _tried, _count: None,
) -> Score:
    """Try every mutant of the contract against those of the properties that hold of the original."""
    options = replace(options or ProveOptions(), update=False, locked=False, emit_dir=None)
    sound = _sound(contract, tuple(properties), file, options)
    made = tuple(mutants(contract))
    tried = []
    for each in made:
        tried.append(_tried(each, contract, sound, file, options))
        on_tried(tried[-1], len(made))
    return Score(contract.name, tuple(tried))


# --- what is changed ---------------------------------------------------------------------------------


def mutants(contract: Contract) -> Iterator[Mutant]:
    """Every mutant: rules in file order, then what calls spend, then what arguments may be."""
    for tool in contract.tools:
        for rule in tool.rules:
            yield from _of_rule(contract, tool, rule)
        yield from _of_then(contract, tool)
        yield from _of_arguments(contract, tool)


def _of_rule(contract: Contract, tool: Tool, rule: Rule) -> Iterator[Mutant]:
    def made(after: str, changed: Rule) -> Mutant:
        rules = tuple(changed if each is rule else each for each in tool.rules)
        other = replace(tool, rules=rules)
        what = f"rule `{rule.id}` of `{tool.name}`"
        return Mutant(
            tool.name, what, f"{rule.kind}: {said(rule.when)}", after, _with(contract, other), laxer(tool, other)
        )

    match rule.kind:
        case "deny":
            yield made("left out", replace(rule, when=FALSE))
            changes = stronger(rule.when)
        case "ask":
            yield made("allow, without asking", replace(rule, kind="allow"))
            changes = weaker(rule.when)
        case "allow":
            changes = weaker(rule.when)
        case _:
            assert_never(rule.kind)
    for changed in dict.fromkeys(changes):
        if changed not in {rule.when, FALSE}:
            yield made(f"{rule.kind}: {said(changed)}", replace(rule, when=changed))


def _of_then(contract: Contract, tool: Tool) -> Iterator[Mutant]:
    for at, each in enumerate(tool.then):
        what, before = f"`then` of `{tool.name}`", f"{each.target}: {said(each.value)}"
        changes = _changes(contract, each)
        without = replace(tool, then=(*tool.then[:at], *tool.then[at + 1 :]))
        yield Mutant(tool.name, what, before, "left out", _with(contract, without), changes)
        if isinstance(each.value, Add):
            kept = replace(each, value=each.value.left)
            less = replace(tool, then=(*tool.then[:at], kept, *tool.then[at + 1 :]))
            yield Mutant(tool.name, what, before, f"{each.target}: {said(kept.value)}", _with(contract, less), changes)


def _of_arguments(contract: Contract, tool: Tool) -> Iterator[Mutant]:
    for at, argument in enumerate(tool.arguments):
        for before, after, wider, beyond in _wider(argument):
            changed = replace(argument, type=wider)
            other = replace(tool, arguments=(*tool.arguments[:at], changed, *tool.arguments[at + 1 :]))
            there = (Has(argument.name),) if argument.optional else ()
            differs = And((*there, beyond, _PERMITTED))
            what = f"argument `{argument.name}` of `{tool.name}`"
            yield Mutant(tool.name, what, before, after, _with(contract, other), differs, asked_of_mutant=True)


_Wider: TypeAlias = IntType | DecimalType | StringType


def _wider(argument: Argument) -> Iterator[tuple[str, str, _Wider, Expr]]:
    """Each bound made wider by one, or taken away: before, after, the wider type, and what only that lets in."""
    type_ = argument.type
    value = Arg(argument.name, sort_of(type_))
    match type_:
        case IntType(minimum=low, maximum=high):
            yield f"max: {high}", f"max: {high + 1}", replace(type_, maximum=high + 1), Lt(_number(high), value)
            yield f"min: {low}", f"min: {low - 1}", replace(type_, minimum=low - 1), Lt(value, _number(low))
        case DecimalType(scale=scale, minimum=least, maximum=most):
            if most is not None:
                texts = (f"max: {show_decimal(most, scale)}", f"max: {show_decimal(most + 1, scale)}")
                yield *texts, replace(type_, maximum=most + 1), Lt(_number(most), value)
            if least is not None:
                texts = (f"min: {show_decimal(least, scale)}", f"min: {show_decimal(least - 1, scale)}")
                yield *texts, replace(type_, minimum=least - 1), Lt(value, _number(least))
        case StringType(pattern=pattern) if pattern is not None:
            yield (
                f"pattern: {pattern}",
                "no pattern",
                replace(type_, pattern=None),
                Not(Matches(value, f"^({pattern})$")),
            )
        case _:
            return


def _number(value: int) -> Const:
    return Const(value, IntSort())


def _with(contract: Contract, changed: Tool) -> Contract:
    return replace(contract, tools=tuple(changed if each.name == changed.name else each for each in contract.tools))


def _is(verdict: Expr, name: str) -> Expr:
    return Eq(verdict, Const(name, VERDICT_SORT))


_PERMITTED: Final = Not(_is(Fact("decision", VERDICT_SORT), "deny"))


def _changes(contract: Contract, assignment: Assignment) -> Expr | None:
    """Whether an assignment changes the scalar that it assigns; of a set or map that is not asked."""
    variable = contract.variable(assignment.variable)
    if variable is None or assignment.key is not None or isinstance(variable.sort, SetSort | MapSort):
        return None
    return And((_PERMITTED, Not(Eq(assignment.value, State(variable.name, variable.sort)))))


# --- who notices -------------------------------------------------------------------------------------


def _sound(
    contract: Contract, properties: tuple[Property, ...], file: Path, options: ProveOptions
) -> tuple[Property, ...]:
    """The properties that hold of the original: `never` and `always`, for a weaker spec can always do what it could."""
    asked = tuple(each for each in properties if each.kind != "possible")
    if not asked:
        return ()
    report = prove_batches([Batch(file, contract, asked)], options)
    return tuple(each.subject for each in report.properties if isinstance(each.verdict, Proved))


def _tried(
    mutant: Mutant, original: Contract, properties: tuple[Property, ...], file: Path, options: ProveOptions
) -> Tried:
    verdicts = _verdicts(mutant.contract, properties, file, options)
    caught = tuple(each.id for each, verdict in verdicts if isinstance(verdict, Refuted | Vacuous))
    if caught:
        return Tried(mutant, "caught", caught)
    shown = _difference(mutant, original, file, options)
    match shown:
        case Refuted():
            return Tried(mutant, "equivalent")
        case Proved():
            open_ = any(not isinstance(verdict, Proved) for _, verdict in verdicts)
            return Tried(mutant, "undecided" if open_ else "survived", witness=replay_of(shown))
        case None if all(isinstance(verdict, Proved) for _, verdict in verdicts):
            return Tried(mutant, "survived")
        case _:
            return Tried(mutant, "undecided")


def _verdicts(
    contract: Contract, properties: tuple[Property, ...], file: Path, options: ProveOptions
) -> list[tuple[Property, Verdict]]:
    if not properties:
        return []
    report = prove_batches([Batch(file, contract, properties)], options)
    return [(each.subject, each.verdict) for each in report.properties]


def _difference(mutant: Mutant, original: Contract, file: Path, options: ProveOptions) -> Verdict | None:
    """Whether a sequence of calls leads to one that tells the two apart; None where no single call can."""
    if mutant.differs is None:
        return None
    text = f"{mutant.what}: {mutant.before} -> {mutant.after}"
    tools, decided = (mutant.tool,), "decision" in facts_in(mutant.differs)
    subject = Property(DIFFERENCE, "possible", mutant.differs, tools, mentions_decision=decided, text=text)
    contract = mutant.contract if mutant.asked_of_mutant else original
    (report,) = prove_batches([Batch(file, contract, (subject,))], options).properties
    return report.verdict
