"""Unit: `origin(args.x)` and `returns: {f: {origin: L}}` as they are written, and what is refused at its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from spec_files import write

from sandbox.compile import load_contract, load_properties
from sandbox.compile.lint import lint
from sandbox.errors import PropertyError, SpecError
from sandbox.ir import TRUE, And, Has, Not, OriginHas, Returned, StringType

SPEC = """\
sandbox: 1
name: mail
define: {source: web, labels: [web]}
session: {id: {type: string}}
types: {words: {type: list, items: string}}
tools:
  read:
    args: {}
    returns:
      body: {origin: web}
      from: {type: string, origin: crm.v2}
      to: {type: string}
    rules: [{id: any, allow: true}]
  send:
    args: {to: {type: string}, cc: {type: string, optional: true}, all: {type: words}, n: {type: int}}
    rules: [{id: r, deny: RULE}]
"""


def loaded(folder: Path, rule: str) -> object:
    contract = load_contract(write(folder, SPEC.replace("RULE", rule)))
    return contract.tools[1].rules[0].when


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\"'web' in origin(args.to)\"", OriginHas("to", "web")),
        ("source in origin(args.to)", OriginHas("to", "web")),
        ("\"'user' in origin(args.all)\"", OriginHas("all", "user")),
        ("\"'unknown' in origin(args.n)\"", OriginHas("n", "unknown")),
        ("\"'crm.v2' in origin(args.n)\"", OriginHas("n", "crm.v2")),
        ("\"!('tool:read' in origin(args.n))\"", Not(OriginHas("n", "tool:read"))),
        ("\"has(args.cc) && 'tool:send' in origin(args.cc)\"", And((Has("cc"), OriginHas("cc", "tool:send")))),
        ('"has(args.to)"', TRUE),
    ],
)
def test_a_rule_asks_for_a_label_of_an_argument(tmp_path: Path, text: str, expected: object) -> None:
    assert loaded(tmp_path, text) == expected


def test_a_field_of_a_result_has_a_type_a_label_or_both(tmp_path: Path) -> None:
    contract = load_contract(write(tmp_path, SPEC.replace("RULE", "true")))
    text = StringType(None, 0, 4_096)
    assert contract.tools[0].returns == (
        Returned("body", origin="web"),
        Returned("from", text, origin="crm.v2"),
        Returned("to", text),
    )


KNOWN = "known: `crm.v2`, `tool:read`, `tool:send`, `unknown`, `user`, `web`"
USE = "write `'LABEL' in origin(args.NAME)`"

REFUSALS = [
    ("'webb' in origin(args.to)", 1, "`webb` is no origin of this spec; did you mean `web`?"),
    ("'zzz' in origin(args.to)", 1, f"`zzz` is no origin of this spec; {KNOWN}"),
    ("'tool:red' in origin(args.to)", 1, "`tool:red` is no origin of this spec; did you mean `tool:read`?"),
    ("'Web' in origin(args.to)", 1, "`Web` is no origin of this spec; did you mean `web`?"),
    ("args.to in origin(args.to)", 1, f"a label is a constant string, found string `args.to`; {USE}"),
    ("1 in origin(args.to)", 1, f"a label is a constant string, found int `1`; {USE}"),
    ("labels in origin(args.to)", 1, f"a label is a constant string, found list of constants `labels`; {USE}"),
    ("'web' in origin(args.cc)", 17, "`args.cc` is optional; write `has(args.cc) &&` before it"),
    ("'web' in origin(args.too)", 22, "tool `send` has no argument `too`; did you mean `to`?"),
    ("'web' in origin(session.id)", 17, f"`origin` takes an argument of the call as a whole; {USE}"),
    ("'web' in origin('x')", 17, f"`origin` takes an argument of the call as a whole; {USE}"),
    ("'web' in origin(args.all[0])", 17, f"`origin` takes an argument of the call as a whole; {USE}"),
    ("args.all.exists(x, 'web' in origin(x))", 36, f"`origin` takes an argument of the call as a whole; {USE}"),
    ("'web' in origin()", 10, f"`origin` takes 1 argument, found 0; {USE}"),
    ("'web' in origin(args.to, args.n)", 10, f"`origin` takes 1 argument, found 2; {USE}"),
    ("origin(args.to) == 'web'", 1, f"`origin` gives no value, only a set to look in; {USE}"),
    ("size(origin(args.to)) == 1", 6, f"`origin` gives no value, only a set to look in; {USE}"),
    ("origin(args.to).exists(x, x == 'web')", 1, f"`origin` gives no value, only a set to look in; {USE}"),
    ("'web' in args.to.origin()", 18, f"`origin` is a function; {USE}"),
    ("'web' in origin", 10, f"`origin` is a function; {USE}"),
    ("'web' in origins(args.to)", 10, "`origins` is no function of this language; did you mean `origin`?"),
    ("args.all.all(origin, origin == 'a')", 14, "`origin` means something already; use another name"),
]


@pytest.mark.parametrize(("text", "column", "message"), REFUSALS)
def test_what_is_no_question_about_an_origin_is_refused_at_its_place(
    tmp_path: Path, text: str, column: int, message: str
) -> None:
    path = write(tmp_path, SPEC.replace("RULE", f'"{text}"'))
    with pytest.raises(SpecError) as caught:
        load_contract(path)
    (problem,) = caught.value.problems
    assert (problem.place.column - len('    rules: [{id: r, deny: "'), problem.message) == (column, message)


def test_no_constant_is_named_origin(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="`origin` means something already; use another name"):
        load_contract(write(tmp_path, SPEC.replace("RULE", "true").replace("source: web", "origin: web")))


def test_a_property_asks_for_the_labels_of_its_spec(tmp_path: Path) -> None:
    write(tmp_path, SPEC.replace("RULE", "true"))
    file = tmp_path / "p.yaml"
    text = "proves: spec.yaml\nproperties:\n  - {id: a, never: \"tool == 'send' && 'LABEL' in origin(args.to)\"}\n"
    file.write_text(text.replace("LABEL", "crm.v2"))
    (found,) = load_properties(file)
    assert OriginHas("to", "crm.v2") in found.properties[0].condition.operands
    file.write_text(text.replace("LABEL", "crm"))
    with pytest.raises(PropertyError, match=r"p.yaml:3:39: `crm` is no origin of this spec; did you mean `crm.v2`\?"):
        load_properties(file)
    file.write_text("proves: spec.yaml\nproperties:\n  - {id: a, always: \"'web' in origin(args.to)\"}\n")
    with pytest.raises(PropertyError, match="has no meaning here"):
        load_properties(file)


@pytest.mark.parametrize(
    ("rule", "remarks"),
    [
        ("'user' in origin(args.to)", []),
        ("'user' in origin(args.all)", ["`'user' in origin(args.all)` holds also where a part of the value has it"]),
        ("'user' in origin(args.all) && !('unknown' in origin(args.all))", []),
        ("'user' in origin(args.all) && !('unknown' in origin(args.to))", ["`'user' in origin(args.all)` holds also"]),
        ("'web' in origin(args.n)", ["`'web' in origin(args.n)` holds also where the value only looks like one that"]),
        ("!('web' in origin(args.n))", []),
        ("'unknown' in origin(args.n)", []),
        ("'web' in origin(args.n) ? true : false", ["`'web' in origin(args.n)` holds also"]),
        ("!(!('web' in origin(args.n)) || 'unknown' in origin(args.n))", []),
    ],
)
def test_lint_asks_for_the_other_half_of_a_question_that_an_allow_rests_on(
    tmp_path: Path, rule: str, remarks: list[str]
) -> None:
    text = SPEC.replace("deny: RULE", f'allow: "{rule}"')
    found = [each.message for each in lint(load_contract(write(tmp_path, text))) if "origin" in each.message]
    assert len(found) == len(remarks)
    assert all(
        one.startswith(other) and "; add `&& !('unknown' in " in one for one, other in zip(found, remarks, strict=True)
    )


def test_what_it_takes_to_look_values_up_is_part_of_the_cost(tmp_path: Path) -> None:
    many = "{type: list, items: {type: string, max_size: 100}, max_size: 1000}"
    text = SPEC.replace("{type: list, items: string}", many)
    load_contract(write(tmp_path, text.replace("RULE", "size(args.all) > 3")))
    with pytest.raises(SpecError, match=r"a decision could take .* of which the argument `all` takes"):
        load_contract(write(tmp_path, text.replace("RULE", "\"'web' in origin(args.all)\"")))
