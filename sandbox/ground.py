"""The solver's answer about one ground call: substitute the values into the proved terms, and simplify.

The terms are built once per tool, from the same IR and by the same `encode` that the prover uses; so what is asked
here is about the very formula that was proved, but for two things that one call knows: what sets and maps hold at a
key (`asked`), and whether a string satisfies a constant predicate (`asked_atoms`). Only the literal `true` counts: a
term that is left over, for whatever reason, is a fault.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeAlias, cast

import z3

from sandbox.asked import answers, asking, constants_in, identity
from sandbox.asked_atoms import AtomBook, Layer, compare, layers
from sandbox.call import NOTHING_KNOWN
from sandbox.encode import (
    Environment,
    ListTerm,
    MapTerm,
    RecordTerm,
    SetTerm,
    Term,
    assigned,
    literal,
    origin,
    plain,
    scalar,
    single,
    state_literal,
    state_symbol,
    symbols,
)
from sandbox.errors import Fault
from sandbox.ir import (
    VERDICTS,
    Assignment,
    Contract,
    EnumSort,
    ListSort,
    MapSort,
    OriginHas,
    RecordSort,
    ScalarSort,
    SetSort,
    Sort,
    TextSort,
    TimestampSort,
    Tool,
    Variable,
    sort_of,
)
from sandbox.machine import SUCCEED, verdict_of
from sandbox.origins import origins_asked
from sandbox.regex import Atom

if TYPE_CHECKING:
    from sandbox.call import EngineVerdict, Value

MAX_CHECKS_PER_CONTEXT: Final = 5_000
"""A Z3 context keeps what it has seen; it is thrown away after so many checks."""

SIMPLIFIER_PASSES: Final = 2
"""What Z3's rewriter does not reduce in two passes is a fault; no operator of the language needs a third."""


@dataclass(frozen=True, slots=True)
class Question:
    """What the evaluator claims of one call. A text argument is given by its size.

    Of a permit: its verdict, and the values of `then`. Of a success (`verdict` is `succeed`): those of `on_success`.
    """

    tool: str
    args: Mapping[str, Value]
    state: Mapping[str, Value]
    verdict: str
    updates: Mapping[str, Value]
    facts: Mapping[str, Value] = field(default_factory=dict)
    origins: Mapping[str, Collection[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """The solver's own verdict, and what is wrong ('' if it agrees in the verdict and in every update)."""

    verdict: EngineVerdict
    objection: str


_Updates: TypeAlias = Mapping[str, tuple[Term, z3.BoolRef]]


@dataclass(frozen=True, slots=True)
class _Terms:
    """One tool: its symbols, the claim of each verdict, and each assigned value equated with a free `next_x`.

    `read` are the ids of the free constants in all of these: of a long list, only what rules look at is put in.
    `wholes` has, for what the evaluator may claim, all of it in one term: a verdict with every value of `then`, a
    success with every value of `on_success`.
    """

    env: Environment
    read: frozenset[int]
    asked: tuple[Layer, ...]
    atoms: AtomBook
    claims: Mapping[str, z3.BoolRef]
    then: _Updates
    on_success: _Updates
    wholes: Mapping[str, z3.BoolRef]
    origins: tuple[tuple[OriginHas, z3.BoolRef], ...]


class GroundChecker:
    """Answers questions about one contract in a Z3 context of its own. Not thread-safe."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._ctx = z3.Context()
        self._terms: dict[str, _Terms] = {}
        self._checks = 0

    def prepare(self) -> None:
        """Build the terms of every tool now, so that no answer has to wait for them.

        Raises Fault where automaton and solver say different things of a string predicate in them.
        """
        atoms = frozenset[Atom]()
        for tool in self._contract.tools:
            atoms |= self._terms_of(tool).atoms.atoms()
        compare(atoms, self._ctx)

    def answer(self, question: Question) -> Answer:
        """The solver's own verdict on the call, and whether it confirms the evaluator's claim."""
        tool = self._contract.tool(question.tool)
        if tool is None:
            return Answer("fault", "the solver does not know the tool")
        self._renew()
        terms = self._terms_of(tool)
        values = substitution(self._contract, tool, terms.env, terms.read, question)
        values += origin_pairs(terms.origins, question)
        values += lookups(terms, values, question)
        if self._confirms(terms, values, question):
            return Answer("allow" if question.verdict == SUCCEED else cast("EngineVerdict", question.verdict), "")
        if question.verdict == SUCCEED:
            return Answer("allow", self._objection_to_updates(tool, terms.on_success, values, question))
        verdict = self._verdict(terms, values, question.verdict)
        if verdict != question.verdict:
            return Answer(verdict, f"the evaluator says `{question.verdict}` and the solver `{verdict}`")
        if verdict == "deny":
            return Answer(verdict, "")
        return Answer(verdict, self._objection_to_updates(tool, terms.then, values, question))

    def _confirms(self, terms: _Terms, values: _Pairs, question: Question) -> bool:
        """Whether all that is claimed reduces to `true` at once. If not, the rest of `answer` finds out why."""
        written = terms.on_success if question.verdict == SUCCEED else terms.then
        claimed = {} if question.verdict == "deny" else question.updates
        if question.verdict not in terms.wholes or (question.verdict != "deny" and set(claimed) != set(written)):
            return False
        next_values = [self._stored(name, written[name][0], claimed[name]) for name in claimed]
        return reduces_to_true(terms.wholes[question.verdict], [*values, *next_values])

    def _stored(self, name: str, following: Term, update: Value) -> Given:
        """The value that would be stored, for its free `next_x`."""
        variable = self._contract.variable(name)
        if variable is None:
            message = f"`{name}` is no state variable"
            raise Fault(message)
        stored = changed(variable, state_symbol(variable, self._ctx), update, self._ctx)
        return Given(whole(following), whole(stored))

    def _verdict(self, terms: _Terms, values: _Pairs, claimed: str) -> EngineVerdict:
        for verdict in (claimed, *VERDICTS):
            if verdict in terms.claims and reduces_to_true(terms.claims[verdict], values):
                return verdict  # type: ignore[return-value]  # a member of VERDICTS
        return "fault"

    def _objection_to_updates(self, tool: Tool, written: _Updates, values: _Pairs, question: Question) -> str:
        if set(question.updates) != set(written):
            return "the evaluator assigns other variables than the spec"
        for name, (following, equal) in written.items():
            if not reduces_to_true(equal, [*values, self._stored(name, following, question.updates[name])]):
                return f"the evaluator would store another value of `{name}` in `{tool.name}` than the solver"
        return ""

    def _terms_of(self, tool: Tool) -> _Terms:
        if tool.name not in self._terms:
            self._terms[tool.name] = self._build(tool)
        return self._terms[tool.name]

    def _build(self, tool: Tool) -> _Terms:
        free = symbols(self._contract, tool, self._ctx)
        state, asked = asking(self._contract, free)
        atoms = AtomBook(self._ctx)
        facts = {**free.facts, **tool_fact(self._contract, tool, self._ctx)}
        env = replace(free, state=state, facts=facts, atoms=atoms)
        verdict = scalar(verdict_of(tool), env)
        claims = {name: verdict == position for position, name in enumerate(VERDICTS)}
        then, on_success = self._updates(tool.then, env), self._updates(tool.on_success, env)
        wholes = {name: self._all(claim, {} if name == "deny" else then) for name, claim in claims.items()}
        wholes[SUCCEED] = self._all(z3.BoolVal(val=True, ctx=self._ctx), on_success)
        subjects = (own[0].subject for own in atoms.made())
        read = frozenset(constants_in([*wholes.values(), *subjects, *(each.key for each in asked())]))
        origins = tuple((each, origin(each.argument, each.label, env)) for each in origins_asked(tool))
        return _Terms(env, read, layers(asked(), atoms.made()), atoms, claims, then, on_success, wholes, origins)

    def _all(self, claim: z3.BoolRef, written: _Updates) -> z3.BoolRef:
        return z3.And(claim, *(equal for _, equal in written.values()))

    def _updates(self, assignments: tuple[Assignment, ...], env: Environment) -> _Updates:
        after = assigned(self._contract, assignments, env)
        names = {assignment.variable for assignment in assignments}
        following = {v.name: state_symbol(v, self._ctx, "@next") for v in self._contract.variables if v.name in names}
        return {name: (symbol, whole(symbol) == whole(after[name])) for name, symbol in following.items()}

    def _renew(self) -> None:
        self._checks += 1
        if self._checks > MAX_CHECKS_PER_CONTEXT:
            self._ctx, self._terms, self._checks = z3.Context(), {}, 1


@dataclass(frozen=True, slots=True)
class Given:
    """A symbol, the term that it stands for in this call, and the value of that; None of what is absent or no value.

    The term is None where none is needed: no term of the tool has the symbol.
    """

    symbol: z3.ExprRef
    term: z3.ExprRef | None
    value: Value | None = None


_Pairs: TypeAlias = list[Given]


def reduces_to_true(term: z3.BoolRef, values: _Pairs) -> bool:
    """Whether the term, with the values put in, simplifies to the literal `true`; nothing else counts."""
    return is_literally_true(z3.BoolRef(put_in(term, values), term.ctx))


def put_in(term: z3.ExprRef, values: _Pairs) -> z3.Ast:
    """The term with the values put in. The raw call: z3py's own re-checks every pair, at seven times the cost."""
    pairs = [(each.symbol.as_ast(), each.term.as_ast()) for each in values if each.term is not None]
    ctx, count = term.ctx.ref(), len(pairs)
    old, new = (z3.Ast * count)(*(one for one, _ in pairs)), (z3.Ast * count)(*(other for _, other in pairs))
    return z3.Z3_substitute(ctx, term.as_ast(), count, old, new)


def lookups(terms: _Terms, values: _Pairs, question: Question) -> _Pairs:
    """What the call looks up in sets and maps, with what they hold there; and which string predicates hold."""
    known = {identity(each.symbol): each.value for each in values}
    found = [Given(symbol, term) for symbol, term in terms.atoms.answers(known)]

    def reduced(key: z3.ExprRef) -> z3.ExprRef:
        ground = key.__class__(put_in(key, [*values, *found]), key.ctx)
        for _ in range(SIMPLIFIER_PASSES):
            ground = z3.simplify(ground)
            if z3.is_string_value(ground) or z3.is_int_value(ground):
                break
        return ground

    for layer in terms.asked:
        told = list(answers(layer.asked, known, question.state, reduced))
        for own in layer.made:
            told += terms.atoms.answers_of(own, reduced(own[0].subject))
        found += [Given(symbol, term) for symbol, term in told]
    return found


def is_literally_true(ground: z3.BoolRef) -> bool:
    """Whether a ground term simplifies to `true`, in one pass or two.

    The order of strings needs the second: `"" < "a"` is rewritten to `not ("" = "a")` and left there by the first.
    """
    for _ in range(SIMPLIFIER_PASSES):
        ground = z3.BoolRef(z3.Z3_simplify(ground.ctx.ref(), ground.as_ast()), ground.ctx)
        if z3.is_true(ground) or z3.is_false(ground):
            return bool(z3.is_true(ground))
    return False


def substitution(contract: Contract, tool: Tool, env: Environment, read: frozenset[int], question: Question) -> _Pairs:
    """Each free constant of the tool's terms with its value in this call; what is absent gets some value.

    `read` are the ids of those that are needed as terms.
    """
    values = Values(env.ctx, read)
    pairs: _Pairs = []
    for argument in tool.arguments:
        value = question.args.get(argument.name)
        if argument.optional:
            pairs.append(values.flag(env.present[argument.name], there=value is not None))
        pairs += values.pairs(env.args[argument.name], value, sort_of(argument.type))
    for variable in contract.variables:
        if not isinstance(variable.sort, SetSort | MapSort):
            held = literal(question.state[variable.name], variable.sort, env.ctx)
            pairs.append(Given(single(env.state[variable.name]), held))
    facts = {"now": TimestampSort(), **{f"session.{fact.name}": sort_of(fact.type) for fact in contract.session}}
    for name, sort in facts.items():
        pairs += values.pairs(env.facts[name], question.facts.get(name), sort)
    return pairs


def origin_pairs(asked: tuple[tuple[OriginHas, z3.BoolRef], ...], question: Question) -> _Pairs:
    """Whether the value has the label, for each argument and label that the tool's rules ask about."""
    known = [(each.label in question.origins.get(each.argument, NOTHING_KNOWN), term) for each, term in asked]
    return [Given(term, z3.BoolVal(val=held, ctx=term.ctx)) for held, term in known]


def whole(term: Term) -> z3.ExprRef:
    """The one Z3 term of a state variable: of a set its array of members, of a map that of its values."""
    match term:
        case SetTerm(members=members):
            return members
        case MapTerm(values=values):
            return values
        case _:
            return single(term)


def changed(variable: Variable, before: Term, update: Value, ctx: z3.Context) -> Term:
    """The term of what a variable becomes by an update that is claimed."""
    match variable.sort, before, update:
        case SetSort(item=item), SetTerm(), tuple():
            for name, inside in (each for each in update if isinstance(each, tuple)):
                before = before.put(literal(name, item, ctx), inside=inside is True)
            return before
        case MapSort(key=key, value=number), MapTerm(), Mapping():
            for name, value in update.items():
                before = before.put(literal(name, key, ctx), literal(value, number, ctx))
            return before
        case _:
            return state_literal(variable, update, ctx)


@dataclass(frozen=True, slots=True)
class Values:
    """Makes pairs of constants and the values of one call."""

    ctx: z3.Context
    read: frozenset[int]

    def flag(self, symbol: z3.BoolRef, *, there: bool) -> Given:
        """Whether something is there."""
        return Given(symbol, z3.BoolVal(val=there, ctx=self.ctx))

    def pairs(self, term: Term, value: Value | None, sort: Sort) -> _Pairs:
        """The constants of a value of any sort with what they are; None is an absent one."""
        if isinstance(term, ListTerm) and isinstance(sort, ListSort):
            return self._list(term, () if value is None else value, sort)
        if isinstance(term, RecordTerm) and isinstance(sort, RecordSort):
            return self._record(term, {} if value is None else value, sort)
        return [self._one(single(term), value, sort)]

    def _one(self, symbol: z3.ExprRef, value: Value | None, sort: Sort) -> Given:
        if identity(symbol) not in self.read:
            return Given(symbol, None, value)
        if value is None:
            return Given(symbol, single(plain(sort, self.ctx)))
        if isinstance(sort, TextSort):
            return Given(symbol, z3.IntVal(value, self.ctx))
        return Given(symbol, literal(value, sort, self.ctx), value)

    def _list(self, term: ListTerm, value: Value, sort: ListSort) -> _Pairs:
        """The length and every element of a list.

        What lies beyond its end gets no value: no term may depend on it, and one that did would be left over, a fault.
        """
        if not isinstance(value, tuple) or len(value) > len(term.items):
            message = "a list is longer than its type allows"
            raise Fault(message)
        pairs: _Pairs = [Given(term.length, z3.IntVal(len(value), self.ctx))]
        for item, element in zip(term.items, value, strict=False):
            pairs += self.pairs(item, element, sort.item)
        return pairs

    def _record(self, term: RecordTerm, value: Value, sort: RecordSort) -> _Pairs:
        """Every part of a record, and whether its optional parts are there."""
        if not isinstance(value, Mapping):
            message = "a record is no mapping"
            raise Fault(message)
        pairs: _Pairs = []
        for part in sort.fields:
            inner = value.get(part.name)
            if part.optional:
                pairs.append(self.flag(term.present[part.name], there=inner is not None))
            pairs += self.pairs(term.parts[part.name], inner, part.sort)
        return pairs


def tool_fact(contract: Contract, tool: Tool, ctx: z3.Context) -> Mapping[str, z3.ExprRef]:
    """The fact `tool`, constant in a rule."""
    sort: ScalarSort = EnumSort(tuple(each.name for each in contract.tools))
    return {"tool": literal(tool.name, sort, ctx)}
