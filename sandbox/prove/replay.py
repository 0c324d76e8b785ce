"""Every sequence is played through the real parse, decide and machine, before anyone sees it.

On a throw-away state, by the very step that the gate takes. What does not show there what the solver said is no
counterexample and no witness.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from sandbox.call import Call, Decision, Rejected
from sandbox.canonical import canonical_json, printable, show_state
from sandbox.decide import EnginePair
from sandbox.evaluate import Env, truth
from sandbox.holders import Holders, Shelf, holders_of
from sandbox.ir import Contract, Json, Property
from sandbox.machine import StateValue, effective, tick
from sandbox.parse import parse_call
from sandbox.prove.coming import Made, counts_for, differing, is_one_to_come
from sandbox.prove.verdicts import Changes, Move, Moves, Replayed
from sandbox.session import read_session
from sandbox.step import take_step, take_success
from sandbox.times import show_duration

if TYPE_CHECKING:
    from sandbox.call import Value

MAX_SHOWN: Final = 400
"""Characters of a call's arguments that its line in words repeats; the JSON has all of them."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Differs:
    """The gate did something else than the solver said."""

    reason: str


@dataclass(slots=True)
class _Running:
    """A permitted call, by its number in the sequence; after which number (None: never), and when, it ends `ok`."""

    number: int
    after: int | None
    at_ms: int | None
    call: Call
    session: Mapping[str, Value]

    def made(self) -> Made:
        """The call itself."""
        return Made(self.call, self.session)


@dataclass(slots=True)
class Play:
    """What is stored, and what became of the calls so far."""

    shelf: Shelf
    decisions: list[Decision]
    words: list[str]
    running: list[_Running]
    changes: list[dict[str, tuple[Json, Json]]]
    ended: list[_Running] = field(default_factory=list)
    last_ms: int | None = None


def replay(contract: Contract, engines: EnginePair, subject: Property, moves: Moves) -> Replayed | Differs:
    """The sequence as the gate decides it, if it shows what it is said to show of the property."""
    start = moves.calls[0].now_ms if moves.calls else moves.until_ms
    play = Play(Shelf.fresh(contract, start), [], [], [], [])
    leading = moves.calls if subject.kind == "always" else moves.calls[:-1]
    for move in leading:
        different = permitted(contract, engines, play, move)
        if different is not None:
            return different
    if subject.kind == "always":
        return _state_without(contract, subject, play, moves)
    return _last_call(contract, engines, subject, play, moves)


def permitted(contract: Contract, engines: EnginePair, play: Play, move: Move) -> Differs | None:
    """Play a call that must be permitted, as if a person had approved it where one is asked."""
    call = call_of(move, contract)
    session = read_session(contract, move.session)
    holders = holders_of(contract, session)
    stored = play.shelf.view(holders)
    before = effective(contract, tick(contract, stored, move.now_ms))
    step = take_step(engines, contract, stored, call, move.now_ms, session=session)
    if step.after is None or isinstance(call, Rejected):
        return Differs(f"call {len(play.decisions) + 1} is denied: {step.decision.reason}")
    play.shelf.put(holders, step.after)
    play.decisions.append(step.decision)
    changes = _changes(contract, before, effective(contract, step.after))
    play.changes.append(changes)
    play.words.append(told_move(play, move, step.decision, changes))
    number = len(play.decisions)
    after, at_ms = (None, None) if move.ends is None else (number + move.ends.after, move.ends.at_ms)
    play.running.append(_Running(number, after, at_ms, call, session))
    return _ended(contract, engines, play, number, move.now_ms)


def _ended(contract: Contract, engines: EnginePair, play: Play, number: int, now_ms: int) -> Differs | None:
    """Play the success of every call that ends after this many permits, in the order of their permits."""
    for each in (each for each in play.running if each.after == number):
        at_ms = now_ms if each.at_ms is None else each.at_ms
        holders = holders_of(contract, each.session)
        stored = play.shelf.view(holders)
        before = effective(contract, tick(contract, stored, at_ms))
        landing = take_success(engines, contract, stored, each.call, at_ms, session=each.session)
        if landing.reason_code:
            return Differs(f"call {each.number} ends `ok`, and that is not noted: {landing.reason}")
        play.ended.append(each)
        if landing.after is not None:
            play.shelf.put(holders, landing.after)
            changes = _changes(contract, before, effective(contract, landing.after))
            told = play.changes[each.number - 1]
            told.update({name: (told.get(name, (old, new))[0], new) for name, (old, new) in changes.items()})
            when = f" at {rfc3339(at_ms)}" if at_ms != now_ms else ""
            play.words.append(f"{each.number}. ends `ok`{when}; {_shown(changes)}")
    return None


def _state_without(contract: Contract, subject: Property, play: Play, moves: Moves) -> Replayed | Differs:
    holders = holders_of(contract, read_session(contract, moves.session))
    state = effective(contract, tick(contract, play.shelf.view(holders), moves.until_ms))
    if truth(subject.condition)(Env({}, state)):
        return Differs("the state after the calls still has the property")
    shown = shown_state(contract, state)
    later = moves.calls and moves.until_ms > moves.calls[-1].now_ms
    when = f"at {rfc3339(moves.until_ms)}" if later else "then" if moves.calls else "initially"
    whose = f" for {_named(holders)}" if holders else ""
    play.words.append(f"{when} `{subject.text or subject.id}` is false{whose}: {listed(shown)}")
    return Replayed(moves, tuple(play.decisions), shown, tuple(play.words), tuple(play.changes))


def _last_call(
    contract: Contract, engines: EnginePair, subject: Property, play: Play, moves: Moves
) -> Replayed | Differs:
    if not moves.calls:
        return Differs("there is no call")
    move = moves.calls[-1]
    call = call_of(move, contract)
    if isinstance(call, Rejected):
        return Differs(f"the last call does not parse: {call.reason}")
    session = read_session(contract, move.session)
    stored = play.shelf.view(holders_of(contract, session))
    before = effective(contract, tick(contract, stored, move.now_ms))
    step = take_step(engines, contract, stored, call, move.now_ms, session=session)
    decision = step.decision
    facts = {"now": max(move.now_ms, stored.clock_ms), **{f"session.{name}": v for name, v in session.items()}}
    if not _meets(subject, call, before, facts, decision):
        return Differs(f"the last call does not meet the property: {decision.reason}")
    last = Made(call, session)
    come = [each.number for each in play.ended if _is_one(subject, each) and counts_for(subject, each.made(), last)]
    if come:
        return Differs(f"call {come[0]} is one that the property needs, and it ended `ok`")
    play.decisions.append(decision)
    play.changes.append({})
    play.words.append(told_move(play, move, decision, {}))
    play.words += _told_end(subject, play, last)
    state = shown_state(contract, before)
    return Replayed(moves, tuple(play.decisions), state, tuple(play.words), tuple(play.changes))


def _is_one(subject: Property, each: _Running) -> bool:
    return is_one_to_come(subject, each.made())


def _told_end(subject: Property, play: Play, last: Made) -> list[str]:
    if subject.kind == "flow":
        return [f"that call is let through with what must not flow there: `{subject.text or subject.id}`"]
    if subject.kind != "needs":
        return [f"that call meets `{subject.text or subject.id}`"]
    told = [
        f"call {each.number} is one that it needs, and {_why_not(play, each, subject, last)}"
        for each in play.running
        if _is_one(subject, each)
    ]
    return [*told, f"that call is let through before what it needs: `{subject.text or subject.id}`"]


def _why_not(play: Play, each: _Running, subject: Property, last: Made) -> str:
    """Why an earlier call does not count."""
    if each not in play.ended:
        return "has not ended"
    names = ", ".join(f"`{path}`" for path in differing(subject, each.made(), last))
    return f"has not the same {names}"


def _meets(
    subject: Property, call: Call, state: Mapping[str, StateValue], facts: Mapping[str, Value], decision: Decision
) -> bool:
    """Whether the call, as the gate's rules decide it in this state, is one that the property speaks of."""
    by_rules = decision.reason_code == "default_deny" or decision.reason_code.startswith("rule.")
    if not by_rules or call.tool not in subject.tools or not subject.is_about(decision.verdict):
        return False
    known = {**facts, "tool": call.tool, "decision": decision.verdict, "rule": decision.rule}
    return truth(subject.condition)(Env(call.args, dict(state), known, origins=call.origins))


def call_of(move: Move, contract: Contract) -> Call | Rejected:
    """The call as it is judged: parsed, and with its origins."""
    call = parse_call(raw_of(move), contract)
    if isinstance(call, Rejected):
        return call
    return replace(call, origins={name: frozenset(labels) for name, labels in move.origins.items()})


def raw_of(move: Move) -> bytes:
    """The call as a model would emit it."""
    return json.dumps({"tool": move.tool, "args": dict(move.args)}, ensure_ascii=False).encode()


def rfc3339(unix_ms: int) -> str:
    """A time in UTC, with milliseconds."""
    return (_EPOCH + timedelta(milliseconds=unix_ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def unix_ms(text: str) -> int:
    """A time as `rfc3339` writes it, in Unix milliseconds. Raises ValueError if it is none."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)


def shown_state(contract: Contract, state: Mapping[str, StateValue]) -> dict[str, Json]:
    """State for a person and for JSON: decimals as text with their digits."""
    return {v.name: show_state(state[v.name], v.sort) for v in contract.variables}


def _changes(
    contract: Contract, before: Mapping[str, StateValue], after: Mapping[str, StateValue]
) -> dict[str, tuple[Json, Json]]:
    old, new = shown_state(contract, before), shown_state(contract, after)
    return {name: (old[name], new[name]) for name in old if old[name] != new[name]}


def _shown(changes: Changes) -> str:
    return ", ".join(f"{name} {_plain(old)} -> {_plain(new)}" for name, (old, new) in changes.items())


def told_move(play: Play, move: Move, decision: Decision, changes: Changes) -> str:
    """One call in words, with its number."""
    args = printable(canonical_json(move.args))
    args = args if len(args) <= MAX_SHOWN else f"{args[:MAX_SHOWN]}..."
    session = f" in the session {printable(canonical_json(move.session))}" if move.session else ""
    whole = f"{args}{origin_words(move.origins)}{session}"
    told = f"{len(play.decisions)}. {_when(play, move)}`{move.tool}` {whole}: {decision.reason}"
    play.last_ms = move.now_ms
    return f"{told}; {_shown(changes)}" if changes else told


def origin_words(origins: Mapping[str, tuple[str, ...]]) -> str:
    """Where the values of a call come from, for a person; '' where nothing is said of it."""
    told = ", ".join(f"{name} from {' and '.join(labels) or 'nowhere'}" for name, labels in sorted(origins.items()))
    return f" ({told})" if told else ""


def _named(holders: Holders) -> str:
    return " and ".join(f"the {scope} {printable(canonical_json(holder))}" for scope, holder in holders.items())


def _when(play: Play, move: Move) -> str:
    """The time of the first call, and how much later each is than the one before it."""
    if play.last_ms is None:
        return f"{rfc3339(move.now_ms)} "
    return f"{show_duration(move.now_ms - play.last_ms)} later " if move.now_ms != play.last_ms else ""


def listed(state: Mapping[str, Json]) -> str:
    """A state in words."""
    return ", ".join(f"{name} = {_plain(value)}" for name, value in state.items())


def _plain(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value)
