"""Queries about strings, decided one string at a time: a shell line has two thousand places for words.

Where strings, or their lengths, are met by predicates with constants only, each such atom becomes a free truth value.
What is then unsatisfiable was so before. A solution is checked string by string: whether some text meets exactly the
predicates that it says. If so for all, their texts complete the model; if not, the conflict is said of every string,
and so on. Z3 decides each conflict and each text; automata guess which few predicates of many it is to be asked about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Final, Literal, TypeAlias

import z3

from sandbox.prove.cores import Core, Marked
from sandbox.prove.guess import Guess, guess, tree_of
from sandbox.prove.nodes import Node, Raw, nodes_in
from sandbox.regex import python_string, syntax, z3_string

MANY: Final = 2
"""Strings; one Z3 decides alone, and as well."""

MAX_ROUNDS: Final = 200
"""Solutions that are looked at; each that fails rules out a conflict for every string."""

TEXT_RLIMIT: Final = 500_000
"""Z3's resource units for the predicates on one string."""

_RELATIONS: Final = (z3.Z3_OP_LE, z3.Z3_OP_GE, z3.Z3_OP_LT, z3.Z3_OP_GT, z3.Z3_OP_EQ)

_Atoms: TypeAlias = dict[int, z3.BoolRef]
_Sign: TypeAlias = tuple[tuple[int, bool], ...]
_Conflicts: TypeAlias = tuple[_Sign, ...]
_Truths: TypeAlias = Mapping[tuple[int, int], z3.BoolRef]


@dataclass(slots=True)
class _Words:
    """The strings that are looked at apart: each with its atoms, by what tells them apart."""

    strings: dict[int, z3.SeqRef] = field(default_factory=dict)
    atoms: dict[int, _Atoms] = field(default_factory=dict)
    mixed: set[int] = field(default_factory=set)
    _trees: dict[int, syntax.Node | None] = field(default_factory=dict)

    def tree(self, key: int, atom: z3.BoolRef) -> syntax.Node | None:
        """The language that an atom speaks of, where it is known."""
        if key not in self._trees:
            self._trees[key] = tree_of(atom)
        return self._trees[key]


def strings_apart(terms: Iterable[z3.BoolRef]) -> int:
    """How many strings of the terms can be looked at apart."""
    return len(_found(terms).strings)


def by_string(terms: Iterable[z3.BoolRef], solver: z3.Solver) -> z3.ModelRef | Literal["unsat"] | None:
    """A model of the terms, or that there is none; None where this way does not decide it.

    `solver` is an empty one of the terms' own context, with its limits set.
    """
    terms = list(terms)
    words = _found(terms)
    if len(words.strings) < MANY:
        return None
    truths = _truths(words, solver.ctx)
    solver.add([_replaced(term, _pairs(words, truths)) for term in terms])
    return _solved(words, truths, solver)


def marked_by_string(parts: Core, solver: z3.Solver) -> Marked:
    """As `cores.decided`, string by string, however few strings there are; `unknown` where this way does not decide."""
    own = [part.translate(solver.ctx) for part in parts]
    words = _found(own)
    if not words.strings:
        return Marked("unknown")
    truths = _truths(words, solver.ctx)
    pairs = _pairs(words, truths)
    marks = [z3.Bool(f"part@{number}", solver.ctx) for number in range(len(parts))]
    for mark, part in zip(marks, own, strict=True):
        solver.assert_and_track(_replaced(part, pairs), mark)
    found = _solved(words, truths, solver)
    if isinstance(found, z3.ModelRef):
        return Marked("sat")
    core = {mark.get_id() for mark in solver.unsat_core()} if found == "unsat" else set()
    chosen = tuple(part for mark, part in zip(marks, parts, strict=True) if mark.get_id() in core)
    return Marked("unsat", chosen) if chosen else Marked("unknown")


def _truths(words: _Words, ctx: z3.Context) -> _Truths:
    return {
        (string, key): z3.Bool(f"says@{string}@{key}", ctx) for string, atoms in words.atoms.items() for key in atoms
    }


def _pairs(words: _Words, truths: _Truths) -> list[tuple[z3.BoolRef, z3.BoolRef]]:
    return [(words.atoms[string][key], truth) for (string, key), truth in truths.items()]


def _solved(words: _Words, truths: _Truths, solver: z3.Solver) -> z3.ModelRef | Literal["unsat"] | None:
    """What comes of the terms in the solver, in which each atom of the words is a truth value."""
    texts: dict[_Sign, str | _Conflicts | None] = {}
    for _ in range(MAX_ROUNDS):
        answer = solver.check()
        if answer == z3.unsat:
            return "unsat"
        if answer != z3.sat:
            return None
        signs = _signs(solver.model(), words, truths)
        for string, sign in signs.items():
            if sign not in texts:
                texts[sign] = _text(words, string, sign)
        conflicts = {each for sign in signs.values() if isinstance(found := texts[sign], tuple) for each in found}
        if conflicts:
            solver.add([clause for conflict in sorted(conflicts) for clause in _ruled_out(conflict, words, truths)])
        elif any(texts[sign] is None for sign in signs.values()):
            return None
        else:
            return _completed(solver, words, truths, {string: str(texts[sign]) for string, sign in signs.items()})
    return None


def _found(terms: Iterable[z3.BoolRef]) -> _Words:
    """The free strings that stand in atoms only."""
    words = _Words()
    atoms: dict[Raw, tuple[Node, int]] = {}

    def into(node: Node) -> tuple[Raw, ...]:
        atom = _atom(node)
        if atom is None:
            return node.children
        atoms[node.raw] = atom
        return ()

    for node in nodes_in(terms, into):
        if not node.children and node.kind is not None and node.is_string():
            words.mixed.add(node.id)
        elif node.raw in atoms:
            string, key = atoms[node.raw]
            words.strings[string.id] = string.term()
            words.atoms.setdefault(string.id, {})[key] = node.term()
    for mixed in words.mixed & set(words.strings):
        del words.strings[mixed], words.atoms[mixed]
    return words


def _atom(node: Node) -> tuple[Node, int] | None:
    """Of a predicate of a free string and nothing else: the string, and what tells the predicate from others.

    That is a membership, an equality with a constant, or a comparison of the length with one. The first two are told by
    the id of what the string is compared with; the last by the id of the number and the relation, below zero.
    """
    if (sized := _sized(node)) is not None:
        return sized
    member, equal = node.kind == z3.Z3_OP_SEQ_IN_RE, node.kind == z3.Z3_OP_EQ
    if not member and not equal:
        return None
    string, other = node.child(0), node.child(1)
    if equal and string.is_text():
        string, other = other, string
    if equal and not other.is_text():
        return None
    return (string, other.id) if string.is_free() else None


def _sized(node: Node) -> tuple[Node, int] | None:
    """A comparison of a free string's length with a number, on either side of it."""
    if node.kind not in _RELATIONS:
        return None
    for side, (size, number) in enumerate(permutations((node.child(0), node.child(1)))):
        if number.is_integer() and size.kind == z3.Z3_OP_SEQ_LENGTH and size.child(0).is_free():
            relation = 2 * _RELATIONS.index(node.kind) + side
            return size.child(0), -1 - (2 * len(_RELATIONS) * number.id + relation)
    return None


def _replaced(term: z3.BoolRef, pairs: Sequence[tuple[z3.ExprRef, z3.ExprRef]]) -> z3.BoolRef:
    old, new = (z3.Ast * len(pairs))(), (z3.Ast * len(pairs))()
    for position, (atom, truth) in enumerate(pairs):
        old[position], new[position] = atom.as_ast(), truth.as_ast()
    # The raw call: z3py's own `substitute` checks every pair for every term.
    return z3.BoolRef(z3.Z3_substitute(term.ctx.ref(), term.as_ast(), len(pairs), old, new), term.ctx)


def _signs(model: z3.ModelRef, words: _Words, truths: _Truths) -> dict[int, _Sign]:
    """Which predicates a solution says of each string."""
    return {
        string: tuple(
            (key, z3.is_true(model.eval(truths[string, key], model_completion=True))) for key in sorted(atoms)
        )
        for string, atoms in words.atoms.items()
    }


def _text(words: _Words, key: int, sign: _Sign) -> str | _Conflicts | None:
    """A text that meets exactly these predicates; parts of them that no text meets; None if it is not decided."""
    string, atoms = words.strings[key], words.atoms[key]
    trees = {part: tree for part in sign if (tree := words.tree(part[0], atoms[part[0]])) is not None}
    guessed = guess(tuple((tree, holds) for (_, holds), tree in trees.items())) if trees else Guess()
    parts = list(trees)
    likely = [tuple(parts[position] for position in clash) for clash in guessed.clashes]
    sure = [found for each in likely if isinstance(found := _decided(string, atoms, each), tuple)]
    if sure:
        return tuple(sure)
    if guessed.text is not None and len(trees) == len(sign) and _meets(guessed.text, string, atoms, sign):
        return guessed.text
    found = _decided(string, atoms, sign)
    return (found,) if isinstance(found, tuple) else found


def _meets(text: str, string: z3.SeqRef, atoms: _Atoms, sign: _Sign) -> bool:
    """Whether Z3 computes that the text meets exactly these predicates."""
    value = z3_string(text, string.ctx)
    for key, holds in sign:
        said = z3.simplify(_replaced(atoms[key], [(string, value)]))
        if not (z3.is_true(said) if holds else z3.is_false(said)):
            return False
    return True


def _decided(string: z3.SeqRef, atoms: _Atoms, sign: _Sign) -> str | _Sign | None:
    """What Z3 says of these predicates: a text, a part of them that no text meets, or nothing."""
    solver = _asking(string)
    marks = {z3.Bool(f"mark@{key}", string.ctx): (key, holds) for key, holds in sign}
    for mark, (key, holds) in marks.items():
        solver.assert_and_track(_said(atoms[key], holds=holds), mark)
    answer = solver.check()
    if answer == z3.unsat:
        core = {mark.get_id() for mark in solver.unsat_core()}
        part = tuple(part for mark, part in marks.items() if mark.get_id() in core)
        # An empty core would rule out everything: a conflict of nothing is none that could be said of another string.
        return (part if _clashes(string, atoms, part) else sign) if part else None
    if answer != z3.sat:
        return None
    return str(python_string(solver.model().eval(string, model_completion=True)))


def _clashes(string: z3.SeqRef, atoms: _Atoms, part: _Sign) -> bool:
    """Whether no text meets the part: now and then what Z3 calls a core of words and lengths is none."""
    solver = _asking(string)
    solver.add([_said(atoms[key], holds=holds) for key, holds in part])
    return bool(solver.check() == z3.unsat)


def _asking(string: z3.SeqRef) -> z3.Solver:
    solver = z3.Solver(ctx=string.ctx)
    solver.set("rlimit", TEXT_RLIMIT)
    return solver


def _said(atom: z3.BoolRef, *, holds: bool) -> z3.BoolRef:
    """The atom or its negation; of a membership, as one in the complement, which Z3 decides best."""
    if holds:
        return atom
    if z3.is_app_of(atom, z3.Z3_OP_SEQ_IN_RE):
        return z3.InRe(atom.arg(0), z3.Complement(atom.arg(1)))
    return z3.Not(atom)


def _ruled_out(conflict: _Sign, words: _Words, truths: _Truths) -> list[z3.BoolRef]:
    """No string meets what no text meets."""
    return [
        z3.Or([z3.Not(truths[string, key]) if holds else truths[string, key] for key, holds in conflict])
        for string, atoms in words.atoms.items()
        if all(key in atoms for key, _ in conflict)
    ]


def _completed(solver: z3.Solver, words: _Words, truths: _Truths, texts: Mapping[int, str]) -> z3.ModelRef | None:
    """The solution, with the texts in it."""
    model = solver.model()
    solver.add([truth == model.eval(truth, model_completion=True) for truth in truths.values()])
    solver.add([string == z3_string(texts[key], string.ctx) for key, string in words.strings.items()])
    return solver.model() if solver.check() == z3.sat else None
