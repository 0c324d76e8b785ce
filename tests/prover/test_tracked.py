"""Few elements for a long list: how many it takes, that each condition is needed, and what is told of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import z3
from prover_specs import decided

from sandbox.compile import load_properties
from sandbox.encode import ListTerm
from sandbox.ir import Contract, Property
from sandbox.prove import ProveOptions, demand, obligations, prove_paths, tracked
from sandbox.prove.demand import Demand
from sandbox.prove.obligations import Ground, Query, cases, meets
from sandbox.prove.report import Report, report_to_json
from sandbox.prove.solve import Desk, Unsat
from sandbox.prove.verdicts import name_of
from sandbox.prove.verify import verify

DIGITS = "{type: int, min: 0, max: 9}"
Patch = pytest.MonkeyPatch


def load(folder: Path, rule: str, never: str, limits: str = "max_size: 15", items: str = DIGITS) -> Path:
    """A tool with the lists `xs` and `ys`, and what must never be."""
    declared = f"{{type: list, items: {items}, {limits}}}"
    (folder / "spec.yaml").write_text(
        f"sandbox: 1\nname: s\ntools:\n  t:\n    args:\n      xs: {declared}\n      ys: {declared}\n"
        f"      zs: {{type: list, items: int, max_size: 5, optional: true}}\n      n: {{type: int, min: 0, max: 9}}\n"
        f"    rules:\n      - {{id: r, allow: '{rule}'}}\n"
    )
    (folder / "proofs.yaml").write_text(f"proves: spec.yaml\nproperties:\n  - {{id: p, never: '{never}'}}\n")
    return folder / "proofs.yaml"


def loaded(folder: Path, rule: str, never: str, limits: str = "max_size: 15") -> tuple[Contract, Property]:
    (each,) = load_properties(load(folder, rule, never, limits))
    return each.contract, each.properties[0]


def asked(contract: Contract, subject: Property) -> Query:
    """The question about the rule that allows."""
    (tool,) = contract.tools
    return meets(Ground(contract, z3.Context()), cases(tool)[0], subject.condition)


def elements(query: Query | None) -> dict[str, int]:
    """How many elements stand for each list."""
    return {} if query is None else {each.argument: len(each.term.items) for each in query.tracked}


def is_excluded(query: Query | None) -> bool:
    return query is not None and isinstance(Desk("z3", 1e12, clock=lambda: 0.0).prove(query), Unsat)


# --- how many it takes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "never", "xs", "ys"),
    [
        ("true", "args.n == 1", 1, 1),
        ("args.xs.exists(x, x == 1)", "true", 1, 1),
        ("args.xs.exists(x, x == 1) && args.xs.exists(x, x == 2)", "3 in args.xs", 3, 1),
        ("args.xs.exists(x, x == 1)", "args.xs.exists(x, x == 1)", 1, 1),
        ("args.xs.all(x, x == 1) && args.ys.all(y, y > 1)", "!args.xs.all(x, x < 5)", 1, 1),
        ("!args.xs.exists(x, x == 1) && !(3 in args.xs)", "!args.ys.all(y, y < 5) && !args.ys.all(y, y > 5)", 1, 2),
        ("args.xs.exists_one(x, x == 1)", "true", 1, 1),
        ("!args.xs.exists_one(x, x == 1)", "true", 2, 1),
        ("(args.xs.exists(x, x == 1) ? 1 : 0) == args.n", "true", 2, 1),
        ("args.xs.exists(x, x == 1) ? args.n == 1 : args.n == 2", "true", 2, 1),
        ("args.n == 1 ? args.xs.exists(x, x == 1) : args.xs.all(x, x == 1)", "true", 1, 1),
        ("args.xs.exists(x, args.xs.exists(y, x < y))", "true", 2, 1),
        ("args.xs.all(x, args.xs.all(y, x <= y))", "args.xs.exists(x, x == 1)", 1, 1),
        ("!args.xs.all(x, args.xs.all(y, x <= y))", "true", 2, 1),
        ("!args.xs.all(x, args.xs.exists(y, y == x + 1))", "true", 1, 1),
        ("args.xs.all(x, args.ys.exists(y, y == x))", "3 in args.xs && 4 in args.xs", 2, 2),
        ("args.xs.all(x, args.ys.exists_one(y, args.xs.exists(z, z < x)))", "3 in args.xs", 15, 15),
        ("args.xs.exists_one(x, args.ys.all(y, y != x))", "3 in args.xs", 2, 2),
        ("size(args.xs) > 2 && args.xs[2] == 1", "3 in args.xs", 2, 1),
        ("size(args.xs) > 2 && args.xs[2] == args.xs[0]", "args.xs.all(x, args.ys.exists(y, y == x))", 3, 3),
        ("args.xs == [1, 2, 3]", "size(args.xs) == 3", 4, 1),
        ("args.xs.all(x, args.xs.exists(y, y == x + 1))", "true", 15, 1),
        ("args.xs.exists_one(x, args.xs.exists_one(y, x < y))", "true", 15, 1),
        ("args.xs.all(x, args.ys.exists(y, y == x)) && args.ys.all(y, args.xs.exists(x, x == y))", "true", 15, 15),
        ("args.xs.all(x, has(args.zs) && args.zs.exists(z, z == x)) && 1 in args.xs", "2 in args.ys", 1, 1),
    ],
)
def test_so_many_elements_stand_for_a_list(tmp_path: Path, rule: str, never: str, xs: int, ys: int) -> None:
    few = elements(asked(*loaded(tmp_path, rule, never)).fewer())
    assert (few.get("xs", 15), few.get("ys", 15)) == (xs, ys)


def test_what_takes_as_many_as_a_list_can_have_takes_it_whole(tmp_path: Path) -> None:
    both = "1 in args.xs && 2 in args.xs"
    assert elements(asked(*loaded(tmp_path, both, "3 in args.xs", "max_size: 3")).fewer()) == {"ys": 1, "zs": 1}
    assert elements(asked(*loaded(tmp_path, both, "3 in args.xs", "max_size: 4")).fewer())["xs"] == 3
    assert elements(asked(*loaded(tmp_path, "1 in args.xs", "size(args.ys) < 1", "max_size: 1")).fewer()) == {"zs": 1}


def test_an_index_that_no_list_has_is_no_element(tmp_path: Path) -> None:
    spec, subject = loaded(tmp_path, "size(args.xs) > 70 && args.xs[70] == 1", "true")
    assert elements(asked(spec, subject).fewer())["xs"] == 1
    assert name_of(decided(spec, subject)) == "proved"


def test_what_is_too_much_to_look_through_takes_lists_whole(tmp_path: Path, monkeypatch: Patch) -> None:
    spec, subject = loaded(tmp_path, "1 in args.xs", "2 in args.xs")
    monkeypatch.setattr(demand, "MAX_VISITS", 2)
    assert asked(spec, subject).fewer() is None
    monkeypatch.undo()
    monkeypatch.setattr(tracked, "MAX_ROUNDS", 1)
    assert asked(spec, subject).fewer() is None
    monkeypatch.undo()
    monkeypatch.setattr(tracked, "MAX_FEW", 1)
    assert "xs" not in elements(asked(spec, subject).fewer())


# --- what is decided now -----------------------------------------------------------------------------


LETTERS = "{type: string, max_size: 9}"
RECORDS = f"{{type: record, fields: {{id: {{type: int, min: 0, max: 999}}, to: {LETTERS}}}}}"


@pytest.mark.parametrize(
    ("items", "limits", "rule", "never"),
    [
        (DIGITS, "max_size: 1000", "args.xs.all(x, x < 7)", "args.xs.exists(x, x > 6)"),
        (DIGITS, "max_size: 1000", "size(args.xs) <= 10", "size(args.xs) > 10"),
        (DIGITS, "max_size: 50", "args.xs.all(x, args.xs.all(y, x <= y))", "1 in args.xs && 2 in args.xs"),
        (DIGITS, "max_size: 50", "args.xs.all(x, args.ys.exists(y, y == x))", "3 in args.xs && !(3 in args.ys)"),
        (
            RECORDS,
            "max_size: 50",
            "args.xs.all(x, args.ys.all(y, x.id < y.id))",
            "args.ys.exists(y, y.id == 0) && size(args.xs) > 3",
        ),
        (
            RECORDS,
            "max_size: 300",
            'args.xs.all(x, x.to.startsWith("a"))',
            'args.xs.exists(x, x.to.matches("^[b-z]"))',
        ),
        (
            LETTERS,
            "max_size: 100",
            'size(args.xs) > 90 && args.xs[90] == "a" && args.xs.all(x, x != "b")',
            '"b" in args.xs || !("a" in args.xs)',
        ),
        (DIGITS, "max_size: 100, unique: true", "args.xs.exists_one(x, x > 7)", "8 in args.xs && 9 in args.xs"),
    ],
)
def test_long_lists_are_decided(tmp_path: Path, items: str, limits: str, rule: str, never: str) -> None:
    (each,) = load_properties(load(tmp_path, rule, never, limits, items))
    assert name_of(decided(each.contract, each.properties[0], rlimit=1_000_000)) == "proved"


def test_the_whole_is_never_written_out_where_few_elements_exclude_it(tmp_path: Path) -> None:
    query = asked(*loaded(tmp_path, "args.xs.all(x, x < 7)", "args.xs.exists(x, x > 6)"))

    def never() -> tuple[z3.BoolRef, ...]:
        message = "the whole is not wanted"
        raise AssertionError(message)

    assert is_excluded(replace(query, given=never))


# --- each condition is needed ------------------------------------------------------------------------


def no_circle_is_seen(patch: Patch) -> None:
    patch.setattr(Demand, "entangled", property(lambda _: frozenset()))


def under_every_element_one_is_enough(patch: Patch) -> None:
    whole = demand._of_element

    def only_the_first(place: object, element: tuple[str, int | None], *rest: object, every: bool) -> Iterator[object]:
        return whole(place, element, *rest, every=every) if element[1] == 0 else iter(())  # type: ignore[arg-type]  # passed on

    patch.setattr(demand, "_of_element", only_the_first)


def one_is_no_fewer_than_two(patch: Patch) -> None:
    whole = demand._of_element
    patch.setattr(
        demand, "_of_element", lambda place, *rest, every: whole(replace(place, once=True), *rest, every=every)
    )


def every_sense_is_certain(patch: Patch) -> None:
    whole = demand._parts

    def certain(place: demand._Place) -> Iterator[demand._Place]:
        return (replace(each, sense=each.sense or 1, once=False) for each in whole(place))

    patch.setattr(demand, "_parts", certain)


def lists_are_as_long_as_they_are_shown(patch: Patch) -> None:
    whole = tracked._few

    def short(built: tracked._Built, *rest: object) -> ListTerm:
        few = whole(built, *rest)  # type: ignore[arg-type]  # passed on
        built.facts.append(few.length <= len(few.items))
        return few

    patch.setattr(tracked, "_few", short)


def an_index_names_any_element(patch: Patch) -> None:
    whole = tracked._few

    def first(built: tracked._Built, *rest: object) -> ListTerm:
        few = whole(built, *rest)  # type: ignore[arg-type]  # passed on
        return replace(few, few=replace(few.few, at=lambda _: few.items[0]))

    patch.setattr(tracked, "_few", first)


def nothing_is_counted(patch: Patch) -> None:
    patch.setattr(tracked, "demanded", lambda *_: Demand())


def a_model_of_few_elements_is_one_of_the_whole(patch: Patch) -> None:
    whole = obligations.about_call

    def few_only(*args: object, **named: object) -> Query:
        query = whole(*args, **named)  # type: ignore[arg-type]  # passed on
        return query.fewer() or query

    patch.setattr(obligations, "about_call", few_only)


HOLES: list[tuple[Callable[[Patch], None], str, str]] = [
    (no_circle_is_seen, "args.xs.all(x, args.xs.exists(y, y != x))", "min_size: 2, max_size: 9"),
    (
        no_circle_is_seen,
        "args.xs.all(x, args.ys.exists(y, y != x)) && args.ys.all(y, args.xs.exists(x, x == y))",
        "min_size: 2, max_size: 9",
    ),
    (
        under_every_element_one_is_enough,
        "0 in args.xs && 1 in args.xs && args.xs.all(x, args.ys.exists(y, y == x))",
        "max_size: 9",
    ),
    (one_is_no_fewer_than_two, "!args.xs.exists_one(x, x >= 0)", "min_size: 2, max_size: 9"),
    (
        every_sense_is_certain,
        "(args.xs.all(x, x != 1) ? 1 : 0) == 0 && (args.xs.all(x, x != 2) ? 1 : 0) == 0",
        "max_size: 9",
    ),
    (
        every_sense_is_certain,
        "0 in args.xs && 1 in args.xs && 2 in args.xs && args.xs.exists_one(x, args.ys.all(y, y != x))",
        "max_size: 9",
    ),
    (lists_are_as_long_as_they_are_shown, "size(args.xs) > 5", "max_size: 9"),
    (an_index_names_any_element, "size(args.xs) > 1 && args.xs[0] == 1 && args.xs[1] == 2", "max_size: 9"),
    (nothing_is_counted, "1 in args.xs && 2 in args.xs", "max_size: 9"),
]


@pytest.mark.parametrize(("mutation", "rule", "limits"), HOLES)
def test_without_a_condition_something_false_would_be_proved(
    tmp_path: Path, monkeypatch: Patch, mutation: Callable[[Patch], None], rule: str, limits: str
) -> None:
    spec, subject = loaded(tmp_path, rule, "true", limits)
    assert name_of(decided(spec, subject)) == "refuted"
    mutation(monkeypatch)
    assert is_excluded(asked(spec, subject).fewer())
    assert name_of(decided(spec, subject)) == "proved"


@pytest.mark.parametrize(
    ("rule", "never", "limits"),
    [
        pytest.param("args.xs.all(x, x < 2)", "size(args.xs) > 2", "max_size: 9, unique: true", id="differing"),
        pytest.param(
            "args.xs.exists_one(x, x < 2)", "size(args.xs) == 2 && args.xs.all(x, x < 2)", "max_size: 9", id="counted"
        ),
    ],
)
def test_a_model_of_few_elements_proves_nothing(tmp_path: Path, rule: str, never: str, limits: str) -> None:
    spec, subject = loaded(tmp_path, rule, never, limits)
    few = asked(spec, subject).fewer()
    assert few is not None
    assert not is_excluded(few)
    assert name_of(decided(spec, subject)) == "proved"


def test_that_it_proves_nothing_matters(tmp_path: Path, monkeypatch: Patch) -> None:
    spec, subject = loaded(tmp_path, "args.xs.all(x, x < 2)", "size(args.xs) > 2", "max_size: 9, unique: true")
    a_model_of_few_elements_is_one_of_the_whole(monkeypatch)
    assert name_of(decided(spec, subject)) == "unknown"


@pytest.mark.parametrize(
    ("items", "rule"),
    [
        pytest.param("bool", "args.xs[0] != args.xs[1]", id="bool"),
        pytest.param("{type: record, fields: {b: {type: bool}}}", "args.xs[0].b != args.xs[1].b", id="record"),
    ],
)
def test_an_element_that_is_not_there_differs_from_none(tmp_path: Path, items: str, rule: str) -> None:
    """There are no three booleans: that all elements differ says nothing of one that is not there."""
    said = f"size(args.xs) > 1 && {rule}"
    (each,) = load_properties(load(tmp_path, said, "size(args.xs) == 2", "max_size: 5, unique: true", items))
    few = asked(each.contract, each.properties[0]).fewer()
    assert elements(few)["xs"] == 3
    assert not is_excluded(few)
    assert name_of(decided(each.contract, each.properties[0])) == "refuted"


# --- what is told of it ------------------------------------------------------------------------------


@pytest.fixture
def proved(tmp_path: Path, in_this_process: None) -> tuple[Path, Report]:
    """A certificate, in the folder of the spec that it is about."""
    file = load(tmp_path, "args.xs.all(x, x < 7)", "args.xs.exists(x, x > 6)", "max_size: 1000")
    return tmp_path / "certificate", prove_paths([file], ProveOptions(emit_dir=tmp_path / "certificate"))


def test_a_report_says_how_many_elements_stand_for_a_list(proved: tuple[Path, Report]) -> None:
    said = json.loads(json.dumps(report_to_json(proved[1])))["properties"][0]
    assert said["verdict"] == "proved"
    assert {"kind": "elements", "name": "t.xs", "words": "1 element stands for up to 1,000"} in [
        {key: each[key] for key in ("kind", "name", "words")} for each in said["rests_on"]
    ]
    assert any(each["text"] == "rule `t.r`" for each in said["rests_on"])


def test_its_certificate_says_so_and_is_verified(proved: tuple[Path, Report]) -> None:
    folder, _ = proved
    texts = [each.read_text() for each in sorted(folder.glob("*meets_t_r.smt2"))]
    assert any("; of `xs` 1 element stands for up to 1,000: a wider question\n" in text for text in texts)
    assert all("arg_xs@1" not in text for text in texts)
    found = verify(folder, [folder.parent / "spec.yaml"])
    assert [(each.status, each.verdict) for each in found.properties] == [("verified", "proved")]
    assert found.exit_code == 0


def test_a_certificate_of_a_wrong_count_is_of_no_obligation(proved: tuple[Path, Report], monkeypatch: Patch) -> None:
    folder, _ = proved
    monkeypatch.setattr(tracked, "demanded", lambda *_: Demand(Counter({"xs": 2})))
    found = verify(folder, [folder.parent / "spec.yaml"])
    assert {each.status for each in found.properties} == {"mismatch"}
