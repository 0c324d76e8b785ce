"""Invariants that nobody wrote: guessed by Spacer, put into words, read back, and then proved like any other.

What counts is the text: it is compiled as an author's expression would be, and every obligation of it is decided by
plain Z3 over the machine itself, and by cvc5. Whatever is not decided is not proved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from sandbox.errors import SpecError
from sandbox.ir import Expr
from sandbox.prove.horn import STRATEGIES, Clause, Guess, NoGuess, guess
from sandbox.prove.induction import Inductive, kept, proved_together
from sandbox.prove.obligations import Ground
from sandbox.prove.phrase import UnsayableError
from sandbox.prove.probes import probes_of
from sandbox.prove.solve import Desk
from sandbox.prove.spoken import read_invariants
from sandbox.prove.wording import phrased

MAX_CONJUNCTS: Final = 64
"""A longer invariant nobody reads; and every one of them is proved against all the others."""

MAX_TRIALS: Final = 24
"""Conjuncts that are tried to be left out, so that the invariant is no longer than it must be."""


@dataclass(frozen=True, slots=True)
class Aim:
    """What an invariant is wanted for.

    `fixed` are conditions that are proved together with it, `wrong` what it must exclude; `enough` says, with the
    solvers of a desk, whether the goal follows from a ground that has the invariant among what is proved.
    """

    fixed: tuple[Expr, ...]
    wrong: tuple[Clause, ...]
    enough: Callable[[Ground, Desk], bool]


@dataclass(frozen=True, slots=True)
class Strengthened:
    """The goal is proved, by these conditions: together with what was to be shown, every step keeps them."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NotStrengthened:
    """No invariant was found and proved, and why."""

    reason: str


_Lemmas: TypeAlias = dict[str, Expr]


def strengthened(ground: Ground, desk: Desk, aim: Aim) -> Strengthened | NotStrengthened:
    """An invariant that shows the aim, proved by both solvers; the first strategy that finds one."""
    if desk.hint is not None:
        return _by_hint(ground, desk, aim, desk.hint)
    reason = ""
    for strategy in STRATEGIES:
        found = guess(ground, desk, aim.wrong, strategy)
        if isinstance(found, NoGuess):
            reason = reason or found.reason
            continue
        try:
            tried = _proved(ground, desk, aim, lemmas_of(ground, found))
        except (UnsayableError, SpecError) as error:
            reason = reason or str(error)
            continue
        if isinstance(tried, Strengthened):
            return tried
        reason = reason or tried.reason
    return NotStrengthened(reason)


def _by_hint(ground: Ground, desk: Desk, aim: Aim, hint: tuple[str, ...]) -> Strengthened | NotStrengthened:
    """By an invariant that somebody else has found: it counts as one that was found here, and nothing is looked for."""
    if not hint:
        return NotStrengthened("none is said to be needed")
    try:
        lemmas = read_invariants(hint, ground.contract, ground.commons)
    except SpecError as error:
        return NotStrengthened(error.problems[0].message)
    return _by_both(ground, desk, aim, lemmas)


def lemmas_of(ground: Ground, found: Guess) -> _Lemmas:
    """The conjuncts of a guess, each as its text and as what that text means. Raises UnsayableError, SpecError."""
    named = {variable.name: variable for variable in ground.contract.variables}
    named |= {probe.text: probe.variable() for probe in probes_of(ground.contract, ground.commons)}
    texts = phrased(found.formula, tuple(named[name] for name in found.names))
    if len(texts) > MAX_CONJUNCTS:
        message = f"an invariant has more than {MAX_CONJUNCTS} parts"
        raise UnsayableError(message)
    return read_invariants(texts, ground.contract, ground.commons)


def _proved(ground: Ground, desk: Desk, aim: Aim, lemmas: _Lemmas) -> Strengthened | NotStrengthened:
    own = replace(desk, choice="z3", emit=None)
    fewest = _by_z3(ground, own, aim, lemmas)
    desk.spent = own.spent
    if fewest is None:
        return NotStrengthened("the invariant that was found is not one by z3's own proof")
    return _by_both(ground, desk, aim, fewest)


def _by_both(ground: Ground, desk: Desk, aim: Aim, lemmas: _Lemmas) -> Strengthened | NotStrengthened:
    """Whether both solvers prove it; what they were asked is noted only then."""
    notes = None if desk.emit is None else replace(desk.emit, noted=[])
    both = replace(desk, choice="both", emit=notes)
    sure = _suffices(ground, both, aim, lemmas)
    desk.spent, desk.spent_on_cores = both.spent, both.spent_on_cores
    if not sure:
        return NotStrengthened("the invariant that was found is not proved by z3 and cvc5 both")
    if desk.emit is not None and notes is not None:
        desk.emit.noted += notes.noted
        desk.emit.naming.learn(lemmas)
    return Strengthened(tuple(lemmas))


def _by_z3(ground: Ground, desk: Desk, aim: Aim, lemmas: _Lemmas) -> _Lemmas | None:
    """Of the lemmas those that are needed, if they show the aim."""
    together = proved_together(ground, desk, (*aim.fixed, *lemmas.values()))
    lemmas = {text: lemma for text, lemma in lemmas.items() if lemma in together and lemma not in aim.fixed}
    if not together.issuperset(aim.fixed) or not _suffices(ground, desk, aim, lemmas):
        return None
    return _shortened(ground, desk, aim, lemmas)


def _shortened(ground: Ground, desk: Desk, aim: Aim, lemmas: _Lemmas) -> _Lemmas:
    """Without those that are not needed, the longest tried first."""
    for text in tuple(reversed(lemmas))[:MAX_TRIALS]:
        fewer = {other: lemma for other, lemma in lemmas.items() if other != text}
        if _suffices(ground, desk, aim, fewer):
            lemmas = fewer
    return lemmas


def _suffices(ground: Ground, desk: Desk, aim: Aim, lemmas: _Lemmas) -> bool:
    """Whether every step keeps the conditions, all of them assumed, and the goal follows from them."""
    every = (*aim.fixed, *lemmas.values())
    if not all(isinstance(kept(ground, desk, every, each), Inductive) for each in every):
        return False
    return aim.enough(replace(ground, invariants=(*ground.invariants, *every)), desk)
