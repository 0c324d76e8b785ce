"""Long lists: calls are looked for among short ones first, and that changes no answer."""

from __future__ import annotations

from pathlib import Path

import pytest
import z3
from prover_specs import decided

from sandbox.compile import load_properties
from sandbox.encode import ListTerm
from sandbox.ir import Contract, ListType, Property
from sandbox.prove.obligations import Ground, call_symbols, cases, meets
from sandbox.prove.quiet import ITEMS, shortened
from sandbox.prove.verdicts import name_of, replay_of

NUMBERS = "{type: int, min: 0, max: 9}"
WORDS = "{type: string, max_size: 40}"
RECORDS = "{type: record, fields: {to: {type: string, max_size: 9}, n: {type: int, min: 0, max: 9}}}"
TEN = " || ".join(f'x.startsWith("/{letter}/")' for letter in "abcde")


def load(folder: Path, items: str, limits: str, rule: str, condition: str) -> tuple[Contract, Property]:
    (folder / "spec.yaml").write_text(
        f"sandbox: 1\nname: s\ntools:\n  t:\n    args:\n      xs: {{type: list, items: {items}, {limits}}}\n"
        f"      who: {{type: string, max_size: 5}}\n    rules:\n      - {{id: r, allow: '{rule}'}}\n"
    )
    (folder / "proofs.yaml").write_text(f"proves: spec.yaml\nproperties:\n  - {{id: p, never: '{condition}'}}\n")
    (each,) = load_properties(folder / "proofs.yaml")
    return each.contract, each.properties[0]


@pytest.mark.parametrize(
    ("limits", "places"),
    [
        ("max_size: 20", ITEMS),
        ("max_size: 20, min_size: 3", 3 + ITEMS),
        ("max_size: 20, unique: true", 1),
        ("max_size: 20, min_size: 3, unique: true", 4),
        ("max_size: 4", 4),
        ("max_size: 1, unique: true", 1),
    ],
)
def test_calls_are_looked_for_among_short_lists(tmp_path: Path, limits: str, places: int) -> None:
    spec, _ = load(tmp_path, NUMBERS, limits, "true", "size(args.xs) > 9")
    (tool,) = spec.tools
    env = call_symbols(Ground(spec, z3.Context()), tool)
    whole, few = env.args["xs"], shortened(tool, env).args["xs"]
    assert isinstance(whole, ListTerm)
    assert isinstance(few, ListTerm)
    assert isinstance(tool.arguments[0].type, ListType)
    assert few.items == whole.items[:places]
    assert len(whole.items) == tool.arguments[0].type.max_size


@pytest.mark.parametrize(
    ("rule", "condition"),
    [
        ("args.xs.all(x, x < 7)", "args.xs.exists(x, x == 3)"),
        ("args.xs.exists(x, x < 7)", "args.xs.all(x, x != 3)"),
        ("args.xs.exists_one(x, x > 2)", "size(args.xs) < 4 && 5 in args.xs"),
        ("args.xs == [1, 2]", "!(args.xs == [1, 2, 3, 4, 5, 6])"),
        ("size(args.xs) > 6 && args.xs[6] == 3", "size(args.xs) > 7 && args.xs[7] == 2"),
        ("!args.xs.all(x, args.xs.exists(y, y == x + 1 || x > 4))", "true"),
    ],
)
@pytest.mark.parametrize("limits", ["max_size: 8", "max_size: 8, min_size: 2", "max_size: 8, unique: true"])
def test_what_is_found_among_them_is_found_among_all(tmp_path: Path, limits: str, rule: str, condition: str) -> None:
    spec, subject = load(tmp_path, NUMBERS, limits, rule, condition)
    ground = Ground(spec, z3.Context())
    for case in cases(spec.tools[0]):
        query = meets(ground, case, subject.condition)
        assert query.narrow
        solver = z3.Solver(ctx=ground.ctx)
        solver.add(*query.narrow, z3.Not(z3.And(*query.terms)))
        assert solver.check() == z3.unsat


@pytest.mark.parametrize(
    ("items", "limits", "rule", "condition", "size"),
    [
        pytest.param(NUMBERS, "max_size: 20", "true", "size(args.xs) > 6", 7, id="only long ones"),
        pytest.param(NUMBERS, "max_size: 20, min_size: 6", "true", "args.xs.all(x, x == 2)", 6, id="none is short"),
        pytest.param(NUMBERS, "max_size: 20", "true", "size(args.xs) > 8 && args.xs[8] == 3", 9, id="a late place"),
        pytest.param(
            NUMBERS,
            "max_size: 9, unique: true",
            "true",
            "5 in args.xs && 6 in args.xs && 7 in args.xs",
            3,
            id="differing",
        ),
        pytest.param(NUMBERS, "max_size: 9, unique: true", "true", "args.xs.exists(x, x == 3)", 1, id="one will do"),
        pytest.param(
            RECORDS, "max_size: 30", "args.xs.all(x, x.n < 9)", 'args.xs.exists(x, x.to == "a")', 1, id="records"
        ),
        pytest.param(
            WORDS, "max_size: 20", f"args.xs.all(x, {TEN})", 'args.xs.exists(x, x.endsWith(".txt"))', 1, id="words"
        ),
        pytest.param(WORDS, "max_size: 100", f"args.xs.all(x, {TEN})", '"/f/" in args.xs', None, id="a hundred places"),
        pytest.param(NUMBERS, "max_size: 20", "args.xs.all(x, x < 7)", "args.xs.exists(x, x > 6)", None, id="a proof"),
        pytest.param(
            NUMBERS, "max_size: 9", "size(args.xs) > 4", "size(args.xs) < 5", None, id="a proof, of short ones"
        ),
        pytest.param(
            WORDS,
            "max_size: 20, unique: true",
            f"args.xs.all(x, {TEN})",
            '"/f/" in args.xs',
            None,
            id="a proof, differing",
        ),
    ],
)
def test_verdicts_are_what_they_are(
    tmp_path: Path, items: str, limits: str, rule: str, condition: str, size: int | None
) -> None:
    spec, subject = load(tmp_path, items, limits, rule, condition)
    verdict = decided(spec, subject, rlimit=8_000_000)
    assert name_of(verdict) == ("proved" if size is None else "refuted")
    if size is not None:
        shown = replay_of(verdict)
        assert shown is not None
        xs = shown.moves.calls[-1].args["xs"]
        assert isinstance(xs, list)
        assert len(xs) == size
