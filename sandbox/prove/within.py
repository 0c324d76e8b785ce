"""Call by call, after every sequence of calls: no verdict is laxer than a ceiling's, or none is newly so.

`beside` makes one machine of the specs. A case of the first spec's rules is excluded by the other specs' rules alone,
with what is proved of the state, or with an invariant that is found; else a shortest sequence is looked for that all
specs permit and that ends in such a call. Between two versions of a spec, a call in some state that both could be in is
shown as well, where no sequence to it is found: it says what differs, and not that it can be reached.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import z3

from sandbox.encode import MapTerm, SetTerm, Term, read, single, solver_sort
from sandbox.ir import And, Contract, EnumSort, Expr, Json, MapSort, Newly, Not, Property, SetSort, StringSort, Variable
from sandbox.machine import is_window
from sandbox.prove.beside import Beside, Judged, beside, prefix_of
from sandbox.prove.findings import RULES_ONLY, Finding, GaveUp, Holds, Shown
from sandbox.prove.horn import met_condition
from sandbox.prove.induction import grounded
from sandbox.prove.keys import keys_in
from sandbox.prove.mentions import origins_in, variables_in
from sandbox.prove.models import Symbolic, is_true, ladders, number, shrunk
from sandbox.prove.obligations import Case, Ground, Query, call_symbols, cases, meets
from sandbox.prove.sequence import END_MS, START_MS
from sandbox.prove.solve import Answer, Desk, Model, Open, Sat, Unsat
from sandbox.prove.strengthen import Aim, NotStrengthened, Strengthened, strengthened
from sandbox.prove.unroll import CallTarget, Found, NotFound, at_a_glance, move_of, shortest
from sandbox.prove.verdicts import Moves


def attempt_within(contract: Contract, subject: Property, others: tuple[Expr, ...], desk: Desk) -> Finding:
    """What can be found out about a spec beside its ceilings, or beside an old version of it.

    `others` are invariants of the contract that have been proved; they hold after the sequences that all permit, too.
    """
    specs = beside(contract, subject.ceilings, prefix_of(subject))
    ground = grounded(Ground(specs.machine, z3.Context(), invariants=() if subject.newly else others), desk)
    wanted = tuple(_wanted(specs, subject))
    left = _open(ground, desk, wanted)
    if not left:
        return _shown_for(specs, subject, Holds(_note(contract, subject, specs)))
    targets = tuple(target for target, _ in left)
    at_once = at_a_glance(ground, desk, targets)
    if at_once is not None:
        return Shown(at_once.moves)
    stronger = _strengthened(ground, desk, targets)
    if isinstance(stronger, Strengthened):
        return _shown_for(specs, subject, Holds(_note(contract, subject, specs), stronger.texts))
    elsewhere = _elsewhere(ground, desk, contract, subject, left) if subject.newly else None
    match shortest(ground, desk, targets):
        case Found(moves=moves):
            return Shown(moves)
        case NotFound(reason=reason):
            undecided = next((answer.reason for _, answer in left if isinstance(answer, Open)), "")
            return elsewhere or GaveUp(f"{undecided}; {reason}" if undecided else reason)


# --- what must not be --------------------------------------------------------------------------------


def _wanted(specs: Beside, subject: Property) -> Iterator[CallTarget]:
    """Each case that would be laxer than what the others say, or newly what it is, with the condition for that."""
    for name, judged in specs.judged.items():
        if judged.same or (subject.tools and name not in subject.tools):
            continue
        for case in cases(judged.tool):
            condition = _condition(case, judged, subject.newly)
            if condition is not None:
                yield CallTarget(case, condition)


def _condition(case: Case, judged: Judged, newly: Newly) -> Expr | None:
    """When a call decided by this case is one that is looked for; None where it never is."""
    match newly, case.verdict:
        case (("" | "allowed"), "allow"):
            return Not(judged.allowed)
        case "", "ask":
            return Not(judged.permitted)
        case "asked", "ask":
            return Not(And((judged.permitted, Not(judged.allowed))))
        case "denied", "deny":
            return judged.permitted
        case _:
            return None


def _open(ground: Ground, desk: Desk, wanted: Sequence[CallTarget]) -> list[tuple[CallTarget, Answer]]:
    answers = ((target, desk.prove(meets(ground, target.case, target.condition))) for target in wanted)
    return [(target, answer) for target, answer in answers if not isinstance(answer, Unsat)]


def _strengthened(ground: Ground, desk: Desk, targets: tuple[CallTarget, ...]) -> Strengthened | NotStrengthened:
    read_ = (expr for target in targets for expr in (target.case.guard, target.condition))
    if not any(variables_in(expr) for expr in read_):
        return NotStrengthened("no state is read")
    wrong = tuple(met_condition(ground, target.case, target.condition) for target in targets)
    return strengthened(ground, desk, Aim((), wrong, lambda stronger, asked: not _open(stronger, asked, targets)))


def _note(contract: Contract, subject: Property, specs: Beside) -> str:
    """`rules_only` where another spec may deny for want of room, for a key, or for a fact that only it demands."""
    if subject.newly:
        return ""
    asked = (each for name, each in specs.judged.items() if not subject.tools or name in subject.tools)
    if any(each.others_outside for each in asked):
        return RULES_ONLY
    demanded = {fact.name for each in subject.ceilings for fact in each.session} - {f.name for f in contract.session}
    own = {variable.name for variable in contract.variables}
    kept = (each for each in specs.machine.variables if each.name not in own)
    full = any(isinstance(each.sort, SetSort | MapSort) or is_window(each) for each in kept)
    return RULES_ONLY if full or demanded else ""


def _shown_for(specs: Beside, subject: Property, holds: Holds) -> Finding:
    """What holds, but for what is not spoken of."""
    chosen = [name for name in (*specs.judged, *specs.unlike) if not subject.tools or name in subject.tools]
    for name in chosen:
        if name in specs.unlike:
            return GaveUp(f"`{name}` cannot be compared: {specs.unlike[name]}")
        if name in specs.doubtful:
            return GaveUp(f"`{name}` reads what calls may have written that cannot be compared")
        if specs.judged[name].left_out:
            return GaveUp(f"`{name}` is not compared as a whole: {specs.judged[name].left_out[0]}")
        if subject.newly and (outside := _denied_outside(specs.judged[name], subject.newly)):
            return GaveUp(
                f"`{name}` may ask `state.{min(outside)}` for what is outside of its type, which denies whatever the "
                "rules say; give the argument the type that is kept there"
            )
        if subject.newly and (stored := _denied_unstored(specs.judged[name], subject.newly)):
            return GaveUp(
                f"`{name}` may be denied, whatever the rules say, because `state.{min(stored)}` is full or would have "
                "one key written twice, and that is not so in both versions"
            )
    return holds


def _denied_outside(judged: Judged, newly: Newly) -> frozenset[str]:
    """What may deny, and is not spoken of, where that would be a difference: what only denies more, allows no more."""
    return judged.outside if newly == "denied" else judged.others_outside


def _denied_unstored(judged: Judged, newly: Newly) -> frozenset[str]:
    """As `_denied_outside`, of what cannot be stored."""
    return judged.stored if newly == "denied" else judged.others_stored


# --- a state that is not known to be reached ---------------------------------------------------------


def _elsewhere(
    ground: Ground, desk: Desk, contract: Contract, subject: Property, left: Sequence[tuple[CallTarget, Answer]]
) -> Shown | None:
    """A call in some state that both versions could be in, where variables of one declaration have one value."""
    for target, answer in left:
        if not desk.seeks or not isinstance(answer, Sat):
            continue
        tool = target.case.tool
        call = Symbolic(tool, call_symbols(ground, tool))
        query = meets(ground, target.case, target.condition)
        now = call.env.facts["now"]
        alike = (*_alike(contract, subject, ground.contract, call.env.state), now >= START_MS, now <= END_MS)
        model = desk.search(Query(query.label, (*query.terms, *alike), strings=query.strings))
        if isinstance(model, Model):
            model = shrunk(desk, query.label, model, (((now == START_MS,),), *ladders((call,))))
            move = move_of(ground, model, call, now, origins_in(target.condition))
            keys = keys_in((*query.terms, *alike))
            start = {v.name: _stored(model, v, call.env.state[v.name], keys) for v in ground.contract.variables}
            return Shown(Moves((move,), move.now_ms, start=start))
    return None


def _alike(contract: Contract, subject: Property, machine: Contract, state: Mapping[str, Term]) -> Iterator[z3.BoolRef]:
    """What both versions declare alike, and only move otherwise, has one value: there is one stored state."""
    ours = {variable.name: variable for variable in contract.variables}
    theirs = {variable.name: variable for each in subject.ceilings for variable in each.variables}
    for name, variable in ours.items():
        apart = f"{prefix_of(subject)}_{name}"
        if theirs.get(name) == variable and machine.variable(apart) is not None:
            one, other = state[name], state[apart]
            match one, other:
                case SetTerm(members=left), SetTerm(members=right):
                    yield left == right
                case MapTerm(values=left), MapTerm(values=right):
                    yield left == right
                case _:
                    yield single(one) == single(other)


def _stored(model: Model, variable: Variable, term: Term, keys: Sequence[z3.ExprRef]) -> Json:
    """A variable's value in the model, of a set or map at the keys that the query reads."""
    match variable.sort, term:
        case SetSort(item=item), SetTerm():
            return [*sorted({_key(model, key, item) for key in _of(keys, item) if is_true(model, term.has(key))})]
        case MapSort(key=item), MapTerm():
            kept = {_key(model, key, item): number(model, term.get(key)) for key in _of(keys, item)}
            return {key: value for key, value in kept.items() if value != variable.initial}
        case ((SetSort() | MapSort()), _):
            return None
        case sort, _:
            value = read(model.model, model.local(single(term)), sort)
            return value if isinstance(value, bool | int | str) else None


def _of(keys: Sequence[z3.ExprRef], sort: StringSort | EnumSort) -> list[z3.ExprRef]:
    return [key for key in keys if key.sort().name() == solver_sort(sort, key.ctx).name()]


def _key(model: Model, key: z3.ExprRef, sort: StringSort | EnumSort) -> str:
    return str(read(model.model, model.local(key), sort))
