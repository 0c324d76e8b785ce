"""Nodes as the library has them, beside the same terms as z3py has them."""

from __future__ import annotations

import z3

from sandbox.prove.nodes import Node, node_of, nodes_in, raw_of

CTX = z3.Context()
NUMBER, OTHER, TEXT, TRUTH = z3.Int("n", CTX), z3.Int("m", CTX), z3.String("s", CTX), z3.Bool("b", CTX)
KEPT = z3.Array("kept", z3.StringSort(CTX), z3.IntSort(CTX))
ONE = z3.IntVal(1, CTX)
LETTERS = z3.Re(z3.StringVal("ab", CTX))
TERMS = (
    z3.And(NUMBER >= -1, z3.Or(TRUTH, z3.Not(TRUTH))),
    z3.Or(z3.InRe(TEXT, z3.Star(LETTERS)), z3.StringVal("a", CTX) == TEXT, z3.Length(TEXT) <= 3),
    z3.Select(z3.Store(KEPT, TEXT, NUMBER + ONE), z3.StringVal("k", CTX)) == z3.If(TRUTH, NUMBER, OTHER),
    z3.ForAll([NUMBER], NUMBER > OTHER),
    z3.BoolVal(val=True, ctx=CTX),
)


def as_z3py_goes(terms: tuple[z3.ExprRef, ...]) -> list[z3.ExprRef]:
    """Every subterm once, by z3py."""
    seen: set[int] = set()
    found, pending = [], list(terms)
    while pending:
        term = pending.pop()
        if term.get_id() not in seen:
            seen.add(term.get_id())
            found.append(term)
            pending += term.children()
    return found


def test_nodes_are_the_subterms_in_the_same_order() -> None:
    found, expected = list(nodes_in(TERMS)), as_z3py_goes(TERMS)
    assert [node.id for node in found] == [term.get_id() for term in expected]
    assert all(node.term().eq(term) for node, term in zip(found, expected, strict=True))
    assert [type(node.term()) for node in found] == [type(term) for term in expected]


def test_a_node_says_of_itself_what_z3py_says_of_its_term() -> None:
    for node, term in zip(nodes_in(TERMS), as_z3py_goes(TERMS), strict=True):
        assert node.kind == (term.decl().kind() if z3.is_app(term) else None)
        assert [node.child(at).id for at in range(len(node.children))] == [each.get_id() for each in term.children()]
        assert node.is_free() == (z3.is_const(term) and term.decl().kind() == z3.Z3_OP_UNINTERPRETED)
        assert node.is_integer() == z3.is_int_value(term)
        assert node.is_text() == z3.is_string_value(term)
        assert node.is_string() == z3.is_string(term)
        assert node.sort_kind() == term.sort().kind()


def test_a_term_of_a_node_outlives_what_it_was_found_in() -> None:
    (kept,) = [node.term() for node in nodes_in((z3.Int("gone", CTX) + NUMBER > 1,)) if node.kind == z3.Z3_OP_ADD]
    assert str(kept) == "gone + n"


def test_only_what_is_asked_for_is_gone_into() -> None:
    def no_pattern(node: Node) -> tuple[int, ...]:
        return node.children[:1] if node.kind == z3.Z3_OP_SEQ_IN_RE else node.children

    term = z3.And(TRUTH, z3.InRe(TEXT, LETTERS))
    assert {node.id for node in nodes_in((term,), no_pattern) if not node.children} == {TRUTH.get_id(), TEXT.get_id()}


def test_of_no_terms_there_are_no_nodes() -> None:
    assert list(nodes_in(())) == []


def test_a_node_is_found_by_its_term() -> None:
    assert node_of(raw_of(NUMBER), CTX).id == NUMBER.get_id()
