"""B3: traversal and prefixes. What is judged is the one canonical path, and it is what the tool gets."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable
from pathlib import Path

import pytest
from attacked_gate import SpyRunner, attacked, canonical, outcome_of

ALLOWED = "/data"


def naive_by_prefix(path: str) -> bool:
    """The folder's name without its slash, on the text as it came."""
    return path.startswith(ALLOWED)


def naive_by_slash(path: str) -> bool:
    """With the slash, but on the text as it came."""
    return path.startswith(ALLOWED + "/")


def naive_by_parts(path: str) -> bool:
    """Splits at slashes and forgets that the reader of the path also honours `..`."""
    return path.split("/")[1:2] == ["data"]


def naive_by_removal(path: str) -> bool:
    """Removes `../` once, which makes `....//` into `../`."""
    return path.replace("../", "").startswith(ALLOWED + "/")


@pytest.mark.parametrize(
    ("path", "fooled", "reason_code"),
    [
        ("/database/secret", naive_by_prefix, "default_deny"),
        ("/data.bak/secret", naive_by_prefix, "default_deny"),
        ("/data/../etc/passwd", naive_by_slash, "parse.path"),
        ("/data/./../etc/passwd", naive_by_slash, "parse.path"),
        ("/data/x/../../etc/passwd", naive_by_parts, "parse.path"),
        ("/data//..//etc/passwd", naive_by_parts, "parse.path"),
        ("/data/....//....//etc/passwd", naive_by_removal, "rule.allow"),
        ("/data/..", naive_by_slash, "parse.path"),
        ("/data/\\..\\..\\etc\\passwd", naive_by_slash, "parse.path"),
        ("/data/a\x00.txt", naive_by_slash, "parse.path"),
        ("/data/a\n/etc/passwd", naive_by_slash, "parse.path"),
    ],
)
def test_a_path_that_fools_a_prefix_check_does_not_pass(
    path: str, fooled: Callable[[str], bool], reason_code: str, tmp_path: Path
) -> None:
    assert fooled(path)
    with attacked(tmp_path) as gate:
        decision = gate.decide(json.dumps({"tool": "read", "args": {"path": path}}))
    assert decision.reason_code == reason_code
    if decision.call is not None and decision.verdict == "allow":  # `....` is an ordinary name, and stays below
        assert posixpath.normpath(str(decision.call.args["path"])).startswith("/data/")


def test_the_rule_and_the_tool_see_the_same_canonical_path(tmp_path: Path) -> None:
    given = "//data/.//a///b/."
    assert not naive_by_slash(given)  # refused, although every reader of the path opens /data/a/b
    runner = SpyRunner()
    with attacked(tmp_path, runner=runner) as gate:
        assert outcome_of(gate, json.dumps({"tool": "read", "args": {"path": given}})) == "ok"
    assert canonical(runner) == ['{"args":{"path":"/data/a/b"},"tool":"read"}']


@pytest.mark.parametrize("path", ["~/x", "~root/.ssh/id_rsa", "x", "", "data/x"])
def test_a_path_that_some_reader_expands_or_completes_is_refused(path: str, tmp_path: Path) -> None:
    assert not posixpath.isabs(path)  # where it leads depends on who opens it
    with attacked(tmp_path) as gate:
        decision = gate.decide(json.dumps({"tool": "read", "args": {"path": path}}))
    assert (decision.verdict, decision.reason_code) == ("deny", "parse.path")


@pytest.mark.parametrize("name", ["d\\u{61}ta-x", "data\\u{2d}x", "\\x64ata-x"])
def test_a_solver_escape_in_a_string_is_plain_text(name: str, tmp_path: Path) -> None:
    import z3

    naive = z3.PrefixOf(z3.StringVal("data-"), z3.StringVal(name))  # StringVal reads \u{..} as an escape
    assert z3.is_true(z3.simplify(naive)) is ("u{" in name)
    assert not name.startswith("data-")
    with attacked(tmp_path, STRINGS, solver=True) as gate:
        decision = gate.decide({"tool": "find", "args": {"name": name}})
        assert gate.decide({"tool": "find", "args": {"name": "data-x"}}).verdict == "allow"
    assert (decision.reason_code, decision.engines.evaluator) == ("default_deny", "deny")


STRINGS = """
sandbox: 1
name: strings
tools:
  find:
    args: {name: {type: string}}
    rules: [{id: data, allow: "args.name.startsWith('data-')"}]
"""
