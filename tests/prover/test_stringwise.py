"""Queries about many strings, decided one string at a time: the same answers as Z3's own, and models that are ones."""

from __future__ import annotations

import random
import time

import pytest
import z3

from sandbox.prove import stringwise
from sandbox.prove.cores import conjuncts
from sandbox.prove.guess import Guess
from sandbox.prove.obligations import Query
from sandbox.prove.solve import Desk, Model, Open, Sat, Unsat
from sandbox.prove.stringwise import MANY, by_string, marked_by_string
from sandbox.regex import literal_re, to_z3, z3_string


def strings(ctx: z3.Context, count: int = 8) -> list[z3.SeqRef]:
    return [z3.String(f"s{position}", ctx) for position in range(count)]


def atom(dice: random.Random, string: z3.SeqRef) -> z3.BoolRef:
    ctx = string.ctx
    match dice.randrange(5):
        case 0:
            where = dice.choice(("starts", "ends", "contains", "is"))
            return z3.InRe(string, literal_re(dice.choice(("a", "ab", "b", "")), where=where, ctx=ctx))
        case 1:
            return z3.InRe(string, to_z3(dice.choice(("[ab]*", "[^a]+", "a{2,3}", "")), mode="full", ctx=ctx))
        case 2:
            constant = z3_string(dice.choice(("a", "ab", "", "bb")), ctx)
            return dice.choice((string == constant, constant == string))
        case 3:
            size, number = z3.Length(string), z3.IntVal(dice.randint(0, 3), ctx)
            return dice.choice((size <= 2, size >= 1, size < number, size > number, size == number, number == size))
        case _:
            return z3.Not(atom(dice, string))


def formula(dice: random.Random, chosen: list[z3.SeqRef], depth: int = 2) -> z3.BoolRef:
    if depth == 0:
        return atom(dice, dice.choice(chosen))
    parts = [formula(dice, chosen, depth - 1) for _ in range(dice.randint(2, 4))]
    return dice.choice((z3.And, z3.Or))(parts)


def question(seed: int, ctx: z3.Context) -> list[z3.BoolRef]:
    dice = random.Random(seed)  # noqa: S311 - not a secret
    chosen = strings(ctx)
    each = [atom(dice, string) for string in chosen]
    return [*each, *(formula(dice, chosen[: dice.randint(1, 3)]) for _ in range(dice.randint(1, 5)))]


def alone(terms: list[z3.BoolRef]) -> z3.CheckSatResult:
    solver = z3.Solver(ctx=terms[0].ctx)
    solver.set("rlimit", 3_000_000)
    solver.add(terms)
    return solver.check()


def is_the_solvers_own(seed: int) -> None:
    terms = question(seed, z3.Context())
    found, answer = by_string(terms, z3.Solver(ctx=terms[0].ctx)), alone(terms)
    if isinstance(found, z3.ModelRef):
        assert answer != z3.unsat
        assert all(z3.is_true(z3.simplify(found.eval(term, model_completion=True))) for term in terms)
    else:
        assert found == "unsat"
        assert answer != z3.sat


def are_the_solvers_own(seeds: range) -> None:
    for seed in seeds:
        is_the_solvers_own(seed)


@pytest.mark.parametrize("seed", range(60))
def test_the_answer_is_the_solvers_own(seed: int) -> None:
    is_the_solvers_own(seed)


@pytest.mark.parametrize("seed", range(60))
def test_what_a_contradiction_rests_on_is_one(seed: int) -> None:
    parts = conjuncts(question(seed, z3.Context()))
    marked, answer = marked_by_string(parts, z3.Solver(ctx=z3.Context())), alone(list(parts))
    assert marked.answer in ({"unsat"} if answer == z3.unsat else {"sat"} if answer == z3.sat else {"sat", "unsat"})
    if marked.answer == "unsat":
        assert {part.get_id() for part in marked.core} <= {part.get_id() for part in parts}
        assert alone(list(marked.core)) == z3.unsat


WRONG = {
    "all clash": lambda said: Guess(clashes=(tuple(range(len(said))),)),
    "each clashes with itself": lambda said: Guess(clashes=tuple((one,) for one in range(len(said)))),
    "every two clash": lambda said: Guess(clashes=tuple((one, one + 1) for one in range(len(said) - 1))),
    "nothing clashes": lambda _: Guess(clashes=((),)),
    "a text for all": lambda _: Guess(text="ab"),
    "the empty text": lambda _: Guess(text=""),
    "no idea": lambda _: Guess(),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_guess_changes_no_answer(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stringwise, "guess", WRONG[wrong])
    are_the_solvers_own(range(20))


@pytest.mark.parametrize("believed", ["_decided", "_meets"])
def test_a_guess_that_is_believed_is_noticed(believed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = "all clash" if believed == "_decided" else "a text for all"
    monkeypatch.setattr(stringwise, "guess", WRONG[kind])
    monkeypatch.setattr(stringwise, believed, lambda *given: given[2] if believed == "_decided" else True)
    with pytest.raises(AssertionError):
        are_the_solvers_own(range(20))


def test_a_query_about_one_string_is_marked_too() -> None:
    ctx = z3.Context()
    (one,) = strings(ctx, 1)
    parts = tuple(z3.InRe(one, literal_re(text, where="ends", ctx=ctx)) for text in (".com", ".a.com"))
    assert marked_by_string(parts, z3.Solver(ctx=z3.Context())).answer == "sat"
    contradiction = (z3.Not(parts[0]), parts[1])
    found = marked_by_string(contradiction, z3.Solver(ctx=z3.Context()))
    assert (found.answer, found.core) == ("unsat", contradiction)
    numbers = (z3.Int("x", ctx) > 1,)
    assert marked_by_string(numbers, z3.Solver(ctx=z3.Context())).answer == "unknown"


def test_few_strings_are_left_to_the_solver() -> None:
    ctx = z3.Context()
    terms = [string == z3_string("a", ctx) for string in strings(ctx, MANY - 1)]
    assert by_string(terms, z3.Solver(ctx=ctx)) is None


def test_strings_that_are_met_otherwise_too_are_left_to_the_solver() -> None:
    ctx = z3.Context()
    chosen = strings(ctx, MANY + 2)
    different = [chosen[0] != chosen[1], z3.Length(chosen[0]) == 1]
    terms = [*different, *(z3.InRe(string, to_z3("[ab]", mode="full", ctx=ctx)) for string in chosen)]
    found = by_string(terms, z3.Solver(ctx=ctx))
    assert isinstance(found, z3.ModelRef)
    assert found[chosen[0]].as_string() != found[chosen[1]].as_string()
    assert all(found[string].as_string() in {"a", "b"} for string in chosen)


def test_what_is_not_decided_is_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = z3.Context()
    terms = [z3.InRe(string, to_z3("(a|b){9}", mode="full", ctx=ctx)) for string in strings(ctx)]
    monkeypatch.setattr(stringwise, "TEXT_RLIMIT", 1)
    monkeypatch.setattr(stringwise, "guess", lambda _: Guess())
    assert by_string(terms, z3.Solver(ctx=ctx)) is None
    monkeypatch.setattr(stringwise, "MAX_ROUNDS", 0)
    assert by_string(terms, z3.Solver(ctx=ctx)) is None
    limited = z3.Solver(ctx=ctx)
    limited.set("rlimit", 1)
    monkeypatch.setattr(stringwise, "MAX_ROUNDS", 9)
    assert by_string([*terms, z3.Int("x", ctx) * z3.Int("y", ctx) == 7], limited) is None


@pytest.mark.parametrize(("other", "expected"), [("--upload", Unsat), ("--upload-packs", Sat)])
def test_a_predicate_that_implies_another_is_known_of_two_thousand_words(other: str, expected: type) -> None:
    ctx = z3.Context()
    chosen = strings(ctx, 2_000)
    narrower = [z3.InRe(string, literal_re("--upload-pack", where="starts", ctx=ctx)) for string in chosen]
    wider = [z3.InRe(string, literal_re(other, where="starts", ctx=ctx)) for string in chosen]
    terms = (z3.Or(narrower), z3.Not(z3.Or(wider)))
    query = Query("many", terms, strings=2_000)
    desk = Desk("z3", time.monotonic() + 60)
    assert isinstance(desk.prove(query), expected)
    found = desk.search(query)
    assert isinstance(found, Unsat if expected is Unsat else Model)
    assert not isinstance(found, Open)


def test_relations_of_one_length_are_told_apart() -> None:
    """Each relation with one number is a predicate of its own: what rules out one of them rules out no other."""
    ctx = z3.Context()
    chosen = strings(ctx, 5)
    size = [z3.Length(string) for string in chosen]
    two = z3.IntVal(2, ctx)
    terms = [size[0] <= two, size[1] >= two, size[2] < two, size[3] > two, size[4] == two]
    found = by_string(terms, z3.Solver(ctx=ctx))
    assert isinstance(found, z3.ModelRef)
    assert all(z3.is_true(z3.simplify(found.eval(term, model_completion=True))) for term in terms)
    # On each string a relation and its opposite, and both of it are atoms of all others too.
    either = [z3.Or(*(relation for relation in (one <= two, one > two))) for one in size]
    found = by_string([*either, size[0] <= two, size[1] > two], z3.Solver(ctx=ctx))
    assert isinstance(found, z3.ModelRef)
    assert by_string([*either, size[0] < two, size[0] == two], z3.Solver(ctx=ctx)) == "unsat"


def test_a_core_that_is_none_rules_nothing_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Z3 says that a contradiction rests on may be too little; it is asked about that alone."""
    whole = z3.Solver.unsat_core
    monkeypatch.setattr(z3.Solver, "unsat_core", lambda solver: list(whole(solver))[:1])
    are_the_solvers_own(range(300, 330))
