"""The evaluator's short ways mean what its long ways mean: each shape against the same one, hidden under an `if`.

Rests on `evaluate` of a conditional, which no short way looks through.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest

from sandbox.evaluate import Env, evaluate, truth
from sandbox.ir import (
    Add,
    All,
    And,
    Arg,
    BoolSort,
    Bound,
    Const,
    Contains,
    EndsWith,
    Eq,
    Exists,
    Expr,
    InSet,
    IntSort,
    Ite,
    Le,
    ListSort,
    Lt,
    MapGet,
    MapSort,
    Matches,
    Not,
    Or,
    SetSort,
    Size,
    StartsWith,
    State,
    StringSort,
    Sub,
)
from sandbox.lookups import Entries, Members

S, N = StringSort(), IntSort()
TRUE = Eq(Const(1, N), Const(1, N))
WORDS = ("", "a", "b", "ab", "ba", "aba", "é", "A", "aé")
Shape = Callable[[Expr], Expr]


def hidden(expr: Expr) -> Expr:
    """The same value, where no short way finds it."""
    return Ite(TRUE, expr, expr)


def const(value: str) -> Const:
    return Const(value, S)


OF_STRINGS: list[Shape] = [
    lambda s: Eq(s, const("ab")),
    lambda s: StartsWith(s, const("a")),
    lambda s: EndsWith(s, const("a")),
    lambda s: Contains(s, const("b")),
    lambda s: Contains(const("aba"), s),
    lambda s: StartsWith(const("aba"), s),
    lambda s: Matches(s, "^a?b$"),
    lambda s: Lt(s, const("ab")),
    lambda s: Le(s, const("ab")),
    lambda s: Lt(const("ab"), s),
    lambda s: Le(const("ab"), s),
    lambda s: Eq(Size(s), Const(2, N)),
    lambda s: Lt(Const(1, N), Size(s)),
    lambda s: Le(Const(2, N), Size(s)),
    lambda s: Lt(Size(s), Const(2, N)),
    lambda s: Le(Size(s), Const(1, N)),
    lambda s: Or((Eq(s, const("a")), Eq(s, const("b")), Eq(s, const("é")))),
    lambda s: Or((Eq(s, const("a")), EndsWith(s, const("b")))),
    lambda s: And((StartsWith(s, const("a")), EndsWith(s, const("a")))),
    lambda s: Not(Eq(s, const("a"))),
    lambda s: EndsWith(s, s),
    lambda s: StartsWith(s, const("")),
    lambda s: EndsWith(s, const("")),
    lambda s: Not(StartsWith(s, const("a"))),
    lambda s: Or((StartsWith(s, const("a")), StartsWith(s, const("b")))),
    lambda s: Or((EndsWith(s, const("a")), EndsWith(s, const("b")))),
    lambda s: Or((EndsWith(s, const("é")), Or((EndsWith(s, const("a")), Eq(s, const("b")))))),
    lambda s: Or(()),
    lambda s: And(()),
]


@pytest.mark.parametrize("shape", OF_STRINGS)
def test_a_string_beside_constants(shape: Shape) -> None:
    short, long = truth(shape(Arg("s", S))), truth(shape(hidden(Arg("s", S))))
    found = {word: short(Env({"s": word}, {})) for word in WORDS}
    assert found == {word: long(Env({"s": word}, {})) for word in WORDS}


@pytest.mark.parametrize("order", [Lt, Le, Eq])
@pytest.mark.parametrize("bound", [-1, 0, 1])
def test_a_number_beside_a_constant_on_either_side(order: type[Lt | Le | Eq], bound: int) -> None:
    for one, other in ((Arg("n", N), Const(bound, N)), (Const(bound, N), Arg("n", N))):
        short, long = truth(order(one, other)), truth(order(hidden(one), hidden(other)))
        assert [short(Env({"n": n}, {})) for n in range(-3, 4)] == [long(Env({"n": n}, {})) for n in range(-3, 4)]


@pytest.mark.parametrize("shape", OF_STRINGS)
@pytest.mark.parametrize("quantifier", [All, Exists])
def test_every_element_beside_constants(quantifier: type[All | Exists], shape: Shape) -> None:
    variable, over = Bound("x", S), Arg("xs", ListSort(S, 3))
    short = truth(quantifier(variable, over, shape(variable)))
    long = truth(quantifier(variable, over, shape(hidden(variable))))
    for size in range(4):
        for items in product(WORDS, repeat=size):
            assert short(Env({"xs": items}, {})) == long(Env({"xs": items}, {})), items


@pytest.mark.parametrize("first", OF_STRINGS)
def test_a_choice_of_two_tests_is_what_one_of_them_says(first: Shape) -> None:
    subjects = Arg("s", S), Arg("t", S)
    for second, left, right in product(OF_STRINGS, subjects, subjects):
        one, other = truth(first(hidden(left))), truth(second(hidden(right)))
        both = truth(Or((first(left), second(right), first(right))))
        for word, next_word in product(WORDS, repeat=2):
            env = Env({"s": word, "t": next_word}, {})
            again = truth(first(hidden(right)))(env) if left != right else False
            assert both(env) == (one(env) or other(env) or again)


@pytest.mark.parametrize("first", OF_STRINGS)
def test_a_choice_of_two_searches_of_lists_is_what_one_of_them_finds(first: Shape) -> None:
    v, w, xs, ys = Bound("v", S), Bound("w", S), Arg("xs", ListSort(S, 3)), Arg("ys", ListSort(S, 3))
    lists = [(), ("a",), ("ba", "é"), ("", "A", "aba"), ("b", "ab")]
    for second, over in product(OF_STRINGS, (xs, ys, hidden(xs))):
        one, other = truth(Exists(v, xs, first(hidden(v)))), truth(Exists(w, over, second(hidden(w))))
        both = truth(Or((Exists(v, xs, first(v)), Exists(w, over, second(w)))))
        for items, others in product(lists, repeat=2):
            env = Env({"xs": items, "ys": others}, {})
            assert both(env) == (one(env) or other(env))


@pytest.mark.parametrize("quantifier", [All, Exists])
def test_what_is_said_of_something_else_than_the_element_is_not_taken_for_it(quantifier: type[All | Exists]) -> None:
    variable, other = Bound("x", S), Arg("s", S)
    for shape in OF_STRINGS:
        holds = truth(quantifier(variable, Arg("xs", ListSort(S, 3)), shape(other)))
        alone = truth(shape(other))
        for word, items in product(WORDS, [("a",), ("b", "ab"), ("", "A", "aba")]):
            assert holds(Env({"xs": items, "s": word}, {})) == alone(Env({"s": word}, {}))


@pytest.mark.parametrize("count", range(36))
def test_connectives_are_all_and_any(count: int) -> None:
    facts = [Arg(f"b{at}", BoolSort()) for at in range(count)]
    every, some = truth(And(tuple(facts))), truth(Or(tuple(facts)))
    alone = [[at == one for at in range(count)] for one in range(count)]
    few = list(product([False, True], repeat=count)) if count < 7 else []
    for values in ([True] * count, [False] * count, *alone, *([not each for each in row] for row in alone), *few):
        env = Env({fact.name: value for fact, value in zip(facts, values, strict=True)}, {})
        assert (every(env), some(env)) == (all(values), any(values))


def test_a_choice_is_taken_for_one_only_where_all_of_it_asks_the_same() -> None:
    s, other = Arg("s", S), Arg("t", S)
    of_both = truth(Or((Eq(s, const("a")), Eq(other, const("b")))))
    of_kinds = truth(Or((Eq(s, const("a")), EndsWith(s, const("b")))))
    of_one = truth(Or((Eq(hidden(s), const("a")), Eq(hidden(s), const("b")))))
    for word, second in product(WORDS, repeat=2):
        env = Env({"s": word, "t": second}, {})
        assert of_both(env) == (word == "a" or second == "b")
        assert of_kinds(env) == (word == "a" or word.endswith("b"))
        assert of_one(env) == (word in {"a", "b"})


def test_a_key_is_looked_up_only_where_what_stands_before_leaves_it_open() -> None:
    """A lookup outside of the key's type denies the call, so nothing asks for a key that the spec did not ask for."""
    asked: list[str] = []
    s = Arg("s", S)
    spent = MapGet(State("spent", MapSort(S, N)), s, 0)
    known = InSet(s, State("known", SetSort(S)))
    guard = Lt(Const(3, N), Size(s))
    for lookup in (Eq(spent, Const(0, N)), Eq(known, Const(value=False, sort=BoolSort()))):
        env = Env({"s": "abcdef"}, {"spent": Entries({}, asked.append), "known": Members(frozenset(), asked.append)})
        assert truth(Or((guard, lookup)))(env)
        assert truth(Or((guard, Or((lookup, Eq(s, const("a")))))))(env)
        assert asked == []


def test_a_key_is_looked_up_whatever_stands_behind() -> None:
    """A test that takes less time answers no sooner than one before it that may deny the call."""
    asked: list[str] = []
    s = Arg("s", S)
    known = InSet(s, State("known", SetSort(S)))
    unspent = Eq(MapGet(State("spent", MapSort(S, N)), s, 0), Const(0, N))
    env = Env({"s": "a"}, {"known": Members(frozenset(), asked.append), "spent": Entries({}, lambda _: None)})
    for count, whole in enumerate(
        (
            Or((known, Eq(s, const("a")))),
            Or((Eq(s, const("b")), Or((known, Eq(s, const("a")))))),
            Or((EndsWith(s, const("b")), known, EndsWith(s, const("a")))),
            Or((known, unspent)),
        ),
        start=1,
    ):
        assert truth(whole)(env)
        assert len(asked) == count


def test_numbers_are_added_and_taken_off_beside_constants() -> None:
    n, three = Arg("n", N), Const(3, N)
    env = Env({"n": 5}, {})
    assert [evaluate(expr)(env) for expr in (Add(n, three), Sub(n, three), Sub(three, n), Add(n, n))] == [8, 2, -2, 10]
    assert evaluate(Add(Size(Arg("s", S)), three))(Env({"s": "ab"}, {})) == 5
