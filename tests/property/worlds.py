"""What specs with sets, maps, scopes, periods and successes do, told anew: no line is shared with `machine`.

Only expressions are evaluated by the package. A world is the whole state: each variable for each owner that it can
have, the position of the clock within its period, the calls that are running. `Worlds` finds every reachable one.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from sandbox.evaluate import Env, evaluate, truth
from sandbox.ir import (
    Argument,
    Assignment,
    BoolType,
    Contract,
    EnumType,
    Expr,
    IntType,
    Ite,
    MapSort,
    Property,
    SetAdd,
    SetRemove,
    SetSort,
    State,
    StringType,
    Tool,
    Variable,
)
from sandbox.machine import rule_of, verdict_of

PERIOD_MS = 1_000
STEP_MS = PERIOD_MS // 2
HALVES, MOST_RUNNING = 2, 2
FACT_OF = {"principal": "session.principal", "session": "session.id"}

Value = object
Facts = Mapping[str, Value]
Permitted = tuple[str, tuple[tuple[str, Value], ...], tuple[tuple[str, Value], ...]]


@dataclass(frozen=True)
class World:
    """`held` has, for a variable and an owner, what is stored; of a window (key, age in halves, amount) each."""

    held: frozenset[tuple[str, Value, Value]]
    half: int
    running: tuple[Permitted, ...] = ()


def values_of(argument: Argument) -> list[Value]:
    """Everything that an argument can be; None for absent."""
    match argument.type:
        case BoolType():
            values: list[Value] = [False, True]
        case IntType(minimum=low, maximum=high):
            values = list(range(low, high + 1))
        case EnumType(values=names):
            values = list(names)
        case StringType(pattern=str() as pattern):
            values = list(pattern.split("|"))
        case _:
            message = f"`{argument.name}` has too many values"
            raise AssertionError(message)
    return [*values, None] if argument.optional else values


def products(arguments: tuple[Argument, ...], prefix: str = "") -> list[dict[str, Value]]:
    """Every choice of values."""
    return [
        {f"{prefix}{a.name}": value for a, value in zip(arguments, chosen, strict=True) if value is not None}
        for chosen in itertools.product(*(values_of(a) for a in arguments))
    ]


def summed(events: tuple[tuple[Value, int, int], ...]) -> tuple[tuple[Value, int, int], ...]:
    """Events of one key and age as one of them all."""
    sums: dict[tuple[Value, int], int] = {}
    for key, age, amount in events:
        sums[key, age] = sums.get((key, age), 0) + amount
    return tuple(sorted(((key, age, amount) for (key, age), amount in sums.items()), key=repr))


class Worlds:
    """Every reachable world of a contract with its distance in permits; `found` is None where there are too many."""

    def __init__(self, contract: Contract, most: int) -> None:
        self.contract = contract
        self.timed = any(variable.period is not None for variable in contract.variables)
        self.sessions = products(contract.session, "session.")
        self.calls = {tool.name: products(tool.arguments) for tool in contract.tools}
        self.compiled: dict[int, Callable[[Env], Value]] = {}
        self.verdicts = {tool.name: evaluate(verdict_of(tool)) for tool in contract.tools}
        self.rules = {tool.name: evaluate(rule_of(tool)) for tool in contract.tools}
        self.found = self._found(most)

    def evaluated(self, expr: Expr) -> Callable[[Env], Value]:
        """What an expression of the contract means; it is told by its id, for to hash it takes longer than all else."""
        found = self.compiled.get(id(expr))
        if found is None:
            found = self.compiled[id(expr)] = evaluate(expr)
        return found

    def _found(self, most: int) -> dict[World, int] | None:
        first = [World(frozenset(), half) for half in (range(HALVES) if self.timed else (0,))]
        found = dict.fromkeys(first, 0)
        waiting = deque(first)
        while waiting:
            world = waiting.popleft()
            for following, cost in self._following(world):
                distance = found[world] + cost
                if distance < found.get(following, distance + 1):
                    found[following] = distance
                    # Time and successes cost nothing: what is as near as this world comes before what is farther.
                    (waiting.append if cost else waiting.appendleft)(following)
                if len(found) > most:
                    return None
        return found

    def _following(self, world: World) -> Iterator[tuple[World, int]]:
        if self.timed:
            yield self._later(world), 0
        for tool in self.contract.tools:
            for session in self.sessions:
                state = self.view(world, session)
                for args in self.calls[tool.name]:
                    env = Env(args, state, {**session, "tool": tool.name})
                    if self.verdicts[tool.name](env) != "deny":
                        yield from ((after, 1) for after in self._permitted(world, tool, env))
        for ended, (name, args, facts) in enumerate(world.running):
            (tool,) = (tool for tool in self.contract.tools if tool.name == name)
            session = dict(facts)
            env = Env(dict(args), self.view(world, session), {**session, "tool": name})
            rest = replace(world, running=world.running[:ended] + world.running[ended + 1 :])
            after = self._assigned(rest, tool.on_success, env)
            if after is not None:
                yield after, 0

    def _later(self, world: World) -> World:
        half = (world.half + 1) % HALVES
        held = set()
        for name, owner, value in world.held:
            period = self._variable(name).period
            if period is None:
                held.add((name, owner, value))
            elif period.kind == "window":
                young = tuple((key, age + 1, amount) for key, age, amount in value if age + 1 < HALVES)
                held |= {(name, owner, young)} if young else set()
            elif half:
                held.add((name, owner, value))
        return World(frozenset(held), half, world.running)

    def view(self, world: World, session: Facts) -> dict[str, Value]:
        """What rules read as the state in this session."""
        held = {(name, owner): value for name, owner, value in world.held}
        return {v.name: self._read(v, held.get((v.name, self._owner(v, session)))) for v in self.contract.variables}

    def views(self, world: World) -> list[dict[str, Value]]:
        """The state as everybody sees it."""
        return [self.view(world, session) for session in self.sessions]

    def _read(self, variable: Variable, value: Value) -> Value:
        if variable.period is not None and variable.period.kind == "window":
            sums: dict[Value, int] = {}
            for key, _, amount in value or ():
                sums[key] = sums.get(key, 0) + amount
            return sums if isinstance(variable.sort, MapSort) else sums.get(None, 0)
        if value is None:
            value = () if isinstance(variable.sort, MapSort) else variable.initial
        match variable.sort:
            case MapSort():
                return dict(value)
            case SetSort():
                return frozenset(value)
            case _:
                return value

    def _permitted(self, world: World, tool: Tool, env: Env) -> Iterator[World]:
        """After a permit; of a call whose success matters, both if it never ends and while it runs."""
        after = self._assigned(world, tool.then, env)
        if after is None:
            return
        yield after
        if tool.on_success and len(after.running) < MOST_RUNNING:
            facts = {name: value for name, value in env.facts.items() if name.startswith("session.")}
            call = (tool.name, tuple(sorted(env.args.items())), tuple(sorted(facts.items())))
            yield replace(after, running=tuple(sorted((*after.running, call), key=repr)))

    def _assigned(self, world: World, assignments: tuple[Assignment, ...], env: Env) -> World | None:
        """The world after some assignments, read on the world before; None where they cannot be made."""
        held = {(name, owner): value for name, owner, value in world.held}
        seen = set()
        for each in assignments:
            variable = self._variable(each.variable)
            place = (variable.name, self._owner(variable, env.facts))
            key = None if each.key is None else self.evaluated(each.key)(env)
            if (place, key) in seen:
                return None
            seen.add((place, key))
            stored = self._stored(variable, held.get(place), key, each.value, env)
            if stored is None:
                return None
            held[place] = stored
            if stored == self._plain(variable):
                del held[place]
        return World(frozenset((*place, value) for place, value in held.items()), world.half, world.running)

    def _plain(self, variable: Variable) -> Value:
        """What is stored of a variable that is as at the beginning."""
        window = variable.period is not None and variable.period.kind == "window"
        return () if window or isinstance(variable.sort, MapSort) else variable.initial

    def _stored(self, variable: Variable, before: Value, key: Value, value: Expr, env: Env) -> Value | None:
        most = variable.max_size or 10_000
        if isinstance(variable.sort, SetSort):
            old = frozenset(variable.initial if before is None else before)
            new = self._members(old, value, env)
            return tuple(sorted(new)) if len(new) <= max(len(old), most) else None
        number = self.evaluated(value)(env)
        if variable.period is not None and variable.period.kind == "window":
            events = before or ()
            old_sum = sum(amount for at, _, amount in events if at == key)
            events = summed((*events, (key, 0, number - old_sum))) if number != old_sum else events
            kept, old_kept = {at for at, *_ in events}, {at for at, *_ in before or ()}
            return events if key is None or len(kept) <= max(len(old_kept), most) else None
        if isinstance(variable.sort, MapSort):
            entries = {**dict(before or ()), key: number}
            new = {at: entry for at, entry in entries.items() if entry != variable.initial}
            return tuple(sorted(new.items())) if len(new) <= max(len(before or ()), most) else None
        return number

    def _members(self, old: frozenset[str], value: Expr, env: Env) -> frozenset[str]:
        match value:
            case SetAdd(of=of, item=item):
                return self._members(old, of, env) | {self.evaluated(item)(env)}
            case SetRemove(of=of, item=item):
                return self._members(old, of, env) - {self.evaluated(item)(env)}
            case Ite(condition=condition, then=then, otherwise=otherwise):
                return self._members(old, then if self.evaluated(condition)(env) else otherwise, env)
            case State():
                return old
            case _:
                message = f"{value} is no change of a set"
                raise AssertionError(message)

    def _owner(self, variable: Variable, facts: Facts) -> Value:
        return None if variable.scope == "spec" else facts[FACT_OF[variable.scope]]

    def _variable(self, name: str) -> Variable:
        (variable,) = (variable for variable in self.contract.variables if variable.name == name)
        return variable

    def nearest(self, subject: Property, *, noted: bool = False) -> int | None:
        """The fewest permits before a world that shows it: against an `always`, and what the others speak of.

        With `noted`, a last call counts only if the gate decides it as the rules do, for it can be stored.
        """
        condition, found = truth(subject.condition), self.found or {}
        near = (distance for world, distance in found.items() if self._shows(world, subject, condition, noted=noted))
        return min(near, default=None)

    def _shows(self, world: World, subject: Property, condition: Callable[[Env], bool], *, noted: bool) -> bool:
        if subject.kind == "always":
            return any(not condition(Env({}, state)) for state in self.views(world))
        return any(
            self._meets(subject, condition, tool, Env(args, self.view(world, session), {**session, "tool": tool.name}))
            and (not noted or self._is_noted(world, tool, args, session))
            for session in self.sessions
            for tool in self.contract.tools
            if tool.name in subject.tools
            for args in self.calls[tool.name]
        )

    def _is_noted(self, world: World, tool: Tool, args: Mapping[str, Value], session: Facts) -> bool:
        env = Env(args, self.view(world, session), {**session, "tool": tool.name})
        return self.verdicts[tool.name](env) == "deny" or self._assigned(world, tool.then, env) is not None

    def _meets(self, subject: Property, condition: Callable[[Env], bool], tool: Tool, env: Env) -> bool:
        decided = {"decision": self.verdicts[tool.name](env), "rule": self.rules[tool.name](env)}
        if subject.kind == "never" and not subject.mentions_decision and decided["decision"] == "deny":
            return False
        return condition(Env(env.args, env.state, {**env.facts, **decided}))
