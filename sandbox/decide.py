"""Contract x state x call -> decision. Pure, but for the solver process that is asked; never raises.

The evaluator decides; the solver must confirm its verdict and every value that would be stored, by reducing the
proved terms to the literal `true`. Anything else is a fault, and a fault is a denial.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol, TypeAlias, cast

from sandbox.call import Call, Decision, Engines, EngineVerdict, Value, Verdict
from sandbox.evaluate import Closure, Env, Test, Text, evaluate, text, truth
from sandbox.ir import Assignment, Contract, Fact, Or, Rule, Tool
from sandbox.lang.walk import within
from sandbox.lookups import KeyRefusedError, Lookups, Members, checks_of
from sandbox.machine import StateValue, Update, decided
from sandbox.seal import has_secrets

Facts: TypeAlias = Mapping[str, Value]
"""What the gate knows besides the call and the state: `now`, and `session.NAME` for each fact of the session."""

NO_FACTS: Final[Facts] = MappingProxyType({})
NO_UPDATES: Final[Mapping[str, Update]] = MappingProxyType({})


class Claim(NamedTuple):
    """What the evaluator says of a call: verdict, deciding rule ('' for the default), rules that fired, next values."""

    verdict: Verdict
    rule: str
    fired: tuple[str, ...]
    updates: Mapping[str, Update]


@dataclass(frozen=True, slots=True)
class Judgement:
    """A decision, and what `then` would store if the call is permitted (empty for a denial)."""

    decision: Decision
    updates: Mapping[str, Update] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Success:
    """What `on_success` would store; or why nothing is stored, and the code of that ('' where nothing is wrong)."""

    updates: Mapping[str, Update] = field(default_factory=dict)
    reason_code: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The solver's own verdict; its objection to the evaluator's claim, and the objection's code ('' for none)."""

    verdict: EngineVerdict
    objection: str = ""
    reason_code: str = ""


class Solver(Protocol):
    """The second engine. Never raises; what goes wrong is a confirmation of `fault`."""

    def confirm(self, call: Call, state: Mapping[str, StateValue], facts: Facts, claim: Claim) -> Confirmation:
        """The solver's own verdict on the call, and its objection to the claim ('' for none)."""
        ...

    def confirm_success(
        self, call: Call, state: Mapping[str, StateValue], facts: Facts, updates: Mapping[str, Update]
    ) -> Confirmation:
        """Whether the values that `on_success` would store are the solver's own: `allow`, without an objection."""
        ...


@dataclass(frozen=True, slots=True)
class EnginePair:
    """Both engines. `solver` is None under `engine: evaluator`; `always_ask` asks it after a deny, too."""

    evaluator: Evaluator
    solver: Solver | None
    always_ask: bool = False


@dataclass(frozen=True, slots=True)
class _CompiledTool:
    """A tool's rules. `strict` is whether any but an `allow` fires; only then must each of them be asked by itself.

    `alone` is the claim where a rule is the only one that fires and stores nothing; `named`: `tool` is asked for.
    """

    tool: Tool
    rules: tuple[tuple[Rule, Test], ...]
    allows: tuple[tuple[Rule, Test], ...]
    strict: Test
    alone: Mapping[str, Claim]
    named: bool
    then: tuple[_Step, ...]
    on_success: tuple[_Step, ...]
    secretive: bool


@dataclass(frozen=True, slots=True)
class _Step:
    """One assignment; `key` of a map's entry."""

    variable: str
    value: Closure
    key: Text | None


class Evaluator:
    """The first engine: a contract's rules as closures, compiled once. Thread-safe."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self._names = tuple(tool.name for tool in contract.tools)
        self._tools = {tool.name: _compile(tool) for tool in contract.tools}
        self._checks = checks_of(contract)
        self._nothing = Lookups({})  # of every call, where the contract has no sets and no maps

    def claim(self, call: Call, state: Mapping[str, StateValue], facts: Facts = NO_FACTS) -> Claim:
        """The evaluator's verdict on a parsed call at an effective state.

        Raises KeyRefusedError where the call looks up or assigns a key that is outside of its type, or one key twice.
        """
        compiled = self._tools[call.tool]
        lookups = Lookups(self._checks, repeats=not compiled.secretive) if self._checks else self._nothing
        seen = lookups.over(state) if self._checks else cast("Mapping[str, Value]", state)
        env = Env(call.args, seen, {**facts, "tool": call.tool} if compiled.named else facts, {}, call.origins)
        fired = []
        for rule, fires in compiled.rules if compiled.strict(env) else compiled.allows:
            if fires(env):
                fired.append(rule)
        if self._checks:
            lookups.settle()
        if len(fired) == 1 and (not compiled.then or fired[0].kind == "deny"):
            return compiled.alone[fired[0].id]
        verdict, deciding = decided(fired)
        updates: Mapping[str, Update] = NO_UPDATES
        if compiled.then and verdict != "deny":
            updates = _updates(compiled.then, env, lookups)
            lookups.settle()
        return Claim(verdict, deciding, tuple([each.id for each in fired]), updates)

    def success(self, call: Call, state: Mapping[str, StateValue], facts: Facts = NO_FACTS) -> dict[str, Update]:
        """What `on_success` assigns at an effective state, once the call has ended `ok`. Raises as `claim`."""
        compiled = self._tools[call.tool]
        lookups = Lookups(self._checks, repeats=not compiled.secretive)
        updates = _updates(compiled.on_success, _env(compiled, call, lookups.over(state), facts), lookups)
        lookups.settle()
        return updates

    def rules(
        self, call: Call, state: Mapping[str, StateValue], facts: Facts = NO_FACTS
    ) -> tuple[tuple[Rule, bool], ...]:
        """Each rule of the call's tool, in file order, with its value."""
        compiled = self._tools[call.tool]
        env = _env(compiled, call, cast("Mapping[str, Value]", state), facts)
        return tuple((rule, fires(env)) for rule, fires in compiled.rules)

    def tool(self, name: str) -> Tool:
        """The tool of a parsed call."""
        return self._tools[name].tool


def decide(engines: EnginePair, call: Call, state: Mapping[str, StateValue], facts: Facts = NO_FACTS) -> Judgement:
    """The verdict on a parsed call at an effective (ticked) state. Never raises: every failure is a denial.

    `facts` are the time of the call (`now`, Unix milliseconds) and each fact of the session (`session.NAME`).
    """
    try:
        claim = engines.evaluator.claim(call, state, facts)
    except KeyRefusedError as refused:
        heard = Engines("deny", None)
        return Judgement(Decision("deny", refused.reason_code, refused.reason, call=call, engines=heard))
    except Exception as error:  # noqa: BLE001  # fail closed: whatever the evaluator met, the call is denied
        return _faulted(call, Engines("fault", None), "fault.internal", f"the evaluator failed: {type(error).__name__}")
    if engines.solver is None or (claim.verdict == "deny" and not engines.always_ask):
        return _judged(engines.evaluator.tool(call.tool), call, claim, None)
    try:
        confirmation = engines.solver.confirm(call, state, facts, claim)
    except Exception as error:  # noqa: BLE001  # fail closed: a solver that cannot answer confirms nothing
        heard = Engines(claim.verdict, "fault")
        return _faulted(call, heard, "fault.internal", f"the solver failed: {type(error).__name__}")
    if confirmation.objection or confirmation.verdict != claim.verdict:
        heard = Engines(claim.verdict, confirmation.verdict)
        return _faulted(call, heard, confirmation.reason_code or "fault.disagreement", confirmation.objection)
    return _judged(engines.evaluator.tool(call.tool), call, claim, confirmation.verdict)


def succeed(engines: EnginePair, call: Call, state: Mapping[str, StateValue], facts: Facts = NO_FACTS) -> Success:
    """What `on_success` stores at the effective (ticked) state of now. Never raises: every failure stores nothing.

    The call was permitted earlier and has ended `ok`; whether its rules would still permit it does not matter.
    """
    try:
        updates = engines.evaluator.success(call, state, facts)
    except KeyRefusedError as refused:
        return Success({}, refused.reason_code, refused.reason)
    except Exception as error:  # noqa: BLE001  # fail closed: nothing is enabled by what could not be computed
        return Success({}, "fault.internal", f"the evaluator failed: {type(error).__name__}")
    if engines.solver is None or not updates:
        return Success(updates)
    try:
        confirmation = engines.solver.confirm_success(call, state, facts, updates)
    except Exception as error:  # noqa: BLE001  # as above
        return Success({}, "fault.internal", f"the solver failed: {type(error).__name__}")
    if confirmation.objection or confirmation.verdict != "allow":
        reason = confirmation.objection or "the two engines disagree"
        return Success({}, confirmation.reason_code or "fault.disagreement", reason)
    return Success(updates)


def _env(compiled: _CompiledTool, call: Call, state: Mapping[str, Value], facts: Facts) -> Env:
    return Env(call.args, state, {**facts, "tool": call.tool} if compiled.named else facts, {}, call.origins)


def _updates(then: tuple[_Step, ...], env: Env, lookups: Lookups) -> dict[str, Update]:
    """What `then` does, every value and key evaluated on the old state."""
    updates: dict[str, Update] = {}
    entries: dict[str, dict[str, int]] = {}
    for step in then:
        value = step.value(env)
        if step.key is not None:
            key = step.key(env)
            lookups.check(step.variable, key)
            assigned = entries.setdefault(step.variable, {})
            if key in assigned:
                raise lookups.twice(step.variable, key)
            assigned[key] = cast("int", value)
            updates[step.variable] = assigned
        elif isinstance(value, Members):
            updates[step.variable] = value.changes
        else:
            updates[step.variable] = cast("Update", value)
    return updates


def _compile(tool: Tool) -> _CompiledTool:
    rules = tuple((rule, truth(rule.when)) for rule in tool.rules)
    then, on_success = (
        tuple(_step(assignment) for assignment in assignments) for assignments in (tool.then, tool.on_success)
    )
    strict = truth(Or(tuple(rule.when for rule in tool.rules if rule.kind != "allow")))
    return _CompiledTool(
        tool,
        rules,
        tuple((rule, fires) for rule, fires in rules if rule.kind == "allow"),
        strict,
        {rule.id: Claim(rule.kind, rule.id, (rule.id,), NO_UPDATES) for rule in tool.rules},
        _asks_for_itself(tool),
        then,
        on_success,
        has_secrets(tool),
    )


def _asks_for_itself(tool: Tool) -> bool:
    """Whether anything that is evaluated reads the fact `tool`."""
    steps = (*tool.then, *tool.on_success)
    roots = [*(rule.when for rule in tool.rules), *(step.value for step in steps)]
    roots += [step.key for step in steps if step.key is not None]
    return any(isinstance(part, Fact) and part.name == "tool" for root in roots for part in within(root))


def _step(assignment: Assignment) -> _Step:
    key = None if assignment.key is None else text(assignment.key)
    return _Step(assignment.variable, evaluate(assignment.value), key)


def _judged(tool: Tool, call: Call, claim: Claim, solver: EngineVerdict | None) -> Judgement:
    rule = next((rule for rule in tool.rules if rule.id == claim.rule), None)
    decision = Decision(
        verdict=claim.verdict,
        reason_code=f"rule.{claim.verdict}" if rule else "default_deny",
        reason=_reason(tool, claim, rule),
        rule=claim.rule,
        fired=claim.fired,
        call=call,
        engines=Engines(claim.verdict, solver),
        approvers=rule.approvers if rule and claim.verdict == "ask" else 0,
        expires_ms=rule.expires_ms if rule and claim.verdict == "ask" else 0,
    )
    return Judgement(decision, claim.updates)


def _reason(tool: Tool, claim: Claim, rule: Rule | None) -> str:
    if rule is None:
        return f"no rule of `{tool.name}` allows this call"
    stated = f": {rule.reason}" if rule.reason else f": {rule.text}" if rule.text else ""
    others = [name for name in claim.fired if name != rule.id]
    also = f" (also true: {', '.join(f'`{name}`' for name in others)})" if others else ""
    verb = {"deny": "denied by", "ask": "a person is asked by", "allow": "allowed by"}[claim.verdict]
    return f"{verb} rule `{rule.id}`{stated}{also}"


def _faulted(call: Call, heard: Engines, reason_code: str, reason: str) -> Judgement:
    return Judgement(Decision("deny", reason_code, reason or "the two engines disagree", call=call, engines=heard))
