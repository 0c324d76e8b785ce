"""A sequence played through several specs, each on a state of its own, by the step that the gate takes.

All of them permit every call but the last. What each says of that one, as the very same bytes, is compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Final, assert_never

from sandbox.call import Decision
from sandbox.canonical import show_state
from sandbox.decide import EnginePair, Evaluator
from sandbox.engines import SolverWorker
from sandbox.holders import Shelf, holders_of
from sandbox.ir import Contract, Json, Newly, Property, Variable
from sandbox.machine import StateValue, StoredState, effective, is_map, is_window, tick
from sandbox.prove.beside import beside, prefix_of
from sandbox.prove.replay import Differs, Play, call_of, listed, permitted, replay, shown_state, told_move
from sandbox.prove.verdicts import Beside, Move, Moves, Replayed
from sandbox.session import read_session
from sandbox.step import take_step

_LAXNESS: Final = {"deny": 0, "ask": 1, "allow": 2}


@dataclass(frozen=True, slots=True)
class _Spec:
    contract: Contract
    engines: EnginePair
    play: Play


def played(contract: Contract, engines: EnginePair, subject: Property, moves: Moves) -> Replayed | Differs:
    """The sequence as the gate decides it, or as several specs do where the property is about several.

    The other specs are asked as the first one is: with their solvers if its solver is asked.
    """
    if subject.kind != "within":
        return replay(contract, engines, subject, moves)
    with ExitStack() as stack:
        others = []
        for each in subject.ceilings:
            solver = None if engines.solver is None else stack.enter_context(SolverWorker(each))
            others.append((each, EnginePair(Evaluator(each), solver, always_ask=solver is not None)))
        return replay_beside([(contract, engines), *others], subject, moves, prefix_of(subject))


def replay_beside(
    specs: Sequence[tuple[Contract, EnginePair]], subject: Property, moves: Moves, prefix: str
) -> Replayed | Differs:
    """The sequence as each spec decides it, the first of them the one that the property is about."""
    if not moves.calls:
        return Differs("there is no call")
    plays = _begun(specs, moves, prefix)
    for move in moves.calls[:-1]:
        for each in plays:
            different = permitted(each.contract, each.engines, each.play, move)
            if different is not None:
                return replace(different, reason=f"`{each.contract.name}`: {different.reason}")
    first, *others = plays
    last = moves.calls[-1]
    decisions = [_decided(each, last) for each in plays]
    own, theirs = decisions[0], decisions[1:]
    if not all(_by_rules(decision) for decision in decisions) or not is_newly(subject.newly, own, theirs):
        return Differs(f"the last call does not show it: {own.reason}")
    state = _read(first, last)
    shown = shown_state(first.contract, state)
    first.play.decisions.append(own)
    first.play.changes.append({})
    begins = () if moves.start is None else (_told_start(first, others, last),)
    words = (*begins, *first.play.words, told_move(first.play, last, own, {}))
    said = tuple(Beside(each.contract.name, decision) for each, decision in zip(others, theirs, strict=True))
    words = (*words, *(f"`{each.spec}` says: {each.decision.reason}" for each in said))
    return Replayed(moves, tuple(first.play.decisions), shown, words, tuple(first.play.changes), said)


def is_newly(newly: Newly, own: Decision, others: Sequence[Decision]) -> bool:
    """Whether the decision is laxer than the strictest of the others, or newly what is looked for."""
    strictest = min((_LAXNESS[each.verdict] for each in others), default=_LAXNESS["allow"])
    verdict = own.verdict
    match newly:
        case "":
            return _LAXNESS[verdict] > strictest
        case "allowed":
            return verdict == "allow" and strictest < _LAXNESS["allow"]
        case "asked":
            return verdict == "ask" and strictest != _LAXNESS["ask"]
        case "denied":
            return verdict == "deny" and strictest > _LAXNESS["deny"]
        case _:
            assert_never(newly)


def _by_rules(decision: Decision) -> bool:
    """Whether the rules, or the parser, decided; and not a limit, a fault or what the host left out."""
    code = decision.reason_code
    return code in {"default_deny", "unknown_tool"} or code.startswith(("rule.", "parse."))


def _decided(spec: _Spec, move: Move) -> Decision:
    call = call_of(move, spec.contract)
    session = read_session(spec.contract, move.session)
    stored = spec.play.shelf.view(holders_of(spec.contract, session))
    return take_step(spec.engines, spec.contract, stored, call, move.now_ms, session=session).decision


def _read(spec: _Spec, move: Move) -> dict[str, StateValue]:
    """What the rules read as the state at a call."""
    holders = holders_of(spec.contract, read_session(spec.contract, move.session))
    return effective(spec.contract, tick(spec.contract, spec.play.shelf.view(holders), move.now_ms))


# --- where it begins ---------------------------------------------------------------------------------


def _begun(specs: Sequence[tuple[Contract, EnginePair]], moves: Moves, prefix: str) -> list[_Spec]:
    first = moves.calls[0]
    begun = [
        _Spec(contract, engines, Play(Shelf.fresh(contract, first.now_ms), [], [], [], []))
        for contract, engines in specs
    ]
    if moves.start is not None:
        names = beside(specs[0][0], [contract for contract, _ in specs[1:]], prefix).names
        for each, own in zip(begun, names, strict=True):
            holders = holders_of(each.contract, read_session(each.contract, first.session))
            values = {name: moves.start.get(machine) for name, machine in own.items()}
            shelf = each.play.shelf
            shelf.put(holders, _started(each.contract, shelf.view(holders), values))
    return begun


def _started(contract: Contract, stored: StoredState, values: Mapping[str, Json]) -> StoredState:
    """The state with these values; a window has each of them as one amount of just now."""
    now = stored.clock_ms
    plain, events, keyed = dict(stored.values), dict(stored.events), dict(stored.key_events)
    for variable in contract.variables:
        value = _value(variable, values.get(variable.name))
        match value:
            case Mapping() if is_window(variable):
                keyed[variable.name] = {key: ((now, amount),) for key, amount in value.items()}
            case _ if is_window(variable):
                events[variable.name] = ((now, int(str(value))),) if value else ()
            case _:
                plain[variable.name] = value
    return replace(stored, values=plain, events=events, key_events=keyed)


def _value(variable: Variable, value: Json) -> StateValue:
    match value:
        case list():
            return frozenset(str(item) for item in value)
        case dict() if is_map(variable):
            return {key: int(str(number)) for key, number in value.items()}
        case bool() | int() | str():
            return value
        case _:
            message = f"`{variable.name}` has no such value"
            raise ValueError(message)


def _told_start(first: _Spec, others: Sequence[_Spec], last: Move) -> str:
    """The state of each spec, once where they share it."""
    told = []
    for each in (first, *others):
        state = _read(each, last)
        shown = {v.name: show_state(state[v.name], v.sort) for v in each.contract.variables}
        told += [text] if shown and (text := listed(shown)) not in told else []
    return f"in a state that is not known to be reached: {'; and of the other one, '.join(told)}"
