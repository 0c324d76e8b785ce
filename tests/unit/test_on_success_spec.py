"""What `on_success` may assign, as a spec says it: every refusal word for word, and what the rest is compiled to."""

from __future__ import annotations

from pathlib import Path

import pytest
from spec_files import spec, write

from sandbox.compile import load_contract
from sandbox.compile.cost import MAX_COST
from sandbox.errors import SpecError
from sandbox.evaluate import Env, evaluate
from sandbox.ir import TRUE, Const, EnumSort, Eq, Expr, Ite, Or, State

PHASE = "{type: enum, values: [open, frozen, shut], initial: open}"
LATEST = "{type: timestamp, initial: 2026-01-01T00:00:00Z}"


def with_success(variable: str, value: str) -> str:
    return spec(
        f"define: {{done: true, last: shut}}\nstate: {{v: {variable}, w: {{type: int, initial: 0}}}}\ntools:\n  t:\n"
        "    args: {n: {type: int}, o: {type: int, optional: true}, b: {type: bool}, d: {type: decimal, scale: 2}}\n"
        f"    rules: []\n    on_success: {{v: {value}}}\n"
    )


TRUE_ONLY = "`on_success` sets `v` to `true` and nothing else; write that, or move it to `then`"
RAISES = "`on_success` only ever raises `v`; write `state.v > E ? state.v : E`, or move it to `then`"
FORWARD = "`on_success` moves `v` forward to one of its values; write that value, or move it to `then`"
COUNTS = (
    "what `v` is raised to reads `state`, and so could count calls; write it of arguments, facts and constants, or "
    "move it to `then`"
)
ROUNDED = (
    "`state.v > args.d ? state.v : args.d` has 2 digits behind the point and 1 are kept; nothing is rounded silently"
)
REFUSED = [
    ("{type: bool, initial: false}", "false", 21, TRUE_ONLY),
    ("{type: bool, initial: false}", "args.b", 21, TRUE_ONLY),
    ("{type: bool, initial: false}", "state.v || args.b", 21, TRUE_ONLY),
    ("{type: int, initial: 0}", "state.v + 1", 21, RAISES),
    ("{type: int, initial: 0}", "state.v - args.n", 21, RAISES),
    ("{type: int, initial: 0}", "args.n", 21, RAISES),
    ("{type: int, initial: 0}", "7", 21, RAISES),
    ("{type: int, initial: 0}", '"state.v < args.n ? state.v : args.n"', 22, RAISES),
    ("{type: int, initial: 0}", '"state.v > args.n ? args.n : state.v"', 22, RAISES),
    ("{type: int, initial: 0}", '"state.v > args.n ? state.v : args.n + 1"', 22, RAISES),
    ("{type: int, initial: 0}", '"state.w > args.n ? state.w : args.n"', 22, RAISES),
    ("{type: int, initial: 0}", '"state.v >= args.n ? state.v : args.n"', 22, RAISES),
    ("{type: int, initial: 0, reset: 1h}", "state.v + 1", 21, RAISES),
    (
        "{type: int, initial: 0}", '"state.v > state.v + 1 ? state.v : state.v + 1"', 22,
        COUNTS,
    ),
    (
        "{type: int, initial: 0}", '"state.v > state.w ? state.v : state.w"', 22,
        COUNTS,
    ),
    (
        "{type: int, initial: 0, window: 1h}", '"state.v > args.n ? state.v : args.n"', 22,
        "`v` has a `window` and is only ever added to, which `on_success` does not; move it to `then`",
    ),
    (PHASE, "state.v", 21, FORWARD),
    (PHASE, '"args.b ? \'shut\' : \'open\'"', 22, FORWARD),
    (PHASE, "\"'shot'\"", 22, "`'shot'` is not a value; did you mean `shut`?"),
    ("{type: int, initial: 0}", '"state.v > args.o ? state.v : args.o"', 32,
     "`args.o` is optional; write `has(args.o) &&` before it"),
    ("{type: int, initial: 0}", "true", 21, "expected int, found bool `true`"),
    (
        "{type: decimal, scale: 1, initial: 0}", '"state.v > args.d ? state.v : args.d"', 22,
        ROUNDED,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("variable", "value", "column", "message"), REFUSED)
def test_what_does_not_only_enable_is_refused(
    tmp_path: Path, variable: str, value: str, column: int, message: str
) -> None:
    with pytest.raises(SpecError) as caught:
        load_contract(write(tmp_path, with_success(variable, value)))
    found = [(each.place.line, each.place.column, each.message) for each in caught.value.problems]
    assert found == [(9, column, message)]


def test_a_name_that_the_state_has_not_is_refused_at_its_place(tmp_path: Path) -> None:
    text = spec("state: {v: {type: int, initial: 0}}\ntools: {t: {rules: [], on_success: {vv: 1}}}\n")
    with pytest.raises(SpecError) as caught:
        load_contract(write(tmp_path, text))
    (problem,) = caught.value.problems
    assert (problem.place.line, problem.place.column) == (4, 37)
    assert problem.message == "the state has no variable `vv`; did you mean `v`?"


def compiled(folder: Path, variable: str, value: str) -> Expr:
    (assignment,) = load_contract(write(folder, with_success(variable, value))).tools[0].on_success
    return assignment.value


@pytest.mark.parametrize("value", ["true", "done"])
def test_a_bool_becomes_true(tmp_path: Path, value: str) -> None:
    assert compiled(tmp_path, "{type: bool, initial: false}", value) == TRUE


@pytest.mark.parametrize(("value", "later"), [("\"'open'\"", 0), ("\"'frozen'\"", 1), ("\"'shut'\"", 2), ("last", 2)])
def test_a_phase_moves_forward_only(tmp_path: Path, value: str, later: int) -> None:
    values = ("open", "frozen", "shut")
    sort = EnumSort(values)
    present = State("v", sort)
    step = compiled(tmp_path, PHASE, value)
    earlier = tuple(Eq(present, Const(each, sort)) for each in values[:later])
    assert step == Ite(Or(earlier), Const(values[later], sort), present)
    for at, name in enumerate(values):
        assert evaluate(step)(Env({}, {"v": name})) == values[max(at, later)]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("{type: int, initial: 0}", '"state.v > args.n ? state.v : args.n"'),
        ("{type: int, initial: 0}", '"args.n < state.v ? state.v : args.n"'),
        ("{type: int, initial: 0, reset: 1h}", '"state.v > 10 ? state.v : 10"'),
        ("{type: int, initial: 0}", '"state.v > (has(args.o) ? args.o : 0) ? state.v : (has(args.o) ? args.o : 0)"'),
        ("{type: decimal, scale: 2, initial: 0}", '"state.v > args.d ? state.v : args.d"'),
        ("{type: decimal, scale: 4, initial: 0}", '"state.v > args.d * 2 ? state.v : args.d * 2"'),
        (LATEST, '"state.v > now ? state.v : now"'),
    ],
)
def test_the_greater_of_two_may_be_kept(tmp_path: Path, variable: str, value: str) -> None:
    assert isinstance(compiled(tmp_path, variable, value), Ite)


def test_what_a_success_costs_counts(tmp_path: Path) -> None:
    text = spec(
        "state: {v: {type: int, initial: 0}}\ntools:\n  t:\n"
        "    args: {xs: {type: list, items: {type: string, max_size: 4KiB}, max_size: 90}, m: {type: int}}\n"
        "    rules: [{id: all, allow: true}]\n    on_success:\n"
        '      v: "state.v > E ? state.v : E"\n'
    ).replace("E", "(args.xs.exists(x, x.contains('a')) ? 1 : 2)")
    with pytest.raises(SpecError) as caught:
        load_contract(write(tmp_path, text))
    assert f"of which `on_success` of `v` takes 525,361, and {MAX_COST:,} are allowed" in str(caught.value)
