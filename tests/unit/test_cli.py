"""The command line: what each command prints and what it ends with. The exit codes are the same everywhere."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from gatekit import PAYMENTS, STRANGER, TRUSTED, SpyRunner, spec_file

import sandbox
from sandbox.call import Outcome, Permit
from sandbox.cli.decide import read_lines
from sandbox.cli.program import COMMANDS, PROGRAM
from sandbox.decide import Confirmation, EnginePair, Evaluator
from sandbox.errors import EnvironmentLacking
from sandbox.strict_json import MAX_MESSAGE_BYTES

pytestmark = pytest.mark.usefixtures("forked")

ROOT = Path(__file__).resolve().parents[2]
NOON = "2026-01-01T12:00:00Z"


def run(*words: object, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(PROGRAM, [str(word) for word in words], input=stdin)


def documents(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def document(result: Result) -> dict[str, object]:
    found = json.loads(result.stdout)
    assert found["schema_version"] == 1
    return found


def line(recipient: str = TRUSTED[0], amount: object = "10.00", **more: object) -> bytes:
    args = {"recipient": recipient, "amount": amount, **more}
    return json.dumps({"tool": "send_money", "args": args}).encode() + b"\n"


def arguments(recipient: str = TRUSTED[0], amount: object = "10.00", **more: object) -> str:
    return json.dumps({"recipient": recipient, "amount": amount, **more})


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return spec_file(tmp_path)


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch) -> Iterator[SpyRunner]:
    """In place of the runner that starts containers."""
    runner = SpyRunner()
    monkeypatch.setattr("sandbox.execute.cold.ColdRunner", lambda: runner)
    return runner


# --- the program -------------------------------------------------------------------------------------


def test_a_name_that_is_no_utf_8_is_escaped_in_json() -> None:
    result = run("check", "a\udcff.yaml", "--json")
    assert result.exit_code == 2
    assert "a\udcff.yaml" in document(result)["error"]["message"]
    assert rb"a\udcff.yaml" in result.stdout_bytes


@pytest.mark.parametrize(
    "words",
    [[name] for name in COMMANDS] + [["audit", "verify"], ["audit", "show"], ["audit", "tail"], ["image", "build"]],
)
def test_every_command_has_help_with_an_example(words: list[str]) -> None:
    result = run(*words, "--help")
    assert result.exit_code == 0
    assert f"Example: sandbox {words[0]}" in result.stdout


def test_help_names_every_command() -> None:
    assert all(name in run("--help").stdout for name in COMMANDS)


@pytest.mark.parametrize(
    "words", [["nope"], ["check"], ["decide"], ["check", "--nope", "x"], ["run", "s", "--tool", "t"]]
)
def test_a_wrong_command_line_is_one_line_and_exit_2(words: list[str]) -> None:
    result = run(*words)
    assert (result.exit_code, len(result.stderr.splitlines()), result.stdout) == (2, 1, "")


def test_no_command_at_all_is_help_and_exit_2() -> None:
    result = run()
    assert (result.exit_code, "Commands" in result.stderr) == (2, True)


def test_an_unexpected_exception_is_exit_5_without_a_traceback(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.cli.check.lint", lambda _: 1 / 0)
    monkeypatch.delenv("SANDBOX_DEBUG", raising=False)
    result = run("check", spec)
    assert (result.exit_code, result.stderr) == (5, "internal error: ZeroDivisionError: division by zero\n")
    assert document(run("check", spec, "--json"))["error"]["reason_code"] == "fault.internal"
    monkeypatch.setenv("SANDBOX_DEBUG", "1")
    assert isinstance(run("check", spec).exception, ZeroDivisionError)


def test_an_interrupt_is_exit_130(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sandbox.cli.check.lint", interrupted)
    assert run("check", spec).exit_code == 130


def test_the_program_can_be_started_as_a_module(spec: Path) -> None:
    command = [sys.executable, "-m", "sandbox"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    good = subprocess.run([*command, "check", spec], env=environment, capture_output=True, text=True, check=False)
    assert (good.returncode, good.stdout) == (0, run("check", spec).stdout)
    bad = subprocess.run([*command, "check", "nowhere.yaml"], env=environment, capture_output=True, check=False)
    assert bad.returncode == 2
    asked = subprocess.run(
        [*command, "decide", spec], input=line(STRANGER), env=environment, capture_output=True, check=False
    )
    assert (asked.returncode, json.loads(asked.stdout)["verdict"]) == (3, "ask")


def test_output_that_nobody_reads_ends_quietly(spec: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", "decide", spec],
        input=line(),
        stdout=writer,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (130, b"")


def test_what_is_exported_is_what_is_promised() -> None:
    assert sorted(sandbox.__all__) == sandbox.__all__ == dir(sandbox)
    for name in sandbox.__all__:
        assert getattr(sandbox, name).__name__ == name
    with pytest.raises(AttributeError):
        _ = sandbox.nope


# --- check -------------------------------------------------------------------------------------------


def test_check_says_valid_and_lints(tmp_path: Path) -> None:
    spec = spec_file(tmp_path, "sandbox: 1\nname: nothing\ntools: {}\n")
    result = run("check", spec)
    assert (result.exit_code, result.stdout.startswith(f"{spec}: valid (0 tools)\n")) == (0, True)


def test_check_names_the_place_of_every_mistake(tmp_path: Path) -> None:
    spec = spec_file(tmp_path, PAYMENTS.replace("args.amount > 5000.00", "args.amont > 5000.00"))
    result = run("check", spec)
    assert result.exit_code == 2
    place = next(n for n, text in enumerate(spec.read_text().splitlines(), start=1) if "amont" in text)
    assert result.stderr.startswith(f"{spec}:{place}:")
    assert "amont" in result.stderr
    found = document(run("check", spec, "--json"))["specs"][0]
    assert (found["valid"], found["problems"][0]["line"]) == (False, place)


def test_check_takes_several_specs_and_one_that_is_wrong_decides(tmp_path: Path, spec: Path) -> None:
    wrong = spec_file(tmp_path, "sandbox: 2\n", "wrong.yaml")
    result = run("check", spec, wrong)
    assert (result.exit_code, f"{spec}: valid" in result.stdout) == (2, True)


def test_a_spec_that_is_not_there_is_exit_2(tmp_path: Path) -> None:
    for command in (
        ["check"],
        ["decide"],
        ["explain", "--tool", "t", "--args", "{}"],
        ["run", "--tool", "t", "--args", "{}"],
    ):
        assert run(*command, tmp_path / "nope.yaml").exit_code == 2


# --- decide ------------------------------------------------------------------------------------------


def test_decide_prints_one_object_a_line(spec: Path) -> None:
    result = run("decide", spec, "--now", NOON, stdin=line() + line(STRANGER) + b"\xff\n" + line(amount=9999))
    allowed, asked, unparsed, denied = documents(result)
    assert list(allowed) == ["line", "verdict", "rule", "reason_code", "reason", "call_digest", "engines"]
    assert [each["line"] for each in documents(result)] == [1, 2, 3, 4]
    assert (allowed["verdict"], allowed["rule"], allowed["engines"]) == (
        "allow", "trusted", {"evaluator": "allow", "solver": "allow"}
    )  # fmt: skip
    assert (asked["verdict"], asked["rule"], asked["engines"]) == (
        "ask",
        "human",
        {"evaluator": "ask", "solver": "ask"},
    )
    assert (unparsed["reason_code"], unparsed["call_digest"]) == ("parse.utf8", None)
    assert unparsed["engines"] == {"evaluator": None, "solver": None}
    assert (denied["rule"], denied["engines"]) == ("over-limit", {"evaluator": "deny", "solver": "deny"})
    assert len(allowed["call_digest"]) == 64
    assert result.exit_code == 1


def test_the_exit_code_of_decide_is_that_of_the_strictest_line(spec: Path) -> None:
    assert run("decide", spec).exit_code == 0
    assert run("decide", spec, stdin=line()).exit_code == 0
    assert run("decide", spec, stdin=line() + line(STRANGER)).exit_code == 3
    assert run("decide", spec, stdin=line(STRANGER) + b"x").exit_code == 1


def test_state_flows_from_line_to_line_and_is_thrown_away(spec: Path) -> None:
    calls = line(amount=1000) * 6
    first = [each["verdict"] for each in documents(run("decide", spec, "--now", NOON, stdin=calls))]
    assert first == ["allow"] * 5 + ["deny"]
    assert [each["verdict"] for each in documents(run("decide", spec, "--now", NOON, stdin=calls))] == first
    slow = run("decide", spec, "--now", NOON, "--step", "5h", stdin=calls)
    assert [each["verdict"] for each in documents(slow)] == ["allow"] * 6
    assert not (spec.parent / ".sandbox").exists()


def test_asked_and_denied_calls_leave_the_state_alone(spec: Path) -> None:
    calls = line(STRANGER, amount=5000) * 3 + line(amount=6000) + line(amount=1000)
    assert [each["verdict"] for each in documents(run("decide", spec, stdin=calls))] == ["ask"] * 3 + ["deny", "allow"]


def test_calls_may_come_from_a_file_and_end_by_newline_only(spec: Path, tmp_path: Path) -> None:
    calls = tmp_path / "calls.jsonl"
    separators = "\u2028\u0085\x0b\x0c"
    calls.write_bytes(
        line().replace(b"\n", b"\r\n") + json.dumps({"x": separators}, ensure_ascii=False).encode() + b"\n\n"
    )
    result = run("decide", spec, "--calls", calls, "--json")
    assert [each["verdict"] for each in documents(result)] == ["allow", "deny", "deny"]


def test_a_line_too_long_to_be_a_call_is_denied_and_the_next_is_read(spec: Path) -> None:
    result = run("decide", spec, stdin=b"[" * (3 * MAX_MESSAGE_BYTES) + b"\n" + line() + b"9" * (2 * MAX_MESSAGE_BYTES))
    assert [each["reason_code"] for each in documents(result)] == ["parse.too_large", "rule.allow", "parse.too_large"]


def test_no_more_of_a_line_is_held_than_parse_needs_to_refuse_it() -> None:
    limit = MAX_MESSAGE_BYTES + 2

    class Watched(io.BytesIO):
        def readline(self, size: int | None = -1) -> bytes:
            assert size is not None
            assert 0 < size <= limit
            return super().readline(size)

    lines = list(
        read_lines(Watched(b"x" * (5 * limit) + b"\nab\n" + b"y" * (limit - 1) + b"\n" + b"z" * limit + b"\nend"))
    )
    assert [len(each) for each in lines] == [limit, 2, limit - 1, limit, 3]


@pytest.mark.parametrize(
    "words",
    [["--now", "noon"], ["--now", "2026-01-01T12:00:00"], ["--step", "1 h"], ["--step", "-1s"], ["--session", "[]"],
     ["--session", "{"], ["--calls", "nowhere.jsonl"]],
)  # fmt: skip
def test_a_wrong_option_of_decide_is_exit_2(spec: Path, words: list[str]) -> None:
    assert run("decide", spec, *words).exit_code == 2


def test_engines_that_disagree_are_exit_5(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Contrary:
        def confirm(self, *_: object) -> Confirmation:
            return Confirmation("deny")

    monkeypatch.setattr(
        "sandbox.cli.decide.engine_pairs",
        lambda policy, **_: {
            each.name: EnginePair(Evaluator(each), Contrary(), always_ask=True) for each in policy.contracts
        },
    )
    result = run("decide", spec, stdin=line() + b"x\n")
    assert (documents(result)[0]["reason_code"], result.exit_code) == ("fault.disagreement", 5)
    assert documents(result)[0]["engines"] == {"evaluator": "allow", "solver": "deny"}


# --- explain -----------------------------------------------------------------------------------------


def explain(spec: Path, args: str, *words: object) -> Result:
    return run("explain", spec, "--tool", "send_money", "--args", args, "--now", NOON, *words)


def test_explain_gives_every_rule_its_value_and_the_nearest_call(spec: Path) -> None:
    result = explain(spec, arguments(amount="1000.01"), "--json")
    found = document(result)
    assert result.exit_code == 3
    assert [(rule["id"], rule["value"]) for rule in found["rules"]] == [
        ("over-limit", False),
        ("trusted", False),
        ("human", True),
    ]
    assert [(each["argument"], each["value"]) for each in found["nearest"]] == [("amount", "1000.00")]
    assert found["state"] == {"sent_today": "0.00"}


def test_every_suggestion_is_allowed_when_it_is_tried(spec: Path) -> None:
    for args in (arguments(STRANGER), arguments(amount=999999), arguments(STRANGER, note="x")):
        for each in document(explain(spec, args, "--json"))["nearest"]:
            assert run("decide", spec, stdin=json.dumps(each["call"]).encode()).exit_code == 0


def test_explain_says_so_where_no_single_change_helps(spec: Path) -> None:
    result = explain(spec, arguments(STRANGER, amount=999999))
    assert "no change of a single argument" in result.stdout
    assert result.exit_code == 1


def test_explain_in_words_shows_the_call_and_each_rule(spec: Path) -> None:
    result = explain(spec, arguments(amount=2000, note="\x1b[2J"))
    assert 'would be allowed: with `amount` = "1000.00"' in result.stdout
    assert "  true   ask   human: " in result.stdout
    assert "\x1b" not in result.stdout
    assert "state.sent_today = 0.00" in result.stdout


def test_explain_of_an_allowed_call_and_of_no_call_at_all(spec: Path) -> None:
    allowed, unparsed = explain(spec, arguments()), explain(spec, "{", "--json")
    assert (allowed.exit_code, "would be allowed" in allowed.stdout) == (0, False)
    assert (unparsed.exit_code, document(unparsed)["rules"]) == (1, [])


def test_explain_looks_at_the_stored_state_and_leaves_it(spec: Path, edge: SpyRunner) -> None:
    for _ in range(5):
        assert run("run", spec, "--tool", "send_money", "--args", arguments(amount=1000)).exit_code == 0
    result = run("explain", spec, "--tool", "send_money", "--args", arguments(), "--json")
    assert (document(result)["state"], document(result)["verdict"]) == ({"sent_today": "5000.00"}, "deny")


EVERY_TYPE = """\
sandbox: 1
name: types
tools:
  t:
    args:
      flag: {type: bool}
      level: {type: enum, values: [low, high, top]}
      path: {type: path, under: /data}
      names: {type: list, items: {type: string}, max_size: 4}
      body: {type: text, max_size: 100}
      extra: {type: int, optional: true}
      count: {type: int, min: -100, max: 100}
    rules:
      - id: fine
        allow: >-
          !args.flag && args.level == 'high' && args.path.startsWith('/data/public/') && size(args.body) <= 3
          && !('root' in args.names) && !has(args.extra) && args.count >= 7
"""
FINE = {"flag": False, "level": "high", "path": "/data/public/a", "names": ["x"], "body": "abc", "count": 7}


@pytest.mark.parametrize(
    ("name", "wrong", "nearest"),
    [
        ("flag", True, False),
        ("level", "low", "high"),
        ("path", "/data/private/a", "/data/public/a"),
        ("names", ["x", "root", "y"], ["x", "y"]),
        ("body", "abcdef", "abc"),
        ("count", -50, 7),
        ("extra", 5, None),
    ],
)
def test_the_nearest_change_is_found_for_every_type(tmp_path: Path, name: str, wrong: object, nearest: object) -> None:
    spec = spec_file(tmp_path, EVERY_TYPE)
    result = run("explain", spec, "--tool", "t", "--args", json.dumps({**FINE, name: wrong}), "--json")
    (found,) = document(result)["nearest"]
    assert (found["argument"], found["value"], found["present"]) == (name, nearest, nearest is not None)


# --- run ---------------------------------------------------------------------------------------------


def attempt(spec: Path, args: str, *words: object) -> Result:
    return run("run", spec, "--tool", "send_money", "--args", args, *words)


def test_run_takes_a_call_the_whole_way(spec: Path, edge: SpyRunner) -> None:
    result = attempt(spec, arguments(), "--json")
    found = document(result)
    assert result.exit_code == 0
    assert (found["verdict"], found["outcome"]["status"], found["outcome"]["result"]) == ("allow", "ok", {"done": True})
    assert set(found["outcome"]) >= {"status", "result", "stdout", "stderr", "truncated", "duration_ms", "changes"}
    assert found["receipt"]["isolation"] == "container"
    assert found["receipt"]["record_sequence"] == 2
    assert len(edge.permits) == 1


def test_run_in_words(spec: Path, edge: SpyRunner) -> None:
    edge._behave = lambda _: Outcome("ok", "ok", "", result={"a": 1}, stdout="\x1b[31mred\n", stderr="warn")
    result = attempt(spec, arguments())
    assert "allow: allowed by rule `trusted`" in result.stdout
    assert "--- stdout\n\\u001b[31mred\n" in result.stdout
    assert "--- stderr\nwarn\n" in result.stdout
    assert '"a": 1' in result.stdout


def test_a_denied_call_is_exit_1_and_an_asked_one_exit_3(spec: Path, edge: SpyRunner) -> None:
    denied, asked = attempt(spec, arguments(amount=9999), "--json"), attempt(spec, arguments(STRANGER), "--json")
    assert (denied.exit_code, document(denied)["verdict"], document(denied)["outcome"]) == (1, "deny", None)
    assert (asked.exit_code, document(asked)["verdict"], document(asked)["reason_code"]) == (
        3,
        "ask",
        "approval.needed",
    )
    assert "deny: denied by rule `over-limit`" in attempt(spec, arguments(amount=9999)).stdout
    assert edge.permits == []


def test_args_that_are_no_json_are_denied_by_the_gate_itself(spec: Path, edge: SpyRunner) -> None:
    for args in ("{", '{"amount":1,"amount":2}', '{}, "approved": true', b"\xff".decode("utf-8", "surrogateescape")):
        result = attempt(spec, args, "--json")
        assert (result.exit_code, document(result)["reason_code"][:6]) == (1, "parse.")


def test_people_named_on_the_command_line_approve(tmp_path: Path, edge: SpyRunner) -> None:
    spec = spec_file(tmp_path, PAYMENTS.replace("approvers: 1", "approvers: 2"))
    assert attempt(spec, arguments(STRANGER), "--approve-as", "ann", "--approve-as", "ann").exit_code == 3
    both = attempt(spec, arguments(STRANGER), "--approve-as", "ann", "--approve-as", "bob", "--json")
    assert (both.exit_code, document(both)["receipt"]["approved_by"]) == (0, ["ann", "bob"])
    assert (
        "approved by ann, bob"
        in attempt(spec, arguments(STRANGER), "--approve-as", "ann", "--approve-as", "bob").stdout
    )


def test_whoever_sits_at_the_terminal_is_asked(spec: Path, edge: SpyRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    from sandbox.cli.run import _approvers

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("sys.stderr", Terminal())
    assert len(_approvers(())) == 1
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert _approvers(()) == ()


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome("error", "tool.error", "ValueError: no"), 1),
        (Outcome("timeout", "limit.time", "too slow"), 1),
        (Outcome("sandbox_failure", "sandbox_failure.engine", "gone"), 1),
        (Outcome("sandbox_failure", "sandbox_failure.engine", "never came", started=False), 4),
    ],
)
def test_the_exit_code_says_how_the_tool_ended(spec: Path, edge: SpyRunner, outcome: Outcome, code: int) -> None:
    edge._behave = lambda _: outcome
    result = attempt(spec, arguments(), "--json")
    assert (result.exit_code, document(result)["outcome"]["status"]) == (code, outcome.status)


def test_a_missing_engine_is_exit_4_with_the_remedy(spec: Path, edge: SpyRunner) -> None:
    edge._prepare_error = EnvironmentLacking("no engine: install one", "environment.engine")
    result = attempt(spec, arguments(), "--json")
    assert (result.exit_code, result.stderr) == (4, "no engine: install one\n")
    assert document(result)["error"] == {"reason_code": "environment.engine", "message": "no engine: install one"}


def test_a_fault_of_the_gate_is_exit_5(spec: Path, edge: SpyRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.gate.take_joint_step", lambda *_: 1 / 0)
    assert attempt(spec, arguments()).exit_code == 5


def test_an_interrupted_run_is_exit_130_and_recorded(spec: Path, edge: SpyRunner) -> None:
    def interrupted(_: Permit) -> Outcome:
        raise KeyboardInterrupt

    edge._behave = interrupted
    assert attempt(spec, arguments()).exit_code == 130
    assert run("audit", "verify", spec.parent / ".sandbox/state.audit.jsonl").exit_code == 0


def test_a_change_that_was_committed_is_listed(spec: Path, edge: SpyRunner) -> None:
    from sandbox.call import Change

    changes = (Change("ledger.jsonl", "added", "file", 0o644, 12, "d" * 64),)
    edge._behave = lambda _: Outcome("ok", "ok", "", changes=changes)
    assert "added ledger.jsonl (12 bytes)" in attempt(spec, arguments()).stdout
    assert document(attempt(spec, arguments(), "--json"))["outcome"]["changes"][0]["path"] == "ledger.jsonl"


# --- audit -------------------------------------------------------------------------------------------


def test_audit_verifies_shows_and_finds_the_record(
    spec: Path, edge: SpyRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = f"sqlite:///{spec.parent}/s/state.db"
    assert attempt(spec, arguments(note="\u202e"), "--state", state).exit_code == 0
    found = document(run("audit", "verify", "--state", state, "--json"))
    assert (found["verified"], found["records"]) == (True, 2)
    assert "2 records, unbroken" in run("audit", "verify", spec.parent / "s/state.audit.jsonl").stdout
    assert [each["kind"] for each in documents(run("audit", "show", "--state", state))] == ["intent", "outcome"]
    assert len(run("audit", "tail", "--lines", "1", "--state", state).stdout.splitlines()) == 1
    monkeypatch.setenv("SANDBOX_STATE", state)
    assert run("audit", "verify").exit_code == 0


def test_audit_finds_the_nearest_state(spec: Path, edge: SpyRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SANDBOX_STATE", raising=False)
    attempt(spec, arguments())
    deep = spec.parent / "a/b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert run("audit", "verify").exit_code == 0


def test_a_broken_chain_is_exit_1_and_a_missing_record_exit_2(
    spec: Path, edge: SpyRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt(spec, arguments())
    record = spec.parent / ".sandbox/state.audit.jsonl"
    record.write_text(record.read_text().replace("10.00", "99.00"))
    result = run("audit", "verify", record, "--json")
    assert (result.exit_code, document(result)["error"]["reason_code"]) == (1, "audit.broken")
    assert run("audit", "verify", tmp_path / "nope").exit_code == 2
    monkeypatch.delenv("SANDBOX_STATE", raising=False)
    monkeypatch.chdir("/")
    assert run("audit", "verify").exit_code == 2


# --- prove -------------------------------------------------------------------------------------------

PROPERTIES = """\
proves: payments.yaml
properties:
  - {id: daily-cap, always: state.sent_today <= 5000.00}
"""


def test_prove_says_proved_and_keeps_a_ledger(spec: Path) -> None:
    properties = spec_file(spec.parent, PROPERTIES, "proofs.yaml")
    result = run("prove", properties, "--update")
    assert (result.exit_code, result.stdout.split()[0]) == (0, "proved")
    assert document(run("prove", properties, "--json"))["properties"][0]["verdict"] == "proved"
    properties.write_text(PROPERTIES.replace("5000.00", "4000.00"))
    refuted = run("prove", properties, "--jobs", "1")
    assert (refuted.exit_code, "refuted" in refuted.stdout) == (1, True)


def test_nothing_to_prove_is_exit_2(spec: Path) -> None:
    properties = spec_file(spec.parent, "proves: payments.yaml\nproperties: []\n", "proofs.yaml")
    result = run("prove", properties, "--json")
    assert (result.exit_code, document(result)["error"]["reason_code"]) == (2, "nothing_to_prove")


def test_obligations_can_be_written_out(spec: Path, tmp_path: Path) -> None:
    run("prove", spec_file(spec.parent, PROPERTIES, "proofs.yaml"), "--emit", tmp_path / "smt")
    assert list((tmp_path / "smt").glob("*.smt2"))


# --- the machine -------------------------------------------------------------------------------------


def test_version_names_what_is_trusted() -> None:
    assert {"python", "z3-solver", "cvc5", "google-re2", "engine", "kernel"} <= set(
        document(run("version", "--json"))["versions"]
    )
    assert "z3-solver" in run("version").stdout


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")


@pytest.mark.usefixtures("no_engine")
def test_a_machine_without_an_engine_is_exit_4_with_what_to_do(spec: Path) -> None:
    result = run("doctor")
    assert (result.exit_code, "missing  engine" in result.stdout) == (4, True)
    assert run("image", "build").exit_code == 4
    assert document(run("version", "--json"))["versions"]["engine"] is None
    assert run("decide", spec, stdin=line()).exit_code == 0


@pytest.mark.containers
def test_a_machine_with_everything_is_exit_0() -> None:
    result = run("doctor", "--json")
    assert (result.exit_code, {f["name"] for f in document(result)["findings"]} >= {"engine", "image", "seccomp"}) == (
        0,
        True,
    )
    built = run("image", "build", "--json")
    assert (built.exit_code, document(built)["image"][:7]) == (0, "sha256:")
    assert "there already" in run("image", "build").stdout
