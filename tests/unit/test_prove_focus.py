"""A property that ranges over several tools, looked at for one of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from spec_files import spec, write

from sandbox.compile import load_properties
from sandbox.ir import (
    FALSE,
    TRUE,
    And,
    Arg,
    Const,
    EnumSort,
    Eq,
    Fact,
    Has,
    IntSort,
    Ite,
    Not,
    Or,
)
from sandbox.prove.focus import for_tool, speaks_of
from sandbox.prove.obligations import cases

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


def test_a_property_is_focused_on_one_tool(tmp_path: Path) -> None:
    conditions = [
        "tool == 'write' && args.n == 1",
        "tool == 'read' || tool == 'write' && args.n == 1",
        "tool in ['read', 'ping']",
        "tool != 'write'",
        "tool == 'write' ? args.n == 1 : decision == 'allow'",
        "decision == 'allow' ? tool == 'write' : 'read' == tool",
        "rule == 'c'",
        "'b' != rule",
        "tool == (decision == 'allow' ? 'read' : 'write')",
    ]
    lines = "".join(f'  - {{id: p{at}, never: "{text}"}}\n' for at, text in enumerate(conditions))
    (found,) = load_properties(properties(tmp_path, lines))
    read, write_, ping = found.contract.tools
    ids = EnumSort(("", "a", "c"))
    focused = [for_tool(one.condition, write_) for one in found.properties]
    n_is_1 = Eq(Arg("n", INT), Const(1, INT))
    verdicts = EnumSort(("deny", "ask", "allow"))
    allowed = Eq(Fact("decision", verdicts), Const("allow", verdicts))
    assert focused[0] == And((n_is_1,))
    assert focused[1] == Or((And((n_is_1,)),))
    assert focused[2:4] == [FALSE, FALSE]
    assert focused[4] == n_is_1
    assert focused[5] == Ite(allowed, TRUE, FALSE)
    assert focused[6] == Eq(Fact("rule", ids), Const("c", ids))
    assert focused[7] == TRUE
    tools = EnumSort(("read", "write", "ping"))
    assert focused[8] == Eq(Const("write", tools), Ite(allowed, Const("read", tools), Const("write", tools)))
    assert for_tool(found.properties[0].condition, read) == FALSE
    assert for_tool(found.properties[1].condition, read) == TRUE
    assert for_tool(found.properties[1].condition, ping) == FALSE
    assert for_tool(found.properties[4].condition, ping) == allowed
    assert for_tool(found.properties[2].condition, ping) == TRUE
    assert for_tool(Not(Has("o")), write_) == Not(Has("o"))


@pytest.mark.parametrize(
    ("condition", "cases_of_it"),
    [
        ("decision == 'allow'", ["allow a"]),
        ("decision != 'deny' && args.n == 1", ["allow a", "ask c"]),
        ("'ask' == decision || decision == 'deny' && args.n == 1", ["ask c", "deny "]),
        ("rule == 'c'", ["ask c"]),
        ("decision == 'allow' && rule == 'c'", []),
        ("decision in ['deny', 'ask']", ["ask c", "deny "]),
        ("decision == 'allow' ? false : args.n == 1", ["ask c", "deny "]),
        ("args.n == 1 && args.n == 2", ["allow a", "ask c", "deny "]),
        ("(args.n == 1 ? 'ask' : 'allow') == decision", ["allow a", "ask c", "deny "]),
    ],
)
def test_a_case_of_which_a_condition_does_not_speak_is_seen_without_a_solver(
    tmp_path: Path, condition: str, cases_of_it: list[str]
) -> None:
    line = f'  - {{id: p, tools: [write], never: "{condition}"}}\n'
    (found,) = load_properties(properties(tmp_path, line))
    write_ = found.contract.tools[1]
    focused = for_tool(found.properties[0].condition, write_)
    assert [f"{case.verdict} {case.rule}" for case in cases(write_) if speaks_of(focused, case)] == cases_of_it
