"""Queries as SMT-LIB 2 text with plain identifiers: what other solvers, other programs and other people can read."""

from __future__ import annotations

import z3

from sandbox.prove.obligations import Query


def script_of(query: Query) -> str:
    """The query as an SMT-LIB 2 script, for any solver of strings and integers."""
    solver = z3.Solver(ctx=query.terms[0].ctx) if query.terms else z3.Solver()
    solver.add(list(query.terms))
    return f"; {query.label}: expected {query.expected}\n(set-logic ALL)\n{solver.to_smt2()}"
