"""Constant string predicates, as the ground check asks for them: one symbol for a string and a predicate.

In a proof each is a membership in a regular language. Of one ground call every string is known, so that the symbol is
given the value that the predicate's automaton has for it: Z3 would follow the language by derivatives, at a cost that
a model can choose. That automaton and proved term mean the same is compared on some words when the terms are built
(`compare`), and by tests on words that take every transition.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import z3

from sandbox.asked import Asked, constants_in, identity, is_symbol
from sandbox.errors import Fault
from sandbox.regex import Accepts, Atom, accepts, atom_re, python_string, samples, z3_string

if TYPE_CHECKING:
    from sandbox.call import Value

WORDS: Final = 24
"""Words on which the meanings of one predicate are compared."""
MAX_WORD: Final = 24
"""Characters of such a word: what Z3 takes for a counted pattern grows with the fourth power of them."""
MAX_COMPARED: Final = 4_000
"""Such words of all the predicates of a contract together: about a fifth of a second when the solver starts."""


@dataclass(frozen=True, slots=True)
class AskedAtom:
    """`symbol` stands for whether the string that `subject` is satisfies the predicate.

    The subject is held, so that its id stays its own; and what answers, so that no call has to build it.
    """

    subject: z3.ExprRef
    atom: Atom
    symbol: z3.BoolRef
    accepted: Accepts


Made: TypeAlias = tuple[AskedAtom, ...]
"""The predicates of one subject."""


class AtomBook:
    """Every predicate of one tool's terms, by its subject; what an `Environment` takes as its `atoms`."""

    def __init__(self, ctx: z3.Context) -> None:
        self._ctx = ctx
        self._symbols: dict[int, dict[Atom, AskedAtom]] = {}
        self._made: dict[int, dict[Atom, AskedAtom]] = {}
        self._values = {value: z3.BoolVal(val=value, ctx=ctx) for value in (False, True)}
        self._count = 0

    def __call__(self, subject: z3.ExprRef, atom: Atom) -> z3.BoolRef:
        """The symbol for a subject and a predicate; the same one for the same two."""
        kept = self._symbols if is_symbol(subject) else self._made
        own = kept.setdefault(identity(subject), {})
        if atom not in own:
            own[atom] = AskedAtom(subject, atom, z3.Bool(f"atom@{self._count}", self._ctx), accepts(atom))
            self._count += 1
        return own[atom].symbol

    def atoms(self) -> frozenset[Atom]:
        """Every predicate, whatever it is asked about."""
        return frozenset(atom for kept in (self._symbols, self._made) for own in kept.values() for atom in own)

    def made(self) -> tuple[Made, ...]:
        """The predicates of every subject that is no free constant: a call has to tell what it is made of."""
        return tuple(tuple(own.values()) for own in self._made.values())

    def answers(self, known: Mapping[int, Value | None]) -> Iterator[tuple[z3.ExprRef, z3.ExprRef]]:
        """Each symbol whose subject is a free constant that has a value in this call, with its own value.

        `known` are the values of symbols by their ids. What is absent (None) is the empty string, as in `plain`. An
        element beyond the end of its list is not known: no term may depend on it. Raises Fault if a value is no string.
        """
        for found, value in known.items():
            for each in self._symbols.get(found, {}).values():
                if not isinstance(value, str | None):
                    message = "a string predicate is asked of what is no string"
                    raise Fault(message, "fault.unsupported")
                yield each.symbol, self._values[each.accepted(value or "")]

    def answers_of(self, made: Made, ground: z3.ExprRef) -> Iterator[tuple[z3.ExprRef, z3.ExprRef]]:
        """Each symbol of one other subject with its value, where the subject's ground form is a string."""
        if z3.is_string_value(ground):
            text = python_string(ground)
            yield from ((each.symbol, self._values[each.accepted(text)]) for each in made)


@dataclass(frozen=True, slots=True)
class Layer:
    """Lookups and predicates whose keys and subjects read no symbol of this layer or a later one."""

    asked: tuple[Asked, ...]
    made: tuple[Made, ...]


def layers(asked: Iterable[Asked], made: Iterable[Made]) -> tuple[Layer, ...]:
    """All lookups and predicates in an order in which they can be answered: the least number of layers.

    A key may be chosen by a predicate, and a predicate's subject by a lookup: `(args.a in state.s ? args.a : args.b)`.
    """
    waiting = [(each, {identity(each.symbol)}, set(constants_in([each.key]))) for each in asked] + [
        (own, {identity(each.symbol) for each in own}, set(constants_in([own[0].subject]))) for own in made
    ]
    found = []
    while waiting:
        opened = {symbol for _, symbols, _ in waiting for symbol in symbols}
        ready = [each for each, _, read in waiting if opened.isdisjoint(read)]
        if not ready:
            message = "what is asked depends on itself"
            raise Fault(message, "fault.unsupported")
        found.append(
            Layer(
                tuple(each for each in ready if isinstance(each, Asked)),
                tuple(each for each in ready if not isinstance(each, Asked)),
            )
        )
        waiting = [each for each in waiting if not opened.isdisjoint(each[2])]
    return tuple(found)


def compare(atoms: Iterable[Atom], ctx: z3.Context) -> None:
    """Raise Fault where, of some short words, automaton and solver say different things of a predicate."""
    left = MAX_COMPARED
    for atom in sorted(atoms, key=lambda each: (each.where, each.text, each.lower)):
        words = [word for word in samples(atom, WORDS) if len(word) <= MAX_WORD][:left]
        left -= len(words)
        language, accepted = atom_re(atom, ctx), accepts(atom)
        for word in words:
            said = z3.simplify(z3.InRe(z3_string(word, ctx), language))
            if not (z3.is_true(said) if accepted(word) else z3.is_false(said)):
                message = f"automaton and solver do not agree on `{atom.text}` ({atom.where})"
                raise Fault(message, "fault.disagreement")
