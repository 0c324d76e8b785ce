# ruff: noqa: E501 - a spec is read as one line
"""A prover that mistakes sets, maps, windows or scopes is noticed: each mutation turns a known verdict into another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import z3
from prover_specs import decided

from sandbox.compile import load_properties
from sandbox.encode import Environment, MapTerm, Term
from sandbox.ir import MapSort, Tool
from sandbox.machine import is_window
from sandbox.prove import induction, obligations
from sandbox.prove.obligations import Case, Ground
from sandbox.prove.scopes import Apart
from sandbox.prove.verdicts import Verdict, name_of

pytestmark = pytest.mark.no_cover  # it goes the prover's ways once more for each example; others cover them


Patch = pytest.MonkeyPatch


def one_key_for_all(patch: Patch) -> None:
    """Every principal has the one state that the caller has."""
    patch.setattr(obligations, "seen", lambda _ground, own, _apart: own)


def maps_are_never_reset(patch: Patch) -> None:
    whole = obligations.ticked

    def ticked(ground: Ground, env: Environment) -> tuple[dict[str, Term], list[z3.BoolRef]]:
        later, passing = whole(ground, env)
        maps = {v.name for v in ground.contract.variables if isinstance(v.sort, MapSort)}
        return {name: env.state[name] if name in maps else each for name, each in later.items()}, passing

    patch.setattr(obligations, "ticked", ticked)


def windows_only_grow(patch: Patch) -> None:
    whole = obligations.ticked

    def ticked(ground: Ground, env: Environment) -> tuple[dict[str, Term], list[z3.BoolRef]]:
        later, passing = whole(ground, env)
        windows = {v.name for v in ground.contract.variables if is_window(v)}
        return {name: env.state[name] if name in windows else each for name, each in later.items()}, passing

    patch.setattr(obligations, "ticked", ticked)


def no_success(patch: Patch) -> None:
    ctx = z3.Context()
    nothing = obligations.Query("mutated", (z3.BoolVal(val=False, ctx=ctx),))
    patch.setattr(obligations, "after_succeed", lambda *_: nothing)


def a_success_counts_as_permitted_now(patch: Patch) -> None:
    """The call is permitted in the very state in which it succeeds."""
    whole = obligations.at_permit

    def at_permit(ground: Ground, case: Case, env: Environment) -> tuple[Environment, tuple[z3.BoolRef, ...]]:
        _, permitted = whole(ground, case, env)
        guard = obligations.term(case.guard, env, obligations.facts_of(case))
        return env, (*permitted, guard)

    patch.setattr(obligations, "at_permit", at_permit)


def nothing_is_put_into_maps(patch: Patch) -> None:
    """What a call assigns is at a key that nobody looks at."""
    whole = obligations.following_terms

    def following(ground: Ground, tool: Tool, env: Environment) -> dict[str, Term]:
        after = whole(ground, tool, env)
        return {name: env.state[name] if isinstance(each, MapTerm) else each for name, each in after.items()}

    patch.setattr(obligations, "following_terms", following)


def nobody_else_is_looked_at(patch: Patch) -> None:
    def ways(_: Apart) -> tuple[Apart, ...]:
        return ((),)

    patch.setattr(induction, "ways_apart", ways)


def spec(state: str, args: str, rule: str, writes: str) -> str:
    tool = f'args: {{{args}}}\n    rules: [{{id: some, allow: "{rule}"}}]\n    {writes}\n'
    return f"sandbox: 1\nname: s\nsession: {{principal: {{type: string}}}}\nstate: {{{state}}}\ntools:\n  give:\n    {tool}"


N, DONE = "n: {type: int, min: 1, max: 9}", "done: {type: bool, initial: false}"
GIVEN = "given: {type: map, key: {type: string}, value: {type: int}, initial: 0"
MINE = "total: {type: int, initial: 0}, mine: {type: int, initial: 0, scope: principal}"

NOTICED = (
    (
        one_key_for_all,
        spec(MINE, "", "true", "then: {total: state.total + 1, mine: state.mine + 1}"),
        "state.total <= state.mine",
    ),
    (
        nobody_else_is_looked_at,
        spec(MINE, "", "true", "then: {total: state.total + 1, mine: state.mine + 1}"),
        "state.total <= state.mine",
    ),
    (
        maps_are_never_reset,
        spec(f"{GIVEN}, reset: 24h}}, {DONE}", N, "true", "then: {\"given['a']\": args.n, done: true}"),
        "!state.done || state.given['a'] >= 1",
    ),
    (
        windows_only_grow,
        spec(
            f"sum: {{type: int, initial: 0, window: 1h}}, {DONE}",
            N,
            "true",
            "then: {sum: state.sum + args.n, done: true}",
        ),
        "!state.done || state.sum >= 1",
    ),
    (no_success, spec(DONE, "", "true", "on_success: {done: true}"), "!state.done"),
    (
        a_success_counts_as_permitted_now,
        spec(
            f"n: {{type: int, initial: 0}}, {DONE}",
            "",
            "state.n == 0 && !state.done",
            "then: {n: 1}\n    on_success: {done: true}",
        ),
        "!state.done || state.n == 0",
    ),
    (
        nothing_is_put_into_maps,
        spec(f"{GIVEN}}}", f"to: {{type: string}}, {N}", "true", 'then: {"given[args.to]": args.n}'),
        "state.given.all(k, state.given[k] <= 5)",
    ),
)


def verdict(folder: Path, text: str, goal: str) -> Verdict:
    (folder / "spec.yaml").write_text(text)
    (folder / "p.yaml").write_text(f'proves: spec.yaml\nproperties:\n  - {{id: p, always: "{goal}"}}\n')
    (found,) = load_properties(folder / "p.yaml")
    return decided(found.contract, found.properties[0])


@pytest.mark.parametrize(("mutation", "text", "goal"), NOTICED, ids=[each[0].__name__ for each in NOTICED])
def test_a_prover_that_mistakes_state_is_noticed(
    mutation: Callable[[Patch], None], text: str, goal: str, tmp_path: Path
) -> None:
    """What is refuted is taken for proved."""
    assert name_of(verdict(tmp_path, text, goal)) == "refuted"
    with pytest.MonkeyPatch.context() as patch:
        mutation(patch)
        assert name_of(verdict(tmp_path, text, goal)) == "proved"
