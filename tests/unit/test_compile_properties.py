# ruff: noqa: E501 - a table is read line by line
"""Property files: what they range over, and every refusal at its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from spec_files import spec, write

from sandbox.compile import load_properties
from sandbox.errors import Place, PropertyError, SpecError
from sandbox.ir import (
    Const,
    EnumSort,
    Eq,
    Fact,
    IntSort,
    Or,
)

INT = IntSort()

TWO_TOOLS = spec(
    "define: {small: 3}\nstate: {v: {type: int, initial: 0}}\n"
    "tools:\n"
    "  read: {effects: [reads], args: {path: {type: path}}, rules: [{id: a, allow: true}, {id: b, deny: true}]}\n"
    "  write: {effects: [writes], args: {path: {type: path}, n: {type: int}, o: {type: int, optional: true}},"
    " rules: [{id: a, allow: true}, {id: c, ask: true}]}\n"
    "  ping: {rules: []}\n"
)


def properties(folder: Path, text: str) -> Path:
    write(folder, TWO_TOOLS, "s.yaml")
    return write(folder, f"proves: s.yaml\nproperties:\n{text}", "p.yaml")


def test_properties_range_over_the_tools_they_name(tmp_path: Path) -> None:
    (found,) = load_properties(
        properties(
            tmp_path,
            "  - {id: all, never: decision == 'allow', why: because}\n"
            "  - {id: named, tools: [write, read], never: args.path == '/x'}\n"
            "  - {id: effect, effect: writes, possible: args.n < small}\n"
            "  - {id: state, always: state.v >= 0}\n"
            "  - {id: rules, never: rule == 'c' || rule == ''}\n",
        )
    )
    assert found.file == str(tmp_path.resolve() / "p.yaml")
    assert [(p.id, p.kind, p.tools, p.mentions_decision, p.why) for p in found.properties] == [
        ("all", "never", ("read", "write", "ping"), True, "because"),
        ("named", "never", ("read", "write"), False, ""),
        ("effect", "possible", ("write",), False, ""),
        ("state", "always", (), False, ""),
        ("rules", "never", ("read", "write", "ping"), False, ""),
    ]
    ids = EnumSort(("", "a", "b", "c"))
    rule = Fact("rule", ids)
    assert found.properties[4].condition == Or((Eq(rule, Const("c", ids)), Eq(rule, Const("", ids))))
    assert found.properties[0].text == "decision == 'allow'"
    assert found.properties[0].place == Place(str(tmp_path / "p.yaml"), 3, 22)


def test_no_property_is_an_empty_set(tmp_path: Path) -> None:
    write(tmp_path, TWO_TOOLS, "s.yaml")
    (found,) = load_properties(write(tmp_path, "proves: s.yaml\n", "p.yaml"))
    assert found.properties == ()


def test_one_file_may_prove_several_specs_and_a_folder_holds_several_files(tmp_path: Path) -> None:
    write(tmp_path, TWO_TOOLS, "s.yaml")
    write(tmp_path, TWO_TOOLS.replace("name: x", "name: y"), "t.yaml")
    write(tmp_path, "proves: [../s.yaml, ../t.yaml]\nproperties: [{id: a, always: state.v >= 0}]\n", "p/one.yaml")
    write(tmp_path, "proves: ../s.yaml\n", "p/two.yaml")
    write(tmp_path, "not even YAML: {", "p/deeper/three.yaml")
    write(tmp_path, "not even YAML: {", "p/readme.yml")
    found = load_properties(tmp_path / "p")
    assert [(Path(one.file).name, one.contract.name) for one in found] == [
        ("one.yaml", "x"),
        ("one.yaml", "y"),
        ("two.yaml", "x"),
    ]


@pytest.mark.parametrize(
    ("line", "place", "message"),
    [
        ("{id: a}", "3:5", "a property has exactly one of `never`, `always`, `possible`, `needs`, `flow`, `within`; split it or add one"),
        ("{id: a, never: true, always: true}", "3:5", "a property has exactly one of `never`, `always`, `possible`, `needs`, `flow`, `within`; split it or add one"),
        ("{id: a, needs: {}}", "3:20", "`after` is missing here; add it"),
        ("{id: a, needs: {before: 'true'}}", "3:20", "`after` is missing here; add it"),
        ("{id: a, needs: {before: 'true', after: 'true', same: [args.n]}}", "3:59", "tool `read` has no argument `n`; say in `before` and `after` which tools are meant; known: `path`"),
        ("{id: a, needs: {before: tool == 'write', after: 'true', same: [args.n]}}", "3:68", "tool `read` has no argument `n`; say in `before` and `after` which tools are meant; known: `path`"),
        ("{id: a, tools: [write], needs: {before: tool == 'write', after: 'true', same: [args.m]}}", "3:84", "tool `write` has no argument `m`; say in `before` and `after` which tools are meant; known: `n`, `o`, `path`"),
        ("{id: a, needs: {before: tool == 'write', after: tool == 'write', same: []}}", "3:76", "`same` names nothing; take the key out"),
        ("{id: a, needs: {before: tool == 'write', after: tool == 'write', same: args.n}}", "3:76", "expected a list; write `[...]`"),
        ("{id: a, needs: {before: tool == 'write', after: tool == 'write', same: [n]}}", "3:77", "`same` names values of a call; write `args.NAME`, a field of it, or `session.NAME`"),
        ("{id: a, needs: {before: tool == 'write', after: tool == 'write', same: [state.v]}}", "3:77", "`same` names values of a call; write `args.NAME`, a field of it, or `session.NAME`"),
        ("{id: a, needs: {before: tool == 'write', after: tool == 'write', same: [args.n + 1]}}", "3:77", "`same` names values of a call; write `args.NAME`, a field of it, or `session.NAME`"),
        ("{id: a, needs: {before: tool == 'write', after: tool == 'write', same: ['args.n[0]']}}", "3:78", "`same` names values of a call; write `args.NAME`, a field of it, or `session.NAME`"),
        ("{id: a, needs: {before: tool == 'write', after: tool == 'write', same: [args.n.m]}}", "3:77", "`args.n.m` of tool `write` has no field `m`; check its spelling"),
        ("{id: a, needs: {before: tool == 'write', after: tool == 'write', same: [session.user]}}", "3:77", "the session has no fact `user`; check its spelling"),
        ("{id: a, needs: {before: 'true', after: 'true', befor: 1}}", "3:52", "unknown key `befor`; did you mean `before`?"),
        ("{id: a, needs: true}", "3:20", "expected a mapping; write `key: value` lines, or `{}`"),
        ("{id: a, never: true, needs: {before: 'true', after: 'true'}}", "3:5", "a property has exactly one of `never`, `always`, `possible`, `needs`, `flow`, `within`; split it or add one"),
        ("{id: a, needs: {before: state.v == 1, after: 'true'}}", "3:29", "`before` reads `state`, which is not supported in this version; it may read `args`, `tool` and `session`"),
        ("{id: a, needs: {before: decision == 'allow', after: 'true'}}", "3:29", "`before` reads `decision`, which is not supported in this version; it may read `args`, `tool` and `session`"),
        ("{id: a, needs: {before: rule == 'a', after: 'true'}}", "3:29", "`before` reads `rule`, which is not supported in this version; it may read `args`, `tool` and `session`"),
        ("{id: a, needs: {before: now > timestamp('2026-01-01T00:00:00Z'), after: 'true'}}", "3:29", "`before` reads `now`, which is not supported in this version; it may read `args`, `tool` and `session`"),
        ("{id: a, needs: {before: tool == 'write' && 'user' in origin(args.path), after: 'true'}}", "3:29", "`before` reads `origin`, which is not supported in this version; it may read `args`, `tool` and `session`"),
        ("{id: a, tools: [write], needs: {before: args.n == 1, after: args.n == 1}}", "3:50", "tool `read` has no argument `n`; write `tool == 'write' &&` before it"),
        ("{id: a, needs: {before: tool == 'write', after: args.n == 1}}", "3:58", "tool `read` has no argument `n`; write `tool == 'write' &&` before it"),
        ("{id: a, needs: {before: tool == 'write' && args.o == 1, after: 'true'}}", "3:48", "`args.o` is optional; write `has(args.o) &&` before it"),
        ("{id: a, needs: {before: 'true', after: state.v}}", "3:44", "expected bool, found int `state.v`; compare it with something"),
        ("{id: a, flow: {}}", "3:19", "`from` is missing here; add it"),
        ("{id: a, flow: {from: user}}", "3:19", "`to` is missing here; add it"),
        ("{id: a, flow: true}", "3:19", "expected a mapping; write `key: value` lines, or `{}`"),
        ("{id: a, flow: {from: user, to: args.n, unles: approved}}", "3:44", "unknown key `unles`; did you mean `unless`?"),
        ("{id: a, flow: {from: user, to: args.n, unless: aproved}}", "3:52", "`aproved` is no exception; did you mean `approved`?"),
        ("{id: a, flow: {from: usr, to: args.n}}", "3:26", "`usr` is no origin of this spec; did you mean `user`?"),
        ("{id: a, flow: {from: 'tool:raed', to: args.n}}", "3:27", "`tool:raed` is no origin of this spec; did you mean `tool:read`?"),
        ("{id: a, flow: {from: user, to: n}}", "3:36", "`to` is an argument of the call as a whole; write `args.NAME`"),
        ("{id: a, flow: {from: user, to: args.n.m}}", "3:36", "`to` is an argument of the call as a whole; write `args.NAME`"),
        ("{id: a, flow: {from: user, to: args.n + 1}}", "3:36", "`to` is an argument of the call as a whole; write `args.NAME`"),
        ("{id: a, flow: {from: user, to: 'args.n['}}", "3:44", "the expression ends too early; something is missing behind it"),
        ("{id: a, flow: {from: user, to: args.pat}}", "3:36", "no tool has an argument `pat`; did you mean `path`?"),
        ("{id: a, flow: {from: user, to: args.n}, tools: [read, write]}", "3:36", "tool `read` has no argument `n`; name in `tools` those that have"),
        ("{id: a, flow: {from: user, to: args.n}, effect: reads}", "3:36", "tool `read` has no argument `n`; name in `tools` those that have"),
        ("{id: a, flow: {from: user, to: args.n}, never: true}", "3:5", "a property has exactly one of `never`, `always`, `possible`, `needs`, `flow`, `within`; split it or add one"),
        ("{id: a, nevr: true}", "3:13", "unknown key `nevr`; did you mean `never`?"),
        ("{id: a, always: args.n == 1}", "3:21", "`args` has no meaning here, where no call is looked at"),
        ("{id: a, always: tool == 'read'}", "3:21", "`tool` has no meaning here; it belongs to properties about a call"),
        ("{id: a, always: decision == 'deny'}", "3:21", "`decision` has no meaning here; it belongs to properties about a call"),
        ("{id: a, always: true, tools: [read]}", "3:34", "`always` is about `state` alone; take `tools` out, or write `never`"),
        ("{id: a, never: true, tools: [rad]}", "3:34", "the spec has no tool `rad`; did you mean `read`?"),
        ("{id: a, never: true, tools: []}", "3:33", "`tools` names no tool; take the key out to mean all of them"),
        ("{id: a, never: true, effect: write}", "3:34", "no tool has the effect `write`; did you mean `writes`?"),
        ("{id: a, never: true, effect: writes, tools: [read]}", "3:34", "`tools` and `effect` exclude each other; keep one of them"),
        ("{id: a, never: args.n == 1}", "3:25", "tool `read` has no argument `n`; write `tool == 'write' &&` before it"),
        ("{id: a, effect: writes, never: args.o == 1}", "3:36", "`args.o` is optional; write `has(args.o) &&` before it"),
        ("{id: a, never: decision == 'allowed'}", "3:32", "`'allowed'` is not a value of `decision`; did you mean `allow`?"),
        ("{id: a, never: rule == 'd'}", "3:28", "`'d'` is not a value of `rule`; known: ``, `a`, `b`, `c`"),
        ("{id: a, never: state.v}", "3:20", "expected bool, found int `state.v`; compare it with something"),
        ("{id: a, never: true}\n  - {id: a, never: false}", "4:10", "the id `a` stands here already; ids are unique within a file"),
    ],
)  # fmt: skip
def test_a_property_is_refused_at_its_place(tmp_path: Path, line: str, place: str, message: str) -> None:
    with pytest.raises(PropertyError) as caught:
        load_properties(properties(tmp_path, f"  - {line}\n"))
    problem = caught.value.problems[0]
    assert (f"{problem.place.line}:{problem.place.column}", problem.message) == (place, message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("properties: []\n", "1:1: `proves` is missing here; add it"),
        (
            "sandbox: 1\nname: x\n",
            "1:1: this is a spec and no property file; give the file that has `proves:` with its name",
        ),
        ("proves: []\n", "1:9: `proves` names no spec; write the path of one"),
        ("proves: [s.yaml, t.yaml]\n", "1:18: `t.yaml` is no spec file; the path is relative to this file"),
        ("proves: s.yaml\ndefine: {small: 1}\n", "2:10: `small` means something already; use another name"),
        ("proves: s.yaml\ndefine: {has: 1}\n", "2:10: `has` means something already; use another name"),
    ],
)
def test_a_property_file_is_refused_at_its_place(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, TWO_TOOLS, "s.yaml")
    with pytest.raises(PropertyError) as caught:
        load_properties(write(tmp_path, text, "p.yaml"))
    assert str(caught.value.problems[0]).splitlines()[0] == f"{tmp_path}/p.yaml:{message}"


def test_a_wrong_spec_is_told_as_such(tmp_path: Path) -> None:
    write(tmp_path, "sandbox: 2\nname: x\n", "s.yaml")
    with pytest.raises(SpecError, match=r"s\.yaml:1:10: this version reads format 1 only"):
        load_properties(write(tmp_path, "proves: s.yaml\n", "p.yaml"))


COMPARED = """\
sandbox: 1
name: x
session: {who: {type: enum, values: [ann, bob]}}
types:
  one: {type: record, fields: {a: {type: string}, b: {type: int, optional: true}}}
  two: {type: record, fields: {a: {type: string}, b: {type: int}}}
tools:
  first: {args: {FIRST}, rules: []}
  then: {args: {THEN}, rules: []}
"""


@pytest.mark.parametrize(
    ("one", "other", "refused"),
    [
        ("type: int, min: 0", "type: int, max: 5", ""),
        ("type: string, max_size: 5", "type: string, pattern: '[a-z]+'", ""),
        ("type: string", "type: path", ""),
        ("type: list, items: string, max_size: 2", "type: list, items: string, max_size: 5", ""),
        ("type: one", "type: one, optional: true", ""),
        ("type: argv", "type: list, items: string", ""),
        ("type: decimal, scale: 2", "type: decimal, scale: 3", "has another type in `then` than in `first`; values are compared that have equal types"),
        ("type: decimal, scale: 2", "type: int", "has another type in `then` than in `first`; values are compared that have equal types"),
        ("type: enum, values: [a, b]", "type: enum, values: [b, a]", "has another type in `then` than in `first`; values are compared that have equal types"),
        ("type: timestamp", "type: string", "has another type in `then` than in `first`; values are compared that have equal types"),
        ("type: one", "type: two", "has another type in `then` than in `first`; values are compared that have equal types"),
        ("type: list, items: string", "type: list, items: int", "has another type in `then` than in `first`; values are compared that have equal types"),
        ("type: text", "type: text", "is a text, of which only the size is known; compare another value"),
        ("type: shell", "type: shell", "is a command line, which is not compared; compare another value"),
    ],
)  # fmt: skip
def test_values_are_compared_that_have_equal_types(tmp_path: Path, one: str, other: str, refused: str) -> None:
    text = COMPARED.replace("FIRST", f"v: {{{one}}}").replace("THEN", f"v: {{{other}}}")
    write(tmp_path, text, "x.yaml")
    file = write(
        tmp_path,
        "proves: x.yaml\nproperties:\n  - {id: a, needs: {before: tool == 'first', after: tool == 'then', same: [args.v, session.who]}}\n",
        "p.yaml",
    )
    if not refused:
        ((found),) = load_properties(file)
        assert found.properties[0].same == ("args.v", "session.who")
        return
    with pytest.raises(PropertyError) as caught:
        load_properties(file)
    assert [(str(each.place.column), each.message) for each in caught.value.problems] == [("76", f"`args.v` {refused}")]
