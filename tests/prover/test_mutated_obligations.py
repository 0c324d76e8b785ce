"""A prover that forgets something is noticed: each mutation gives some known truth another verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import z3
from known_truths import every_truth
from prover_specs import decided

from sandbox.prove import attempt, induction, obligations, sequence, unroll
from sandbox.prove.obligations import Query
from sandbox.prove.verdicts import name_of

TRUTHS = {truth.name: truth for truth in every_truth()}
Patch = pytest.MonkeyPatch


def nothing_to_show(*_: object, **__: object) -> Query:
    ctx = z3.Context()
    return Query("mutated", (z3.BoolVal(val=False, ctx=ctx),))


def without_tick(patch: Patch) -> None:
    patch.setattr(obligations, "after_tick", nothing_to_show)


def without_beginning(patch: Patch) -> None:
    patch.setattr(obligations, "initially", nothing_to_show)


def without_permits(patch: Patch) -> None:
    patch.setattr(obligations, "after_permit", nothing_to_show)


def without_successes(patch: Patch) -> None:
    patch.setattr(obligations, "after_succeed", nothing_to_show)


def every_call_ends_at_once(patch: Patch) -> None:
    patch.setattr(unroll, "may_end_late", lambda *_: False)


def no_call_ends(patch: Patch) -> None:
    patch.setattr(sequence, "succeeded", lambda _, run, *, free, late: run)


def without_the_first_tool(patch: Patch) -> None:
    whole = induction.steps

    def steps(ground: obligations.Ground, assumed: tuple, goal: object) -> object:  # type: ignore[type-arg]
        return whole(replace(ground, contract=replace(ground.contract, tools=ground.contract.tools[1:])), assumed, goal)

    patch.setattr(induction, "steps", steps)


def asking_is_denying(patch: Patch) -> None:
    patch.setattr(induction, "permits", lambda case: case.verdict == "allow")


def asked_calls_do_not_count(patch: Patch) -> None:
    patch.setattr(obligations, "counts", lambda _, case: case.verdict == "allow")


def only_the_default_case(patch: Patch) -> None:
    whole = obligations.cases
    patch.setattr(induction, "cases", lambda tool: whole(tool)[-1:])


def one_assignment_after_the_other(patch: Patch) -> None:
    whole = obligations.written_terms

    def written(ground: object, tool: object, steps: tuple, env: object) -> object:  # type: ignore[type-arg]
        for each in steps:
            env = replace(env, state=whole(ground, tool, (each,), env))
        return env.state

    patch.setattr(obligations, "written_terms", written)


def without_domains(patch: Patch) -> None:
    patch.setattr(obligations, "domain", lambda *_: ())


def nothing_is_known_of_the_state(patch: Patch) -> None:
    patch.setattr(obligations, "known", lambda *_: [])


def every_variable_is_idle(patch: Patch) -> None:
    patch.setattr(obligations, "is_written", lambda *_: False)


def time_stands_still(patch: Patch) -> None:
    whole = unroll.instant
    for module in (sequence, unroll):
        patch.setattr(module, "instant", lambda *args, free: whole(*args, free=False))


def periods_never_turn(patch: Patch) -> None:
    patch.setattr(obligations, "ticked", lambda _, env: (dict(env.state), []))


def vacuity_is_not_looked_at(patch: Patch) -> None:
    patch.setattr(attempt, "contradiction", lambda *_: None)


def types_are_not_looked_at(patch: Patch) -> None:
    patch.setattr(obligations, "typed", lambda ground, tool, _: obligations.inhabited(ground, tool))


def no_step_assigns_what_is_read(patch: Patch) -> None:
    patch.setattr(induction, "assigns", lambda *_: False)


def no_case_is_spoken_of(patch: Patch) -> None:
    patch.setattr(induction, "speaks_of", lambda *_: False)


NOTICED: tuple[tuple[Callable[[Patch], None], str], ...] = (
    (without_tick, "a window runs out with time"),
    (without_beginning, "false from the start and kept by every step"),
    (without_permits, "budget checked before adding"),
    (without_successes, "what a success writes is not idle"),
    (every_call_ends_at_once, "a call succeeds late"),
    (no_call_ends, "merged after a review"),
    (without_the_first_tool, "an approval is never used up"),
    (asking_is_denying, "what is asked can run"),
    (asked_calls_do_not_count, "asked is not denied"),
    (only_the_default_case, "prefix without its slash"),
    (one_assignment_after_the_other, "a swap keeps the sum"),
    (without_domains, "amounts of at least one"),
    (nothing_is_known_of_the_state, "what nothing writes stays"),
    (every_variable_is_idle, "no cap at all"),
    (time_stands_still, "the count is renewed at midnight"),
    (periods_never_turn, "a budget with a window does not"),
    (vacuity_is_not_looked_at, "a condition that contradicts itself"),
    (types_are_not_looked_at, "beyond the bounds"),
    (no_step_assigns_what_is_read, "budget checked before adding"),
    (no_step_assigns_what_is_read, "what a success writes is not idle"),
    (no_case_is_spoken_of, "prefix without its slash"),
)


@pytest.mark.parametrize(
    ("mutation", "truth"), NOTICED, ids=[f"{mutation.__name__}, {truth}" for mutation, truth in NOTICED]
)
def test_a_prover_that_forgets_is_noticed(mutation: Callable[[Patch], None], truth: str) -> None:
    known = TRUTHS[truth]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unroll, "MAX_CALLS", 4)
        before = decided(known.spec, known.subject, *known.assumed)
        mutation(patch)
        after = decided(known.spec, known.subject, *known.assumed)
    assert name_of(before) == known.verdict
    assert after != before
