"""`after` and `returns` in a spec: every refusal word for word, and what is compiled."""

from __future__ import annotations

from pathlib import Path

import pytest
from spec_files import spec, write

from sandbox.compile import lint, load_contract
from sandbox.errors import SpecError
from sandbox.ir import BoolType, EnumType, Returned, StringType
from sandbox.stages import OUTCOME, WHOLE, result_of, stages_of

HEAD = (
    "state: {open: {type: bool, initial: false}}\nsession: {who: {type: string}}\ntools:\n  t:\n"
    "    args: {n: {type: int}}\n    rules: []\n"
)
RETURNS = "    returns: {iban: {type: string}, ok: {type: bool}, lines: {type: {type: list, items: {type: string}}}}\n"
NOT_A_STATUS = (
    "`'fine'` is not a value of `outcome.status`; known: `error`, `killed`, `ok`, `out_of_memory`, `output_limit`, "
    "`sandbox_failure`, `timeout`"
)
EXACTLY_ONE = "a rule of `after` has exactly one of `pass`, `redact`, `withhold`; split it or add one"


def one(rule: str, returns: str = RETURNS) -> str:
    return spec(f"{HEAD}{returns}    after:\n      - {rule}\n")


def refused(folder: Path, text: str) -> list[tuple[int, int, str]]:
    with pytest.raises(SpecError) as caught:
        load_contract(write(folder, text))
    return [(each.place.line, each.place.column, each.message) for each in caught.value.problems]


@pytest.mark.parametrize(
    ("rule", "column", "message"),
    [
        ('{id: a, pass: "true", redact: "true"}', 9, EXACTLY_ONE),
        ("{id: a}", 9, EXACTLY_ONE),
        ('{id: a, allow: "true"}', 17, "unknown key `allow`; known: `id`, `pass`, `reason`, `redact`, `withhold`"),
        ("{id: a, pass: result}", 23,
         "expected bool, found text `result`; rules see only `size` and `has` of it; declare it `string`"),
        ("{id: a, pass: \"result == 'x'\"}", 24,
         "expected a single value, found text `result`; rules see only `size` and `has` of it; declare it `string`"),
        ("{id: a, pass: result.ok}", 23, "`result.ok` is optional; write `has(result.ok) &&` before it"),
        ("{id: a, pass: has(result.no)}", 34, "record `result` has no field `no`; known: `iban`, `lines`, `ok`"),
        ("{id: a, pass: \"outcome.status == 'fine'\"}", 42, NOT_A_STATUS),
        ("{id: a, pass: outcome.result == 1}", 31,
         "record `outcome` has no field `result`; known: `status`, `stderr`, `stdout`"),
        ("{id: a, pass: \"outcome.stdout.contains('x')\"}", 24,
         "expected string, found text `outcome.stdout`; rules see only `size` and `has` of it; declare it `string`"),
        ("{id: a, pass: change.size == 1}", 23, "`change` has no meaning here; it belongs to the rules of `changes`"),
        ("{id: a, pass: \"args.n == 1 && ['a'].exists(result, true)\"}", 39,
         "expected a list argument, found list of constants `['a']`"),
    ],
)  # fmt: skip
def test_a_rule_about_results_is_refused(tmp_path: Path, rule: str, column: int, message: str) -> None:
    assert refused(tmp_path, one(rule)) == [(11, column, message)]


def test_without_declared_types_a_result_has_no_fields(tmp_path: Path) -> None:
    message = "`returns` declares no type of a field of `result`; write `returns: {NAME: {type: ...}}`"
    assert refused(tmp_path, one("{id: a, pass: has(result.x)}", "")) == [(10, 27, message)]


@pytest.mark.parametrize("name", ["result", "outcome"])
def test_they_have_no_meaning_elsewhere(tmp_path: Path, name: str) -> None:
    text = spec(f"tools:\n  t:\n    rules: [{{id: a, allow: size({name}) == 1}}]\n")
    message = f"`{name}` has no meaning here; it belongs to the rules of `after`"
    assert refused(tmp_path, text) == [(5, 33, message)]


@pytest.mark.parametrize(
    ("returns", "column", "message"),
    [
        ("{x: {}}", 18, "a field of `returns` has a `type`, an `origin`, or both; add one"),
        ("{x: {type: string, secret: true}}", 33, "unknown key `secret`; known: `origin`, `type`"),
        ("{x: {type: {type: string, secret: true}}}", 48,
         "`secret` is for what a call is given, not for what it returns; take it out"),
        ("{x: {type: {type: string, default: a}}}", 49,
         "`default` is for what a call is given, not for what it returns; take it out"),
        ("{x: {type: strin}}", 25, "`strin` is no type; did you mean `string`?"),
        ("{x: string}", 18, "expected a mapping; write `key: value` lines, or `{}`"),
        ("{x-y: {type: string}}", 15, "`x-y` is no name; write a letter or `_`, then letters, digits and `_`"),
    ],
)  # fmt: skip
def test_what_returns_may_not_say_is_refused(tmp_path: Path, returns: str, column: int, message: str) -> None:
    ((line, at, said),) = refused(tmp_path, spec(f"{HEAD}    returns: {returns}\n"))
    assert (line, at, said) == (9, column, message)


def test_an_id_stands_once(tmp_path: Path) -> None:
    text = spec(f'{HEAD}    after: [{{id: a, pass: "true"}}, {{id: a, redact: "true"}}]\n')
    assert refused(tmp_path, text) == [(9, 41, "the id `a` stands here already; ids are unique within `after`")]


@pytest.mark.parametrize("name", ["result", "outcome"])
def test_no_name_of_the_authors_takes_their_place(tmp_path: Path, name: str) -> None:
    ((_, _, message),) = refused(tmp_path, spec(f"define: {{{name}: 1}}\n"))
    assert message == f"`{name}` means something already; use another name"


def test_what_is_compiled(tmp_path: Path) -> None:
    text = spec(
        f"{HEAD}    returns: {{kind: {{type: {{type: enum, values: [a, b], optional: true}}}}, ok: {{type: bool}}}}\n"
        "    after:\n      - {id: fine, pass: has(result.ok) && result.ok && size(result) < 10}\n"
        "      - {id: hidden, redact: has(result.kind) && result.kind == 'a' || session.who == 'x' || args.n == 1}\n"
        "      - {id: never, withhold: \"outcome.status == 'error' && state.open && size(outcome.stderr) > 5\"}\n"
    )
    (tool,) = load_contract(write(tmp_path, text)).tools
    assert tool.returns == (Returned("kind", EnumType(("a", "b")), optional=True), Returned("ok", BoolType()))
    assert [(rule.id, rule.kind) for rule in tool.after or ()] == [
        ("fine", "allow"),
        ("hidden", "ask"),
        ("never", "deny"),
    ]
    (stage,) = stages_of(tool)
    assert stage.name == "t@after"
    assert stage.arguments[1:] == (OUTCOME, WHOLE, result_of(tool))
    assert all(field.optional for field in result_of(tool).type.fields)


def test_no_key_is_another_thing_than_no_rules(tmp_path: Path) -> None:
    assert load_contract(write(tmp_path, spec(f"{HEAD}    after: []\n"))).tools[0].after == ()
    (tool,) = load_contract(write(tmp_path, spec(HEAD))).tools
    assert (tool.after, tool.returns) == (None, ())


def test_a_type_of_the_authors_own_serves(tmp_path: Path) -> None:
    text = spec("types: {iban: {type: string, max_size: 34}}\ntools: {t: {rules: [], returns: {to: {type: iban}}}}\n")
    assert load_contract(write(tmp_path, text)).tools[0].returns == (Returned("to", StringType(None, 0, 34)),)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("[]", ["no rule of `t` passes or redacts a result, so that every one is withheld"]),
        ('[{id: a, withhold: "true"}]',
         ["no rule of `t` passes or redacts a result, so that every one is withheld", "rule `a` is always true"]),
        ('[{id: a, pass: "true"}]', ["rule `a` is always true"]),
        ("[{id: a, redact: size(result) > 9}]", []),
    ],
)  # fmt: skip
def test_what_lint_remarks(tmp_path: Path, rules: str, expected: list[str]) -> None:
    text = spec(
        f"tools: {{t: {{args: {{n: {{type: int}}}}, rules: [{{id: r, allow: args.n == 1}}], after: {rules}}}}}\n"
    )
    found = [each.message for each in lint(load_contract(write(tmp_path, text)))]
    assert sorted(found) == sorted(expected)
