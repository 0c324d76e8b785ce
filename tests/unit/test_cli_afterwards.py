"""`sandbox explain` about what would come after a call: changes and results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from gatekit import spec_file

from sandbox.cli.program import PROGRAM

SPEC = """\
sandbox: 1
name: lookup
session: {who: {type: string}}
state: {open: {type: bool, initial: false}}
tools:
  find:
    args: {path: {type: path, under: /workspace}}
    returns: {iban: {type: {type: string, optional: true}}}
    rules: [{id: all, allow: args.path != '/workspace/no'}]
    changes:
      - {id: own, commit: change.path == args.path && change.kind != 'deleted'}
      - {id: large, refuse: change.size > 9, reason: too large}
    after:
      - {id: accounts, redact: has(result.iban)}
      - {id: hours, pass: now.getHours() < 12 && session.who == 'ann' && !state.open}
    run: {tool: tools.files:write, workspace: {source: ./space, mode: rw}}
  plain:
    rules: [{id: all, allow: true}]
"""
MORNING = "2026-01-01T09:00:00Z"


def explain(folder: Path, *words: str, tool: str = "find", path: str = "a", who: str = "ann") -> Result:
    (folder / "space").mkdir(exist_ok=True)
    args = json.dumps({"path": path}) if tool == "find" else "{}"
    spec = str(spec_file(folder, SPEC))
    said = ["explain", spec, "--tool", tool, "--args", args, "--session", json.dumps({"who": who}), *words]
    return CliRunner().invoke(PROGRAM, [*said, "--now", MORNING])


@pytest.mark.parametrize(
    ("words", "last"),
    [
        (["--change", '{"path": "/workspace/a"}'], "change /workspace/a: commit"),
        (["--change", '{"path": "/workspace/b"}'], "change /workspace/b: refuse: no rule commits `b`"),
        (
            ["--change", '{"path": "/workspace/a", "size": 10, "kind": "modified", "mode": 420}'],
            "change /workspace/a: refuse: `a` is refused by rule `large`: too large",
        ),
        (["--change", '{"path": "/workspace/a", "mode": 2541}'], "change /workspace/a: refuse: `a` has set-id bits"),
        (["--result", "{}"], "result: pass: the call ran; its result is passed by rule `hours`"),
        (["--result", '{"iban": "x"}'], "result: redact: the call ran; its result is redacted by rule `accounts`"),
        (
            ["--result", "null"],
            "result: withhold: the call ran; its result is not what `returns` declares (parse.type) and is withheld",
        ),
        (["--status", "timeout"], "result: pass: the call ran; its result is passed by rule `hours`"),
    ],
)
def test_what_would_become_of_it_is_said(tmp_path: Path, words: list[str], last: str) -> None:
    result = explain(tmp_path, *words)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == last


def test_a_denied_call_is_explained_all_the_same(tmp_path: Path) -> None:
    result = explain(tmp_path, "--change", '{"path": "/workspace/no"}', path="no")
    assert result.exit_code == 1
    assert "change /workspace/no: commit" in result.output


def test_a_tool_without_such_rules_has_ours(tmp_path: Path) -> None:
    words = ["--change", '{"path": "/workspace/.git/x"}', "--change", '{"path": "/workspace/x"}', "--result", "7"]
    lines = explain(tmp_path, *words, tool="plain").output.splitlines()[-3:]
    assert lines == [
        "change /workspace/.git/x: refuse: `.git/x` is a file that tools on the host act upon",
        "change /workspace/x: commit",
        "result: pass: the call ran; its result is passed, for no spec judges it",
    ]


def test_as_json(tmp_path: Path) -> None:
    words = ["--change", '{"path": "/workspace/b"}', "--result", '{"iban": "x"}', "--json"]
    document = json.loads(explain(tmp_path, *words).output)
    assert document["changes"] == [
        {
            "path": "/workspace/b",
            "verdict": "refuse",
            "reason_code": "changes.refused",
            "reason": "no rule commits `b`",
        }
    ]
    assert (document["result"]["kind"], document["result"]["rule"]) == ("redact", "accounts")
    assert "changes" not in json.loads(explain(tmp_path, "--json").output)


@pytest.mark.parametrize(
    "change",
    [
        "[]",
        "{",
        '{"path": "a"}',
        '{"path": "/workspace"}',
        '{"path": "/workspace/"}',
        '{"path": "/workspace/a/"}',
        '{"path": "/workspace/../etc"}',
        '{"path": "/workspace/a", "owner": 1}',
        '{"path": "/workspace/a", "kind": "made"}',
        '{"path": "/workspace/a", "size": "1"}',
        '{"path": "/workspace/a", "mode": 1.5}',
    ],
)
def test_what_is_no_change_is_a_usage_error(tmp_path: Path, change: str) -> None:
    result = explain(tmp_path, "--change", change)
    assert result.exit_code == 2
    assert "is no change; write one such as" in result.output


def test_what_is_no_json_is_no_result(tmp_path: Path) -> None:
    result = explain(tmp_path, "--result", "{")
    assert result.exit_code == 2
    assert "`{` is no JSON" in result.output
