"""The same conjunction with every bound on a length and every negated membership written as a membership.

Z3 decides `s in complement(R)` in milliseconds where it never ends on `not (s in R)`, and now and then it is the other
way round; both are tried. So with `len(s) <= 200` beside a pattern of sixty letters, where `s in .{0,200}` takes no
time. The forms are equivalent, whatever stands in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import z3

from sandbox.prove.nodes import nodes_in

_Length: TypeAlias = Callable[[z3.SeqRef, int], z3.BoolRef]


def positively(terms: tuple[z3.BoolRef, ...], ctx: z3.Context) -> tuple[z3.BoolRef, ...]:
    """Equivalent terms of `ctx` in negation normal form, in which no membership stands under a negation."""
    goal = z3.Goal(ctx=ctx)
    goal.add([_by_patterns(term.translate(ctx)) for term in terms])
    (normal,) = z3.Tactic("nnf", ctx)(goal)
    return tuple(_rewritten(term) for term in normal)


def _rewritten(term: z3.BoolRef) -> z3.BoolRef:
    pairs = [(negated, _complement(negated.arg(0))) for negated in _negated_memberships(term)]
    return z3.substitute(term, *pairs) if pairs else term


def _by_patterns(term: z3.BoolRef) -> z3.BoolRef:
    """The term with each comparison of a string's length with a number written as a membership."""
    pairs = [(atom, pattern) for atom in subterms(term) if (pattern := _bounded(atom)) is not None]
    return z3.substitute(term, *pairs) if pairs else term


def _bounded(atom: z3.ExprRef) -> z3.BoolRef | None:
    if not z3.is_app(atom) or atom.num_args() != 2:  # noqa: PLR2004 - both sides
        return None
    left, right = atom.arg(0), atom.arg(1)
    kind = atom.decl().kind()
    if _is_length(left) and z3.is_int_value(right):
        said, length, number = _SAYS.get(kind), left, right.as_long()
    elif _is_length(right) and z3.is_int_value(left):
        said, length, number = _SAYS.get(_MIRRORED.get(kind, kind)), right, left.as_long()
    else:
        return None
    return None if said is None else said(length.arg(0), number)


def _is_length(term: z3.ExprRef) -> bool:
    return bool(z3.is_app_of(term, z3.Z3_OP_SEQ_LENGTH) and z3.is_string(term.arg(0)))


def _at_most(subject: z3.SeqRef, number: int) -> z3.BoolRef:
    if number < 0:
        return z3.BoolVal(val=False, ctx=subject.ctx)
    return z3.InRe(subject, z3.Loop(_any(subject), 0, number) if number else z3.Option(_nothing(subject)))


def _at_least(subject: z3.SeqRef, number: int) -> z3.BoolRef:
    if number <= 0:
        return z3.BoolVal(val=True, ctx=subject.ctx)
    return z3.InRe(subject, z3.Concat(z3.Loop(_any(subject), number, number), z3.Star(_any(subject))))


def _exactly(subject: z3.SeqRef, number: int) -> z3.BoolRef:
    return z3.And(_at_least(subject, number), _at_most(subject, number))


def _any(subject: z3.SeqRef) -> z3.ReRef:
    return z3.AllChar(z3.ReSort(z3.StringSort(subject.ctx)), subject.ctx)


def _nothing(subject: z3.SeqRef) -> z3.ReRef:
    return z3.Empty(z3.ReSort(z3.StringSort(subject.ctx)))


_SAYS: Final[dict[int, _Length]] = {
    z3.Z3_OP_LE: _at_most,
    z3.Z3_OP_LT: lambda subject, number: _at_most(subject, number - 1),
    z3.Z3_OP_GE: _at_least,
    z3.Z3_OP_GT: lambda subject, number: _at_least(subject, number + 1),
    z3.Z3_OP_EQ: _exactly,
}
_MIRRORED: Final = {
    z3.Z3_OP_LE: z3.Z3_OP_GE,
    z3.Z3_OP_LT: z3.Z3_OP_GT,
    z3.Z3_OP_GE: z3.Z3_OP_LE,
    z3.Z3_OP_GT: z3.Z3_OP_LT,
}


def _complement(membership: z3.BoolRef) -> z3.BoolRef:
    return z3.InRe(membership.arg(0), z3.Complement(membership.arg(1)))


def _negated_memberships(term: z3.BoolRef) -> Iterator[z3.BoolRef]:
    """Each subterm that is the negation of a membership, once."""
    return (each for each in subterms(term) if z3.is_not(each) and z3.is_app_of(each.arg(0), z3.Z3_OP_SEQ_IN_RE))


def subterms(term: z3.ExprRef) -> Iterator[z3.ExprRef]:
    """The term and each one inside of it, once."""
    return (node.term() for node in nodes_in((term,)))
