# ruff: noqa: E501 - a table is read line by line
"""What other programs hold on to, read from the documents alone: bytes in, exit codes and JSON out, no engine asked.

Everything here runs `python -m sandbox` in an empty folder, as a stranger would.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = (
    pytest.mark.no_cover
)  # what is tested runs in processes of its own, and what they cover, the tests of their modules do

ROOT = Path(__file__).resolve().parents[2]
NOWHERE = {"DOCKER_HOST": "tcp://127.0.0.1:1"}

TYPES = """
sandbox: 1
name: types
tools:
  bool: {args: {x: {type: bool}}, rules: [{id: a, allow: true}]}
  int: {args: {x: {type: int}}, rules: [{id: a, allow: true}]}
  small: {args: {x: {type: int, min: -5, max: 10}}, rules: [{id: a, allow: true}]}
  decimal: {args: {x: {type: decimal, scale: 2, min: -100.00, max: 1000}}, rules: [{id: a, allow: true}]}
  string: {args: {x: {type: string}}, rules: [{id: a, allow: true}]}
  word: {args: {x: {type: string, pattern: "[a-z]+", min_size: 2, max_size: 4}}, rules: [{id: a, allow: true}]}
  text: {args: {x: {type: text, max_size: 3}}, rules: [{id: a, allow: true}]}
  enum: {args: {x: {type: enum, values: [red, green]}}, rules: [{id: a, allow: true}]}
  list: {args: {x: {type: list, items: {type: string}}}, rules: [{id: a, allow: true}]}
  set: {args: {x: {type: list, items: {type: string}, min_size: 1, max_size: 3, unique: true}}, rules: [{id: a, allow: true}]}
  path: {args: {x: {type: path}}, rules: [{id: a, allow: true}]}
  below: {args: {x: {type: path, under: /data}}, rules: [{id: a, allow: true}]}
  maybe: {args: {x: {type: int, optional: true}}, rules: [{id: a, allow: true}]}
  closed: {args: {x: {type: int}}, rules: []}
"""

ACCEPTED = [
    ("bool", "true", True), ("int", "9223372036854775807", 2**63 - 1), ("int", "-9223372036854775808", -(2**63)),
    ("small", "-5", -5), ("small", "10", 10), ("decimal", "1", "1.00"), ("decimal", '"1.5"', "1.50"),
    ("decimal", "-1.25", "-1.25"), ("decimal", "1000", "1000.00"), ("string", '"\\u0061"', "a"),
    ("string", json.dumps("\U0001f600" * 4096), "\U0001f600" * 4096), ("string", '"\U0002ffff"', "\U0002ffff"),
    ("word", '"ab"', "ab"), ("text", '"\U00030000"', "\U00030000"), ("enum", '"red"', "red"), ("list", "[]", []),
    ("list", json.dumps(["a"] * 32), ["a"] * 32), ("set", '["a","b"]', ["a", "b"]), ("path", '"//"', "/"),
    ("path", '"/a//./b/"', "/a/b"), ("path", '"/a/..."', "/a/..."), ("path", '"/a/~b"', "/a/~b"),
    ("path", json.dumps("/" + "a" * 255), "/" + "a" * 255), ("below", '"a"', "/data/a"), ("below", '"."', "/data"),
    ("maybe", "1", 1),
]  # fmt: skip

REFUSED = [
    ("bool", "1", "type"), ("bool", '"true"', "type"), ("int", "true", "type"), ("int", "1.0", "type"),
    ("int", "1e3", "type"), ("int", "-0", "type"), ("int", '"1"', "type"), ("int", "9223372036854775808", "range"),
    ("int", "1" * 401, "number"), ("int", "NaN", "number"), ("int", "01", "json"), ("small", "11", "range"),
    ("decimal", "1.000", "scale"), ("decimal", '"1e2"', "type"), ("decimal", '"-0"', "type"), ("decimal", '" 1"', "type"),
    ("decimal", "1000.01", "range"), ("string", '"\\u0000"', "unicode"), ("string", '"\\ud800"', "unicode"),
    ("string", '"\U00030000"', "unicode"), ("string", json.dumps("x" * 4097), "size"), ("word", '"ab\\n"', "pattern"),
    ("word", '"a"', "size"), ("text", '"abcd"', "size"), ("enum", '"Red"', "enum"), ("list", '"a"', "type"),
    ("list", json.dumps(["a"] * 33), "size"), ("set", '["a","a"]', "unique"), ("set", "[]", "size"),
    ("path", '"a"', "path"), ("path", '"/a/../b"', "path"), ("path", '"~/x"', "path"), ("path", '"/a\\\\b"', "path"),
    ("path", '"/a\\n"', "path"), ("path", json.dumps("/" + "a" * 256), "path"), ("path", json.dumps("/a" * 2049), "path"),
    ("below", '"a/../b"', "path"), ("maybe", "null", "null"),
]  # fmt: skip

FOUNDATIONS = [
    (b"", "parse.json"), (b"\xff", "parse.utf8"), (b'\xef\xbb\xbf{"tool":"maybe","args":{}}', "parse.json"),
    (b'{"tool":"maybe","args":{}} x', "parse.json"), (b'{"tool":"maybe","tool":"maybe","args":{}}', "parse.duplicate_key"),
    (b'{"tool":"maybe","args":{},"approved":true}', "parse.unknown_field"), (b'{"tool":"maybe"}', "parse.missing_field"),
    (b'{"tool":"maybe","args":[]}', "parse.shape"), (b"[]", "parse.shape"), (b'{"tool":"Maybe","args":{}}', "unknown_tool"),
    (b'{"tool":"maybe","args":{"y":1}}', "parse.unknown_argument"), (b'{"tool":"int","args":{}}', "parse.missing_argument"),
    (b'{"tool":"maybe","args":{"x":' + b"[" * 31 + b"]" * 31 + b"}}", "parse.depth"),
    (b'{"tool":"maybe","args":{' + b",".join(b'"k%d":1' % i for i in range(257)) + b"}}", "parse.keys"),
    (b" " * 4194305, "parse.too_large"), (b'{"tool":"closed","args":{"x":1}}', "default_deny"),
    (b'\t{"tool":"maybe","args":{}}\r', "rule.allow"),
]  # fmt: skip

STATEFUL = """
sandbox: 1
name: stateful
state:
  spent: {type: decimal, scale: 2, initial: 0, window: 24h}
  day: {type: int, initial: 0, reset: 24h}
tools:
  pay:
    args: {amount: {type: decimal, scale: 2, min: 0.01, max: 100}}
    rules:
      - {id: cap, deny: state.spent + args.amount > 3.00}
      - {id: human, ask: args.amount > 2}
      - {id: small, allow: true}
    then: {spent: state.spent + args.amount}
  once:
    args: {}
    rules: [{id: twice, deny: state.day >= 1}, {id: ok, allow: true}]
    then: {day: state.day + 1}
"""

PAY = b'{"tool":"pay","args":{"amount":1}}\n'
ASK = b'{"tool":"pay","args":{"amount":"2.01"}}\n'
MUCH = b'{"tool":"pay","args":{"amount":50}}\n'
ONCE = b'{"tool":"once","args":{}}\n'


def sandbox(folder: Path, *words: object, stdin: bytes = b"", **env: str) -> subprocess.CompletedProcess[bytes]:
    kept = {key: value for key, value in os.environ.items() if key != "SANDBOX_STATE"}
    return subprocess.run(
        [sys.executable, "-m", "sandbox", *map(str, words)],
        cwd=folder,
        input=stdin,
        capture_output=True,
        env={**kept, "PYTHONPATH": str(ROOT), **NOWHERE, **env},
        check=False,
    )


def lines(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, object]]:
    return [json.loads(line) for line in done.stdout.split(b"\n") if line]


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


# --- decide --------------------------------------------------------------------------------------------


def test_each_type_accepts_refuses_and_is_canonical_as_the_table_says(tmp_path: Path) -> None:
    written(tmp_path, "s.yaml", TYPES)
    calls = [f'{{"tool":"{tool}","args":{{"x":{raw}}}}}'.encode() for tool, raw, _ in [*ACCEPTED, *REFUSED]]
    done = sandbox(tmp_path, "decide", "s.yaml", stdin=b"\n".join(calls))
    found = lines(done)
    assert (done.returncode, len(found)) == (1, len(calls))
    for one, (tool, raw, value) in zip(found, ACCEPTED, strict=False):
        canonical = json.dumps({"args": {"x": value}, "tool": tool}, ensure_ascii=False, separators=(",", ":"))
        assert (one["verdict"], one["call_digest"]) == ("allow", hashlib.sha256(canonical.encode()).hexdigest()), raw
    for one, (tool, raw, code) in zip(found[len(ACCEPTED) :], REFUSED, strict=True):
        assert (one["verdict"], one["reason_code"]) == ("deny", f"parse.{code}"), (tool, raw[:50])


def test_a_message_that_is_not_exactly_a_call_is_denied_with_its_code(tmp_path: Path) -> None:
    written(tmp_path, "s.yaml", TYPES)
    found = lines(sandbox(tmp_path, "decide", "s.yaml", stdin=b"\n".join(raw for raw, _ in FOUNDATIONS) + b"\n"))
    assert [one["reason_code"] for one in found] == [code for _, code in FOUNDATIONS]
    assert [one["line"] for one in found] == list(range(1, len(FOUNDATIONS) + 1))
    assert {frozenset(one) for one in found} == {
        frozenset({"line", "verdict", "rule", "reason_code", "reason", "call_digest", "engines"})
    }
    nothing = {"evaluator": None, "solver": None}
    assert all(one["engines"] == nothing for one in found if str(one["reason_code"]).startswith("parse."))


@pytest.mark.parametrize(
    ("raw", "code", "verdicts"),
    [
        (b"", 0, []),
        (PAY, 0, ["allow"]),
        (PAY[:-1], 0, ["allow"]),
        (PAY.replace(b"\n", b"\r\n"), 0, ["allow"]),
        (ASK, 3, ["ask"]),
        (ASK + PAY, 3, ["ask", "allow"]),
        (ASK + MUCH, 1, ["ask", "deny"]),
        (b"\n" + PAY, 1, ["deny", "allow"]),
        (PAY[:-1] + b"\r" + PAY, 1, ["deny"]),
        (PAY[:-1] + "\u2028".encode() + PAY, 1, ["deny"]),
        (PAY * 4, 1, ["allow", "allow", "allow", "deny"]),
        (ASK * 3 + PAY * 3, 3, ["ask", "ask", "ask", "allow", "allow", "allow"]),
        (MUCH * 2 + PAY * 3, 1, ["deny", "deny", "allow", "allow", "allow"]),
    ],
)
def test_lines_flow_as_if_each_allowed_call_had_succeeded(
    tmp_path: Path, raw: bytes, code: int, verdicts: list[str]
) -> None:
    written(tmp_path, "s.yaml", STATEFUL)
    done = sandbox(tmp_path, "decide", "s.yaml", stdin=raw)
    assert (done.returncode, [one["verdict"] for one in lines(done)]) == (code, verdicts)
    assert not (tmp_path / ".sandbox").exists()


def test_json_lines_are_printed_with_and_without_json(tmp_path: Path) -> None:
    written(tmp_path, "s.yaml", STATEFUL)
    plain, as_json = (sandbox(tmp_path, "decide", "s.yaml", *more, stdin=PAY + b"{") for more in ((), ("--json",)))
    assert (plain.returncode, plain.stdout) == (as_json.returncode, as_json.stdout)


@pytest.mark.parametrize(
    ("raw", "now", "step", "verdicts"),
    [
        (PAY * 4, "2026-01-01T12:00:00Z", "7h59m59s999ms", ["allow", "allow", "allow", "deny"]),
        (PAY * 4, "2026-01-01T12:00:00Z", "8h1ms", ["allow", "allow", "allow", "allow"]),
        (ONCE * 2, "2026-01-01T23:59:59.999Z", "1ms", ["allow", "allow"]),
        (ONCE * 2, "2026-01-01T23:59:59.998Z", "1ms", ["allow", "deny"]),
        (ONCE * 2, "2026-01-01T00:00:00Z", "0s", ["allow", "deny"]),
        (ONCE * 2, "2026-01-02T00:59:59.999+01:00", "1ms", ["allow", "allow"]),
    ],
)
def test_budgets_end_at_their_instant(tmp_path: Path, raw: bytes, now: str, step: str, verdicts: list[str]) -> None:
    written(tmp_path, "s.yaml", STATEFUL)
    done = sandbox(tmp_path, "decide", "s.yaml", "--now", now, "--step", step, stdin=raw)
    assert [one["verdict"] for one in lines(done)] == verdicts


@pytest.mark.parametrize(
    "words",
    [("--now", now) for now in ("yesterday", "2026-01-01", "2026-01-01T00:00:00", "20260101T000000Z", "2026-W01-1T00:00:00Z")]
    + [("--now", "2026-01-01T00:00Z"), ("--step", "1"), ("--step", "-1s"), ("--step", "1w"), ("--session", "[]"), ("--calls", "none")],
)  # fmt: skip
def test_a_wrong_option_is_exit_2_in_one_line(tmp_path: Path, words: tuple[str, str]) -> None:
    written(tmp_path, "s.yaml", STATEFUL)
    done = sandbox(tmp_path, "decide", "s.yaml", *words, stdin=PAY)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)


# --- run, explain, audit -------------------------------------------------------------------------------

RUN = """
sandbox: 1
name: run
tools:
  t:
    args: {i: {type: int}}
    rules: [{id: no, deny: args.i > 9}, {id: ask, ask: args.i > 5}, {id: ok, allow: true}]
    run: {argv: [/usr/bin/python3, -c, "print(1)"]}
"""


@pytest.mark.parametrize(
    ("args", "code", "verdict", "reason_code"),
    [('{"i":1}', 4, None, None), ('{"i":6}', 4, None, None), ('{"i":10}', 1, "deny", "rule.deny"),
     ('{"i":1,"i":1}', 1, "deny", "parse.duplicate_key"), ("[]", 1, "deny", "parse.shape")],
)  # fmt: skip
def test_without_an_engine_what_is_refused_is_refused_and_nothing_runs(
    tmp_path: Path, args: str, code: int, verdict: str | None, reason_code: str | None
) -> None:
    written(tmp_path, "s.yaml", RUN)
    done = sandbox(tmp_path, "run", "s.yaml", "--tool", "t", "--args", args, "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["schema_version"]) == (code, 1)
    if verdict is None:
        assert found["error"]["reason_code"].startswith("environment.")
    else:
        assert (found["verdict"], found["reason_code"]) == (verdict, reason_code)
        assert (found["outcome"], found["receipt"]) == (None, None)


def test_state_lives_where_it_is_asked_for_and_the_record_is_found_from_there(tmp_path: Path) -> None:
    written(tmp_path, "sub/s.yaml", RUN)
    (tmp_path / "sub/deep").mkdir()
    deny = ("run", "sub/s.yaml", "--tool", "t", "--args", '{"i":10}')
    env = f"sqlite:///{tmp_path}/env.db"
    assert sandbox(tmp_path, *deny).returncode == 1
    assert sandbox(tmp_path, *deny, SANDBOX_STATE=env).returncode == 1
    assert sandbox(tmp_path, *deny, "--state", "sqlite:///option.db", SANDBOX_STATE=env).returncode == 1
    logs = [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*.audit.jsonl"))]
    assert logs == ["env.audit.jsonl", "option.audit.jsonl", "sub/.sandbox/state.audit.jsonl"]
    assert sandbox(tmp_path / "sub/deep", "audit", "verify").returncode == 0
    assert sandbox(tmp_path, "audit", "verify").returncode == 2
    assert sandbox(tmp_path, "audit", "verify", SANDBOX_STATE=env).returncode == 0
    assert sandbox(tmp_path, *deny, "--state", "option.db").returncode == 2


def test_any_change_of_the_record_is_a_broken_chain(tmp_path: Path) -> None:
    written(tmp_path, "s.yaml", RUN)
    for number in (10, 11, 12):
        sandbox(tmp_path, "run", "s.yaml", "--tool", "t", "--args", json.dumps({"i": number}))
    log = tmp_path / ".sandbox/state.audit.jsonl"
    good = log.read_bytes()
    first, second, *rest = good.splitlines(keepends=True)
    tampered = [
        good.replace(b"deny", b"Deny", 1), second + b"".join(rest), first + b"".join(rest), second + first + b"".join(rest),
        good + rest[-1], good + b"{}\n", good.replace(b":", b": ", 1), good.replace(b"\n", b"\r\n"), good[:-1], first + b"\n" + second,
    ]  # fmt: skip
    for text in tampered:
        written(tmp_path, "t.jsonl", "").write_bytes(text)
        done = sandbox(tmp_path, "audit", "verify", "t.jsonl", "--json")
        assert (done.returncode, json.loads(done.stdout)["error"]["reason_code"]) == (1, "audit.broken"), text[:80]
    assert json.loads(sandbox(tmp_path, "audit", "verify", log, "--json").stdout)["records"] == len(rest) + 2


@pytest.mark.parametrize(("args", "code"), [('{"i":10}', 1), ('{"i":6}', 3), ('{"i":1}', 0)])
def test_an_explanation_leaves_no_trace_and_gives_each_rule_its_value(tmp_path: Path, args: str, code: int) -> None:
    written(tmp_path, "s.yaml", RUN)
    state = f"sqlite:///{tmp_path}/none/state.db"
    done = sandbox(tmp_path, "explain", "s.yaml", "--tool", "t", "--args", args, "--json", "--state", state)
    found = json.loads(done.stdout)
    assert (done.returncode, [rule["id"] for rule in found["rules"]]) == (code, ["no", "ask", "ok"])
    assert (code == 0) or found["nearest"]
    assert [path.name for path in tmp_path.iterdir()] == ["s.yaml"]


def test_the_example_of_explain_names_a_tool_that_is_there() -> None:
    done = sandbox(
        ROOT, "explain", "specs/files.yaml", "--tool", "read", "--args", '{"path": "/workspace/.git/config"}'
    )
    assert b"--tool read --args" in sandbox(ROOT, "explain", "--help").stdout
    assert (done.returncode, b"no-repository" in done.stdout) == (1, True)


# --- check and prove -----------------------------------------------------------------------------------


def test_lint_names_the_file_as_it_was_given_and_changes_no_exit_code(tmp_path: Path) -> None:
    written(
        tmp_path,
        "s.yaml",
        "sandbox: 1\nname: s\ntools: {t: {args: {i: {type: int, max: 5}}, rules: [{id: dead, allow: args.i > 6}]}}\n",
    )
    done = sandbox(tmp_path, "check", "s.yaml", "--json")
    (found,) = json.loads(done.stdout)["specs"]
    assert (done.returncode, found["valid"], {one["file"] for one in found["lint"]}) == (0, True, {"s.yaml"})
    assert any("`dead` is never true" in one["message"] for one in found["lint"])


def test_each_refusal_has_its_place(tmp_path: Path) -> None:
    written(tmp_path, "s.yaml", "sandbox: 1\nname: s\ntool: {}\nowner: 1\n")
    done = sandbox(tmp_path, "check", "s.yaml", "--json")
    (found,) = json.loads(done.stdout)["specs"]
    assert (done.returncode, [(one["line"], one["column"]) for one in found["problems"]]) == (2, [(3, 1), (4, 8)])
    assert done.stderr.startswith(b"s.yaml:3:1: unknown key `tool`; did you mean `tools`?")


PROPERTIES = """
proves: ../s.yaml
properties:
  - {id: cap, always: state.spent <= 3.00}
  - {id: asked, never: "tool == 'pay' && args.amount > 2 && decision == 'allow'"}
  - {id: useful, possible: "tool == 'pay' && decision == 'allow'"}
"""


def proved(folder: Path, text: str, *words: str) -> tuple[int, dict[str, object]]:
    written(folder, "s.yaml", STATEFUL)
    written(folder, "proofs/p.yaml", text)
    done = sandbox(folder, "prove", "--json", *words)
    return done.returncode, json.loads(done.stdout)


def test_proofs_are_proved_recorded_and_a_difference_fails(tmp_path: Path) -> None:
    code, found = proved(tmp_path, PROPERTIES, "--update", "--emit", "smt")
    assert (code, [one["verdict"] for one in found["properties"]]) == (0, ["proved"] * 3)
    keys = {"spec", "id", "kind", "verdict", "bound", "counterexample", "reason", "solvers", "rlimit", "duration_ms"}
    assert all(keys <= set(one) for one in found["properties"])
    assert "coverage" in found
    assert (tmp_path / "proofs/ledger.json").exists()
    assert list((tmp_path / "smt").glob("*.smt2"))
    assert proved(tmp_path, PROPERTIES)[0] == 0
    assert proved(tmp_path, PROPERTIES.rsplit("\n  -", 1)[0] + "\n")[0] == 1


def test_a_counterexample_is_what_decide_accepts_and_has_the_verdicts_it_claims(tmp_path: Path) -> None:
    code, found = proved(tmp_path, "proves: ../s.yaml\nproperties: [{id: low, always: state.spent <= 1.50}]\n")
    (one,) = found["properties"]
    example = one["counterexample"]
    assert (code, one["verdict"], example["replayed"]) == (1, "refuted", True)
    assert all(set(call) == {"tool", "args", "now", "session", "outcome"} for call in example["calls"])
    raw = b"".join(
        json.dumps({key: call[key] for key in ("tool", "args")}).encode() + b"\n" for call in example["calls"]
    )
    done = sandbox(tmp_path, "decide", "s.yaml", "--now", example["calls"][0]["now"], stdin=raw)
    assert lines(done)[0]["verdict"] == example["decisions"][0]["verdict"]


@pytest.mark.parametrize(
    ("properties", "code", "what"),
    [
        ("[]", 2, "nothing_to_prove"),
        ("[{id: v, never: \"tool == 'pay' && args.amount > 5 && args.amount < 3\"}]", 1, "vacuous"),
        ("[{id: i, possible: \"tool == 'pay' && args.amount > 3.00 && decision == 'allow'\"}]", 1, "refuted"),
        ("[{id: t, never: \"tool == 'pay' && args.amount < 0\"}]", 0, "proved"),
        ("[{id: n, nevr: true}]", 2, "property.invalid"),
    ],
)
def test_each_verdict_has_its_exit_code(tmp_path: Path, properties: str, code: int, what: str) -> None:
    ended, found = proved(tmp_path, f"proves: ../s.yaml\nproperties: {properties}\n")
    said = found["error"]["reason_code"] if "error" in found else found["properties"][0]["verdict"]
    assert (ended, said) == (code, what)
