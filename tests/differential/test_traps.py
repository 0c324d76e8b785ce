"""Differential: the traps of the solver that no single answer shows: what it is asked, and how.

docs/semantics.md lists every trap with its guard and its test.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import z3

import sandbox
from sandbox.encode import Environment, encode
from sandbox.ir import (
    Arg,
    Const,
    Contains,
    EndsWith,
    Eq,
    Lower,
    Matches,
    Or,
    StartsWith,
    StringSort,
)

CTX = z3.Context()
STRING = StringSort()
SUBJECT = Arg("s", STRING)
PREDICATES = [
    *(StartsWith(SUBJECT, Const(f"/data/{number}/", STRING)) for number in range(200)),
    EndsWith(SUBJECT, Const(".txt", STRING)),
    Contains(SUBJECT, Const("a", STRING)),
    Matches(SUBJECT, "^[a-c]+$"),
    Eq(Lower(SUBJECT), Const("a", STRING)),
    StartsWith(Lower(SUBJECT), Const("a", STRING)),
]
ASKED_PER_CALL = ("ground", "asked", "asked_atoms", "encode", "engines", "lookups", "regex/solver", "regex/atoms")


def test_trap_each_constant_predicate_is_an_atom_of_its_own_and_no_word_equation() -> None:
    term = encode(Or(tuple(PREDICATES)), Environment(CTX, {"s": z3.String("s", CTX)}))
    assert isinstance(term, z3.BoolRef)
    assert z3.is_or(term)
    assert [atom.decl().kind() for atom in term.children()] == [z3.Z3_OP_SEQ_IN_RE] * len(PREDICATES)
    assert [atom.arg(0).decl().name() for atom in term.children()] == ["s"] * len(PREDICATES)


@pytest.mark.parametrize("module", ASKED_PER_CALL)
def test_trap_no_solver_is_made_where_a_call_is_judged(module: str) -> None:
    tree = ast.parse((Path(sandbox.__file__).parent / f"{module}.py").read_text(encoding="utf-8"))
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not used & {"Solver", "SimpleSolver", "SolverFor", "Optimize", "Fixedpoint", "push", "Tactic", "interrupt"}
