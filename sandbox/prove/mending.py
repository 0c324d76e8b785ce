"""The search for what would mend a refuted property: which bound, made stricter, and how much at least.

A number is found by bisection: what was refuted is laxer than it, what was proved stricter. That a stricter bound
cannot break what a laxer one keeps is why this is quick, and is not relied on: what is shown was proved of the changed
spec as any property is, its `always` properties first, and the next laxer number was refuted, or nothing is said of it.

Whatever goes wrong, or takes too long, nothing is shown; the verdict stays what it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from sandbox.decide import EnginePair, Evaluator
from sandbox.errors import SandboxError
from sandbox.ir import And, Const, DecimalSort, Expr, IntSort, Not, Or, Property, Rule, Tool
from sandbox.lang.walk import within
from sandbox.prove.crew import Reply
from sandbox.prove.findings import Holds, Shown, SolverChoice, Unreachable
from sandbox.prove.mends import Mend
from sandbox.prove.replay_beside import played
from sandbox.prove.tighten import Bound, Candidate, Choice, Setting, candidates, laxer
from sandbox.prove.verdicts import Moves, Refuted, Replayed
from sandbox.prove.worker import Order

MOST: Final = 2
"""Mends of one property that are shown."""

MAX_STEPS: Final = 120
"""Questions that are put to the prover for one property: each takes some hundredths of a second, as a rule."""

MAX_RLIMIT: Final = 80_000_000
"""Z3's resource units for one property: some twenty seconds, and the same on every machine."""

STEP_S: Final = 5.0
"""Seconds of one question."""

SHARE: Final = 0.5
"""The part of a property's time that this may take beside it: an outer bound, which only ends the search."""

MAX_GUESSES: Final = 8
"""Numbers of spec and property that are tried before halves: mostly the one that is looked for is among them."""

FAR: Final = 1_000
"""A number that counts as large, where the spec has none that is."""


@dataclass(frozen=True, slots=True)
class Means:
    """Who answers, and for how long: `ask` carries out orders, `choice` is to be convinced.

    `seconds` are those of one property, on `clock`'s scale.
    """

    ask: Callable[[Order], Reply]
    choice: SolverChoice
    seconds: float
    clock: Callable[[], float] = time.monotonic


class Ended(Exception):
    """The search has taken its share."""


def mends(setting: Setting, verdict: Refuted, means: Means) -> tuple[Mend, ...]:
    """What would mend the property, the deciding rule's own bounds first; nothing where nothing is found."""
    try:
        return _found(setting, verdict, means)
    except (SandboxError, KeyError, TypeError, ValueError, RecursionError):
        return ()


def _found(setting: Setting, verdict: Refuted, means: Means) -> tuple[Mend, ...]:
    decided = _deciding(setting, verdict)
    if decided is None or verdict.counterexample is None:
        return ()
    tool, rule = decided
    search = _Search(setting, means, tool, rule, means.clock() + means.seconds * SHARE)
    search.shown.append(verdict.counterexample.moves)
    found: list[Mend] = []
    try:
        for each in candidates(setting, tool, rule):
            mend = search.of(each)
            if mend is not None:
                found.append(mend)
            if len(found) == MOST:
                break
    except Ended:
        pass
    return tuple(found)


def _deciding(setting: Setting, verdict: Refuted) -> tuple[Tool, Rule] | None:
    """The rule that let the last call through, and its tool; None where none did."""
    shown = verdict.counterexample
    if setting.subject.kind == "possible" or shown is None or not shown.decisions:
        return None
    last = shown.decisions[-1]
    tool = setting.contract.tool(shown.moves.calls[-1].tool)
    if tool is None or last.verdict == "deny":
        return None
    return next(((tool, rule) for rule in tool.rules if rule.id == last.rule), None)


@dataclass(slots=True)
class _Search:
    setting: Setting
    means: Means
    tool: Tool
    rule: Rule
    deadline: float
    shown: list[Moves] = field(default_factory=list)
    steps: int = 0
    spent: int = 0

    def of(self, candidate: Candidate) -> Mend | None:
        match candidate:
            case Bound():
                return self._bound(candidate)
            case Choice():
                return self._choice(candidate)

    # --- a number

    def _bound(self, bound: Bound) -> Mend | None:
        numbers = _numbers(self.setting, self.tool, bound.scale)
        far = _far(bound, numbers)
        if self.says(bound.turned(far)) is not True:
            return None
        refuted, proved = bound.now, far
        for guess in [*_guesses(bound, numbers), None, *[None] * abs(far - bound.now).bit_length()]:
            middle = (refuted + proved) // 2 if guess is None else guess
            if not min(refuted, proved) < middle < max(refuted, proved):
                continue
            if self.says(bound.turned(middle)) is True:
                proved = middle
            else:
                refuted = middle
        if abs(proved - refuted) != 1 or not self._stands(bound.turned(proved)):
            return None
        known = refuted == bound.now or self.says(bound.turned(refuted), seek=True) is False
        beyond = bound.shown(refuted) if known else ""
        return Mend(
            bound.where, bound.tool, bound.of, bound.told(proved), bound.shown(bound.now), beyond, place=bound.place
        )

    # --- values

    def _choice(self, choice: Choice) -> Mend | None:
        """Without each value that alone lets through what must not be."""
        every = frozenset(range(len(choice.values)))
        if self.says(choice.without(every)) is not True:
            return None
        bad = frozenset(at for at in every if self.says(choice.without(every - {at})) is not True)
        if not bad or bad == every or not self._stands(choice.without(bad)):
            return None
        left_out = tuple(choice.values[at] for at in sorted(bad))
        return Mend("rule", choice.tool, choice.of, choice.subject, left_out=left_out, place=choice.place)

    # --- questions

    def says(self, changed: Setting, *, seek: bool = False) -> bool | None:
        """Whether the property holds of a changed spec: True if it is proved, False if calls replay that break it.

        Of calls those are tried that broke it before, and with `seek` others are looked for.
        """
        if any(_breaks(changed, moves) for moves in self.shown):
            return False
        assumed = (each for each in changed.always if changed.subject.kind == "always" or each.id in changed.held)
        reply = self._asked(changed, changed.subject, tuple(assumed), "z3", seek=seek)
        match reply.finding:
            case Holds():
                return True
            case Shown(moves=moves) if _breaks(changed, moves):
                self.shown.append(moves)
                return False
            case _:
                return None

    def _stands(self, changed: Setting) -> bool:
        """Whether a mend can be shown: the rule still lets something through, nothing is laxer, all is proved anew."""
        return self._is_useful(changed) and self._is_stricter(changed) and self._proved(changed)

    def _is_useful(self, changed: Setting) -> bool:
        """Whether the rule that let the call through still decides of some call that can come about."""
        tool = changed.contract.tool(self.tool.name)
        rule = next((each for each in tool.rules if each.id == self.rule.id), None) if tool is not None else None
        if tool is None or rule is None:
            return False
        above = tuple(
            each.when for each in tool.rules if each.kind == "deny" or (each.kind, rule.kind) == ("ask", "allow")
        )
        alive = Property("alive", "possible", And((rule.when, Not(Or(above)))), (tool.name,))
        reply = self._asked(changed, alive, (), "z3", seek=True)
        return isinstance(reply.finding, Shown) and _breaks(replace(changed, subject=alive), reply.finding.moves)

    def _is_stricter(self, changed: Setting) -> bool:
        """Whether no call is let through more easily: only an `ask` that is no more could leave it to an `allow`."""
        tool = changed.contract.tool(self.tool.name)
        if tool is None or (self.rule.kind == "ask" and self.rule in tool.rules):
            return tool is not None
        if self.rule.kind != "ask" or not any(each.kind == "allow" for each in tool.rules):
            return True
        asked = Property("laxer", "possible", laxer(self.tool, tool), (self.tool.name,), mentions_decision=True)
        return isinstance(self._asked(self.setting, asked, (), "z3").finding, Unreachable)

    def _proved(self, changed: Setting) -> bool:
        """Whether it is proved of the changed spec as any property is, and rests on nothing proved of another."""
        others = changed.always
        if changed.subject.kind != "always":
            held = tuple(each for each in others if each.id in changed.held)
            others = tuple(each for each in held if self._holds(changed, each, _others(held, each)))
        return self._holds(changed, changed.subject, others)

    def _holds(self, changed: Setting, subject: Property, others: tuple[Property, ...]) -> bool:
        return isinstance(self._asked(changed, subject, others, self.means.choice).finding, Holds)

    def _asked(
        self, of: Setting, subject: Property, others: tuple[Property, ...], choice: SolverChoice, *, seek: bool = False
    ) -> Reply:
        left = self.deadline - self.means.clock()
        if self.steps >= MAX_STEPS or self.spent >= MAX_RLIMIT or left <= 0:
            raise Ended
        self.steps += 1
        conditions, ids = tuple(each.condition for each in others), tuple(each.id for each in others)
        reply = self.means.ask(
            Order(of.contract, subject, conditions, ids, choice, min(STEP_S, left), None, "mend", seek=seek)
        )
        self.spent += reply.spent
        return reply


def _others(properties: tuple[Property, ...], own: Property) -> tuple[Property, ...]:
    return tuple(each for each in properties if each is not own)


def _breaks(setting: Setting, moves: Moves) -> bool:
    """Whether the calls, judged by the spec, show what the property is about."""
    try:
        shown = played(setting.contract, EnginePair(Evaluator(setting.contract), None), setting.subject, moves)
    except (SandboxError, KeyError, TypeError, ValueError):
        return False
    return isinstance(shown, Replayed)


# --- numbers to try ----------------------------------------------------------------------------------


def _numbers(setting: Setting, tool: Tool, scale: int) -> list[int]:
    """The numbers that the property and the tool's rules compare with, at this scale, the property's first."""
    ceilings = (each.tool(tool.name) for each in setting.subject.ceilings)
    tools = (tool, *(each for each in ceilings if each is not None))
    read = [setting.subject.condition, *(rule.when for each in tools for rule in each.rules)]
    found = (number for expr in read for number in _in(expr, scale))
    return list(dict.fromkeys(found))


def _in(expr: Expr, scale: int) -> Iterator[int]:
    for part in within(expr):
        match part:
            case Const(value=value, sort=IntSort()) if not isinstance(value, str):
                yield int(value) * 10**scale
            case Const(value=value, sort=DecimalSort(scale=own)) if not isinstance(value, str) and own <= scale:
                yield int(value) * 10 ** (scale - own)
            case _:
                pass


def _far(bound: Bound, numbers: list[int]) -> int:
    """The strictest number that is tried: what the type can have, or larger than all that the spec speaks of."""
    if bound.limit is not None:
        return bound.limit
    large: int = max([FAR * 10**bound.scale, abs(bound.now), *map(abs, numbers)])
    return bound.now + bound.way * (2 * large + 1)


def _guesses(bound: Bound, numbers: list[int]) -> Iterator[int]:
    """The numbers themselves, and beside each the next one to either side."""
    stricter = [number for number in numbers if (number - bound.now) * bound.way >= 0]
    for number in stricter[:MAX_GUESSES]:
        yield from (number, number - bound.way, number + bound.way)
