"""Terms about truth values and integers only: what is said of strings, lists and arrays becomes a free constant.

Every model of the terms is a model of their abstraction, with each constant as what it stands for. So what is
unsatisfiable there is unsatisfiable here, and every real transition is one of the abstract machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import z3

from sandbox.errors import Fault
from sandbox.prove.nodes import Node, Raw, nodes_in, sort_kind_of

_KEPT: Final = frozenset(
    {
        z3.Z3_OP_TRUE,
        z3.Z3_OP_FALSE,
        z3.Z3_OP_EQ,
        z3.Z3_OP_DISTINCT,
        z3.Z3_OP_ITE,
        z3.Z3_OP_AND,
        z3.Z3_OP_OR,
        z3.Z3_OP_XOR,
        z3.Z3_OP_NOT,
        z3.Z3_OP_IMPLIES,
        z3.Z3_OP_ANUM,
        z3.Z3_OP_LE,
        z3.Z3_OP_GE,
        z3.Z3_OP_LT,
        z3.Z3_OP_GT,
        z3.Z3_OP_ADD,
        z3.Z3_OP_SUB,
        z3.Z3_OP_UMINUS,
        z3.Z3_OP_MUL,
        z3.Z3_OP_IDIV,
        z3.Z3_OP_MOD,
        z3.Z3_OP_UNINTERPRETED,
    }
)
"""Operators that mean the same in the abstraction; a free constant is one of the last kind, without operands."""

_PLAIN: Final = (z3.Z3_BOOL_SORT, z3.Z3_INT_SORT)


def abstracted(terms: Iterable[z3.BoolRef]) -> tuple[z3.BoolRef, ...]:
    """What the terms imply of truth values and integers; one and the same subterm is one and the same constant."""
    whole = tuple(terms)
    foreign = _foreign(whole)
    pairs = [(term, _stand_in(number, term)) for number, term in enumerate(foreign)]
    lengths = [free >= 0 for term, free in pairs if z3.is_app_of(term, z3.Z3_OP_SEQ_LENGTH)]
    found = (*(_substituted(term, pairs) for term in whole), *lengths)
    if _foreign(found):
        message = "a term about strings or lists could not be left out of an abstraction"
        raise Fault(message, "fault.unsupported")
    return found


def concerning(terms: Iterable[z3.BoolRef], core: Iterable[z3.ExprRef]) -> tuple[z3.BoolRef, ...]:
    """Those of the terms that share a free constant with the core, or with one that does: the others say nothing."""
    left = [(term, constants_of((term,))) for term in terms]
    known = set(constants_of(core))
    chosen: list[z3.BoolRef] = []
    while True:
        near = [(term, names) for term, names in left if names & known]
        if not near:
            return tuple(chosen)
        left = [(term, names) for term, names in left if not names & known]
        chosen += [term for term, _ in near]
        known.update(*(names for _, names in near))


def constants_of(terms: Iterable[z3.ExprRef]) -> frozenset[str]:
    """The names of the free constants in the terms."""
    return frozenset(str(each.decl().name()) for each in _free(terms))


def free_constants(terms: Iterable[z3.ExprRef]) -> list[z3.ExprRef]:
    """The free constants in the terms, each once, in the order of their names."""
    found = {str(each.decl().name()): each for each in _free(terms)}
    return [found[name] for name in sorted(found)]


def is_plain(node: object) -> bool:
    """Whether it is a term, of a truth value or an integer."""
    return bool(z3.is_bool(node) or z3.is_int(node))


def _foreign(terms: tuple[z3.ExprRef, ...]) -> list[z3.ExprRef]:
    """The outermost subterms that are a truth value or an integer, and are made of something else."""
    found: list[z3.ExprRef] = []

    def into(node: Node) -> tuple[Raw, ...]:
        if _means_the_same(node):
            return node.children[::-1]
        found.append(node.term())
        return ()

    for _ in nodes_in(reversed(terms), into):
        pass
    return found


def _means_the_same(node: Node) -> bool:
    if node.kind not in _KEPT or node.sort_kind() not in _PLAIN:
        return False
    if node.kind == z3.Z3_OP_UNINTERPRETED:
        return not node.children
    return all(sort_kind_of(child, node.ctx) in _PLAIN for child in node.children)


def _stand_in(number: int, term: z3.ExprRef) -> z3.ExprRef:
    make = z3.Bool if z3.is_bool(term) else z3.Int
    return make(f"free@{number}", term.ctx)


def _substituted(term: z3.BoolRef, pairs: list[tuple[z3.ExprRef, z3.ExprRef]]) -> z3.BoolRef:
    old, new = (z3.Ast * len(pairs))(), (z3.Ast * len(pairs))()
    for position, (one, other) in enumerate(pairs):
        old[position], new[position] = one.as_ast(), other.as_ast()
    # The raw call: z3py's own `substitute` checks every pair for every term.
    return z3.BoolRef(z3.Z3_substitute(term.ctx.ref(), term.as_ast(), len(pairs), old, new), term.ctx)


def _free(terms: Iterable[z3.ExprRef]) -> Iterable[z3.ExprRef]:
    return (node.term() for node in nodes_in(terms) if node.is_free())
