"""Unit: the table of docs/semantics.md lists exactly the operators of the language, each with a test that exists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from sandbox import ir

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "semantics.md").read_text(encoding="utf-8")
TABLE = PAGE.partition("## Operators")[2].partition("\n## ")[0]
TRAPS = PAGE.partition("## Known traps")[2]
ROWS = [re.split(r"\s*\|\s*", line.strip("|").strip()) for line in TABLE.splitlines() if line.startswith("| `")]


def test_the_table_has_every_operator_in_the_order_of_the_language() -> None:
    assert [row[0].strip("`") for row in ROWS] == [operator.__name__ for operator in get_args(ir.Expr)]


def test_every_row_has_both_meanings_and_a_test_that_exists() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "differential").glob("test_*.py"))
    there = set(re.findall(r"^def (test_\w+)", tests, re.MULTILINE))
    for operator, closure, term, *_, held in ROWS:
        assert closure.strip(), operator
        assert term.strip(), operator
        assert held.strip("` ") in there, (operator, held)


def test_every_known_trap_has_a_guard_and_a_test_that_exists() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    there = set(re.findall(r"^def (test_\w+)", tests, re.MULTILINE))
    rows = [line.strip("| ").split(" | ") for line in TRAPS.splitlines()[1:] if line.startswith("| ")][1:]
    assert [row for row in rows if len(row) != 3 or row[2].strip("` ") not in there] == []
    assert len(rows) == 22
