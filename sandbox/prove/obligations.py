"""What is asked of the solver, as conjunctions of Z3 terms. Every function says what its being unsatisfiable means.

The terms come from `encode` over the IR that the gate runs: a tool's rules and `then`, `verdict_of` by its cases.
A tool is split into its cases: each rule as the deciding one, and the default. They are proved one by one.

Time is abstracted from above. The state that a rule reads at a later time is one of: for each reset period, either
what it was or, for all variables of that period together, `initial`; for each window, any sum between 0 and what it
was, since what leaves a window are amounts shown to be >= 0 (else: anything at all). Of a map with a window this holds
at each key. Real clocks reach fewer states, so what holds of all of these holds.

Sets and maps are arrays, free ones in a state of which nothing is known. `keys` says how all keys of a map are looked
at without a quantifier, `scopes` what is looked at where principals or sessions have variables of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Literal

import z3

from sandbox.encode import (
    Environment,
    ListTerm,
    MapTerm,
    RecordTerm,
    Term,
    assigned,
    choice,
    constant,
    domain,
    fact_domain,
    fact_symbols,
    in_range,
    initial_literal,
    literal,
    scalar,
    single,
    state_domain,
    state_symbol,
    symbols,
)
from sandbox.errors import Fault
from sandbox.ir import (
    TIMESTAMP_RANGE,
    VERDICTS,
    And,
    Assignment,
    CollectionSort,
    Contract,
    EnumSort,
    Expr,
    MapSort,
    Not,
    Or,
    Property,
    ScalarSort,
    TextSort,
    Tool,
    Variable,
    sort_of,
)
from sandbox.machine import is_window
from sandbox.prove.keys import Said, at_every_key, of_type, read_keys
from sandbox.prove.mentions import facts_in
from sandbox.prove.narrow import narrow_domain, narrow_fact_domain, parts, strings_of
from sandbox.prove.ordered import windows_in_order
from sandbox.prove.quiet import quiet, shortened
from sandbox.prove.sameness import PREFIX
from sandbox.prove.scopes import OTHER, Apart, differing_keys, keys_seen, seen_by, ways_apart
from sandbox.prove.tracked import Tracked, by_few, lists_of

if TYPE_CHECKING:
    from sandbox.call import Verdict

PERMIT = "@permit"
"""What tells the state in which a call was permitted from the one in which it succeeds."""

NO_VALUE = -1
"""The position of a name that an enum does not have: equal to none of its values."""


@dataclass(frozen=True, slots=True)
class Query:
    """Is this conjunction satisfiable? `label` names it in files and reasons.

    The terms are `given`, or what makes them, once they are wanted.
    `expected` is what a proof needs: `unsat`, or `sat` of a hypothesis, or `either` where both answers are of use.
    `narrow` implies the terms, if it is not empty: where to look for a model first; `narrower` makes it, once it is
    wanted. `tool` is the one that it is about, `lemma` the window that its answer shows to grow, '' for none. `strings`
    is how many strings its calls can have.
    `fewer` makes a query with fewer elements of its lists that has a model if this one has one; it makes None where
    there is no such query. In that one `tracked` are the lists.
    """

    label: str
    given: tuple[z3.BoolRef, ...] | Callable[[], tuple[z3.BoolRef, ...]]
    expected: Literal["unsat", "sat", "either"] = "unsat"
    narrower: Callable[[], tuple[z3.BoolRef, ...]] = tuple
    tool: str = ""
    lemma: str = ""
    strings: int = 0
    fewer: Callable[[], Query | None] = lambda: None
    tracked: tuple[Tracked, ...] = ()

    @property
    def terms(self) -> tuple[z3.BoolRef, ...]:
        """The conjunction."""
        return self.given if isinstance(self.given, tuple) else self.given()

    @property
    def narrow(self) -> tuple[z3.BoolRef, ...]:
        """Terms that imply the query's, or none."""
        return self.narrower()


@dataclass(frozen=True, slots=True)
class Guaranteed:
    """What is guaranteed of some terms; they are kept with it, for their ids are theirs only as long as they live."""

    leaves: tuple[z3.ExprRef, ...]
    terms: tuple[z3.BoolRef, ...]


@dataclass(frozen=True, slots=True)
class Ground:
    """What is reasoned about, and what has been shown of it so far.

    `invariants` are proved `always` conditions; `growing` the windows whose contributions are shown to be >= 0;
    `commons` the constants that stand for what calls have in common.
    """

    contract: Contract
    ctx: z3.Context
    invariants: tuple[Expr, ...] = ()
    growing: frozenset[str] = frozenset()
    commons: Mapping[str, ScalarSort] = field(default_factory=dict)
    guaranteed: dict[tuple[str, ...], Guaranteed] = field(default_factory=dict, compare=False, repr=False)

    def domain(self, tool: Tool, env: Environment) -> tuple[z3.BoolRef, ...]:
        """As `encode.domain`, made once for the same terms: making patterns takes longer than most queries."""
        leaves = [*(leaf for a in tool.arguments for leaf in leaves_of(env.args[a.name])), *env.present.values()]
        key = (tool.name, *(str(leaf.get_id()) for leaf in leaves))
        if key not in self.guaranteed:
            self.guaranteed[key] = Guaranteed(tuple(leaves), domain(tool, env))
        return self.guaranteed[key].terms


@dataclass(frozen=True, slots=True)
class Case:
    """One way for a tool's rules to decide: `rule` decides ('' for none), so the verdict is `verdict`.

    `guard`: the rule is true (no rule, for the default) and no rule of a stricter kind is, so this is the verdict.
    `first`: no earlier rule of its own kind is true, so this is the rule that the gate names.
    """

    tool: Tool
    rule: str
    verdict: Verdict
    guard: Expr
    first: Expr


def about_call(
    label: str,
    ground: Ground,
    tool: Tool,
    env: Environment,
    said: Said,
    *,
    expected: Literal["unsat", "sat", "either"] = "unsat",
    lemma: str = "",
) -> Query:
    """What is said, of every call of the tool that can be parsed, at every time and in every session."""
    contract = ground.contract
    strings, lists = strings_of(tool, env), lists_of(tool)

    def whole() -> tuple[z3.BoolRef, ...]:
        terms = at_every_key(env, said)
        return (*ground.domain(tool, quiet(tool, env, terms)), *fact_domain(contract, env), *terms)

    @cache
    def narrow() -> tuple[z3.BoolRef, ...]:
        few = shortened(tool, env)
        return (*narrow_domain(tool, few), *narrow_fact_domain(contract, few), *at_every_key(few, said))

    @cache
    def fewer() -> Query | None:
        few = by_few(tool, env, said)
        if few is None:
            return None
        known = (*ground.domain(tool, quiet(tool, few.env, few.terms)), *fact_domain(contract, few.env), *few.facts)
        count, terms = strings_of(tool, few.env), (*known, *few.terms)
        return Query(label, terms, expected, tool=tool.name, lemma=lemma, strings=count, tracked=few.lists)

    return Query(
        label,
        cache(whole) if lists else whole(),
        expected,
        narrow if strings or shortened(tool, env) is not env else tuple,
        tool.name,
        lemma,
        strings,
        fewer if lists else lambda: None,
    )


def cases(tool: Tool) -> tuple[Case, ...]:
    """Every way for a tool to be decided; together they cover all calls."""
    split = []
    for position, rule in enumerate(tool.rules):
        stricter = VERDICTS[: VERDICTS.index(rule.kind)]
        above = tuple(other.when for other in tool.rules if other.kind in stricter)
        earlier = tuple(other.when for other in tool.rules[:position] if other.kind == rule.kind)
        split.append(Case(tool, rule.id, rule.kind, And((rule.when, Not(Or(above)))), Not(Or(earlier))))
    nothing = Not(Or(tuple(rule.when for rule in tool.rules)))
    return (*split, Case(tool, "", "deny", nothing, And(())))


def leaves_of(term: Term) -> Iterator[z3.ExprRef]:
    """The symbols that an argument's term consists of."""
    match term:
        case ListTerm(length=length, items=items, beyond=beyond, few=few):
            yield length
            yield from () if few is None else few.there
            for item in (*items, *(() if beyond is None else (beyond,))):
                yield from leaves_of(item)
        case RecordTerm(parts=parts, present=present):
            yield from present.values()
            for part in parts.values():
                yield from leaves_of(part)
        case _:
            yield single(term)


# --- terms -------------------------------------------------------------------------------------------


def term(expr: Expr, env: Environment, facts: Mapping[str, str]) -> z3.ExprRef:
    """The term of an expression, its facts given by name."""
    return scalar(expr, replace(env, facts={**env.facts, **fact_terms(expr, facts, env.ctx)}))


def fact_terms(expr: Expr, facts: Mapping[str, str], ctx: z3.Context) -> dict[str, z3.ExprRef]:
    """The facts that an expression reads and that are given, each in the sort that it is read in.

    So are the constants that stand for values which calls have in common: they are the same in every obligation.
    """
    read = facts_in(expr).items()
    given = {
        name: literal(facts[name], sort, ctx) if facts[name] in sort.values else z3.IntVal(NO_VALUE, ctx)
        for name, sort in read
        if isinstance(sort, EnumSort) and name in facts
    }
    return {**given, **{name: common(name, sort, ctx) for name, sort in read if name.startswith(PREFIX)}}


def common(name: str, sort: ScalarSort, ctx: z3.Context) -> z3.ExprRef:
    """The constant that stands for a value which calls have in common: any of its sort."""
    free = constant(name, sort, ctx)
    if not isinstance(sort, EnumSort):
        return free
    return z3.If(in_range(free, 0, len(sort.values) - 1, ctx), free, z3.IntVal(0, ctx))


def facts_of(case: Case) -> dict[str, str]:
    """What `tool`, `decision` and `rule` are in a case."""
    return {"tool": case.tool.name, "decision": case.verdict, "rule": case.rule}


def call_symbols(ground: Ground, tool: Tool, suffix: str = "") -> Environment:
    """As `encode.symbols`, in a state of which nothing is known."""
    return replace(symbols(ground.contract, tool, ground.ctx, suffix), state=state_symbols(ground, suffix))


def state_symbols(ground: Ground, suffix: str = "") -> dict[str, Term]:
    """A free constant for each state variable; sets and maps that nothing assigns are at `initial` for ever."""
    return {
        v.name: initial_literal(v, ground.ctx)
        if isinstance(v.sort, CollectionSort) and not is_written(ground.contract, v)
        else state_symbol(v, ground.ctx, suffix)
        for v in ground.contract.variables
    }


def initial_terms(ground: Ground) -> dict[str, Term]:
    """Each state variable at `initial`."""
    return {v.name: initial_literal(v, ground.ctx) for v in ground.contract.variables}


def is_written(contract: Contract, variable: Variable) -> bool:
    """Whether some tool's `then` or `on_success` names the variable."""
    return any(each.variable == variable.name for tool in contract.tools for each in (*tool.then, *tool.on_success))


def following_terms(ground: Ground, tool: Tool, env: Environment) -> dict[str, Term]:
    """The state after a permit: every assignment read on the old state, what is not named stays."""
    return written_terms(ground, tool, tool.then, env)


def succeeded_terms(ground: Ground, tool: Tool, env: Environment) -> dict[str, Term]:
    """The state after a success, whatever it was when the call was permitted."""
    return written_terms(ground, tool, tool.on_success, env)


def written_terms(ground: Ground, tool: Tool, steps: tuple[Assignment, ...], env: Environment) -> dict[str, Term]:
    """The state after some assignments, each read on the state of the environment."""
    read = (expr for each in steps for expr in (each.value, each.key) if expr is not None)
    named = {name: given for expr in read for name, given in fact_terms(expr, {"tool": tool.name}, env.ctx).items()}
    return assigned(ground.contract, steps, replace(env, facts={**env.facts, **named}))


def storable(ground: Ground, tool: Tool, env: Environment) -> list[z3.BoolRef]:
    """What else a permit demands: keys that are assigned are of their type, and no entry is assigned twice."""
    terms: list[z3.BoolRef] = []
    seen: dict[str, list[z3.ExprRef]] = {}
    for each in tool.then:
        variable = ground.contract.variable(each.variable)
        if each.key is not None and variable is not None:
            key = term(each.key, env, {"tool": tool.name})
            earlier = seen.setdefault(each.variable, [])
            terms += [*of_type(key, variable.key, env.ctx), *(key != other for other in earlier)]
            earlier.append(key)
    return terms


def known(ground: Ground, env: Environment) -> list[z3.BoolRef]:
    """What holds of the environment's state if it is reachable: its sorts, what nothing assigns, grows, is proved."""
    idle = [
        single(env.state[v.name]) == single(initial_literal(v, env.ctx))
        for v in ground.contract.variables
        if not isinstance(v.sort, CollectionSort) and not is_written(ground.contract, v)
    ]
    growing = [value >= 0 for name in sorted(ground.growing) for value in numbers(env, env.state[name])]
    ordered = [less <= more for less, more in in_order(ground, env, env.state)]
    return [
        *state_domain(ground.contract, env),
        *key_domains(ground, env),
        *idle,
        *growing,
        *ordered,
        *(term(invariant, env, {}) for invariant in ground.invariants),
    ]


def numbers(env: Environment, value: Term) -> list[z3.ArithRef]:
    """The value of a number; of a map those at every key that is read."""
    if isinstance(value, MapTerm):
        return [value.get(key) for key in read_keys(env, value.values.domain())]
    return [single(value)]


def in_order(ground: Ground, env: Environment, state: Mapping[str, Term]) -> list[tuple[z3.ArithRef, z3.ArithRef]]:
    """Pairs of sums of which the first is never more than the second, of a map at every key that is read."""
    pairs = windows_in_order(ground.contract, ground.growing)
    return [
        pair for one, other in pairs for pair in zip(numbers(env, state[one]), numbers(env, state[other]), strict=True)
    ]


def key_domains(ground: Ground, env: Environment) -> list[z3.BoolRef]:
    """What a map keeps is of the type of its keys."""
    terms: list[z3.BoolRef] = []
    for variable in ground.contract.variables:
        value = env.state[variable.name]
        if isinstance(value, MapTerm):
            for key in read_keys(env, value.values.domain()):
                terms += [z3.Implies(value.kept(key), typed) for typed in of_type(key, variable.key, env.ctx)]
    return terms


# --- obligations of `always` -------------------------------------------------------------------------


def initially(ground: Ground, goal: Expr) -> Query:
    """Unsatisfiable iff the goal holds of the initial state."""
    env = Environment(ground.ctx, state=initial_terms(ground), facts=fact_symbols(ground.contract, ground.ctx))
    return Query("initial", at_every_key(env, lambda env: [z3.Not(term(goal, env, {}))]))


def after_permit(ground: Ground, case: Case, hypotheses: tuple[Expr, ...], goal: Expr, apart: Apart = ()) -> Query:
    """Unsatisfiable iff no permit by this case leads from a state of the hypotheses to one without the goal.

    The hypotheses are about everybody. The goal is about who calls, or somebody else in the scopes in which it is
    looked at `apart`.
    """

    def said(env: Environment) -> tuple[z3.BoolRef, ...]:
        after = following_terms(ground, case.tool, env)
        return (
            *(each for view in views(ground, env, apart) for each in supposed(ground, view, hypotheses)),
            *differing_keys(ground.contract, env, apart, named=bool(ground.commons)),
            term(case.guard, env, facts_of(case)),
            *storable(ground, case.tool, env),
            z3.Not(term(goal, as_seen(ground, replace(env, state=after), apart), {})),
        )

    label = "_".join(("permit", case.tool.name, case.rule, *(f"other_{scope}" for scope in apart)))
    return about_call(label, ground, case.tool, call_symbols(ground, case.tool), said)


def supposed(ground: Ground, env: Environment, hypotheses: tuple[Expr, ...]) -> list[z3.BoolRef]:
    """What is known of the environment's state, and the hypotheses."""
    return [*known(ground, env), *(term(hypothesis, env, {}) for hypothesis in hypotheses)]


def seen(ground: Ground, own: Mapping[str, Term], apart: Apart) -> Mapping[str, Term]:
    """The state that somebody else sees, given the one that the caller sees."""
    return seen_by(ground.contract, own, state_symbols(ground, OTHER), apart)


def views(ground: Ground, env: Environment, apart: Apart) -> list[Environment]:
    """The state before a call as the caller sees it, as somebody else does, and the mixtures."""
    return [as_seen(ground, env, each) for each in ways_apart(apart)]


def as_seen(ground: Ground, env: Environment, apart: Apart) -> Environment:
    """The state of the environment, and whose it is, for somebody else in these scopes."""
    facts = keys_seen(ground.contract, env.facts, apart)
    return replace(env, state=seen(ground, env.state, apart), facts=facts)


def after_succeed(ground: Ground, case: Case, hypotheses: tuple[Expr, ...], goal: Expr, apart: Apart = ()) -> Query:
    """Unsatisfiable iff no success of a call that this case permitted leads from the hypotheses away from the goal.

    The call was permitted in an earlier state, of which the hypotheses hold too and nothing else is known: whatever
    other calls and time may do lies between. The arguments and the session are those of the permit, the time is later.
    """

    def said(env: Environment) -> tuple[z3.BoolRef, ...]:
        earlier, permitted = at_permit(ground, case, env)
        after = succeeded_terms(ground, case.tool, env)
        return (
            *supposed(ground, earlier, hypotheses),
            *permitted,
            *(each for view in views(ground, env, apart) for each in supposed(ground, view, hypotheses)),
            *differing_keys(ground.contract, env, apart, named=bool(ground.commons)),
            z3.Not(term(goal, as_seen(ground, replace(env, state=after), apart), {})),
        )

    label = "_".join(("succeed", case.tool.name, case.rule, *(f"other_{scope}" for scope in apart)))
    return about_call(label, ground, case.tool, call_symbols(ground, case.tool), said)


def at_permit(ground: Ground, case: Case, env: Environment) -> tuple[Environment, tuple[z3.BoolRef, ...]]:
    """The earlier environment in which a call that now is in `env` was permitted by this case, and that it was so."""
    now = z3.Int(f"now{PERMIT}", ground.ctx)
    earlier = replace(env, state=state_symbols(ground, PERMIT), facts={**env.facts, "now": now})
    return earlier, (
        term(case.guard, earlier, facts_of(case)),
        *storable(ground, case.tool, earlier),
        in_range(now, *TIMESTAMP_RANGE, ground.ctx),
        now <= env.facts["now"],
    )


def after_tick(ground: Ground, hypotheses: tuple[Expr, ...], goal: Expr) -> Query:
    """Unsatisfiable iff the passing of time alone never leads from the hypotheses to a state without the goal."""

    def said(env: Environment) -> tuple[z3.BoolRef, ...]:
        later, passing = ticked(ground, env)
        return (
            *supposed(ground, env, hypotheses),
            *passing,
            z3.Not(term(goal, replace(env, state=later), {})),
        )

    facts = fact_symbols(ground.contract, ground.ctx)
    return Query("tick", at_every_key(Environment(ground.ctx, state=state_symbols(ground), facts=facts), said))


def ticked(ground: Ground, env: Environment) -> tuple[dict[str, Term], list[z3.BoolRef]]:
    """The state at some later time, and what is known of it; see the module's docstring."""
    later, passing = dict(env.state), []
    for variable in ground.contract.variables:
        name, period = variable.name, variable.period
        if period is None:
            continue
        if is_window(variable):
            later[name] = state_symbol(variable, ground.ctx, "@later")
            pairs = zip(numbers(env, later[name]), numbers(env, env.state[name]), strict=True)
            passing += [z3.And(new >= 0, new <= old) for new, old in pairs] if name in ground.growing else []
        else:
            turns = z3.Bool(f"turn_{period.length_ms}", ground.ctx)
            later[name] = choice(turns, initial_literal(variable, ground.ctx), env.state[name])
    return later, [*passing, *(less <= more for less, more in in_order(ground, env, later))]


def contribution(ground: Ground, case: Case, variable: str) -> Query:
    """Unsatisfiable iff a permit by this case never lowers the variable, at any key. No invariant is used."""

    def said(env: Environment) -> tuple[z3.BoolRef, ...]:
        before, after = env.state[variable], following_terms(ground, case.tool, env)[variable]
        if isinstance(before, MapTerm) and isinstance(after, MapTerm):
            lowered = after.get(key) < before.get(key)
        else:
            lowered = single(after) < single(before)
        return (
            *state_domain(ground.contract, env),
            term(case.guard, env, facts_of(case)),
            *storable(ground, case.tool, env),
            lowered,
        )

    key = some_key(ground, variable)
    label = f"adds_{variable}_{case.tool.name}_{case.rule}"
    env = call_symbols(ground, case.tool)
    return about_call(label, ground, case.tool, env, said, expected="either", lemma=variable)


def some_key(ground: Ground, variable: str) -> z3.ExprRef | None:
    """A free key of a map; of what is no map there is none."""
    declared = ground.contract.variable(variable)
    if declared is None or not isinstance(declared.sort, MapSort):
        return None
    return constant("key@any", declared.sort.key, ground.ctx)


# --- obligations of `never` and `possible` -----------------------------------------------------------


def meets(ground: Ground, case: Case, condition: Expr) -> Query:
    """Unsatisfiable iff no call decided by this case, in no state of what is known, meets the condition."""
    return about_call(
        f"meets_{case.tool.name}_{case.rule}",
        ground,
        case.tool,
        call_symbols(ground, case.tool),
        lambda env: (*known(ground, env), *meeting(case, condition, env)),
    )


def meeting(case: Case, condition: Expr, env: Environment) -> list[z3.BoolRef]:
    """The case and the condition. Which of several rules of a kind is named matters only to a condition on `rule`.

    Without `first` the cases overlap, and say together what they say with it: they share the verdict.
    """
    named = (case.first,) if "rule" in facts_in(condition) else ()
    return [term(each, env, facts_of(case)) for each in (case.guard, *named, condition)]


def counts(condition: Property, case: Case) -> bool:
    """Whether a case matters: a `never` that does not mention `decision` means `decision != 'deny'`."""
    return condition.is_about(case.verdict)


def consistent(ground: Ground, tool: Tool, condition: Expr) -> Query:
    """Unsatisfiable iff the condition contradicts itself on this tool, whatever the rules, bounds and patterns."""

    def said(env: Environment) -> tuple[z3.BoolRef, ...]:
        return (*by_sort(ground, tool, env), term(condition, env, {"tool": tool.name}))

    label, env = f"consistent_{tool.name}", free_facts(ground, tool, condition)
    few, strings, lists = shortened(tool, env), strings_of(tool, env), lists_of(tool)

    @cache
    def narrow() -> tuple[z3.BoolRef, ...]:
        return () if few is env else (*narrow_domain(tool, few), *at_every_key(few, said))

    @cache
    def fewer() -> Query | None:
        few = by_few(tool, env, said)
        if few is None:
            return None
        count, terms = strings_of(tool, few.env), (*few.facts, *few.terms)
        return Query(label, terms, "sat", tool=tool.name, strings=count, tracked=few.lists)

    whole = cache(lambda: at_every_key(env, said))
    given, other = (whole, fewer) if lists else (whole(), lambda: None)
    return Query(label, given, "sat", narrow, tool.name, strings=strings, fewer=other)


def typed(ground: Ground, tool: Tool, condition: Expr) -> Query:
    """Unsatisfiable iff the argument types alone exclude the condition, whatever the rules and the state."""

    def said(env: Environment) -> tuple[z3.BoolRef, ...]:
        return (*by_sort(ground, tool, env), term(condition, env, {"tool": tool.name}))

    return about_call(f"typed_{tool.name}", ground, tool, free_facts(ground, tool, condition), said, expected="either")


def inhabited(ground: Ground, tool: Tool) -> Query:
    """Unsatisfiable iff no call of this tool can be parsed at all: the hypothesis that all else rests on."""
    return about_call(
        f"domain_{tool.name}", ground, tool, symbols(ground.contract, tool, ground.ctx), lambda _: (), expected="sat"
    )


def eased_by_deny(ground: Ground, tool: Tool, condition: Expr) -> Query:
    """Unsatisfiable iff turning another verdict into deny never makes the condition true."""

    def said(env: Environment) -> tuple[z3.BoolRef, ...]:
        at = {verdict: term(condition, env, {"tool": tool.name, "decision": verdict}) for verdict in VERDICTS}
        return (*by_sort(ground, tool, env), at["deny"], z3.Not(z3.And(at["ask"], at["allow"])))

    terms = at_every_key(free_facts(ground, tool, condition), said)
    return Query(f"rules_only_{tool.name}", terms, "either", tool=tool.name)


def free_facts(ground: Ground, tool: Tool, condition: Expr) -> Environment:
    """Free constants for everything that the condition can read but its tool."""
    env = symbols(ground.contract, tool, ground.ctx)
    free = facts_in(condition).items()
    chosen = {name: constant(f"fact_{name}", sort, ground.ctx) for name, sort in free if name not in env.facts}
    return replace(env, facts={**env.facts, **chosen})


def by_sort(ground: Ground, tool: Tool, env: Environment) -> list[z3.BoolRef]:
    """What sorts alone say: sizes are >= 0, an enum (argument, state or fact) is one of its values."""
    terms = list(state_domain(ground.contract, env))
    for argument in tool.arguments:
        for symbol, sort in parts(env.args[argument.name], sort_of(argument.type)):
            if isinstance(symbol, ListTerm):
                terms.append(symbol.length >= 0)
            elif isinstance(sort, TextSort):
                terms.append(single(symbol) >= 0)
            elif isinstance(sort, EnumSort):
                terms.append(in_range(single(symbol), 0, len(sort.values) - 1, ground.ctx))
    if "decision" in env.facts:
        terms.append(in_range(env.facts["decision"], 0, len(VERDICTS) - 1, ground.ctx))
    return terms


def tool_of(contract: Contract, name: str) -> Tool:
    """The tool of this name; a property over a tool that is not there is a fault of its loader."""
    tool = contract.tool(name)
    if tool is None:
        message = f"a property ranges over `{name}`, which is no tool of `{contract.name}`"
        raise Fault(message)
    return tool
