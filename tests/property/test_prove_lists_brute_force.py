"""A proof by few elements of each list, held against every call: what it excludes, no call with a whole list does."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest
import z3
from random_lists import calls_of, random_spec, tight_spec

from sandbox.evaluate import Env, truth
from sandbox.ir import And, Const, Contract, Eq, Expr, IntSort, Not, Property
from sandbox.prove.obligations import Case, Ground, after_permit, cases, consistent, meets, typed

pytestmark = pytest.mark.no_cover  # a search goes the same ways many times; others cover them

CHUNKS, PER_CHUNK = 2, 45


@pytest.mark.parametrize("made", [random_spec, tight_spec])
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_what_few_elements_exclude_no_call_does(
    made: Callable[[random.Random], tuple[Contract, Property]], chunk: int
) -> None:
    dice = random.Random(f"few elements {chunk}")  # noqa: S311 - not a secret
    tally: Counter[str] = Counter()
    for _ in range(PER_CHUNK):
        compare(*made(dice), tally)
    assert min(tally["excluded"], tally["not"]) > PER_CHUNK // 4, tally


def compare(contract: Contract, subject: Property, tally: Counter[str]) -> None:
    ground, (tool,) = Ground(contract, z3.Context()), contract.tools
    for case in cases(tool):
        if subject.kind == "always":
            asked, wrong = after_permit(ground, case, (), subject.condition), breaking(case)
        else:
            asked, wrong = meets(ground, case, subject.condition), And((case.guard, subject.condition))
        few = asked.fewer()
        if few is None or (subject.kind == "always" and case.verdict == "deny"):
            continue
        if not excluded(few.terms):
            tally["not"] += 1
            continue
        tally["excluded"] += 1
        assert not met(contract, wrong), (contract, subject, case.rule)
    if subject.kind == "never":
        for few in (
            consistent(ground, tool, subject.condition).fewer(),
            typed(ground, tool, subject.condition).fewer(),
        ):
            assert few is None or not excluded(few.terms) or not met(contract, subject.condition), (contract, subject)


def breaking(case: Case) -> Expr:
    """That a permit by the case leaves `n` at something else than 0, where that is what it may never be."""
    (written,) = case.tool.then
    return And((case.guard, Not(is_zero(written.value))))


def is_zero(value: Expr) -> Expr:
    return Eq(value, Const(0, IntSort()))


def excluded(terms: tuple[z3.BoolRef, ...]) -> bool:
    solver = z3.Solver(ctx=terms[0].ctx)
    solver.set("rlimit", 20_000_000)
    solver.add(*terms)
    return bool(solver.check() == z3.unsat)


def met(contract: Contract, condition: Expr) -> bool:
    """Whether any call meets it, while `n` is 0, as it is at first."""
    (tool,), holds = contract.tools, truth(condition)
    state = {variable.name: variable.initial for variable in contract.variables}
    return any(holds(Env(call, state, {"tool": tool.name})) for call in calls_of(tool.arguments))
