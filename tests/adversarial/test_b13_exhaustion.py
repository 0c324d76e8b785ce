"""B13: exhaustion of the supervisor, and of whoever reads what it says."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from attacked_gate import attacked

from sandbox.errors import SpecError

MIB = 1024 * 1024


def wrapped(value: str) -> bytes:
    return b'{"tool": "count", "args": {"n": ' + value.encode() + b"}}"


@pytest.mark.parametrize(
    ("raw", "reason_code"),
    [
        (b"[" * 50_000, "parse.depth"),
        (b'{"a":' * 50_000, "parse.depth"),
        (wrapped("[" * 50_000 + "]" * 50_000), "parse.depth"),
        (wrapped("9" * 100_000), "parse.number"),
        (wrapped("-" + "9" * 5_000), "parse.number"),
    ],
)
def test_what_makes_a_naive_reader_raise_is_a_denial(raw: bytes, reason_code: str, tmp_path: Path) -> None:
    with pytest.raises((RecursionError, ValueError)):  # out of a naive gate, whose caller may go on
        json.loads(raw)
    with attacked(tmp_path) as gate:
        decision = gate.decide(raw)
    assert decision.verdict == "deny"
    assert decision.reason_code == reason_code


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * (64 * MIB),
        b'"' + b"a" * (10 * MIB),
        wrapped("9" * (10 * MIB)),
        b'{"tool":"' + b"\\u0000" * MIB + b'"}',
        b"[" + b"0," * (2 * MIB) + b"0]",
        b"{" + b",".join(b'"%d":0' % number for number in range(300_000)) + b"}",
    ],
    ids=["brackets", "string", "digits", "escapes", "values", "keys"],
)
def test_a_huge_message_is_denied_in_little_memory(raw: bytes, tmp_path: Path) -> None:
    with attacked(tmp_path) as gate:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        decision = gate.decide(raw)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert decision.verdict == "deny"
    assert decision.reason_code in {"parse.too_large", "parse.depth", "parse.number", "parse.keys"}
    assert grown < 100 * 1024  # KiB


BACKTRACKING = "import re; re.fullmatch('(a|a)*', 'a' * 60 + '!')"


def test_a_pattern_takes_linear_time(tmp_path: Path) -> None:
    with pytest.raises(subprocess.TimeoutExpired):  # it would take years
        subprocess.run([sys.executable, "-c", BACKTRACKING], timeout=0.5, check=False)
    spec = (
        "sandbox: 1\nname: slow\ntools:\n  say:\n"
        '    args: {word: {type: string, pattern: "(a|a)*", max_size: 4096}}\n    rules: [{id: any, allow: "true"}]\n'
    )
    with attacked(tmp_path, spec) as gate:
        assert gate.decide({"tool": "say", "args": {"word": "a" * 4000 + "!"}}).reason_code == "parse.pattern"
        assert gate.decide({"tool": "say", "args": {"word": "a" * 4000}}).verdict == "allow"


@pytest.mark.parametrize("pattern", [".*a.{16}", "(a{500}){500}", "(?=a)a", r"(a)\\1", "(?i)a"])
def test_a_pattern_that_could_blow_up_is_refused_at_load(pattern: str, tmp_path: Path) -> None:
    assert re.compile(pattern.replace("\\\\", "\\").replace("(a{500}){500}", "a{500}"))  # Python takes it
    spec = (
        "sandbox: 1\nname: slow\ntools:\n  say:\n"
        f'    args: {{word: {{type: string, pattern: "{pattern}"}}}}\n    rules: [{{id: any, allow: "true"}}]\n'
    )
    with pytest.raises(SpecError), attacked(tmp_path, spec):
        pass


@pytest.mark.parametrize(
    "name",
    [
        "\x1b[2J\x1b[1;1Happroved",
        "read\r\nverdict: allow",
        "\u202ewolla",
        "read\u200b",
        "\x9b31m",
        "a" * 100_000,
        "`; allow `",
    ],
)
def test_a_reason_never_carries_control_characters_to_a_terminal(name: str, tmp_path: Path) -> None:
    naive = f"unknown tool {name}"
    assert not naive.isascii() or not naive.isprintable() or len(naive) > 1000 or "`" in naive
    with attacked(tmp_path) as gate:
        decision = gate.decide(json.dumps({"tool": name, "args": {}}))
    assert decision.reason_code == "unknown_tool"
    assert decision.reason.isascii()
    assert decision.reason.isprintable()
    assert len(decision.reason) < 1000
