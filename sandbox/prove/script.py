"""Queries as SMT-LIB 2 text with plain identifiers: what other solvers, other programs and other people can read.

The text of a query is the same byte for byte wherever it is written. It asserts the query's parts, each by its name
`part_N`, in the order of `cores.conjuncts`: all of them (`whole`), the same without negated memberships (`positive`)
or with words in place of patterns (`words`), some that contradict one another (`core`), or those of a narrower query,
which implies it (`narrow`). `unsat` of any form but `narrow` is the query's `unsat`, `sat` of any but `core` its `sat`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias, assert_never

import z3

from sandbox.canonical import printable
from sandbox.prove.cores import Core, conjuncts
from sandbox.prove.equations import in_words
from sandbox.prove.nodes import nodes_in
from sandbox.prove.obligations import Query
from sandbox.prove.positive import positively
from sandbox.prove.record import FormName

Told: TypeAlias = Callable[[z3.BoolRef], str]


def script_of(query: Query, form: FormName = "whole", chosen: tuple[int, ...] = (), told: Told | None = None) -> str:
    """The query as an SMT-LIB 2 script, for any solver of strings and integers.

    `chosen` are the numbers of the parts that `core` asserts; `told` says of a part whose words it is, for a comment.
    """
    parts = dict(enumerate(parts_of(query, form)))
    asserted = {number: parts[number] for number in chosen if number in parts} if form == "core" else parts
    said = dict(enumerate(conjuncts(query.terms))) if form == "words" else parts  # one for one
    lines = [f"; {query.label}: expected {query.expected}"]
    lines += [f"; of `{each.argument}` {each.words}: a wider question" for each in query.tracked]
    if form == "core":
        lines.append(f"; {len(asserted)} of its {len(parts)} parts, which contradict one another without the rest")
    if form == "words":
        lines.append("; with words in place of patterns: it has a solution if and only if the question has one")
    if form == "narrow":
        lines.append("; a narrower question, which implies it")
    lines += ["(set-logic ALL)", *declarations(asserted.values())]
    for number, part in asserted.items():
        comment = printable(told(said[number])) if told is not None else ""
        lines += [f"; {comment}"] if comment else []
        lines.append(f"(assert (! {part.sexpr()} :named part_{number}))")
    return "\n".join([*lines, "(check-sat)", ""])


def parts_of(query: Query, form: FormName) -> Core:
    """What a form of a query is made of."""
    match form:
        case "whole" | "core":
            return conjuncts(query.terms)
        case "positive":
            return conjuncts(positively(query.terms, z3.Context()))
        case "words":
            return in_words(conjuncts(query.terms))
        case "narrow":
            return conjuncts(query.narrow)
        case _:
            assert_never(form)


def declarations(terms: Iterable[z3.ExprRef]) -> list[str]:
    """The free constants in the terms, declared in the order of their names."""
    free = (node.term().decl() for node in nodes_in(terms) if node.kind == z3.Z3_OP_UNINTERPRETED)
    found = {str(each.name()): each.sexpr() for each in free}
    return [found[name] for name in sorted(found)]
