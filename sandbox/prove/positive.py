"""The same conjunction with every negated membership written as membership in the complement.

Z3 decides `s in complement(R)` in milliseconds where it never ends on `not (s in R)`, and now and then it is the other
way round; both are tried. The two forms are equivalent, whatever stands in them.
"""

from __future__ import annotations

from collections.abc import Iterator

import z3


def positively(terms: tuple[z3.BoolRef, ...], ctx: z3.Context) -> tuple[z3.BoolRef, ...]:
    """Equivalent terms of `ctx` in negation normal form, in which no membership stands under a negation."""
    goal = z3.Goal(ctx=ctx)
    goal.add([term.translate(ctx) for term in terms])
    (normal,) = z3.Tactic("nnf", ctx)(goal)
    return tuple(_rewritten(term) for term in normal)


def _rewritten(term: z3.BoolRef) -> z3.BoolRef:
    pairs = [(negated, _complement(negated.arg(0))) for negated in _negated_memberships(term)]
    return z3.substitute(term, *pairs) if pairs else term


def _complement(membership: z3.BoolRef) -> z3.BoolRef:
    return z3.InRe(membership.arg(0), z3.Complement(membership.arg(1)))


def _negated_memberships(term: z3.BoolRef) -> Iterator[z3.BoolRef]:
    """Each subterm that is the negation of a membership, once."""
    seen: set[int] = set()
    pending = [term]
    while pending:
        node = pending.pop()
        if node.get_id() in seen:
            continue
        seen.add(node.get_id())
        if z3.is_not(node) and z3.is_app_of(node.arg(0), z3.Z3_OP_SEQ_IN_RE):
            yield node
        else:
            pending += node.children()
